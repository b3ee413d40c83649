/*
 * millrace/pixel.h - PixelContext: an image that is made from a prompt
 *
 * No text context: its prompts are constant arrays, its steps are the model's. `latents` is the
 * initial noise first, and what mr_pixel_update() gave last afterwards; the noise itself is kept,
 * so that work can be done again. A worker that writes the new latents where they belong
 * (mr_context_array_prepare(context, MR_ARRAY_FIELD, "latents", ...)) copies nothing.
 *
 * Arrays of MR_ARRAY_FIELD: tokens, mask, tokens_2, negative_tokens, negative_tokens_2, timesteps,
 * sigmas, noise, latents, latent_image_ids, guidance. Of MR_ARRAY_EXTRA: extra_params.
 */
#ifndef MILLRACE_PIXEL_H
#define MILLRACE_PIXEL_H

#include <millrace/array.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_pixel mr_pixel;

/* What a request of kind MR_KIND_PIXEL has; mr_request.pixel. Arrays of dtype MR_DTYPE_NONE are
 * none. mr_pixel_request_defaults() first. */
typedef struct mr_pixel_request {
    mr_array tokens; /* i64[n], for the first text encoder; required */
    mr_array mask;   /* bool[n] */
    mr_array tokens_2;
    mr_array negative_tokens;
    mr_array negative_tokens_2;
    mr_array timesteps;
    mr_array sigmas;
    mr_array noise; /* initial latents */
    mr_array latent_image_ids;
    mr_array guidance;
    const mr_array_given *extra_params;
    size_t extra_count;
    uint64_t latents_room; /* bytes that latents and decoded image may have at most */
    int64_t height;
    int64_t width;
    int64_t num_inference_steps;
    int64_t num_warmup_steps;
    int64_t num_images_per_prompt;
    double guidance_scale;
    double true_cfg_scale;
} mr_pixel_request;

/* mr_pixel_request_defaults - 1024 x 1024, 50 steps, one image, guidance_scale 3.5, true_cfg_scale
 * 1, no arrays and no room for latents */
void mr_pixel_request_defaults(mr_pixel_request *request);

enum mr_pixel_error {
    MR_PIXEL_IMAGE_NDIM = 351, /* latents that are no image: not two or three dimensions */
    MR_PIXEL_IMAGE_DTYPE,      /* not f32, f64 or u8 */
    MR_PIXEL_IMAGE_CHANNELS,   /* not one, three or four */
    MR_PIXEL_IMAGE_ZERO_SIZE,  /* no rows or no columns */
    MR_PIXEL_PROMPT_EMPTY,     /* preparation: see below */
    MR_PIXEL_PROMPT_LIST,
    MR_PIXEL_SEED_RANGE,
    MR_PIXEL_TOO_SMALL,   /* width or height below two cells of the VAE */
    MR_PIXEL_OPTION_RANGE /* another option is out of range */
};

/* The pixel context; NULL for contexts of another kind. */
mr_pixel *mr_context_pixel(mr_context *context);

/* Of the request, constant. height and width are the image's, in pixels. */
int64_t mr_pixel_height(const mr_pixel *pixel);
int64_t mr_pixel_width(const mr_pixel *pixel);
int64_t mr_pixel_num_inference_steps(const mr_pixel *pixel);
int64_t mr_pixel_num_warmup_steps(const mr_pixel *pixel);
int64_t mr_pixel_num_images_per_prompt(const mr_pixel *pixel);
double mr_pixel_guidance_scale(const mr_pixel *pixel);
double mr_pixel_true_cfg_scale(const mr_pixel *pixel);

/* What isn't MR_ACTIVE is done; the worker says so, no operation does. */
enum mr_status mr_pixel_status(const mr_pixel *pixel);
void mr_pixel_set_status(mr_pixel *pixel, enum mr_status status); /* one commit */
bool mr_pixel_is_done(const mr_pixel *pixel);

/* Always num_inference_steps; the argument is the original's, which ignores it too. */
int64_t mr_pixel_compute_num_available_steps(const mr_pixel *pixel, int64_t max_seq_len);

/* mr_pixel_latents - the present ones; dtype f32 and shape (0) where there is neither noise nor an
 * update yet. 0 or -EBADMSG. */
int mr_pixel_latents(const mr_pixel *pixel, mr_array *latents);

/* mr_pixel_update - new latents, or the decoded image: copied (unless they lie already where
 * mr_context_array_prepare() said), then one commit. -ENOSPC if they are larger than the room
 * reserved; the status stays. */
int mr_pixel_update(mr_pixel *pixel, const mr_array *latents);

/* mr_pixel_reset - active again; the latents stay, as in the original. mr_pixel_restart() also goes
 * back to the noise. Each is one commit. */
void mr_pixel_reset(mr_pixel *pixel);
void mr_pixel_restart(mr_pixel *pixel);

/* GenerationOutput's image, decoded: `channels` bytes a pixel, row by row. */
typedef struct mr_pixel_output {
    enum mr_status final_status;
    int64_t width;
    int64_t height;
    uint32_t channels; /* 1 grey, 3 RGB, 4 RGBA */
    uint32_t reserved;
    uint64_t bytes; /* width x height x channels */
} mr_pixel_output;

/*
 * mr_pixel_to_generation_output - the latents as an image of 8 bits a channel; may be repeated
 *
 *   pixels  room for `room` bytes; NULL: only *output is wanted, to learn how many
 *
 * Floats are scaled by 255, clipped and cut (0.5 gives 127), NaN gives 0.
 * Returns 0, -EINVAL with an enum mr_pixel_error, -ENOSPC.
 */
int mr_pixel_to_generation_output(const mr_pixel *pixel, mr_pixel_output *output,
                                  unsigned char *pixels, uint64_t room);

#ifdef __cplusplus
}
#endif
#endif
