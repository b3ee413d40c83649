/*
 * sampling.c - SamplingParams: defaults, MAX's checks, and the merge with a model's defaults
 */
#include "ipc/error.h"
#include <errno.h>
#include <math.h>
#include <millrace/sampling.h>
#include <stddef.h>

void mr_sampling_defaults(mr_sampling *sampling)
{
    *sampling = (mr_sampling){.top_k = -1,
                              .top_p = 1,
                              .temperature = 1,
                              .repetition_penalty = 1,
                              .max_new_tokens = -1,
                              .detokenize = 1,
                              .choices = 1};
}

/* ---- checks ---- */

static int check_min_p(const mr_sampling *s)
{
    if (s->min_p < 0 || s->min_p > 1)
        return mr_fail_code(EINVAL, MR_SAMPLING_MIN_P_RANGE, "min_p is %g, it must lie in [0, 1]",
                            s->min_p);
    return 0;
}

static int check_penalty(const mr_sampling *s)
{
    if (s->repetition_penalty <= 0)
        return mr_fail_code(EINVAL, MR_SAMPLING_REPETITION_PENALTY,
                            "repetition_penalty is %g, it must be above 0", s->repetition_penalty);
    return 0;
}

static int check_top_k(int64_t top_k, int64_t most)
{
    if (top_k < -1 || top_k > most)
        return mr_fail_code(EINVAL, MR_SAMPLING_TOP_K_RANGE,
                            "top_k is %lld, it must lie in [1, %lld] or be -1 for no limit",
                            (long long)top_k, (long long)most);
    return 0;
}

/* A NaN passes the comparisons above and would poison a whole batch of logits (Q2). */
static int check_finite(const mr_sampling *s)
{
    const struct {
        const char *name;
        double value;
    } fields[] = {{"min_p", s->min_p},
                  {"top_p", s->top_p},
                  {"temperature", s->temperature},
                  {"frequency_penalty", s->frequency_penalty},
                  {"presence_penalty", s->presence_penalty},
                  {"repetition_penalty", s->repetition_penalty}};

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        if (!isfinite(fields[i].value))
            return mr_fail_code(EINVAL, MR_SAMPLING_NOT_FINITE, "%s must be a finite number",
                                fields[i].name);
    return 0;
}

static void normalise(mr_sampling *s)
{
    if (s->top_k == 0)
        s->top_k = -1;
    if (s->temperature == 0)
        s->top_k = 1;
}

int mr_sampling_check(mr_sampling *sampling)
{
    int rc;

    if ((rc = check_min_p(sampling)))
        return rc;
    if (sampling->min_p != 0 && sampling->top_k != 1)
        return mr_fail_code(EINVAL, MR_SAMPLING_MIN_P_WITH_TOP_K,
                            "min_p can only be used together with a top_k of 1");
    if ((rc = check_penalty(sampling)) || (rc = check_top_k(sampling->top_k, 255)) ||
        (rc = check_finite(sampling)))
        return rc;
    normalise(sampling);
    return 0;
}

int mr_sampling_check_request(mr_sampling *sampling)
{
    int rc;

    if ((rc = check_min_p(sampling)) || (rc = check_penalty(sampling)) ||
        (rc = check_top_k(sampling->top_k, INT64_MAX)) || (rc = check_finite(sampling)))
        return rc;
    normalise(sampling);
    return 0;
}

/* ---- merging ---- */

static void lay_over(mr_sampling *to, const mr_sampling_given *given)
{
    const mr_sampling *from = &given->values;

    if (given->fields & MR_GIVEN_TOP_K)
        to->top_k = from->top_k;
    if (given->fields & MR_GIVEN_TOP_P)
        to->top_p = from->top_p;
    if (given->fields & MR_GIVEN_MIN_P)
        to->min_p = from->min_p;
    if (given->fields & MR_GIVEN_TEMPERATURE)
        to->temperature = from->temperature;
    if (given->fields & MR_GIVEN_FREQUENCY_PENALTY)
        to->frequency_penalty = from->frequency_penalty;
    if (given->fields & MR_GIVEN_PRESENCE_PENALTY)
        to->presence_penalty = from->presence_penalty;
    if (given->fields & MR_GIVEN_REPETITION_PENALTY)
        to->repetition_penalty = from->repetition_penalty;
    if (given->fields & MR_GIVEN_MAX_NEW_TOKENS)
        to->max_new_tokens = from->max_new_tokens;
    if (given->fields & MR_GIVEN_MIN_NEW_TOKENS)
        to->min_new_tokens = from->min_new_tokens;
    if (given->fields & MR_GIVEN_SEED)
        to->seed = from->seed;
    if (given->fields & MR_GIVEN_IGNORE_EOS)
        to->ignore_eos = from->ignore_eos;
    if (given->fields & MR_GIVEN_DETOKENIZE)
        to->detokenize = from->detokenize;
}

void mr_sampling_merge(mr_sampling *merged, const mr_sampling_given *model, bool greedy,
                       const mr_sampling_given *user)
{
    mr_sampling_defaults(merged);
    lay_over(merged, model);
    if (greedy) {
        merged->temperature = 0;
        merged->top_k = 1;
    }
    lay_over(merged, user);
}
