/*
 * slugs.c - the reasons that the vectors carry, and libmillrace's error codes
 */
#include "tests/ipc/golden/golden.h"
#include <millrace/error.h>
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
