/*
 * engine.c - the engine's life, and the checks before each step
 *
 * Everything that comes from outside is checked here, so that forward.c and the kernels needn't.
 */
#include "workers/llama/engine.h"

#include "workers/llama/forward.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Raised when the bits that the kernels give change: workers of two versions don't mix. */
enum { ARITHMETIC = 1 };

enum {
    MOST_THREADS = 256,
    MOST_SEQUENCES = 65536,
    MOST_ROWS = 65536, /* of a step */
};

#define DEFAULT_CACHE_BYTES ((uint64_t)1 << 30)

struct engine {
    model model;
    kv cache;
    forward forward;
    pool *threads;
    engine_facts facts;
    char error[256];
};

/* ---- opening ---- */

__attribute__((format(printf, 3, 4))) static int refuse(char *error, size_t size,
                                                        const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, size, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static int check_options(const engine_options *o, char *error, size_t size)
{
    if (o->threads > MOST_THREADS)
        return refuse(error, size, "option threads is %u, more than %d; give fewer", o->threads,
                      MOST_THREADS);
    if (o->max_sequences > MOST_SEQUENCES)
        return refuse(error, size, "option max_sequences is %u, more than %d; give fewer",
                      o->max_sequences, MOST_SEQUENCES);
    if (o->max_positions > MOST_ROWS || o->max_logits > MOST_ROWS)
        return refuse(
            error, size,
            "options max_positions and max_logits are %u and %u, more than %d; give fewer",
            o->max_positions, o->max_logits, MOST_ROWS);
    if (!kernels_select(o->kernels))
        return refuse(error, size,
                      "kernels '%s' are unknown or not for this machine; choose portable, avx2 or "
                      "avx512, or none to get the fastest",
                      o->kernels);
    return 0;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

/* Without a wish: for all sequences at full length, within the bound but enough for one. */
static uint32_t count_pages(const engine_facts *facts, const engine_options *o, const model *m)
{
    uint64_t one = (facts->max_length + LANES - 1) / LANES;
    uint64_t all = one * facts->max_sequences;
    uint64_t bound = (o->kv_bytes ? o->kv_bytes : DEFAULT_CACHE_BYTES) / kv_page_bytes(m);

    if (o->kv_pages)
        return o->kv_pages;
    if (!o->kv_bytes && bound < one)
        bound = one;
    all = all < bound ? all : bound;
    return all < 1 ? 1 : all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
}

static void settle(engine_facts *facts, const engine_options *o, const model *m)
{
    uint32_t longest = or_default(o->max_length, m->context_length);

    facts->vocabulary = m->vocabulary;
    facts->context_length = m->context_length;
    facts->max_length = longest < m->context_length ? longest : m->context_length;
    facts->max_sequences = or_default(o->max_sequences, 8);
    facts->max_positions = or_default(o->max_positions, 256);
    facts->max_logits = or_default(o->max_logits, facts->max_sequences);
    facts->page_positions = LANES;
    facts->kv_pages = count_pages(facts, o, m);
    facts->kv_bytes = (uint64_t)facts->kv_pages * kv_page_bytes(m);
    facts->model_fingerprint = gguf_fingerprint(m->file);
    facts->kernels = kernels_select(o->kernels);
}

/* Threads, cache and activations, when the model is open. */
static int take_memory(engine *e, const engine_options *o)
{
    const engine_facts *facts = &e->facts;
    int status;

    e->threads = pool_create(o->threads ? o->threads : 1);
    if (!e->threads)
        return -errno;
    status =
        kv_create(&e->cache, &e->model, facts->kv_pages, facts->max_sequences, facts->max_length);
    if (status < 0)
        return status;
    e->forward = (forward){.m = &e->model,
                           .k = facts->kernels,
                           .threads = e->threads,
                           .cache = &e->cache,
                           .progress = o->progress,
                           .progress_argument = o->progress_argument};
    return forward_create(&e->forward, facts->max_positions, facts->max_logits, facts->max_length);
}

int engine_open(engine **out, const char *path, const engine_options *options, char *error,
                size_t error_size)
{
    int status = check_options(options, error, error_size);
    engine *e = status < 0 ? NULL : calloc(1, sizeof(*e));

    if (status < 0)
        return status;
    if (!e) {
        snprintf(error, error_size, "no memory for an engine; end other programs and try again");
        return -ENOMEM;
    }
    status = model_open(&e->model, path, error, error_size);
    if (status == 0) {
        settle(&e->facts, options, &e->model);
        status = take_memory(e, options);
        if (status < 0)
            snprintf(error, error_size,
                     "cannot take %" PRIu64 " MiB of key and value cache, the buffers and %u "
                     "threads: %s; give fewer pages, positions or threads",
                     e->facts.kv_bytes >> 20, options->threads, strerror(-status));
    }
    if (status < 0) {
        engine_close(e);
        return status;
    }
    *out = e;
    return 0;
}

void engine_close(engine *e)
{
    if (!e)
        return;
    pool_destroy(e->threads);
    forward_destroy(&e->forward);
    kv_destroy(&e->cache);
    model_close(&e->model);
    free(e);
}

const engine_facts *engine_describe(const engine *e)
{
    return &e->facts;
}

void engine_fingerprint(const engine *e, char text[ENGINE_FINGERPRINT])
{
    snprintf(text, ENGINE_FINGERPRINT, "millrace-llama/%d %016" PRIx64, ARITHMETIC,
             e->facts.model_fingerprint);
}

bool engine_model_unchanged(const engine *e)
{
    return gguf_unchanged(e->model.file);
}

/* ---- sequences ---- */

int engine_sequence_open(engine *e, uint32_t limit, const engine_sequence *from, uint32_t shared,
                         engine_sequence **sequence)
{
    return kv_open(&e->cache, limit, from, shared, sequence);
}

void engine_sequence_close(engine *e, engine_sequence *sequence)
{
    if (sequence)
        kv_close(&e->cache, sequence);
}

uint32_t engine_sequence_length(const engine_sequence *sequence)
{
    return sequence->length;
}

/* ---- steps ---- */

static int check_tokens(engine *e, const engine_work *w, size_t index)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->tokens[i] < 0 || w->tokens[i] >= e->facts.vocabulary)
            return refuse(e->error, sizeof(e->error),
                          "part %zu of the step has token %" PRId64 " at position %u, and the "
                          "vocabulary has %u; check the tokenizer's model",
                          index, w->tokens[i], w->sequence->length + i, e->facts.vocabulary);
    return 0;
}

static int check_work(engine *e, const engine_work *w, size_t index)
{
    kv_sequence *s = w->sequence;

    if (s->in_step)
        return refuse(e->error, sizeof(e->error),
                      "part %zu of the step has a sequence that an earlier part has; join them",
                      index);
    s->in_step = true;
    if (w->count < 1 || w->logits > w->count)
        return refuse(e->error, sizeof(e->error),
                      "part %zu of the step has %u positions and wants %u logits; give at least 1 "
                      "position and at most as many logits",
                      index, w->count, w->logits);
    if (w->count > s->limit - s->length)
        return refuse(e->error, sizeof(e->error),
                      "part %zu of the step has %u positions and its sequence room for %u; open it "
                      "with a higher limit",
                      index, w->count, s->limit - s->length);
    return check_tokens(e, w, index);
}

static int check_totals(engine *e, const engine_work *work, size_t count)
{
    uint64_t positions = 0, logits = 0;

    for (size_t i = 0; i < count; i++) {
        positions += work[i].count;
        logits += work[i].logits;
    }
    if (positions > e->facts.max_positions || logits > e->facts.max_logits)
        return refuse(e->error, sizeof(e->error),
                      "the step has %" PRIu64 " positions of at most %u and %" PRIu64
                      " logits of at most %u; split it",
                      positions, e->facts.max_positions, logits, e->facts.max_logits);
    return 0;
}

int engine_step(engine *e, const engine_work *work, size_t count)
{
    int status = 0;

    for (size_t i = 0; i < count && status == 0; i++)
        status = check_work(e, &work[i], i);
    for (size_t i = 0; i < count; i++)
        work[i].sequence->in_step = false;
    if (status == 0)
        status = check_totals(e, work, count);
    if (status < 0 || count == 0)
        return status;
    forward_run(&e->forward, work, count);
    for (size_t i = 0; i < count; i++)
        work[i].sequence->length += work[i].count;
    return 0;
}

float *engine_logits(engine *e, size_t i)
{
    return e->forward.logits + i * e->forward.logits_stride;
}

const char *engine_error(const engine *e)
{
    return e->error;
}
