/*
 * vision_model_test.c - random operations on a vision context, and what follows for its images, by
 * the text's model and a plain list of places
 */
#include "tests/ipc/fixture.h"
#include "tests/ipc/model/text_model.h"
#include "tests/ipc/model/trial.h"
#include <millrace/error.h>
#include <millrace/validate.h>
#include <millrace/vision.h>
#include <stdlib.h>

enum { IMAGES = 4, VISION_TOKEN = 98 };

/* Which model arguments there are, by bit. */
static const char *const arguments[] = {"aspect_ratio_ids", "aspect_ratio_mask", "image_grid_thw",
                                        "vision_position_ids"};

struct pair {
    struct model_setup setup;
    struct model model;
    int64_t starts[IMAGES], ends[IMAGES];
    uint32_t ranks[IMAGES];
    int64_t images;
    unsigned given;
    struct fixture *fixture;
    mr_text *text;
    mr_vision *vision;
};

static bool inside(const struct pair *p, int64_t index)
{
    for (int64_t i = 0; i < p->images; i++)
        if (p->starts[i] < index && index < p->ends[i])
            return true;
    return false;
}

/* ---- operations ---- */

static void chunk(void *pair)
{
    struct pair *p = pair;
    int64_t size = around(0, model_active_length(&p->model));
    struct model before = p->model;
    int expected = model_chunk(&p->model, size);

    if (expected == 0 && inside(p, p->model.now.end)) {
        p->model = before;
        expected = MR_VISION_BISECT;
    }
    trial_result(expected, mr_text_chunk(p->text, size));
}

static void update(void *pair)
{
    struct pair *p = pair;
    int64_t token = between(0, 20);

    trial_result(model_update(&p->model, token, 0), mr_text_update(p->text, token, NULL));
}

static void skip(void *pair)
{
    struct pair *p = pair;
    int64_t n = around(0, model_active_length(&p->model));

    trial_result(model_skip(&p->model, n), mr_text_skip_processing(p->text, n));
}

static void rewind_processing(void *pair)
{
    struct pair *p = pair;
    int64_t n = around(0, p->model.now.start);

    trial_result(model_rewind(&p->model, n), mr_text_rewind_processing(p->text, n));
}

static void offset(void *pair)
{
    struct pair *p = pair;
    int64_t n = around(-p->model.now.start, p->model.now.end - p->model.now.start);

    trial_result(model_offset(&p->model, n), mr_text_apply_processing_offset(p->text, n));
}

static void reset(void *pair)
{
    struct pair *p = pair;

    trial_result(model_reset(&p->model, true), mr_text_reset(p->text));
}

static void align(void *pair)
{
    struct pair *p = pair;
    int64_t index = around(-2, p->model.now.length), expected = index;

    for (int64_t i = 0; i < p->images; i++)
        if (p->starts[i] <= index && index < p->ends[i])
            expected = p->starts[i];
    trial_same("aligned index", expected, mr_vision_compute_image_aligned_idx(p->vision, index));
}

static void die(void *pair)
{
    struct pair *p = pair;

    model_die(&p->model);
    trial_same("load", 0, fixture_reload(p->fixture));
}

static const struct trial_operation operations[] = {
    {"chunk", chunk, 20},
    {"update", update, 12},
    {"skip_processing", skip, 8},
    {"rewind_processing", rewind_processing, 8},
    {"apply_processing_offset", offset, 4},
    {"reset", reset, 5},
    {"compute_image_aligned_idx", align, 10},
    {"death", die, 4},
};

/* ---- comparing ---- */

static int64_t first_unprocessed(const struct pair *p)
{
    int64_t i = 0;

    while (i < p->images && p->model.now.start >= p->ends[i])
        i++;
    return i;
}

static bool lacks(const struct pair *p, int argument)
{
    return !(p->given & (1u << argument));
}

static bool all_5d(const struct pair *p)
{
    for (int64_t i = 0; i < p->images; i++)
        if (p->ranks[i] != 5)
            return false;
    return true;
}

static void compare_validators(const struct pair *p)
{
    const mr_text *t = p->text;
    bool encode = first_unprocessed(p) < p->images;

    trial_result(0, mr_validate_requires_vision_context(t));
    trial_result(p->images > 1 ? MR_VALIDATE_ONLY_ONE_IMAGE : 0, mr_validate_only_one_image(t));
    trial_result(p->model.now.initial && p->images == 0 ? MR_VALIDATE_NEEDS_IMAGE : 0,
                 mr_validate_initial_prompt_has_image(t));
    trial_result(p->images == 0 ? 0
                 : lacks(p, 0)  ? MR_VALIDATE_ASPECT_RATIO_IDS
                 : lacks(p, 1)  ? MR_VALIDATE_ASPECT_RATIO_MASK
                                : 0,
                 mr_validate_aspect_ratio_args(t));
    trial_result(all_5d(p) ? 0 : MR_VALIDATE_IMAGE_SHAPE_5D, mr_validate_image_shape_5d(t));
    trial_result(encode && lacks(p, 2) ? MR_VALIDATE_IMAGE_GRID_THW : 0,
                 mr_validate_image_grid_thw_args(t));
    trial_result(encode && lacks(p, 3) ? MR_VALIDATE_VISION_POSITION_IDS : 0,
                 mr_validate_vision_position_ids(t));
}

static void compare(const void *pair)
{
    const struct pair *p = pair;
    int64_t first = first_unprocessed(p);

    trial_same("position", model_position(&p->model), mr_text_current_position(p->text));
    trial_same("processed", p->model.now.start, mr_text_processed_length(p->text));
    trial_same("end", p->model.now.end, mr_text_processing_end(p->text));
    trial_same("image index", first, (int64_t)mr_vision_image_idx(p->vision));
    trial_same("encoding needed", first < p->images, mr_vision_needs_vision_encoding(p->vision));
    trial_same("bisected", inside(p, model_position(&p->model)), mr_vision_bisected(p->vision));
    compare_validators(p);
}

/* ---- contexts ---- */

/* Runs of vision tokens, each with another token before and behind it. */
static void make_prompt(struct pair *p)
{
    struct model_setup *s = &p->setup;

    *s = (struct model_setup){.capacity = MODEL_TOKENS - 8, .record_bytes = 8};
    p->images = between(0, IMAGES);
    s->prompt[s->prompt_length++] = between(0, 20);
    for (int64_t i = 0; i < p->images; i++) {
        p->starts[i] = s->prompt_length;
        for (int64_t n = between(1, 6); n > 0; n--)
            s->prompt[s->prompt_length++] = VISION_TOKEN;
        p->ends[i] = s->prompt_length;
        for (int64_t n = between(1, 5); n > 0; n--)
            s->prompt[s->prompt_length++] = between(0, 20);
    }
    s->max_length = s->prompt_length + between(0, 30);
}

static void make_images(struct pair *p, mr_image *images)
{
    static float pixels[64];

    for (int64_t i = 0; i < p->images; i++) {
        p->ranks[i] = one_in(2) ? 5 : (uint32_t)between(0, 5);
        images[i] = (mr_image){.start_idx = p->starts[i],
                               .end_idx = p->ends[i],
                               .pixel_values = {.dtype = MR_F32, .rank = p->ranks[i]}};
        for (uint32_t j = 0; j < p->ranks[i]; j++)
            images[i].pixel_values.shape[j] = between(1, 2);
        images[i].pixel_values.data = pixels;
        mr_array_make_contiguous(&images[i].pixel_values);
    }
}

static void make_context(struct pair *p, const mr_vision_request *vision)
{
    mr_request request =
        fixture_request(p->setup.prompt, (size_t)p->setup.prompt_length, p->setup.max_length);

    request.kind = MR_KIND_VISION;
    request.vision = vision;
    p->fixture = fixture_new(&request, p->setup.capacity);
    trial_same("context made", true, p->fixture != NULL);
    p->text = fixture_text(p->fixture);
    p->vision = mr_context_vision(fixture_context(p->fixture));
    p->setup.capacity = mr_text_capacity(p->text);
    model_start(&p->model, &p->setup);
}

static void begin(void *pair)
{
    static const int64_t vision_token = VISION_TOKEN;
    struct pair *p = pair;
    mr_image images[IMAGES];
    mr_array_given extras[4];
    float zero = 0;
    mr_vision_request vision = {.vision_token_ids = &vision_token,
                                .vision_token_count = 1,
                                .images = images,
                                .extra_model_args = extras};

    make_prompt(p);
    make_images(p, images);
    vision.image_count = (size_t)p->images;
    p->given = (unsigned)between(0, 15);
    for (int i = 0; i < 4; i++)
        if (!lacks(p, i))
            extras[vision.extra_count++] =
                (mr_array_given){arguments[i], {.dtype = MR_F32, .data = &zero}, 0};
    make_context(p, &vision);
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
