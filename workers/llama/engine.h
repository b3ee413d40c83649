/*
 * engine.h - a Llama model that advances many sequences at once
 *
 *     engine_open() -> { engine_sequence_open() -> engine_step()* -> engine_sequence_close() }*
 *                   -> engine_close()
 *
 * Batch-invariant: the logits of a position are the same bits whatever else is in the step, in
 * whatever portions the positions before it came, however many threads compute and whichever
 * kernels the machine has. kernels/kernels.h says how.
 *
 * All memory is taken by engine_open(); a step takes none. An engine belongs to one thread at a
 * time.
 */
#ifndef MILLRACE_LLAMA_ENGINE_H
#define MILLRACE_LLAMA_ENGINE_H

#include "workers/llama/kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct engine engine;
typedef struct kv_sequence engine_sequence; /* one context's keys and values */

typedef struct {
    unsigned threads;       /* in [1, 256]; 0: 1 */
    uint32_t max_sequences; /* open at once; 0: 8 */
    uint32_t max_positions; /* of one step, all sequences together; 0: 256 */
    uint32_t max_logits;    /* positions of one step that may want logits; 0: max_sequences */
    uint32_t max_length;    /* positions of a sequence; 0: the model's context length, which is
                               the limit too */
    uint32_t kv_pages;      /* of the cache; 0: as many as kv_bytes hold */
    uint64_t kv_bytes;      /* 0: what max_sequences of max_length take, but not more than 1 GiB
                               unless one alone takes more */
    const char *kernels;    /* portable, avx2, avx512; NULL: the fastest */
    void (*progress)(void *argument); /* called within a step, once a layer; NULL: none */
    void *progress_argument;
} engine_options;

typedef struct {
    uint32_t vocabulary;
    uint32_t context_length; /* the model's */
    uint32_t max_length;     /* of a sequence here */
    uint32_t max_sequences, max_positions, max_logits;
    uint32_t page_positions; /* positions a page of the cache */
    uint32_t kv_pages;
    uint64_t kv_bytes;
    uint64_t model_fingerprint; /* of the file; see gguf_fingerprint() */
    const kernels *kernels;
} engine_facts;

/*
 * engine_open - opens a model and takes the memory to run it
 *
 *   error  out, on failure: one sentence
 *
 * Returns 0, -EINVAL (the model or an option is not usable), -EIO (the file can't be read),
 * -ENOMEM.
 */
int engine_open(engine **e, const char *path, const engine_options *options, char *error,
                size_t error_size);
void engine_close(engine *e); /* NULL is fine */

const engine_facts *engine_describe(const engine *e);

enum { ENGINE_FINGERPRINT = 64 };

/* engine_fingerprint - what the arithmetic is: model and rules of the kernels; workers with the
 * same one give the same bits */
void engine_fingerprint(const engine *e, char text[ENGINE_FINGERPRINT]);

/* engine_model_unchanged - false when the file was changed or cut since it was opened: then stop,
 * since its pages may be gone */
bool engine_model_unchanged(const engine *e);

/*
 * engine_sequence_open - a place in the cache for up to `limit` positions
 *
 *   from, shared  NULL, 0; or a sequence whose first `shared` tokens this one will have too: the
 *                 pages that these fill are used by both, and the new one begins behind them
 *
 * Returns 0; -EAGAIN (all places or pages are taken: wait for one to close); -E2BIG (it never
 * fits: more than max_length, or than the whole cache).
 */
int engine_sequence_open(engine *e, uint32_t limit, const engine_sequence *from, uint32_t shared,
                         engine_sequence **sequence);
void engine_sequence_close(engine *e, engine_sequence *sequence); /* NULL is fine */
uint32_t engine_sequence_length(const engine_sequence *sequence); /* positions computed */

/* One sequence's part of a step. */
typedef struct {
    engine_sequence *sequence; /* at most once in a step */
    const int64_t *tokens;     /* those behind the computed ones */
    uint32_t count;            /* >= 1: a decode step has 1, a chunk of a prompt more */
    uint32_t logits;           /* how many of the last of them want logits, 0 to count */
} engine_work;

/*
 * engine_step - computes new positions of some sequences
 *
 * Returns 0: the lengths have grown and engine_logits() has the logits, in the order of `work` and
 * within it of positions. -EINVAL: the step asks for something impossible, which engine_error()
 * says; nothing was computed.
 */
int engine_step(engine *e, const engine_work *work, size_t count);

/* engine_logits - row `i` of the last step, `vocabulary` floats and -infinity up to a multiple of
 * LANES; may be written to; valid until the next step */
float *engine_logits(engine *e, size_t i);

const char *engine_error(const engine *e);

#endif
