/*
 * request.c - a line's constructor arguments as a request
 */
#include "tests/ipc/golden/golden.h"
#include <millrace/array.h>
#include <millrace/error.h>
#include <stdlib.h>
#include <string.h>

/* A token buffer alone has no limit; this is above what the vectors' grow to. */
enum { ENOUGH = 10000 };

void *pool_get(struct pool *pool, size_t bytes)
{
    void *block = calloc(1, bytes ? bytes : 1);

    if (!block || pool->count == sizeof(pool->blocks) / sizeof(*pool->blocks))
        abort();
    pool->blocks[pool->count++] = block;
    return block;
}

void pool_free(struct pool *pool)
{
    while (pool->count > 0)
        free(pool->blocks[--pool->count]);
}

int64_t *json_integers(struct pool *pool, const json_t *list, size_t *count)
{
    int64_t *values;

    *count = json_array_size(list);
    values = pool_get(pool, *count * sizeof(*values));
    for (size_t i = 0; i < *count; i++)
        values[i] = json_integer_value(json_array_get(list, i));
    return values;
}

static mr_bytes text_of(const json_t *value)
{
    return json_is_string(value) ? (mr_bytes){json_string_value(value), json_string_length(value)}
                                 : (mr_bytes){NULL, 0};
}

/* The tokens come as an array of any type and shape, as the Python's constructor takes them. */
static int parse_tokens(struct pool *pool, const json_t *arguments, mr_request *request)
{
    const json_t *shape = json_object_get(arguments, "tokens_shape");
    const char *dtype = json_string_value(json_object_get(arguments, "tokens_dtype"));
    size_t count;
    mr_array array = {.dtype = mr_dtype_from_name(dtype ? dtype : "int64"), .rank = 1};
    mr_tokens tokens;
    int rc;

    array.data = json_integers(pool, json_object_get(arguments, "tokens"), &count);
    array.shape[0] = (int64_t)count;
    if (shape)
        array.rank = (uint32_t)json_array_size(shape);
    for (size_t i = 0; i < json_array_size(shape); i++)
        array.shape[i] = json_integer_value(json_array_get(shape, i));
    mr_array_make_contiguous(&array);
    rc = mr_array_tokens(&array, &tokens);
    if (rc < 0)
        return rc;
    request->prompt = tokens.ids;
    request->prompt_length = tokens.count;
    return 0;
}

static void parse_sequences(struct pool *pool, const json_t *lists, mr_request *request)
{
    mr_tokens *sequences = pool_get(pool, json_array_size(lists) * sizeof(*sequences));

    for (size_t i = 0; i < json_array_size(lists); i++)
        sequences[i].ids = json_integers(pool, json_array_get(lists, i), &sequences[i].count);
    request->eos_sequences = sequences;
    request->eos_sequence_count = json_array_size(lists);
}

int request_parse(struct pool *pool, const char *kind, const json_t *arguments, mr_request *request)
{
    const json_t *max_length = json_object_get(arguments, "max_length");
    const json_t *id = json_object_get(arguments, "request_id");
    const json_t *sampling = json_object_get(arguments, "sampling_params");

    *request = fixture_request(NULL, 0, max_length ? json_integer_value(max_length) : ENOUGH);
    if (id)
        request->request_id = text_of(id);
    request->eos_token_ids =
        json_integers(pool, json_object_get(arguments, "eos_token_ids"), &request->eos_token_count);
    parse_sequences(pool, json_object_get(arguments, "eos_sequences"), request);
    request->target_endpoint = text_of(json_object_get(arguments, "target_endpoint"));
    request->sampling.min_new_tokens =
        json_integer_value(json_object_get(sampling, "min_new_tokens"));
    request->want_log_probabilities = 1;
    request->log_probabilities = 16;
    parts_parse(pool, kind, arguments, request);
    return parse_tokens(pool, arguments, request);
}

static mr_logprob parse_entry(struct pool *pool, const json_t *chosen, const json_t *pairs)
{
    mr_top_logprob *tops = pool_get(pool, json_array_size(pairs) * sizeof(*tops));

    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);

        tops[i].token = json_integer_value(json_array_get(pair, 0));
        tops[i].logprob = json_number_value(json_array_get(pair, 1));
    }
    return (mr_logprob){json_number_value(chosen), tops, json_array_size(pairs)};
}

const mr_logprobs *request_logprobs(struct pool *pool, const json_t *argument)
{
    const json_t *chosen = json_object_get(argument, "token");
    const json_t *tops = json_object_get(argument, "top");
    mr_logprobs *record;
    mr_logprob *entries;

    if (!json_is_object(argument))
        return NULL;
    record = pool_get(pool, sizeof(*record));
    entries = pool_get(pool, json_array_size(chosen) * sizeof(*entries));
    for (size_t i = 0; i < json_array_size(chosen); i++)
        entries[i] = parse_entry(pool, json_array_get(chosen, i), json_array_get(tops, i));
    *record = (mr_logprobs){entries, json_array_size(chosen)};
    return record;
}
