/*
 * sample.c - choosing a token: adjust the logits, weigh, keep some, draw
 *
 * The order of things is that of docs/sampling.md. Weights are whole numbers, so that their sums
 * are exact and no order of summation matters.
 */
#include "workers/llama/sample.h"

#include "workers/llama/elementary.h"
#include "workers/llama/philox.h"
#include "workers/llama/rank.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ONE ((uint64_t)1 << 40) /* the weight of the most probable token */

static const double LEAST_TEMPERATURE = 1e-5; /* below it the choice is greedy */

struct sampler {
    uint32_t vocabulary;
    size_t padded; /* the same, rounded up to LANES */
    const kernels *k;
    float *logits;    /* [padded]: adjusted and clean, -infinity at the end */
    float *weights;   /* [padded]: e^..., in [0, 1] */
    uint32_t *counts; /* [vocabulary]: all 0 between calls */
    uint64_t *kept;   /* a bit a token */
    rank_memory ranks;
};

sampler *sampler_create(uint32_t vocabulary, const kernels *k)
{
    sampler *s = calloc(1, sizeof(*s));
    size_t n = vocabulary;

    if (!s)
        return NULL;
    s->vocabulary = vocabulary;
    s->padded = (n + LANES - 1) / LANES * LANES;
    s->k = k;
    s->logits = calloc(s->padded, sizeof(*s->logits));
    s->weights = calloc(s->padded, sizeof(*s->weights));
    s->counts = calloc(n, sizeof(*s->counts));
    s->kept = calloc((n + 63) / 64, sizeof(*s->kept));
    s->ranks.keys = calloc(n, sizeof(*s->ranks.keys));
    s->ranks.spare = calloc(n, sizeof(*s->ranks.spare));
    if (!s->logits || !s->weights || !s->counts || !s->kept || !s->ranks.keys || !s->ranks.spare) {
        sampler_destroy(s);
        return NULL;
    }
    return s;
}

void sampler_destroy(sampler *s)
{
    if (!s)
        return;
    free(s->logits);
    free(s->weights);
    free(s->counts);
    free(s->kept);
    free(s->ranks.keys);
    free(s->ranks.spare);
    free(s);
}

/* ---- adjusting ---- */

static bool is_token(const sampler *s, int64_t token)
{
    return token >= 0 && token < s->vocabulary;
}

static void add_bias(sampler *s, const sample_request *r)
{
    for (size_t i = 0; i < r->bias_count; i++)
        if (is_token(s, r->bias[i].token))
            s->logits[r->bias[i].token] += r->bias[i].bias;
}

/* Whether it is a token, counted for the first time. */
static bool count_token(sampler *s, int64_t token)
{
    return is_token(s, token) && s->counts[token]++ == 0;
}

static void clear_counts(sampler *s, const sample_request *r)
{
    for (size_t i = 0; i < r->token_count; i++)
        if (is_token(s, r->tokens[i]))
            s->counts[r->tokens[i]] = 0;
}

/* Once for each token of prompt and answer. */
static void penalise_repetition(sampler *s, const sample_request *r)
{
    double penalty = r->sampling->repetition_penalty;

    if (penalty == 1)
        return;
    for (size_t i = 0; i < r->token_count; i++)
        if (count_token(s, r->tokens[i])) {
            float *z = &s->logits[r->tokens[i]];
            *z = (float)(*z > 0 ? (double)*z / penalty : (double)*z * penalty);
        }
    clear_counts(s, r);
}

/* Once for each token of the answer, with its count there. */
static void penalise_presence(sampler *s, const sample_request *r)
{
    double frequency = r->sampling->frequency_penalty, presence = r->sampling->presence_penalty;

    if (frequency == 0 && presence == 0)
        return;
    for (size_t i = r->prompt_count; i < r->token_count; i++)
        count_token(s, r->tokens[i]);
    for (size_t i = r->prompt_count; i < r->token_count; i++) {
        int64_t token = r->tokens[i];

        if (!is_token(s, token) || s->counts[token] == 0)
            continue;
        double z = s->logits[token];
        s->logits[token] = (float)(z - s->counts[token] * frequency - presence);
        s->counts[token] = 0;
    }
}

static void forbid_ending(sampler *s, const sample_request *r)
{
    if ((int64_t)(r->token_count - r->prompt_count) >= r->sampling->min_new_tokens)
        return;
    for (size_t i = 0; i < r->ending_count; i++)
        if (is_token(s, r->ending[i]))
            s->logits[r->ending[i]] = -INFINITY;
}

/* Leaves what can be compared and subtracted: NaN becomes -infinity, +infinity the largest float,
 * -0 becomes +0. Returns the largest logit. */
static float clean(sampler *s)
{
    float greatest = -INFINITY;

    for (size_t i = 0; i < s->vocabulary; i++) {
        float z = s->logits[i] >= -FLT_MAX ? s->logits[i] + 0.0f : -INFINITY;
        z = z > FLT_MAX ? FLT_MAX : z;
        s->logits[i] = z;
        greatest = z > greatest ? z : greatest;
    }
    return greatest;
}

static void copy_logits(sampler *s, const float *logits)
{
    memcpy(s->logits, logits, s->vocabulary * sizeof(*logits));
    for (size_t i = s->vocabulary; i < s->padded; i++)
        s->logits[i] = -INFINITY;
}

/* ---- weighing ---- */

static uint64_t weight(const sampler *s, size_t token)
{
    return (uint64_t)(s->weights[token] * (float)ONE);
}

/* Sum of the weights that are at least `least`. */
static uint64_t weigh(sampler *s, float greatest, double temperature, uint64_t least)
{
    uint64_t sum = 0;

    s->k->exponentials(s->logits, s->padded, greatest, (float)temperature, s->weights);
    for (size_t i = 0; i < s->vocabulary; i++) {
        uint64_t w = weight(s, i);
        sum += w >= least ? w : 0;
    }
    return sum;
}

/* ---- keeping ---- */

static void keep(sampler *s, size_t token)
{
    s->kept[token / 64] |= (uint64_t)1 << token % 64;
}

/* Keeps tokens in their rank, [0, count), until their weights reach `enough`. Returns the sum. */
static uint64_t keep_ranked(sampler *s, size_t count, uint64_t least, uint64_t enough)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count && sum < enough; i++) {
        uint32_t token = rank_token(s->ranks.keys[i]);
        uint64_t w = weight(s, token);

        if (w >= least) {
            keep(s, token);
            sum += w;
        }
    }
    return sum;
}

static void forget_kept(sampler *s)
{
    memset(s->kept, 0, (s->vocabulary + 63) / 64 * sizeof(*s->kept));
}

/* The share top_p of a sum, at least 1, so that a token is kept. */
static uint64_t share_of(uint64_t sum, double top_p)
{
    double share = ceil(top_p * (double)sum);

    return share < 1 ? 1 : share < (double)sum ? (uint64_t)share : sum;
}

static uint64_t sum_ranked(const sampler *s, size_t count, uint64_t least)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t w = weight(s, rank_token(s->ranks.keys[i]));
        sum += w >= least ? w : 0;
    }
    return sum;
}

/* Top-k, then top-p among what is left. `sum` is the weight of all. Returns that of the kept. */
static uint64_t keep_some(sampler *s, size_t top_k, double top_p, uint64_t least, uint64_t sum)
{
    size_t n = s->vocabulary, few = n < RANK_FEW ? n : RANK_FEW;

    if (top_k < n) {
        rank_first(s->logits, n, top_k, &s->ranks);
        sum = sum_ranked(s, top_k, least);
        return keep_ranked(s, top_k, least, share_of(sum, top_p));
    }
    uint64_t enough = share_of(sum, top_p);
    rank_first(s->logits, n, few, &s->ranks);
    uint64_t got = keep_ranked(s, few, least, enough);
    if (got < enough) {
        forget_kept(s);
        rank_first(s->logits, n, n, &s->ranks);
        got = keep_ranked(s, n, least, enough);
    }
    return got;
}

static void keep_all(sampler *s, uint64_t least)
{
    for (size_t i = 0; i < s->vocabulary; i++)
        if (weight(s, i) >= least)
            keep(s, i);
}

/* ---- drawing ---- */

/* The upper 64 bits of the product. */
static uint64_t high_product(uint64_t a, uint64_t b)
{
    uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
    uint64_t middle = a_high * b_low + (a_low * b_low >> 32);

    return a_high * b_high + (middle >> 32) + ((a_low * b_high + (uint32_t)middle) >> 32);
}

/* The kept token in whose stretch of [0, sum), in order of id, the point lies. */
static int64_t token_at(const sampler *s, uint64_t point)
{
    for (size_t word = 0;; word++)
        for (uint64_t bits = s->kept[word]; bits; bits &= bits - 1) {
            size_t token = word * 64 + (size_t)__builtin_ctzll(bits);
            uint64_t w = weight(s, token);

            if (point < w)
                return (int64_t)token;
            point -= w;
        }
}

/* Of a token that min_p keeps. */
static uint64_t least_weight(double min_p)
{
    if (!(min_p > 0))
        return 0;
    return (uint64_t)ceil((min_p < 1 ? min_p : 1) * (double)ONE);
}

static int64_t draw(sampler *s, const sample_request *r, float greatest)
{
    const mr_sampling *p = r->sampling;
    size_t n = s->vocabulary;
    size_t top_k = p->top_k > 0 && (uint64_t)p->top_k < n ? (size_t)p->top_k : n;
    uint64_t least = least_weight(p->min_p);
    uint64_t sum = weigh(s, greatest, p->temperature, least);

    forget_kept(s);
    if (top_k < n || p->top_p < 1)
        sum = keep_some(s, top_k, p->top_p, least, sum);
    else
        keep_all(s, least);
    uint64_t bits = philox_draw(p->seed, p->choice, r->token_count - r->prompt_count);
    return token_at(s, high_product(bits, sum));
}

static int64_t first_of(const sampler *s, float greatest)
{
    int64_t token = 0;

    while (s->logits[token] != greatest)
        token++;
    return token;
}

int sampler_choose(sampler *s, const float *logits, const sample_request *request, int64_t *token)
{
    const mr_sampling *p = request->sampling;

    copy_logits(s, logits);
    add_bias(s, request);
    penalise_repetition(s, request);
    penalise_presence(s, request);
    forbid_ending(s, request);
    float greatest = clean(s);
    if (greatest == -INFINITY)
        return -EDOM;
    if (p->top_k == 1 || !(p->temperature >= LEAST_TEMPERATURE))
        *token = first_of(s, greatest);
    else
        *token = draw(s, request, greatest);
    return 0;
}

/* ---- log-probabilities ---- */

double sampler_logprob(sampler *s, const float *logits, int64_t token, mr_top_logprob *top,
                       size_t top_count)
{
    copy_logits(s, logits);
    float greatest = clean(s);
    double sum = (double)weigh(s, greatest, 1, 0) / (double)ONE;
    double least = SAMPLER_LEAST_LOGPROB, log_sum = elementary_log(sum);
    double chosen = least;

    if (is_token(s, token))
        chosen = (double)s->logits[token] - greatest - log_sum;
    rank_first(s->logits, s->vocabulary, top_count, &s->ranks);
    for (size_t i = 0; i < top_count; i++) {
        uint32_t id = rank_token(s->ranks.keys[i]);
        double logprob = (double)s->logits[id] - greatest - log_sum;

        top[i] = (mr_top_logprob){.token = id, .logprob = logprob > least ? logprob : least};
    }
    return chosen > least ? chosen : least;
}
