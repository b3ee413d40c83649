/*
 * confine_test.c - what a confined process is refused, and what it keeps
 *
 * Each test looks from inside of a child that leaves by _exit(2): a leak sanitizer, at an orderly
 * end, would want to trace it.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <millrace/confine.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AS_EXPECTED = 0, NO_FILTER = 77 };

/* The number of what went otherwise than expected, 1 and on. */
static int in_child(int (*body)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        unsetenv("MILLRACE_SECCOMP");
        _exit(body());
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool refused(long result)
{
    return result < 0 && errno == EPERM;
}

static int try_what_is_denied(void)
{
    char *const arguments[] = {"true", NULL};

    if (mr_confine())
        return NO_FILTER;
    if (!refused(execv("/bin/true", arguments)))
        return 1;
    if (!refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
        return 2;
    if (!refused(socket(AF_INET, SOCK_STREAM, 0)) || !refused(socket(AF_NETLINK, SOCK_RAW, 0)))
        return 3;
    if (!refused(unshare(CLONE_NEWUSER)) || !refused(mount("none", "/", "tmpfs", 0, NULL)))
        return 4;
    return AS_EXPECTED;
}

static int try_what_is_kept(void)
{
    if (mr_confine())
        return NO_FILTER;
    if (socket(AF_UNIX, SOCK_SEQPACKET, 0) < 0 || open("/dev/null", O_RDONLY) < 0)
        return 1;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 2;
    return mr_confine() ? 3 : AS_EXPECTED; /* once more is no error */
}

/* As in a container whose own filter knows no other. */
static int try_where_seccomp_is_refused(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = 4, .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return NO_FILTER;
    if (mr_confine() != -ENOSYS)
        return 1;
    return socket(AF_INET, SOCK_STREAM, 0) < 0 ? 2 : AS_EXPECTED;
}

static int try_switched_off(void)
{
    setenv("MILLRACE_SECCOMP", "off", 1);
    if (mr_confine() != -ECANCELED)
        return 1;
    return socket(AF_INET, SOCK_STREAM, 0) < 0 ? 2 : AS_EXPECTED;
}

/* Where the tests themselves may have no filter there is nothing to see. */
static void check_in_child(int (*body)(void))
{
    int result = in_child(body);

    if (result == NO_FILTER)
        fputs("skipped: no seccomp filter can be had here\n", stderr);
    else
        ck_assert_int_eq(result, AS_EXPECTED);
}

START_TEST(what_a_member_never_needs_is_refused)
{
    check_in_child(try_what_is_denied);
}
END_TEST

START_TEST(what_a_member_needs_is_kept)
{
    check_in_child(try_what_is_kept);
}
END_TEST

START_TEST(where_seccomp_is_refused_the_process_goes_on_as_before)
{
    check_in_child(try_where_seccomp_is_refused);
}
END_TEST

START_TEST(it_can_be_switched_off)
{
    check_in_child(try_switched_off);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("confine");
    TCase *tests = tcase_create("confine");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, what_a_member_never_needs_is_refused);
    tcase_add_test(tests, what_a_member_needs_is_kept);
    tcase_add_test(tests, where_seccomp_is_refused_the_process_goes_on_as_before);
    tcase_add_test(tests, it_can_be_switched_off);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
