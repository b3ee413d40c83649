/*
 * parts.c - what a line has beside the text: images, model arguments, speech; as a request, and as
 * a state
 */
#include "tests/ipc/golden/golden.h"
#include <millrace/tts.h>
#include <millrace/vision.h>
#include <string.h>

enum { SPEECH_ROOM = 8192 };

/* ---- arrays ---- */

/* An array whose contents are of no interest. */
static mr_array blank_array(struct pool *pool, const json_t *shape)
{
    mr_array array = {.dtype = MR_F32, .rank = (uint32_t)json_array_size(shape)};

    for (uint32_t i = 0; i < array.rank; i++)
        array.shape[i] = json_integer_value(json_array_get(shape, i));
    mr_array_make_contiguous(&array);
    array.data = pool_get(pool, (size_t)mr_array_bytes(&array));
    return array;
}

static mr_array integer_array(struct pool *pool, const json_t *list)
{
    mr_array array = {.dtype = MR_DTYPE_NONE, .rank = 1};
    size_t count;

    if (!json_is_array(list))
        return array;
    array.dtype = MR_I64;
    array.data = json_integers(pool, list, &count);
    array.shape[0] = (int64_t)count;
    mr_array_make_contiguous(&array);
    return array;
}

/* ---- requests ---- */

static void parse_images(struct pool *pool, const json_t *list, mr_vision_request *vision)
{
    mr_image *images = pool_get(pool, json_array_size(list) * sizeof(*images));

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *image = json_array_get(list, i), *hash = json_object_get(image, "image_hash");

        images[i].start_idx = json_integer_value(json_object_get(image, "start_idx"));
        images[i].end_idx = json_integer_value(json_object_get(image, "end_idx"));
        images[i].pixel_values = blank_array(pool, json_object_get(image, "shape"));
        images[i].has_hash = json_is_integer(hash);
        images[i].hash = json_integer_value(hash);
    }
    vision->images = images;
    vision->image_count = json_array_size(list);
}

static void parse_arguments(struct pool *pool, const json_t *names, mr_vision_request *vision)
{
    mr_array_given *given = pool_get(pool, json_array_size(names) * sizeof(*given));

    for (size_t i = 0; i < json_array_size(names); i++) {
        given[i].name = json_string_value(json_array_get(names, i));
        given[i].array = blank_array(pool, NULL);
    }
    vision->extra_model_args = given;
    vision->extra_count = json_array_size(names);
}

static const mr_vision_request *parse_vision(struct pool *pool, const json_t *arguments)
{
    mr_vision_request *vision = pool_get(pool, sizeof(*vision));

    vision->vision_token_ids = json_integers(pool, json_object_get(arguments, "vision_token_ids"),
                                             &vision->vision_token_count);
    parse_images(pool, json_object_get(arguments, "images"), vision);
    parse_arguments(pool, json_object_get(arguments, "extra_model_args"), vision);
    return vision;
}

static const mr_tts_request *parse_tts(struct pool *pool, const json_t *arguments)
{
    mr_tts_request *tts = pool_get(pool, sizeof(*tts));

    tts->audio_prompt_tokens =
        integer_array(pool, json_object_get(arguments, "audio_prompt_tokens"));
    tts->buffer_speech_tokens =
        integer_array(pool, json_object_get(arguments, "buffer_speech_tokens"));
    tts->streaming = json_is_true(json_object_get(arguments, "streaming"));
    tts->speech_capacity = SPEECH_ROOM;
    return tts;
}

void parts_parse(struct pool *pool, const char *kind, const json_t *arguments, mr_request *request)
{
    if (!strcmp(kind, "vision")) {
        request->kind = MR_KIND_VISION;
        request->vision = parse_vision(pool, arguments);
    } else if (!strcmp(kind, "tts")) {
        request->kind = MR_KIND_TTS;
        request->tts = parse_tts(pool, arguments);
    }
}

/* ---- states ---- */

json_t *speech_of(mr_speech speech)
{
    json_t *list = json_array();

    for (size_t i = 0; i < speech.count; i++)
        json_array_append_new(list, json_integer(speech.tokens[i]));
    return list;
}

static void add_vision(json_t *state, const mr_vision *vision)
{
    size_t first = mr_vision_image_idx(vision);

    json_object_set_new(state, "image_idx", json_integer((json_int_t)first));
    json_object_set_new(state, "next_images",
                        json_integer((json_int_t)(mr_vision_image_count(vision) - first)));
    json_object_set_new(state, "needs_vision_encoding",
                        json_boolean(mr_vision_needs_vision_encoding(vision)));
}

static void add_tts(json_t *state, const mr_tts *tts)
{
    json_object_set_new(state, "speech_tokens", speech_of(mr_tts_speech_tokens(tts)));
    json_object_set_new(state, "block_counter", json_integer(mr_tts_block_counter(tts)));
    json_object_set_new(state, "decoded_index", json_integer(mr_tts_decoded_index(tts)));
    json_object_set_new(state, "audio_generation_status",
                        json_string(status_name(mr_tts_audio_generation_status(tts))));
    json_object_set_new(state, "is_done", json_boolean(mr_tts_is_done(tts)));
}

void parts_add(json_t *state, mr_context *context)
{
    const mr_vision *vision = mr_context_vision(context);
    const mr_tts *tts = mr_context_tts(context);

    if (vision)
        add_vision(state, vision);
    if (tts)
        add_tts(state, tts);
}
