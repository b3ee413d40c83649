/*
 * operations.c - the operations by the names that the vectors give them
 */
#include "tests/ipc/golden/golden.h"
#include <millrace/error.h>
#include <stdlib.h>
#include <string.h>

static int64_t integer(const json_t *arguments, const char *key)
{
    return json_integer_value(json_object_get(arguments, key));
}

/* ---- a matcher that takes some tokens ---- */

static bool matcher_accepts(void *self, int64_t token)
{
    const struct subject *s = self;

    if (!json_is_array(s->allowed))
        return true;
    for (size_t i = 0; i < json_array_size(s->allowed); i++)
        if (json_integer_value(json_array_get(s->allowed, i)) == token)
            return true;
    return false;
}

static void matcher_accept(void *self, int64_t token)
{
    struct subject *s = self;

    (void)token;
    s->matcher_consumed++;
}

static int set_matcher(struct subject *s, const json_t *a, json_t **ret)
{
    mr_matcher matcher = {.accepts = matcher_accepts, .accept = matcher_accept, .self = s};

    (void)ret;
    s->allowed = json_object_get(a, "allowed");
    s->has_matcher = true;
    s->matcher_consumed = 0;
    mr_text_set_matcher(fixture_text(s->fixture), &matcher);
    return 0;
}

/* ---- TextContext ---- */

static int update(struct subject *s, const json_t *a, json_t **ret)
{
    struct pool pool = {.count = 0};
    const mr_logprobs *logprobs = request_logprobs(&pool, json_object_get(a, "logprob"));
    int rc = mr_text_update(fixture_text(s->fixture), integer(a, "token"), logprobs);

    (void)ret;
    pool_free(&pool);
    return rc;
}

static int realize_future_token(struct subject *s, const json_t *a, json_t **ret)
{
    struct pool pool = {.count = 0};
    const mr_logprobs *logprobs = request_logprobs(&pool, json_object_get(a, "logprob"));
    int rc = mr_text_realize_future_token(fixture_text(s->fixture), integer(a, "token"), logprobs);

    (void)ret;
    pool_free(&pool);
    return rc;
}

static int update_with_future_token(struct subject *s, const json_t *a, json_t **ret)
{
    (void)a;
    (void)ret;
    return mr_text_update_with_future_token(fixture_text(s->fixture));
}

static int jump_ahead(struct subject *s, const json_t *a, json_t **ret)
{
    (void)ret;
    return mr_text_jump_ahead(fixture_text(s->fixture), integer(a, "token"));
}

static int reset(struct subject *s, const json_t *a, json_t **ret)
{
    (void)a;
    (void)ret;
    return mr_text_reset(fixture_text(s->fixture));
}

static int set_status(struct subject *s, const json_t *a, json_t **ret)
{
    (void)ret;
    mr_text_set_status(fixture_text(s->fixture),
                       status_of(json_string_value(json_object_get(a, "status"))));
    return 0;
}

static int compute_num_available_steps(struct subject *s, const json_t *a, json_t **ret)
{
    *ret = json_integer(
        mr_text_compute_num_available_steps(fixture_text(s->fixture), integer(a, "max_seq_len")));
    return 0;
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

/* The end tokens that may not come at a step, sorted, each once as in the Python's set. */
static json_t *masked(const mr_text *text, int64_t step)
{
    json_t *list = json_array();
    size_t count;
    const int64_t *ids = mr_text_eos_token_ids(text, &count);
    int64_t *sorted = calloc(count + 1, sizeof(*sorted));

    if (!sorted)
        abort();
    for (size_t i = 0; i < count; i++)
        sorted[i] = ids[i];
    qsort(sorted, count, sizeof(*sorted), by_value);
    for (size_t i = 0; i < count && mr_text_min_token_mask(text, step); i++)
        if (i == 0 || sorted[i] != sorted[i - 1])
            json_array_append_new(list, json_integer(sorted[i]));
    free(sorted);
    return list;
}

static int get_min_token_logit_mask(struct subject *s, const json_t *a, json_t **ret)
{
    *ret = json_array();
    for (int64_t step = 0; step < integer(a, "num_steps"); step++)
        json_array_append_new(*ret, masked(fixture_text(s->fixture), step));
    return 0;
}

/* ---- output ---- */

json_t *record_of(const mr_logprobs *record)
{
    json_t *chosen = json_array(), *tops = json_array();

    for (size_t i = 0; i < record->count; i++) {
        json_t *pairs = json_array();

        json_array_append_new(chosen, json_real(record->entries[i].chosen));
        for (size_t j = 0; j < record->entries[i].top_count; j++)
            json_array_append_new(pairs,
                                  json_pack("[I,f]", (json_int_t)record->entries[i].top[j].token,
                                            record->entries[i].top[j].logprob));
        json_array_append_new(tops, pairs);
    }
    return json_pack("{s:o,s:o}", "token", chosen, "top", tops);
}

static json_t *records_of(const mr_text *text, size_t count)
{
    json_t *list = json_array();
    mr_logprob entries[16];
    mr_top_logprob tops[64];
    mr_logprobs record;
    int64_t position;

    for (size_t i = 0; i < count; i++) {
        if (mr_text_output_logprobs(text, i, &position, &record, entries, 16, tops, 64) < 0)
            abort();
        json_array_append_new(list, record_of(&record));
    }
    return list;
}

static json_t *token_list(mr_tokens tokens)
{
    json_t *list = json_array();

    for (size_t i = 0; i < tokens.count; i++)
        json_array_append_new(list, json_integer(tokens.ids[i]));
    return list;
}

static int to_generation_output(struct subject *s, const json_t *a, json_t **ret)
{
    mr_text *text = fixture_text(s->fixture);
    mr_bytes id = mr_context_request_id(fixture_context(s->fixture));
    mr_text_output output;
    int rc = mr_text_to_generation_output(text, &output);

    (void)a;
    if (rc < 0)
        return rc;
    *ret = json_pack("{s:s%,s:o,s:s,s:b,s:o}", "request_id", id.bytes, id.length, "tokens",
                     token_list(output.tokens), "final_status", status_name(output.status),
                     "is_done", output.status != MR_ACTIVE, "log_probabilities",
                     output.logprob_count ? records_of(text, output.logprob_count) : json_null());
    return 0;
}

/* ---- TokenBuffer ---- */

static int apply_processing_offset(struct subject *s, const json_t *a, json_t **ret)
{
    (void)ret;
    return mr_text_apply_processing_offset(fixture_text(s->fixture), integer(a, "offset"));
}

static int rewind_processing(struct subject *s, const json_t *a, json_t **ret)
{
    (void)ret;
    return mr_text_rewind_processing(fixture_text(s->fixture), integer(a, "n"));
}

static int skip_processing(struct subject *s, const json_t *a, json_t **ret)
{
    (void)ret;
    return mr_text_skip_processing(fixture_text(s->fixture), integer(a, "n"));
}

static int chunk(struct subject *s, const json_t *a, json_t **ret)
{
    (void)ret;
    return mr_text_chunk(fixture_text(s->fixture), integer(a, "size"));
}

static int advance_chunk(struct subject *s, const json_t *a, json_t **ret)
{
    (void)a;
    (void)ret;
    return mr_text_advance_chunk(fixture_text(s->fixture));
}

static int advance_with_token(struct subject *s, const json_t *a, json_t **ret)
{
    const json_t *mark = json_object_get(a, "mark_previous_as_processed");

    (void)ret;
    return mr_text_advance_with_token(fixture_text(s->fixture), integer(a, "token"),
                                      !json_is_false(mark));
}

static int overwrite_last_token(struct subject *s, const json_t *a, json_t **ret)
{
    (void)ret;
    return mr_text_overwrite_last_token(fixture_text(s->fixture), integer(a, "token"));
}

static int consume(struct subject *s, const json_t *a, json_t **ret)
{
    mr_tokens tokens;
    int rc = mr_text_consume_recently_generated_tokens(fixture_text(s->fixture), &tokens);

    (void)a;
    if (rc == 0)
        *ret = token_list(tokens);
    return rc;
}

static int reset_as_new_prompt(struct subject *s, const json_t *a, json_t **ret)
{
    (void)a;
    (void)ret;
    return mr_text_reset_as_new_prompt(fixture_text(s->fixture));
}

static int get(struct subject *s, const json_t *a, json_t **ret)
{
    int64_t token;
    int rc = mr_text_get(fixture_text(s->fixture), integer(a, "index"), &token);

    if (rc == 0)
        *ret = json_integer(token);
    return rc;
}

static const struct {
    const char *name; /* a "tokens." in front is left out: the buffer is a part of the context */
    int (*run)(struct subject *subject, const json_t *arguments, json_t **ret);
} operations[] = {
    {"update", update},
    {"realize_future_token", realize_future_token},
    {"update_with_future_token", update_with_future_token},
    {"jump_ahead", jump_ahead},
    {"reset", reset},
    {"set_status", set_status},
    {"set_matcher", set_matcher},
    {"compute_num_available_steps", compute_num_available_steps},
    {"get_min_token_logit_mask", get_min_token_logit_mask},
    {"to_generation_output", to_generation_output},
    {"apply_processing_offset", apply_processing_offset},
    {"rewind_processing", rewind_processing},
    {"skip_processing", skip_processing},
    {"chunk", chunk},
    {"advance_chunk", advance_chunk},
    {"advance_with_token", advance_with_token},
    {"overwrite_last_token", overwrite_last_token},
    {"consume", consume},
    {"reset_as_new_prompt", reset_as_new_prompt},
    {"get", get},
    {"compute_image_aligned_idx", compute_image_aligned_idx},
    {"update_speech_tokens", update_speech_tokens},
    {"next_speech_tokens", next_speech_tokens},
    {"set_decoded_index", set_decoded_index},
    {"set_audio_generation_status", set_audio_generation_status},
    {"validate_requires_vision_context", validate_requires_vision_context},
    {"validate_only_one_image", validate_only_one_image},
    {"validate_initial_prompt_has_image", validate_initial_prompt_has_image},
    {"validate_aspect_ratio_args", validate_aspect_ratio_args},
    {"validate_image_shape_5d", validate_image_shape_5d},
    {"validate_image_grid_thw_args", validate_image_grid_thw_args},
    {"validate_vision_position_ids", validate_vision_position_ids},
};

bool operation_run(struct subject *subject, const char *name, const json_t *arguments,
                   struct outcome *outcome)
{
    static const char buffer[] = "tokens.";

    *outcome = (struct outcome){0};
    if (!strncmp(name, buffer, sizeof(buffer) - 1))
        name += sizeof(buffer) - 1;
    for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
        if (strcmp(operations[i].name, name) != 0)
            continue;
        outcome->rc = operations[i].run(subject, arguments, &outcome->ret);
        outcome->code = outcome->rc < 0 ? mr_error_code() : 0;
        return true;
    }
    return false;
}
