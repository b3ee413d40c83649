/*
 * millrace/validate.h - what a model can demand of a context before it works on it
 *
 * Each returns 0, or -EINVAL with mr_error_code() saying what is missing; mr_error() is meant to be
 * shown to the client (the original raises InputError). Contexts without images pass all but the
 * first.
 */
#ifndef MILLRACE_VALIDATE_H
#define MILLRACE_VALIDATE_H

#include <millrace/text.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mr_validate_error {
    MR_VALIDATE_REQUIRES_VISION = 251,
    MR_VALIDATE_ONLY_ONE_IMAGE,
    MR_VALIDATE_NEEDS_IMAGE,
    MR_VALIDATE_ASPECT_RATIO_IDS,
    MR_VALIDATE_ASPECT_RATIO_MASK,
    MR_VALIDATE_IMAGE_SHAPE_5D,
    MR_VALIDATE_IMAGE_GRID_THW,
    MR_VALIDATE_VISION_POSITION_IDS
};

/* What each asks for stands behind it. They look at the context as it is, and change nothing. */
int mr_validate_requires_vision_context(const mr_text *text);  /* kind is vision */
int mr_validate_only_one_image(const mr_text *text);           /* at most one */
int mr_validate_initial_prompt_has_image(const mr_text *text); /* an initial prompt: at least one */
int mr_validate_aspect_ratio_args(const mr_text *text);   /* images: aspect_ratio_ids, ..._mask */
int mr_validate_image_shape_5d(const mr_text *text);      /* each image has five dimensions */
int mr_validate_image_grid_thw_args(const mr_text *text); /* to encode: image_grid_thw */
int mr_validate_vision_position_ids(const mr_text *text); /* to encode: vision_position_ids */

#ifdef __cplusplus
}
#endif
#endif
