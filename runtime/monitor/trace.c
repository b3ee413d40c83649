/*
 * trace.c - `millrace trace`: the way of a request, or of all for Perfetto
 *
 * It looks into a domain's data, which tells ids: so only its owner can.
 */
#include "runtime/log.h"
#include "runtime/monitor/monitor.h"
#include "runtime/timeline.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <millrace/check.h>
#include <millrace/context.h>
#include <millrace/error.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVENTS_MAX = 3 + 3 * MR_TRACE_LEASES };

struct trace_options {
    const char *name;
    const char *id;
    const char *chrome;
    bool json;
};

/* Something that was done with a request. */
struct event {
    uint64_t time; /* boot time; 0: not known */
    const char *what;
    const mr_trace_lease *lease; /* whose it is; or NULL */
    bool is_end;
};

static void help(void)
{
    puts(
        "usage: millrace trace [NAME] CUSTOM_ID [--json]\n"
        "       millrace trace [NAME] --chrome FILE\n"
        "\n"
        "Tells the way of the request CUSTOM_ID of domain NAME: when it was accepted, queued, "
        "leased\n"
        "by whom, put back or taken back, answered. It may be in flight or be one of the last\n"
        "4096 that ended; all that have this id are told. NAME may be left out when there is just\n"
        "one domain. Only the owner of a domain can look.\n"
        "\n"
        "      --json         as one line of JSON\n"
        "      --chrome FILE  write the ways of all these requests as Chrome trace events, for\n"
        "                     ui.perfetto.dev or chrome://tracing; '-' is standard output\n"
        "      --help");
}

/* ---- events ---- */

static const char *end_name(uint32_t end)
{
    static const char *const names[] = {"",         "done",       "handed_on",
                                        "put_back", "taken_back", "failed"};
    return names[end];
}

static size_t events_of(const mr_trace *trace, struct event *events)
{
    size_t count = 0;
    events[count++] = (struct event){.time = trace->accepted, .what = "accepted"};
    if (trace->kind != MR_KIND_REFUSAL)
        events[count++] = (struct event){.time = trace->queued, .what = "queued"};
    for (uint32_t i = 0; i < trace->leases; i++) {
        const mr_trace_lease *lease = &trace->lease[i];
        if (lease->begun > 0)
            events[count++] = (struct event){lease->begun, "leased", lease, false};
        if (lease->first > 0)
            events[count++] = (struct event){lease->first, "first_step", lease, false};
        if (lease->end != MR_TRACE_RUNNING)
            events[count++] = (struct event){lease->ended, end_name(lease->end), lease, true};
    }
    if (trace->state == MR_TRACE_ENDED)
        events[count++] = (struct event){.time = trace->emitted, .what = "emitted"};
    return count;
}

static const char *stage_name(const struct timeline *timeline, const mr_trace_lease *lease)
{
    return lease->stage < timeline->info.stages ? timeline->info.stage_names[lease->stage] : "?";
}

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"?", "text", "vision", "tts", "pixel", "refusal"};
    return kind <= MR_KIND_REFUSAL ? names[kind] : names[0];
}

static const char *cancel_name(uint32_t cancel)
{
    return cancel == MR_CANCEL_CLIENT ? "client" : cancel == MR_CANCEL_DEADLINE ? "deadline" : NULL;
}

static const char *state_name(uint32_t state)
{
    static const char *const names[] = {"ended", "waiting", "held", "answered"};
    return names[state];
}

/* ---- text ---- */

static void print_time(const struct timeline *timeline, const struct event *event, uint64_t from)
{
    const uint64_t time = event->time + timeline->offset;
    const time_t seconds = (time_t)(time / 1000000000u);
    struct tm local;
    char text[32] = "";
    if (event->time == 0) {
        printf("  %-26s %14s  ", "at a time not known", "");
        return;
    }
    if (localtime_r(&seconds, &local) != NULL)
        strftime(text, sizeof(text), "%F %T", &local);
    printf("  %s.%06u ", text, (unsigned)(time % 1000000000u / 1000));
    if (from > 0)
        printf("%+11.3f ms  ", ((double)event->time - (double)from) / 1e6);
    else
        printf("%14s  ", "");
}

static void print_what(const struct timeline *timeline, const struct event *event)
{
    const mr_trace_lease *lease = event->lease;
    const char *member = lease != NULL ? timeline_member(timeline, lease->member) : "";
    if (lease == NULL)
        puts(event->what);
    else if (!event->is_end && strcmp(event->what, "leased") == 0)
        printf("leased by %s, stage '%s'\n", member, stage_name(timeline, lease));
    else if (!event->is_end)
        puts("its first step was over");
    else if (lease->end == MR_TRACE_TAKEN_BACK)
        printf("taken back from %s, which died, after %u commits\n", member, lease->commits);
    else
        printf("%s by %s after %u commits\n", timeline_end(lease->end), member, lease->commits);
}

static void print_head(const mr_trace *trace)
{
    char id[TIMELINE_ID];
    timeline_id(trace, id);
    printf("request '%s', record %" PRIu64, id, trace->ordinal);
    if (trace->choices > 1)
        printf(", choice %u of %u", trace->choice, trace->choices);
    printf(": %s", kind_name(trace->kind));
    if (trace->length > 0)
        printf(", %" PRId64 " prompt tokens, %" PRId64 " generated", trace->prompt_length,
               trace->length - trace->prompt_length);
    puts(trace->failed ? ", failed" : "");
}

static void print_present(const struct timeline *timeline, const mr_trace *trace)
{
    if (cancel_name(trace->cancel) != NULL)
        printf("  cancelled: %s\n",
               trace->cancel == MR_CANCEL_CLIENT ? "by its client" : "its deadline was over");
    if (trace->state == MR_TRACE_WAITING)
        puts("  now it waits for a worker");
    if (trace->state == MR_TRACE_ANSWERED)
        puts("  now it waits for the collector");
    if (trace->state != MR_TRACE_HELD)
        return;
    printf("  now it is held, after %u commits",
           trace->leases > 0 ? trace->lease[trace->leases - 1].commits : 0);
    if (trace->step_begun > 0 && trace->step_begun < timeline->now)
        printf("; the step began %.3f ms ago", (double)(timeline->now - trace->step_begun) / 1e6);
    puts("");
}

static void print_request(const struct timeline *timeline, const mr_trace *trace)
{
    struct event events[EVENTS_MAX];
    const size_t count = events_of(trace, events);
    const mr_trace_lease *last = trace->leases > 0 ? &trace->lease[trace->leases - 1] : NULL;
    print_head(trace);
    for (size_t i = 0; i < count; i++) {
        if (trace->left_out > 0 && events[i].lease == last && events[i - 1].lease != last)
            printf("  (%u leases are left out)\n", trace->left_out);
        print_time(timeline, &events[i], trace->accepted);
        print_what(timeline, &events[i]);
    }
    print_present(timeline, trace);
}

/* ---- JSON ---- */

static json_t *event_json(const struct timeline *timeline, const struct event *event)
{
    json_t *object = json_pack("{ss}", "event", event->what);
    if (event->time > 0) {
        const uint64_t at = event->time + timeline->offset;
        json_object_set_new(object, "boot_ns", json_integer((json_int_t)event->time));
        json_object_set_new(object, "epoch_ns", json_integer((json_int_t)at));
    }
    if (event->lease != NULL) {
        json_object_set_new(object, "member",
                            json_string(timeline_member(timeline, event->lease->member)));
        json_object_set_new(object, "stage", json_string(stage_name(timeline, event->lease)));
    }
    if (event->is_end)
        json_object_set_new(object, "commits", json_integer(event->lease->commits));
    return object;
}

static json_t *request_json(const struct timeline *timeline, const mr_trace *trace)
{
    struct event events[EVENTS_MAX];
    const size_t count = events_of(trace, events);
    json_t *list = json_array();
    char id[TIMELINE_ID];
    timeline_id(trace, id);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, event_json(timeline, &events[i]));
    return json_pack("{ss sI si si ss ss sb ss? sI sI si so}", "custom_id", id, "record",
                     (json_int_t)trace->ordinal, "choice", (int)trace->choice, "choices",
                     (int)trace->choices, "kind", kind_name(trace->kind), "state",
                     state_name(trace->state), "failed", (int)trace->failed, "cancelled",
                     cancel_name(trace->cancel), "prompt_tokens", (json_int_t)trace->prompt_length,
                     "generated_tokens", (json_int_t)(trace->length - trace->prompt_length),
                     "leases_left_out", (int)trace->left_out, "events", list);
}

static int print_json(const struct timeline *timeline, json_t *requests)
{
    json_t *all = json_pack("{ss so}", "domain", timeline->info.name, "requests", requests);
    int error = all == NULL || json_dumpf(all, stdout, JSON_COMPACT) < 0 ? -EIO : 0;
    json_decref(all);
    puts("");
    return error;
}

/* ---- the verb ---- */

static bool has_id(const mr_trace *trace, const char *id)
{
    const size_t length = strlen(id);
    return trace->id_bytes == length &&
           memcmp(trace->id, id, length < MR_TRACE_ID ? length : MR_TRACE_ID) == 0;
}

static int show(const struct timeline *timeline, const struct trace_options *options)
{
    json_t *requests = options->json ? json_array() : NULL;
    size_t found = 0;
    int error = 0;
    for (size_t i = 0; i < timeline->count; i++) {
        if (!has_id(&timeline->traces[i], options->id))
            continue;
        found++;
        if (options->json)
            json_array_append_new(requests, request_json(timeline, &timeline->traces[i]));
        else
            print_request(timeline, &timeline->traces[i]);
    }
    if (found == 0) {
        json_decref(requests);
        log_error("there is no request '%s' in domain '%s': none in flight has this id, nor one of "
                  "the last that ended",
                  options->id, timeline->info.name);
        return -ENOENT;
    }
    if (options->json)
        error = print_json(timeline, requests);
    return error == 0 && fflush(stdout) == 0 ? 0 : -EIO;
}

static int write_chrome(const struct timeline *timeline, const char *path)
{
    const bool to_stdout = strcmp(path, "-") == 0;
    FILE *file = to_stdout ? stdout : fopen(path, "we");
    int error = file == NULL ? -errno : timeline_chrome(timeline, file);
    if (file != NULL && !to_stdout && fclose(file) != 0 && error == 0)
        error = -errno;
    if (error < 0)
        log_error("cannot write '%s': %s", path, strerror(-error));
    return error;
}

static bool read_options(struct trace_options *options, int argc, char **argv)
{
    static const struct option table[] = {{"json", no_argument, NULL, 'j'},
                                          {"chrome", required_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    int option, words;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (option == '?')
            return false;
        if (option == 'j')
            options->json = true;
        else
            options->chrome = optarg;
    }
    words = argc - optind;
    if (options->chrome == NULL && words > 0)
        options->id = argv[optind + --words];
    options->name = words > 0 ? argv[optind] : NULL;
    if (options->chrome == NULL && options->id == NULL)
        log_error("no request is named; give its custom_id, or --chrome FILE for all");
    else if (options->chrome != NULL && options->json)
        log_error("--chrome and --json exclude each other");
    else if (words > 1)
        log_error("'%s' is one word too many", argv[optind + 1]);
    else
        return true;
    return false;
}

static int look(const struct trace_options *options)
{
    struct timeline timeline;
    char only[MR_NAME_MAX + 1], why[700];
    mr_domain *domain;
    int error = options->name != NULL ? 0 : monitor_only_domain(only, why, sizeof(why));
    if (error < 0) {
        log_error("%s", why);
        return error;
    }
    error = mr_domain_inspect(&domain, options->name != NULL ? options->name : only);
    if (error == 0) {
        error = timeline_read(&timeline, domain);
        mr_domain_close(domain);
    }
    if (error < 0) {
        log_error("%s", error == -ENOMEM ? "out of memory" : mr_error());
        return error;
    }
    error = options->chrome != NULL ? write_chrome(&timeline, options->chrome)
                                    : show(&timeline, options);
    timeline_free(&timeline);
    return error;
}

int trace_main(int argc, char **argv)
{
    struct trace_options options = {0};
    monitor_begin("millrace");
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        help();
        return MONITOR_DONE;
    }
    if (!read_options(&options, argc, argv)) {
        fputs("try 'millrace trace --help'\n", stderr);
        return MONITOR_FAILED;
    }
    return look(&options) == 0 ? MONITOR_DONE : MONITOR_FAILED;
}
