/*
 * prompt.c - a completion's prompt: a string, or tokens
 *
 * OpenAI's API also takes an array of prompts; here a record has one prompt, so that each answer
 * has its line, and an array is accepted when it has just one.
 */
#include "runtime/tokenizer/request_parts.h"
#include <inttypes.h>
#include <stdlib.h>

static bool read_tokens(struct request *request, struct fields *body, const json_t *array,
                        size_t token_limit)
{
    const json_t *value;
    size_t index;
    request->token_count = json_array_size(array);
    request->tokens = calloc(request->token_count, sizeof(*request->tokens));
    if (request->tokens == NULL)
        return fields_refuse(body, REFUSAL_TOO_LARGE, "prompt", "has too many tokens");
    json_array_foreach(array, index, value)
    {
        if (!json_is_integer(value))
            return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "prompt",
                                 "has %s at index %zu where a token must be", json_type_name(value),
                                 index);
        request->tokens[index] = json_integer_value(value);
        if (request->tokens[index] < 0 || (size_t)request->tokens[index] >= token_limit)
            return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "prompt",
                                 "has token %" PRId64 " at index %zu, but tokens lie in [0, %zu)",
                                 request->tokens[index], index, token_limit);
    }
    return true;
}

bool request_read_prompt(struct request *request, struct fields *body, size_t token_limit)
{
    const json_t *prompt = fields_get(body, "prompt"), *first;
    if (prompt == NULL)
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "prompt", "is missing");
    first = json_array_get(prompt, 0);
    if (json_is_string(first) || json_is_array(first)) {
        if (json_array_size(prompt) > 1)
            return fields_refuse(body, REFUSAL_UNSUPPORTED_PARAMETER, "prompt",
                                 "has %zu prompts; give each a record of its own",
                                 json_array_size(prompt));
        prompt = first;
        first = json_array_get(prompt, 0);
    }
    if (json_is_string(prompt)) {
        request->text = (mr_bytes){json_string_value(prompt), json_string_length(prompt)};
        return true;
    }
    if (first == NULL)
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "prompt",
                             "must be a string or an array of at least one token");
    return read_tokens(request, body, prompt, token_limit);
}
