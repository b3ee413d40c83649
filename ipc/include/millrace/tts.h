/*
 * millrace/tts.h - TTSContext: a text context that speaks
 *
 * All of millrace/text.h applies to its language model's tokens (mr_context_text()). Beside them
 * lie the speech tokens, which are added in blocks and turned into audio by a decoder, and the
 * audio's own status: mr_text_is_done() speaks of the text, mr_tts_is_done() of the audio.
 */
#ifndef MILLRACE_TTS_H
#define MILLRACE_TTS_H

#include <millrace/array.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_tts mr_tts;

/* What a request of kind MR_KIND_TTS has beside the text; mr_request.tts. Arrays of dtype
 * MR_DTYPE_NONE are none. */
typedef struct mr_tts_request {
    mr_array audio_prompt_tokens;  /* of any integer dtype */
    mr_array buffer_speech_tokens; /* of any integer dtype: the decoder's context from before */
    mr_array audio_buffer;         /* for the detection of silence */
    uint64_t audio_room;           /* bytes that the audio buffer may have at most */
    uint64_t speech_capacity;      /* speech tokens that there may be at most */
    int64_t prev_samples_beyond_offset;
    double arrival_time; /* seconds since the epoch */
    uint32_t streaming;
    uint32_t reserved;
} mr_tts_request;

/* A view of speech tokens in shared memory. They are only ever added, so it stays valid. */
typedef struct mr_speech {
    const int32_t *tokens;
    size_t count;
} mr_speech;

enum mr_tts_error {
    MR_TTS_NEGATIVE = 301, /* an argument or index is negative */
    MR_TTS_WIDE_TOKEN,     /* a speech token doesn't fit into 32 bits */
    MR_TTS_CAPACITY        /* the request's room for speech tokens is used up: -ENOSPC */
};

/* The speech part; NULL for contexts of another kind. */
mr_tts *mr_context_tts(mr_context *context);

/* All speech tokens; how many there can be, as the request reserved; how many blocks there were. */
mr_speech mr_tts_speech_tokens(const mr_tts *tts);
size_t mr_tts_speech_capacity(const mr_tts *tts);
int64_t mr_tts_block_counter(const mr_tts *tts);

/* mr_tts_update_speech_tokens - add a block of them (it may be empty): one commit. Returns 0;
 * -EINVAL with MR_TTS_WIDE_TOKEN; -ENOSPC with MR_TTS_CAPACITY. Nothing is added then. */
int mr_tts_update_speech_tokens(mr_tts *tts, const int64_t *tokens, size_t count);

/*
 * mr_tts_next_speech_tokens - what the decoder works on next; changes nothing
 *
 *   audio_chunk_size  at most so many new tokens; NULL: all
 *   buffer            so many of those already decoded come first, if there are as many; NULL: none
 *   chunk             out: a view
 *   used              out: how many of those already decoded come first
 *
 * `used` follows from decoded_index, not from what is there: if that lies behind the tokens, the
 * chunk is short all the same.
 * Returns 0, or -EINVAL with MR_TTS_NEGATIVE. The caller then sets decoded_index.
 */
int mr_tts_next_speech_tokens(const mr_tts *tts, const int64_t *audio_chunk_size,
                              const int64_t *buffer, mr_speech *chunk, int64_t *used);

/* Assigned by the caller; each is one commit. A negative index is refused: MR_TTS_NEGATIVE. */
int64_t mr_tts_decoded_index(const mr_tts *tts);
int mr_tts_set_decoded_index(mr_tts *tts, int64_t index);
enum mr_status mr_tts_audio_generation_status(const mr_tts *tts);
void mr_tts_set_audio_generation_status(mr_tts *tts, enum mr_status status);
int64_t mr_tts_prev_samples_beyond_offset(const mr_tts *tts);
void mr_tts_set_prev_samples_beyond_offset(mr_tts *tts, int64_t samples);

/* Whether the audio is done; what the request asked for; seconds since the epoch. */
bool mr_tts_is_done(const mr_tts *tts);
bool mr_tts_streaming(const mr_tts *tts);
double mr_tts_arrival_time(const mr_tts *tts);

/* The arrays "audio_prompt_tokens", "buffer_speech_tokens" and "audio_buffer" are fields of
 * MR_ARRAY_FIELD (mr_context_array()); the last may be replaced (mr_context_array_prepare()). */

#ifdef __cplusplus
}
#endif
#endif
