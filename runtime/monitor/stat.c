/*
 * stat.c - `millrace stat`: all that a domain counts, as text or JSON
 */
#include "runtime/log.h"
#include "runtime/monitor/monitor.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <millrace/member.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct stat_options {
    const char *name;
    bool json;
    long watch_ms; /* 0: once */
};

static void help(void)
{
    puts("usage: millrace stat [NAME] [OPTION...]\n"
         "\n"
         "Shows all that the domain NAME counts; NAME may be left out when there is just one.\n"
         "Times are in nanoseconds in JSON, and with their unit in text.\n"
         "\n"
         "      --json          as one line of JSON\n"
         "      --watch TIME    again and again: 1s, 500ms ...\n"
         "      --help");
}

/* ---- text ---- */

static const char *unit_text(double value, const char *unit)
{
    static char texts[4][48];
    static unsigned next;
    char *text = texts[next++ % 4];
    const size_t size = sizeof(texts[0]);
    if (strcmp(unit, "nanoseconds") != 0)
        snprintf(text, size, "%.4g", value);
    else if (value < 1e6)
        snprintf(text, size, "%.3g us", value / 1e3);
    else if (value < 1e9)
        snprintf(text, size, "%.3g ms", value / 1e6);
    else
        snprintf(text, size, "%.4g s", value / 1e9);
    return text;
}

static void print_histogram(const struct snapshot *snapshot, const mr_stats_row *row)
{
    const uint64_t *values = snapshot->totals;
    uint64_t samples = mr_stats_samples(row, values);
    double mean = samples > 0 ? (double)values[row->first] / (double)samples : 0;
    printf("%-24s %14" PRIu64 " times; mean %s, p50 %s, p95 %s, p99 %s  %s\n", row->name, samples,
           unit_text(mean, row->unit), unit_text(mr_stats_quantile(row, values, 0.5), row->unit),
           unit_text(mr_stats_quantile(row, values, 0.95), row->unit),
           unit_text(mr_stats_quantile(row, values, 0.99), row->unit), row->help);
}

static void print_row(const struct snapshot *snapshot, const mr_stats_row *row)
{
    char name[80];
    if (row->kind == MR_STATS_HISTOGRAM) {
        print_histogram(snapshot, row);
        return;
    }
    snprintf(name, sizeof(name), "%s%s%s", row->name, row->label[0] ? " " : "", row->label);
    printf("%-24s %14" PRIu64 " %-10s %s\n", name, snapshot->totals[row->first], row->unit,
           row->help);
}

static void print_members(const struct snapshot *snapshot)
{
    for (uint32_t page = 0; page < snapshot->head.pages; page++) {
        mr_stats_owner owner = {.size = sizeof(owner)};
        double up;
        if (mr_stats_get_owner(snapshot->view, page, &owner) < 0)
            continue;
        up = snapshot->now > owner.joined_at ? (double)(snapshot->now - owner.joined_at) / 1e9 : 0;
        printf("%-24s %-10s process %-8d joined %s ago\n", owner.name, role_name(owner.role),
               owner.pid, time_text(up));
    }
}

static void print_text(const struct snapshot *snapshot)
{
    const mr_stats_row *row;
    printf("domain '%s', %s, up %s\n\n", snapshot->head.name, snapshot->alive ? "living" : "dead",
           time_text(snapshot_uptime(snapshot)));
    print_members(snapshot);
    puts("");
    for (uint32_t i = 0; (row = mr_stats_get_row(snapshot->view, i)) != NULL; i++)
        print_row(snapshot, row);
}

/* ---- JSON ---- */

static json_t *histogram_json(const mr_stats_row *row, const uint64_t *values)
{
    json_t *buckets = json_array();
    for (uint32_t i = 0; i + 1 < row->count; i++) {
        uint64_t end = mr_stats_bucket_end(row, i), here = values[row->first + 1 + i];
        if (here == 0)
            continue;
        json_array_append_new(
            buckets,
            json_pack("[oI]", end == UINT64_MAX ? json_null() : json_integer((json_int_t)end),
                      (json_int_t)here));
    }
    return json_pack("{sI sI sf sf sf so}", "samples", (json_int_t)mr_stats_samples(row, values),
                     "sum", (json_int_t)values[row->first], "p50",
                     mr_stats_quantile(row, values, 0.5), "p95",
                     mr_stats_quantile(row, values, 0.95), "p99",
                     mr_stats_quantile(row, values, 0.99), "buckets", buckets);
}

static json_t *values_json(const mr_stats_view *view, const uint64_t *values)
{
    json_t *all = json_object();
    const mr_stats_row *row;
    for (uint32_t i = 0; (row = mr_stats_get_row(view, i)) != NULL; i++) {
        char name[80];
        snprintf(name, sizeof(name), "%s%s%s%s", row->name, row->label[0] ? "{" : "", row->label,
                 row->label[0] ? "}" : "");
        json_object_set_new(all, name,
                            row->kind == MR_STATS_HISTOGRAM
                                ? histogram_json(row, values)
                                : json_integer((json_int_t)values[row->first]));
    }
    return all;
}

static json_t *members_json(const struct snapshot *snapshot)
{
    json_t *members = json_array();
    uint64_t *values = calloc(snapshot->head.values, sizeof(*values));
    for (uint32_t page = 0; values != NULL && page < snapshot->head.pages; page++) {
        mr_stats_owner owner = {.size = sizeof(owner)};
        if (mr_stats_get_owner(snapshot->view, page, &owner) < 0 ||
            mr_stats_read(snapshot->view, page, values) < 0)
            continue;
        json_array_append_new(members, json_pack("{ss ss si si si so}", "name", owner.name, "role",
                                                 role_name(owner.role), "pid", owner.pid, "stage",
                                                 (int)owner.stage, "capacity", (int)owner.capacity,
                                                 "values", values_json(snapshot->view, values)));
    }
    free(values);
    return members;
}

static json_t *units_json(const mr_stats_view *view)
{
    json_t *units = json_object();
    const mr_stats_row *row;
    for (uint32_t i = 0; (row = mr_stats_get_row(view, i)) != NULL; i++)
        json_object_set_new(units, row->name, json_string(row->unit));
    return units;
}

static int print_json(const struct snapshot *snapshot)
{
    json_t *all = json_pack("{ss sb sf sI so so so}", "domain", snapshot->head.name, "alive",
                            (int)snapshot->alive, "uptime", snapshot_uptime(snapshot), "created",
                            (json_int_t)snapshot->head.created, "totals",
                            values_json(snapshot->view, snapshot->totals), "units",
                            units_json(snapshot->view), "members", members_json(snapshot));
    int error = all == NULL || json_dumpf(all, stdout, JSON_COMPACT) < 0 ? -EIO : 0;
    json_decref(all);
    puts("");
    return error;
}

/* ---- the verb ---- */

static int show(const struct snapshot *snapshot, const struct stat_options *options)
{
    int error = 0;
    if (options->json)
        error = print_json(snapshot);
    else if (options->watch_ms > 0 && isatty(STDOUT_FILENO))
        fputs("\033[H\033[J", stdout);
    if (!options->json)
        print_text(snapshot);
    return error == 0 && fflush(stdout) == 0 ? 0 : -EIO;
}

/* Until the domain is gone, or nobody reads any more. */
static int watch(struct snapshot *snapshot, const struct stat_options *options)
{
    const struct timespec pause = {options->watch_ms / 1000, options->watch_ms % 1000 * 1000000};
    int error = show(snapshot, options);
    while (error == 0 && options->watch_ms > 0 && snapshot->alive) {
        nanosleep(&pause, NULL);
        snapshot_look(snapshot);
        if (!options->json && !isatty(STDOUT_FILENO))
            puts("");
        error = show(snapshot, options);
    }
    return error;
}

static bool read_options(struct stat_options *options, int argc, char **argv)
{
    static const struct option table[] = {{"json", no_argument, NULL, 'j'},
                                          {"watch", required_argument, NULL, 'w'},
                                          {NULL, 0, NULL, 0}};
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (option == '?')
            return false;
        if (option == 'j')
            options->json = true;
        else if ((options->watch_ms = interval_read(optarg)) < 0) {
            log_error("option '--watch' is '%s', but must be a time in [100ms, 3600s]", optarg);
            return false;
        }
    }
    if (argc - optind > 1)
        log_error("'%s' is one domain too many", argv[optind + 1]);
    options->name = optind < argc ? argv[optind] : NULL;
    return argc - optind <= 1;
}

int stat_main(int argc, char **argv)
{
    struct stat_options options = {0};
    struct snapshot snapshot;
    char why[700];
    int error;
    monitor_begin("millrace");
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        help();
        return MONITOR_DONE;
    }
    if (!read_options(&options, argc, argv)) {
        fputs("try 'millrace stat --help'\n", stderr);
        return MONITOR_FAILED;
    }
    if (snapshot_open(&snapshot, options.name, why, sizeof(why)) < 0) {
        log_error("%s", why);
        return MONITOR_FAILED;
    }
    error = watch(&snapshot, &options);
    snapshot_close(&snapshot);
    return error == 0 ? MONITOR_DONE : MONITOR_FAILED;
}
