/*
 * measure.c - processes that are timed together, and figures of several repetitions
 */
#include "bench/hop/measure.h"
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST_RUN_S = 60 };

void die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("hop: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

/* ---- figures ---- */

void series_add(series *s, double value)
{
    if (s->count < MAX_REPETITIONS)
        s->values[s->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double quantile(double *values, size_t n, double part)
{
    if (!n)
        return 0;
    qsort(values, n, sizeof(*values), by_value);
    return values[(size_t)(part * (double)(n - 1) + 0.5)];
}

double series_at(const series *s, double part)
{
    double sorted[MAX_REPETITIONS];

    memcpy(sorted, s->values, sizeof(sorted));
    return quantile(sorted, (size_t)s->count, part);
}

/* ---- the machine ---- */

void *share(size_t bytes)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (memory == MAP_FAILED)
        die("no memory for %zu bytes", bytes);
    return memory;
}

static cpu_set_t allowed(void)
{
    static cpu_set_t set;
    static bool known;

    if (!known && sched_getaffinity(0, sizeof(set), &set))
        die("the processors of this process are unknown: %s", strerror(errno));
    known = true;
    return set;
}

int processors(void)
{
    cpu_set_t set = allowed();

    return CPU_COUNT(&set);
}

void pin(int cpu)
{
    cpu_set_t set = allowed(), one;
    int left = cpu % processors();

    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set) && !left--)
            CPU_SET(i, &one);
    if (sched_setaffinity(0, sizeof(one), &one))
        die("a process can't be put on processor %d: %s", cpu, strerror(errno));
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

double busy_seconds(void)
{
    FILE *file = fopen("/proc/stat", "re");
    unsigned long long user = 0, nice = 0, system = 0, idle, wait, irq = 0, softirq = 0;

    if (!file)
        return 0;
    if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait,
               &irq, &softirq) != 7)
        user = nice = system = irq = softirq = 0;
    fclose(file);
    return (double)(user + nice + system + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

double own_seconds(void)
{
    struct rusage self, children;

    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    return seconds_of(self.ru_utime) + seconds_of(self.ru_stime) + seconds_of(children.ru_utime) +
           seconds_of(children.ru_stime);
}

/* ---- a run ---- */

run *run_new(void)
{
    run *r = share(sizeof(*r));

    r->base = now_ns();
    return r;
}

void run_free(run *r)
{
    munmap(r, sizeof(*r));
}

void run_add(run *r, run_body *body, void *shared, int cpu)
{
    int which = r->processes++;
    pid_t pid = fork();

    if (pid < 0)
        die("no further process: %s", strerror(errno));
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(LONGEST_RUN_S);
        if (cpu >= 0)
            pin(cpu);
        body(r, &r->reports[which], shared);
        _exit(0);
    }
    r->pids[which] = pid;
}

static void check_ended(run *r, int which, int flags)
{
    int status;

    if (!r->pids[which] || waitpid(r->pids[which], &status, flags) != r->pids[which])
        return;
    r->pids[which] = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        die("process %d of a run ended with status %x", which, (unsigned)status);
}

void run_look(run *r)
{
    for (int i = 0; i < r->processes; i++)
        check_ended(r, i, WNOHANG);
}

void run_go(run *r)
{
    while (atomic_load(&r->ready) < (uint32_t)r->processes) {
        run_look(r);
        usleep(500);
    }
    atomic_store(&r->go, 1);
}

void run_wait(run *r)
{
    for (int i = 0; i < r->processes; i++)
        check_ended(r, i, 0);
}

void run_stop(run *r)
{
    atomic_store(&r->stop, 1);
}

void run_begin(run *r, report *mine)
{
    atomic_fetch_add(&r->ready, 1);
    while (!atomic_load(&r->go))
        sched_yield();
    mine->cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    mine->begun = now_ns();
}

void run_end(report *mine)
{
    run_end_at(mine, now_ns());
}

void run_end_at(report *mine, uint64_t ended)
{
    mine->ended = ended;
    mine->cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - mine->cpu;
}

uint64_t run_stamp(const run *r)
{
    return now_ns() - r->base;
}

void run_delay(run *r, uint64_t stamp, uint64_t now)
{
    if (r->delay_count < MAX_DELAYS)
        r->delays[r->delay_count++] = now > stamp ? (uint32_t)(now - stamp) : 0;
}

double run_delay_us(run *r, double part)
{
    static double values[MAX_DELAYS];

    for (uint32_t i = 0; i < r->delay_count; i++)
        values[i] = r->delays[i] / 1e3;
    return quantile(values, r->delay_count, part);
}

double run_cpu_seconds(const run *r)
{
    double sum = 0;

    for (int i = 0; i < r->processes; i++)
        sum += (double)(r->reports[i].cpu - r->reports[i].pretended) / 1e9;
    return sum;
}
