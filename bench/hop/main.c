/*
 * main.c - ./dev bench hop: what it costs to hand a context to another process
 *
 * Each table's rows are measured in turn, all of them once in each repetition, so that what the
 * machine did besides meets all alike; the bare cache line is one of them. Ratios are ratios of
 * medians of one table.
 */
#include "bench/hop/parts.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum { PACED_US = 100, PACED_LONGER = 5 };

static int repetitions = 7;
static double seconds = 0.1; /* of one measurement */

/* ---- tables ---- */

static double median(const series *s)
{
    return series_at(s, 0.5);
}

static void print_cell(const series *s, double unit, int digits)
{
    printf(" %.*f / **%.*f** / %.*f", digits, series_at(s, 0) / unit, digits, median(s) / unit,
           digits, series_at(s, 1) / unit);
}

/* What the table's minutes were like. */
typedef struct weather {
    series line; /* the bare cache line, there and back */
    double wall, busy, own;
} weather;

static void look_at_clocks(weather *w, double sign)
{
    w->wall += sign * (double)now_ns() / 1e9;
    w->busy += sign * busy_seconds();
    w->own += sign * own_seconds();
}

static void begin_table(weather *w)
{
    *w = (weather){0};
    look_at_clocks(w, -1);
}

static void end_table(weather *w)
{
    double others;

    look_at_clocks(w, 1);
    others = w->busy - w->own;
    printf("\nA bare cache line there and back meanwhile:");
    print_cell(&w->line, 1, 0);
    printf(" ns. Processors busy with this %.1f, with others %.1f, of %d.\n", w->own / w->wall,
           others > 0 ? others / w->wall : 0, processors());
}

static void feel(weather *w)
{
    series_add(&w->line, round_trip(&trip_line, false, 0.01));
}

/* ---- W1 ---- */

static void throughput_of(const char *title, int pairs)
{
    static const lane *const lanes[] = {&lane_millrace, &lane_vyukov, &lane_lamport};
    const size_t count = pairs > 1 ? 2 : 3;
    series figures[3] = {0};
    weather w;

    begin_table(&w);
    for (int repetition = 0; repetition < repetitions; repetition++) {
        feel(&w);
        for (size_t i = 0; i < count; i++)
            series_add(&figures[i], throughput(lanes[i], pairs, seconds));
    }
    printf("\n**W1, %s**\n\n| lane | million handles/s | millrace against it |\n"
           "| --- | --- | --- |\n",
           title);
    for (size_t i = 0; i < count; i++) {
        printf("| %s |", lanes[i]->name);
        print_cell(&figures[i], 1e6, 1);
        printf(" | %.2fx |\n", median(&figures[0]) / median(&figures[i]));
    }
    end_table(&w);
}

static void part_throughput(void)
{
    throughput_of("one producer, one consumer", 1);
    throughput_of("two producers, two consumers", 2);
}

/* ---- W2 ---- */

static void trips_of(const char *title, const char *against, const trip *const *trips, size_t count,
                     bool same_processor)
{
    series figures[8] = {0};
    weather w;

    begin_table(&w);
    for (int repetition = 0; repetition < repetitions; repetition++) {
        feel(&w);
        for (size_t i = 0; i < count; i++)
            series_add(&figures[i], round_trip(trips[i], same_processor, seconds));
    }
    printf("\n**W2, %s**\n\n| way | ns there and back | against %s |\n| --- | --- | --- |\n", title,
           against);
    for (size_t i = 0; i < count; i++) {
        printf("| %s |", trips[i]->name);
        print_cell(&figures[i], 1, 0);
        printf(" | %.2fx |\n", median(&figures[i]) / median(&figures[0]));
    }
    end_table(&w);
}

static void part_trip(void)
{
    static const trip *const spinning[] = {&trip_line, &trip_ring, &trip_queue, &trip_vyukov,
                                           &trip_lamport};
    static const trip *const sleeping[] = {&trip_doorbell, &trip_bounded, &trip_semaphore,
                                           &trip_eventfd,  &trip_pipe,
#ifdef HOP_ZMQ
                                           &trip_zmq
#endif
    };
    const size_t sleepers = sizeof(sleeping) / sizeof(*sleeping);

    trips_of("spinning", "the line", spinning, sizeof(spinning) / sizeof(*spinning), false);
    trips_of("sleeping, two processors", "millrace", sleeping, sleepers, false);
    trips_of("sleeping, one processor", "millrace", sleeping, sleepers, true);
}

/* ---- W3, W4 ---- */

struct row {
    const char *name;
    served (*serve)(const serving *s);
    serving plan;
    series tokens, cpu, p50, p99;
    double copied;
};

static void serve_row(struct row *row)
{
    served s = row->serve(&row->plan);

    series_add(&row->tokens, s.tokens);
    series_add(&row->cpu, s.cpu_ns);
    series_add(&row->p50, s.delay_p50_us);
    series_add(&row->p99, s.delay_p99_us);
    row->copied = s.copied;
}

/* The peer's row with the same load as this one; NULL if there is no peer, or this is it. */
static const struct row *peer_of(const struct row *rows, size_t count, const struct row *row)
{
    for (size_t i = 0; i < count && row->serve == serve_millrace; i++)
        if (rows[i].serve != serve_millrace && rows[i].plan.in_flight == row->plan.in_flight &&
            rows[i].plan.workers == row->plan.workers)
            return &rows[i];
    return NULL;
}

static void print_against(double ratio, bool peer)
{
    if (peer)
        printf(" (%.*fx) |", ratio < 10 ? 1 : 0, ratio);
    else
        printf(" |");
}

static void print_row(const struct row *row, const struct row *peer)
{
    const struct row *with = peer ? peer : row;

    printf("| %d x %d | %s |", row->plan.in_flight, row->plan.workers, row->name);
    print_cell(&row->tokens, 1e6, row->plan.step_us ? 3 : 2);
    print_against(median(&row->tokens) / median(&with->tokens), peer);
    print_cell(&row->cpu, 1, 0);
    print_against(median(&with->cpu) / median(&row->cpu), peer);
    print_cell(&row->p50, 1, 2);
    print_against(median(&with->p50) / median(&row->p50), peer);
    printf(" %.1f |", median(&row->p99));
    if (row->serve == serve_millrace)
        printf(" none |\n"); /* whatever is read, is read where the tokenizer or worker wrote it */
    else
        printf(" %.1f |\n", row->copied / 1e3);
}

static size_t make_rows(struct row *rows, const int (*loads)[2], size_t count, unsigned step_us)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        const serving plan = {.in_flight = loads[i][0],
                              .workers = loads[i][1],
                              .step_us = step_us,
                              .seconds = step_us ? seconds * PACED_LONGER : seconds};

        rows[n] = (struct row){.name = "spinning", .serve = serve_millrace, .plan = plan};
        rows[n++].plan.poll = true;
        rows[n++] = (struct row){.name = "sleeping", .serve = serve_millrace, .plan = plan};
#ifdef HOP_ZMQ
        rows[n++] = (struct row){.name = "ZeroMQ", .serve = serve_zmq, .plan = plan};
#endif
    }
    return n;
}

static void serve_loads(const char *title, const int (*loads)[2], size_t load_count,
                        unsigned step_us)
{
    static struct row rows[16];
    const size_t count = make_rows(rows, loads, load_count, step_us);
    weather w;

    begin_table(&w);
    for (int repetition = 0; repetition < repetitions; repetition++) {
        feel(&w);
        for (size_t i = 0; i < count; i++)
            serve_row(&rows[i]);
    }
    printf(
        "\n**%s**; in brackets how much better than ZeroMQ\n\n"
        "| in flight x workers | | million tokens/s | CPU ns a token | token delay p50, us | p99 | "
        "KB copied |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        title);
    for (size_t i = 0; i < count; i++)
        print_row(&rows[i], peer_of(rows, count, &rows[i]));
    end_table(&w);
}

static void part_serve(void)
{
    static const int loads[][2] = {{1, 1}, {8, 1}, {64, 1}, {64, 4}};

    serve_loads("W3 and W4, 1,024 tokens in, 256 out, a model step costs nothing", loads, 4, 0);
}

static void part_pace(void)
{
    static const int loads[][2] = {{1, 1}, {8, 1}, {64, 1}};

    serve_loads("W3 with model steps of 100 us", loads, 3, PACED_US);
}

/* ---- W5 ---- */

static void part_safety(void)
{
    static const int tokens[] = {16, 128, 1024};
    enum { SIZES = sizeof(tokens) / sizeof(*tokens) };
    series safe[SIZES] = {0}, bare[SIZES] = {0};
    weather w;

    begin_table(&w);
    for (int repetition = 0; repetition < repetitions; repetition++) {
        feel(&w);
        for (size_t i = 0; i < SIZES; i++) {
            series_add(&safe[i], hand_over(true, tokens[i], seconds));
            series_add(&bare[i], hand_over(false, tokens[i], seconds));
        }
    }
    printf("\n**W5, what crash safety costs**\n\n| tokens of a context | safe, ns | bare, ns | "
           "safe against bare |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < SIZES; i++) {
        printf("| %d |", tokens[i]);
        print_cell(&safe[i], 1, 0);
        printf(" |");
        print_cell(&bare[i], 1, 0);
        printf(" | %.2fx |\n", median(&safe[i]) / median(&bare[i]));
    }
    end_table(&w);
}

/* ---- all ---- */

static const struct {
    const char *name;
    void (*measure)(void);
} parts[] = {{"throughput", part_throughput},
             {"trip", part_trip},
             {"serve", part_serve},
             {"pace", part_pace},
             {"safety", part_safety}};

static void print_machine(void)
{
    struct utsname system;
    char line[256] = "", model[200] = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "re");

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "model name : %199[^\n]", model) == 1)
            break;
    if (file)
        fclose(file);
    uname(&system);
    printf(
        "%d processors of '%s', Linux %s. %d repetitions of %.2f s, all rows of a table in turn; "
        "figures are least / **median** / most.\n",
        processors(), model, system.release, repetitions, seconds);
}

static void run_parts(char *const *names, int count)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        bool wanted = !count;

        for (int k = 0; k < count; k++)
            wanted = wanted || !strcmp(names[k], parts[i].name);
        if (wanted)
            parts[i].measure();
    }
}

static void usage(void)
{
    die("usage: hop [-r REPETITIONS] [-s SECONDS] [throughput] [trip] [serve] [pace] [safety]");
}

int main(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "r:s:")) != -1)
        if (option == 'r')
            repetitions = atoi(optarg);
        else if (option == 's')
            seconds = atof(optarg);
        else
            usage();
    if (repetitions < 1 || repetitions > MAX_REPETITIONS || !(seconds > 0 && seconds <= 5))
        usage();
    if (processors() < 2)
        die("a hop needs two processors at least");
    setvbuf(stdout, NULL, _IOLBF, 0);
    print_machine();
    run_parts(argv + optind, argc - optind);
    return 0;
}
