/*
 * sampling_kind.c - SamplingParams, alone and merged with a model's defaults
 *
 * stop and stop_token_ids are no fields of ours: the tokenizer makes end tokens and stop sequences
 * of them.
 */
#include "tests/ipc/golden/golden.h"
#include <math.h>
#include <millrace/error.h>
#include <string.h>

static double number(const json_t *value)
{
    return json_is_string(value) ? (double)NAN : json_number_value(value);
}

/* The member's value, and that it is given. */
static void take(mr_sampling_given *given, const char *key, const json_t *value)
{
    const struct {
        const char *key;
        enum mr_sampling_field field;
        double *number;
        int64_t *integer;
    } members[] = {
        {"top_k", MR_GIVEN_TOP_K, NULL, &given->values.top_k},
        {"max_new_tokens", MR_GIVEN_MAX_NEW_TOKENS, NULL, &given->values.max_new_tokens},
        {"min_new_tokens", MR_GIVEN_MIN_NEW_TOKENS, NULL, &given->values.min_new_tokens},
        {"top_p", MR_GIVEN_TOP_P, &given->values.top_p, NULL},
        {"min_p", MR_GIVEN_MIN_P, &given->values.min_p, NULL},
        {"temperature", MR_GIVEN_TEMPERATURE, &given->values.temperature, NULL},
        {"frequency_penalty", MR_GIVEN_FREQUENCY_PENALTY, &given->values.frequency_penalty, NULL},
        {"presence_penalty", MR_GIVEN_PRESENCE_PENALTY, &given->values.presence_penalty, NULL},
        {"repetition_penalty", MR_GIVEN_REPETITION_PENALTY, &given->values.repetition_penalty,
         NULL},
    };

    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        if (strcmp(members[i].key, key) != 0)
            continue;
        given->fields |= members[i].field;
        if (members[i].number)
            *members[i].number = number(value);
        else
            *members[i].integer = json_integer_value(value);
    }
}

static mr_sampling_given given_in(const json_t *object)
{
    mr_sampling_given given = {0};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!json_is_null(value))
            take(&given, key, value);
    }
    if (json_is_integer(json_object_get(object, "seed"))) {
        given.fields |= MR_GIVEN_SEED;
        given.values.seed = (uint64_t)json_integer_value(json_object_get(object, "seed"));
    }
    if (json_is_boolean(json_object_get(object, "ignore_eos"))) {
        given.fields |= MR_GIVEN_IGNORE_EOS;
        given.values.ignore_eos = json_is_true(json_object_get(object, "ignore_eos"));
    }
    if (json_is_boolean(json_object_get(object, "detokenize"))) {
        given.fields |= MR_GIVEN_DETOKENIZE;
        given.values.detokenize = json_is_true(json_object_get(object, "detokenize"));
    }
    return given;
}

static json_t *state_of_sampling(const mr_sampling *s)
{
    return json_pack(
        "{s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:o,s:I,s:b,s:b,s:I}", "top_k", (json_int_t)s->top_k, "top_p",
        s->top_p, "min_p", s->min_p, "temperature", s->temperature, "frequency_penalty",
        s->frequency_penalty, "presence_penalty", s->presence_penalty, "repetition_penalty",
        s->repetition_penalty, "max_new_tokens",
        s->max_new_tokens < 0 ? json_null() : json_integer(s->max_new_tokens), "min_new_tokens",
        (json_int_t)s->min_new_tokens, "ignore_eos", (int)s->ignore_eos, "detokenize",
        (int)s->detokenize, "seed", (json_int_t)s->seed);
}

/* A max_new_tokens of -1 is "none" here; the original keeps the two apart. */
static bool compare_member(const struct place *place, const char *key, json_t *expected,
                           const json_t *actual)
{
    if (!strcmp(key, "stop") || !strcmp(key, "stop_token_ids"))
        return true;
    if (!strcmp(key, "max_new_tokens") && json_integer_value(expected) == -1)
        return report_compare(place, key, json_null(), actual);
    return report_compare(place, key, expected, actual);
}

static bool compare_sampling(const struct place *place, const json_t *expected,
                             const mr_sampling *s)
{
    json_t *actual = state_of_sampling(s), *value;
    const char *key;
    bool ok = true;

    json_object_foreach((json_t *)(uintptr_t)expected, key, value)
    {
        ok &= compare_member(place, key, value, json_object_get(actual, key));
    }
    json_decref(actual);
    return ok;
}

bool sampling_kind(struct place *place, const json_t *line)
{
    const json_t *defaults = json_object_get(line, "model_defaults");
    mr_sampling_given model = given_in(defaults), user = given_in(json_object_get(line, "new"));
    const char *why = json_string_value(json_object_get(line, "why"));
    mr_sampling sampling;
    int rc;

    mr_sampling_merge(&sampling, &model, json_is_false(json_object_get(defaults, "do_sample")),
                      &user);
    rc = mr_sampling_check(&sampling);
    if (json_object_get(line, "quirk")) /* Q2 */
        return rc < 0 || report_text(place, "a NaN", "a refusal", "success");
    return report_error(place, why, rc, rc < 0 ? mr_error_code() : 0) &&
           (rc < 0 || compare_sampling(place, json_object_get(line, "expect"), &sampling));
}
