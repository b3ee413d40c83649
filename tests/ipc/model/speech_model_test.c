/*
 * speech_model_test.c - random operations on the speech of a context and on a plain list
 */
#include "tests/ipc/fixture.h"
#include "tests/ipc/model/trial.h"
#include <errno.h>
#include <millrace/tts.h>
#include <stdlib.h>
#include <string.h>

enum { SPEECH = 200, SAMPLES = 16 };

/* ---- the model ---- */

struct state {
    int32_t speech[SPEECH];
    int64_t count, blocks, decoded, audio_status, samples, length;
    float audio[SAMPLES];
    int64_t audio_count; /* -1: none */
};

struct pair {
    struct state now;
    struct state committed;
    bool held, deferred;
    bool replaced; /* the audio, since the last commit */
    int64_t capacity, audio_room;
    struct fixture *fixture;
    mr_context *context;
    mr_tts *tts;
};

static void commit(struct pair *p)
{
    p->deferred = p->held;
    if (p->held)
        return;
    p->committed = p->now;
    p->replaced = false;
}

/* ---- operations ---- */

static void add_speech(void *pair)
{
    struct pair *p = pair;
    int64_t tokens[20];
    size_t count = (size_t)between(0, 20);
    bool wide = false;

    for (size_t i = 0; i < count; i++) {
        tokens[i] = one_in(200) ? between(INT64_C(1) << 31, INT64_C(1) << 40)
                                : between(INT32_MIN, INT32_MAX);
        wide |= tokens[i] > INT32_MAX;
    }
    if (wide || p->now.count + (int64_t)count > p->capacity) {
        trial_result(wide ? MR_TTS_WIDE_TOKEN : MR_TTS_CAPACITY,
                     mr_tts_update_speech_tokens(p->tts, tokens, count));
        return;
    }
    for (size_t i = 0; i < count; i++)
        p->now.speech[p->now.count++] = (int32_t)tokens[i];
    p->now.blocks++;
    commit(p);
    trial_result(0, mr_tts_update_speech_tokens(p->tts, tokens, count));
}

/* The specification's own lines, with Python's slices: an end before the start is empty. */
static void next_speech(void *pair)
{
    struct pair *p = pair;
    int64_t size = around(0, 30), wanted = around(0, 30), used;
    int64_t start = p->now.decoded, end = p->now.count, buffer = 0;
    bool has_size = one_in(2), has_buffer = one_in(2);
    bool negative = (has_size && size < 0) || (has_buffer && wanted < 0);
    mr_speech chunk;
    int rc = mr_tts_next_speech_tokens(p->tts, has_size ? &size : NULL, has_buffer ? &wanted : NULL,
                                       &chunk, &used);

    trial_result(negative ? MR_TTS_NEGATIVE : 0, rc);
    if (negative)
        return;
    if (has_buffer) {
        buffer = wanted < start ? wanted : start;
        start = start - buffer > 0 ? start - buffer : 0;
    }
    if (has_size && size < end - p->now.decoded)
        end = p->now.decoded + size;
    trial_same("buffer used", buffer, used);
    trial_same("length of the chunk", start < end ? end - start : 0, (int64_t)chunk.count);
    for (size_t i = 0; i < chunk.count; i++)
        trial_same("speech token of the chunk", p->now.speech[start + (int64_t)i], chunk.tokens[i]);
}

static void set_decoded(void *pair)
{
    struct pair *p = pair;
    int64_t index = around(0, p->now.count);
    int rc = mr_tts_set_decoded_index(p->tts, index);

    trial_result(index < 0 ? MR_TTS_NEGATIVE : 0, rc);
    if (index < 0)
        return;
    p->now.decoded = index;
    commit(p);
}

static void set_audio_status(void *pair)
{
    struct pair *p = pair;

    p->now.audio_status = between(MR_ACTIVE, MR_CANCELLED);
    commit(p);
    mr_tts_set_audio_generation_status(p->tts, (enum mr_status)p->now.audio_status);
}

static void set_samples(void *pair)
{
    struct pair *p = pair;

    p->now.samples = around(-100, 100);
    commit(p);
    mr_tts_set_prev_samples_beyond_offset(p->tts, p->now.samples);
}

static void replace_audio(void *pair)
{
    struct pair *p = pair;
    int64_t count = between(0, SAMPLES + 2);
    mr_array place = {.dtype = MR_F32, .rank = 1, .shape = {count}};
    int rc = mr_context_array_prepare(p->context, MR_ARRAY_FIELD, "audio_buffer", &place);

    trial_same("room for audio", count * 4 > p->audio_room ? -ENOSPC : 0, rc);
    if (rc < 0)
        return;
    if (p->replaced) {
        p->now.audio_count = p->committed.audio_count;
        memcpy(p->now.audio, p->committed.audio, sizeof(p->now.audio));
        p->replaced = false;
    }
    for (int64_t i = 0; i < count; i++)
        ((float *)place.data)[i] = (float)between(-1000, 1000);
    if (one_in(4))
        return; /* prepared and left: the committed one is still there */
    p->now.audio_count = count;
    memcpy(p->now.audio, place.data, (size_t)count * sizeof(float));
    p->replaced = true;
    commit(p);
    trial_same("audio replaced", 0,
               mr_context_array_replace(p->context, MR_ARRAY_FIELD, "audio_buffer"));
}

static void add_token(void *pair)
{
    struct pair *p = pair;

    if (p->now.length == mr_text_capacity(mr_context_text(p->context)))
        return;
    p->now.length++;
    commit(p);
    trial_same("update", 0, mr_text_update(mr_context_text(p->context), 1, NULL));
}

static void hold(void *pair)
{
    struct pair *p = pair;

    p->held = true;
    mr_context_hold(p->context);
}

static void release(void *pair)
{
    struct pair *p = pair;

    p->held = false;
    if (p->deferred)
        commit(p);
    mr_context_release(p->context);
}

static void die(void *pair)
{
    struct pair *p = pair;

    p->now = p->committed;
    p->held = p->deferred = p->replaced = false;
    trial_same("load", 0, fixture_reload(p->fixture));
}

static const struct trial_operation operations[] = {
    {"update_speech_tokens", add_speech, 20},
    {"next_speech_tokens", next_speech, 20},
    {"set_decoded_index", set_decoded, 10},
    {"set_audio_generation_status", set_audio_status, 4},
    {"set_prev_samples_beyond_offset", set_samples, 4},
    {"replacing the audio buffer", replace_audio, 12},
    {"update", add_token, 4},
    {"hold", hold, 4},
    {"release", release, 8},
    {"death", die, 5},
};

/* ---- comparing ---- */

static void compare(const void *pair)
{
    const struct pair *p = pair;
    mr_speech speech = mr_tts_speech_tokens(p->tts);
    mr_array audio;

    trial_same("number of speech tokens", p->now.count, (int64_t)speech.count);
    trial_same("speech tokens", 0,
               memcmp(p->now.speech, speech.tokens, speech.count * sizeof(int32_t)));
    trial_same("blocks", p->now.blocks, mr_tts_block_counter(p->tts));
    trial_same("decoded index", p->now.decoded, mr_tts_decoded_index(p->tts));
    trial_same("audio status", p->now.audio_status, mr_tts_audio_generation_status(p->tts));
    trial_same("audio done", p->now.audio_status != MR_ACTIVE, mr_tts_is_done(p->tts));
    trial_same("samples", p->now.samples, mr_tts_prev_samples_beyond_offset(p->tts));
    trial_same("length of the text", p->now.length, mr_text_length(mr_context_text(p->context)));
    trial_same("audio buffer", 0,
               mr_context_array(p->context, MR_ARRAY_FIELD, "audio_buffer", &audio));
    trial_same("whether there is audio", p->now.audio_count >= 0, audio.dtype != MR_DTYPE_NONE);
    if (audio.dtype == MR_DTYPE_NONE)
        return;
    trial_same("samples of audio", p->now.audio_count, audio.shape[0]);
    trial_same("audio", 0,
               memcmp(audio.data, p->now.audio, (size_t)p->now.audio_count * sizeof(float)));
}

/* ---- contexts ---- */

static void begin(void *pair)
{
    static const int64_t prompt[] = {1, 2, 3};
    struct pair *p = pair;
    mr_request request = fixture_request(prompt, 3, between(4, 30));
    float silence[SAMPLES] = {0};
    mr_tts_request tts = {.speech_capacity = (uint64_t)between(1, SPEECH),
                          .audio_room = (uint64_t)between(1, SAMPLES) * sizeof(float),
                          .prev_samples_beyond_offset = between(0, 9),
                          .audio_buffer = {.dtype = one_in(2) ? MR_F32 : MR_DTYPE_NONE,
                                           .rank = 1,
                                           .shape = {1},
                                           .strides = {4},
                                           .data = silence}};

    request.kind = MR_KIND_TTS;
    request.tts = &tts;
    *p = (struct pair){.now = {.length = 3,
                               .samples = tts.prev_samples_beyond_offset,
                               .audio_count = tts.audio_buffer.dtype == MR_DTYPE_NONE ? -1 : 1}};
    p->committed = p->now;
    p->fixture = fixture_new(&request, 0);
    trial_same("context made", true, p->fixture != NULL);
    p->context = fixture_context(p->fixture);
    p->tts = mr_context_tts(p->context);
    p->capacity = (int64_t)mr_tts_speech_capacity(p->tts);
    p->audio_room = (int64_t)(tts.audio_room + 63) / 64 * 64; /* whole lines */
}

static void end(void *pair)
{
    fixture_free(((struct pair *)pair)->fixture);
}

int main(int argc, char **argv)
{
    static const struct trial trial = {begin, compare, end, operations,
                                       sizeof(operations) / sizeof(*operations)};
    static struct pair pair;

    return trial_main(&trial, &pair, argc, argv);
}
