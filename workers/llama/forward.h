/*
 * forward.h - one pass of a step's positions through the layers
 *
 * Inside the engine. A *row* is one position of the step; activations are arrays of rows, each
 * padded with zeros to a multiple of BLOCK floats, and the padding stays zero: products store only
 * the true columns.
 *
 * Who writes what: forward_run() fills the list of rows; then the threads of the pool, in rounds,
 * each the rows, tiles or attention jobs of its part and no others.
 */
#ifndef MILLRACE_LLAMA_FORWARD_H
#define MILLRACE_LLAMA_FORWARD_H

#include "workers/llama/engine.h"
#include "workers/llama/kv.h"
#include "workers/llama/pool.h"

/* One row: where it stands. */
typedef struct {
    kv_sequence *sequence;
    uint32_t position;
    uint32_t token;
} forward_row;

/* Rows [first, first + count) of one sequence, which share a walk over its keys. */
typedef struct {
    size_t first;
    size_t count;
} attention_job;

typedef struct {
    const model *m;
    const kernels *k;
    pool *threads;
    kv *cache;
    void (*progress)(void *);
    void *progress_argument;

    size_t capacity; /* rows that there is room for */
    size_t max_logits;
    size_t score_stride; /* floats of scores a query */

    size_t count; /* rows of this step */
    forward_row *rows;
    size_t job_count;
    attention_job *jobs;
    size_t wanted_count; /* rows whose logits are wanted */
    uint32_t *wanted;
    uint32_t layer; /* the one at work */

    inputs stream;                            /* x: the residual stream; not quantised */
    inputs normed;                            /* what the norms give */
    inputs mixed;                             /* what attention gives */
    inputs fed;                               /* gate, then gate * up */
    float *query, *key, *value, *up, *change; /* rows of the products, strides below */
    size_t query_stride, key_stride, feed_stride, width_stride;
    float *cosine, *sine; /* [row][rope size / 2] */
    float *logits;        /* [wanted][logits_stride] */
    size_t logits_stride;
    float *scratch; /* [thread][scratch_stride]: of multiply() and of attend() */
    size_t scratch_stride;
    void *memory; /* all of the above */
} forward;

/* forward_create - room for `capacity` rows and `max_logits` rows of logits; 0 or -ENOMEM. The
 * pointers at the top are set by the caller before. */
int forward_create(forward *f, size_t capacity, size_t max_logits, uint32_t longest);
void forward_destroy(forward *f);

/* forward_run - computes the step; it was checked by engine_step() */
void forward_run(forward *f, const engine_work *work, size_t count);

#endif
