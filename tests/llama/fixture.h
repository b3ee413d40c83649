/*
 * fixture.h - small models with random weights, good and bad, and runs of the engine over them
 *
 * A failure to make one ends the test.
 */
#ifndef MILLRACE_TESTS_LLAMA_FIXTURE_H
#define MILLRACE_TESTS_LLAMA_FIXTURE_H

#include "workers/llama/engine.h"

/* What a model file is to say. Zero or NULL leaves a key or tensor out, but for `type`. */
typedef struct {
    const char *architecture;
    uint32_t width, feed, layers, heads, key_heads, head_size, vocabulary, context;
    uint32_t rope_size;
    float rope_base, epsilon;
    const char *scaling; /* llama.rope.scaling.type */
    float factor;
    uint32_t type; /* of the matrices */
    bool untied;
    bool frequencies; /* rope_freqs.weight */

    /* How it is spoilt. */
    const char *without_key, *without_tensor;
    const char *extra_key; /* a whole number, 7 */
    const char *extra_tensor;
    const char *short_tensor; /* has one row less than it should */
    bool not_numbers;         /* all matrices are NaN; F32 only */
} model_spec;

/* A grouped-query model of two layers whose sizes are no multiples of anything. */
model_spec small_model(uint32_t type);

/* spec_write - writes the model; returns its path, valid until the next call */
const char *spec_write(const model_spec *spec);

/* spec_open - an engine over it; the file is unlinked again */
engine *spec_open(const model_spec *spec, const engine_options *options);

/* spec_error - the error with which it is refused, valid until the next call */
const char *spec_error(const model_spec *spec, const engine_options *options);

/* Numbers that are the same each time. */
uint64_t next_random(uint64_t *state);

/* reference_logits - the logits behind each of `count` tokens, computed one token a step in an
 * engine with portable kernels; to be freed */
float *reference_logits(const model_spec *spec, const int64_t *tokens, size_t count);

#endif
