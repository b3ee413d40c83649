/*
 * measure.h - processes that are timed together, and figures of several repetitions
 *
 * A run is a few processes on one shared page. Each prepares itself, waits for the start, works
 * until it is done or the run is stopped, and leaves its times and counts in a report of its own.
 */
#ifndef MILLRACE_BENCH_HOP_MEASURE_H
#define MILLRACE_BENCH_HOP_MEASURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_REPETITIONS = 101, MAX_PROCESSES = 8, MAX_DELAYS = 1 << 16 };

/* ---- figures ---- */

typedef struct series {
    double values[MAX_REPETITIONS];
    int count;
} series;

void series_add(series *s, double value);
double series_at(const series *s, double part); /* 0: the least, 0.5: the median, 1: the largest */

/* quantile - of n values, which are sorted by it */
double quantile(double *values, size_t n, double part);

/* ---- a run ---- */

/* What one process tells of itself; written by it alone. */
typedef struct report {
    _Alignas(128) uint64_t begun; /* nanoseconds of CLOCK_MONOTONIC */
    uint64_t ended;
    uint64_t cpu;       /* nanoseconds between the two */
    uint64_t pretended; /* of these, what stands for a model's work */
    uint64_t count;
    uint64_t sum;
    double value; /* the process's own figure */
} report;

typedef struct run {
    _Alignas(128) _Atomic uint32_t ready;
    _Alignas(128) _Atomic uint32_t go;
    _Alignas(128) _Atomic uint32_t stop;
    _Alignas(128) _Atomic uint32_t feeding; /* processes that may still bring something */
    _Alignas(128) _Atomic uint64_t fed;     /* what they brought in all */
    report reports[MAX_PROCESSES];
    uint64_t base; /* stamps count from here */
    _Alignas(128) uint32_t delay_count;
    uint32_t delays[MAX_DELAYS]; /* nanoseconds */
    /* the parent's */
    pid_t pids[MAX_PROCESSES];
    int processes;
} run;

typedef void run_body(run *r, report *mine, void *shared);

run *run_new(void);
void run_free(run *r);

/* run_add - start a process; `cpu` is the number of a processor among those allowed, or -1 */
void run_add(run *r, run_body *body, void *shared, int cpu);
void run_go(run *r);   /* once all are ready */
void run_look(run *r); /* dies if a process has failed */
void run_wait(run *r); /* until all have ended */

/* In a process: wait for the start; note the end. */
void run_begin(run *r, report *mine);
void run_end(report *mine);
void run_end_at(report *mine, uint64_t ended); /* what counts was over a little earlier */

static inline bool run_stopped(run *r)
{
    return atomic_load_explicit(&r->stop, memory_order_relaxed);
}
void run_stop(run *r);

/* run_stamp - nanoseconds since `base`; run_delay - a stamp has arrived */
uint64_t run_stamp(const run *r);
void run_delay(run *r, uint64_t stamp, uint64_t now);
double run_delay_us(run *r, double part); /* a quantile; 0 if there are none */

double run_cpu_seconds(const run *r);

/* ---- the machine ---- */

void *share(size_t bytes); /* zeroed memory, shared with processes forked later, in place */
void pin(int cpu);
int processors(void);
uint64_t now_ns(void);
double busy_seconds(void); /* of all processors, all processes, since boot */
double own_seconds(void);  /* of this process and its ended children */

/* die - say why and exit */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

#endif
