/*
 * pixel.c - a pixel context: fields, latents and where they come from
 *
 * The latents are a replaceable array; until they were replaced, the noise, an array that stays, is
 * what they are. So work can begin anew whatever was made of it (Q41).
 */
#include "ipc/error.h"
#include "ipc/parts.h"
#include "ipc/text.h"
#include <errno.h>

mr_pixel *mr_context_pixel(mr_context *context)
{
    return context->params.kind == MR_KIND_PIXEL ? (mr_pixel *)(void *)context : NULL;
}

static mr_context *context_of(const mr_pixel *pixel)
{
    return (mr_context *)(uintptr_t)pixel;
}

void mr_pixel_request_defaults(mr_pixel_request *request)
{
    *request = (mr_pixel_request){.height = 1024,
                                  .width = 1024,
                                  .num_inference_steps = 50,
                                  .num_images_per_prompt = 1,
                                  .guidance_scale = 3.5,
                                  .true_cfg_scale = 1};
}

/* ---- fields ---- */

int64_t mr_pixel_height(const mr_pixel *pixel)
{
    return context_of(pixel)->params.pixel.height;
}

int64_t mr_pixel_width(const mr_pixel *pixel)
{
    return context_of(pixel)->params.pixel.width;
}

int64_t mr_pixel_num_inference_steps(const mr_pixel *pixel)
{
    return context_of(pixel)->params.pixel.num_inference_steps;
}

int64_t mr_pixel_num_warmup_steps(const mr_pixel *pixel)
{
    return context_of(pixel)->params.pixel.num_warmup_steps;
}

int64_t mr_pixel_num_images_per_prompt(const mr_pixel *pixel)
{
    return context_of(pixel)->params.pixel.num_images_per_prompt;
}

double mr_pixel_guidance_scale(const mr_pixel *pixel)
{
    return context_of(pixel)->params.pixel.guidance_scale;
}

double mr_pixel_true_cfg_scale(const mr_pixel *pixel)
{
    return context_of(pixel)->params.pixel.true_cfg_scale;
}

int64_t mr_pixel_compute_num_available_steps(const mr_pixel *pixel, int64_t max_seq_len)
{
    (void)max_seq_len;
    return mr_pixel_num_inference_steps(pixel);
}

/* ---- status ---- */

enum mr_status mr_pixel_status(const mr_pixel *pixel)
{
    return (enum mr_status)context_of(pixel)->now[MR_CURSOR_STATUS];
}

void mr_pixel_set_status(mr_pixel *pixel, enum mr_status status)
{
    mr_context *c = context_of(pixel);

    c->now[MR_CURSOR_STATUS] = status;
    mr_text_publish(c);
}

bool mr_pixel_is_done(const mr_pixel *pixel)
{
    return mr_pixel_status(pixel) != MR_ACTIVE;
}

/* ---- latents ---- */

static const mr_array *no_latents(void)
{
    static const mr_array none = {.dtype = MR_F32, .rank = 1, .strides = {4}};

    return &none;
}

static int latents_index(const mr_context *c)
{
    return mr_directory_where(c, MR_ARRAY_FIELD, "latents");
}

int mr_pixel_latents(const mr_pixel *pixel, mr_array *latents)
{
    const mr_context *c = context_of(pixel);
    int i = latents_index(c), rc;

    if (i < 0)
        return i;
    rc = mr_context_array(c, MR_ARRAY_FIELD, mr_directory_is_replaced(c, i) ? "latents" : "noise",
                          latents);
    if (rc == 0 && latents->dtype == MR_DTYPE_NONE)
        *latents = *no_latents();
    return rc;
}

int mr_pixel_update(mr_pixel *pixel, const mr_array *latents)
{
    mr_context *c = context_of(pixel);
    mr_array place = *latents;
    int rc = mr_context_array_prepare(c, MR_ARRAY_FIELD, "latents", &place);

    if (rc < 0)
        return rc;
    if (place.data != latents->data)
        mr_array_copy(place.data, latents);
    return mr_context_array_replace(c, MR_ARRAY_FIELD, "latents");
}

void mr_pixel_reset(mr_pixel *pixel)
{
    mr_pixel_set_status(pixel, MR_ACTIVE);
}

void mr_pixel_restart(mr_pixel *pixel)
{
    mr_context *c = context_of(pixel);
    int i = latents_index(c);

    if (i >= 0)
        mr_directory_forget(c, i);
    mr_pixel_reset(pixel);
}
