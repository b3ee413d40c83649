/*
 * parts_operations.c - operations of vision and speech, and the validators
 */
#include "tests/ipc/golden/golden.h"
#include <millrace/tts.h>
#include <millrace/validate.h>
#include <millrace/vision.h>

int compute_image_aligned_idx(struct subject *s, const json_t *a, json_t **ret)
{
    const mr_vision *vision = mr_context_vision(fixture_context(s->fixture));

    *ret = json_integer(
        mr_vision_compute_image_aligned_idx(vision, json_integer_value(json_object_get(a, "idx"))));
    return 0;
}

static mr_tts *tts_of(struct subject *s)
{
    return mr_context_tts(fixture_context(s->fixture));
}

int update_speech_tokens(struct subject *s, const json_t *a, json_t **ret)
{
    struct pool pool = {.count = 0};
    size_t count;
    const int64_t *tokens = json_integers(&pool, json_object_get(a, "tokens"), &count);
    int rc = mr_tts_update_speech_tokens(tts_of(s), tokens, count);

    (void)ret;
    pool_free(&pool);
    return rc;
}

static const int64_t *optional(const json_t *value, int64_t *place)
{
    *place = json_integer_value(value);
    return json_is_integer(value) ? place : NULL;
}

int next_speech_tokens(struct subject *s, const json_t *a, json_t **ret)
{
    int64_t size, buffer, used;
    mr_speech chunk;
    int rc = mr_tts_next_speech_tokens(
        tts_of(s), optional(json_object_get(a, "audio_chunk_size"), &size),
        optional(json_object_get(a, "buffer"), &buffer), &chunk, &used);

    if (rc == 0)
        *ret = json_pack("[o,I]", speech_of(chunk), (json_int_t)used);
    return rc;
}

int set_decoded_index(struct subject *s, const json_t *a, json_t **ret)
{
    (void)ret;
    return mr_tts_set_decoded_index(tts_of(s), json_integer_value(json_object_get(a, "value")));
}

int set_audio_generation_status(struct subject *s, const json_t *a, json_t **ret)
{
    (void)ret;
    mr_tts_set_audio_generation_status(tts_of(s),
                                       status_of(json_string_value(json_object_get(a, "status"))));
    return 0;
}

#define VALIDATOR(name)                                                                            \
    int name(struct subject *s, const json_t *a, json_t **ret)                                     \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)ret;                                                                                 \
        return mr_##name(fixture_text(s->fixture));                                                \
    }

VALIDATOR(validate_requires_vision_context)
VALIDATOR(validate_only_one_image)
VALIDATOR(validate_initial_prompt_has_image)
VALIDATOR(validate_aspect_ratio_args)
VALIDATOR(validate_image_shape_5d)
VALIDATOR(validate_image_grid_thw_args)
VALIDATOR(validate_vision_position_ids)
