/*
 * choose.h - from logits to the next token of a context
 */
#ifndef LLAMACPP_WORKER_CHOOSE_H
#define LLAMACPP_WORKER_CHOOSE_H

#include <llama.h>
#include <millrace/worker.h>

struct chooser;

struct chooser *chooser_new(int32_t vocabulary); /* NULL: no memory */
void chooser_free(struct chooser *chooser);

/*
 * choose - the next token, as the request's parameters say
 *
 * Greedy is the largest logit, the lowest id among equal ones. Else llama.cpp's samplers draw, with
 * a seed that is made of the request's seed, its choice and how many tokens there are: so what is
 * drawn doesn't depend on who computed the tokens before.
 */
llama_token choose(struct chooser *chooser, const float *logits, mr_context *context);

/* tell_logprobs - of `token`, and the alternatives that the request wants, from the raw logits.
 * What *logprobs points to is valid until the next call. */
void tell_logprobs(struct chooser *chooser, const float *logits, llama_token token,
                   const mr_text *text, mr_logprobs *logprobs);

#endif
