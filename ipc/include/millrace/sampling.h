/*
 * millrace/sampling.h - how the next token is chosen
 *
 * The fields are those of Modular MAX's SamplingParams (docs/contexts.md), followed by those that
 * requests from outside may carry besides. A worker reads them in place through
 * mr_context_sampling(); they do not change after the request was accepted.
 */
#ifndef MILLRACE_SAMPLING_H
#define MILLRACE_SAMPLING_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Philox 4x32-10 is keyed by {seed, choice}; see docs/sampling.md. */
typedef struct mr_sampling {
    int64_t top_k;             /* -1: no limit; else >= 1 (1..255 where MAX's rules apply) */
    double top_p;              /* 1: off */
    double min_p;              /* in [0, 1]; 0: off */
    double temperature;        /* 0: greedy (top_k is then 1) */
    double frequency_penalty;  /* per occurrence among the generated tokens; 0: off */
    double presence_penalty;   /* once per generated token id; 0: off */
    double repetition_penalty; /* > 0; 1: off */
    int64_t max_new_tokens;    /* -1: none */
    int64_t min_new_tokens;    /* below 1: none */
    uint64_t seed;
    uint32_t ignore_eos; /* booleans: 0 or 1 */
    uint32_t detokenize;
    uint32_t choice;  /* index of this context among the choices of its request */
    uint32_t choices; /* how many choices the request has, >= 1 */
} mr_sampling;

/* Added to the logit of one token before anything else is done to it. */
typedef struct mr_logit_bias {
    int32_t token;
    float bias;
} mr_logit_bias;

enum mr_sampling_error {
    MR_SAMPLING_MIN_P_RANGE = 1,
    MR_SAMPLING_MIN_P_WITH_TOP_K,
    MR_SAMPLING_REPETITION_PENALTY,
    MR_SAMPLING_TOP_K_RANGE,
    MR_SAMPLING_NOT_FINITE
};

/* mr_sampling_defaults - the defaults of the specification; seed is 0, to be set by the caller */
void mr_sampling_defaults(mr_sampling *sampling);

/*
 * mr_sampling_check - MAX's checks, in its order, and its normalisation (top_k 0 becomes -1,
 * temperature 0 makes top_k 1)
 *
 * Returns 0, or -EINVAL with mr_error_code() an enum mr_sampling_error; then *sampling is as it
 * was. Source: contexts specification, SamplingParams; Q1 (min_p needs top_k 1) is kept here.
 */
int mr_sampling_check(mr_sampling *sampling);

/* mr_sampling_check_request - the same for a request from outside: any top_k >= -1 is allowed, and
 * min_p with any top_k (Q1 and the limit of 255 are lifted) */
int mr_sampling_check_request(mr_sampling *sampling);

/* Which members of `values` were given: bits of `fields`. */
enum mr_sampling_field {
    MR_GIVEN_TOP_K = 1 << 0,
    MR_GIVEN_TOP_P = 1 << 1,
    MR_GIVEN_MIN_P = 1 << 2,
    MR_GIVEN_TEMPERATURE = 1 << 3,
    MR_GIVEN_FREQUENCY_PENALTY = 1 << 4,
    MR_GIVEN_PRESENCE_PENALTY = 1 << 5,
    MR_GIVEN_REPETITION_PENALTY = 1 << 6,
    MR_GIVEN_MAX_NEW_TOKENS = 1 << 7,
    MR_GIVEN_MIN_NEW_TOKENS = 1 << 8,
    MR_GIVEN_SEED = 1 << 9,
    MR_GIVEN_IGNORE_EOS = 1 << 10,
    MR_GIVEN_DETOKENIZE = 1 << 11
};

typedef struct mr_sampling_given {
    uint32_t fields;
    uint32_t reserved;
    mr_sampling values;
} mr_sampling_given;

/*
 * mr_sampling_merge - what a request's parameters are when the model has defaults of its own
 *
 *   greedy  the model's do_sample is given and false: temperature 0 and top_k 1, over what else the
 *           model gives; so a user who wants to sample must give both (Q3)
 *
 * The specification's defaults, over them the model's, over them the user's. Nothing is checked:
 * mr_sampling_check() or mr_sampling_check_request() comes next. Neither input is written to (Q4).
 */
void mr_sampling_merge(mr_sampling *merged, const mr_sampling_given *model, bool greedy,
                       const mr_sampling_given *user);

#ifdef __cplusplus
}
#endif
#endif
