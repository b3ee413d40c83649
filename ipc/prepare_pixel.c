/*
 * prepare_pixel.c - what a pixel request needs besides its prompt's tokens
 *
 * Sizes, schedule, noise and position ids as MAX's pixel tokenizer makes them. Sums and products
 * are written in its order, in its precision, since the vectors compare bits.
 */
#include "ipc/error.h"
#include "ipc/noise.h"
#include <errno.h>
#include <math.h>
#include <millrace/prepare.h>

void mr_pixel_model_defaults(mr_pixel_model *model)
{
    *model = (mr_pixel_model){.in_channels = 64,
                              .base_image_seq_len = 256,
                              .max_image_seq_len = 4096,
                              .base_shift = 0.5,
                              .max_shift = 1.15};
}

void mr_pixel_options_defaults(mr_pixel_options *options)
{
    *options = (mr_pixel_options){.width = -1,
                                  .height = -1,
                                  .steps = 50,
                                  .num_images = 1,
                                  .guidance_scale = 3.5,
                                  .true_cfg_scale = 1};
}

/* ---- prompts ---- */

static mr_bytes or_else(mr_bytes text, mr_bytes other)
{
    return text.length ? text : other;
}

int mr_prepare_prompts(const mr_pixel_model *model, double true_cfg_scale,
                       const mr_pixel_prompts *given, mr_pixel_prompts *chosen)
{
    if (!given->first.bytes)
        return mr_fail_code(EINVAL, MR_PIXEL_PROMPT_LIST, "the prompt of an image must be a text");
    if (given->first.length == 0)
        return mr_fail_code(EINVAL, MR_PIXEL_PROMPT_EMPTY, "the prompt of an image is empty");
    *chosen = (mr_pixel_prompts){.first = given->first};
    if (model->two_encoders)
        chosen->second = or_else(given->second, given->first);
    if (!(true_cfg_scale > 1) || !given->negative.bytes)
        return 0;
    chosen->negative = given->negative;
    if (model->two_encoders)
        chosen->negative_second = or_else(given->negative_second, given->negative);
    return 0;
}

/* ---- sizes ---- */

enum { VAE_BLOCKS_MAX = 20 };

/* Pixels a latent cell, along one side. */
static int64_t cell_pixels(const mr_pixel_model *model)
{
    return model->vae_blocks ? INT64_C(1) << (model->vae_blocks - 1) : 8;
}

static int check_options(const mr_pixel_model *model, const mr_pixel_options *o)
{
    if (model->vae_blocks > VAE_BLOCKS_MAX || model->in_channels < 0)
        return mr_fail_code(EINVAL, MR_PIXEL_OPTION_RANGE,
                            "a model of %u VAE blocks and %lld channels can't be",
                            model->vae_blocks, (long long)model->in_channels);
    if (!(o->guidance_scale > 0) || !(o->true_cfg_scale > 0) || !isfinite(o->guidance_scale) ||
        !isfinite(o->true_cfg_scale))
        return mr_fail_code(EINVAL, MR_PIXEL_OPTION_RANGE,
                            "guidance_scale and true_cfg_scale must be above 0");
    if (o->width < -1 || o->height < -1 || o->width == 0 || o->height == 0)
        return mr_fail_code(EINVAL, MR_PIXEL_OPTION_RANGE, "width and height must be above 0");
    if (o->steps < 1 || o->num_images < 1 || o->steps > INT32_MAX || o->num_images > INT32_MAX)
        return mr_fail_code(EINVAL, MR_PIXEL_OPTION_RANGE,
                            "the numbers of steps and images must lie in [1, 2^31)");
    if (o->seed < 0 || o->seed > UINT32_MAX)
        return mr_fail_code(EINVAL, MR_PIXEL_SEED_RANGE, "seed %lld is not in [0, 2^32)",
                            (long long)o->seed);
    return 0;
}

static int64_t patches(const mr_pixel_plan *plan)
{
    return (plan->rows / 2) * (plan->columns / 2);
}

/* Descriptions of the arrays, without addresses. */
static mr_array noise_array(const mr_pixel_plan *plan)
{
    return (mr_array){
        .dtype = MR_F32,
        .rank = 4,
        .shape = {plan->options.num_images, plan->channels, plan->rows, plan->columns}};
}

static mr_array ids_array(const mr_pixel_plan *plan)
{
    if (plan->model.batched_ids)
        return (mr_array){
            .dtype = MR_I64, .rank = 3, .shape = {plan->options.num_images, patches(plan), 4}};
    return (mr_array){.dtype = MR_F32, .rank = 2, .shape = {patches(plan), 3}};
}

static mr_array floats_array(int64_t count)
{
    return (mr_array){.dtype = MR_F32, .rank = 1, .shape = {count}};
}

static int64_t sigma_count(const mr_pixel_plan *plan)
{
    return plan->options.steps + !plan->model.flow_sigmas;
}

static uint64_t word_aligned(uint64_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

static int count_bytes(mr_pixel_plan *plan)
{
    const mr_array arrays[] = {noise_array(plan), ids_array(plan),
                               floats_array(plan->options.steps), floats_array(sigma_count(plan)),
                               floats_array(1)};

    plan->bytes = 0;
    for (size_t i = 0; i < sizeof(arrays) / sizeof(*arrays); i++) {
        int64_t bytes = mr_array_bytes(&arrays[i]);

        if (bytes < 0 || bytes > INT64_MAX / 8)
            return mr_fail(EOVERFLOW, "the image is larger than any memory");
        plan->bytes += word_aligned((uint64_t)bytes);
    }
    return 0;
}

int mr_prepare_plan(const mr_pixel_model *model, const mr_pixel_options *options,
                    mr_pixel_plan *plan)
{
    int rc = check_options(model, options);
    int64_t cell;

    if (rc < 0)
        return rc;
    cell = cell_pixels(model);
    *plan = (mr_pixel_plan){.model = *model, .options = *options};
    if (options->width < 0)
        plan->options.width = 128 * cell;
    if (options->height < 0)
        plan->options.height = 128 * cell;
    plan->channels = model->in_channels / 4;
    plan->rows = 2 * (plan->options.height / (2 * cell));
    plan->columns = 2 * (plan->options.width / (2 * cell));
    if (plan->rows == 0 || plan->columns == 0)
        return mr_fail_code(EINVAL, MR_PIXEL_TOO_SMALL,
                            "an image of %lld x %lld is too small, each side needs %lld pixels",
                            (long long)plan->options.width, (long long)plan->options.height,
                            (long long)cell * 2);
    if (plan->rows > INT32_MAX || plan->columns > INT32_MAX || patches(plan) > INT32_MAX)
        return mr_fail(EOVERFLOW, "the image is larger than any memory");
    return count_bytes(plan);
}

/* ---- schedule ---- */

static void straight_sigmas(float *sigmas, int64_t n)
{
    double step = n > 1 ? (1.0 / (double)n - 1.0) / (double)(n - 1) : 0.0;

    for (int64_t i = 0; i < n; i++)
        sigmas[i] = (float)((double)i * step + 1.0);
    if (n > 1)
        sigmas[n - 1] = (float)(1.0 / (double)n);
}

/* How far larger images shift the schedule towards noise. */
static double shift_by_size(const mr_pixel_model *model, double q)
{
    double m = (model->max_shift - model->base_shift) /
               (double)(model->max_image_seq_len - model->base_image_seq_len);
    double b = model->base_shift - m * (double)model->base_image_seq_len;

    return q * m + b;
}

/* FLUX.2's rule, fitted to measurements at 10 and at 200 steps. */
static double shift_by_measurement(double q, double n)
{
    const double a1 = 8.73809524e-05, b1 = 1.89833333, a2 = 0.00016927, b2 = 0.45666666;
    double m200 = a2 * q + b2, m10 = a1 * q + b1, a, b;

    if (q > 4300)
        return m200;
    a = (m200 - m10) / 190.0;
    b = m200 - 200.0 * a;
    return a * n + b;
}

static void shift_sigmas(const mr_pixel_plan *plan, float *sigmas)
{
    double q = (double)patches(plan), n = (double)plan->options.steps;
    double mu =
        plan->model.empirical_shift ? shift_by_measurement(q, n) : shift_by_size(&plan->model, q);
    double e = exp(mu);

    for (int64_t i = 0; i < plan->options.steps; i++) {
        double t = sigmas[i];

        t = t < 1e-7 ? 1e-7 : t > 1.0 ? 1.0 : t;
        sigmas[i] = (float)(e / (e + (1.0 / t - 1.0)));
    }
}

static void schedule(const mr_pixel_plan *plan, float *timesteps, float *sigmas)
{
    int64_t n = plan->options.steps;

    straight_sigmas(sigmas, n);
    if (plan->model.dynamic_shift)
        shift_sigmas(plan, sigmas);
    sigmas[n] = 0;
    for (int64_t i = 0; i < n; i++) {
        float scaled = sigmas[i] * 1000.0f;

        timesteps[i] = (plan->model.time_upward ? 1000.0f - scaled : scaled) / 1000.0f;
    }
}

static void flow_schedule(const mr_pixel_plan *plan, float *timesteps, float *sigmas)
{
    int64_t n = plan->options.steps;
    double step = n > 1 ? 1000.0 / (double)(n - 1) : 0.0;

    for (int64_t i = 0; i < n; i++) {
        int64_t place = plan->model.time_upward ? n - 1 - i : i;

        timesteps[place] = i > 0 && i == n - 1 ? 1000.0f : (float)((double)i * step);
    }
    for (int64_t i = 0; i < n; i++)
        sigmas[i] = timesteps[i] / 1000.0f;
}

/* ---- positions ---- */

static void plain_ids(const mr_pixel_plan *plan, float *ids)
{
    for (int64_t row = 0; row < plan->rows / 2; row++)
        for (int64_t column = 0; column < plan->columns / 2; column++) {
            *ids++ = 0;
            *ids++ = (float)row;
            *ids++ = (float)column;
        }
}

static void batched_ids(const mr_pixel_plan *plan, int64_t *ids)
{
    for (int64_t image = 0; image < plan->options.num_images; image++)
        for (int64_t row = 0; row < plan->rows / 2; row++)
            for (int64_t column = 0; column < plan->columns / 2; column++) {
                *ids++ = 0;
                *ids++ = row;
                *ids++ = column;
                *ids++ = 0;
            }
}

/* ---- all of it ---- */

static mr_array take(unsigned char **next, mr_array array)
{
    mr_array_make_contiguous(&array);
    array.data = *next;
    *next += word_aligned((uint64_t)mr_array_bytes(&array));
    return array;
}

static void fill_arrays(const mr_pixel_plan *plan, mr_pixel_request *r)
{
    mr_noise_fill(r->noise.data, (uint64_t)mr_array_count(&r->noise), (uint32_t)plan->options.seed);
    if (plan->model.batched_ids)
        batched_ids(plan, r->latent_image_ids.data);
    else
        plain_ids(plan, r->latent_image_ids.data);
    if (plan->model.flow_sigmas)
        flow_schedule(plan, r->timesteps.data, r->sigmas.data);
    else
        schedule(plan, r->timesteps.data, r->sigmas.data);
    if (plan->model.embeds_guidance)
        *(float *)r->guidance.data = (float)plan->options.guidance_scale;
}

void mr_prepare_pixel(const mr_pixel_plan *plan, void *memory, mr_pixel_request *request)
{
    unsigned char *next = memory;

    request->noise = take(&next, noise_array(plan));
    request->latent_image_ids = take(&next, ids_array(plan));
    request->timesteps = take(&next, floats_array(plan->options.steps));
    request->sigmas = take(&next, floats_array(sigma_count(plan)));
    request->guidance = plan->model.embeds_guidance ? take(&next, floats_array(1))
                                                    : (mr_array){.dtype = MR_DTYPE_NONE};
    request->height = plan->options.height;
    request->width = plan->options.width;
    request->num_inference_steps = plan->options.steps;
    request->num_warmup_steps = 0;
    request->num_images_per_prompt = plan->options.num_images;
    request->guidance_scale = plan->options.guidance_scale;
    request->true_cfg_scale = plan->options.true_cfg_scale;
    fill_arrays(plan, request);
}
