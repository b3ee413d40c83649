/*
 * parts.c - what a request of a kind has beside its text, written into the context's range
 *
 * A request's arrays are numbered: array_of() gives number i, so that checking, counting and
 * writing are the same walk. Those that may be replaced come first, since a bit of PLACES stands
 * for each.
 */
#include "ipc/parts.h"
#include "ipc/error.h"
#include "ipc/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- which arrays a request has ---- */

struct numbered {
    uint32_t group;
    mr_array_given given;
    char
        name[MR_ARRAY_NAME_MAX + 1]; /* where `given.name` points if the request has no such text */
};

static bool extra_of(const mr_array_given *extras, size_t count, size_t i, struct numbered *array)
{
    if (i >= count)
        return false;
    array->group = MR_ARRAY_EXTRA;
    array->given = extras[i];
    array->given.room = 0;
    return true;
}

static bool vision_array(const mr_vision_request *v, size_t i, struct numbered *array)
{
    if (i >= v->image_count)
        return extra_of(v->extra_model_args, v->extra_count, i - v->image_count, array);
    snprintf(array->name, sizeof(array->name), "%zu", i);
    array->group = MR_ARRAY_IMAGE;
    array->given = (mr_array_given){array->name, v->images[i].pixel_values, 0};
    return true;
}

static bool tts_array(const mr_tts_request *t, size_t i, struct numbered *array)
{
    const mr_array_given fields[] = {
        {"audio_buffer", t->audio_buffer, t->audio_room},
        {"audio_prompt_tokens", t->audio_prompt_tokens, 0},
        {"buffer_speech_tokens", t->buffer_speech_tokens, 0},
    };

    if (i >= sizeof(fields) / sizeof(*fields))
        return false;
    array->group = MR_ARRAY_FIELD;
    array->given = fields[i];
    return true;
}

/* Before the first update the latents are the noise, which is an array of its own and stays. */
static bool pixel_array(const mr_pixel_request *p, size_t i, struct numbered *array)
{
    const mr_array none = {.dtype = MR_DTYPE_NONE};
    const mr_array_given fields[] = {
        {"latents", none, p->latents_room},
        {"noise", p->noise, 0},
        {"tokens", p->tokens, 0},
        {"mask", p->mask, 0},
        {"tokens_2", p->tokens_2, 0},
        {"negative_tokens", p->negative_tokens, 0},
        {"negative_tokens_2", p->negative_tokens_2, 0},
        {"timesteps", p->timesteps, 0},
        {"sigmas", p->sigmas, 0},
        {"latent_image_ids", p->latent_image_ids, 0},
        {"guidance", p->guidance, 0},
    };
    const size_t count = sizeof(fields) / sizeof(*fields);

    if (i >= count)
        return extra_of(p->extra_params, p->extra_count, i - count, array);
    array->group = MR_ARRAY_FIELD;
    array->given = fields[i];
    return true;
}

/* Array i of a request; false if it has no such. */
static bool array_of(const mr_request *request, size_t i, struct numbered *array)
{
    if (request->kind == MR_KIND_VISION && request->vision)
        return vision_array(request->vision, i, array);
    if (request->kind == MR_KIND_TTS && request->tts)
        return tts_array(request->tts, i, array);
    if (request->kind == MR_KIND_PIXEL && request->pixel)
        return pixel_array(request->pixel, i, array);
    return false;
}

static size_t count_arrays(const mr_request *request)
{
    struct numbered array;
    size_t count = 0;

    while (array_of(request, count, &array))
        count++;
    return count;
}

/* ---- checks ---- */

static int check_part(const mr_request *request)
{
    if ((request->kind == MR_KIND_VISION && !request->vision) ||
        (request->kind == MR_KIND_TTS && !request->tts) ||
        (request->kind == MR_KIND_PIXEL && !request->pixel))
        return mr_fail(EINVAL, "a request of kind %u lacks what belongs to its kind",
                       request->kind);
    return 0;
}

/* Two arrays of one name: the extras' names are the request's own. */
static int check_names(const mr_array_given *extras, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(extras[i].name, extras[j].name))
                return mr_fail(EINVAL, "there are two arrays '%s'", extras[i].name);
    return 0;
}

static int check_arrays(const mr_request *request)
{
    struct numbered array;
    int rc = 0;

    for (size_t i = 0; rc == 0 && array_of(request, i, &array); i++)
        rc = mr_directory_check(&array.given);
    if (rc == 0 && request->kind == MR_KIND_VISION)
        rc = check_names(request->vision->extra_model_args, request->vision->extra_count);
    if (rc == 0 && request->kind == MR_KIND_PIXEL)
        rc = check_names(request->pixel->extra_params, request->pixel->extra_count);
    return rc;
}

static int check_pixel(const mr_pixel_request *pixel)
{
    mr_tokens tokens;

    return mr_array_tokens(&pixel->tokens, &tokens);
}

int mr_parts_check(const mr_request *request)
{
    int rc = check_part(request);

    if (rc == 0 && request->kind == MR_KIND_VISION)
        rc = mr_vision_check_images(request->vision);
    if (rc == 0)
        rc = request->kind == MR_KIND_PIXEL ? check_pixel(request->pixel) : mr_text_check(request);
    if (rc == 0 && request->kind == MR_KIND_VISION)
        rc = mr_vision_check_places(request);
    return rc ? rc : check_arrays(request);
}

/* ---- sizes ---- */

enum { LINE = 64 };

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t array_bytes(size_t count, size_t size)
{
    uint64_t bytes;

    return __builtin_mul_overflow(count, size, &bytes) || bytes > INT64_MAX
               ? UINT64_MAX
               : (bytes + LINE - 1) / LINE * LINE;
}

static uint64_t records_bytes(const mr_request *request)
{
    if (request->kind == MR_KIND_VISION)
        return sum(array_bytes(request->vision->vision_token_count, sizeof(int64_t)),
                   array_bytes(request->vision->image_count, sizeof(mr_image_record)));
    if (request->kind == MR_KIND_TTS)
        return array_bytes(request->tts->speech_capacity, sizeof(int32_t));
    return 0;
}

static bool has_parts(const mr_request *request)
{
    return request->kind != MR_KIND_TEXT && request->kind != MR_KIND_REFUSAL;
}

uint64_t mr_parts_size(const mr_request *request)
{
    size_t count = count_arrays(request);
    uint64_t bytes = sum(LINE, sum(array_bytes(count, sizeof(mr_entry)), records_bytes(request)));
    struct numbered array;

    if (!has_parts(request))
        return 0;
    for (size_t i = 0; array_of(request, i, &array); i++)
        bytes = sum(bytes, mr_directory_bytes(&array.given));
    return bytes;
}

/* ---- filling ---- */

/* Hands out the range piece by piece, each on a line of its own. */
static mr_range take(uint64_t *next, uint64_t bytes)
{
    mr_range range = {*next, bytes};

    *next += (bytes + LINE - 1) / LINE * LINE;
    return range;
}

static void fill_vision(mr_domain *domain, mr_vision_params *params, const mr_vision_request *v,
                        uint64_t *next)
{
    mr_image_record *to;

    params->token_ids = take(next, v->vision_token_count * sizeof(int64_t));
    if (v->vision_token_count)
        memcpy(domain->data + params->token_ids.offset, v->vision_token_ids,
               params->token_ids.bytes);
    params->images = take(next, v->image_count * sizeof(*to));
    to = (mr_image_record *)(void *)(domain->data + params->images.offset);
    for (size_t i = 0; i < v->image_count; i++)
        to[i] = (mr_image_record){.start = v->images[i].start_idx,
                                  .end = v->images[i].end_idx,
                                  .hash = v->images[i].hash,
                                  .has_hash = v->images[i].has_hash};
}

static mr_pixel_params pixel_params(const mr_pixel_request *p)
{
    return (mr_pixel_params){.height = p->height,
                             .width = p->width,
                             .num_inference_steps = p->num_inference_steps,
                             .num_warmup_steps = p->num_warmup_steps,
                             .num_images_per_prompt = p->num_images_per_prompt,
                             .guidance_scale = p->guidance_scale,
                             .true_cfg_scale = p->true_cfg_scale};
}

static void fill_arrays(mr_domain *domain, mr_params *params, const mr_request *request,
                        uint64_t *next)
{
    mr_entry *entries;
    struct numbered array;

    params->directory = take(next, count_arrays(request) * sizeof(*entries));
    entries = (mr_entry *)(void *)(domain->data + params->directory.offset);
    for (size_t i = 0; array_of(request, i, &array); i++)
        mr_directory_put(domain, &entries[i], array.group, &array.given,
                         take(next, mr_directory_bytes(&array.given)).offset);
}

void mr_parts_fill(mr_domain *domain, mr_params *params, const mr_request *request, uint64_t offset)
{
    uint64_t next = (offset + LINE - 1) / LINE * LINE;

    if (!has_parts(request))
        return;
    if (request->kind == MR_KIND_VISION) {
        fill_vision(domain, &params->vision, request->vision, &next);
    } else if (request->kind == MR_KIND_TTS) {
        params->tts.speech = take(&next, request->tts->speech_capacity * sizeof(int32_t));
        params->tts.arrival_time = request->tts->arrival_time;
        params->tts.streaming = request->tts->streaming;
    } else if (request->kind == MR_KIND_PIXEL) {
        params->pixel = pixel_params(request->pixel);
    }
    fill_arrays(domain, params, request, &next);
}

void mr_parts_start(mr_context *context, const mr_request *request)
{
    if (request->kind == MR_KIND_TTS)
        context->now[MR_CURSOR_SAMPLES] = request->tts->prev_samples_beyond_offset;
}

/* ---- loading ---- */

static bool is_range(const mr_context *context, const mr_range *range)
{
    const mr_domain *domain = context->domain;

    return !range->bytes ||
           (range->offset % 8 == 0 && range->offset >= domain->arena_offset &&
            range->bytes <= domain->arena_bytes &&
            range->offset - domain->arena_offset <= domain->arena_bytes - range->bytes);
}

static bool is_status(int64_t status)
{
    return status >= MR_ACTIVE && status <= MR_CANCELLED;
}

static bool is_speech(const mr_context *context)
{
    const int64_t *now = context->now;
    int64_t capacity = (int64_t)(context->params.tts.speech.bytes / sizeof(int32_t));

    return is_range(context, &context->params.tts.speech) && now[MR_CURSOR_SPEECH] >= 0 &&
           now[MR_CURSOR_SPEECH] <= capacity && now[MR_CURSOR_BLOCKS] >= 0 &&
           now[MR_CURSOR_DECODED] >= 0 && is_status(now[MR_CURSOR_AUDIO_STATUS]);
}

int mr_parts_load(const mr_context *context)
{
    const mr_params *p = &context->params;
    bool sound = true;

    if (p->kind == MR_KIND_VISION)
        sound = is_range(context, &p->vision.token_ids) && is_range(context, &p->vision.images);
    else if (p->kind == MR_KIND_TTS)
        sound = is_speech(context);
    else if (p->kind == MR_KIND_PIXEL)
        sound = is_status(context->now[MR_CURSOR_STATUS]);
    if (sound)
        return 0;
    return mr_fail(EBADMSG, "slot %td is corrupt: what belongs to its kind is out of range",
                   context->slot - context->domain->slots);
}
