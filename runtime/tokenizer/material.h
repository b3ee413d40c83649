/*
 * material.h - what a request of another kind than text is made of, until it is admitted
 *
 * The arrays of a context in ordinary memory: the library copies them into the context's own range
 * when the request is admitted, and material_free() frees them afterwards. Nothing that is decoded
 * here takes more memory than the limits below allow.
 *
 *   vision   pixel_values of each image: f32[height, width, 3], R, G, B in [0, 1]; its hash
 *   tts      audio_prompt_tokens: i64[] as given, or the samples of the audio prompt: i16[], mono;
 *            room for max_seconds of audio in "audio_buffer" (f32 at the run's rate)
 *   pixel    tokens and masks of the prompts, padded; schedule, noise, ids, guidance (prepare.h)
 */
#ifndef RUNTIME_TOKENIZER_MATERIAL_H
#define RUNTIME_TOKENIZER_MATERIAL_H

#include "runtime/tokenizer/model.h"
#include <millrace/prepare.h>
#include <millrace/tts.h>
#include <millrace/vision.h>

enum {
    MATERIAL_MAX_FILE = 256 << 20,   /* bytes of an image or a sound as it comes */
    MATERIAL_MAX_PIXELS = 32 << 20,  /* of all images of a request */
    MATERIAL_MAX_SAMPLES = 32 << 20, /* of an audio prompt */
    MATERIAL_PROMPT_TOKENS = 512,    /* of an image's prompt, at most */
    MATERIAL_SPEECH_RATE = 100       /* speech tokens a second, at most */
};

enum { MATERIAL_OWNED = REQUEST_MAX_IMAGES + 8 };

struct material {
    mr_member *member;    /* whose step it is */
    uint64_t pixels_left; /* of the request's images, with what the domain has room for */
    mr_image images[REQUEST_MAX_IMAGES];
    mr_vision_request vision;
    mr_tts_request tts;
    mr_pixel_request pixel;
    void *owned[MATERIAL_OWNED];
    unsigned owned_count;
};

/* Each makes its kind's part of `wanted`, which points into the material; false with *refusal
 * filled. material_free() must follow either way. */
bool material_vision(struct material *material, const struct model *model,
                     const struct request *request, mr_request *wanted, struct refusal *refusal);
bool material_speech(struct material *material, const struct request *request, unsigned sample_rate,
                     mr_request *wanted, struct refusal *refusal);
bool material_picture(struct material *material, struct model *model, const struct request *request,
                      size_t most_tokens, mr_request *wanted, struct refusal *refusal);
void material_free(struct material *material);

/* material_take - memory that is freed with the material, all zero; NULL with *refusal filled */
void *material_take(struct material *material, size_t bytes, struct refusal *refusal);

#endif
