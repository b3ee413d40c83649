/*
 * prepare_kind.c - what tokenizers work out: three small functions of text, and all of a pixel
 * request; the content hash of an image
 *
 * The pixel vectors were made with a stand-in for the text encoders' tokenizers: the ids of a text
 * are its bytes (1000 more for the second encoder), cut at 8 (12) and padded with 0.
 */
#include "tests/ipc/golden/golden.h"
#include <math.h>
#include <millrace/error.h>
#include <millrace/prepare.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_null(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return !value || json_is_null(value);
}

static int64_t integer_or(const json_t *object, const char *key, int64_t other)
{
    return is_null(object, key) ? other : json_integer_value(json_object_get(object, key));
}

static double float_or(const json_t *object, const char *key, double other)
{
    return is_null(object, key) ? other : json_number_value(json_object_get(object, key));
}

static json_t *list_of(const int64_t *values, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(values[i]));
    return list;
}

/* ---- text ---- */

static json_t *max_length_of(const json_t *new)
{
    int64_t longest = mr_prepare_max_length(integer_or(new, "prompt_length", 0),
                                            integer_or(new, "model_max_length", -1),
                                            integer_or(new, "max_new_tokens", -1));

    return json_pack("{s:o}", "max_length", longest < 0 ? json_null() : json_integer(longest));
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static json_t *eos_of(struct pool *pool, const json_t *new)
{
    size_t model_count, stop_count, count;
    const int64_t *model = json_integers(pool, json_object_get(new, "default_eos"), &model_count);
    const int64_t *stop = json_integers(pool, json_object_get(new, "stop_token_ids"), &stop_count);
    int64_t *ids = pool_get(pool, (model_count + stop_count) * sizeof(*ids));

    count = mr_prepare_eos_ids(model, model_count, stop, stop_count,
                               json_is_true(json_object_get(new, "ignore_eos")), ids);
    qsort(ids, count, sizeof(*ids), by_value);
    return list_of(ids, count);
}

static json_t *ranges_of(struct pool *pool, const json_t *new)
{
    mr_tokens prompt;
    size_t id_count, found;
    const int64_t *ids = json_integers(pool, json_object_get(new, "vision_token_ids"), &id_count);
    mr_image *images;
    json_t *list = json_array();

    prompt.ids = json_integers(pool, json_object_get(new, "tokens"), &prompt.count);
    images = pool_get(pool, (prompt.count + 1) * sizeof(*images));
    found = mr_prepare_image_places(prompt, ids, id_count, images, prompt.count + 1);
    for (size_t i = 0; i < found; i++)
        json_array_append_new(list, json_pack("[I,I]", (json_int_t)images[i].start_idx,
                                              (json_int_t)images[i].end_idx));
    return json_pack("{s:o}", "ranges", list);
}

/* The stop strings' own tokens are made by whoever has the vocabulary: only ids are compared. */
bool text_tokenizer_kind(struct place *place, const json_t *line)
{
    const json_t *new = json_object_get(line, "new");
    struct pool pool = {.count = 0};
    json_t *expected = json_copy(json_object_get(line, "expect")), *actual;
    bool ok;

    json_object_del(expected, "eos_sequences");
    if (json_object_get(expected, "max_length"))
        actual = max_length_of(new);
    else if (json_object_get(expected, "ranges"))
        actual = ranges_of(&pool, new);
    else
        actual = json_pack("{s:o}", "eos_token_ids", eos_of(&pool, new));
    ok = report_compare(place, "result", expected, actual);
    pool_free(&pool);
    json_decref(expected);
    json_decref(actual);
    return ok;
}

/* ---- image hash ---- */

bool image_hash_kind(struct place *place, const json_t *line)
{
    const json_t *new = json_object_get(line, "new");
    const char *hex = json_string_value(json_object_get(new, "bytes_hex"));
    struct pool pool = {.count = 0};
    mr_array array = {.dtype = MR_U8, .rank = 1, .shape = {(int64_t)strlen(hex) / 2}};
    unsigned char *bytes = pool_get(&pool, strlen(hex) / 2);
    json_t *actual;
    int64_t hash;
    bool ok;

    for (size_t i = 0; i < strlen(hex) / 2; i++) {
        unsigned byte;

        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            abort();
        bytes[i] = (unsigned char)byte;
    }
    array.data = bytes;
    mr_array_make_contiguous(&array);
    if (mr_image_hash(&array, &hash) < 0)
        abort();
    actual = json_pack("{s:I}", "image_hash", (json_int_t)hash);
    ok = report_compare(place, "hash", json_object_get(line, "expect"), actual);
    json_decref(actual);
    pool_free(&pool);
    return ok;
}

/* ---- pixel requests ---- */

static mr_bytes text_of(const json_t *value)
{
    return json_is_string(value) ? (mr_bytes){json_string_value(value), json_string_length(value)}
                                 : (mr_bytes){NULL, 0};
}

static mr_pixel_model parse_model(const json_t *object)
{
    const json_t *schedule = json_object_get(object, "sched");
    mr_pixel_model model;

    mr_pixel_model_defaults(&model);
    model.vae_blocks = (uint32_t)integer_or(object, "vae_blocks", 0);
    model.in_channels = integer_or(object, "in_ch", 64);
    model.two_encoders = json_is_true(json_object_get(object, "two"));
    model.embeds_guidance = json_is_true(json_object_get(object, "guid"));
    model.time_upward =
        !strcmp(json_string_value(json_object_get(object, "cls")), "ZImagePipeline");
    model.base_image_seq_len = integer_or(schedule, "base_image_seq_len", model.base_image_seq_len);
    model.max_image_seq_len = integer_or(schedule, "max_image_seq_len", model.max_image_seq_len);
    model.base_shift = float_or(schedule, "base_shift", model.base_shift);
    model.max_shift = float_or(schedule, "max_shift", model.max_shift);
    return model;
}

static mr_pixel_options parse_options(const json_t *request)
{
    mr_pixel_options options;

    mr_pixel_options_defaults(&options);
    options.width = integer_or(request, "width", -1);
    options.height = integer_or(request, "height", -1);
    options.steps = integer_or(request, "steps", 50);
    options.num_images = integer_or(request, "num_images", 1);
    options.seed = integer_or(request, "seed", 0);
    options.guidance_scale = float_or(request, "guidance_scale", 3.5);
    options.true_cfg_scale = float_or(request, "true_cfg_scale", 1);
    return options;
}

/* The stand-in for a tokenizer. */
static json_t *ids_of(mr_bytes text, int64_t base, size_t length)
{
    json_t *list;

    if (!text.bytes)
        return json_null();
    list = json_array();
    for (size_t i = 0; i < length; i++)
        json_array_append_new(
            list, json_integer(i < text.length ? base + (unsigned char)text.bytes[i] : 0));
    return list;
}

static json_t *mask_of(mr_bytes text, size_t length)
{
    json_t *list = json_array();

    for (size_t i = 0; i < length; i++)
        json_array_append_new(list, json_integer(i < text.length));
    return list;
}

static json_t *floats_of(const mr_array *array)
{
    json_t *list;

    if (array->dtype == MR_DTYPE_NONE)
        return json_null();
    list = json_array();
    for (int64_t i = 0; i < mr_array_count(array); i++)
        json_array_append_new(list, json_real(((const float *)array->data)[i]));
    return list;
}

static json_t *some_floats(const mr_array *array, int64_t from, int64_t to)
{
    json_t *list = json_array();

    for (int64_t i = from < 0 ? 0 : from; i < to && i < mr_array_count(array); i++)
        json_array_append_new(list, json_real(((const float *)array->data)[i]));
    return list;
}

static void add_prompts(json_t *state, const mr_pixel_prompts *chosen)
{
    json_object_set_new(state, "tokens", ids_of(chosen->first, 0, 8));
    json_object_set_new(state, "mask", mask_of(chosen->first, 8));
    json_object_set_new(state, "tokens_2", ids_of(chosen->second, 1000, 12));
    json_object_set_new(state, "negative_tokens", ids_of(chosen->negative, 0, 8));
    json_object_set_new(state, "negative_tokens_2", ids_of(chosen->negative_second, 1000, 12));
}

static void add_numbers(json_t *state, const mr_pixel_request *r)
{
    json_object_update_new(
        state,
        json_pack("{s:I,s:I,s:I,s:f,s:f,s:I,s:I,s:s}", "height", (json_int_t)r->height, "width",
                  (json_int_t)r->width, "num_inference_steps", (json_int_t)r->num_inference_steps,
                  "guidance_scale", r->guidance_scale, "true_cfg_scale", r->true_cfg_scale,
                  "num_warmup_steps", (json_int_t)r->num_warmup_steps, "num_images_per_prompt",
                  (json_int_t)r->num_images_per_prompt, "status", "active"));
}

static void add_arrays(json_t *state, const mr_pixel_request *r)
{
    int64_t count = mr_array_count(&r->noise);

    json_object_set_new(state, "timesteps", floats_of(&r->timesteps));
    json_object_set_new(state, "sigmas", floats_of(&r->sigmas));
    json_object_set_new(state, "guidance", floats_of(&r->guidance));
    json_object_set_new(state, "latents_shape", shape_of(&r->noise));
    json_object_set_new(state, "latents_head", some_floats(&r->noise, 0, 8));
    json_object_set_new(state, "latents_tail", some_floats(&r->noise, count - 4, count));
    json_object_set_new(state, "latents_crc32", checksum_of(&r->noise));
    json_object_set_new(state, "latent_image_ids_shape", shape_of(&r->latent_image_ids));
    json_object_set_new(state, "latent_image_ids_dtype",
                        json_string(mr_dtype_name(r->latent_image_ids.dtype)));
    json_object_set_new(state, "latent_image_ids_crc32", checksum_of(&r->latent_image_ids));
}

/* The steps of the schedule went through exp(), which may differ in the last place. */
static bool nearly(double a, double b)
{
    double next = nextafterf((float)b, INFINITY);

    return fabs(a - b) <= fabs(next - b);
}

static bool same_floats(const json_t *expected, const json_t *actual, bool exact)
{
    if (json_array_size(expected) != json_array_size(actual))
        return false;
    for (size_t i = 0; i < json_array_size(expected); i++) {
        double want = json_float(json_array_get(expected, i));
        double have = json_float(json_array_get(actual, i));

        if (exact ? want != have : !nearly(want, have))
            return false;
    }
    return true;
}

static bool same_value(const char *key, const json_t *expected, const json_t *actual, bool shifted)
{
    bool schedule = !strcmp(key, "timesteps") || !strcmp(key, "sigmas");

    if (json_is_array(expected) && json_is_array(actual) &&
        json_is_string(json_array_get(expected, 0)))
        return same_floats(expected, actual, !(shifted && schedule));
    return json_same(expected, actual);
}

static bool compare_request(const struct place *place, const json_t *line, const json_t *actual)
{
    bool shifted = json_is_true(json_object_get(line, "dynamic_shift")), ok = true;
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(line, "expect"), key, value)
    {
        const json_t *have = json_object_get(actual, key);

        /* null: made without a seed, so there is nothing to compare with */
        if (json_is_null(value) && !strncmp(key, "latents_", 8))
            continue;
        if (!same_value(key, value, have, shifted))
            ok = report_json(place, key, value, have);
    }
    return ok;
}

/* Prompts, then the plan, then the arrays; *state is what came of it. */
static int prepare(const json_t *line, struct pool *pool, json_t *state)
{
    const json_t *new = json_object_get(line, "new"), *asked = json_object_get(new, "request");
    mr_pixel_model model = parse_model(json_object_get(new, "model"));
    mr_pixel_options options = parse_options(asked);
    mr_pixel_prompts given = {text_of(json_object_get(asked, "prompt")),
                              text_of(json_object_get(asked, "secondary_prompt")),
                              text_of(json_object_get(asked, "negative_prompt")),
                              text_of(json_object_get(asked, "secondary_negative_prompt"))};
    mr_pixel_prompts chosen;
    mr_pixel_request request;
    mr_pixel_plan plan;
    int rc;

    model.dynamic_shift = json_is_true(json_object_get(line, "dynamic_shift"));
    if ((rc = mr_prepare_prompts(&model, options.true_cfg_scale, &given, &chosen)) < 0 ||
        (rc = mr_prepare_plan(&model, &options, &plan)) < 0)
        return rc;
    mr_pixel_request_defaults(&request);
    mr_prepare_pixel(&plan, pool_get(pool, plan.bytes), &request);
    add_prompts(state, &chosen);
    add_numbers(state, &request);
    add_arrays(state, &request);
    return 0;
}

bool pixel_tokenizer_kind(struct place *place, const json_t *line)
{
    const char *why = json_string_value(json_object_get(line, "why"));
    struct pool pool = {.count = 0};
    json_t *state = json_object();
    int rc = prepare(line, &pool, state);
    bool ok;

    if (json_object_get(line, "quirk")) /* Q49 */
        ok = rc < 0 || report_text(place, "too small a size", "a refusal", "success");
    else
        ok = report_error(place, why, rc, rc < 0 ? mr_error_code() : 0) &&
             (rc < 0 || compare_request(place, line, state));
    pool_free(&pool);
    json_decref(state);
    return ok;
}
