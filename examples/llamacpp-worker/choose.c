/*
 * choose.c - bias and penalties on a copy of the logits; then the largest, or llama.cpp's samplers
 */
#include "choose.h"
#include <math.h>
#include <stdlib.h>

enum { MOST_TOPS = 20 };

struct chooser {
    int32_t vocabulary;
    llama_token_data *tokens;
    float *logits;
    int32_t *seen;      /* by id: occurrences in the context */
    int32_t *generated; /* by id: those behind the original prompt */
    mr_top_logprob tops[MOST_TOPS];
    mr_logprob entry;
};

struct chooser *chooser_new(int32_t vocabulary)
{
    size_t n = (size_t)vocabulary;
    struct chooser *chooser = calloc(1, sizeof(*chooser));

    if (!chooser)
        return NULL;
    chooser->vocabulary = vocabulary;
    chooser->tokens = calloc(n, sizeof(*chooser->tokens));
    chooser->logits = calloc(n, sizeof(*chooser->logits));
    chooser->seen = calloc(n, sizeof(*chooser->seen));
    chooser->generated = calloc(n, sizeof(*chooser->generated));
    if (chooser->tokens && chooser->logits && chooser->seen && chooser->generated)
        return chooser;
    chooser_free(chooser);
    return NULL;
}

void chooser_free(struct chooser *chooser)
{
    if (!chooser)
        return;
    free(chooser->tokens);
    free(chooser->logits);
    free(chooser->seen);
    free(chooser->generated);
    free(chooser);
}

static bool in_vocabulary(const struct chooser *chooser, int64_t token)
{
    return token >= 0 && token < chooser->vocabulary;
}

static void penalise(struct chooser *chooser, const mr_sampling *sampling, const mr_text *text)
{
    mr_tokens all = mr_text_all(text);
    size_t prompt = (size_t)mr_text_original_prompt_length(text);

    for (size_t i = 0; i < all.count; i++) {
        if (!in_vocabulary(chooser, all.ids[i]))
            continue;
        chooser->seen[all.ids[i]]++;
        chooser->generated[all.ids[i]] += i >= prompt;
    }
    for (size_t i = 0; i < all.count; i++) {
        int64_t id = all.ids[i];
        double z;

        if (!in_vocabulary(chooser, id) || !chooser->seen[id])
            continue;
        z = chooser->logits[id];
        z = z > 0 ? z / sampling->repetition_penalty : z * sampling->repetition_penalty;
        if (chooser->generated[id])
            z = z - chooser->generated[id] * sampling->frequency_penalty -
                sampling->presence_penalty;
        chooser->logits[id] = (float)z;
        chooser->seen[id] = chooser->generated[id] = 0; /* done, and clean for the next call */
    }
}

static void adjust(struct chooser *chooser, const float *logits, mr_context *context)
{
    const mr_sampling *sampling = mr_context_sampling(context);
    const mr_text *text = mr_context_text(context);
    size_t count;
    const mr_logit_bias *bias = mr_context_logit_bias(context, &count);

    for (int32_t i = 0; i < chooser->vocabulary; i++)
        chooser->logits[i] = isnan(logits[i]) ? -INFINITY : logits[i];
    for (size_t i = 0; i < count; i++)
        if (in_vocabulary(chooser, bias[i].token))
            chooser->logits[bias[i].token] += bias[i].bias;
    if (sampling->repetition_penalty != 1 || sampling->frequency_penalty != 0 ||
        sampling->presence_penalty != 0)
        penalise(chooser, sampling, text);
    if (mr_text_min_token_mask(text, 0)) {
        const int64_t *ends = mr_text_eos_token_ids(text, &count);

        for (size_t i = 0; i < count; i++)
            if (in_vocabulary(chooser, ends[i]))
                chooser->logits[ends[i]] = -INFINITY;
    }
}

static llama_token largest(const float *logits, int32_t count)
{
    llama_token best = 0;

    for (llama_token i = 1; i < count; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* Each token has a seed of its own: nothing is remembered between tokens. */
static uint32_t seed_of(const mr_sampling *sampling, int64_t index)
{
    uint64_t x = sampling->seed ^ (uint64_t)index * UINT64_C(0x9e3779b97f4a7c15) ^
                 (uint64_t)sampling->choice << 32;

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return (uint32_t)x == LLAMA_DEFAULT_SEED ? 0 : (uint32_t)x; /* that one means "draw a seed" */
}

static llama_token draw(struct chooser *chooser, const mr_sampling *sampling, uint32_t seed)
{
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_token_data_array all = {chooser->tokens, (size_t)chooser->vocabulary, -1, false};
    llama_token token;

    for (llama_token i = 0; i < chooser->vocabulary; i++)
        chooser->tokens[i] = (llama_token_data){.id = i, .logit = chooser->logits[i]};
    llama_sampler_chain_add(chain, llama_sampler_init_temp((float)sampling->temperature));
    if (sampling->top_k > 0)
        llama_sampler_chain_add(chain, llama_sampler_init_top_k((int32_t)sampling->top_k));
    llama_sampler_chain_add(chain, llama_sampler_init_min_p((float)sampling->min_p, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_top_p((float)sampling->top_p, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(seed));
    llama_sampler_apply(chain, &all);
    token = all.data[all.selected].id;
    llama_sampler_free(chain);
    return token;
}

llama_token choose(struct chooser *chooser, const float *logits, mr_context *context)
{
    const mr_sampling *sampling = mr_context_sampling(context);
    const mr_text *text = mr_context_text(context);

    adjust(chooser, logits, context);
    if (sampling->top_k == 1 || !(sampling->temperature >= 1e-5))
        return largest(chooser->logits, chooser->vocabulary);
    return draw(chooser, sampling,
                seed_of(sampling, mr_text_length(text) - mr_text_original_prompt_length(text)));
}

/* The largest `count` of all, by insertion: `count` is small. */
static void find_tops(struct chooser *chooser, const float *logits, size_t count)
{
    size_t found = 0;

    for (llama_token i = 0; i < chooser->vocabulary && count; i++) {
        size_t at;

        if (found == count && !(logits[i] > chooser->tops[count - 1].logprob))
            continue;
        at = found < count ? found++ : count - 1;
        for (; at && logits[i] > chooser->tops[at - 1].logprob; at--)
            chooser->tops[at] = chooser->tops[at - 1];
        chooser->tops[at] = (mr_top_logprob){.token = i, .logprob = logits[i]};
    }
}

void tell_logprobs(struct chooser *chooser, const float *logits, llama_token token,
                   const mr_text *text, mr_logprobs *logprobs)
{
    size_t count = (size_t)mr_text_log_probabilities(text);
    double most = logits[largest(logits, chooser->vocabulary)], sum = 0, all;

    count = count < MOST_TOPS ? count : MOST_TOPS;
    for (int32_t i = 0; i < chooser->vocabulary; i++)
        sum += exp(logits[i] - most);
    all = most + log(sum);
    find_tops(chooser, logits, count);
    for (size_t i = 0; i < count; i++)
        chooser->tops[i].logprob = fmax(chooser->tops[i].logprob - all, -9999);
    chooser->entry = (mr_logprob){
        .chosen = fmax(logits[token] - all, -9999), .top = chooser->tops, .top_count = count};
    *logprobs = (mr_logprobs){.entries = &chooser->entry, .count = 1};
}
