/*
 * monitor.c - what the verbs that watch domains share
 */
#include "runtime/monitor/monitor.h"
#include "runtime/log.h"
#include <errno.h>
#include <millrace/error.h>
#include <millrace/member.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t boot_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void segment_is_cut(int number)
{
    static const char message[] = "\nmillrace: the domain's memory was cut while it was read\n";
    (void)number;
    _exit(write(STDERR_FILENO, message, sizeof(message) - 1) < 0 ? 1 : MONITOR_FAILED);
}

void monitor_begin(const char *verb)
{
    log_open(verb, LOG_LEVEL_WARNING);
    signal(SIGBUS, segment_is_cut);
}

/* ---- which domain ---- */

struct names {
    unsigned count;
    char text[512]; /* their names, as many as there is room for */
    char first[MR_NAME_MAX + 1];
};

static int add_name(void *self, const char *name)
{
    struct names *names = self;
    size_t used = strlen(names->text);
    if (names->count++ == 0)
        snprintf(names->first, sizeof(names->first), "%s", name);
    snprintf(names->text + used, sizeof(names->text) - used, "%s'%s'", used > 0 ? ", " : "", name);
    return 0;
}

int monitor_only_domain(char name[MR_NAME_MAX + 1], char *why, size_t size)
{
    struct names names = {0};
    int error = mr_stats_each(add_name, &names);
    if (error < 0)
        snprintf(why, size, "%s", mr_error());
    else if (names.count == 0)
        snprintf(why, size, "there is no domain on this machine; start one with millrace run");
    else if (names.count > 1)
        snprintf(why, size, "there are %u domains, name one of them: %s", names.count, names.text);
    memcpy(name, names.first, sizeof(names.first));
    return error < 0 ? error : names.count == 1 ? 0 : -ENOENT;
}

int snapshot_open(struct snapshot *snapshot, const char *name, char *why, size_t size)
{
    char only[MR_NAME_MAX + 1];
    int error = 0;
    *snapshot = (struct snapshot){.head.size = sizeof(snapshot->head)};
    if (name == NULL) {
        error = monitor_only_domain(only, why, size);
        name = only;
    }
    if (error < 0)
        return error;
    error = mr_stats_open(&snapshot->view, name);
    if (error < 0) {
        snprintf(why, size, "%s", mr_error());
        return error;
    }
    mr_stats_get_head(snapshot->view, &snapshot->head);
    snapshot->totals = calloc(snapshot->head.values, sizeof(*snapshot->totals));
    if (snapshot->totals == NULL) {
        snapshot_close(snapshot);
        snprintf(why, size, "out of memory");
        return -ENOMEM;
    }
    snapshot_look(snapshot);
    return 0;
}

void snapshot_look(struct snapshot *snapshot)
{
    mr_stats_get_head(snapshot->view, &snapshot->head);
    snapshot->alive = mr_stats_alive(snapshot->view);
    snapshot->now = boot_time();
    mr_stats_read_total(snapshot->view, snapshot->totals);
}

void snapshot_close(struct snapshot *snapshot)
{
    mr_stats_close(snapshot->view);
    free(snapshot->totals);
    *snapshot = (struct snapshot){0};
}

uint64_t snapshot_value(const struct snapshot *snapshot, const char *name)
{
    const mr_stats_row *row = mr_stats_find_row(snapshot->view, name);
    return row != NULL ? snapshot->totals[row->first] : 0;
}

/* Of a dead one: until its supervisor looked last. */
double snapshot_uptime(const struct snapshot *snapshot)
{
    const mr_stats_head_info *head = &snapshot->head;
    uint64_t until = snapshot->alive ? snapshot->now : head->looked_at;
    return until > head->created_at ? (double)(until - head->created_at) / 1e9 : 0;
}

/* ---- texts ---- */

const char *role_name(uint32_t role)
{
    static const char *const names[] = {"?", "supervisor", "tokenizer", "collector", "worker"};
    return role <= MR_ROLE_WORKER ? names[role] : names[0];
}

const char *time_text(double seconds)
{
    static char texts[4][32];
    static unsigned next;
    char *text = texts[next++ % 4];
    unsigned long long all = seconds > 0 && seconds < 1e12 ? (unsigned long long)seconds : 0;
    unsigned long long minutes = all / 60, hours = minutes / 60, days = hours / 24;
    if (days > 0)
        snprintf(text, sizeof(texts[0]), "%llud %llu:%02llu", days, hours % 24, minutes % 60);
    else if (hours > 0)
        snprintf(text, sizeof(texts[0]), "%llu:%02llu:%02llu", hours, minutes % 60, all % 60);
    else
        snprintf(text, sizeof(texts[0]), "%llu:%02llu", minutes, all % 60);
    return text;
}

long interval_read(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    double factor = strcmp(end, "ms") == 0 ? 1 : strcmp(end, "s") == 0 || *end == '\0' ? 1000 : 0;
    if (end == text || !(value * factor >= 100 && value * factor <= 3600000))
        return -1;
    return (long)(value * factor);
}
