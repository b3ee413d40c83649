/*
 * metrics.c - `millrace metrics`: the stats for Prometheus
 *
 * Names follow vLLM's where they mean the same, so that its users' dashboards need a prefix
 * changed; all others are made from the row. So a domain of a newer version shows what this one
 * never heard of. Base units as Prometheus wants them: seconds and bytes.
 */
#include "runtime/log.h"
#include "runtime/monitor/monitor.h"
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <millrace/member.h>
#include <string.h>

/* Rows whose name isn't simply theirs, its unit and kind. */
static const struct {
    const char *row;
    const char *name;
} names[] = {
    {"generated_tokens", "generation_tokens_total"}, {"contexts_running", "num_requests_running"},
    {"contexts_waiting", "num_requests_waiting"},    {"end_to_end", "e2e_request_latency_seconds"},
    {"queue_wait", "request_queue_time_seconds"},    {"prompt_length", "request_prompt_tokens"},
    {"output_length", "request_generation_tokens"},
};

struct metric {
    char name[96];
    char labels[192]; /* without braces */
    double unit;      /* by which values are multiplied */
};

static bool is_time(const mr_stats_row *row)
{
    return strcmp(row->unit, "nanoseconds") == 0;
}

static void name_metric(struct metric *metric, const mr_stats_row *row)
{
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(row->name, names[i].row) == 0) {
            snprintf(metric->name, sizeof(metric->name), "millrace_%s", names[i].name);
            return;
        }
    snprintf(metric->name, sizeof(metric->name), "millrace_%s%s%s", row->name,
             is_time(row) ? "_seconds" : "", row->kind == MR_STATS_COUNTER ? "_total" : "");
}

/* "stage=generate" -> ,stage="generate"; what is no label is left out. */
static void add_label(struct metric *metric, const char *label)
{
    const char *equals = strchr(label, '=');
    size_t used = strlen(metric->labels), length = equals != NULL ? (size_t)(equals - label) : 0;
    if (length == 0 || isdigit((unsigned char)label[0]))
        return;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)label[i]) && label[i] != '_')
            return;
    used += (size_t)snprintf(metric->labels + used, sizeof(metric->labels) - used, ",%.*s=\"",
                             (int)length, label);
    for (label = equals + 1; *label != '\0'; label++) {
        if (*label == '"' || *label == '\\')
            metric->labels[used++] = '\\';
        metric->labels[used++] = *label;
    }
    metric->labels[used++] = '"';
    metric->labels[used] = '\0';
}

static struct metric metric_of(const struct snapshot *snapshot, const mr_stats_row *row)
{
    struct metric metric = {.unit = is_time(row) ? 1e-9 : 1};
    name_metric(&metric, row);
    snprintf(metric.labels, sizeof(metric.labels), "domain=\"%s\"", snapshot->head.name);
    add_label(&metric, row->label);
    return metric;
}

/* Once for all rows of one name, which lie anywhere in the table. */
static void write_head(FILE *file, const char *name, const char *help, const char *type)
{
    fprintf(file, "# HELP %s ", name);
    for (; *help != '\0'; help++)
        fprintf(file, "%s%c", *help == '\\' ? "\\" : "", *help);
    fprintf(file, "\n# TYPE %s %s\n", name, type);
}

static void write_value(FILE *file, const struct snapshot *snapshot, const mr_stats_row *row)
{
    struct metric metric = metric_of(snapshot, row);
    fprintf(file, "%s{%s} ", metric.name, metric.labels);
    if (is_time(row))
        fprintf(file, "%.9f\n", (double)snapshot->totals[row->first] * metric.unit);
    else
        fprintf(file, "%" PRIu64 "\n", snapshot->totals[row->first]);
}

/* A bucket for each power of two: the finer ones are of no use to a dashboard. */
static void write_histogram(FILE *file, const struct snapshot *snapshot, const mr_stats_row *row)
{
    struct metric metric = metric_of(snapshot, row);
    const uint64_t *values = &snapshot->totals[row->first];
    uint64_t before = 0;
    for (uint32_t i = 0; i + 2 < row->count; i++) {
        before += values[1 + i];
        /* values are whole and below `end`: so they are at most `end` - 1 */
        if (((i + 1) & ((1u << row->sub) - 1)) == 0)
            fprintf(file, "%s_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", metric.name, metric.labels,
                    (double)(mr_stats_bucket_end(row, i) - (is_time(row) ? 0 : 1)) * metric.unit,
                    before);
    }
    before += values[row->count - 1];
    fprintf(file, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", metric.name, metric.labels, before);
    fprintf(file, "%s_sum{%s} %.9g\n", metric.name, metric.labels, (double)values[0] * metric.unit);
    fprintf(file, "%s_count{%s} %" PRIu64 "\n", metric.name, metric.labels, before);
}

/* Is there an earlier row of that name? */
static bool is_repeated(const struct snapshot *snapshot, const mr_stats_row *row)
{
    return mr_stats_find_row(snapshot->view, row->name) != row;
}

static void write_rows(FILE *file, const struct snapshot *snapshot, const mr_stats_row *row)
{
    static const char *const types[] = {"untyped", "counter", "gauge", "histogram"};
    struct metric metric = metric_of(snapshot, row);
    const mr_stats_row *other;
    if (is_repeated(snapshot, row))
        return;
    write_head(file, metric.name, row->help, types[row->kind]);
    for (uint32_t i = 0; (other = mr_stats_get_row(snapshot->view, i)) != NULL; i++) {
        if (strcmp(other->name, row->name) != 0 || other->kind != row->kind)
            continue;
        if (row->kind == MR_STATS_HISTOGRAM)
            write_histogram(file, snapshot, other);
        else
            write_value(file, snapshot, other);
    }
}

static void write_gauge(FILE *file, const struct snapshot *snapshot, const char *name,
                        const char *help, double value)
{
    write_head(file, name, help, "gauge");
    fprintf(file, "%s{domain=\"%s\"} %.9g\n", name, snapshot->head.name, value);
}

static void write_members(FILE *file, const struct snapshot *snapshot)
{
    unsigned members[MR_ROLE_WORKER + 1] = {0};
    write_head(file, "millrace_members", "processes of the group now", "gauge");
    for (uint32_t page = 0; page < snapshot->head.pages; page++) {
        mr_stats_owner owner = {.size = sizeof(owner)};
        if (mr_stats_get_owner(snapshot->view, page, &owner) == 0 && owner.role <= MR_ROLE_WORKER)
            members[owner.role]++;
    }
    for (uint32_t role = MR_ROLE_SUPERVISOR; role <= MR_ROLE_WORKER; role++)
        fprintf(file, "millrace_members{domain=\"%s\",role=\"%s\"} %u\n", snapshot->head.name,
                role_name(role), members[role]);
}

void metrics_write(FILE *file, const struct snapshot *snapshot)
{
    uint64_t capacity = snapshot_value(snapshot, "kv_capacity");
    uint64_t used = snapshot_value(snapshot, "kv_tokens");
    const mr_stats_row *row;
    write_gauge(file, snapshot, "millrace_alive", "1 while the domain's supervisor runs, else 0",
                snapshot->alive);
    write_gauge(file, snapshot, "millrace_uptime_seconds", "since the domain was made",
                snapshot_uptime(snapshot));
    write_gauge(file, snapshot, "millrace_kv_cache_usage_perc",
                "part of the workers' KV cache that is reserved now; 1 is all",
                capacity > 0 ? (double)used / (double)capacity : 0);
    write_members(file, snapshot);
    for (uint32_t i = 0; (row = mr_stats_get_row(snapshot->view, i)) != NULL; i++)
        write_rows(file, snapshot, row);
}

/* ---- the verb ---- */

static void help(void)
{
    puts("usage: millrace metrics [NAME] [--listen ADDRESS:PORT]\n"
         "\n"
         "Prints what the domain NAME counts in Prometheus' text format, or answers with it at\n"
         "http://ADDRESS:PORT/metrics. NAME may be left out when there is just one; when "
         "listening,\n"
         "the domain may come and go.\n"
         "\n"
         "      --listen ADDRESS:PORT   127.0.0.1:9464, [::1]:9464, :9464 (everywhere)\n"
         "      --help");
}

/* The domain is looked up for each answer: another run may have its name by now. */
static int write_page(void *self, FILE *file, char *why, size_t size)
{
    struct snapshot snapshot;
    int error = snapshot_open(&snapshot, self, why, size);
    if (error < 0)
        return error;
    metrics_write(file, &snapshot);
    snapshot_close(&snapshot);
    return 0;
}

static int print_once(char *name)
{
    char why[700];
    if (write_page(name, stdout, why, sizeof(why)) == 0)
        return fflush(stdout) == 0 ? MONITOR_DONE : MONITOR_FAILED;
    log_error("%s", why);
    return MONITOR_FAILED;
}

int metrics_main(int argc, char **argv)
{
    static const struct option table[] = {{"listen", required_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    const char *address = NULL;
    int option;
    char *name;
    monitor_begin("millrace");
    optind = 0;
    while ((option = getopt_long(argc, argv, "", table, NULL)) == 'l')
        address = optarg;
    if (option == 'h') {
        help();
        return MONITOR_DONE;
    }
    if (option != -1 || argc - optind > 1) {
        fputs("try 'millrace metrics --help'\n", stderr);
        return MONITOR_FAILED;
    }
    name = optind < argc ? argv[optind] : NULL;
    if (address == NULL)
        return print_once(name);
    return http_serve(address, write_page, name) == 0 ? MONITOR_DONE : MONITOR_FAILED;
}
