/*
 * result.h - the file that a finished context without a text stands for
 *
 *   pixel  its latents, a decoded image by then, as a PNG
 *   tts    its "audio_buffer", the samples of the speech (f32), as a WAV of 16 bits
 */
#ifndef RUNTIME_COLLECTOR_RESULT_H
#define RUNTIME_COLLECTOR_RESULT_H

#include "runtime/collector/answer.h"

/*
 * result_make - of a finished context; for kinds with a text there is none, and *result is empty
 *
 * Returns 0, -ENOMEM, or -EINVAL: what the worker left there is no image or no sound; `error` tells
 * why. result_free() in any case.
 */
int result_make(struct result *result, mr_context *context, const struct reply *reply,
                struct media_error *error);
void result_free(struct result *result);

#endif
