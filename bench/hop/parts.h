/*
 * parts.h - what each part of the benchmark measures once; main.c repeats and compares
 */
#ifndef MILLRACE_BENCH_HOP_PARTS_H
#define MILLRACE_BENCH_HOP_PARTS_H

#include "bench/hop/lane.h"
#include "bench/hop/measure.h"

/* throughput - handles a second through a lane, `pairs` producers and as many consumers */
double throughput(const lane *l, int pairs, double seconds);

/* ---- round trips ---- */

/* A way to hand a word to the other of two processes and back; side 0 begins. */
typedef struct trip {
    const char *name;
    const lane *lane; /* of those that are a lane each way */
    bool sleeps;
    void *(*open)(const struct trip *t);                 /* before the processes start */
    void (*enter)(void *shared, int side);               /* in each of the two; may be NULL */
    void (*give)(void *shared, int side, uint32_t word); /* to the other side */
    uint32_t (*take)(void *shared, int side);            /* wait for what the other side gave */
    void (*leave)(void *shared, int side);               /* in each of the two; may be NULL */
    void (*close)(void *shared);
} trip;

extern const trip trip_line; /* one cache line there and back: the floor */
extern const trip trip_ring; /* ipc/ring.c */
extern const trip trip_lamport;
extern const trip trip_vyukov;
extern const trip trip_queue;     /* ring and doorbell of a domain, polled */
extern const trip trip_doorbell;  /* the same, sleeping */
extern const trip trip_semaphore; /* from here on: sleeping peers */
extern const trip trip_bounded;   /* a semaphore with a timeout, as millrace's sleeps have */
extern const trip trip_eventfd;
extern const trip trip_pipe;
extern const trip trip_zmq;

/* round_trip - nanoseconds there and back: the median over blocks of trips */
double round_trip(const trip *t, bool same_processor, double seconds);

/* hand_over - nanoseconds a context of so many tokens takes from a producer to a consumer, who adds
 * a token; safe: as millrace does it, so that no kill loses it; else bare, on Lamport's queue */
double hand_over(bool safe, int tokens, double seconds);

/* ---- the serving hop ---- */

enum { PROMPT_TOKENS = 1024, OUTPUT_TOKENS = 256, STAMP_EACH = 16, MAX_IN_FLIGHT = 64 };

typedef struct serving {
    int in_flight;
    int workers;
    bool poll;        /* spin instead of sleeping, where there is a choice */
    unsigned step_us; /* a model step takes at least that; 0: nothing */
    double seconds;
} serving;

typedef struct served {
    double tokens; /* a second */
    double cpu_ns; /* a token */
    double delay_p50_us;
    double delay_p99_us;
    double copied; /* bytes a request, after the tokenizer wrote it; of those that count them */
} served;

served serve_millrace(const serving *s);
served serve_zmq(const serving *s);

/* What both have in common. */
int64_t serve_token(uint64_t request, uint64_t index); /* in [0, 128000) */
/* Each 16th token is a stamp instead, the same in all of a step; *now is 0 before the step. */
int64_t serve_token_or_stamp(const run *r, uint64_t request, uint64_t index, uint64_t *now);
const int64_t *serve_prompt(uint64_t request); /* PROMPT_TOKENS ids, valid until the next call */
/* serve_place - where a process runs: on few processors tokenizer and collector share the first and
 * workers have the others, as the kernel's own placing changes from run to run; else -1 */
enum { SERVE_TOKENIZER, SERVE_COLLECTOR, SERVE_WORKER };
int serve_place(int process);
void serve_pace(const serving *s, report *mine); /* the model's step: pretends to work */
served serve_result(run *r, const report *collector);

#endif
