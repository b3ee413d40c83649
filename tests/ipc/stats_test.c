/*
 * stats_test.c - pages, what stays of the dead, and a reader that has nothing but the segment
 */
#include "ipc/member.h"
#include "ipc/segment.h"
#include "ipc/stats.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <millrace/supervise.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mr_domain *domain;
static mr_stats_view *view;
static uint64_t values[MR_STATS_VALUES];

static void setup(void)
{
    domain = support_domain(8);
    ck_assert_msg(!mr_stats_open(&view, support_name(domain)), "%s", mr_error());
}

static void teardown(void)
{
    mr_stats_close(view);
    support_close(domain);
}

static const mr_stats_row *row_of(const char *name)
{
    const mr_stats_row *row = mr_stats_find_row(view, name);

    ck_assert_msg(row != NULL, "there is no row '%s'", name);
    return row;
}

static uint64_t total(const char *name)
{
    mr_stats_read_total(view, values);
    return values[row_of(name)->first];
}

static uint64_t total_samples(const char *name)
{
    mr_stats_read_total(view, values);
    return mr_stats_samples(row_of(name), values);
}

/* ---- histograms ---- */

START_TEST(each_value_falls_into_the_bucket_that_holds_it)
{
    static const char *const names[] = {"step_time", "batch_size", "prompt_length"};

    for (int n = 0; n < 3; n++) {
        const mr_stats_row *row = row_of(names[n]);
        const uint32_t buckets = row->count - 1;

        for (int bits = 0; bits < 64; bits++)
            for (int near = -1; near <= 1; near++) {
                uint64_t value = (UINT64_C(1) << bits) + (uint64_t)near;
                uint32_t bucket = mr_stats_bucket(value, row->low, buckets);
                uint64_t end = mr_stats_bucket_end(row, bucket);

                ck_assert_uint_lt(bucket, buckets);
                ck_assert(end == UINT64_MAX || value < end);
                ck_assert(bucket == 0 || value >= mr_stats_bucket_end(row, bucket - 1));
            }
    }
}
END_TEST

START_TEST(a_bucket_is_at_most_an_eighth_wide)
{
    const mr_stats_row *row = row_of("end_to_end");

    for (uint32_t i = 9; i + 2 < row->count; i++) {
        uint64_t begin = mr_stats_bucket_end(row, i - 1), end = mr_stats_bucket_end(row, i);

        ck_assert_uint_gt(end, begin);
        ck_assert_uint_le((end - begin) * 8, begin);
    }
}
END_TEST

START_TEST(quantiles_are_at_most_an_eighth_off)
{
    mr_member *member = support_join(domain, MR_ROLE_COLLECTOR);
    const mr_stats_row *row = row_of("end_to_end");

    for (uint64_t i = 1; i <= 1000; i++)
        mr_stats_record(mr_member_stats(member), MR_HISTOGRAM_end_to_end, i * 1000000, 1);
    mr_stats_read_total(view, values);
    ck_assert_uint_eq(mr_stats_samples(row, values), 1000);
    ck_assert_uint_eq(values[row->first], UINT64_C(500500) * 1000000);
    for (double part = 0.01; part < 1; part += 0.01) {
        double exact = part * 1e9;

        ck_assert_double_le(fabs(mr_stats_quantile(row, values, part) - exact), exact / 8);
    }
    mr_member_leave(member);
}
END_TEST

START_TEST(a_histogram_without_samples_has_no_quantiles)
{
    mr_stats_read_total(view, values);
    ck_assert_double_eq(mr_stats_quantile(row_of("end_to_end"), values, 0.99), 0);
}
END_TEST

START_TEST(small_numbers_are_told_exactly)
{
    mr_member *member = support_join(domain, MR_ROLE_COLLECTOR);

    mr_stats_record(mr_member_stats(member), MR_HISTOGRAM_batch_size, 4, 10);
    mr_stats_record(mr_member_stats(member), MR_HISTOGRAM_batch_size, 7, 10);
    mr_stats_read_total(view, values);
    ck_assert_double_eq(mr_stats_quantile(row_of("batch_size"), values, 0.5), 4);
    ck_assert_double_eq(mr_stats_quantile(row_of("batch_size"), values, 0.51), 7);
    ck_assert_double_eq(mr_stats_quantile(row_of("batch_size"), values, 1), 7);
    mr_member_leave(member);
}
END_TEST

START_TEST(values_of_any_size_are_counted)
{
    mr_member *member = support_join(domain, MR_ROLE_COLLECTOR);

    mr_stats_record(mr_member_stats(member), MR_HISTOGRAM_batch_size, 0, 2);
    mr_stats_record(mr_member_stats(member), MR_HISTOGRAM_batch_size, UINT64_MAX, 1);
    mr_stats_record(NULL, MR_HISTOGRAM_batch_size, 1, 1);
    ck_assert_uint_eq(total_samples("batch_size"), 3);
    mr_member_leave(member);
}
END_TEST

/* ---- the dead ---- */

START_TEST(what_the_dead_counted_stays_and_what_they_held_goes)
{
    for (int i = 0; i < 3; i++) {
        mr_member *member = support_join(domain, MR_ROLE_COLLECTOR);
        int place = mr_member_index(member);

        mr_stats_add(mr_member_stats(member), MR_STAT_requests_finished, 5);
        mr_stats_set(mr_member_stats(member), MR_STAT_held, 7);
        mr_stats_record(mr_member_stats(member), MR_HISTOGRAM_end_to_end, 5000, 2);
        ck_assert_uint_eq(total("held"), 7);
        support_die(domain, place);
        mr_member_leave(member);
    }
    ck_assert_uint_eq(total("requests_finished"), 15);
    ck_assert_uint_eq(total("held"), 0);
    ck_assert_uint_eq(total_samples("end_to_end"), 6);
    ck_assert_uint_eq(total("members_swept"), 3);
    ck_assert_uint_eq(mr_stats_total(domain, MR_STAT_requests_finished), 15);
}
END_TEST

/* A supervisor that is killed at any store of a fold: `stage` says how far it came. */
static void fold_up_to(int place, int stage)
{
    mr_stats_segment *segment = (void *)domain->stats;
    struct mr_stats *page = &segment->pages[place];
    uint64_t totals = atomic_load(&segment->head.totals);
    unsigned from = mr_totals_copy(totals);
    const mr_word *before = segment->pages[MR_STATS_DEAD + from].values;
    mr_word *after = segment->pages[MR_STATS_DEAD + 1 - from].values;

    for (int i = 0; i < MR_STATS_VALUES && stage >= i; i += 100) /* step 1, bit by bit */
        for (int j = i; j < i + 100 && j < MR_STATS_VALUES; j++)
            after[j] = before[j] + page->values[j];
    if (stage < MR_STATS_VALUES)
        return;
    after[MR_STAT_held] = 0;
    segment->head.totals = ((totals ^ 1 << 16) + (1 << 17)) | (unsigned)(place + 1); /* step 2 */
    for (int i = 0; i < MR_STATS_VALUES && stage - MR_STATS_VALUES > i; i++)         /* step 3 */
        page->values[i] = 0;
}

START_TEST(a_supervisor_killed_in_a_fold_counts_nothing_twice_and_loses_nothing)
{
    mr_member *other = support_join(domain, MR_ROLE_COLLECTOR);

    mr_stats_add(mr_member_stats(other), MR_STAT_requests_finished, 1);
    for (int round = 0; round <= 20; round++) {
        mr_member *member = support_join(domain, MR_ROLE_COLLECTOR);
        const int place = mr_member_index(member), stage = round * (2 * MR_STATS_VALUES) / 20;
        const uint64_t expected = (uint64_t)(round + 1) * 10 + 1;

        mr_stats_add(mr_member_stats(member), MR_STAT_requests_finished, 10);
        mr_stats_set(mr_member_stats(member), MR_STAT_held, 3);
        fold_up_to(place, stage);
        ck_assert_uint_eq(total("requests_finished"), expected);
        ck_assert_uint_eq(mr_stats_total(domain, MR_STAT_requests_finished), expected);
        support_die(domain, place);
        ck_assert_uint_eq(total("requests_finished"), expected);
        ck_assert_uint_eq(total("held"), 0);
        mr_member_leave(member);
    }
    mr_member_leave(other);
}
END_TEST

static atomic_bool stop_reading;

static void *read_on(void *unused)
{
    mr_stats_view *mine;
    uint64_t *now = calloc(MR_STATS_VALUES, sizeof(*now));
    uint64_t last = 0, looks = 0;

    (void)unused;
    ck_assert_int_eq(mr_stats_open(&mine, support_name(domain)), 0);
    while (!atomic_load(&stop_reading)) {
        mr_stats_read_total(mine, now);
        ck_assert_uint_ge(now[MR_STAT_requests_finished], last);
        last = now[MR_STAT_requests_finished];
        looks++;
    }
    ck_assert_uint_gt(looks, 0);
    mr_stats_close(mine);
    free(now);
    return NULL;
}

START_TEST(totals_never_go_backwards_while_members_die)
{
    pthread_t reader;

    atomic_store(&stop_reading, false);
    ck_assert_int_eq(pthread_create(&reader, NULL, read_on, NULL), 0);
    for (int i = 0; i < 3000; i++) {
        mr_member *member = support_join(domain, MR_ROLE_COLLECTOR);
        int place = mr_member_index(member);

        mr_stats_add(mr_member_stats(member), MR_STAT_requests_finished, 1000);
        mr_member_leave(member);
        support_die(domain, place);
    }
    atomic_store(&stop_reading, true);
    pthread_join(reader, NULL);
    ck_assert_uint_eq(total("requests_finished"), 3000 * 1000);
}
END_TEST

/* ---- what the library counts ---- */

START_TEST(steps_batches_and_waits_of_a_worker_are_recorded)
{
    mr_member *tokenizer;
    mr_intake *intake = support_intake(domain, &tokenizer);
    mr_worker *worker = support_worker(domain, 4);
    mr_request request = support_request(1, 3);
    mr_context *batch[4];

    request.accepted = mr_boottime_ns() - 1000000;
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
        ck_assert_int_eq(mr_text_update(mr_context_text(batch[0]), 5, NULL), 0);
    }
    mr_worker_hand_on(worker, batch[0]);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 1), 0);
    ck_assert_uint_eq(total_samples("batch_size"), 3);
    ck_assert_uint_eq(total_samples("step_time"), 3);
    ck_assert_uint_eq(total("steps"), 3);
    ck_assert_uint_eq(total_samples("queue_wait"), 1);
    ck_assert_uint_ge(values[row_of("queue_wait")->first], 1000000);
    ck_assert_ptr_eq(mr_worker_stats(worker), mr_stats_of(domain, mr_worker_index(worker)));
    mr_worker_leave(worker);
    mr_intake_close(intake);
    mr_member_leave(tokenizer);
}
END_TEST

START_TEST(a_request_that_was_begun_waits_no_more)
{
    mr_member *tokenizer;
    mr_intake *intake = support_intake(domain, &tokenizer);
    mr_worker *worker = support_worker(domain, 4);
    mr_request request = support_request(1, 3);
    mr_context *batch[4];

    request.accepted = mr_boottime_ns();
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
        if (i == 0)
            ck_assert_int_eq(mr_text_update(mr_context_text(batch[0]), 5, NULL), 0);
        mr_worker_put_back(worker, batch[0]);
    }
    ck_assert_uint_eq(total("claims"), 3);
    ck_assert_uint_eq(total_samples("queue_wait"), 1);
    mr_worker_leave(worker);
    mr_intake_close(intake);
    mr_member_leave(tokenizer);
}
END_TEST

START_TEST(the_supervisor_measures_where_the_requests_are)
{
    mr_member *tokenizer;
    mr_intake *intake = support_intake(domain, &tokenizer);
    mr_worker *worker = support_worker(domain, 1);
    mr_context *batch[1];

    for (uint64_t i = 1; i <= 3; i++) {
        mr_request request = support_request(i, 3);

        ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    }
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    mr_stats_measure(domain);
    ck_assert_uint_eq(total("slots"), 8);
    ck_assert_uint_eq(total("slots_used"), 3);
    ck_assert_uint_eq(total("contexts_waiting"), 2);
    ck_assert_uint_eq(total("contexts_running"), 1);
    ck_assert_uint_eq(total("stage_waiting"), 2);
    ck_assert_str_eq(row_of("stage_waiting")->label, "stage=generate");
    ck_assert_uint_gt(total("arena_bytes_used"), 0);
    mr_worker_leave(worker);
    mr_intake_close(intake);
    mr_member_leave(tokenizer);
}
END_TEST

/* ---- the reader ---- */

START_TEST(a_reader_learns_who_counts)
{
    mr_worker *worker = support_worker(domain, 3);
    mr_stats_owner owner = {.size = sizeof(owner)};
    mr_stats_head_info head = {.size = sizeof(head)};

    mr_stats_get_head(view, &head);
    ck_assert_str_eq(head.name, support_name(domain));
    ck_assert_uint_eq(head.pages, MR_MAX_MEMBERS + 1);
    ck_assert_int_eq(mr_stats_get_owner(view, (uint32_t)mr_worker_index(worker), &owner), 0);
    ck_assert_int_eq(owner.pid, getpid());
    ck_assert_uint_eq(owner.role, MR_ROLE_WORKER);
    ck_assert_uint_eq(owner.capacity, 3);
    ck_assert_int_eq(mr_stats_get_owner(view, head.pages - 1, &owner), 0);
    ck_assert_uint_eq(owner.role, MR_ROLE_SUPERVISOR);
    ck_assert_int_eq(mr_stats_get_owner(view, 40, &owner), -ENOENT);
    ck_assert_int_eq(mr_stats_get_owner(view, 4000, &owner), -ENOENT);
    ck_assert_int_eq(mr_stats_read(view, 40, values), -ENOENT);
    ck_assert_int_eq(mr_stats_read(view, head.pages - 1, values), 0);
    ck_assert(mr_stats_alive(view));
    ck_assert_ptr_null(mr_stats_find_row(view, "nothing"));
    ck_assert_ptr_null(mr_stats_get_row(view, head.rows));
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_supervisor_that_is_no_more_is_seen_to_be_dead)
{
    struct mr_stats *page = mr_stats_supervisor(domain);

    page->start_time++; /* another process has its pid */
    ck_assert(!mr_stats_alive(view));
    page->pid_namespace = 1; /* it can't be seen from here: its last look tells */
    ck_assert(!mr_stats_alive(view));
    mr_stats_measure(domain);
    ck_assert(mr_stats_alive(view));
}
END_TEST

static int count_own(void *self, const char *name)
{
    *(int *)self += !strcmp(name, support_name(domain));
    return 0;
}

START_TEST(the_domains_of_the_machine_are_listed)
{
    int count = 0;

    ck_assert_int_eq(mr_stats_each(count_own, &count), 0);
    ck_assert_int_eq(count, 1);
}
END_TEST

/* A segment that only has the name of one, in place of the domain's. */
static void replace_segment(const void *bytes, size_t count)
{
    char path[MR_PATH_MAX];
    int fd;

    mr_segment_path(path, support_name(domain), "stats");
    ck_assert_int_eq(unlink(path), 0);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, count), (ssize_t)count);
    close(fd);
}

static int reopen_with(const mr_stats_segment *segment, size_t bytes)
{
    replace_segment(segment, bytes);
    mr_stats_close(view);
    view = NULL;
    return mr_stats_open(&view, support_name(domain));
}

static mr_stats_segment *copy_segment(void)
{
    mr_stats_segment *copy = aligned_alloc(128, sizeof(*copy));

    memcpy(copy, domain->stats, sizeof(*copy));
    return copy;
}

START_TEST(a_segment_that_points_outside_of_itself_is_refused)
{
    static const size_t words[] = {
        offsetof(mr_stats_head, rows),         offsetof(mr_stats_head, row_bytes),
        offsetof(mr_stats_head, pages),        offsetof(mr_stats_head, values),
        offsetof(mr_stats_head, table_offset), offsetof(mr_stats_head, pages_offset),
        offsetof(mr_stats_head, page_bytes),   offsetof(mr_stats_head, values_offset)};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        for (int bit = 3; bit < 32; bit += 28) {
            mr_stats_segment *copy = copy_segment();
            uint32_t word;

            memcpy(&word, (char *)copy + words[i], 4);
            word = bit == 3 ? 0x1ffff0 : word | 1u << bit;
            memcpy((char *)copy + words[i], &word, 4);
            ck_assert_int_eq(reopen_with(copy, sizeof(*copy)), -EBADMSG);
            free(copy);
        }
}
END_TEST

START_TEST(a_file_that_is_no_segment_or_another_format_is_refused)
{
    mr_stats_segment *copy = copy_segment();

    ck_assert_int_eq(reopen_with(copy, 40), -EPROTO);
    copy->head.magic++;
    ck_assert_int_eq(reopen_with(copy, sizeof(*copy)), -EPROTO);
    copy->head.magic--;
    ck_assert_int_eq(reopen_with(copy, sizeof(*copy) / 2), -EBADMSG);
    ck_assert_int_eq(reopen_with(copy, 0), -EBADMSG);
    free(copy);
}
END_TEST

START_TEST(rows_that_make_no_sense_are_left_out_and_texts_made_printable)
{
    mr_stats_segment *copy = copy_segment();
    uint32_t rows = copy->head.rows;

    strcpy(copy->table[0].name, "evil\x1b[2J\n");
    memset(copy->table[0].help, 'x', sizeof(copy->table[0].help));
    strcpy(copy->table[0].label, "a=\"\x9b");
    copy->table[1].first = MR_STATS_VALUES;
    copy->table[2].count = 0;
    strcpy(copy->table[3].kind, "matrix");
    copy->table[rows - 1].count = UINT32_MAX;
    copy->table[rows - 2].low = 99;
    ck_assert_int_eq(reopen_with(copy, sizeof(*copy)), 0);
    ck_assert_str_eq(mr_stats_get_row(view, 0)->name, "evil__2J_");
    ck_assert_uint_eq(strlen(mr_stats_get_row(view, 0)->help), 127);
    ck_assert_str_eq(mr_stats_get_row(view, 0)->label, "a=\"_");
    ck_assert_ptr_nonnull(mr_stats_get_row(view, rows - 6));
    ck_assert_ptr_null(mr_stats_get_row(view, rows - 5));
    free(copy);
}
END_TEST

START_TEST(a_page_of_another_layout_is_not_written)
{
    mr_stats_segment *copy = copy_segment();
    mr_domain *opened = NULL;

    copy->head.page_bytes += 128;
    replace_segment(copy, sizeof(*copy));
    ck_assert_int_eq(mr_domain_open(&opened, support_name(domain)), -EPROTO);
    free(copy);
}
END_TEST

START_TEST(names_of_no_domain_are_refused)
{
    mr_stats_view *none;

    ck_assert_int_eq(mr_stats_open(&none, "no-such-domain"), -ENOENT);
    ck_assert_int_eq(mr_stats_open(&none, "../etc/passwd"), -EINVAL);
    ck_assert_int_eq(mr_stats_open(&none, ""), -EINVAL);
    mr_stats_close(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stats");
    TCase *tests = tcase_create("stats");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, each_value_falls_into_the_bucket_that_holds_it);
    tcase_add_test(tests, a_bucket_is_at_most_an_eighth_wide);
    tcase_add_test(tests, quantiles_are_at_most_an_eighth_off);
    tcase_add_test(tests, a_histogram_without_samples_has_no_quantiles);
    tcase_add_test(tests, small_numbers_are_told_exactly);
    tcase_add_test(tests, values_of_any_size_are_counted);
    tcase_add_test(tests, what_the_dead_counted_stays_and_what_they_held_goes);
    tcase_add_test(tests, a_supervisor_killed_in_a_fold_counts_nothing_twice_and_loses_nothing);
    tcase_add_test(tests, totals_never_go_backwards_while_members_die);
    tcase_add_test(tests, steps_batches_and_waits_of_a_worker_are_recorded);
    tcase_add_test(tests, a_request_that_was_begun_waits_no_more);
    tcase_add_test(tests, the_supervisor_measures_where_the_requests_are);
    tcase_add_test(tests, a_reader_learns_who_counts);
    tcase_add_test(tests, a_supervisor_that_is_no_more_is_seen_to_be_dead);
    tcase_add_test(tests, the_domains_of_the_machine_are_listed);
    tcase_add_test(tests, a_segment_that_points_outside_of_itself_is_refused);
    tcase_add_test(tests, a_file_that_is_no_segment_or_another_format_is_refused);
    tcase_add_test(tests, rows_that_make_no_sense_are_left_out_and_texts_made_printable);
    tcase_add_test(tests, a_page_of_another_layout_is_not_written);
    tcase_add_test(tests, names_of_no_domain_are_refused);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
