/*
 * main.c - ./dev bench stats: what it costs to count, and to read what was counted
 *
 * Writing: a member's page in a domain of its own, by the public calls; each figure is the median
 * of many rounds, less what the loop itself costs. Values come from a table, so that their buckets
 * can't be foretold. Reading: all values of all pages, as a monitor does.
 */
#include <millrace/millrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 101, CALLS = 20000, VALUES = 4096, MEMBERS = 5 };

static uint64_t values[VALUES];
static mr_stats *page;
static mr_stats_view *view;
static uint64_t *out;
static volatile uint64_t sink;

static void die(const char *why)
{
    fprintf(stderr, "stats: %s\n", why);
    exit(1);
}

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* ---- what is measured: `count` times ---- */

static void nothing(int count)
{
    for (int i = 0; i < count; i++)
        sink = values[i % VALUES];
}

static void add(int count)
{
    for (int i = 0; i < count; i++) {
        sink = values[i % VALUES];
        mr_stats_add(page, MR_STAT_commits, 1);
    }
}

static void set(int count)
{
    for (int i = 0; i < count; i++) {
        sink = values[i % VALUES];
        mr_stats_set(page, MR_STAT_held, (uint64_t)i);
    }
}

static void record(int count)
{
    for (int i = 0; i < count; i++)
        mr_stats_record(page, MR_HISTOGRAM_inter_token_latency, sink = values[i % VALUES], 1);
}

static void read_page(int count)
{
    for (int i = 0; i < count; i++)
        mr_stats_read(view, 0, out);
}

static void read_total(int count)
{
    for (int i = 0; i < count; i++)
        mr_stats_read_total(view, out);
}

/* ---- figures ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Nanoseconds a call: the median. */
static double measure(void (*body)(int), int calls)
{
    double rounds[ROUNDS];

    body(calls);
    for (int i = 0; i < ROUNDS; i++) {
        double begun = now_ns();

        body(calls);
        rounds[i] = (now_ns() - begun) / calls;
    }
    qsort(rounds, ROUNDS, sizeof(*rounds), compare);
    return rounds[ROUNDS / 2];
}

static void print_writing(void)
{
    double loop = measure(nothing, CALLS);

    printf("| writing | ns |\n| --- | --- |\n");
    printf("| add to a counter | **%.2f** |\n", measure(add, CALLS) - loop);
    printf("| set a gauge | **%.2f** |\n", measure(set, CALLS) - loop);
    printf("| record in a histogram | **%.2f** |\n\n", measure(record, CALLS) - loop);
}

static void print_reading(void)
{
    mr_stats_head_info head = {.size = sizeof(head)};
    double one, all;

    mr_stats_get_head(view, &head);
    one = measure(read_page, 200) / 1e3;
    all = measure(read_total, 200) / 1e3;
    printf("| reading | values | us | us a thousand values |\n| --- | --- | --- | --- |\n");
    printf("| one page | %u | %.2f | **%.2f** |\n", head.values, one, one / head.values * 1e3);
    printf("| totals of %d pages | %u | %.2f | **%.2f** |\n", MEMBERS + 2, head.values, all,
           all / head.values * 1e3);
}

static void fill_values(void)
{
    uint64_t state = 1;

    for (int i = 0; i < VALUES; i++) { /* Knuth's generator: some microseconds to a second */
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        values[i] = state >> (34 + state % 20);
    }
}

int main(void)
{
    const mr_domain_options options = {
        .size = sizeof(options), .arena_bytes = 1 << 16, .max_length = 64};
    const mr_member_options wants = {
        .size = sizeof(wants), .role = MR_ROLE_COLLECTOR, .name = "bench"};
    mr_stats_head_info head = {.size = sizeof(head)};
    mr_member *members[MEMBERS];
    mr_domain *domain;
    char name[32];

    snprintf(name, sizeof(name), "stats-%d", (int)getpid());
    if (mr_domain_create(&domain, name, &options) || mr_stats_open(&view, name))
        die(mr_error());
    for (int i = 0; i < MEMBERS; i++)
        if (mr_member_join(&members[i], domain, &wants))
            die(mr_error());
    page = mr_member_stats(members[0]);
    mr_stats_get_head(view, &head);
    out = calloc(head.values, sizeof(*out));
    if (!out)
        die("out of memory");
    fill_values();
    print_writing();
    print_reading();
    free(out);
    mr_stats_close(view);
    for (int i = 0; i < MEMBERS; i++)
        mr_member_leave(members[i]);
    mr_domain_remove(domain);
    return 0;
}
