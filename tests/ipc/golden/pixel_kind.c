/*
 * pixel_kind.c - PixelContext: its fields, its latents, the image that comes out
 */
#include "tests/ipc/golden/golden.h"
#include <millrace/error.h>
#include <millrace/pixel.h>
#include <stdlib.h>
#include <string.h>

enum { LATENTS_ROOM = 1 << 20, PIXELS_ROOM = 1 << 20 };

static const char *text_in(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- creation ---- */

static void take_integer(const json_t *arguments, const char *key, int64_t *to)
{
    if (json_object_get(arguments, key))
        *to = json_integer_value(json_object_get(arguments, key));
}

static void take_float(const json_t *arguments, const char *key, double *to)
{
    if (json_object_get(arguments, key))
        *to = json_number_value(json_object_get(arguments, key));
}

static void parse_pixel(struct pool *pool, const json_t *arguments, mr_pixel_request *pixel)
{
    const json_t *latents = json_object_get(arguments, "latents");
    size_t count;

    mr_pixel_request_defaults(pixel);
    pixel->tokens = (mr_array){.dtype = MR_I64, .rank = 1};
    pixel->tokens.data = json_integers(pool, json_object_get(arguments, "tokens"), &count);
    pixel->tokens.shape[0] = (int64_t)count;
    mr_array_make_contiguous(&pixel->tokens);
    if (latents)
        pixel->noise = json_typed_array(pool, latents);
    pixel->latents_room = LATENTS_ROOM;
    take_integer(arguments, "height", &pixel->height);
    take_integer(arguments, "width", &pixel->width);
    take_integer(arguments, "num_inference_steps", &pixel->num_inference_steps);
    take_integer(arguments, "num_warmup_steps", &pixel->num_warmup_steps);
    take_integer(arguments, "num_images_per_prompt", &pixel->num_images_per_prompt);
    take_float(arguments, "guidance_scale", &pixel->guidance_scale);
    take_float(arguments, "true_cfg_scale", &pixel->true_cfg_scale);
}

static struct fixture *make(struct pool *pool, const json_t *arguments)
{
    const char *id = text_in(arguments, "request_id"), *status = text_in(arguments, "status");
    mr_request request = fixture_request(NULL, 0, 0);
    mr_pixel_request pixel;
    struct fixture *fixture;

    parse_pixel(pool, arguments, &pixel);
    request.kind = MR_KIND_PIXEL;
    request.pixel = &pixel;
    request.request_id = id ? (mr_bytes){id, strlen(id)} : (mr_bytes){"p0", 2};
    fixture = fixture_new(&request, 0);
    if (fixture && status)
        mr_pixel_set_status(mr_context_pixel(fixture_context(fixture)), status_of(status));
    return fixture;
}

/* ---- state ---- */

static json_t *tokens_of(const mr_context *context)
{
    mr_array array;
    json_t *list = json_array();

    if (mr_context_array(context, MR_ARRAY_FIELD, "tokens", &array) < 0)
        abort();
    for (int64_t i = 0; i < mr_array_count(&array); i++)
        json_array_append_new(list, json_integer(((const int64_t *)array.data)[i]));
    return list;
}

static json_t *state_of_pixel(mr_context *context)
{
    const mr_pixel *pixel = mr_context_pixel(context);
    mr_array latents;

    if (mr_pixel_latents(pixel, &latents) < 0)
        abort();
    return json_pack(
        "{s:s,s:b,s:o,s:s,s:o,s:o,s:I,s:I,s:I}", "status", status_name(mr_pixel_status(pixel)),
        "is_done", mr_pixel_is_done(pixel), "latents_shape", shape_of(&latents), "latents_dtype",
        mr_dtype_name(latents.dtype), "latents_crc32", checksum_of(&latents), "tokens",
        tokens_of(context), "num_inference_steps", (json_int_t)mr_pixel_num_inference_steps(pixel),
        "height", (json_int_t)mr_pixel_height(pixel), "width", (json_int_t)mr_pixel_width(pixel));
}

static bool compare_pixel(const struct place *place, const json_t *expected, mr_context *context)
{
    json_t *actual = state_of_pixel(context);
    bool ok = report_compare(place, "state", expected, actual);

    json_decref(actual);
    return ok;
}

/* ---- operations ---- */

static json_t *image_of(mr_context *context, const mr_pixel_output *output,
                        const unsigned char *pixels)
{
    static const char *const modes[] = {[1] = "L", [3] = "RGB", [4] = "RGBA"};
    mr_bytes id = mr_context_request_id(context);
    json_t *list = json_array();

    for (uint64_t i = 0; i < output->bytes; i++)
        json_array_append_new(list, json_integer(pixels[i]));
    return json_pack("{s:s%,s:s,s:b,s:s,s:I,s:I,s:o}", "request_id", id.bytes, id.length,
                     "final_status", status_name(output->final_status), "is_done",
                     output->final_status != MR_ACTIVE, "mode", modes[output->channels], "width",
                     (json_int_t)output->width, "height", (json_int_t)output->height, "pixels",
                     list);
}

static int take_image(mr_context *context, json_t **ret)
{
    static unsigned char pixels[PIXELS_ROOM];
    mr_pixel_output output;
    int rc =
        mr_pixel_to_generation_output(mr_context_pixel(context), &output, pixels, sizeof(pixels));

    if (rc == 0)
        *ret = image_of(context, &output, pixels);
    return rc;
}

static int update(mr_context *context, const json_t *arguments)
{
    struct pool pool = {.count = 0};
    mr_array latents = json_typed_array(&pool, json_object_get(arguments, "latents"));
    int rc = mr_pixel_update(mr_context_pixel(context), &latents);

    pool_free(&pool);
    return rc;
}

/* False: no such operation. */
static bool run(mr_context *context, const char *op, const json_t *arguments, int *rc, json_t **ret)
{
    mr_pixel *pixel = mr_context_pixel(context);

    *rc = 0;
    if (!strcmp(op, "update"))
        *rc = update(context, arguments);
    else if (!strcmp(op, "to_generation_output"))
        *rc = take_image(context, ret);
    else if (!strcmp(op, "reset"))
        mr_pixel_reset(pixel);
    else if (!strcmp(op, "set_status"))
        mr_pixel_set_status(pixel, status_of(text_in(arguments, "status")));
    else if (!strcmp(op, "compute_num_available_steps"))
        *ret = json_integer(mr_pixel_compute_num_available_steps(
            pixel, json_integer_value(json_object_get(arguments, "max_seq_len"))));
    else
        return false;
    return true;
}

/* ---- verdicts ---- */

/* What an image that the original turns or refuses is here: [H, W, 1] as [H, W]; or refused, when
 * it has no rows or no columns. */
static bool judge_image(const struct place *place, const json_t *state, int rc, const json_t *ret)
{
    const json_t *shape = json_object_get(state, "latents_shape");
    json_int_t height = json_integer_value(json_array_get(shape, 0));
    json_int_t width = json_integer_value(json_array_get(shape, 1));
    json_t *expected, *actual;
    bool ok;

    if (height == 0 || width == 0)
        return report_error(place, "image_zero_size", rc, rc < 0 ? mr_error_code() : 0);
    if (!report_error(place, NULL, rc, 0))
        return false;
    expected = json_pack("[I,I,I]", width, height, width * height);
    actual = json_pack("[O,O,I]", json_object_get(ret, "width"), json_object_get(ret, "height"),
                       (json_int_t)json_array_size(json_object_get(ret, "pixels")));
    ok = report_compare(place, "size", expected, actual);
    json_decref(expected);
    json_decref(actual);
    return ok;
}

/* A NaN is 0, which is what the original happens to give where the vectors were made (Q7): the line
 * goes on. */
static bool ends_line(const char *quirk)
{
    return quirk && strcmp(quirk, "Q7") != 0;
}

static bool replay_step(const struct place *place, mr_context *context, json_t *expected,
                        const json_t *step)
{
    const json_t *wanted = json_object_get(step, "ret");
    json_t *ret = NULL;
    int rc;
    bool ok = run(context, place->op, json_object_get(step, "args"), &rc, &ret) ||
              report_text(place, "operation", "one that is known", place->op);

    if (ok && ends_line(text_in(step, "quirk"))) {
        ok = judge_image(place, expected, rc, ret);
    } else if (ok) {
        json_object_update(expected, json_object_get(step, "expect"));
        ok = report_error(place, text_in(step, "why"), rc, rc < 0 ? mr_error_code() : 0) &&
             (!wanted || !ret || report_compare(place, "returned", wanted, ret)) &&
             compare_pixel(place, expected, context);
    }
    json_decref(ret);
    return ok;
}

bool pixel_kind(struct place *place, const json_t *line)
{
    const json_t *steps = json_object_get(line, "steps");
    json_t *expected = json_deep_copy(json_object_get(line, "expect"));
    struct pool pool = {.count = 0};
    struct fixture *fixture = make(&pool, json_object_get(line, "new"));
    bool ok, last = false;

    pool_free(&pool);
    if (!fixture)
        return report_text(place, "creation", "success", mr_error());
    ok = compare_pixel(place, expected, fixture_context(fixture));
    for (size_t i = 0; i < json_array_size(steps) && ok && !last; i++) {
        const json_t *step = json_array_get(steps, i);

        place->step = i + 1;
        place->op = text_in(step, "op");
        last = ends_line(text_in(step, "quirk"));
        ok = replay_step(place, fixture_context(fixture), expected, step);
    }
    fixture_free(fixture);
    json_decref(expected);
    return ok;
}
