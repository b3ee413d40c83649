/*
 * pixel_model_test.c - random operations on a pixel context and on one array in private memory
 */
#include "tests/ipc/fixture.h"
#include "tests/ipc/model/trial.h"
#include <errno.h>
#include <math.h>
#include <millrace/pixel.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 512 };

/* ---- the model ---- */

struct latents {
    uint32_t dtype, rank;
    int64_t shape[5];
    int64_t bytes;
    unsigned char data[BYTES];
};

struct state {
    int64_t status;
    struct latents latents;
};

struct pair {
    struct state now;
    struct state committed;
    struct latents noise;
    bool held, deferred;
    struct fixture *fixture;
    mr_context *context;
    mr_pixel *pixel;
};

static void commit(struct pair *p)
{
    p->deferred = p->held;
    if (!p->held)
        p->committed = p->now;
}

/* ---- random arrays ---- */

static const uint32_t dtypes[] = {MR_F32, MR_F32, MR_F64, MR_U8, MR_U8, MR_I32, MR_F16};

/* Around what can be an image: 1 to 5 dimensions, channels that fit or don't, now and then none. */
static void make_latents(struct latents *l)
{
    *l = (struct latents){.dtype = dtypes[between(0, 6)], .rank = (uint32_t)between(1, 5)};
    if (one_in(2))
        l->rank = (uint32_t)between(2, 3);
    l->bytes = (int64_t)mr_dtype_size(l->dtype);
    for (uint32_t i = 0; i < l->rank; i++) {
        l->shape[i] = i == 2 ? between(1, 4) : one_in(30) ? 0 : between(1, 4);
        l->bytes *= l->shape[i];
    }
}

static float some_float(void)
{
    static const float special[] = {0, 1, -1, 2, 0.5f, 1e-30f, 3e38f, -3e38f, INFINITY, -INFINITY};

    if (one_in(20))
        return NAN;
    return one_in(4) ? special[between(0, 9)] : (float)between(-100, 1100) / 1000.0f;
}

static void fill(struct latents *l)
{
    for (int64_t i = 0; i < l->bytes; i++)
        l->data[i] = (unsigned char)between(0, 255);
    for (int64_t i = 0; l->dtype == MR_F32 && i < l->bytes / 4; i++)
        ((float *)(void *)l->data)[i] = some_float();
    for (int64_t i = 0; l->dtype == MR_F64 && i < l->bytes / 8; i++)
        ((double *)(void *)l->data)[i] = some_float();
}

static mr_array array_of(struct latents *l)
{
    mr_array array = {.dtype = l->dtype, .rank = l->rank, .data = l->data};

    memcpy(array.shape, l->shape, l->rank * sizeof(*l->shape));
    mr_array_make_contiguous(&array);
    return array;
}

/* ---- operations ---- */

static void update(void *pair)
{
    struct pair *p = pair;
    struct latents l;
    mr_array array;
    bool fits;

    make_latents(&l);
    fits = l.bytes <= BYTES;
    if (fits)
        fill(&l);
    array = array_of(&l);
    trial_same("update", fits ? 0 : -ENOSPC, mr_pixel_update(p->pixel, &array));
    if (!fits)
        return;
    p->now.latents = l;
    commit(p);
}

/* The same without a copy: written where it belongs. */
static void update_in_place(void *pair)
{
    struct pair *p = pair;
    struct latents l;
    mr_array place;

    make_latents(&l);
    if (l.bytes > BYTES)
        return;
    fill(&l);
    place = array_of(&l);
    trial_same("prepare", 0,
               mr_context_array_prepare(p->context, MR_ARRAY_FIELD, "latents", &place));
    memcpy(place.data, l.data, (size_t)l.bytes);
    trial_same("update", 0, mr_pixel_update(p->pixel, &place));
    p->now.latents = l;
    commit(p);
}

static void reset(void *pair)
{
    struct pair *p = pair;

    p->now.status = MR_ACTIVE;
    commit(p);
    mr_pixel_reset(p->pixel);
}

static void restart(void *pair)
{
    struct pair *p = pair;

    p->now.status = MR_ACTIVE;
    p->now.latents = p->noise;
    commit(p);
    mr_pixel_restart(p->pixel);
}

static void set_status(void *pair)
{
    struct pair *p = pair;

    p->now.status = between(MR_ACTIVE, MR_CANCELLED);
    commit(p);
    mr_pixel_set_status(p->pixel, (enum mr_status)p->now.status);
}

static int expected_error(const struct latents *l)
{
    int64_t channels = l->rank == 3 ? l->shape[2] : 1;

    if (l->rank < 2 || l->rank > 3)
        return MR_PIXEL_IMAGE_NDIM;
    if (l->dtype != MR_F32 && l->dtype != MR_F64 && l->dtype != MR_U8)
        return MR_PIXEL_IMAGE_DTYPE;
    if (channels == 2 || channels > 4)
        return MR_PIXEL_IMAGE_CHANNELS;
    if (l->shape[0] * l->shape[1] == 0)
        return MR_PIXEL_IMAGE_ZERO_SIZE;
    return 0;
}

/* By the sentence: trunc(clip(v * 255, 0, 255)) in the array's own precision; NaN gives 0. */
static int expected_byte(const struct latents *l, int64_t i)
{
    float f32 = ((const float *)(const void *)l->data)[i] * 255.0f;
    double value;

    if (l->dtype == MR_U8)
        return l->data[i];
    value =
        l->dtype == MR_F32 ? (double)f32 : ((const double *)(const void *)l->data)[i / 1] * 255.0;
    if (isnan(value))
        return 0;
    return (int)trunc(fmin(fmax(value, 0.0), 255.0));
}

static void output(void *pair)
{
    struct pair *p = pair;
    const struct latents *l = &p->now.latents;
    unsigned char pixels[BYTES];
    mr_pixel_output out;
    int error = expected_error(l);

    trial_result(error, mr_pixel_to_generation_output(p->pixel, &out, pixels, sizeof(pixels)));
    if (error)
        return;
    trial_same("height", l->shape[0], out.height);
    trial_same("width", l->shape[1], out.width);
    trial_same("channels", l->rank == 3 ? l->shape[2] : 1, out.channels);
    trial_same("status of the output", p->now.status, out.final_status);
    for (uint64_t i = 0; i < out.bytes; i++)
        trial_same("pixel", expected_byte(l, (int64_t)i), pixels[i]);
    if (out.bytes > 1)
        trial_same("room", -ENOSPC,
                   mr_pixel_to_generation_output(p->pixel, &out, pixels, out.bytes - 1));
}

static void hold(void *pair)
{
    struct pair *p = pair;

    p->held = true;
    mr_context_hold(p->context);
}

static void release(void *pair)
{
    struct pair *p = pair;

    p->held = false;
    if (p->deferred)
        commit(p);
    mr_context_release(p->context);
}

static void die(void *pair)
{
    struct pair *p = pair;

    p->now = p->committed;
    p->held = p->deferred = false;
    trial_same("load", 0, fixture_reload(p->fixture));
}

static const struct trial_operation operations[] = {
    {"update", update, 20},  {"update in place", update_in_place, 10},
    {"output", output, 20},  {"reset", reset, 4},
    {"restart", restart, 4}, {"set_status", set_status, 4},
    {"hold", hold, 4},       {"release", release, 8},
    {"death", die, 6},
};

/* ---- comparing ---- */

static void compare(const void *pair)
{
    const struct pair *p = pair;
    const struct latents *l = &p->now.latents;
    mr_array array;

    trial_same("status", p->now.status, mr_pixel_status(p->pixel));
    trial_same("done", p->now.status != MR_ACTIVE, mr_pixel_is_done(p->pixel));
    trial_same("steps", 7, mr_pixel_compute_num_available_steps(p->pixel, between(-5, 5)));
    trial_same("latents", 0, mr_pixel_latents(p->pixel, &array));
    trial_same("dtype", l->dtype, array.dtype);
    trial_same("rank", l->rank, array.rank);
    trial_same("shape", 0, memcmp(l->shape, array.shape, l->rank * sizeof(*l->shape)));
    trial_same("bytes", l->bytes, mr_array_bytes(&array));
    trial_same("contents", 0, memcmp(l->data, array.data, (size_t)l->bytes));
}

/* ---- contexts ---- */

static void begin(void *pair)
{
    static int64_t prompt[] = {5, 6};
    struct pair *p = pair;
    mr_request request = fixture_request(NULL, 0, 0);
    mr_pixel_request pixel;

    *p = (struct pair){.held = false};
    do
        make_latents(&p->noise);
    while (p->noise.bytes > BYTES);
    fill(&p->noise);
    mr_pixel_request_defaults(&pixel);
    pixel.tokens = (mr_array){.dtype = MR_I64, .rank = 1, .shape = {2}, .data = prompt};
    mr_array_make_contiguous(&pixel.tokens);
    pixel.noise = array_of(&p->noise);
    pixel.num_inference_steps = 7;
    pixel.latents_room = BYTES;
    request.kind = MR_KIND_PIXEL;
    request.pixel = &pixel;
    p->now.latents = p->noise;
    p->committed = p->now;
    p->fixture = fixture_new(&request, 0);
    trial_same("context made", true, p->fixture != NULL);
    p->context = fixture_context(p->fixture);
    p->pixel = mr_context_pixel(p->context);
}

static void end(void *pair)
{
    fixture_free(((struct pair *)pair)->fixture);
}

int main(int argc, char **argv)
{
    static const struct trial trial = {begin, compare, end, operations,
                                       sizeof(operations) / sizeof(*operations)};
    static struct pair pair;

    return trial_main(&trial, &pair, argc, argv);
}
