/*
 * state.c - a context's state as the vectors write it
 */
#include "ipc/text.h"
#include "tests/ipc/golden/golden.h"
#include <stdlib.h>
#include <string.h>

static const char *const statuses[] = {"active", "end_of_sequence", "maximum_length", "cancelled"};

const char *status_name(enum mr_status status)
{
    return statuses[status];
}

enum mr_status status_of(const char *name)
{
    for (unsigned i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
        if (!strcmp(statuses[i], name))
            return (enum mr_status)i;
    abort();
}

/* Reserved tokens have no contents; the vectors have 0 there. */
static json_t *tokens_of(const struct subject *s, mr_tokens tokens)
{
    const int64_t *first = mr_text_all(fixture_text(s->fixture)).ids;
    json_t *list = json_array();

    for (size_t i = 0; i < tokens.count; i++) {
        bool defined = tokens.ids + i - first < s->defined;

        json_array_append_new(list, json_integer(defined ? tokens.ids[i] : 0));
    }
    return list;
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static json_t *undelivered(const mr_context *context)
{
    size_t count = mr_records_undelivered(context, NULL, 0);
    int64_t *keys = calloc(count + 1, sizeof(*keys));
    json_t *list = json_array();

    if (!keys)
        abort();
    mr_records_undelivered(context, keys, count);
    qsort(keys, count, sizeof(*keys), by_value);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || keys[i] != keys[i - 1])
            json_array_append_new(list, json_integer(keys[i]));
    free(keys);
    return list;
}

static void add_integers(json_t *state, const mr_text *text)
{
    const struct {
        const char *key;
        int64_t value;
    } integers[] = {
        {"len", mr_text_length(text)},
        {"prompt_length", mr_text_prompt_length(text)},
        {"generated_length", mr_text_generated_length(text)},
        {"processed_length", mr_text_processed_length(text)},
        {"active_length", mr_text_active_length(text)},
        {"current_position", mr_text_current_position(text)},
        {"processing_end", mr_text_processing_end(text)},
        {"offset", mr_text_processing_offset(text)},
        {"min_tokens", mr_text_min_tokens(text)},
    };

    for (size_t i = 0; i < sizeof(integers) / sizeof(*integers); i++)
        json_object_set_new(state, integers[i].key, json_integer(integers[i].value));
}

static void add_flags(json_t *state, const mr_text *text)
{
    json_object_set_new(state, "chunked", json_boolean(mr_text_actively_chunked(text)));
    json_object_set_new(state, "outstanding",
                        json_boolean(mr_text_has_outstanding_generated_tokens(text)));
    json_object_set_new(state, "is_done", json_boolean(mr_text_is_done(text)));
    json_object_set_new(state, "is_initial_prompt", json_boolean(mr_text_is_initial_prompt(text)));
}

json_t *state_of(const struct subject *s)
{
    const mr_text *text = fixture_text(s->fixture);
    json_t *state = json_object();

    add_integers(state, text);
    add_flags(state, text);
    json_object_set_new(state, "all", tokens_of(s, mr_text_all(text)));
    json_object_set_new(state, "active", tokens_of(s, mr_text_active(text)));
    json_object_set_new(state, "completion",
                        json_pack("[I,I]", (json_int_t)mr_text_completion_start(text),
                                  (json_int_t)mr_text_completion_end(text)));
    json_object_set_new(state, "status", json_string(status_name(mr_text_status(text))));
    json_object_set_new(state, "logprob_positions", undelivered(fixture_context(s->fixture)));
    json_object_set_new(state, "matcher_consumed",
                        s->has_matcher ? json_integer(s->matcher_consumed) : json_null());
    parts_add(state, fixture_context(s->fixture));
    return state;
}
