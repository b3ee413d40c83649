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
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

/* ---- orders ---- */

static mr_order good_order(void)
{
    return (mr_order){.magic = MR_ORDER_MAGIC,
                      .bytes = sizeof(mr_order),
                      .command = {.verb = MR_VERB_SCALE, .number = 3, .word = "three"}};
}

static mr_answer answer_at(int fd)
{
    mr_answer answer = {0};

    ck_assert_int_eq(recv(fd, &answer, sizeof(answer), 0), (ssize_t)sizeof(answer));
    return answer;
}

START_TEST(an_order_is_heard_and_answered)
{
    pid_t pid = fork();
    mr_control_event event;

    if (!pid) {
        const mr_command command = {.verb = MR_VERB_CANCEL, .number = 9, .word = "that one"};
        char text[64];
        int rc = mr_control_ask(support_name(domain), &command, text, sizeof(text));

        _exit(rc == -ENOENT && !strcmp(text, "no such request") ? 0 : 1);
    }
    event = wait_for(MR_CONTROL_COMMAND);
    ck_assert_uint_eq(event.command.verb, MR_VERB_CANCEL);
    ck_assert_uint_eq(event.command.number, 9);
    ck_assert_str_eq(event.command.word, "that one");
    mr_control_answer(control, event.caller, -ENOENT, "no such request");
    expect_exit(pid, 0);
}
END_TEST

START_TEST(an_order_to_no_domain_is_an_error)
{
    const mr_command command = {.verb = MR_VERB_SCALE};
    char text[100];

    ck_assert_int_eq(mr_control_ask("no-such-domain", &command, text, sizeof(text)), -ENOENT);
    ck_assert_ptr_nonnull(strstr(text, "'no-such-domain'"));
}
END_TEST

START_TEST(an_order_that_is_none_is_refused)
{
    mr_order order = good_order();
    mr_control_event event;
    int fd;

    memset(order.command.word, 'x', sizeof(order.command.word));
    fd = knock(&order, sizeof(order));
    mr_control_next(control, &event);
    ck_assert_int_eq(event.kind, MR_CONTROL_NONE);
    ck_assert_int_eq(answer_at(fd).place, -EPROTO);
    close(fd);
    order = good_order();
    fd = knock(&order, sizeof(order) - 8);
    mr_control_next(control, &event);
    ck_assert_int_eq(event.kind, MR_CONTROL_NONE);
    ck_assert_int_eq(answer_at(fd).place, -EPROTO);
    close(fd);
}
END_TEST

START_TEST(who_gives_a_second_order_is_hung_up_on)
{
    mr_order order = good_order();
    int fd = knock(&order, sizeof(order));
    mr_control_event event = wait_for(MR_CONTROL_COMMAND), none;
    char byte;

    ck_assert_int_eq(send(fd, &order, sizeof(order), 0), (ssize_t)sizeof(order));
    mr_control_next(control, &none);
    ck_assert_int_eq(none.kind, MR_CONTROL_NONE);
    ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
    mr_control_answer(control, event.caller, 0, "too late"); /* for nobody */
    close(fd);
}
END_TEST

START_TEST(an_answer_may_come_late_and_for_nobody)
{
    mr_order order = good_order();
    int first = knock(&order, sizeof(order)), second;
    mr_control_event one = wait_for(MR_CONTROL_COMMAND), two;

    second = knock(&order, sizeof(order));
    two = wait_for(MR_CONTROL_COMMAND);
    close(first);
    ck_assert(one.caller != two.caller);
    mr_control_answer(control, one.caller, 0, "for nobody");
    mr_control_answer(control, two.caller, 0, "done");
    ck_assert_str_eq(answer_at(second).why, "done");
    close(second);
}
END_TEST

/* ---- a member that can't be watched ---- */

static int watches_left = -1; /* after so many epoll_ctl() fails; -1: never */

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    if (what == EPOLL_CTL_ADD && watches_left >= 0 && watches_left-- == 0) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

START_TEST(who_cannot_be_watched_gets_no_place)
{
    for (int watches = 1; watches <= 2; watches++) { /* the greeter is watched, then these fail */
        mr_member_info info;

        watches_left = watches;
        expect_refusal(good(), "can't be watched", ENOSPC);
        ck_assert_int_eq(mr_member_get_info(domain, 0, &info), -ENOENT);
    }
    watches_left = -1;
    pid_t pid = attach_in_child(good(), false);
    wait_for(MR_CONTROL_JOINED);
    wait_for(MR_CONTROL_LEFT);
    expect_exit(pid, 0);
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
    tcase_add_test(tests, an_order_is_heard_and_answered);
    tcase_add_test(tests, an_order_to_no_domain_is_an_error);
    tcase_add_test(tests, an_order_that_is_none_is_refused);
    tcase_add_test(tests, who_gives_a_second_order_is_hung_up_on);
    tcase_add_test(tests, an_answer_may_come_late_and_for_nobody);
    tcase_add_test(tests, who_cannot_be_watched_gets_no_place);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
