/*
 * slugs.c - the reasons that the vectors carry, and libmillrace's error codes
 */
#include "tests/ipc/golden/golden.h"
#include <millrace/error.h>
#include <millrace/pixel.h>
#include <millrace/validate.h>
#include <millrace/vision.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *slug;
    int code;
} slugs[] = {
    {"min_p_range", MR_SAMPLING_MIN_P_RANGE},
    {"min_p_with_top_k", MR_SAMPLING_MIN_P_WITH_TOP_K},
    {"repetition_penalty", MR_SAMPLING_REPETITION_PENALTY},
    {"top_k_range", MR_SAMPLING_TOP_K_RANGE},
    {"tokens_ndim", MR_TEXT_TOKENS_NDIM},
    {"tokens_dtype", MR_TEXT_TOKENS_DTYPE},
    {"tokens_empty", MR_TEXT_TOKENS_EMPTY},
    {"offset_start", MR_TEXT_OFFSET_START},
    {"offset_end", MR_TEXT_OFFSET_END},
    {"negative_n", MR_TEXT_NEGATIVE_N},
    {"range_start", MR_TEXT_RANGE_START},
    {"range_end", MR_TEXT_RANGE_END},
    {"skip_all", MR_TEXT_SKIP_ALL},
    {"chunk_size", MR_TEXT_CHUNK_SIZE},
    {"not_chunked", MR_TEXT_NOT_CHUNKED},
    {"chunked", MR_TEXT_CHUNKED},
    {"nothing_outstanding", MR_TEXT_NOTHING_OUTSTANDING},
    {"min_tokens_max_length", MR_TEXT_MIN_TOKENS_MAX_LENGTH},
    {"endpoint_scheme", MR_TEXT_ENDPOINT_SCHEME},
    {"endpoint_port", MR_TEXT_ENDPOINT_PORT},
    {"after_future", MR_TEXT_AFTER_FUTURE},
    {"future_twice", MR_TEXT_FUTURE_TWICE},
    {"future_matcher", MR_TEXT_FUTURE_MATCHER},
    {"realize_empty", MR_TEXT_REALIZE_EMPTY},
    {"realize_not_future", MR_TEXT_REALIZE_NOT_FUTURE},
    {"output_future", MR_TEXT_OUTPUT_FUTURE},
    {"matcher", MR_TEXT_MATCHER},
    {"index", MR_TEXT_INDEX},
    {"merge_empty", MR_TEXT_MERGE_EMPTY},
    {"merge_mixed", MR_TEXT_MERGE_MIXED},
    {"image_start", MR_VISION_IMAGE_START},
    {"image_empty", MR_VISION_IMAGE_EMPTY},
    {"images_sorted", MR_VISION_IMAGES_SORTED},
    {"images_overlap", MR_VISION_IMAGES_OVERLAP},
    {"image_past_end", MR_VISION_IMAGE_PAST_END},
    {"image_not_vision", MR_VISION_IMAGE_NOT_VISION},
    {"bisect", MR_VISION_BISECT},
    {"requires_vision", MR_VALIDATE_REQUIRES_VISION},
    {"only_one_image", MR_VALIDATE_ONLY_ONE_IMAGE},
    {"needs_image", MR_VALIDATE_NEEDS_IMAGE},
    {"aspect_ratio_ids", MR_VALIDATE_ASPECT_RATIO_IDS},
    {"aspect_ratio_mask", MR_VALIDATE_ASPECT_RATIO_MASK},
    {"image_shape_5d", MR_VALIDATE_IMAGE_SHAPE_5D},
    {"image_grid_thw", MR_VALIDATE_IMAGE_GRID_THW},
    {"vision_position_ids", MR_VALIDATE_VISION_POSITION_IDS},
    {"image_ndim", MR_PIXEL_IMAGE_NDIM},
    {"image_dtype", MR_PIXEL_IMAGE_DTYPE},
    {"image_channels", MR_PIXEL_IMAGE_CHANNELS},
    {"image_zero_size", MR_PIXEL_IMAGE_ZERO_SIZE},
    {"prompt_empty", MR_PIXEL_PROMPT_EMPTY},
    {"prompt_list", MR_PIXEL_PROMPT_LIST},
    {"seed_range", MR_PIXEL_SEED_RANGE},
};

int slug_code(const char *slug)
{
    for (size_t i = 0; i < sizeof(slugs) / sizeof(*slugs); i++)
        if (!strcmp(slugs[i].slug, slug))
            return slugs[i].code;
    return 0;
}

bool report_error(const struct place *place, const char *slug, int rc, int code)
{
    char actual[500];

    if (!slug ? rc >= 0 : rc < 0 && code != 0 && code == slug_code(slug))
        return true;
    snprintf(actual, sizeof(actual), "%d, code %d: %s", rc, code, rc < 0 ? mr_error() : "");
    return report_text(place, "result", slug ? slug : "success", actual);
}
