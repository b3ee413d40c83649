/*
 * kill_test.c - the collector is killed: at random, at each system call, between instructions
 *
 * The output must be that of an undisturbed run, byte for byte: no record twice, none lost, no
 * piece of a text twice or missing, in a file (cut) and in a pipe (spool and sendfile).
 *
 * The parent is the supervisor. Tokenizer and workers are threads of it, but where workers die too.
 * MILLRACE_KILL_SEED repeats a run; MILLRACE_KILL_STEP=1 tries every system call and not a sample.
 */
#include "runtime/collector/collector.h"
#include "tests/collector/mill.h"
#include "tests/collector/words.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Members as processes; those above COLLECTOR only where `with_workers`. */
enum { COLLECTOR, FIRST_WORKER, PROCESSES = FIRST_WORKER + 2 };

struct mill {
    const struct mill_plan *plan;
    bool with_workers; /* workers are processes, too */
    mr_domain *domain;
    mr_control *control;
    char name[32];

    int target;
    int spool;  /* -1: the target is a file */
    int source; /* the other end of a pipe */
    char *bytes;
    size_t length;
    pthread_t reader;

    mr_member *member;
    mr_worker *worker;
    pthread_t tokenizer;
    pthread_t worker_thread;
    pid_t pids[PROCESSES];
    bool joined[PROCESSES];
    bool killed[PROCESSES]; /* and not yet swept */
};

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % n;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void seed(void)
{
    random_state = setting("MILLRACE_KILL_SEED", (uint64_t)time(NULL));
    fprintf(stderr, "seed %llu\n", (unsigned long long)random_state);
}

/* ---- the processes ---- */

static int be_collector(const struct mill *mill, bool traced)
{
    const mr_member_options member = {
        .size = sizeof(member), .role = MR_ROLE_COLLECTOR, .name = "collector"};
    struct collector_options options = {NULL, words, mill->target, mill->spool};
    int error = mr_member_attach(&options.member, mill->name, &member);
    if (error < 0)
        return error;
    if (traced) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
    }
    error = collector_run(&options);
    mr_member_leave(options.member);
    return error;
}

static int be_worker(const struct mill *mill)
{
    const mr_worker_options options = {
        .size = sizeof(options), .capacity = 4, .fingerprint = "hash"};
    mr_worker *worker;
    int error = mr_worker_attach(&worker, mill->name, &options);
    if (error < 0)
        return error;
    error = mill_worker(worker);
    mr_worker_leave(worker);
    return error;
}

static void start(struct mill *mill, int which, bool traced)
{
    pid_t pid = fork();
    if (pid == 0) { /* no assertion here: a thread of the parent may have held Check's lock */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (mill->source >= 0)
            close(mill->source);
        _exit((which == COLLECTOR ? be_collector(mill, traced) : be_worker(mill)) < 0);
    }
    ck_assert_int_gt(pid, 0);
    mill->pids[which] = pid;
    mill->joined[which] = false;
    mill->killed[which] = false;
}

static int which_of(const struct mill *mill, pid_t pid)
{
    for (int i = 0; i < PROCESSES; i++)
        if (pid > 0 && mill->pids[i] == pid)
            return i;
    return -1;
}

/* serve - see to those that come and go; a dead member is swept, and followed by another one */
static void serve(struct mill *mill, bool restart)
{
    mr_control_event event;
    while (mr_control_next(mill->control, &event) == 0 && event.kind != MR_CONTROL_NONE) {
        int which = which_of(mill, event.pid);
        ck_assert_msg(event.kind != MR_CONTROL_REFUSED, "%s", event.why);
        if (event.kind == MR_CONTROL_JOINED && which >= 0)
            mill->joined[which] = true;
        if (event.kind != MR_CONTROL_DIED && event.kind != MR_CONTROL_LEFT)
            continue;
        ck_assert_int_ge(mr_supervisor_sweep(mill->domain, event.member, NULL), 0);
        waitpid(event.pid, NULL, 0);
        if (which >= 0 && restart)
            start(mill, which, false);
    }
    for (int i = 0; i < PROCESSES && restart; i++)
        if (mill->pids[i] > 0 && !mill->joined[i] && waitpid(mill->pids[i], NULL, WNOHANG) > 0)
            start(mill, i, false); /* it died before it joined */
}

/* ---- the threads ---- */

static void *tokenizer_thread(void *self)
{
    struct mill *mill = self;
    ck_assert_int_eq(mill_tokenizer(mill->member, mill->plan), 0);
    return NULL;
}

static void *worker_thread(void *self)
{
    struct mill *mill = self;
    ck_assert_int_eq(mill_worker(mill->worker), 0);
    return NULL;
}

static void *reader_thread(void *self)
{
    struct mill *mill = self;
    ssize_t got;
    do {
        mill->bytes = realloc(mill->bytes, mill->length + 65536);
        got = read(mill->source, mill->bytes + mill->length, 65536);
        mill->length += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    return NULL;
}

static void start_threads(struct mill *mill)
{
    const mr_member_options member = {
        .size = sizeof(member), .role = MR_ROLE_TOKENIZER, .name = "tokenizer"};
    const mr_worker_options worker = {.size = sizeof(worker), .capacity = 4, .fingerprint = "hash"};
    ck_assert_int_eq(mr_member_join(&mill->member, mill->domain, &member), 0);
    ck_assert_int_eq(pthread_create(&mill->tokenizer, NULL, tokenizer_thread, mill), 0);
    if (mill->with_workers)
        return;
    ck_assert_int_eq(mr_worker_join(&mill->worker, mill->domain, &worker), 0);
    ck_assert_int_eq(pthread_create(&mill->worker_thread, NULL, worker_thread, mill), 0);
}

static void stop_threads(struct mill *mill)
{
    pthread_join(mill->tokenizer, NULL);
    mr_member_leave(mill->member);
    if (mill->with_workers)
        return;
    pthread_join(mill->worker_thread, NULL);
    mr_worker_leave(mill->worker);
}

/* ---- a mill's life ---- */

static int make_file(void)
{
    char path[] = "/tmp/millrace-test-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    return fd;
}

static void open_pipe(struct mill *mill)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    mill->source = ends[0];
    mill->target = ends[1];
    mill->spool = make_file();
}

static void open_output(struct mill *mill, bool through_pipe)
{
    mill->source = -1;
    mill->spool = -1;
    if (!through_pipe) {
        mill->target = make_file();
        return;
    }
    open_pipe(mill);
    ck_assert_int_eq(pthread_create(&mill->reader, NULL, reader_thread, mill), 0);
}

static void mill_open(struct mill *mill, const struct mill_plan *plan, bool through_pipe,
                      bool with_workers)
{
    static unsigned number;
    mr_domain_options options = mill_domain(plan);
    *mill = (struct mill){.plan = plan, .with_workers = with_workers};
    signal(SIGPIPE, SIG_IGN);
    snprintf(mill->name, sizeof(mill->name), "ckill-%d-%u", (int)getpid(), number++);
    ck_assert_msg(mr_domain_create(&mill->domain, mill->name, &options) == 0, "%s", mr_error());
    ck_assert_int_eq(mr_control_open(&mill->control, mill->domain), 0);
    open_output(mill, through_pipe);
    start_threads(mill);
}

static void read_file(struct mill *mill)
{
    struct stat status;
    ck_assert_int_eq(fstat(mill->target, &status), 0);
    mill->length = (size_t)status.st_size;
    mill->bytes = malloc(mill->length + 1);
    ck_assert_int_eq(pread(mill->target, mill->bytes, mill->length, 0), (ssize_t)mill->length);
}

/* mill_close - stop in order, and check what came out */
static void mill_close(struct mill *mill)
{
    mr_domain_set_phase(mill->domain, MR_PHASE_STOP);
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        if (mill->pids[i] <= 0)
            continue;
        ck_assert_int_eq(waitpid(mill->pids[i], &status, 0), mill->pids[i]);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "process %d ended by %x", i,
                      (unsigned)status);
    }
    stop_threads(mill);
    serve(mill, false);
    close(mill->source >= 0 ? mill->target : -1);
    if (mill->source >= 0)
        pthread_join(mill->reader, NULL);
    else
        read_file(mill);
    mill_check(mill->plan, mill->bytes, mill->length);
    free(mill->bytes);
    close(mill->source >= 0 ? mill->source : mill->target);
    close(mill->spool);
    mr_control_close(mill->control);
    mr_domain_remove(mill->domain);
}

static void wait_for_control(struct mill *mill, long microseconds)
{
    struct pollfd control = {.fd = mr_control_fd(mill->control), .events = POLLIN};
    const struct timespec wait = {.tv_nsec = microseconds * 1000};
    ppoll(&control, 1, &wait, NULL);
}

static bool all_are_there(const struct mill *mill)
{
    bool there = true;
    for (int i = 0; i < PROCESSES; i++)
        there &= mill->pids[i] <= 0 || (mill->joined[i] && !mill->killed[i]);
    return there;
}

static void run_to_the_end(struct mill *mill)
{
    for (unsigned i = 0; !mill_answered(mill->domain, mill->plan); i++) {
        ck_assert_msg(i < 60000, "hangs with %llu contexts unfinished",
                      (unsigned long long)mr_domain_unfinished(mill->domain));
        serve(mill, true);
        wait_for_control(mill, 1000);
    }
    while (!all_are_there(mill)) { /* a collector may have the rest of the spool to send */
        serve(mill, true);
        wait_for_control(mill, 1000);
    }
    mill_close(mill);
}

/* ---- at random ---- */

static void kill_at_random(const struct mill_plan *plan, bool through_pipe, unsigned kills,
                           uint64_t every_us)
{
    struct mill mill;
    unsigned done = 0;
    seed();
    mill_open(&mill, plan, through_pipe, true);
    for (int i = 0; i < PROCESSES; i++)
        start(&mill, i, false);
    while (done < kills && !mill_answered(mill.domain, plan)) {
        int which = random_below(3) ? COLLECTOR : (int)random_below(PROCESSES);
        wait_for_control(&mill, (long)random_below(every_us));
        serve(&mill, true);
        if (mill.joined[which] && !mill.killed[which] && random_below(2)) {
            kill(mill.pids[which], SIGKILL);
            mill.killed[which] = true;
            done++;
        }
    }
    fprintf(stderr, "%u kills\n", done);
    run_to_the_end(&mill);
}

START_TEST(kills_at_random_change_no_byte_of_a_file)
{
    kill_at_random(&(struct mill_plan){.requests = 20000, .slots = 24}, false, 400, 4000);
}
END_TEST

START_TEST(kills_at_random_change_no_byte_of_a_stream_in_a_file)
{
    kill_at_random(&(struct mill_plan){.requests = 6000, .slots = 12, .stream = true}, false, 400,
                   4000);
}
END_TEST

START_TEST(kills_at_random_change_no_byte_of_a_stream_in_a_pipe)
{
    kill_at_random(&(struct mill_plan){.requests = 6000, .slots = 12, .stream = true}, true, 400,
                   4000);
}
END_TEST

/* ---- at each system call ---- */

/* all_out - whether the collector has nothing left to do */
static bool all_out(const struct mill *mill)
{
    struct stat status;
    if (!mill_answered(mill->domain, mill->plan))
        return false;
    return mill->spool < 0 ||
           (fstat(mill->spool, &status) == 0 && lseek(mill->spool, 0, SEEK_CUR) == status.st_size);
}

/* start_traced - a collector that stands still at its beginning */
static pid_t start_traced(struct mill *mill)
{
    int status;
    start(mill, COLLECTOR, true);
    while (waitpid(mill->pids[COLLECTOR], &status, WUNTRACED | WNOHANG) == 0) {
        serve(mill, false);
        wait_for_control(mill, 500);
    }
    ck_assert_msg(WIFSTOPPED(status), "the collector ended by %x", (unsigned)status);
    ptrace(PTRACE_SETOPTIONS, mill->pids[COLLECTOR], NULL, PTRACE_O_EXITKILL);
    return mill->pids[COLLECTOR];
}

/* go_on - until the next stop; false if there is none */
static bool go_on(pid_t pid, bool one_instruction)
{
    int status;
    ptrace(one_instruction ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, pid, NULL, NULL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSTOPPED(status);
}

static void kill_traced(struct mill *mill)
{
    kill(mill->pids[COLLECTOR], SIGKILL);
    do
        wait_for_control(mill, 1000);
    while (kill(mill->pids[COLLECTOR], 0) == 0 &&
           waitpid(mill->pids[COLLECTOR], NULL, WNOHANG) == 0);
    mill->joined[COLLECTOR] = true;
}

/*
 * kill_at - run a collector up to its `calls`-th stop at a system call (each has two: before and
 * behind it) and `instructions` more, kill it, and let a successor finish
 *
 * Returns false if all was out before that.
 */
static bool kill_at(const struct mill_plan *plan, bool through_pipe, uint64_t calls,
                    uint64_t instructions)
{
    struct mill mill;
    bool out = false;
    pid_t pid;
    mill_open(&mill, plan, through_pipe, false);
    pid = start_traced(&mill);
    for (uint64_t i = 0; i < calls && !out; i++) {
        ck_assert(go_on(pid, false));
        out = all_out(&mill);
    }
    for (uint64_t i = 0; i < instructions && !out; i++)
        ck_assert(go_on(pid, true));
    kill_traced(&mill);
    serve(&mill, false);
    start(&mill, COLLECTOR, false);
    run_to_the_end(&mill);
    return !out;
}

static void kill_at_each_call(const struct mill_plan *plan, bool through_pipe)
{
    uint64_t step = setting("MILLRACE_KILL_STEP", 11), tried = 0;
    seed();
    for (uint64_t calls = step > 1 ? 1 + random_below(step) : 1;
         kill_at(plan, through_pipe, calls, 0); calls += step)
        tried++;
    fprintf(stderr, "killed at %llu stops\n", (unsigned long long)tried);
    ck_assert_uint_gt(tried, 3);
}

static const struct mill_plan small = {.requests = 40, .slots = 3, .stream = true};

START_TEST(a_kill_at_any_system_call_changes_no_byte_of_a_file)
{
    kill_at_each_call(&small, false);
}
END_TEST

START_TEST(a_kill_at_any_system_call_changes_no_byte_in_a_pipe)
{
    kill_at_each_call(&small, true);
}
END_TEST

START_TEST(a_kill_between_any_two_instructions_changes_no_byte)
{
    uint64_t tries = setting("MILLRACE_KILL_TRIES", 30);
    seed();
    for (uint64_t i = 0; i < tries; i++)
        kill_at(&small, i % 2, random_below(140), random_below(20000));
}
END_TEST

/* ---- what else may happen to a collector ---- */

/* die_of - a collector that dies whenever it looks at the request */
static void die_of(const struct mill *mill, uint64_t ordinal)
{
    const mr_member_options options = {
        .size = sizeof(options), .role = MR_ROLE_COLLECTOR, .name = "collector"};
    mr_emission *emission;
    mr_member *member;
    mr_handle handle;
    unsigned deaths;
    mr_view view = {.ordinal = 0};
    if (mr_member_attach(&member, mill->name, &options) < 0 ||
        mr_emission_open(&emission, member, &handle, &deaths) < 0)
        _exit(1);
    while (view.ordinal != ordinal)
        if (mr_emission_next(emission, &handle, 5000) < 0 ||
            mr_emission_view(emission, handle, &view) < 0)
            _exit(1);
    raise(SIGKILL);
}

static void let_one_die_of(struct mill *mill, uint64_t ordinal)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        die_of(mill, ordinal);
    }
    mill->pids[COLLECTOR] = pid;
    mill->joined[COLLECTOR] = true;
    while (kill(pid, 0) == 0) {
        serve(mill, false);
        wait_for_control(mill, 1000);
    }
}

START_TEST(a_request_that_kills_collectors_is_answered_with_an_error)
{
    const struct mill_plan plan = {.requests = 60, .slots = 6, .stream = true, .poison = 4};
    struct mill mill;
    mill_open(&mill, &plan, false, false);
    for (unsigned i = 0; i < mill_domain(&plan).max_attempts; i++)
        let_one_die_of(&mill, plan.poison);
    start(&mill, COLLECTOR, false);
    run_to_the_end(&mill);
}
END_TEST

START_TEST(a_death_less_than_that_changes_nothing)
{
    const struct mill_plan plan = {.requests = 60, .slots = 6, .stream = true};
    struct mill mill;
    mill_open(&mill, &plan, false, false);
    for (unsigned i = 1; i < mill_domain(&plan).max_attempts; i++)
        let_one_die_of(&mill, 4);
    start(&mill, COLLECTOR, false);
    run_to_the_end(&mill);
}
END_TEST

/* wait_until_left - until the collector sits in front of a full pipe, with the run at its end */
static void wait_until_left(struct mill *mill)
{
    while (!mill_answered(mill->domain, mill->plan)) {
        serve(mill, false);
        wait_for_control(mill, 1000);
    }
    mr_domain_set_phase(mill->domain, MR_PHASE_STOP);
    poll(NULL, 0, 50);
}

START_TEST(a_collector_killed_after_the_end_leaves_the_rest_to_a_successor)
{
    const struct mill_plan plan = {.requests = 200, .slots = 8};
    struct mill mill;
    mill_open(&mill, &plan, false, false);
    close(mill.target);
    open_pipe(&mill);
    start(&mill, COLLECTOR, false);
    wait_until_left(&mill);
    ck_assert(!all_out(&mill));
    kill(mill.pids[COLLECTOR], SIGKILL);
    while (kill(mill.pids[COLLECTOR], 0) == 0) {
        wait_for_control(&mill, 1000);
        serve(&mill, false);
    }
    start(&mill, COLLECTOR, false);
    ck_assert_int_eq(pthread_create(&mill.reader, NULL, reader_thread, &mill), 0);
    run_to_the_end(&mill);
}
END_TEST

int main(void)
{
#ifdef __SANITIZE_ADDRESS__
    /* It forks while threads allocate, and a child may inherit the allocator's lock, held. */
    puts("skipped: the address sanitizer's allocator doesn't bear a fork beside threads");
    return 77;
#endif
    Suite *suite = suite_create("collector, killed");
    TCase *random = tcase_create("random");
    TCase *calls = tcase_create("calls");
    TCase *deaths = tcase_create("deaths");
    SRunner *runner;
    int failed;
    tcase_set_timeout(random, 100);
    tcase_add_test(random, kills_at_random_change_no_byte_of_a_file);
    tcase_add_test(random, kills_at_random_change_no_byte_of_a_stream_in_a_file);
    tcase_add_test(random, kills_at_random_change_no_byte_of_a_stream_in_a_pipe);
    suite_add_tcase(suite, random);
    tcase_set_timeout(calls, 400);
    tcase_add_test(calls, a_kill_at_any_system_call_changes_no_byte_of_a_file);
    tcase_add_test(calls, a_kill_at_any_system_call_changes_no_byte_in_a_pipe);
    tcase_add_test(calls, a_kill_between_any_two_instructions_changes_no_byte);
    suite_add_tcase(suite, calls);
    tcase_set_timeout(deaths, 60);
    tcase_add_test(deaths, a_request_that_kills_collectors_is_answered_with_an_error);
    tcase_add_test(deaths, a_death_less_than_that_changes_nothing);
    tcase_add_test(deaths, a_collector_killed_after_the_end_leaves_the_rest_to_a_successor);
    suite_add_tcase(suite, deaths);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
