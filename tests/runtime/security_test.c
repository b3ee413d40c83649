/*
 * security_test.c - who may see and do what: modes of files, descriptors, arguments, stats, seccomp
 */
#include "tests/runtime/fixture.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nothing of a request may be found where others can look. */
#define SECRET_ID   "id-of-nobodys-business"
#define SECRET_TEXT "a text of nobodys business"

static const char *const members[] = {"mr-tokenizer", "mr-collector", "mr-worker-0"};
enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

static char *read_of(pid_t pid, const char *what, size_t *length)
{
    char path[64], *text = calloc(1, 1 << 16);
    int fd;
    ssize_t got;
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    got = read(fd, text, (1 << 16) - 1);
    ck_assert_int_ge(got, 0);
    if (length != NULL)
        *length = (size_t)got;
    close(fd);
    return text;
}

static pid_t process_of(const struct run *run, const char *name)
{
    pid_t pid = 0;
    for (int i = 0; i < 1000 && (pid = run_process(run, name)) == 0; i++)
        wait_ms(5);
    ck_assert_msg(pid > 0, "'%s' isn't there", name);
    return pid;
}

/* A run at work, kept from its end by a request that takes long; its input is a stream, or the
 * tokenizer would be gone. */
static int begin(struct run *run)
{
    const char *const arguments[] = {"--name", own_name("secret"), "-n", "1", "-o", "out", NULL};
    int in[2];
    setenv("ECHO_STEP_US", "5000", 1);
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    run_begin_fds(run, in[0], in[0], arguments);
    close(in[0]);
    dprintf(in[1], "%s", request("first", "one", 1));
    dprintf(in[1], "%s", request(SECRET_ID, SECRET_TEXT, 500));
    run_wait_for_lines("out", 1);
    return in[1];
}

static void end(struct run *run, int in)
{
    close(in);
    run_end(run);
    ck_assert_msg(run->status == 0, "status %d: %s", run->status, run->err);
    run_free(run);
}

static unsigned mode_of(const char *what)
{
    struct stat status;
    ck_assert_int_eq(stat(own_file("secret", what), &status), 0);
    return status.st_mode & 07777;
}

START_TEST(contexts_and_socket_are_their_users_alone_whatever_the_umask)
{
    struct run run;
    int in;
    umask(0);
    in = begin(&run);
    ck_assert_uint_eq(mode_of("data"), 0600);
    ck_assert_uint_eq(mode_of("sock"), 0600);
    ck_assert_uint_eq(mode_of("stats"), 0644);
    end(&run, in);
}
END_TEST

static void check_without(const char *bytes, size_t length, const char *where)
{
    ck_assert_msg(memmem(bytes, length, SECRET_ID, strlen(SECRET_ID)) == NULL, "the id is in %s",
                  where);
    ck_assert_msg(memmem(bytes, length, SECRET_TEXT, strlen(SECRET_TEXT)) == NULL,
                  "the text is in %s", where);
}

START_TEST(nothing_of_a_request_is_in_the_stats_or_the_arguments)
{
    struct run run;
    int in = begin(&run);
    size_t length;
    char *bytes;
    for (int i = 0; i < MEMBERS; i++) {
        bytes = read_of(process_of(&run, members[i]), "cmdline", &length);
        check_without(bytes, length, members[i]);
        free(bytes);
    }
    bytes = file_read(own_file("secret", "stats"), &length);
    ck_assert_uint_gt(length, 4096);
    check_without(bytes, length, "the stats");
    free(bytes);
    end(&run, in);
}
END_TEST

/* Of these kinds the supervisor has some, and a member has no use for any. */
static void check_descriptors(pid_t pid, const char *name)
{
    static const char *const kinds[] = {"signalfd", "timerfd", "pidfd", "eventpoll"};
    char path[64], target[256];
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) {
        ssize_t length;
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
        length = readlink(path, target, sizeof(target) - 1);
        if (length < 0)
            continue;
        target[length] = '\0';
        for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
            ck_assert_msg(strstr(target, kinds[i]) == NULL, "%s has %s", name, target);
        count++;
    }
    ck_assert_uint_gt(count, 3);
    ck_assert_uint_lt(count, 32);
}

START_TEST(members_gain_no_privileges_and_inherit_no_descriptors)
{
    struct run run;
    int in = begin(&run);
    for (int i = 0; i < MEMBERS; i++) {
        pid_t pid = process_of(&run, members[i]);
        char *status = read_of(pid, "status", NULL);
        ck_assert_msg(strstr(status, "NoNewPrivs:\t1\n") != NULL, "%s: %s", members[i], status);
        check_descriptors(pid, members[i]);
        free(status);
    }
    end(&run, in);
}
END_TEST

static bool is_confined(const struct run *run, const char *name)
{
    char *status = read_of(process_of(run, name), "status", NULL);
    bool is = strstr(status, "Seccomp:\t2\n") != NULL;
    free(status);
    return is;
}

START_TEST(tokenizer_and_collector_run_under_a_seccomp_filter)
{
    struct run run;
    int in;
    const char *way = getenv("MILLRACE_SECCOMP");
    if (way != NULL && strcmp(way, "off") == 0)
        return; /* switched off for all of these tests */
    in = begin(&run);
    ck_assert(is_confined(&run, "mr-tokenizer"));
    ck_assert(is_confined(&run, "mr-collector"));
    end(&run, in);
}
END_TEST

START_TEST(without_a_filter_all_goes_on)
{
    struct run run;
    write_requests("in", 5, 3);
    ck_assert_int_eq(run_whole(&run, NULL, "--no-seccomp", "-o", "out", "in"), 0);
    ck_assert_uint_eq(count_lines("out"), 5);
    run_free(&run);
}
END_TEST

static Suite *security_suite(void)
{
    Suite *suite = suite_create("security");
    TCase *who = tcase_create("who");
    tcase_set_timeout(who, 60);
    tcase_add_checked_fixture(who, fixture_open, fixture_close);
    tcase_add_test(who, contexts_and_socket_are_their_users_alone_whatever_the_umask);
    tcase_add_test(who, nothing_of_a_request_is_in_the_stats_or_the_arguments);
    tcase_add_test(who, members_gain_no_privileges_and_inherit_no_descriptors);
    tcase_add_test(who, tokenizer_and_collector_run_under_a_seccomp_filter);
    tcase_add_test(who, without_a_filter_all_goes_on);
    suite_add_tcase(suite, who);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(security_suite());
    int failed;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
