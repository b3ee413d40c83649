/*
 * Tests of the collector as a whole, with a tokenizer and two workers as threads of one process
 */
#include "ipc/cursors.h"
#include "ipc/domain.h"
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 2 };

struct mill {
    const struct mill_plan *plan;
    mr_domain *domain;
    int target;
    int spool;
    int result;            /* of the collector */
    mr_member *members[2]; /* tokenizer, collector */
    mr_worker *workers[WORKERS];
    pthread_t tokenizer;
    pthread_t collector;
    pthread_t worker_threads[WORKERS];
};

static void *tokenizer_thread(void *self)
{
    struct mill *mill = self;
    ck_assert_int_eq(mill_tokenizer(mill->members[0], mill->plan), 0);
    return NULL;
}

static void *collector_thread(void *self)
{
    struct mill *mill = self;
    const struct collector_options options = {mill->members[1], words, mill->target, mill->spool};
    mill->result = collector_run(&options);
    return NULL;
}

static void *worker_thread(void *self)
{
    mr_worker *worker = self;
    ck_assert_int_eq(mill_worker(worker), 0);
    mr_worker_leave(worker);
    return NULL;
}

/* join - all of them, one after the other as the supervisor does it */
static void join(struct mill *mill)
{
    const mr_worker_options worker = {.size = sizeof(worker), .capacity = 4, .fingerprint = "hash"};
    mr_member_options member = {.size = sizeof(member), .role = MR_ROLE_TOKENIZER, .name = "test"};
    ck_assert_int_eq(mr_member_join(&mill->members[0], mill->domain, &member), 0);
    member.role = MR_ROLE_COLLECTOR;
    ck_assert_int_eq(mr_member_join(&mill->members[1], mill->domain, &member), 0);
    for (int i = 0; i < WORKERS; i++)
        ck_assert_int_eq(mr_worker_join(&mill->workers[i], mill->domain, &worker), 0);
}

static void start_collector(struct mill *mill)
{
    ck_assert_int_eq(pthread_create(&mill->collector, NULL, collector_thread, mill), 0);
}

/* mill_open - all but the collector */
static void mill_open(struct mill *mill, const struct mill_plan *plan, int target, int spool)
{
    mr_domain_options options = mill_domain(plan);
    char name[32];
    snprintf(name, sizeof(name), "collector-%d", (int)getpid());
    signal(SIGPIPE, SIG_IGN);
    *mill = (struct mill){.plan = plan, .target = target, .spool = spool};
    ck_assert_msg(mr_domain_create(&mill->domain, name, &options) == 0, "%s", mr_error());
    join(mill);
    ck_assert_int_eq(pthread_create(&mill->tokenizer, NULL, tokenizer_thread, mill), 0);
    for (int i = 0; i < WORKERS; i++)
        ck_assert_int_eq(
            pthread_create(&mill->worker_threads[i], NULL, worker_thread, mill->workers[i]), 0);
}

static void mill_start(struct mill *mill, const struct mill_plan *plan, int target, int spool)
{
    mill_open(mill, plan, target, spool);
    start_collector(mill);
}

static void mill_stop(struct mill *mill)
{
    mr_domain_set_phase(mill->domain, MR_PHASE_STOP);
    pthread_join(mill->collector, NULL);
    pthread_join(mill->tokenizer, NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(mill->worker_threads[i], NULL);
    for (int i = 0; i < 2; i++)
        mr_member_leave(mill->members[i]);
    mr_domain_remove(mill->domain);
}

static void wait_until_answered(struct mill *mill)
{
    while (!mill_answered(mill->domain, mill->plan))
        poll(NULL, 0, 1);
}

static int make_file(void)
{
    char path[] = "/tmp/millrace-test-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    return fd;
}

static char *read_all(int fd, size_t *length)
{
    struct stat status;
    char *bytes;
    ck_assert_int_eq(fstat(fd, &status), 0);
    *length = (size_t)status.st_size;
    bytes = malloc(*length + 1);
    ck_assert_int_eq(pread(fd, bytes, *length, 0), (ssize_t)*length);
    return bytes;
}

/* ---- files ---- */

static void check_file(const struct mill_plan *plan)
{
    int file = make_file();
    struct mill mill;
    size_t length;
    char *bytes;
    ck_assert_int_eq(ftruncate(file, 64 << 20), 0); /* what an older run left there */
    mill_start(&mill, plan, file, -1);
    wait_until_answered(&mill);
    mill_stop(&mill);
    ck_assert_int_eq(mill.result, 0);
    bytes = read_all(file, &length);
    mill_check(plan, bytes, length);
    free(bytes);
    close(file);
}

START_TEST(each_request_is_answered_once_in_a_file)
{
    check_file(&(struct mill_plan){.requests = 1500, .slots = 24});
}
END_TEST

START_TEST(the_pieces_of_a_stream_joined_are_the_final_text)
{
    check_file(&(struct mill_plan){.requests = 800, .slots = 12, .stream = true});
}
END_TEST

START_TEST(plain_calls_write_the_same_as_io_uring)
{
    setenv("MILLRACE_IO", "plain", 1);
    check_file(&(struct mill_plan){.requests = 300, .slots = 24});
}
END_TEST

/* ---- streams ---- */

/* Somebody who reads what the collector sends, until the other end is closed. */
struct reader {
    int fd;
    size_t at_once; /* bytes; 0: as many as there are */
    char *bytes;
    size_t length;
    pthread_t thread;
};

static void *reader_thread(void *self)
{
    struct reader *reader = self;
    const struct timespec moment = {.tv_nsec = 100000};
    size_t at_once = reader->at_once ? reader->at_once : 65536;
    ssize_t got;
    do {
        reader->bytes = realloc(reader->bytes, reader->length + at_once);
        got = read(reader->fd, reader->bytes + reader->length, at_once);
        reader->length += got > 0 ? (size_t)got : 0;
        if (reader->at_once > 0)
            nanosleep(&moment, NULL);
    } while (got > 0);
    return NULL;
}

static void check_stream(const struct mill_plan *plan, const int ends[2], size_t at_once)
{
    struct reader reader = {.fd = ends[0], .at_once = at_once};
    int spool = make_file();
    struct mill mill;
    ck_assert_int_eq(pthread_create(&reader.thread, NULL, reader_thread, &reader), 0);
    mill_start(&mill, plan, ends[1], spool);
    wait_until_answered(&mill);
    mill_stop(&mill);
    ck_assert_int_eq(mill.result, 0);
    close(ends[1]);
    pthread_join(reader.thread, NULL);
    mill_check(plan, reader.bytes, reader.length);
    ck_assert_int_eq(lseek(spool, 0, SEEK_CUR), (off_t)reader.length);
    free(reader.bytes);
    close(spool);
    close(ends[0]);
}

START_TEST(each_request_is_answered_once_in_a_pipe)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    check_stream(&(struct mill_plan){.requests = 1000, .slots = 24}, ends, 0);
}
END_TEST

START_TEST(a_slow_reader_of_a_pipe_gets_all_of_a_stream)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    check_stream(&(struct mill_plan){.requests = 300, .slots = 24, .stream = true}, ends, 997);
}
END_TEST

START_TEST(each_request_is_answered_once_in_a_socket)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    check_stream(&(struct mill_plan){.requests = 300, .slots = 24}, ends, 0);
}
END_TEST

START_TEST(a_closed_pipe_ends_the_collection)
{
    int ends[2], spool = make_file();
    struct mill mill;
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    mill_start(&mill, &(struct mill_plan){.requests = 10, .slots = 24}, ends[1], spool);
    while (mr_stats_total(mill.domain, MR_STAT_requests_finished) == 0)
        poll(NULL, 0, 1);
    mill_stop(&mill);
    ck_assert_int_eq(mill.result, -EPIPE);
}
END_TEST

START_TEST(what_others_append_to_the_same_file_stays)
{
    const struct mill_plan plan = {.requests = 200, .slots = 24};
    char path[] = "/tmp/millrace-test-XXXXXX";
    int file = mkstemp(path), spool = make_file();
    int appending = open(path, O_WRONLY | O_APPEND);
    struct mill mill;
    size_t length;
    char *bytes;
    unlink(path);
    ck_assert_int_eq(write(appending, "before\n", 7), 7);
    mill_start(&mill, &plan, appending, spool);
    wait_until_answered(&mill);
    mill_stop(&mill);
    ck_assert_int_eq(write(appending, "behind\n", 7), 7);
    bytes = read_all(file, &length);
    ck_assert_mem_eq(bytes, "before\n", 7);
    ck_assert_mem_eq(bytes + length - 7, "behind\n", 7);
    mill_check(&plan, bytes + 7, length - 14);
    free(bytes);
}
END_TEST

/* ---- what is counted ---- */

/* samples - of a histogram, in all; *sum is that of the values */
static uint64_t samples(const struct mill *mill, const char *name, uint64_t *sum)
{
    mr_domain_info info = {.size = sizeof(info)};
    mr_stats_head_info head = {.size = sizeof(head)};
    mr_stats_view *view;
    const mr_stats_row *row;
    uint64_t *values, count;
    mr_domain_get_info(mill->domain, &info);
    ck_assert_int_eq(mr_stats_open(&view, info.name), 0);
    mr_stats_get_head(view, &head);
    values = calloc(head.values, sizeof(*values));
    mr_stats_read_total(view, values);
    row = mr_stats_find_row(view, name);
    ck_assert_ptr_nonnull(row);
    count = mr_stats_samples(row, values);
    *sum = values[row->first];
    free(values);
    mr_stats_close(view);
    return count;
}

START_TEST(each_answer_has_its_latencies)
{
    const struct mill_plan plan = {.requests = 100, .slots = 24};
    struct mill mill;
    uint64_t sum, firsts;
    mill_start(&mill, &plan, make_file(), -1);
    wait_until_answered(&mill);
    while (mr_stats_total(mill.domain, MR_STAT_requests_finished) < plan.requests)
        poll(NULL, 0, 1);
    ck_assert_uint_eq(samples(&mill, "end_to_end", &sum), plan.requests);
    ck_assert_uint_gt(sum, plan.requests * 100); /* nanoseconds: none is of no time */
    firsts = samples(&mill, "time_to_first_token", &sum);
    ck_assert_uint_ge(firsts, samples(&mill, "output_length", &sum)); /* a choice has its own */
    ck_assert_uint_eq(sum, mr_stats_total(mill.domain, MR_STAT_emitted_tokens));
    ck_assert_uint_le(samples(&mill, "inter_token_latency", &sum),
                      mr_stats_total(mill.domain, MR_STAT_generated_tokens) - firsts);
    mill_stop(&mill);
}
END_TEST

/* ---- memory that somebody spoilt ---- */

/* spoil - the length of a finished context, as a worker gone mad might do */
static void spoil(struct mill *mill, uint64_t ordinal)
{
    for (uint32_t i = 0; i < mill->domain->slot_count; i++) {
        mr_slot *slot = &mill->domain->slots[i];
        for (int copy = 0; copy < 2 && atomic_load(&slot->ordinal) == ordinal; copy++) {
            atomic_store(&slot->glance[copy][MR_GLANCE_LENGTH], INT64_MAX);
            atomic_store(&slot->cursors[copy][MR_CURSOR_LENGTH], INT64_MAX);
        }
    }
}

static size_t count_of(const char *bytes, const char *what)
{
    size_t count = 0;
    while ((bytes = strstr(bytes, what)) != NULL) {
        bytes += strlen(what);
        count++;
    }
    return count;
}

START_TEST(a_spoilt_context_costs_its_own_answer_only)
{
    const struct mill_plan plan = {.requests = 20, .slots = 40};
    int file = make_file();
    struct mill mill;
    size_t length;
    char *bytes;
    mill_open(&mill, &plan, file, -1);
    while (mr_stats_total(mill.domain, MR_STAT_held) > 0 ||
           mr_stats_total(mill.domain, MR_STAT_requests_accepted) +
                   mr_stats_total(mill.domain, MR_STAT_requests_refused) <
               plan.requests)
        poll(NULL, 0, 1);
    poll(NULL, 0, 50);
    spoil(&mill, 2);
    start_collector(&mill);
    wait_until_answered(&mill);
    mill_stop(&mill);
    bytes = read_all(file, &length);
    bytes[length] = '\0';
    ck_assert_uint_eq(count_of(bytes, "\n"), plan.requests);
    ck_assert_uint_eq(count_of(bytes, "\"custom_id\":\"request-2\",\"response\":null,"
                                      "\"error\":{\"code\":\"worker_failed\""),
                      1);
    free(bytes);
    close(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("collector");
    TCase *tests = tcase_create("threads");
    SRunner *runner;
    int failed;
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, each_request_is_answered_once_in_a_file);
    tcase_add_test(tests, the_pieces_of_a_stream_joined_are_the_final_text);
    tcase_add_test(tests, plain_calls_write_the_same_as_io_uring);
    tcase_add_test(tests, each_request_is_answered_once_in_a_pipe);
    tcase_add_test(tests, a_slow_reader_of_a_pipe_gets_all_of_a_stream);
    tcase_add_test(tests, each_request_is_answered_once_in_a_socket);
    tcase_add_test(tests, a_closed_pipe_ends_the_collection);
    tcase_add_test(tests, each_answer_has_its_latencies);
    tcase_add_test(tests, a_spoilt_context_costs_its_own_answer_only);
    tcase_add_test(tests, what_others_append_to_the_same_file_stays);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
