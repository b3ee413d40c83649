/*
 * faults_test.c - system calls that fail, in each member of a run, at each place
 *
 * A row of the table is a call, a member that makes it and a way to run. For each error the first
 * such call fails, then the second, the third ... as long as there is one (faulty_calls.c): alone,
 * and with all that follow. However it is, the run ends in time; with status 0 it has given the
 * right answers, with another it has said why, and each answer that it gave is right and there
 * once. What passes by itself (an interruption, a call that moves less than it was asked to) must
 * not be noticed at all. fixture_close() looks for what was left behind.
 *
 * A disk that is full for a while is no fault at all: what can't be written waits.
 *
 * All of it takes half an hour: with MILLRACE_FAULTS=all in the environment (./dev faults). Else
 * each row is tried with the first call and one of its errors.
 */
#include "tests/runtime/fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 12, ERRORS_MAX = 5, SHORT = -1, END_S = 90, LEAVE_S = 10, PLACES_MAX = 200 };

enum way { FILES, PLAIN, STREAMS };

#define PASSING EINTR, EAGAIN
#define MOVING  EINTR, EAGAIN, SHORT

static const struct row {
    const char *member, *call;
    enum way way;
    int errors[ERRORS_MAX]; /* 0 ends them */
} rows[] = {
    {"millrace", "open", FILES, {ENOMEM, EMFILE}},
    {"millrace", "open", STREAMS, {EMFILE}},
    {"millrace", "fchmod", FILES, {ENOMEM}},
    {"millrace", "posix_fallocate", FILES, {ENOSPC, ENOMEM}},
    {"millrace", "mmap", FILES, {ENOMEM}},
    {"millrace", "linkat", FILES, {ENOSPC, ENOMEM}},
    {"millrace", "eventfd", FILES, {EMFILE}},
    {"millrace", "epoll_create1", FILES, {EMFILE}},
    {"millrace", "epoll_ctl", FILES, {ENOMEM, ENOSPC}},
    {"millrace", "epoll_wait", FILES, {EINTR}},
    {"millrace", "signalfd", FILES, {EMFILE}},
    {"millrace", "timerfd_create", FILES, {EMFILE}},
    {"millrace", "memfd_create", STREAMS, {EMFILE, ENOMEM}},
    {"millrace", "pipe2", STREAMS, {EMFILE}},
    {"millrace", "socket", FILES, {EMFILE, ENOBUFS}},
    {"millrace", "bind", FILES, {ENOSPC}},
    {"millrace", "listen", FILES, {ENOMEM}},
    {"millrace", "accept4", FILES, {PASSING, EMFILE, ENOMEM}},
    {"millrace", "recv", FILES, {PASSING, ENOMEM}},
    {"millrace", "sendmsg", FILES, {PASSING, ENOMEM}},
    {"millrace", "fork", FILES, {EAGAIN, ENOMEM}},
    {"millrace", "dup2", FILES, {EBUSY}},
    {"millrace", "read", FILES, {PASSING}},
    {"millrace", "poll", FILES, {EINTR, ENOMEM}},
    {"mr-tokenizer", "open", FILES, {EMFILE, ENOMEM}},
    {"mr-tokenizer", "mmap", FILES, {ENOMEM}},
    {"mr-tokenizer", "socket", FILES, {EMFILE}},
    {"mr-tokenizer", "connect", FILES, {EINTR, EAGAIN}},
    {"mr-tokenizer", "send", FILES, {PASSING, ENOBUFS}},
    {"mr-tokenizer", "recvmsg", FILES, {PASSING, ENOMEM}},
    {"mr-tokenizer", "recv", FILES, {PASSING, ENOMEM}},
    {"mr-tokenizer", "io_uring_queue_init", FILES, {ENOMEM, EPERM}},
    {"mr-tokenizer", "io_uring_submit", FILES, {PASSING, ENOMEM}},
    {"mr-tokenizer", "completion", FILES, {MOVING, EIO}},
    {"mr-tokenizer", "pread", PLAIN, {MOVING, EIO}},
    {"mr-tokenizer", "pread", STREAMS, {MOVING, EIO}},
    {"mr-tokenizer", "splice", STREAMS, {MOVING, ENOMEM, ENOSPC}},
    {"mr-tokenizer", "poll", STREAMS, {EINTR, ENOMEM}},
    {"mr-tokenizer", "sem_clockwait", FILES, {EINTR, ETIMEDOUT}},
    {"mr-collector", "open", FILES, {EMFILE, ENOMEM}},
    {"mr-collector", "mmap", FILES, {ENOMEM}},
    {"mr-collector", "connect", FILES, {EINTR, EAGAIN}},
    {"mr-collector", "send", FILES, {PASSING, ENOBUFS}},
    {"mr-collector", "recvmsg", FILES, {PASSING, ENOMEM}},
    {"mr-collector", "ftruncate", FILES, {EINTR, EIO}},
    {"mr-collector", "ftruncate", STREAMS, {EINTR, EIO}},
    {"mr-collector", "io_uring_queue_init", FILES, {ENOMEM, EPERM}},
    {"mr-collector", "io_uring_submit", FILES, {PASSING, ENOMEM}},
    {"mr-collector", "completion", FILES, {MOVING, EIO, ENOSPC}},
    {"mr-collector", "pwrite", PLAIN, {MOVING, EIO, ENOSPC}},
    {"mr-collector", "pwrite", STREAMS, {MOVING, EIO, ENOSPC}},
    {"mr-collector", "sendfile", STREAMS, {MOVING, EIO, ENOMEM}},
    {"mr-collector", "poll", STREAMS, {EINTR}},
    {"mr-collector", "sem_clockwait", FILES, {EINTR, ETIMEDOUT}},
    {"mr-worker-0", "open", FILES, {EMFILE, ENOMEM}},
    {"mr-worker-0", "mmap", FILES, {ENOMEM}},
    {"mr-worker-0", "socket", FILES, {EMFILE}},
    {"mr-worker-0", "connect", FILES, {EINTR, EAGAIN}},
    {"mr-worker-0", "send", FILES, {PASSING, ENOBUFS}},
    {"mr-worker-0", "recvmsg", FILES, {PASSING, ENOMEM}},
    {"mr-worker-0", "recv", FILES, {PASSING, ENOMEM}},
    {"mr-worker-0", "sem_clockwait", FILES, {EINTR, ETIMEDOUT}},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* One run: which calls fail. */
struct fault {
    const struct row *row;
    int error;
    unsigned at;
    unsigned times; /* 0: all from there on */
};

/* ---- one run ---- */

static void plant(const struct fault *fault)
{
    char path[600], number[16];
    preload("faulty_calls.so");
    setenv("FAULT_NAME", fault->row->member, 1);
    setenv("FAULT_CALL", fault->row->call, 1);
    snprintf(number, sizeof(number), "%d", fault->error);
    setenv("FAULT_ERROR", number, 1);
    snprintf(number, sizeof(number), "%u", fault->at);
    setenv("FAULT_AT", number, 1);
    snprintf(number, sizeof(number), "%u", fault->times);
    setenv("FAULT_TIMES", number, 1);
    ck_assert_ptr_nonnull(getcwd(path, sizeof(path) - 8));
    strcat(path, "/struck");
    setenv("FAULT_STRUCK", path, 1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool ends_within(const struct run *run, double seconds)
{
    siginfo_t info = {0};
    double deadline = now() + seconds;
    while (waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0 && now() < deadline)
        wait_ms(2);
    return info.si_pid == run->pid;
}

/* An output that can't be written is tried again for ever, and said so: that is not to hang. */
static void interrupt_if_it_waits(const struct run *run)
{
    char *err = file_read("stderr", NULL);
    if (strstr(err, "trying again each second") != NULL) {
        run_signal(run, SIGINT);
        wait_ms(500); /* or the two would be one */
        run_signal(run, SIGINT);
    }
    free(err);
}

/* Twelve requests fit into a socket, their answers into a pipe. */
static void begin_with_streams(struct run *run, const char *after, int *answers)
{
    const char *const arguments[] = {"-n", "1", "--slots", "4", "--stuck-after", after, NULL};
    int in[2], out[2];
    size_t length;
    char *requests = file_read("in", &length);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    fcntl(out[1], F_SETPIPE_SZ, 1 << 20); /* each piece, however short, takes a page of it */
    ck_assert_int_eq(write(in[1], requests, length), (ssize_t)length);
    close(in[1]);
    run_begin_fds(run, in[0], out[1], arguments);
    close(in[0]);
    close(out[1]);
    *answers = out[0];
    free(requests);
}

static void keep_answers(int answers)
{
    char *text = calloc(1, 1 << 16);
    ssize_t got = read(answers, text, 1 << 16);
    file_add_bytes("out", text, got > 0 ? (size_t)got : 0);
    close(answers);
    free(text);
}

static void run_with(struct run *run, const struct fault *fault)
{
    enum way way = fault != NULL ? fault->row->way : FILES;
    const char *after = getenv("FAULT_WHILE") != NULL ? "1" : "60";
    int answers = -1;
    write_requests("in", REQUESTS, 6);
    if (fault != NULL)
        plant(fault);
    if (way == STREAMS) {
        setenv("MILLRACE_IO", "plain", 1); /* faults in a ring are the business of FILES */
        begin_with_streams(run, after, &answers);
    } else if (way == PLAIN) {
        run_begin(run, NULL, "--no-io-uring", "-n", "1", "--slots", "4", "--stuck-after", after,
                  "-o", "out", "in");
    } else {
        run_begin(run, NULL, "-n", "1", "--slots", "4", "--stuck-after", after, "-o", "out", "in");
    }
    unsetenv("LD_PRELOAD");
    unsetenv("MILLRACE_IO");
    if (!ends_within(run, fault != NULL && fault->times == 0 ? LEAVE_S : END_S)) {
        interrupt_if_it_waits(run);
        if (!ends_within(run, END_S))
            run_signal(run, SIGKILL);
    }
    run_end(run);
    if (answers >= 0)
        keep_answers(answers);
}

/* ---- what must hold ---- */

static char *expected; /* the answers of an undisturbed run, sorted */

static void expect(void)
{
    struct run run;
    fixture_open();
    run_with(&run, NULL);
    ck_assert_int_eq(run.status, 0);
    expected = file_sorted("out", NULL);
    run_free(&run);
    fixture_close();
}

/* Each answer is one of the expected, and there once. */
static void check_answers(const char *of, const char *err)
{
    char *sorted = file_sorted("out", NULL), *last = NULL;
    for (char *line = strtok(sorted, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert_msg(last == NULL || strcmp(last, line) != 0, "%s: answered twice: %s", of, line);
        ck_assert_msg(strstr(expected, line) != NULL, "%s: not the answer: %s\n%s", of, line, err);
        last = line;
    }
    free(sorted);
}

static bool passes(int error)
{
    return error == EINTR || error == EAGAIN || error == SHORT || error == ETIMEDOUT;
}

static void check_run(const struct fault *fault, const struct run *run)
{
    char of[160], *sorted;
    snprintf(of, sizeof(of), "%s of %s fails with %d (%s) from call %u on, %s, way %d",
             fault->row->call, fault->row->member, fault->error,
             fault->error > 0 ? strerror(fault->error) : "moves less", fault->at,
             fault->times ? "once" : "always", fault->row->way);
    ck_assert_msg(run->status < 128 || run->status == 130, "%s: status %d: %s", of, run->status,
                  run->err);
    check_answers(of, run->err);
    if (run->status == 0) {
        sorted = file_sorted("out", NULL);
        ck_assert_msg(strcmp(sorted, expected) == 0, "%s: answers are missing: %s", of, run->err);
        free(sorted);
        return;
    }
    ck_assert_msg(strstr(run->err, ": ") != NULL, "%s: status %d, and nothing was said", of,
                  run->status);
    ck_assert_msg(fault->times == 0 || !passes(fault->error), "%s: status %d: %s", of, run->status,
                  run->err);
}

/* Returns whether there was such a call. */
static bool try_fault(const struct fault *fault)
{
    struct run run;
    bool struck;
    fixture_open();
    run_with(&run, fault);
    check_run(fault, &run);
    struck = access("struck", F_OK) == 0;
    run_free(&run);
    fixture_close();
    return struck;
}

/* ---- which are tried ---- */

static bool is_exhaustive(void)
{
    const char *which = getenv("MILLRACE_FAULTS");
    return which != NULL && strcmp(which, "all") == 0;
}

/* The first ten calls, then ever fewer. */
static unsigned next_place(unsigned at)
{
    return at < 10 ? at + 1 : at + at / 2;
}

static unsigned try_error(const struct row *row, int error)
{
    struct fault fault = {.row = row, .error = error, .times = 1};
    unsigned tried = 0;
    for (fault.at = 1; fault.at < PLACES_MAX && try_fault(&fault); fault.at = next_place(fault.at))
        tried++;
    /* an interruption that never ends is no interruption */
    fault.times = 0;
    for (fault.at = 1; error != EINTR && error != EAGAIN && fault.at <= 3 && tried >= fault.at;
         fault.at++)
        try_fault(&fault);
    return tried;
}

START_TEST(a_call_that_fails_costs_no_answer_and_is_told)
{
    const struct row *row = &rows[_i];
    unsigned tried = 0, errors = 0;
    while (errors < ERRORS_MAX && row->errors[errors] != 0)
        errors++;
    if (!is_exhaustive()) {
        const struct fault fault = {row, row->errors[(unsigned)_i % errors], 1, 1};
        /* whether one has to wait for another depends on the machine */
        ck_assert_msg(try_fault(&fault) || strcmp(row->call, "sem_clockwait") == 0,
                      "%s never calls %s", row->member, row->call);
        return;
    }
    for (unsigned i = 0; i < errors; i++)
        tried += try_error(row, row->errors[i]);
    printf("%s %s: %u\n", row->member, row->call, tried);
    fflush(stdout);
}
END_TEST

/* ---- a disk that is full for a while ---- */

enum { FULL_MS = 4500 };

/* Every write that a run makes once it has begun. */
static const struct row writes[] = {
    {"mr-collector", "completion", FILES, {0}}, {"mr-collector", "pwrite", PLAIN, {0}},
    {"mr-collector", "pwrite", STREAMS, {0}},   {"mr-collector", "sendfile", STREAMS, {0}},
    {"mr-tokenizer", "splice", STREAMS, {0}},
};

enum { WRITES = sizeof(writes) / sizeof(writes[0]) };

static pid_t make_room_later(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        wait_ms(FULL_MS);
        _exit(unlink("full") != 0);
    }
    return pid;
}

/* Who waits for room isn't taken for one that is stuck, however soon that is thought of others. */
START_TEST(a_disk_that_is_full_for_a_while_costs_nothing_but_the_while)
{
    const struct fault fault = {&writes[_i], ENOSPC, 1, 0};
    struct run run;
    int status;
    pid_t room;
    char path[600], *sorted;
    fixture_open();
    ck_assert_ptr_nonnull(getcwd(path, sizeof(path) - 8));
    strcat(path, "/full");
    file_add("full", "x");
    setenv("FAULT_WHILE", path, 1);
    room = make_room_later();
    run_with(&run, &fault);
    unsetenv("FAULT_WHILE");
    ck_assert_int_eq(waitpid(room, &status, 0), room);
    ck_assert_msg(access("struck", F_OK) == 0, "nothing failed");
    ck_assert_msg(run.status == 0, "status %d: %s", run.status, run.err);
    ck_assert_ptr_nonnull(strstr(run.err, "No space left on device; trying again each second"));
    ck_assert_msg(strstr(run.err, "0 restarts") != NULL, "somebody died: %s", run.err);
    sorted = file_sorted("out", NULL);
    ck_assert_str_eq(sorted, expected);
    free(sorted);
    run_free(&run);
    fixture_close();
}
END_TEST

static Suite *faults_suite(void)
{
    Suite *suite = suite_create("faults");
    TCase *calls = tcase_create("calls");
    tcase_set_timeout(calls, is_exhaustive() ? 3600 : 120);
    tcase_add_unchecked_fixture(calls, expect, NULL);
    tcase_add_loop_test(calls, a_call_that_fails_costs_no_answer_and_is_told, 0, ROWS);
    tcase_add_loop_test(calls, a_disk_that_is_full_for_a_while_costs_nothing_but_the_while, 0,
                        WRITES);
    suite_add_tcase(suite, calls);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(faults_suite());
    int failed;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
