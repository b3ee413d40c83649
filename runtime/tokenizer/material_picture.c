/*
 * material_picture.c - what an image is made of: its prompts' tokens, schedule and noise
 *
 * The model's constants are MAX's defaults until a pixel model says its own.
 */
#include "runtime/tokenizer/material.h"
#include <millrace/error.h>
#include <string.h>

/* The tokens of one prompt, padded; {NULL, 0}: there is none, and no array. */
static bool encode(struct material *material, struct model *model, mr_bytes text, size_t most,
                   mr_array *tokens, mr_array *mask, struct refusal *refusal)
{
    int64_t padding = vocabulary_special(model->vocab, VOCABULARY_PADDING), *ids;
    unsigned char *real;
    mr_tokens encoded;
    if (text.bytes == NULL)
        return true;
    if (!model_encode_text(model, text, most, &encoded, refusal))
        return false;
    ids = material_take(material, most * sizeof(*ids), refusal);
    real = ids != NULL ? material_take(material, most, refusal) : NULL;
    if (real == NULL)
        return false;
    for (size_t i = 0; i < most; i++) {
        real[i] = i < encoded.count;
        ids[i] = real[i] ? encoded.ids[i] : padding >= 0 ? padding : 0;
    }
    *tokens = (mr_array){.dtype = MR_I64, .rank = 1, .shape = {(int64_t)most}, .data = ids};
    mr_array_make_contiguous(tokens);
    if (mask != NULL) {
        *mask = (mr_array){.dtype = MR_BOOL, .rank = 1, .shape = {(int64_t)most}, .data = real};
        mr_array_make_contiguous(mask);
    }
    return true;
}

static bool refuse_library(struct refusal *refusal)
{
    return refuse(refusal, REFUSAL_INVALID_PARAMETER, "body", "'body' can't be served: %s",
                  mr_error());
}

static bool encode_prompts(struct material *material, struct model *model,
                           const mr_pixel_prompts *texts, size_t most, struct refusal *refusal)
{
    mr_pixel_request *pixel = &material->pixel;
    return encode(material, model, texts->first, most, &pixel->tokens, &pixel->mask, refusal) &&
           encode(material, model, texts->second, most, &pixel->tokens_2, NULL, refusal) &&
           encode(material, model, texts->negative, most, &pixel->negative_tokens, NULL, refusal) &&
           encode(material, model, texts->negative_second, most, &pixel->negative_tokens_2, NULL,
                  refusal);
}

/* Latents at first, at last a picture of up to four floats a pixel in the same place. */
static uint64_t latents_room(const mr_pixel_plan *plan, const mr_pixel_request *pixel)
{
    uint64_t picture = (uint64_t)plan->options.width * (uint64_t)plan->options.height * 16;
    uint64_t noise = (uint64_t)mr_array_bytes(&pixel->noise);
    return picture > noise ? picture : noise;
}

bool material_picture(struct material *material, struct model *model, const struct request *request,
                      size_t most_tokens, mr_request *wanted, struct refusal *refusal)
{
    mr_pixel_options options = request->picture;
    mr_pixel_prompts texts;
    mr_pixel_model constants;
    mr_pixel_plan plan;
    void *memory;
    mr_pixel_model_defaults(&constants);
    mr_pixel_request_defaults(&material->pixel);
    if (!request->has_seed)
        options.seed = wanted->sampling.seed & UINT32_MAX;
    if (mr_prepare_prompts(&constants, options.true_cfg_scale, &request->prompts, &texts) < 0 ||
        mr_prepare_plan(&constants, &options, &plan) < 0)
        return refuse_library(refusal);
    if (!encode_prompts(material, model, &texts,
                        most_tokens < MATERIAL_PROMPT_TOKENS ? most_tokens : MATERIAL_PROMPT_TOKENS,
                        refusal))
        return false;
    memory = material_take(material, plan.bytes, refusal);
    if (memory == NULL)
        return false;
    mr_prepare_pixel(&plan, memory, &material->pixel);
    material->pixel.latents_room = latents_room(&plan, &material->pixel);
    wanted->pixel = &material->pixel;
    return true;
}
