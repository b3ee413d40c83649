/*
 * sample.h - the next token, and how probable tokens are
 *
 * docs/sampling.md fixes what comes out, bit by bit: it depends on the logits, the request and the
 * tokens so far alone. A sampler is scratch memory for one thread; nothing is kept from one call
 * to the next.
 */
#ifndef MILLRACE_LLAMA_SAMPLE_H
#define MILLRACE_LLAMA_SAMPLE_H

#include "workers/llama/kernels/kernels.h"

#include <millrace/sampling.h>
#include <millrace/text.h>

typedef struct sampler sampler;

/* sampler_create - NULL if there is no memory: 29 bytes a token of the vocabulary */
sampler *sampler_create(uint32_t vocabulary, const kernels *k);
void sampler_destroy(sampler *s); /* NULL is fine */

/* What the choice of a token depends on besides the logits. */
typedef struct {
    const mr_sampling *sampling;
    const mr_logit_bias *bias;
    size_t bias_count;
    const int64_t *tokens; /* all so far: the original prompt and what was generated */
    size_t token_count;
    size_t prompt_count;   /* of the original prompt, <= token_count: no reset moves it */
    const int64_t *ending; /* tokens that may not come before sampling->min_new_tokens others */
    size_t ending_count;
} sample_request;

/*
 * sampler_choose - the next token
 *
 *   logits  `vocabulary` floats; not changed
 *
 * Returns 0, or -EDOM: no token is left to choose (all are masked, or the logits are no numbers).
 */
int sampler_choose(sampler *s, const float *logits, const sample_request *request, int64_t *token);

enum { SAMPLER_LEAST_LOGPROB = -9999 }; /* stands for minus infinity, which JSON lacks */

/*
 * sampler_logprob - log-probability of `token` by the raw logits, before bias, penalties and
 * temperature, and the `top_count` most probable tokens in their rank
 *
 *   top, top_count  top_count <= the vocabulary's size
 */
double sampler_logprob(sampler *s, const float *logits, int64_t token, mr_top_logprob *top,
                       size_t top_count);

#endif
