/*
 * control_test.c - who becomes a member, who is refused, and how a death is learnt: real processes
 */
#include "ipc/control.h"
#include "ipc/segment.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static mr_domain *domain;
static mr_control *control;

static void setup(void)
{
    domain = support_domain_with((mr_domain_options){.size = sizeof(mr_domain_options),
                                                     .slots = 4,
                                                     .arena_bytes = 65536,
                                                     .max_length = 64,
                                                     .vocabulary = 100,
                                                     .model_fingerprint = 7});
    ck_assert_msg(!mr_control_open(&control, domain), "%s", mr_error());
}

static void teardown(void)
{
    mr_control_close(control);
    support_close(domain);
}

static mr_control_event wait_for(enum mr_control_kind kind)
{
    mr_control_event event;

    for (int i = 0; i < 500; i++) {
        struct pollfd look = {.fd = mr_control_fd(control), .events = POLLIN};

        poll(&look, 1, 10);
        mr_control_next(control, &event);
        if (event.kind == kind)
            return event;
        ck_assert_msg(event.kind == MR_CONTROL_NONE, "event %d instead of %d: %s", event.kind, kind,
                      event.why);
    }
    ck_abort_msg("no event %d came", kind);
    return event;
}

/* A child that attaches with these options and exits with -rc, or stays until it is killed. */
static pid_t attach_in_child(mr_worker_options options, bool stay)
{
    pid_t pid = fork();

    if (!pid) {
        mr_worker *worker;
        int rc = mr_worker_attach(&worker, support_name(domain), &options);

        while (!rc && stay)
            pause();
        if (!rc)
            mr_worker_leave(worker);
        else
            fprintf(stderr, "child: %s\n", mr_error());
        _exit(-rc);
    }
    return pid;
}

static mr_worker_options good(void)
{
    return (mr_worker_options){
        .size = sizeof(mr_worker_options), .capacity = 2, .fingerprint = "test", .name = "w"};
}

static void expect_exit(pid_t pid, int code)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), code);
}

START_TEST(a_worker_joins_and_leaves_in_order)
{
    pid_t pid = attach_in_child(good(), false);
    mr_control_event joined = wait_for(MR_CONTROL_JOINED), left = wait_for(MR_CONTROL_LEFT);

    ck_assert_int_eq(joined.pid, pid);
    ck_assert_int_eq(joined.role, MR_ROLE_WORKER);
    ck_assert_int_eq(left.member, joined.member);
    expect_exit(pid, 0);
    support_die(domain, left.member);
}
END_TEST

START_TEST(a_killed_worker_is_seen_to_die)
{
    pid_t pid = attach_in_child(good(), true);
    int member = wait_for(MR_CONTROL_JOINED).member;
    mr_control_event died;

    ck_assert_int_eq(mr_supervisor_kill(control, member), 0);
    died = wait_for(MR_CONTROL_DIED);
    ck_assert_int_eq(died.pid, pid);
    ck_assert_int_eq(died.member, member);
    waitpid(pid, NULL, 0);
    support_die(domain, member);
    mr_control_next(control, &died);
    ck_assert_int_eq(mr_supervisor_signal(control, member, SIGTERM), -ESRCH);
    ck_assert_int_eq(mr_supervisor_kill(control, -1), -ESRCH);
}
END_TEST

START_TEST(a_stopped_worker_can_be_killed)
{
    pid_t pid = attach_in_child(good(), true);
    int member = wait_for(MR_CONTROL_JOINED).member;

    ck_assert_int_eq(mr_supervisor_signal(control, member, SIGSTOP), 0);
    ck_assert_int_eq(mr_supervisor_kill(control, member), 0);
    wait_for(MR_CONTROL_DIED);
    waitpid(pid, NULL, 0);
}
END_TEST

static void expect_refusal(mr_worker_options options, const char *word, int code)
{
    pid_t pid = attach_in_child(options, false);
    mr_control_event refused = wait_for(MR_CONTROL_REFUSED);

    ck_assert_msg(strstr(refused.why, word), "%s", refused.why);
    expect_exit(pid, code);
}

START_TEST(what_does_not_fit_is_refused_with_the_reason)
{
    mr_worker_options options = good();

    options.stage = "decode";
    expect_refusal(options, "'decode'", EINVAL);
    options = good(), options.model_fingerprint = 8;
    expect_refusal(options, "another tokenizer", EINVAL);
    options = good(), options.vocabulary = 99;
    expect_refusal(options, "vocabulary", EINVAL);
}
END_TEST

static bool nobody(void *self, pid_t pid, uid_t uid, const mr_member_options *wants, char *why,
                   size_t size)
{
    (void)self, (void)pid, (void)uid, (void)wants;
    snprintf(why, size, "no strangers today");
    return false;
}

START_TEST(the_supervisor_may_refuse)
{
    mr_control_allow(control, nobody, NULL);
    expect_refusal(good(), "no strangers today", EPERM);
}
END_TEST

/* ---- what else may knock ---- */

static int knock(const void *words, size_t bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[MR_PATH_MAX];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    mr_segment_path(path, support_name(domain), "sock");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (bytes)
        ck_assert_int_eq(send(fd, words, bytes, 0), (ssize_t)bytes);
    return fd;
}

START_TEST(other_words_than_a_greeting_are_refused)
{
    mr_greeting greeting = {.magic = MR_GREETING_MAGIC, .abi = 99, .bytes = sizeof(greeting)};
    int fd = knock("hello", 5);

    ck_assert_ptr_nonnull(strstr(wait_for(MR_CONTROL_REFUSED).why, "greeting"));
    close(fd);
    fd = knock(&greeting, sizeof(greeting));
    ck_assert_ptr_nonnull(strstr(wait_for(MR_CONTROL_REFUSED).why, "ABI 99"));
    close(fd);
    memset(greeting.name, 'x', sizeof(greeting.name)); /* not terminated */
    fd = knock(&greeting, sizeof(greeting));
    ck_assert_ptr_nonnull(strstr(wait_for(MR_CONTROL_REFUSED).why, "greeting"));
    close(fd);
}
END_TEST

START_TEST(silent_callers_do_not_keep_others_out)
{
    int fds[40];
    pid_t pid;

    for (int i = 0; i < 40; i++) {
        mr_control_event event;

        fds[i] = knock(NULL, 0);
        mr_control_next(control, &event);
        ck_assert_int_eq(event.kind, MR_CONTROL_NONE);
    }
    pid = attach_in_child(good(), false);
    wait_for(MR_CONTROL_JOINED);
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    wait_for(MR_CONTROL_LEFT);
    expect_exit(pid, 0);
}
END_TEST

/* Its pid may be another process's by now. */
START_TEST(who_hung_up_gets_no_place)
{
    mr_greeting greeting = {.magic = MR_GREETING_MAGIC,
                            .abi = MR_ABI,
                            .bytes = sizeof(greeting),
                            .layout = domain->header->layout,
                            .role = MR_ROLE_WORKER,
                            .capacity = 1};
    mr_member_info info;

    close(knock(&greeting, sizeof(greeting)));
    ck_assert_ptr_nonnull(strstr(wait_for(MR_CONTROL_REFUSED).why, "has ended"));
    ck_assert_int_eq(mr_member_get_info(domain, 0, &info), -ENOENT);
}
END_TEST

/* The supervisor has no descriptor left: it stays awake for deaths and hears others later. */
START_TEST(without_descriptors_callers_are_turned_away)
{
    struct rlimit before, few;
    mr_control_event event;
    char byte;
    pid_t pid;
    int fd;

    fd = knock(NULL, 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before, few.rlim_cur = (rlim_t)fd + 1;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    mr_control_next(control, &event); /* returns */
    ck_assert_int_eq(event.kind, MR_CONTROL_NONE);
    ck_assert_int_eq((int)recv(fd, &byte, 1, 0), 0);
    setrlimit(RLIMIT_NOFILE, &before);
    close(fd);
    pid = attach_in_child(good(), false);
    wait_for(MR_CONTROL_JOINED);
    wait_for(MR_CONTROL_LEFT);
    expect_exit(pid, 0);
}
END_TEST

START_TEST(a_member_sees_that_its_supervisor_is_gone)
{
    int ready[2];
    char word = 0;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (!pid) {
        mr_worker_options options = good();
        mr_context *batch[2];
        mr_worker *worker;
        int rc;

        mr_control_close(control); /* the child's copies of the supervisor's ends */
        close(ready[0]);
        rc = mr_worker_attach(&worker, support_name(domain), &options);
        if (rc || write(ready[1], "r", 1) != 1)
            _exit(99);
        rc = mr_worker_batch(worker, batch, MR_WAIT);
        mr_worker_leave(worker);
        _exit(rc == -ESHUTDOWN ? 0 : 1);
    }
    wait_for(MR_CONTROL_JOINED);
    ck_assert_int_eq(read(ready[0], &word, 1), 1);
    mr_control_close(control); /* as if the supervisor had died */
    expect_exit(pid, 0);
    ck_assert_int_eq(mr_control_open(&control, domain), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *tests = tcase_create("control");

    tcase_set_timeout(tests, 20);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_worker_joins_and_leaves_in_order);
    tcase_add_test(tests, a_killed_worker_is_seen_to_die);
    tcase_add_test(tests, a_stopped_worker_can_be_killed);
    tcase_add_test(tests, what_does_not_fit_is_refused_with_the_reason);
    tcase_add_test(tests, the_supervisor_may_refuse);
    tcase_add_test(tests, other_words_than_a_greeting_are_refused);
    tcase_add_test(tests, silent_callers_do_not_keep_others_out);
    tcase_add_test(tests, who_hung_up_gets_no_place);
    tcase_add_test(tests, without_descriptors_callers_are_turned_away);
    tcase_add_test(tests, a_member_sees_that_its_supervisor_is_gone);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
