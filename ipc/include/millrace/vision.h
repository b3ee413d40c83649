/*
 * millrace/vision.h - TextAndVisionContext: a text context whose prompt has images in it
 *
 * All of millrace/text.h applies (mr_context_text()). An image's place in the prompt is filled with
 * vision tokens; no chunk may end inside one (mr_text_chunk() refuses that, MR_VISION_BISECT:
 * align with mr_vision_compute_image_aligned_idx() first). Its pixel values are a typed array in
 * shared memory, and so are the model's own inputs (extra_model_args).
 */
#ifndef MILLRACE_VISION_H
#define MILLRACE_VISION_H

#include <millrace/array.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_vision mr_vision;

/* ImageMetadata: the tokens [start_idx, end_idx) of the prompt stand for it. */
typedef struct mr_image {
    int64_t start_idx;
    int64_t end_idx;
    mr_array pixel_values; /* f32 or bf16, of any shape */
    bool has_hash;
    int64_t hash; /* mr_image_hash(); for prefix caches */
} mr_image;

/* What a request of kind MR_KIND_VISION has beside the text; mr_request.vision. */
typedef struct mr_vision_request {
    const int64_t *vision_token_ids;
    size_t vision_token_count;
    const mr_image *images; /* by their places */
    size_t image_count;
    const mr_array_given *extra_model_args;
    size_t extra_count;
} mr_vision_request;

enum mr_vision_error {
    MR_VISION_IMAGE_START = 201, /* an image begins before the first token */
    MR_VISION_IMAGE_EMPTY,       /* an image has no tokens */
    MR_VISION_IMAGES_SORTED,     /* images aren't in the order of their places */
    MR_VISION_IMAGES_OVERLAP,    /* no other token lies between two images */
    MR_VISION_IMAGE_PAST_END,    /* an image ends behind the prompt */
    MR_VISION_IMAGE_NOT_VISION,  /* its first or last token is no vision token */
    MR_VISION_BISECT             /* a chunk would end inside an image */
};

/* The vision part; NULL for contexts of another kind. */
mr_vision *mr_context_vision(mr_context *context);

/* mr_vision_token_ids - the ids that stand for images, *count of them */
const int64_t *mr_vision_token_ids(const mr_vision *vision, size_t *count);

/* mr_vision_image_count, mr_vision_image - how many, and image i in [0, count): its place and its
 * pixel values, in place. The latter returns 0, -ERANGE, or -EBADMSG where memory is corrupt. */
size_t mr_vision_image_count(const mr_vision *vision);
int mr_vision_image(const mr_vision *vision, size_t i, mr_image *image);

/* mr_vision_image_idx, mr_vision_needs_vision_encoding - the first image whose tokens aren't all
 * processed, or the number of images; whether there is one. The images from it on are the
 * original's next_images. */
size_t mr_vision_image_idx(const mr_vision *vision);
bool mr_vision_needs_vision_encoding(const mr_vision *vision);

/* mr_vision_compute_image_aligned_idx - where the image that index `i` lies in begins, else i */
int64_t mr_vision_compute_image_aligned_idx(const mr_vision *vision, int64_t i);

/* mr_vision_bisected - whether the current position lies inside an image; after mr_text_chunk() it
 * never does, with a processing offset it may */
bool mr_vision_bisected(const mr_vision *vision);

/* mr_vision_extra_model_arg - an input of the model's own; -ENOENT if the request has none of that
 * name. mr_context_array_at() lists them all. */
int mr_vision_extra_model_arg(const mr_vision *vision, const char *name, mr_array *array);

/* mr_image_hash - XXH3, 64 bits, of the elements in C order, as MAX's prefix cache has it; shape
 * and dtype aren't part of it. -EINVAL or -EOVERFLOW for a bad description, else 0. An array with
 * gaps is compacted first: -ENOMEM if there is no memory for that. */
int mr_image_hash(const mr_array *pixel_values, int64_t *hash);

#ifdef __cplusplus
}
#endif
#endif
