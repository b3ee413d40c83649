/*
 * text_kill_test.c - a worker is killed at every instruction of each operation of a text context
 *
 * What others can read is, token for token and record for record, either what it was before or
 * what it is after. A successor then loads it, takes it over (twice: the sweep may be begun anew)
 * and goes on.
 */
#include "ipc/text.h"
#include "ipc/twin.h"
#include "tests/ipc/fixture.h"
#include "tests/ipc/kill/kill.h"
#include <stdlib.h>
#include <string.h>

enum { ROOM = 24, RECORD_BYTES = 4096 };

/* ---- what others can read ---- */

struct image {
    int64_t now[MR_CURSOR_WORDS];
    int64_t tokens[ROOM];
    unsigned char records[RECORD_BYTES];
};

/* As the collector reads it: the last token counts from its cursor. */
static struct image image_of(struct fixture *f)
{
    const mr_context *c = fixture_context(f);
    struct image image;
    int64_t length;

    memset(&image, 0, sizeof(image));
    mr_twin_read(&c->slot->sequence, c->slot->cursors[0], MR_CURSOR_WORDS, image.now,
                 MR_CURSOR_WORDS);
    length = image.now[MR_CURSOR_LENGTH];
    memcpy(image.tokens, c->tokens, (size_t)(length - 1) * sizeof(int64_t));
    image.tokens[length - 1] = image.now[MR_CURSOR_LAST];
    /* behind the head: its flag may rise before the record that makes it true is committed */
    memcpy(image.records, c->records + 8, (size_t)image.now[MR_CURSOR_RECORDS] - 8);
    return image;
}

static bool same(const struct image *a, const struct image *b)
{
    return !memcmp(a, b, sizeof(*a));
}

/* ---- a case: something is done, then one operation is cut off ---- */

struct operation {
    void (*before)(mr_text *text);
    void (*operate)(mr_text *text);
    void (*damage)(mr_text *text); /* what an earlier kill left behind; nobody may see it */
};

struct subject {
    struct fixture *fixture;
    const struct operation *operation;
    struct image before;
    struct image after;
};

static struct fixture *new_fixture(void)
{
    static const int64_t prompt[] = {11, 12, 13, 14, 15, 16};
    static const int64_t end_token[] = {7}, stop[] = {8, 9};
    static const mr_tokens sequence = {stop, 2};
    mr_request request = fixture_request(prompt, 6, 12);

    request.eos_token_ids = end_token;
    request.eos_token_count = 1;
    request.eos_sequences = &sequence;
    request.eos_sequence_count = 1;
    request.want_log_probabilities = 1;
    request.log_probabilities = 2;
    request.log_probabilities_echo = 1;
    return fixture_new(&request, ROOM);
}

static struct image state_after(const struct operation *operation, bool operate)
{
    struct fixture *f = new_fixture();
    struct image image;

    if (operation->before)
        operation->before(fixture_text(f));
    if (operate)
        operation->operate(fixture_text(f));
    image = image_of(f);
    fixture_free(f);
    return image;
}

static void *prepare(const struct kill_case *self)
{
    struct subject *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->operation = self->data;
    s->before = state_after(s->operation, false);
    s->after = state_after(s->operation, true);
    s->fixture = new_fixture();
    if (s->operation->before)
        s->operation->before(fixture_text(s->fixture));
    if (s->operation->damage)
        s->operation->damage(fixture_text(s->fixture));
    return s;
}

static size_t memory(void *subject, struct kill_region regions[KILL_REGIONS])
{
    const mr_domain *domain = fixture_context(((struct subject *)subject)->fixture)->domain;

    regions[0] = (struct kill_region){domain->data, domain->data_bytes};
    return 1;
}

static void operate(void *subject)
{
    struct subject *s = subject;

    s->operation->operate(fixture_text(s->fixture));
}

static const char *take_over(struct subject *s)
{
    mr_context *c = fixture_context(s->fixture);
    struct image once, twice;

    if (fixture_reload(s->fixture) < 0)
        return "the successor can't load it";
    mr_text_take_over(c);
    once = image_of(s->fixture);
    if (fixture_reload(s->fixture) < 0)
        return "what the successor took over can't be loaded";
    mr_text_take_over(c);
    twice = image_of(s->fixture);
    if (!same(&once, &twice))
        return "taking it over again changes it";
    if (mr_text_update(fixture_text(s->fixture), 1, NULL) < 0 || fixture_reload(s->fixture) < 0)
        return "the successor can't go on";
    return NULL;
}

static const char *check(void *subject, bool finished)
{
    struct subject *s = subject;
    struct image image = image_of(s->fixture);

    if (finished && !same(&image, &s->after))
        return "the operation has ended and isn't done";
    if (!same(&image, &s->before) && !same(&image, &s->after))
        return "it is neither as before nor as after";
    return take_over(s);
}

static void discard(void *subject)
{
    struct subject *s = subject;

    fixture_free(s->fixture);
    free(s);
}

/* ---- the operations ---- */

static const mr_top_logprob tops[] = {{21, -0.5}, {22, -1.5}};
static const mr_logprob entry = {-0.5, tops, 2};
static const mr_logprobs record = {&entry, 1};

static void update_plain(mr_text *text)
{
    mr_text_update(text, 21, NULL);
}

static void update(mr_text *text)
{
    mr_text_update(text, 21, &record);
}

static void update_to_the_end(mr_text *text)
{
    mr_text_update(text, 7, &record);
}

static void complete_stop_sequence(mr_text *text)
{
    mr_text_update(text, 9, &record);
}

static void half_a_stop_sequence(mr_text *text)
{
    mr_text_update(text, 8, &record);
}

static void two_tokens(mr_text *text)
{
    update(text);
    update(text);
}

static void jump_ahead(mr_text *text)
{
    mr_text_jump_ahead(text, 22);
}

static void chunk(mr_text *text)
{
    mr_text_chunk(text, 4);
}

static void advance_chunk(mr_text *text)
{
    mr_text_advance_chunk(text);
}

static void placeholder(mr_text *text)
{
    mr_text_update_with_future_token(text);
}

static void token_and_placeholder(mr_text *text)
{
    update(text);
    placeholder(text);
}

static void realise(mr_text *text)
{
    mr_text_realize_future_token(text, 23, &record);
}

static void overwrite(mr_text *text)
{
    mr_text_overwrite_last_token(text, 24);
}

static void token_and_overwrite(mr_text *text)
{
    update(text);
    overwrite(text);
}

/* Overwriting was cut off between its commit and the store into the array. */
static void forget_overwritten(mr_text *text)
{
    mr_context_of(text)->tokens[6] = 99;
}

static void offset(mr_text *text)
{
    mr_text_apply_processing_offset(text, -2);
}

static void two_tokens_and_offset(mr_text *text)
{
    two_tokens(text);
    offset(text);
}

static void rewind_processing(mr_text *text)
{
    mr_text_rewind_processing(text, 2);
}

static void skip(mr_text *text)
{
    mr_text_skip_processing(text, 3);
}

static void append(mr_text *text)
{
    mr_text_advance_with_token(text, 25, false);
}

static void consume(mr_text *text)
{
    mr_tokens tokens;

    mr_text_consume_recently_generated_tokens(text, &tokens);
}

static void output(mr_text *text)
{
    mr_text_output taken;

    mr_text_to_generation_output(text, &taken);
}

static void reset(mr_text *text)
{
    mr_text_reset(text);
}

static void reset_buffer(mr_text *text)
{
    mr_text_reset_as_new_prompt(text);
}

static void cancel(mr_text *text)
{
    mr_text_set_status(text, MR_CANCELLED);
}

static void take_over_again(mr_text *text)
{
    mr_text_take_over(mr_context_of(text));
}

static void echo(mr_text *text)
{
    for (int64_t position = 1; position < 6; position++)
        mr_text_put_echo_logprob(text, position, &entry);
}

static void reserve(mr_text *text)
{
    mr_reserve_enter(&text, 1, 3);
    mr_reserve_leave(&text, 1);
}

#define CASE(name, ...)                                                                            \
    {                                                                                              \
        name, prepare, memory, operate, check, discard, &(const struct operation)                  \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

int main(void)
{
    const struct kill_case cases[] = {
        CASE("update", NULL, update_plain, NULL),
        CASE("update_with_log_probabilities", two_tokens, update, NULL),
        CASE("update_that_ends_the_sequence", update, update_to_the_end, NULL),
        CASE("update_that_completes_a_stop_sequence", half_a_stop_sequence, complete_stop_sequence,
             NULL),
        CASE("update_of_a_chunked_prompt", chunk, update, NULL),
        CASE("update_with_a_key_out_of_order", two_tokens_and_offset, update, NULL),
        CASE("update_behind_a_token_half_overwritten", token_and_overwrite, update,
             forget_overwritten),
        CASE("jump_ahead", update, jump_ahead, NULL),
        CASE("update_with_future_token", update, placeholder, NULL),
        CASE("realize_future_token", token_and_placeholder, realise, NULL),
        CASE("overwrite_last_token", two_tokens, overwrite, NULL),
        CASE("overwrite_a_placeholder", token_and_placeholder, overwrite, NULL),
        CASE("chunk", NULL, chunk, NULL),
        CASE("advance_chunk", chunk, advance_chunk, NULL),
        CASE("apply_processing_offset", two_tokens, offset, NULL),
        CASE("rewind_processing", two_tokens, rewind_processing, NULL),
        CASE("skip_processing", NULL, skip, NULL),
        CASE("advance_with_token", update, append, NULL),
        CASE("consume_recently_generated_tokens", two_tokens, consume, NULL),
        CASE("to_generation_output", two_tokens, output, NULL),
        CASE("reset", two_tokens, reset, NULL),
        CASE("reset_with_a_placeholder", token_and_placeholder, reset, NULL),
        CASE("reset_as_new_prompt", two_tokens, reset_buffer, NULL),
        CASE("set_status", two_tokens, cancel, NULL),
        CASE("take_over", two_tokens, take_over_again, NULL),
        CASE("take_over_of_a_chunked_prompt", chunk, take_over_again, NULL),
        CASE("put_echo_logprob", NULL, echo, NULL),
        CASE("update_after_echo", echo, update, NULL),
        CASE("reserve", update, reserve, NULL),
    };

    return kill_main(cases, sizeof(cases) / sizeof(*cases));
}
