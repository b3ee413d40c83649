/*
 * merge_kind.c - TextGenerationOutput.merge
 */
#include "tests/ipc/golden/golden.h"
#include <millrace/error.h>

static mr_generation parse_part(struct pool *pool, const json_t *part)
{
    const json_t *id = json_object_get(part, "request_id");
    const json_t *records = json_object_get(part, "log_probabilities");
    mr_logprobs *list = pool_get(pool, json_array_size(records) * sizeof(*list));
    mr_generation generation = {
        .request_id = {json_string_value(id), json_string_length(id)},
        .final_status = status_of(json_string_value(json_object_get(part, "final_status"))),
        .has_logprobs = json_is_array(records),
        .logprobs = list,
        .logprob_count = json_array_size(records)};

    generation.tokens.ids =
        json_integers(pool, json_object_get(part, "tokens"), &generation.tokens.count);
    for (size_t i = 0; i < generation.logprob_count; i++)
        list[i] = *request_logprobs(pool, json_array_get(records, i));
    return generation;
}

static json_t *list_tokens(const mr_generation *g)
{
    json_t *list = json_array();

    for (size_t i = 0; i < g->tokens.count; i++)
        json_array_append_new(list, json_integer(g->tokens.ids[i]));
    return list;
}

static json_t *list_records(const mr_generation *g)
{
    json_t *list = json_array();

    for (size_t i = 0; i < g->logprob_count; i++)
        json_array_append_new(list, record_of(&g->logprobs[i]));
    return list;
}

static json_t *state_of_generation(const mr_generation *g)
{
    return json_pack("{s:s%,s:o,s:s,s:b,s:o}", "request_id", g->request_id.bytes,
                     g->request_id.length, "tokens", list_tokens(g), "final_status",
                     status_name(g->final_status), "is_done", g->final_status != MR_ACTIVE,
                     "log_probabilities", g->has_logprobs ? list_records(g) : json_null());
}

bool merge_kind(struct place *place, const json_t *line)
{
    const json_t *outputs = json_object_get(json_object_get(line, "new"), "outputs");
    size_t count = json_array_size(outputs);
    struct pool pool = {.count = 0};
    mr_generation *parts = pool_get(&pool, count * sizeof(*parts)), merged;
    int64_t *tokens = pool_get(&pool, 256 * sizeof(*tokens));
    mr_logprobs *records = pool_get(&pool, 256 * sizeof(*records));
    bool ok;
    int rc;

    for (size_t i = 0; i < count; i++)
        parts[i] = parse_part(&pool, json_array_get(outputs, i));
    rc = mr_generation_merge(parts, count, tokens, 256, records, 256, &merged);
    ok = report_error(place, json_string_value(json_object_get(line, "why")), rc,
                      rc < 0 ? mr_error_code() : 0);
    if (ok && rc == 0) {
        json_t *actual = state_of_generation(&merged);

        ok = report_compare(place, "merged", json_object_get(line, "expect"), actual);
        json_decref(actual);
    }
    pool_free(&pool);
    return ok;
}
