/*
 * parameters.c - how to generate, when to stop, what to tell
 *
 * Ranges are OpenAI's where it has the parameter, else vLLM's; docs/formats.md has them all.
 */
#include "runtime/tokenizer/request_parts.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COMPLETION_MAX_TOKENS = 16, MAX_STOP_BYTES = 1024, MAX_TIMEOUT_S = 31536000 };

static void read_lengths(struct request *request, struct fields *body)
{
    mr_sampling *sampling = &request->sampling;
    if (request->endpoint == ENDPOINT_COMPLETION)
        sampling->max_new_tokens = COMPLETION_MAX_TOKENS; /* OpenAI's default */
    fields_integer(body, "max_tokens", 1, INT32_MAX, &sampling->max_new_tokens);
    fields_integer(body, "max_completion_tokens", 1, INT32_MAX, &sampling->max_new_tokens);
    fields_integer(body, "min_tokens", 0, INT32_MAX, &sampling->min_new_tokens);
    if (sampling->max_new_tokens >= 0 && sampling->min_new_tokens > sampling->max_new_tokens)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "min_tokens",
                      "is %" PRId64 ", more than the %" PRId64 " tokens that are allowed at most",
                      sampling->min_new_tokens, sampling->max_new_tokens);
}

static void read_distribution(struct request *request, struct fields *body)
{
    mr_sampling *sampling = &request->sampling;
    fields_number(body, "temperature", 0, 100, &sampling->temperature);
    if (fields_number(body, "top_p", 0, 1, &sampling->top_p) && sampling->top_p == 0)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "top_p", "is 0, but must lie in (0, 1]");
    fields_number(body, "min_p", 0, 1, &sampling->min_p);
    fields_integer(body, "top_k", -1, INT32_MAX, &sampling->top_k);
    fields_number(body, "presence_penalty", -2, 2, &sampling->presence_penalty);
    fields_number(body, "frequency_penalty", -2, 2, &sampling->frequency_penalty);
    if (fields_number(body, "repetition_penalty", 0, 100, &sampling->repetition_penalty) &&
        sampling->repetition_penalty == 0)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "repetition_penalty",
                      "is 0, but must lie in (0, 100]");
}

static void read_choices(struct request *request, struct fields *body)
{
    int64_t choices = 1, best_of, seed;
    fields_integer(body, "n", 1, MR_MAX_CHOICES, &choices);
    request->sampling.choices = (uint32_t)choices;
    if (fields_integer(body, "best_of", 1, MR_MAX_CHOICES, &best_of) && best_of != choices)
        fields_refuse(body, REFUSAL_UNSUPPORTED_PARAMETER, "best_of",
                      "is %" PRId64 ", but only the value of 'n' is supported", best_of);
    request->has_seed = fields_integer(body, "seed", INT64_MIN, INT64_MAX, &seed);
    if (request->has_seed)
        request->sampling.seed = (uint64_t)seed;
}

static void add_stop(struct request *request, struct fields *body, const json_t *stop)
{
    size_t length = json_string_length(stop);
    if (!json_is_string(stop) || length == 0 || length > MAX_STOP_BYTES)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "stop",
                      "must be a string, or an array of at most %d strings, each of 1 to %d bytes",
                      REPLY_MAX_STOPS, MAX_STOP_BYTES);
    else
        request->stops[request->stop_count++] = (mr_bytes){json_string_value(stop), length};
}

static void read_stops(struct request *request, struct fields *body)
{
    const json_t *stop = fields_get(body, "stop");
    if (stop == NULL)
        return;
    if (json_is_array(stop) && json_array_size(stop) <= REPLY_MAX_STOPS)
        for (size_t i = 0; i < json_array_size(stop) && fields_ok(body); i++)
            add_stop(request, body, json_array_get(stop, i));
    else
        add_stop(request, body, stop);
}

static void read_stop_ids(struct request *request, struct fields *body, size_t token_limit)
{
    const json_t *ids = fields_get(body, "stop_token_ids"), *id;
    size_t index;
    if (ids == NULL)
        return;
    if (!json_is_array(ids) || json_array_size(ids) > REQUEST_MAX_STOP_IDS)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "stop_token_ids",
                      "must be an array of at most %d tokens", REQUEST_MAX_STOP_IDS);
    json_array_foreach(ids, index, id)
    {
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            (size_t)json_integer_value(id) >= token_limit)
            fields_refuse(body, REFUSAL_INVALID_PARAMETER, "stop_token_ids",
                          "has no token in [0, %zu) at index %zu", token_limit, index);
        if (!fields_ok(body))
            return;
        request->stop_ids[request->stop_id_count++] = json_integer_value(id);
    }
}

/* A key of logit_bias: a token in decimal digits, written in the one way. -1: it is none. */
static int32_t token_of_key(const char *key, size_t token_limit)
{
    char *end;
    long token;
    if (key[0] < '0' || key[0] > '9' || (key[0] == '0' && key[1] != '\0'))
        return -1;
    errno = 0;
    token = strtol(key, &end, 10);
    if (errno != 0 || *end != '\0' || (size_t)token >= token_limit || token > INT32_MAX)
        return -1;
    return (int32_t)token;
}

static bool add_bias(struct request *request, struct fields *body, const char *key,
                     const json_t *value, size_t token_limit)
{
    int32_t token = token_of_key(key, token_limit);
    double bias = json_number_value(value);
    if (token < 0)
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "logit_bias",
                             "has key %s, but keys are tokens in [0, %zu)",
                             quote(key, strlen(key)).text, token_limit);
    if (!json_is_number(value) || !(fabs(bias) <= 100))
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "logit_bias",
                             "of token %" PRId32 " must be a number in [-100, 100]", token);
    request->biases[request->bias_count++] = (mr_logit_bias){.token = token, .bias = (float)bias};
    return true;
}

static void read_biases(struct request *request, struct fields *body, size_t token_limit)
{
    json_t *biases = fields_get(body, "logit_bias"), *value;
    const char *key;
    if (biases == NULL || (json_is_object(biases) && json_object_size(biases) == 0))
        return;
    if (!json_is_object(biases) || json_object_size(biases) > REQUEST_MAX_BIASES) {
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "logit_bias",
                      "must be an object of at most %d tokens", REQUEST_MAX_BIASES);
        return;
    }
    request->biases = calloc(json_object_size(biases), sizeof(*request->biases));
    if (request->biases == NULL) {
        fields_refuse(body, REFUSAL_TOO_LARGE, "logit_bias", "is too large");
        return;
    }
    json_object_foreach(biases, key,
                        value) if (!add_bias(request, body, key, value, token_limit)) return;
}

static void read_chat_logprobs(struct request *request, struct fields *body)
{
    int64_t top = 0;
    fields_boolean(body, "logprobs", &request->logprobs);
    if (fields_integer(body, "top_logprobs", 0, REQUEST_MAX_TOP_LOGPROBS, &top) &&
        !request->logprobs && top > 0)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "top_logprobs",
                      "needs 'logprobs' to be true");
    request->top_logprobs = (unsigned)top;
}

static void read_completion_logprobs(struct request *request, struct fields *body)
{
    int64_t top = 0;
    request->logprobs = fields_integer(body, "logprobs", 0, REQUEST_MAX_TOP_LOGPROBS, &top);
    request->top_logprobs = (unsigned)top;
}

static void read_output(struct request *request, struct fields *body)
{
    bool skip_special = true;
    if (request->endpoint == ENDPOINT_CHAT)
        read_chat_logprobs(request, body);
    else
        read_completion_logprobs(request, body);
    fields_boolean(body, "echo", &request->echo);
    fields_boolean(body, "include_stop_str_in_output", &request->keep_stop);
    fields_boolean(body, "skip_special_tokens", &skip_special);
    fields_boolean(body, "add_special_tokens", &request->begin);
    fields_boolean(body, "ignore_eos", &request->ignore_eos);
    request->show_special = !skip_special;
}

static void check_response_format(struct fields *body)
{
    const json_t *format = fields_get(body, "response_format");
    const json_t *type = json_object_get(format, "type");
    if (format != NULL && (!json_is_string(type) || strcmp(json_string_value(type), "text") != 0))
        fields_refuse(body, REFUSAL_UNSUPPORTED_PARAMETER, "response_format",
                      "must be {\"type\": \"text\"}");
}

/* A model's name is accepted whatever it is: a run serves one model, and the answer names it. */
bool request_read_handling(struct request *request, struct fields *body)
{
    int64_t priority = 0;
    const char *model;
    size_t length;
    fields_string(body, "model", &model, &length);
    fields_integer(body, "priority", INT32_MIN, INT32_MAX, &priority);
    if (fields_number(body, "timeout", 0, MAX_TIMEOUT_S, &request->timeout) &&
        request->timeout == 0)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "timeout", "is 0, but must lie in (0, %d]",
                      MAX_TIMEOUT_S);
    request->priority = (int32_t)priority;
    return fields_ok(body);
}

bool request_read_parameters(struct request *request, struct fields *body, size_t token_limit)
{
    request_read_handling(request, body);
    if (request->endpoint != ENDPOINT_SPEECH)
        check_response_format(body);
    read_lengths(request, body);
    read_distribution(request, body);
    read_choices(request, body);
    read_stops(request, body);
    read_stop_ids(request, body, token_limit);
    read_biases(request, body, token_limit);
    read_output(request, body);
    return fields_ok(body);
}
