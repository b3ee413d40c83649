/*
 * millrace/prepare.h - what a tokenizer works out before a request is admitted
 *
 * Plain functions over the caller's memory, as MAX's tokenizers compute it; none of them looks at a
 * domain. Errors are -EINVAL with mr_error_code() an enum mr_pixel_error, unless said otherwise.
 */
#ifndef MILLRACE_PREPARE_H
#define MILLRACE_PREPARE_H

#include <millrace/pixel.h>
#include <millrace/vision.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- text ---- */

/*
 * mr_prepare_max_length - the longest that prompt and generated tokens may become together
 *
 *   model_max, max_new_tokens   -1: none
 *
 * Returns it, or -1: neither limits it. The prompt may be as long as the model allows.
 */
int64_t mr_prepare_max_length(int64_t prompt_length, int64_t model_max, int64_t max_new_tokens);

/*
 * mr_prepare_eos_ids - the ids that end a request: the model's and the request's own, each once
 *
 *   ids   room for model_count + stop_count
 *
 * Returns how many; 0 with ignore_eos, which leaves stop strings as they are (Q46).
 */
size_t mr_prepare_eos_ids(const int64_t *model, size_t model_count, const int64_t *stop,
                          size_t stop_count, bool ignore_eos, int64_t *ids);

/*
 * mr_prepare_image_places - where images go: the longest runs of vision tokens, in order
 *
 *   images   room for `room` of them; start_idx and end_idx are set
 *
 * Returns how many there are, which may be more than `room`. Two images without a token between
 * them are one run.
 */
size_t mr_prepare_image_places(mr_tokens prompt, const int64_t *vision_token_ids, size_t count,
                               mr_image *images, size_t room);

/* ---- pixel ---- */

/* What is constant about a model. mr_pixel_model_defaults() first. */
typedef struct mr_pixel_model {
    uint32_t vae_blocks; /* block channels of its VAE; 0: not known */
    uint32_t two_encoders;
    uint32_t embeds_guidance; /* the model takes guidance_scale as an array */
    uint32_t time_upward;     /* timesteps count up (Z-Image) */
    uint32_t batched_ids;     /* latent image ids are i64[images, patches, 4] (FLUX.2) */
    uint32_t dynamic_shift;   /* sigmas are shifted by the size of the image */
    uint32_t empirical_shift; /* by FLUX.2's rule */
    uint32_t flow_sigmas;
    int64_t in_channels; /* of the transformer */
    int64_t base_image_seq_len;
    int64_t max_image_seq_len;
    double base_shift;
    double max_shift;
} mr_pixel_model;

/* mr_pixel_model_defaults - MAX's: 64 channels, one encoder, a plain schedule, shift from 0.5 at
 * 256 patches to 1.15 at 4,096 where it is switched on; a VAE that isn't known has 8 pixels a cell
 */
void mr_pixel_model_defaults(mr_pixel_model *model);

/* What a request asks for. mr_pixel_options_defaults() first. */
typedef struct mr_pixel_options {
    int64_t width; /* -1: the model's own */
    int64_t height;
    int64_t steps;
    int64_t num_images;
    int64_t seed; /* in [0, 2^32) */
    double guidance_scale;
    double true_cfg_scale;
} mr_pixel_options;

/* mr_pixel_options_defaults - the model's own size, 50 steps, one image, seed 0,
 * guidance_scale 3.5, true_cfg_scale 1 */
void mr_pixel_options_defaults(mr_pixel_options *options);

/* Texts; {NULL, 0} is none, a length of 0 an empty text. */
typedef struct mr_pixel_prompts {
    mr_bytes first;
    mr_bytes second;
    mr_bytes negative;
    mr_bytes negative_second;
} mr_pixel_prompts;

/*
 * mr_prepare_prompts - which text goes through which encoder
 *
 *   given   of the request: prompt, secondary_prompt, negative_prompt, secondary_negative_prompt
 *   chosen  out: what each encoder gets; none: there are no such tokens
 *
 * Returns 0, MR_PIXEL_PROMPT_EMPTY, or MR_PIXEL_PROMPT_LIST when there is no text at all (the
 * request has something else there).
 */
int mr_prepare_prompts(const mr_pixel_model *model, double true_cfg_scale,
                       const mr_pixel_prompts *given, mr_pixel_prompts *chosen);

/* Sizes that follow from model and options. */
typedef struct mr_pixel_plan {
    mr_pixel_model model;
    mr_pixel_options options; /* width and height as they are used */
    int64_t channels;         /* of the latents */
    int64_t rows;             /* cells of the latents */
    int64_t columns;
    uint64_t bytes; /* that mr_prepare_pixel() needs */
} mr_pixel_plan;

/* mr_prepare_plan - checks the options; 0, MR_PIXEL_OPTION_RANGE, _SEED_RANGE, _TOO_SMALL, or
 * -EOVERFLOW for an image that no memory holds */
int mr_prepare_plan(const mr_pixel_model *model, const mr_pixel_options *options,
                    mr_pixel_plan *plan);

/*
 * mr_prepare_pixel - schedule, noise, latent image ids and guidance of a request
 *
 *   memory   plan->bytes, aligned to 8; the request's arrays point into it
 *   request  out: timesteps, sigmas, noise, latent_image_ids, guidance and the numbers; what is
 *            there of tokens, extra_params and latents_room stays
 */
void mr_prepare_pixel(const mr_pixel_plan *plan, void *memory, mr_pixel_request *request);

#ifdef __cplusplus
}
#endif
#endif
