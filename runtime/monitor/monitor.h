/*
 * monitor.h - what the verbs that watch domains share: ls, stat, metrics, top, trace
 *
 * All but `trace` read stats segments alone, so they need no permission on a domain's data. None
 * costs its processes anything. A verb exits with 0, or 2 when it could not do what it was asked
 * to.
 */
#ifndef RUNTIME_MONITOR_MONITOR_H
#define RUNTIME_MONITOR_MONITOR_H

#include <millrace/domain.h>
#include <millrace/stats.h>
#include <stdio.h>

enum { MONITOR_DONE = 0, MONITOR_FAILED = 2 };

/* A domain as it was at one moment. */
struct snapshot {
    mr_stats_view *view;
    mr_stats_head_info head;
    uint64_t now;     /* CLOCK_BOOTTIME, nanoseconds */
    uint64_t *totals; /* [head.values] */
    bool alive;
};

int ls_main(int argc, char **argv);
int stat_main(int argc, char **argv);
int metrics_main(int argc, char **argv);
int top_main(int argc, char **argv);
int trace_main(int argc, char **argv);

/* monitor_begin - who speaks; and a segment that is cut while it is read ends the process with a
 * sentence */
void monitor_begin(const char *verb);

/* monitor_only_domain - the name of the only domain of the machine; or -errno, with `why` */
int monitor_only_domain(char name[MR_NAME_MAX + 1], char *why, size_t size);

/*
 * snapshot_open - the domain `name`, or the only one of the machine if that is NULL
 *
 * Returns 0, or -errno with the reason in `why`. The first look is taken.
 */
int snapshot_open(struct snapshot *snapshot, const char *name, char *why, size_t size);
void snapshot_look(struct snapshot *snapshot); /* once more */
void snapshot_close(struct snapshot *snapshot);

/* A counter's or gauge's total; 0 if the domain's version has none of that name. */
uint64_t snapshot_value(const struct snapshot *snapshot, const char *name);

double snapshot_uptime(const struct snapshot *snapshot); /* seconds */
const char *role_name(uint32_t role);

/* time_text - "0:12", "3:04:05", "12d 3:04"; valid until the fourth call after it */
const char *time_text(double seconds);

uint64_t boot_time(void); /* CLOCK_BOOTTIME, nanoseconds */

/* interval_read - "2", "1.5s", "500ms" in milliseconds, within [100, 3600000]; or -1 */
long interval_read(const char *text);

/* metrics_write - in Prometheus' text format 0.0.4 */
void metrics_write(FILE *file, const struct snapshot *snapshot);

/*
 * http_serve - answers GET /metrics at ADDR:PORT until SIGINT or SIGTERM
 *
 *   page  writes what is answered; returns 0, or -errno with the reason for a 503 in `why`
 *
 * Returns 0, or -errno after it said why.
 */
typedef int (*http_page)(void *self, FILE *file, char *why, size_t size);
int http_serve(const char *address, http_page page, void *self);

#endif
