/*
 * top.c - `millrace top`: a domain on a terminal, once a second
 *
 * Numbers with "/s" are of the time since the last look, latencies of the last quarter of a
 * minute; where nothing happened in it, of all time. The screen is made anew for each look and each
 * change of its size; lines that there is no room for are left out from below.
 */
#include "runtime/log.h"
#include "runtime/monitor/monitor.h"
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <millrace/domain.h>
#include <millrace/member.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HISTORY = 16, SPARKS = 22, SPARKS_AT = 58, MEMBERS = MR_MAX_MEMBERS + 1, DEFAULT_MS = 1000 };

/* A process of the group, as it is now and as it was at the last look. */
struct member {
    mr_stats_owner owner;
    uint64_t held;
    uint64_t steps, tokens, busy; /* counters; busy: nanoseconds in steps */
    double steps_s, tokens_s, busy_part;
};

enum order { BY_PLACE, BY_NAME, BY_TOKENS, BY_HELD, BY_BUSY, ORDERS };

struct top {
    struct snapshot now;
    uint64_t *window[HISTORY]; /* totals of the last looks, a ring */
    unsigned looks;
    uint64_t last_at;
    double elapsed; /* seconds since the look before */
    struct member members[MEMBERS];
    unsigned count;
    double sparks[SPARKS]; /* tokens/s, the last one newest */
    enum order order;
    bool backwards;
    int line; /* of the screen, that comes next */
};

/* ---- looking ---- */

static uint64_t value_of(const struct top *top, const uint64_t *values, const char *name)
{
    const mr_stats_row *row = mr_stats_find_row(top->now.view, name);
    return row != NULL ? values[row->first] : 0;
}

static double rate(const struct top *top, uint64_t before, uint64_t now)
{
    return top->elapsed > 0 && now > before ? (double)(now - before) / top->elapsed : 0;
}

/* The counter's growth a second since the last look. */
static double total_rate(const struct top *top, const char *name)
{
    const uint64_t *before = top->window[(top->looks + HISTORY - 2) % HISTORY];
    if (top->looks < 2)
        return 0;
    return rate(top, value_of(top, before, name), snapshot_value(&top->now, name));
}

static const struct member *find(const struct member *members, unsigned count,
                                 const mr_stats_owner *owner)
{
    for (unsigned i = 0; i < count; i++)
        if (members[i].owner.pid == owner->pid && members[i].owner.joined_at == owner->joined_at)
            return &members[i];
    return NULL;
}

static void fill_member(const struct top *top, struct member *member, const uint64_t *values,
                        const struct member *before)
{
    member->held = value_of(top, values, "held");
    member->steps = value_of(top, values, "steps");
    member->tokens = value_of(top, values, "generated_tokens") +
                     value_of(top, values, "emitted_tokens") +
                     value_of(top, values, "prompt_tokens");
    member->busy = value_of(top, values, "step_time");
    if (before == NULL)
        return;
    member->steps_s = rate(top, before->steps, member->steps);
    member->tokens_s = rate(top, before->tokens, member->tokens);
    member->busy_part = rate(top, before->busy, member->busy) / 1e9;
}

static void look_at_members(struct top *top)
{
    static struct member before[MEMBERS];
    unsigned count = top->count;
    uint64_t *values = calloc(top->now.head.values, sizeof(*values));
    memcpy(before, top->members, sizeof(before));
    top->count = 0;
    for (uint32_t page = 0; values != NULL && page < top->now.head.pages && top->count < MEMBERS;
         page++) {
        struct member *member = &top->members[top->count];
        *member = (struct member){.owner.size = sizeof(member->owner)};
        if (mr_stats_get_owner(top->now.view, page, &member->owner) < 0 ||
            mr_stats_read(top->now.view, page, values) < 0)
            continue;
        fill_member(top, member, values, find(before, count, &member->owner));
        top->count++;
    }
    free(values);
}

static void look(struct top *top)
{
    uint64_t *values = top->window[top->looks % HISTORY];
    snapshot_look(&top->now);
    top->elapsed = top->last_at > 0 ? (double)(top->now.now - top->last_at) / 1e9 : 0;
    top->last_at = top->now.now;
    memcpy(values, top->now.totals, top->now.head.values * sizeof(*values));
    top->looks++;
    look_at_members(top);
    memmove(top->sparks, top->sparks + 1, sizeof(top->sparks) - sizeof(top->sparks[0]));
    top->sparks[SPARKS - 1] = total_rate(top, "generated_tokens");
}

/* ---- the screen ---- */

/* One line, cut at the screen's edge; false below the last one. */
__attribute__((format(printf, 3, 4))) static bool put(struct top *top, int attributes,
                                                      const char *format, ...)
{
    char text[512];
    va_list arguments;
    if (top->line >= LINES - 1) /* the last one is the footer's */
        return false;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    attron(attributes);
    mvaddnstr(top->line++, 0, text, COLS);
    attroff(attributes);
    return true;
}

static const char *latency_text(double value, bool is_time)
{
    static char texts[8][24];
    static unsigned next;
    char *text = texts[next++ % 8];
    if (!is_time)
        snprintf(text, sizeof(texts[0]), "%.1f", value);
    else if (value < 1e6)
        snprintf(text, sizeof(texts[0]), "%.0f us", value / 1e3);
    else if (value < 1e9)
        snprintf(text, sizeof(texts[0]), "%.1f ms", value / 1e6);
    else
        snprintf(text, sizeof(texts[0]), "%.2f s", value / 1e9);
    return text;
}

static const char *size_text(uint64_t bytes)
{
    static char texts[4][24];
    static unsigned next;
    char *text = texts[next++ % 4];
    double mib = (double)bytes / (1 << 20);
    snprintf(text, sizeof(texts[0]), mib < 1024 ? "%.1f MiB" : "%.1f GiB",
             mib < 1024 ? mib : mib / 1024);
    return text;
}

static void put_head(struct top *top)
{
    const struct snapshot *now = &top->now;
    put(top, A_BOLD, "millrace: domain '%s', %s, up %s", now->head.name,
        now->alive ? "living" : "DEAD", time_text(snapshot_uptime(now)));
    put(top, 0,
        "requests  running %" PRIu64 ", waiting %" PRIu64 ", to emit %" PRIu64 "; finished %" PRIu64
        " (%.1f/s), failed %" PRIu64,
        snapshot_value(now, "contexts_running"), snapshot_value(now, "contexts_waiting"),
        snapshot_value(now, "contexts_done"), snapshot_value(now, "requests_finished"),
        total_rate(top, "requests_finished"), snapshot_value(now, "requests_failed"));
    put(top, 0,
        "memory    slots %" PRIu64 "/%" PRIu64 ", arrays %s/%s, KV tokens %" PRIu64 "/%" PRIu64
        ", all %s",
        snapshot_value(now, "slots_used"), snapshot_value(now, "slots"),
        size_text(snapshot_value(now, "arena_bytes_used")),
        size_text(snapshot_value(now, "arena_bytes")), snapshot_value(now, "kv_tokens"),
        snapshot_value(now, "kv_capacity"), size_text(snapshot_value(now, "shared_bytes")));
    put(top, 0,
        "trouble   restarts %" PRIu64 ", taken back from the dead %" PRIu64 ", given up %" PRIu64
        ", refused %" PRIu64,
        snapshot_value(now, "restarts"), snapshot_value(now, "slots_reclaimed"),
        snapshot_value(now, "slots_failed"), snapshot_value(now, "requests_refused"));
}

/* A bar for each of the last looks, as high as its part of the highest. */
static void put_sparks(struct top *top)
{
    static const char *const utf8[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[] = {" ", ".", ".", ":", ":", "+", "+", "#", "#"};
    const char *const *bars = MB_CUR_MAX > 1 ? utf8 : ascii;
    char line[SPARKS * 4 + 1] = "";
    double most = 0;
    for (int i = 0; i < SPARKS; i++)
        most = top->sparks[i] > most ? top->sparks[i] : most;
    for (int i = 0; i < SPARKS; i++)
        strcat(line, bars[most > 0 ? (int)(top->sparks[i] / most * 8) : 0]);
    if (put(top, 0, "tokens/s  generated %-7.0f computed %-7.0f read %-7.0f",
            total_rate(top, "generated_tokens"), total_rate(top, "computed_tokens"),
            total_rate(top, "prompt_tokens")) &&
        COLS >= SPARKS_AT + SPARKS)
        mvaddstr(top->line - 1, SPARKS_AT, line);
}

/* The row's values of the window, or of all time if there are none. */
static void since(const struct top *top, const mr_stats_row *row, uint64_t *values)
{
    const uint64_t *before = top->window[top->looks < HISTORY ? 0 : top->looks % HISTORY];
    memcpy(values, top->now.totals, top->now.head.values * sizeof(*values));
    for (uint32_t i = row->first; i < row->first + row->count; i++)
        values[i] -= before[i];
    if (mr_stats_samples(row, values) == 0)
        memcpy(values, top->now.totals, top->now.head.values * sizeof(*values));
}

static void put_histogram(struct top *top, const mr_stats_row *row, uint64_t *values)
{
    bool is_time = strcmp(row->unit, "nanoseconds") == 0;
    uint64_t samples;
    since(top, row, values);
    samples = mr_stats_samples(row, values);
    put(top, 0, "%-22s %10s %10s %10s %10s %12" PRIu64, row->name,
        latency_text(mr_stats_quantile(row, values, 0.5), is_time),
        latency_text(mr_stats_quantile(row, values, 0.95), is_time),
        latency_text(mr_stats_quantile(row, values, 0.99), is_time),
        latency_text(samples > 0 ? (double)values[row->first] / (double)samples : 0, is_time),
        mr_stats_samples(row, top->now.totals));
}

static void put_histograms(struct top *top)
{
    uint64_t *values = calloc(top->now.head.values, sizeof(*values));
    const mr_stats_row *row;
    put(top, A_REVERSE, "%-22s %10s %10s %10s %10s %12s", "LAST 15 SECONDS", "P50", "P95", "P99",
        "MEAN", "OF ALL TIME");
    for (uint32_t i = 0; values != NULL && (row = mr_stats_get_row(top->now.view, i)) != NULL; i++)
        if (row->kind == MR_STATS_HISTOGRAM)
            put_histogram(top, row, values);
    free(values);
}

static void put_stages(struct top *top)
{
    const uint64_t *values = top->now.totals;
    const mr_stats_row *row, *running;
    for (uint32_t i = 0; (row = mr_stats_get_row(top->now.view, i)) != NULL; i++) {
        running = mr_stats_get_row(top->now.view, i + 1);
        if (strcmp(row->name, "stage_waiting") == 0 && running != NULL &&
            strcmp(running->name, "stage_running") == 0)
            put(top, 0, "%-22s waiting %-6" PRIu64 " running %" PRIu64, row->label,
                values[row->first], values[running->first]);
    }
}

/* ---- members ---- */

static enum order order;
static bool backwards;

static int compare_numbers(double a, double b)
{
    return (b > a) - (b < a); /* the largest first */
}

static int compare(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    int result = 0;
    if (order == BY_NAME)
        result = strcmp(a->owner.name, b->owner.name);
    else if (order == BY_TOKENS)
        result = compare_numbers(a->tokens_s, b->tokens_s);
    else if (order == BY_HELD)
        result = compare_numbers((double)a->held, (double)b->held);
    else if (order == BY_BUSY)
        result = compare_numbers(a->busy_part, b->busy_part);
    if (result == 0)
        result = (a->owner.pid > b->owner.pid) - (a->owner.pid < b->owner.pid);
    return backwards ? -result : result;
}

static void put_member(struct top *top, const struct member *member)
{
    char held[32] = "-", steps[16] = "-", busy[16] = "-";
    if (member->owner.role == MR_ROLE_WORKER) {
        snprintf(held, sizeof(held), "%" PRIu64 "/%u", member->held, member->owner.capacity);
        snprintf(steps, sizeof(steps), "%.0f", member->steps_s);
        snprintf(busy, sizeof(busy), "%.0f%%", member->busy_part * 100);
    }
    put(top, 0, "%-20.20s %8d %-10s %9s %9s %8s %10.0f", member->owner.name, member->owner.pid,
        role_name(member->owner.role), held, busy, steps, member->tokens_s);
}

static void put_members(struct top *top)
{
    order = top->order;
    backwards = top->backwards;
    qsort(top->members, top->count, sizeof(top->members[0]), compare);
    put(top, A_REVERSE, "%-20s %8s %-10s %9s %9s %8s %10s", "MEMBER", "PID", "ROLE", "HELD", "BUSY",
        "STEPS/S", "TOKENS/S");
    for (unsigned i = 0; i < top->count; i++)
        put_member(top, &top->members[i]);
}

static void draw(struct top *top)
{
    static const char *const orders[ORDERS] = {"pid", "name", "tokens", "held", "busy"};
    char footer[128];
    erase();
    top->line = 0;
    put_head(top);
    put_sparks(top);
    put_stages(top);
    put_histograms(top);
    put_members(top);
    snprintf(footer, sizeof(footer),
             "q quit   sort: p pid, n name, t tokens, h held, b busy; r reverse [%s%s]",
             orders[top->order], top->backwards ? ", back" : "");
    mvaddnstr(LINES - 1, 0, footer, COLS);
    refresh();
}

/* ---- keys ---- */

/* False: to be ended. */
static bool obey(struct top *top, int key)
{
    static const char keys[] = "pnthb";
    const char *found = key > 0 && key < 128 ? strchr(keys, key) : NULL;
    if (key == 'q' || key == 'Q')
        return false;
    if (found != NULL && *found != '\0')
        top->order = (enum order)(found - keys);
    if (key == 'r')
        top->backwards = !top->backwards;
    return true;
}

static void watch(struct top *top, long every_ms)
{
    bool go_on = true;
    look(top);
    while (go_on) {
        uint64_t passed = (boot_time() - top->last_at) / 1000000;
        int key;
        if (passed >= (uint64_t)every_ms) {
            look(top);
            passed = 0;
        }
        draw(top);
        timeout((int)((uint64_t)every_ms - passed));
        key = getch();
        if (key == ERR && !isatty(STDIN_FILENO))
            return;
        go_on = obey(top, key);
    }
}

static int show(struct top *top, long every_ms)
{
    SCREEN *screen;
    setlocale(LC_ALL, "");
    screen = newterm(NULL, stdout, stdin);
    if (screen == NULL) {
        log_error("cannot use the terminal '%s'; set TERM", getenv("TERM") ? getenv("TERM") : "");
        return MONITOR_FAILED;
    }
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    watch(top, every_ms);
    endwin();
    delscreen(screen);
    return MONITOR_DONE;
}

/* ---- the verb ---- */

static void help(void)
{
    puts("usage: millrace top [NAME] [--every TIME]\n"
         "\n"
         "Shows the domain NAME on the terminal; NAME may be left out when there is just one.\n"
         "Keys: q quits; p, n, t, h, b sort the members by pid, name, tokens, requests held, busy\n"
         "time; r the other way round.\n"
         "\n"
         "      --every TIME   between two looks: 1s (default), 500ms ...\n"
         "      --help");
}

static int begin(struct top *top, const char *name, long every_ms)
{
    char why[700];
    int status = MONITOR_FAILED;
    bool enough = true;
    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)) {
        log_error("top needs a terminal; see 'millrace stat' for files and pipes");
        return MONITOR_FAILED;
    }
    if (snapshot_open(&top->now, name, why, sizeof(why)) < 0) {
        log_error("%s", why);
        return MONITOR_FAILED;
    }
    for (int i = 0; i < HISTORY; i++) {
        top->window[i] = calloc(top->now.head.values, sizeof(uint64_t));
        enough = enough && top->window[i] != NULL;
    }
    if (enough)
        status = show(top, every_ms);
    for (int i = 0; i < HISTORY; i++)
        free(top->window[i]);
    snapshot_close(&top->now);
    return status;
}

int top_main(int argc, char **argv)
{
    static const struct option table[] = {{"every", required_argument, NULL, 'e'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    static struct top top;
    long every_ms = DEFAULT_MS;
    int option;
    monitor_begin("millrace");
    optind = 0;
    while ((option = getopt_long(argc, argv, "", table, NULL)) == 'e')
        if ((every_ms = interval_read(optarg)) < 0) {
            log_error("option '--every' is '%s', but must be a time in [100ms, 3600s]", optarg);
            return MONITOR_FAILED;
        }
    if (option == 'h') {
        help();
        return MONITOR_DONE;
    }
    if (option != -1 || argc - optind > 1) {
        fputs("try 'millrace top --help'\n", stderr);
        return MONITOR_FAILED;
    }
    return begin(&top, optind < argc ? argv[optind] : NULL, every_ms);
}
