/*
 * confine_test.c - what a confined process is refused, and what it keeps
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <millrace/confine.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where the tests themselves may not have a filter there is nothing to see. */
static bool confined(void)
{
    unsetenv("MILLRACE_SECCOMP");
    return mr_confine() == 0;
}

static int error_of(long result)
{
    return result < 0 ? errno : 0;
}

START_TEST(what_a_member_never_needs_is_refused)
{
    char *const arguments[] = {"true", NULL};

    if (!confined())
        return;
    ck_assert_int_eq(error_of(execv("/bin/true", arguments)), EPERM);
    ck_assert_int_eq(error_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL)), EPERM);
    ck_assert_int_eq(error_of(socket(AF_INET, SOCK_STREAM, 0)), EPERM);
    ck_assert_int_eq(error_of(socket(AF_NETLINK, SOCK_RAW, 0)), EPERM);
    ck_assert_int_eq(error_of(unshare(CLONE_NEWUSER)), EPERM);
    ck_assert_int_eq(error_of(mount("none", "/", "tmpfs", 0, NULL)), EPERM);
}
END_TEST

START_TEST(what_a_member_needs_is_kept)
{
    if (!confined())
        return;
    ck_assert_int_ge(socket(AF_UNIX, SOCK_SEQPACKET, 0), 0);
    ck_assert_int_ge(open("/dev/null", O_RDONLY), 0);
    ck_assert_ptr_nonnull(malloc(1 << 24));
    ck_assert_int_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    ck_assert_int_eq(mr_confine(), 0); /* again */
}
END_TEST

START_TEST(it_can_be_switched_off)
{
    setenv("MILLRACE_SECCOMP", "off", 1);
    ck_assert_int_eq(mr_confine(), -ECANCELED);
    ck_assert_int_ge(socket(AF_INET, SOCK_STREAM, 0), 0);
}
END_TEST

/* As in a container that has a filter of its own. */
START_TEST(where_seccomp_is_refused_the_process_goes_on_as_before)
{
    if (!confined())
        ck_assert_int_eq(mr_confine(), -ENOSYS);
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
    tcase_add_test(tests, it_can_be_switched_off);
    tcase_add_test(tests, where_seccomp_is_refused_the_process_goes_on_as_before);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
