/*
 * timeline_test.c - what is written for Perfetto is JSON, keeps the rules of the trace-event format
 * and shows each lease
 *
 * The rules, from the format's description: each event has ph, pid, tid and name; slices (X) have
 * ts and dur, and those of one pid and tid lie beside or within each other; an arrow is an s and an
 * f of one id, cat and name, in the order of time, and each of its ends lies on a slice.
 */
#include "runtime/timeline.h"
#include <check.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { TRACES = 3 };

static const uint64_t MS = 1000000;

static struct timeline timeline;
static mr_trace traces[TRACES];
static json_t *root, *events;

static void begin_trace(mr_trace *trace, uint64_t ordinal, const char *id)
{
    *trace = (mr_trace){.ordinal = ordinal,
                        .choices = 1,
                        .accepted = ordinal * MS,
                        .queued = ordinal * MS + 100,
                        .id_bytes = (uint32_t)strlen(id)};
    memcpy(trace->id, id, strlen(id));
}

static void lease(mr_trace *trace, uint32_t member, uint64_t begun, uint64_t ended, uint32_t end)
{
    trace->lease[trace->leases++] = (mr_trace_lease){
        .begun = begun, .ended = ended, .member = member, .end = end, .commits = 3};
}

/* Two requests held at once by one worker, one of them taken back and held by another; and one in
 * flight with an id that is nothing for a terminal. */
static void setup(void)
{
    timeline = (struct timeline){.traces = traces, .count = TRACES, .now = 100 * MS, .offset = MS};
    strcpy(timeline.info.name, "a\"b");
    strcpy(timeline.members[4], "mr-worker-0");
    begin_trace(&traces[0], 1, "first");
    lease(&traces[0], 4, 10 * MS, 30 * MS, MR_TRACE_DONE);
    traces[0].emitted = 40 * MS;
    begin_trace(&traces[1], 2, "second");
    lease(&traces[1], 4, 20 * MS, 50 * MS, MR_TRACE_TAKEN_BACK);
    lease(&traces[1], 5, 60 * MS, 61 * MS, MR_TRACE_DONE);
    traces[1].emitted = 62 * MS;
    begin_trace(&traces[2], 3, "\033[2J\"\xff");
    lease(&traces[2], 4, 70 * MS, 0, MR_TRACE_RUNNING);
    traces[2].state = MR_TRACE_HELD;
}

static void write_it(void)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t error;
    FILE *file = open_memstream(&text, &size);

    ck_assert_int_eq(timeline_chrome(&timeline, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(root != NULL, "%s at line %d of %s", error.text, error.line, text);
    events = json_object_get(root, "traceEvents");
    ck_assert(json_is_array(events));
    free(text);
}

static void teardown(void)
{
    json_decref(root);
}

/* ---- one event ---- */

static const char *word_of(const json_t *event, const char *key)
{
    const char *word = json_string_value(json_object_get(event, key));
    return word != NULL ? word : "";
}

static json_int_t number_of(const json_t *event, const char *key)
{
    return json_integer_value(json_object_get(event, key));
}

static double time_of(const json_t *event, const char *key)
{
    const json_t *time = json_object_get(event, key);
    ck_assert_msg(json_is_number(time), "'%s' is missing", key);
    return json_number_value(time);
}

static bool is_phase(const json_t *event, char phase)
{
    return word_of(event, "ph")[0] == phase;
}

static bool on_one_track(const json_t *a, const json_t *b)
{
    return number_of(a, "pid") == number_of(b, "pid") && number_of(a, "tid") == number_of(b, "tid");
}

static size_t count_of(char phase)
{
    size_t i, count = 0;
    json_t *event;
    json_array_foreach(events, i, event) count += is_phase(event, phase);
    return count;
}

/* ---- tests ---- */

START_TEST(each_event_has_what_its_kind_needs)
{
    size_t i;
    json_t *event;

    write_it();
    json_array_foreach(events, i, event)
    {
        ck_assert(strlen(word_of(event, "ph")) == 1 && strchr("MXsf", word_of(event, "ph")[0]));
        ck_assert(json_is_integer(json_object_get(event, "pid")));
        ck_assert(json_is_integer(json_object_get(event, "tid")));
        ck_assert(word_of(event, "name")[0] != '\0');
        if (is_phase(event, 'M')) {
            ck_assert(word_of(json_object_get(event, "args"), "name")[0] != '\0');
            continue;
        }
        ck_assert(time_of(event, "ts") >= 0);
        if (is_phase(event, 'X'))
            ck_assert(time_of(event, "dur") >= 0);
    }
}
END_TEST

START_TEST(slices_of_one_track_never_cross)
{
    size_t i, j;
    json_t *a, *b;

    write_it();
    json_array_foreach(events, i, a) json_array_foreach(events, j, b)
    {
        double from, to, other_from, other_to;
        if (i == j || !is_phase(a, 'X') || !is_phase(b, 'X') || !on_one_track(a, b))
            continue;
        from = time_of(a, "ts");
        to = from + time_of(a, "dur");
        other_from = time_of(b, "ts");
        other_to = other_from + time_of(b, "dur");
        ck_assert(to <= other_from || other_to <= from || (from >= other_from && to <= other_to) ||
                  (other_from >= from && other_to <= to));
    }
}
END_TEST

static bool lies_on_a_slice(const json_t *end)
{
    size_t i;
    json_t *slice;
    const double at = time_of(end, "ts");
    json_array_foreach(events, i,
                       slice) if (is_phase(slice, 'X') && on_one_track(slice, end) &&
                                  time_of(slice, "ts") <= at &&
                                  at <= time_of(slice, "ts") + time_of(slice, "dur")) return true;
    return false;
}

START_TEST(each_lease_has_an_arrow_from_its_request)
{
    size_t i, j, pairs = 0;
    json_t *from, *to;

    write_it();
    json_array_foreach(events, i, from) json_array_foreach(events, j, to)
    {
        if (!is_phase(from, 's') || !is_phase(to, 'f') ||
            number_of(from, "id") != number_of(to, "id"))
            continue;
        pairs++;
        ck_assert_str_eq(word_of(from, "cat"), word_of(to, "cat"));
        ck_assert_str_eq(word_of(from, "name"), word_of(to, "name"));
        ck_assert(time_of(from, "ts") <= time_of(to, "ts"));
        ck_assert(lies_on_a_slice(from) && lies_on_a_slice(to));
    }
    ck_assert_uint_eq(pairs, 4);
    ck_assert_uint_eq(count_of('s'), 4);
    ck_assert_uint_eq(count_of('f'), 4);
}
END_TEST

static const json_t *slice_named(const char *name, double at)
{
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event) if (is_phase(event, 'X') &&
                                             strcmp(word_of(event, "name"), name) == 0 &&
                                             time_of(event, "ts") == at) return event;
    ck_abort_msg("no slice '%s' at %f us", name, at);
    return NULL;
}

START_TEST(leases_are_slices_of_their_member)
{
    const json_t *first, *second, *other, *held;

    write_it();
    first = slice_named("first", 10000);
    second = slice_named("second", 20000);
    other = slice_named("second", 60000);
    held = slice_named("?[2J\"?", 70000);
    ck_assert(time_of(first, "dur") == 20000);
    ck_assert(number_of(first, "pid") == number_of(second, "pid"));
    ck_assert(!on_one_track(first, second)); /* held at once */
    ck_assert(number_of(other, "pid") != number_of(second, "pid"));
    ck_assert_str_eq(word_of(json_object_get(second, "args"), "end"), "taken back");
    ck_assert(time_of(held, "dur") == 30000); /* until now */
    ck_assert(time_of(slice_named("held by mr-worker-0", 70000), "dur") == 30000);
}
END_TEST

START_TEST(a_lease_of_which_the_end_is_lost_ends_with_what_is_known)
{
    traces[0].lease[0].ended = 0;
    traces[0].lease[0].first = 11 * MS;
    write_it();
    ck_assert(time_of(slice_named("first", 10000), "dur") == 1000);
}
END_TEST

START_TEST(nothing_is_written_of_no_requests)
{
    timeline.count = 0;
    write_it();
    ck_assert_uint_eq(count_of('X'), 0);
    ck_assert_uint_eq(count_of('M'), 1);
}
END_TEST

START_TEST(an_id_that_was_cut_ends_in_dots)
{
    char id[TIMELINE_ID];

    memset(traces[0].id, 'x', MR_TRACE_ID);
    memcpy(traces[0].id + MR_TRACE_ID - 2, "\xe2\x82", 2); /* two bytes of three */
    traces[0].id_bytes = 200;
    timeline_id(&traces[0], id);
    ck_assert_uint_eq(strlen(id), MR_TRACE_ID - 2 + 3);
    ck_assert_str_eq(id + MR_TRACE_ID - 3, "x...");
}
END_TEST

START_TEST(a_full_disk_is_told)
{
    FILE *full = fopen("/dev/full", "w");

    ck_assert_int_lt(timeline_chrome(&timeline, full), 0);
    fclose(full);
    root = NULL;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timeline");
    TCase *tcase = tcase_create("chrome");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, each_event_has_what_its_kind_needs);
    tcase_add_test(tcase, slices_of_one_track_never_cross);
    tcase_add_test(tcase, each_lease_has_an_arrow_from_its_request);
    tcase_add_test(tcase, leases_are_slices_of_their_member);
    tcase_add_test(tcase, a_lease_of_which_the_end_is_lost_ends_with_what_is_known);
    tcase_add_test(tcase, nothing_is_written_of_no_requests);
    tcase_add_test(tcase, an_id_that_was_cut_ends_in_dots);
    tcase_add_test(tcase, a_full_disk_is_told);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
