/*
 * wav.h - what a WAV file must be before libsndfile sees it
 */
#ifndef RUNTIME_MEDIA_WAV_H
#define RUNTIME_MEDIA_WAV_H

#include "runtime/media/media.h"

/*
 * wav_check - walks the chunks of a RIFF file up to its data
 *
 * 0 if its samples are of a kind that audio.h takes and all there; else a failure as in media.h.
 * libsndfile alone would take what is left of a truncated file for all of it, and knows a dozen
 * codecs, a door that nobody needs open.
 */
int wav_check(const unsigned char *bytes, size_t length, struct media_error *error);

#endif
