/*
 * validate.c - what a model can demand of a context before it works on it
 */
#include "ipc/error.h"
#include "ipc/parts.h"
#include <errno.h>
#include <millrace/validate.h>

/* The vision part, or NULL for a context without one, which all validators but the first pass. */
static const mr_vision *vision_of(const mr_text *text)
{
    return mr_context_vision(mr_context_of(text));
}

static bool has_argument(const mr_vision *vision, const char *name)
{
    mr_array array;

    return mr_vision_extra_model_arg(vision, name, &array) == 0;
}

static int demand_argument(const mr_vision *vision, const char *name, int code)
{
    if (has_argument(vision, name))
        return 0;
    return mr_fail_code(EINVAL, code, "the model needs '%s' in extra_model_args, for its images",
                        name);
}

int mr_validate_requires_vision_context(const mr_text *text)
{
    if (vision_of(text))
        return 0;
    return mr_fail_code(EINVAL, MR_VALIDATE_REQUIRES_VISION,
                        "the model needs a request with images, this one has text alone");
}

int mr_validate_only_one_image(const mr_text *text)
{
    const mr_vision *vision = vision_of(text);

    if (!vision || mr_vision_image_count(vision) <= 1)
        return 0;
    return mr_fail_code(EINVAL, MR_VALIDATE_ONLY_ONE_IMAGE,
                        "the model takes one image a request, this one has %zu",
                        mr_vision_image_count(vision));
}

int mr_validate_initial_prompt_has_image(const mr_text *text)
{
    const mr_vision *vision = vision_of(text);

    if (!vision || !mr_text_is_initial_prompt(text) || mr_vision_image_count(vision) > 0)
        return 0;
    return mr_fail_code(EINVAL, MR_VALIDATE_NEEDS_IMAGE,
                        "the model needs an image in the prompt, there is none");
}

int mr_validate_aspect_ratio_args(const mr_text *text)
{
    const mr_vision *vision = vision_of(text);
    int rc;

    if (!vision || mr_vision_image_count(vision) == 0)
        return 0;
    rc = demand_argument(vision, "aspect_ratio_ids", MR_VALIDATE_ASPECT_RATIO_IDS);
    return rc ? rc : demand_argument(vision, "aspect_ratio_mask", MR_VALIDATE_ASPECT_RATIO_MASK);
}

int mr_validate_image_shape_5d(const mr_text *text)
{
    const mr_vision *vision = vision_of(text);
    size_t count = vision ? mr_vision_image_count(vision) : 0;
    mr_image image;

    for (size_t i = 0; i < count; i++) {
        int rc = mr_vision_image(vision, i, &image);

        if (rc < 0)
            return rc;
        if (image.pixel_values.rank != 5)
            return mr_fail_code(EINVAL, MR_VALIDATE_IMAGE_SHAPE_5D,
                                "the model needs images of five dimensions, image %zu has %u", i,
                                image.pixel_values.rank);
    }
    return 0;
}

int mr_validate_image_grid_thw_args(const mr_text *text)
{
    const mr_vision *vision = vision_of(text);

    if (!vision || !mr_vision_needs_vision_encoding(vision))
        return 0;
    return demand_argument(vision, "image_grid_thw", MR_VALIDATE_IMAGE_GRID_THW);
}

int mr_validate_vision_position_ids(const mr_text *text)
{
    const mr_vision *vision = vision_of(text);

    if (!vision || !mr_vision_needs_vision_encoding(vision))
        return 0;
    return demand_argument(vision, "vision_position_ids", MR_VALIDATE_VISION_POSITION_IDS);
}
