/*
 * kill_test.c - SIGKILL in the middle of a run changes no byte of what comes out
 *
 * A run is killed at random, process after process, while it answers; its sorted output must be
 * that of an undisturbed run. So many kills in so short a time may hit one request thrice before it
 * gets on; more attempts than usual keep it from being given up. KILL_ROUNDS in the environment
 * makes it longer, KILL_SEED repeats a row of kills.
 */
#include "tests/runtime/fixture.h"
#include <fcntl.h>
#include <millrace/check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 200, TOKENS = 24 };

/* How requests and answers travel in a round. */
enum way { FILES, STREAMED_FILES, PIPES, WAYS };

static const char *const victims[] = {"mr-worker", "mr-tokenizer", "mr-collector", "mr-"};

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? (unsigned)strtoul(value, NULL, 10) : otherwise;
}

static void open_round(void)
{
    fixture_open();
    srand(setting("KILL_SEED", (unsigned)time(NULL)));
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* see reap_orphans() */
    setenv("ECHO_STEP_US", "300", 1);
    setenv("LC_ALL", "C", 1);
}

/* Mixed requests: choices, log-probabilities, stop strings, refusals. */
static void write_mixed(const char *path)
{
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < REQUESTS; i++) {
        static const char *const extras[] = {"",
                                             ", \"n\": 2",
                                             ", \"logprobs\": 2",
                                             ", \"stop\": [\"over and\"]",
                                             ", \"echo\": true",
                                             ", \"n\": 0"};
        fprintf(file,
                "{\"custom_id\": \"r%d\", \"method\": \"POST\", \"url\": \"/v1/completions\", "
                "\"body\": {\"prompt\": \"request %d goes on and on, over and over\", "
                "\"max_tokens\": %d%s}}\n",
                i, i, TOKENS, extras[i % 6]);
    }
    ck_assert_int_eq(fclose(file), 0);
}

/* ---- pipes: one thread writes the requests, another keeps what comes out ---- */

struct pipes {
    int in[2], out[2];
    pthread_t writer, reader;
};

static void *write_all(void *self)
{
    struct pipes *pipes = self;
    size_t length = 0, at = 0;
    char *text = file_read("in", &length);
    while (at < length) {
        size_t piece = (size_t)rand() % 5000 + 1;
        ssize_t put = write(pipes->in[1], text + at, piece < length - at ? piece : length - at);
        if (put <= 0)
            break;
        at += (size_t)put;
        wait_ms(1);
    }
    close(pipes->in[1]);
    free(text);
    return NULL;
}

static void *read_all(void *self)
{
    struct pipes *pipes = self;
    char block[4096];
    ssize_t got;
    while ((got = read(pipes->out[0], block, sizeof(block))) > 0)
        file_add_bytes("out", block, (size_t)got);
    return NULL;
}

static void begin_pipes(struct run *run, struct pipes *pipes)
{
    static const char *const arguments[] = {"-n", "2", "--slots", "24", "--max-attempts",
                                            "15", NULL};
    ck_assert_int_eq(pipe2(pipes->in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(pipes->out, O_CLOEXEC), 0);
    run_begin_fds(run, pipes->in[0], pipes->out[1], arguments);
    close(pipes->in[0]);
    close(pipes->out[1]);
    pthread_create(&pipes->writer, NULL, write_all, pipes);
    pthread_create(&pipes->reader, NULL, read_all, pipes);
}

static void end_pipes(struct pipes *pipes)
{
    pthread_join(pipes->writer, NULL);
    pthread_join(pipes->reader, NULL);
    close(pipes->out[0]);
}

/* ---- a round ---- */

static void begin(struct run *run, enum way way, struct pipes *pipes)
{
    unlink("out");
    if (way == PIPES)
        begin_pipes(run, pipes);
    else
        run_begin(run, NULL, "-o", "out", "-n", "2", "--slots", "24", "--max-attempts", "15", "in",
                  way == STREAMED_FILES ? "--stream" : NULL);
}

static bool has_ended(const struct run *run)
{
    siginfo_t info = {0};
    waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid != 0;
}

static void fail_at(void *self, const char *place, const char *what)
{
    const unsigned *kills = self;
    ck_abort_msg("after %u kills: %s: %s", *kills, place, what);
}

/* All that must hold in the run's memory, which stays to be looked at when the run has ended. */
static void check_domain(mr_domain *domain, unsigned kills)
{
    ck_assert_int_eq(mr_domain_check(domain, fail_at, &kills, NULL), 0);
}

static void check_empty(mr_domain *domain, unsigned kills)
{
    mr_census census = {.size = sizeof(census)};
    ck_assert_int_eq(mr_domain_check(domain, fail_at, &kills, &census), 0);
    ck_assert_uint_eq(census.members, 0);
    ck_assert_uint_eq(census.free, census.slots);
    ck_assert_uint_eq(census.arena_bytes, 0);
}

static mr_domain *inspect(const struct run *run)
{
    char name[48];
    mr_domain *domain = NULL;
    snprintf(name, sizeof(name), "run-%u-%d", (unsigned)getuid(), (int)run->pid);
    for (int i = 0; i < 2000 && domain == NULL; i++) {
        wait_ms(1);
        mr_domain_inspect(&domain, name);
    }
    ck_assert_ptr_nonnull(domain);
    return domain;
}

static unsigned kill_at_random(const struct run *run, const char *prefix, mr_domain *domain)
{
    enum { MOST = 30 }; /* then it may finish in peace */
    unsigned kills = 0;
    while (kills < MOST && !has_ended(run)) {
        pid_t victim = run_any_process(run, prefix);
        wait_ms((unsigned)rand() % 12);
        if (victim > 0 && process_has_settled(victim) && kill(victim, SIGKILL) == 0)
            kills++;
        wait_ms((unsigned)rand() % 30);
        check_domain(domain, kills);
    }
    return kills;
}

/* The deltas of each answer, joined, must be its final text: checked by sums over all lines. */
static void check_pieces(const char *path)
{
    json_t *joined = json_object();
    char *text = file_read(path, NULL);
    unsigned finals = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_t *record = json_loads(line, 0, NULL), *choice;
        const char *id = json_string_value(json_object_get(record, "custom_id"));
        json_t *delta = json_object_get(record, "delta");
        json_t *choices = json_object_get(
            json_object_get(json_object_get(record, "response"), "body"), "choices");
        char key[64], whole[4096];
        size_t index;
        ck_assert_ptr_nonnull(record);
        if (delta != NULL) {
            const char *before;
            snprintf(key, sizeof(key), "%s/%lld", id,
                     (long long)json_integer_value(json_object_get(record, "choice")));
            before = json_string_value(json_object_get(joined, key));
            before = before != NULL ? before : "";
            ck_assert_int_eq(json_integer_value(json_object_get(record, "offset")),
                             (json_int_t)strlen(before));
            snprintf(whole, sizeof(whole), "%s%s", before, json_string_value(delta));
            json_object_set_new(joined, key, json_string(whole));
        }
        json_array_foreach(choices, index, choice)
        {
            const char *final = json_string_value(json_object_get(choice, "text"));
            const char *pieces;
            snprintf(key, sizeof(key), "%s/%zu", id, index);
            pieces = json_string_value(json_object_get(joined, key));
            ck_assert_str_eq(pieces != NULL ? pieces : "", final);
            finals++;
        }
        json_decref(record);
    }
    ck_assert_uint_gt(finals, REQUESTS / 2);
    json_decref(joined);
    free(text);
}

/* The first line that differs, for the message. */
static const char *first_difference(const char *a, const char *b)
{
    const char *line = a;
    while (*a != '\0' && *a == *b) {
        if (*a == '\n')
            line = a + 1;
        a++;
        b++;
    }
    return line;
}

static void play(enum way way, const char *prefix, const char *expected)
{
    struct run run;
    struct pipes pipes;
    char *sorted;
    unsigned kills;
    mr_domain *domain;
    begin(&run, way, &pipes);
    domain = inspect(&run);
    kills = kill_at_random(&run, prefix, domain);
    run_end(&run);
    check_empty(domain, kills);
    mr_domain_close(domain);
    if (way == PIPES)
        end_pipes(&pipes);
    ck_assert_msg(run.status == 1, "status %d after %u kills: %s", run.status, kills, run.err);
    if (way == STREAMED_FILES)
        check_pieces("out");
    sorted = file_sorted("out", "\"delta\"");
    ck_assert_msg(strcmp(sorted, expected) == 0,
                  "%u kills of '%s' changed the answers (way %d): %.300s", kills, prefix, (int)way,
                  first_difference(sorted, expected));
    ck_assert_uint_gt(kills, 0);
    free(sorted);
    run_free(&run);
}

static char *play_undisturbed(void)
{
    struct run run;
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "whole", "in"), 1);
    ck_assert_uint_eq(count_lines("whole"), REQUESTS);
    run_free(&run);
    return file_sorted("whole", NULL);
}

START_TEST(members_killed_at_random_change_no_byte)
{
    const char *prefix = victims[_i % 4];
    enum way way = (enum way)(_i / 4);
    char *expected;
    write_mixed("in");
    expected = play_undisturbed();
    for (unsigned round = 0; round < setting("KILL_ROUNDS", 1); round++)
        play(way, prefix, expected);
    free(expected);
}
END_TEST

/* The members of a supervisor that was killed die with it, and are ours to bury: init may not be
 * one that does it. */
static void reap_orphans(void)
{
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

START_TEST(a_supervisor_that_is_killed_leaves_a_run_to_resume)
{
    struct run run;
    char *expected, *sorted;
    write_mixed("in");
    expected = play_undisturbed();
    for (unsigned round = 0; round < setting("KILL_ROUNDS", 1); round++) {
        unlink("out");
        run_begin(&run, NULL, "--name", own_name("orphan"), "-o", "out", "-n", "2", "--slots", "24",
                  "in");
        run_wait_for_lines("out", 1 + (size_t)rand() % 120);
        run_signal(&run, SIGKILL);
        run_end(&run);
        ck_assert_int_eq(run.status, 256 + SIGKILL);
        run_free(&run);
        reap_orphans();
        ck_assert_int_eq(run_whole(&run, NULL, "--resume", own_name("orphan")), 1);
        run_free(&run);
        sorted = file_sorted("out", NULL);
        ck_assert_str_eq(sorted, expected);
        free(sorted);
    }
    free(expected);
}
END_TEST

/* Nobody ends the stranger: it leaves when it notices, and until then the run waits. */
START_TEST(a_run_with_a_stranger_is_resumed_at_once_after_its_supervisor_was_killed)
{
    struct run run;
    pid_t stranger;
    int status;
    write_requests("in", 60, 20);
    setenv("ECHO_STEP_US", "3000", 1);
    run_begin(&run, NULL, "-n", "0", "--name", own_name("orphan"), "--slots", "8", "-o", "out",
              "in");
    while (access(own_file("orphan", "sock"), F_OK) < 0)
        wait_ms(5);
    stranger = stranger_begin(own_name("orphan"));
    run_wait_for_lines("out", 2);
    run_signal(&run, SIGKILL);
    run_end(&run);
    run_free(&run);
    run_begin(&run, NULL, "--resume", own_name("orphan"));
    ck_assert_int_eq(waitpid(stranger, &status, 0), stranger);
    stranger = 0;
    for (int i = 0; i < 300 && (stranger == 0 || waitpid(stranger, &status, WNOHANG) == stranger);
         i++) {
        stranger = stranger_begin(own_name("orphan")); /* till the run has begun */
        wait_ms(100);
    }
    run_end(&run);
    ck_assert_msg(run.status == 0, "status %d: %s", run.status, run.err);
    ck_assert_uint_eq(count_lines("out"), 60);
    waitpid(stranger, &status, 0);
    run_free(&run);
    reap_orphans();
}
END_TEST

START_TEST(what_a_killed_supervisor_left_goes_with_the_next_start)
{
    struct run run;
    char segment[64];
    write_mixed("in");
    run_begin(&run, NULL, "-o", "out", "in");
    run_wait_for_lines("out", 1);
    snprintf(segment, sizeof(segment), "/dev/shm/millrace.run-%u-%d.data", (unsigned)getuid(),
             (int)run.pid);
    run_signal(&run, SIGKILL);
    run_end(&run);
    run_free(&run);
    reap_orphans();
    ck_assert_int_eq(access(segment, F_OK), 0);
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 1);
    ck_assert_int_lt(access(segment, F_OK), 0);
    run_free(&run);
}
END_TEST

static Suite *kill_suite(void)
{
    Suite *suite = suite_create("kill");
    TCase *kills = tcase_create("kills");
    tcase_set_timeout(kills, 120);
    tcase_add_checked_fixture(kills, open_round, fixture_close);
    tcase_add_loop_test(kills, members_killed_at_random_change_no_byte, 0, 4 * WAYS);
    tcase_add_test(kills, a_supervisor_that_is_killed_leaves_a_run_to_resume);
    tcase_add_test(kills, a_run_with_a_stranger_is_resumed_at_once_after_its_supervisor_was_killed);
    tcase_add_test(kills, what_a_killed_supervisor_left_goes_with_the_next_start);
    suite_add_tcase(suite, kills);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(kill_suite());
    int failed;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
