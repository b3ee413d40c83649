/*
 * result.c - the file that a finished context without a text stands for
 */
#include "runtime/collector/result.h"
#include "runtime/media/audio.h"
#include "runtime/media/image.h"
#include <errno.h>
#include <millrace/error.h>
#include <millrace/pixel.h>
#include <millrace/tts.h>
#include <stdlib.h>

static int make_picture(struct result *result, const mr_pixel *pixel, struct media_error *error)
{
    mr_pixel_output output;
    unsigned char *pixels;
    int failed = mr_pixel_to_generation_output(pixel, &output, NULL, 0);
    if (failed < 0)
        return media_fail(error, -EINVAL, "the worker left no image: %s", mr_error());
    pixels = malloc(output.bytes);
    if (pixels == NULL)
        return -ENOMEM;
    failed = mr_pixel_to_generation_output(pixel, &output, pixels, output.bytes);
    if (failed < 0)
        failed = media_fail(error, -EINVAL, "the worker left no image: %s", mr_error());
    else
        failed = image_encode_png(pixels, (unsigned)output.width, (unsigned)output.height,
                                  (enum image_form)output.channels, &result->file, error);
    free(pixels);
    result->width = (unsigned)output.width;
    result->height = (unsigned)output.height;
    return failed;
}

static int make_sound(struct result *result, const mr_context *context, unsigned rate,
                      struct media_error *error)
{
    mr_array audio;
    if (mr_context_array(context, MR_ARRAY_FIELD, "audio_buffer", &audio) < 0)
        return media_fail(error, -EINVAL, "the worker left no sound: %s", mr_error());
    if (audio.dtype != MR_F32 || mr_array_count(&audio) < 1)
        return media_fail(error, -EINVAL,
                          "the worker left no sound: 'audio_buffer' has no float32 samples");
    return audio_encode_wav(audio.data, (size_t)mr_array_count(&audio), rate, &result->file, error);
}

int result_make(struct result *result, mr_context *context, const struct reply *reply,
                struct media_error *error)
{
    *result = (struct result){0};
    if (mr_context_pixel(context) != NULL)
        return make_picture(result, mr_context_pixel(context), error);
    if (mr_context_tts(context) != NULL)
        return make_sound(result, context, reply->sample_rate, error);
    return 0;
}

void result_free(struct result *result)
{
    free(result->file.bytes);
    *result = (struct result){0};
}
