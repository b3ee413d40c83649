/*
 * context_kill.c - see context_kill.h
 */
#include "tests/ipc/kill/context_kill.h"
#include "ipc/cursors.h"
#include "ipc/text.h"
#include <millrace/array.h>
#include <millrace/tts.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 64, RECORD_BYTES = 4096, ARRAYS = 16, SPEECH = 32 };

/* ---- what others can read ---- */

struct image {
    int64_t now[MR_CURSOR_WORDS];
    int64_t tokens[ROOM];
    unsigned char records[RECORD_BYTES];
    mr_array arrays[ARRAYS]; /* without addresses */
    uint64_t contents[ARRAYS];
    int32_t speech[SPEECH];
};

/* The last token counts from its cursor. Behind the records' head, whose flag may rise before the
 * record that makes it true is committed. */
static void read_text(struct image *image, const mr_context *c)
{
    int64_t length = image->now[MR_CURSOR_LENGTH];

    if (length == 0)
        return;
    memcpy(image->tokens, c->tokens, (size_t)(length - 1) * sizeof(int64_t));
    image->tokens[length - 1] = image->now[MR_CURSOR_LAST];
    if (image->now[MR_CURSOR_RECORDS] > 8)
        memcpy(image->records, c->records + 8, (size_t)image->now[MR_CURSOR_RECORDS] - 8);
}

static uint64_t sum_of(const mr_array *array)
{
    const unsigned char *bytes = array->data;
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (int64_t i = 0; array->dtype && i < mr_array_bytes(array); i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static void read_arrays(struct image *image, const mr_context *c)
{
    size_t count = mr_context_array_count(c);
    mr_array_info info;

    for (size_t i = 0; i < count && i < ARRAYS; i++) {
        if (mr_context_array_at(c, i, &info, &image->arrays[i]) < 0)
            abort();
        image->contents[i] = sum_of(&image->arrays[i]);
        image->arrays[i].data = NULL;
    }
}

static void read_speech(struct image *image, mr_context *c)
{
    const mr_tts *tts = mr_context_tts(c);
    mr_speech speech = tts ? mr_tts_speech_tokens(tts) : (mr_speech){NULL, 0};

    if (speech.count)
        memcpy(image->speech, speech.tokens, speech.count * sizeof(*speech.tokens));
}

/* Read as another process would: from the slot, by what is committed there. */
static void take_image(struct image *image, struct fixture *f)
{
    mr_context reader = *fixture_context(f);
    mr_slot *slot = reader.slot;

    memset(image, 0, sizeof(*image));
    mr_cursors_read(slot, image->now, &reader.sequence);
    memcpy(reader.now, image->now, sizeof(reader.now));
    read_text(image, &reader);
    read_arrays(image, &reader);
    read_speech(image, &reader);
}

static bool same(const struct image *a, const struct image *b)
{
    return !memcmp(a, b, sizeof(*a));
}

/* ---- a case ---- */

struct subject {
    struct fixture *fixture;
    const struct context_operation *operation;
    struct image before;
    struct image after;
};

static void take_state_after(struct image *image, const struct context_operation *operation,
                             bool operate)
{
    struct fixture *f = operation->make();

    if (operation->before)
        operation->before(fixture_context(f));
    if (operate)
        operation->operate(fixture_context(f));
    take_image(image, f);
    fixture_free(f);
}

void *context_prepare(const struct kill_case *self)
{
    struct subject *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->operation = self->data;
    take_state_after(&s->before, s->operation, false);
    take_state_after(&s->after, s->operation, true);
    s->fixture = s->operation->make();
    if (s->operation->before)
        s->operation->before(fixture_context(s->fixture));
    if (s->operation->damage)
        s->operation->damage(fixture_context(s->fixture));
    return s;
}

size_t context_memory(void *subject, struct kill_region regions[KILL_REGIONS])
{
    const mr_domain *domain = fixture_context(((struct subject *)subject)->fixture)->domain;

    regions[0] = (struct kill_region){domain->data, domain->data_bytes};
    return 1;
}

void context_operate(void *subject)
{
    struct subject *s = subject;

    s->operation->operate(fixture_context(s->fixture));
}

static const char *take_over_twice(struct subject *s)
{
    mr_context *c = fixture_context(s->fixture);
    struct image once, twice;

    mr_text_take_over(c);
    take_image(&once, s->fixture);
    if (fixture_reload(s->fixture) < 0)
        return "what the successor took over can't be loaded";
    mr_text_take_over(c);
    take_image(&twice, s->fixture);
    return same(&once, &twice) ? NULL : "taking it over again changes it";
}

static const char *succeed(struct subject *s)
{
    mr_context *c = fixture_context(s->fixture);
    const char *why = NULL;

    if (fixture_reload(s->fixture) < 0)
        return "the successor can't load it";
    if (mr_context_text(c))
        why = take_over_twice(s);
    if (!why && s->operation->go_on)
        why = s->operation->go_on(c);
    if (!why && fixture_reload(s->fixture) < 0)
        why = "what the successor did can't be loaded";
    return why;
}

const char *context_check(void *subject, bool finished)
{
    struct subject *s = subject;
    struct image image;

    take_image(&image, s->fixture);
    if (finished && !same(&image, &s->after))
        return "the operation has ended and isn't done";
    if (!same(&image, &s->before) && !same(&image, &s->after))
        return "it is neither as before nor as after";
    return succeed(s);
}

void context_discard(void *subject)
{
    struct subject *s = subject;

    fixture_free(s->fixture);
    free(s);
}
