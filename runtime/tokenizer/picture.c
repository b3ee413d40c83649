/*
 * picture.c - which image is to be made: the body of /v1/images/generations
 *
 * Fields and ranges are OpenAI's and, where it has none, those of MAX's image options.
 */
#include "runtime/tokenizer/request_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SIDE = 8192, MAX_STEPS = 1000 };

static bool read_text(struct fields *body, const char *name, mr_bytes *text)
{
    return fields_string(body, name, &text->bytes, &text->length);
}

static bool read_prompts(struct request *request, struct fields *body)
{
    mr_pixel_prompts *prompts = &request->prompts;
    if (!read_text(body, "prompt", &prompts->first))
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "prompt", "is missing");
    if (prompts->first.length == 0)
        return fields_refuse(body, REFUSAL_INVALID_PARAMETER, "prompt", "is empty");
    read_text(body, "secondary_prompt", &prompts->second);
    read_text(body, "negative_prompt", &prompts->negative);
    read_text(body, "secondary_negative_prompt", &prompts->negative_second);
    return fields_ok(body);
}

/* "WIDTHxHEIGHT", in digits alone. */
static bool parse_size(const char *text, size_t length, int64_t *width, int64_t *height)
{
    char copy[16], behind;
    if (length >= sizeof(copy) || strspn(text, "0123456789x") != length)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return sscanf(copy, "%5" SCNd64 "x%5" SCNd64 "%c", width, height, &behind) == 2 &&
           *width >= 1 && *width <= MAX_SIDE && *height >= 1 && *height <= MAX_SIDE;
}

static void read_size(struct request *request, struct fields *body)
{
    mr_pixel_options *picture = &request->picture;
    const char *size;
    size_t length;
    fields_integer(body, "width", 1, MAX_SIDE, &picture->width);
    fields_integer(body, "height", 1, MAX_SIDE, &picture->height);
    if (!fields_string(body, "size", &size, &length) ||
        (length == 4 && memcmp(size, "auto", 4) == 0))
        return;
    if (picture->width >= 0 || picture->height >= 0)
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "size",
                      "and 'body.width' or 'body.height' exclude each other");
    else if (!parse_size(size, length, &picture->width, &picture->height))
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "size",
                      "is %s, but must be 'auto' or WIDTHxHEIGHT, each in [1, %d]",
                      quote(size, length).text, MAX_SIDE);
}

static void read_strength(struct request *request, struct fields *body)
{
    mr_pixel_options *picture = &request->picture;
    fields_integer(body, "num_inference_steps", 1, MAX_STEPS, &picture->steps);
    if (fields_number(body, "guidance_scale", 0, 1000, &picture->guidance_scale) &&
        !(picture->guidance_scale > 0))
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "guidance_scale",
                      "is 0, but must lie in (0, 1000]");
    if (fields_number(body, "true_cfg_scale", 0, 1000, &picture->true_cfg_scale) &&
        !(picture->true_cfg_scale > 0))
        fields_refuse(body, REFUSAL_INVALID_PARAMETER, "true_cfg_scale",
                      "is 0, but must lie in (0, 1000]");
    request->has_seed = fields_integer(body, "seed", 0, UINT32_MAX, &picture->seed);
}

static void check_word(struct fields *body, const char *name, const char *only)
{
    const char *word;
    size_t length;
    if (fields_string(body, name, &word, &length) &&
        (length != strlen(only) || memcmp(word, only, length) != 0))
        fields_refuse(body, REFUSAL_UNSUPPORTED_PARAMETER, name,
                      "is %s, but only '%s' is supported", quote(word, length).text, only);
}

static void check_count(struct fields *body)
{
    int64_t count;
    if (fields_integer(body, "n", 1, 10, &count) && count > 1)
        fields_refuse(body, REFUSAL_UNSUPPORTED_PARAMETER, "n",
                      "is %" PRId64 ", but a record makes one image; give each a record of its own",
                      count);
}

bool request_read_picture(struct request *request, struct fields *body)
{
    mr_pixel_options_defaults(&request->picture);
    if (!read_prompts(request, body))
        return false;
    read_size(request, body);
    read_strength(request, body);
    check_word(body, "response_format", "b64_json");
    check_word(body, "output_format", "png");
    check_count(body);
    return request_read_handling(request, body);
}
