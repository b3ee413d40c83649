/*
 * material_vision.c - the images of a chat
 */
#include "runtime/media/fetch.h"
#include "runtime/media/image.h"
#include "runtime/tokenizer/material.h"
#include <errno.h>
#include <stdlib.h>

/* decode - the image that a url names; pixels are the caller's to free */
static bool decode(mr_bytes url, size_t number, uint64_t most, struct image *image,
                   struct refusal *refusal)
{
    struct media_bytes file;
    struct media_error error;
    int result = media_fetch(url.bytes, url.length, MATERIAL_MAX_FILE, &file, &error);
    if (result == 0)
        result = image_decode(file.bytes, file.length, most, image, &error);
    free(file.bytes);
    if (result == 0)
        return true;
    return refuse(refusal,
                  result == -EFBIG || result == -ENOMEM ? REFUSAL_TOO_LARGE
                                                        : REFUSAL_INVALID_PARAMETER,
                  "body.messages", "image %zu of 'body.messages': %s", number + 1, error.sentence);
}

static void scale(const struct image *image, float *values)
{
    size_t count = (size_t)image->width * image->height * 3;
    for (size_t i = 0; i < count; i++)
        values[i] = (float)image->pixels[i] / 255;
}

static bool make_image(struct material *material, mr_bytes url, size_t number,
                       struct refusal *refusal)
{
    mr_image *made = &material->images[number];
    struct image image;
    mr_array *values = &made->pixel_values;
    mr_member_progress(material->member); /* decoding may take long */
    if (!decode(url, number, material->pixels_left, &image, refusal))
        return false;
    material->pixels_left -= (uint64_t)image.width * image.height;
    *values = (mr_array){
        .dtype = MR_F32, .rank = 3, .shape = {(int64_t)image.height, (int64_t)image.width, 3}};
    mr_array_make_contiguous(values);
    values->data = material_take(material, (size_t)mr_array_bytes(values), refusal);
    if (values->data != NULL) {
        scale(&image, values->data);
        made->has_hash = mr_image_hash(values, &made->hash) == 0;
    }
    free(image.pixels);
    return values->data != NULL;
}

bool material_vision(struct material *material, const struct model *model,
                     const struct request *request, mr_request *wanted, struct refusal *refusal)
{
    const mr_tokens prompt = {wanted->prompt, wanted->prompt_length};
    size_t places = mr_prepare_image_places(prompt, &model->image_token, 1, material->images,
                                            REQUEST_MAX_IMAGES);
    if (places != request->image_count)
        return refuse(refusal, REFUSAL_INVALID_PARAMETER, "body.messages",
                      "'body.messages' has %zu images, but a text in it holds the token that "
                      "stands for one",
                      request->image_count);
    for (size_t i = 0; i < request->image_count; i++)
        if (!make_image(material, request->images[i], i, refusal))
            return false;
    material->vision = (mr_vision_request){.vision_token_ids = &model->image_token,
                                           .vision_token_count = 1,
                                           .images = material->images,
                                           .image_count = request->image_count};
    wanted->vision = &material->vision;
    return true;
}
