/*
 * tts.c - a text context that speaks: speech tokens, and how far they were turned into audio
 *
 * Speech tokens are only ever added: new ones are written behind the committed number, where nobody
 * reads, and counted by the commit.
 */
#include "ipc/error.h"
#include "ipc/parts.h"
#include "ipc/text.h"
#include <errno.h>

mr_tts *mr_context_tts(mr_context *context)
{
    return context->params.kind == MR_KIND_TTS ? (mr_tts *)(void *)context : NULL;
}

static mr_context *context_of(const mr_tts *tts)
{
    return (mr_context *)(uintptr_t)tts;
}

static int32_t *speech_of(const mr_context *c)
{
    return (int32_t *)(void *)(c->domain->data + c->params.tts.speech.offset);
}

/* ---- speech tokens ---- */

mr_speech mr_tts_speech_tokens(const mr_tts *tts)
{
    const mr_context *c = context_of(tts);

    return (mr_speech){speech_of(c), (size_t)c->now[MR_CURSOR_SPEECH]};
}

size_t mr_tts_speech_capacity(const mr_tts *tts)
{
    return context_of(tts)->params.tts.speech.bytes / sizeof(int32_t);
}

int64_t mr_tts_block_counter(const mr_tts *tts)
{
    return context_of(tts)->now[MR_CURSOR_BLOCKS];
}

static int check_speech(const mr_context *c, const char *operation, const int64_t *tokens,
                        size_t count)
{
    size_t room = c->params.tts.speech.bytes / sizeof(int32_t) - (size_t)c->now[MR_CURSOR_SPEECH];

    for (size_t i = 0; i < count; i++)
        if (tokens[i] < INT32_MIN || tokens[i] > INT32_MAX)
            return mr_text_refuse(c, MR_TTS_WIDE_TOKEN, operation,
                                  "a speech token doesn't fit into 32 bits");
    if (count > room)
        return mr_text_refuse(c, MR_TTS_CAPACITY, operation,
                              "the room for its speech tokens is used up");
    return 0;
}

int mr_tts_update_speech_tokens(mr_tts *tts, const int64_t *tokens, size_t count)
{
    static const char operation[] = "add speech tokens to";
    mr_context *c = context_of(tts);
    int rc = check_speech(c, operation, tokens, count);
    int32_t *to = speech_of(c) + c->now[MR_CURSOR_SPEECH];

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++)
        to[i] = (int32_t)tokens[i];
    c->now[MR_CURSOR_SPEECH] += (int64_t)count;
    c->now[MR_CURSOR_BLOCKS]++;
    mr_text_publish(c);
    return 0;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int mr_tts_next_speech_tokens(const mr_tts *tts, const int64_t *audio_chunk_size,
                              const int64_t *buffer, mr_speech *chunk, int64_t *used)
{
    const mr_context *c = context_of(tts);
    int64_t decoded = c->now[MR_CURSOR_DECODED], end = c->now[MR_CURSOR_SPEECH];
    int64_t start = decoded;

    if ((audio_chunk_size && *audio_chunk_size < 0) || (buffer && *buffer < 0))
        return mr_text_refuse(c, MR_TTS_NEGATIVE, "cut speech tokens of",
                              "the size of the chunk or of its buffer is negative");
    *used = buffer ? smaller(*buffer, decoded) : 0;
    start -= *used;
    if (audio_chunk_size && end - decoded > *audio_chunk_size)
        end = decoded + *audio_chunk_size;
    start = smaller(start, end);
    *chunk = (mr_speech){speech_of(c) + start, (size_t)(end - start)};
    return 0;
}

/* ---- audio ---- */

int64_t mr_tts_decoded_index(const mr_tts *tts)
{
    return context_of(tts)->now[MR_CURSOR_DECODED];
}

int mr_tts_set_decoded_index(mr_tts *tts, int64_t index)
{
    mr_context *c = context_of(tts);

    if (index < 0)
        return mr_text_refuse(c, MR_TTS_NEGATIVE, "set the decoded index of",
                              "the index is negative");
    c->now[MR_CURSOR_DECODED] = index;
    mr_text_publish(c);
    return 0;
}

enum mr_status mr_tts_audio_generation_status(const mr_tts *tts)
{
    return (enum mr_status)context_of(tts)->now[MR_CURSOR_AUDIO_STATUS];
}

void mr_tts_set_audio_generation_status(mr_tts *tts, enum mr_status status)
{
    mr_context *c = context_of(tts);

    c->now[MR_CURSOR_AUDIO_STATUS] = status;
    mr_text_publish(c);
}

bool mr_tts_is_done(const mr_tts *tts)
{
    return mr_tts_audio_generation_status(tts) != MR_ACTIVE;
}

int64_t mr_tts_prev_samples_beyond_offset(const mr_tts *tts)
{
    return context_of(tts)->now[MR_CURSOR_SAMPLES];
}

void mr_tts_set_prev_samples_beyond_offset(mr_tts *tts, int64_t samples)
{
    mr_context *c = context_of(tts);

    c->now[MR_CURSOR_SAMPLES] = samples;
    mr_text_publish(c);
}

/* ---- fields of the request ---- */

bool mr_tts_streaming(const mr_tts *tts)
{
    return context_of(tts)->params.tts.streaming;
}

double mr_tts_arrival_time(const mr_tts *tts)
{
    return context_of(tts)->params.tts.arrival_time;
}
