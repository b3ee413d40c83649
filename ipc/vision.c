/*
 * vision.c - a text context with images in its prompt
 *
 * Images are constant. Which of them must be encoded next follows from how far the text part has
 * come, so a reset has them encoded again.
 */
#include "ipc/error.h"
#include "ipc/parts.h"
#include "ipc/text.h"
#include <errno.h>
#include <stdio.h>

mr_vision *mr_context_vision(mr_context *context)
{
    return context->params.kind == MR_KIND_VISION ? (mr_vision *)(void *)context : NULL;
}

static mr_context *context_of(const mr_vision *vision)
{
    return (mr_context *)(uintptr_t)vision;
}

/* ---- at admission ---- */

int mr_vision_check_images(const mr_vision_request *vision)
{
    for (size_t i = 0; i < vision->image_count; i++) {
        if (vision->images[i].start_idx < 0)
            return mr_fail_code(EINVAL, MR_VISION_IMAGE_START,
                                "image %zu begins before the first token", i);
        if (vision->images[i].end_idx <= vision->images[i].start_idx)
            return mr_fail_code(EINVAL, MR_VISION_IMAGE_EMPTY, "image %zu has no tokens", i);
    }
    return 0;
}

static int check_order(const mr_vision_request *vision)
{
    for (size_t i = 1; i < vision->image_count; i++) {
        const mr_image *before = &vision->images[i - 1], *image = &vision->images[i];

        if (image->start_idx < before->start_idx)
            return mr_fail_code(EINVAL, MR_VISION_IMAGES_SORTED,
                                "image %zu begins before image %zu", i, i - 1);
        if (image->start_idx <= before->end_idx)
            return mr_fail_code(EINVAL, MR_VISION_IMAGES_OVERLAP,
                                "images %zu and %zu have no other token between them", i - 1, i);
    }
    return 0;
}

static bool is_vision_token(const mr_vision_request *vision, int64_t token)
{
    for (size_t i = 0; i < vision->vision_token_count; i++)
        if (vision->vision_token_ids[i] == token)
            return true;
    return false;
}

int mr_vision_check_places(const mr_request *request)
{
    const mr_vision_request *vision = request->vision;
    int rc = check_order(vision);

    for (size_t i = 0; i < vision->image_count && rc == 0; i++) {
        const mr_image *image = &vision->images[i];

        if (image->end_idx > (int64_t)request->prompt_length)
            rc = mr_fail_code(EINVAL, MR_VISION_IMAGE_PAST_END,
                              "image %zu ends behind the prompt of %zu tokens", i,
                              request->prompt_length);
        else if (!is_vision_token(vision, request->prompt[image->start_idx]) ||
                 !is_vision_token(vision, request->prompt[image->end_idx - 1]))
            rc = mr_fail_code(EINVAL, MR_VISION_IMAGE_NOT_VISION,
                              "the place of image %zu isn't filled with vision tokens", i);
    }
    return rc;
}

/* ---- images ---- */

const int64_t *mr_vision_token_ids(const mr_vision *vision, size_t *count)
{
    const mr_context *c = context_of(vision);

    return mr_context_words(c, &c->params.vision.token_ids, count);
}

size_t mr_vision_image_count(const mr_vision *vision)
{
    return context_of(vision)->params.vision.images.bytes / sizeof(mr_image_record);
}

static mr_image_record record_of(const mr_context *c, size_t i)
{
    const unsigned char *records = c->domain->data + c->params.vision.images.offset;

    return ((const mr_image_record *)(const void *)records)[i];
}

int mr_vision_image(const mr_vision *vision, size_t i, mr_image *image)
{
    const mr_context *c = context_of(vision);
    char name[MR_ARRAY_NAME_MAX + 1];
    mr_image_record record;

    if (i >= mr_vision_image_count(vision))
        return mr_fail(ERANGE, "there is no image %zu, the context has %zu", i,
                       mr_vision_image_count(vision));
    record = record_of(c, i);
    *image = (mr_image){.start_idx = record.start,
                        .end_idx = record.end,
                        .has_hash = record.has_hash,
                        .hash = record.hash};
    snprintf(name, sizeof(name), "%zu", i);
    return mr_context_array(c, MR_ARRAY_IMAGE, name, &image->pixel_values);
}

size_t mr_vision_image_idx(const mr_vision *vision)
{
    const mr_context *c = context_of(vision);
    size_t count = mr_vision_image_count(vision);

    for (size_t i = 0; i < count; i++)
        if (c->now[MR_CURSOR_START] < record_of(c, i).end)
            return i;
    return count;
}

bool mr_vision_needs_vision_encoding(const mr_vision *vision)
{
    return mr_vision_image_idx(vision) < mr_vision_image_count(vision);
}

/* The image that an index lies in, or the number of images. */
static size_t image_at(const mr_context *c, int64_t index)
{
    size_t count = c->params.vision.images.bytes / sizeof(mr_image_record), i = 0;

    while (i < count && !(record_of(c, i).start <= index && index < record_of(c, i).end))
        i++;
    return i;
}

int64_t mr_vision_compute_image_aligned_idx(const mr_vision *vision, int64_t i)
{
    const mr_context *c = context_of(vision);
    size_t image = image_at(c, i);

    return image < mr_vision_image_count(vision) ? record_of(c, image).start : i;
}

/* Does a cut before this index divide an image? */
static bool divides(const mr_context *c, int64_t index)
{
    const mr_vision *vision = (const mr_vision *)(const void *)c;

    return mr_vision_compute_image_aligned_idx(vision, index) != index;
}

bool mr_vision_bisected(const mr_vision *vision)
{
    const mr_context *c = context_of(vision);

    return divides(c, c->now[MR_CURSOR_END] - c->now[MR_CURSOR_OFFSET]);
}

int mr_vision_check_chunk(const mr_context *context, const char *operation, int64_t end)
{
    if (context->params.kind != MR_KIND_VISION || !divides(context, end))
        return 0;
    return mr_text_refuse(context, MR_VISION_BISECT, operation,
                          "the chunk would end inside an image; see "
                          "mr_vision_compute_image_aligned_idx()");
}

int mr_vision_extra_model_arg(const mr_vision *vision, const char *name, mr_array *array)
{
    return mr_context_array(context_of(vision), MR_ARRAY_EXTRA, name, array);
}
