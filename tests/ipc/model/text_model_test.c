/*
 * text_model_test.c - random operations on a text context and on its model, compared after each
 *
 * Beside the operations the holder dies now and then: the private view is thrown away and a
 * successor loads what was committed, and takes it over or just goes on.
 */
#include "ipc/text.h"
#include "tests/ipc/fixture.h"
#include "tests/ipc/model/text_model.h"
#include "tests/ipc/model/trial.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Few tokens, so that end tokens and stop sequences come up. */
static int64_t some_token(void)
{
    return one_in(40) ? between(-1000, -1) : between(0, 6);
}

/* ---- the pair ---- */

struct pair {
    struct model_setup setup;
    struct model model;
    struct fixture *fixture;
    mr_text *text;
    int records; /* numbers given so far */
};

/* ---- records ---- */

static const mr_top_logprob *tops_of(int record)
{
    static mr_top_logprob tops[4];

    for (int i = 0; i < 4; i++)
        tops[i] = (mr_top_logprob){record + i, -record / 8.0 - i};
    return tops;
}

static const mr_logprobs *record_of(int record)
{
    static mr_logprob entry;
    static mr_logprobs logprobs;

    entry = (mr_logprob){-record, tops_of(record), (size_t)record % 4};
    logprobs = (mr_logprobs){&entry, 1};
    return record ? &logprobs : NULL;
}

static int some_record(struct pair *p)
{
    return one_in(3) ? 0 : ++p->records;
}

static void same_record(int record, const mr_logprobs *actual)
{
    const mr_logprob *entry = &actual->entries[0];

    trial_same("number of entries", 1, (int64_t)actual->count);
    trial_same("log-probability", -record, (int64_t)entry->chosen);
    trial_same("number of alternatives", record % 4, (int64_t)entry->top_count);
    trial_same("alternatives", 0,
               memcmp(entry->top, tops_of(record), entry->top_count * sizeof(*entry->top)));
}

static void same_output_records(const struct pair *p, const struct model_output *expected,
                                size_t count)
{
    mr_logprob entry;
    mr_top_logprob tops[4];
    mr_logprobs logprobs;
    int64_t position;
    size_t found = 0;

    for (int64_t i = expected->start; i < expected->end; i++) {
        if (!expected->records[i - expected->start])
            continue;
        trial_same(
            "record of the output", 0,
            mr_text_output_logprobs(p->text, found++, &position, &logprobs, &entry, 1, tops, 4));
        trial_same("position of a record", i, position);
        same_record(expected->records[i - expected->start], &logprobs);
    }
    trial_same("records of the output", (int64_t)found, (int64_t)count);
}

/* What the collector finds under a position, from the committed bytes. */
static void same_search(const struct pair *p)
{
    const mr_context *c = fixture_context(p->fixture);
    int64_t position = between(-1, MODEL_KEYS - 2);
    int record = p->model.now.last[position + 1];
    uint64_t at = 0;
    mr_logprob entry;
    mr_top_logprob tops[4];
    mr_logprobs logprobs;
    int rc = mr_records_find(c->records, (uint64_t)c->now[MR_CURSOR_RECORDS], &at, position,
                             &logprobs, &entry, 1, tops, 4);

    trial_same("search for a record", record ? 0 : -ENOENT, rc);
    if (record)
        same_record(record, &logprobs);
}

static void same_undelivered(const struct pair *p)
{
    int64_t keys[MODEL_KEYS];
    size_t count = mr_records_undelivered(fixture_context(p->fixture), keys, MODEL_KEYS);
    bool held[MODEL_KEYS] = {false};

    for (size_t i = 0; i < count; i++)
        held[keys[i] + 1] = true;
    for (int key = 0; key < MODEL_KEYS; key++)
        trial_same("undelivered record", p->model.now.map[key] != 0, held[key]);
}

/* ---- comparing ---- */

static int64_t taken; /* by the matcher */

/* Tokens [0, count) but for reserved ones, which have no contents. */
static void same_tokens(const struct pair *p, mr_tokens actual, int64_t start, int64_t end)
{
    int64_t count = end > start ? end - start : 0;
    int64_t defined = p->model.reserved ? p->model.saved_length : p->model.now.length;

    trial_same("number of tokens in a view", count, (int64_t)actual.count);
    for (int64_t i = start; i < end && i < defined; i++)
        trial_same("token", p->model.now.tokens[i], actual.ids[i - start]);
}

static void same_views(const struct pair *p)
{
    const struct model_state *m = &p->model.now;

    same_tokens(p, mr_text_all(p->text), 0, m->length);
    same_tokens(p, mr_text_prompt(p->text), 0, m->prompt);
    same_tokens(p, mr_text_generated(p->text), m->prompt, m->length);
    same_tokens(p, mr_text_active(p->text), m->start + m->offset, m->end);
}

static void same_numbers(const struct pair *p)
{
    const struct model_state *m = &p->model.now;
    const mr_text *text = p->text;
    int64_t completion = p->model.reserved ? p->model.saved_length : m->length;

    trial_same("length", m->length, mr_text_length(text));
    trial_same("prompt length", m->prompt, mr_text_prompt_length(text));
    trial_same("generated length", m->length - m->prompt, mr_text_generated_length(text));
    trial_same("processed length", m->start, mr_text_processed_length(text));
    trial_same("active length", model_active_length(&p->model), mr_text_active_length(text));
    trial_same("position", model_position(&p->model), mr_text_current_position(text));
    trial_same("end", m->end, mr_text_processing_end(text));
    trial_same("offset", m->offset, mr_text_processing_offset(text));
    trial_same("completion start", m->consumed, mr_text_completion_start(text));
    trial_same("completion end", completion, mr_text_completion_end(text));
    trial_same("chunked", m->chunked, mr_text_actively_chunked(text));
    trial_same("initial", m->initial, mr_text_is_initial_prompt(text));
    trial_same("status", m->status, mr_text_status(text));
    trial_same("done", m->status != MR_ACTIVE, mr_text_is_done(text));
    trial_same("original prompt", p->setup.prompt_length, mr_text_original_prompt_length(text));
    trial_same("resets", m->resets, fixture_context(p->fixture)->now[MR_CURSOR_RESETS]);
}

static void same_mask(const struct pair *p)
{
    for (int64_t step = -2; step < 4; step++)
        trial_same("mask", model_masked(&p->model, step), mr_text_min_token_mask(p->text, step));
}

static void compare(const void *pair)
{
    const struct pair *p = pair;

    if (p->model.has_matcher)
        trial_same("tokens the matcher took", p->model.matcher_taken, taken);
    same_numbers(p);
    same_views(p);
    same_mask(p);
    same_undelivered(p);
    same_search(p);
}

/* ---- operations ---- */

static void update(void *pair)
{
    struct pair *p = pair;
    int64_t token = some_token();
    int record = some_record(p);
    int expected = model_update(&p->model, token, record);

    trial_result(expected, mr_text_update(p->text, token, record_of(record)));
}

static void jump_ahead(void *pair)
{
    struct pair *p = pair;
    int64_t token = some_token();
    int expected = model_jump_ahead(&p->model, token);

    trial_result(expected, mr_text_jump_ahead(p->text, token));
}

static void future(void *pair)
{
    struct pair *p = pair;
    bool advanced;
    int expected = model_future(&p->model, &advanced);
    int rc = mr_text_update_with_future_token(p->text);

    trial_result(expected, rc);
    if (expected == 0)
        trial_same("chunk advanced", advanced, rc);
}

static void realize(void *pair)
{
    struct pair *p = pair;
    int64_t token = some_token();
    int record = some_record(p);
    int expected = model_realize(&p->model, token, record);

    trial_result(expected, mr_text_realize_future_token(p->text, token, record_of(record)));
}

static void reset(void *pair)
{
    struct pair *p = pair;
    int expected = model_reset(&p->model, true);

    trial_result(expected, mr_text_reset(p->text));
}

static void reset_buffer(void *pair)
{
    struct pair *p = pair;
    int expected = model_reset(&p->model, false);

    trial_result(expected, mr_text_reset_as_new_prompt(p->text));
}

static void offset(void *pair)
{
    struct pair *p = pair;
    int64_t n = around(-p->model.now.start, p->model.now.end - p->model.now.start);
    int expected = model_offset(&p->model, n);

    trial_result(expected, mr_text_apply_processing_offset(p->text, n));
}

static void rewind_processing(void *pair)
{
    struct pair *p = pair;
    int64_t n = around(0, p->model.now.start);
    int expected = model_rewind(&p->model, n);

    trial_result(expected, mr_text_rewind_processing(p->text, n));
}

static void skip(void *pair)
{
    struct pair *p = pair;
    int64_t n = around(0, model_active_length(&p->model));
    int expected = model_skip(&p->model, n);

    trial_result(expected, mr_text_skip_processing(p->text, n));
}

static void chunk(void *pair)
{
    struct pair *p = pair;
    int64_t n = around(0, model_active_length(&p->model));
    int expected = model_chunk(&p->model, n);

    trial_result(expected, mr_text_chunk(p->text, n));
}

static void advance_chunk(void *pair)
{
    struct pair *p = pair;
    int expected = model_advance_chunk(&p->model);

    trial_result(expected, mr_text_advance_chunk(p->text));
}

static void append(void *pair)
{
    struct pair *p = pair;
    int64_t token = some_token();
    bool mark = one_in(2);
    int expected = model_append(&p->model, token, mark);

    trial_result(expected, mr_text_advance_with_token(p->text, token, mark));
}

static void overwrite(void *pair)
{
    struct pair *p = pair;
    int64_t token = some_token();
    int expected = model_overwrite(&p->model, token);

    trial_result(expected, mr_text_overwrite_last_token(p->text, token));
}

/* A placeholder can be consumed from the buffer alone, but what then becomes of its record when
 * it is deleted is left open. */
static void consume(void *pair)
{
    struct pair *p = pair;
    struct model_output output;
    mr_tokens tokens;
    int expected;

    if (p->model.now.placeholder)
        return;
    expected = model_consume(&p->model, &output);
    trial_result(expected, mr_text_consume_recently_generated_tokens(p->text, &tokens));
    if (expected == 0)
        same_tokens(p, tokens, output.start, output.end);
}

static void take_output(void *pair)
{
    struct pair *p = pair;
    struct model_output expected;
    mr_text_output output;
    int error = model_output(&p->model, &expected);

    trial_result(error, mr_text_to_generation_output(p->text, &output));
    if (error)
        return;
    same_tokens(p, output.tokens, expected.start, expected.end);
    trial_same("status of the output", p->model.now.status, output.status);
    same_output_records(p, &expected, output.logprob_count);
}

static void set_status(void *pair)
{
    struct pair *p = pair;
    int status = (int)between(MR_ACTIVE, MR_CANCELLED);

    model_set_status(&p->model, status);
    mr_text_set_status(p->text, (enum mr_status)status);
}

static void echo(void *pair)
{
    struct pair *p = pair;
    int64_t position = around(1, p->setup.prompt_length);
    int record = ++p->records;
    int expected = model_echo(&p->model, position, record);

    trial_result(expected, mr_text_put_echo_logprob(p->text, position, record_of(record)->entries));
}

static void reserve(void *pair)
{
    struct pair *p = pair;
    int64_t n = around(-2, 8);
    int expected = model_reserve(&p->model, n);

    trial_result(expected, mr_reserve_enter(&p->text, 1, n));
}

static void leave(void *pair)
{
    struct pair *p = pair;

    model_leave(&p->model);
    mr_reserve_leave(&p->text, 1);
}

static void hold(void *pair)
{
    struct pair *p = pair;

    model_hold(&p->model);
    mr_context_hold(fixture_context(p->fixture));
}

static void release(void *pair)
{
    struct pair *p = pair;

    model_release(&p->model);
    mr_context_release(fixture_context(p->fixture));
}

static void get(void *pair)
{
    struct pair *p = pair;
    int64_t length = p->model.now.length, index = around(-length, length);
    int64_t defined = p->model.reserved ? p->model.saved_length : length, token;
    bool there = index >= -length && index < length;

    trial_result(there ? 0 : MR_TEXT_INDEX, mr_text_get(p->text, index, &token));
    if (there && index < 0)
        index += length;
    if (there && index < defined)
        trial_same("element", p->model.now.tokens[index], token);
}

static void steps_available(void *pair)
{
    struct pair *p = pair;
    int64_t limit = between(-10, 100);

    trial_same("steps", limit - (p->model.now.length - model_active_length(&p->model)),
               mr_text_compute_num_available_steps(p->text, limit));
}

/* ---- the matcher ---- */

static bool accepts(void *self, int64_t token)
{
    return token != ((struct pair *)self)->model.matcher_refuses;
}

static void accept(void *self, int64_t token)
{
    (void)self;
    (void)token;
    taken++;
}

static void set_matcher(void *pair)
{
    struct pair *p = pair;
    mr_matcher matcher = {.accepts = accepts, .accept = accept, .self = p};

    p->model.has_matcher = one_in(4);
    p->model.matcher_refuses = between(0, 6);
    p->model.matcher_taken = taken;
    mr_text_set_matcher(p->text, p->model.has_matcher ? &matcher : NULL);
}

/* ---- death ---- */

static void die(void *pair)
{
    struct pair *p = pair;

    model_die(&p->model);
    trial_same("load", 0, fixture_reload(p->fixture));
}

static void take_over(void *pair)
{
    struct pair *p = pair;

    model_take_over(&p->model);
    mr_text_take_over(fixture_context(p->fixture));
}

static void die_and_be_taken_over(void *pair)
{
    struct pair *p = pair;

    die(p);
    take_over(p);
}

static const struct trial_operation operations[] = {
    {"update", update, 30},
    {"jump_ahead", jump_ahead, 8},
    {"update_with_future_token", future, 10},
    {"realize_future_token", realize, 12},
    {"to_generation_output", take_output, 12},
    {"chunk", chunk, 8},
    {"advance_chunk", advance_chunk, 2},
    {"apply_processing_offset", offset, 5},
    {"rewind_processing", rewind_processing, 5},
    {"skip_processing", skip, 5},
    {"advance_with_token", append, 4},
    {"overwrite_last_token", overwrite, 4},
    {"consume_recently_generated_tokens", consume, 2},
    {"reset", reset, 2},
    {"reset_as_new_prompt", reset_buffer, 1},
    {"set_status", set_status, 3},
    {"put_echo_logprob", echo, 6},
    {"reserve_enter", reserve, 5},
    {"reserve_leave", leave, 12},
    {"hold", hold, 3},
    {"release", release, 8},
    {"get", get, 3},
    {"compute_num_available_steps", steps_available, 2},
    {"set_matcher", set_matcher, 2},
    {"death", die, 3},
    {"death and take-over", die_and_be_taken_over, 2},
    {"take-over of what was put back", take_over, 2},
};

/* ---- contexts ---- */

static void make_setup(struct model_setup *s)
{
    *s = (struct model_setup){.prompt_length = (int)between(1, 20), .min_tokens = between(-2, 5)};
    for (int i = 0; i < s->prompt_length; i++)
        s->prompt[i] = between(0, 6);
    s->max_length = s->prompt_length + between(s->min_tokens > 0 ? s->min_tokens : 0, 30);
    s->capacity = s->max_length + between(1, 20);
    s->eos_count = (size_t)between(0, 2);
    s->eos_ids[0] = between(0, 6);
    s->eos_ids[1] = between(0, 6);
    s->sequence_count = (size_t)between(0, 2);
    for (size_t i = 0; i < s->sequence_count; i++) {
        s->sequence_lengths[i] = (size_t)between(1, 3);
        for (size_t j = 0; j < s->sequence_lengths[i]; j++)
            s->sequences[i][j] = between(0, 6);
    }
}

static void begin(void *pair)
{
    struct pair *p = pair;
    struct model_setup *s = &p->setup;
    mr_tokens sequences[2];
    mr_request request;

    make_setup(s);
    request = fixture_request(s->prompt, (size_t)s->prompt_length, s->max_length);
    for (size_t i = 0; i < s->sequence_count; i++)
        sequences[i] = (mr_tokens){s->sequences[i], s->sequence_lengths[i]};
    request.eos_token_ids = s->eos_ids;
    request.eos_token_count = s->eos_count;
    request.eos_sequences = sequences;
    request.eos_sequence_count = s->sequence_count;
    request.sampling.min_new_tokens = s->min_tokens;
    request.want_log_probabilities = 1;
    request.log_probabilities = (uint32_t)between(1, 3);
    request.log_probabilities_echo = one_in(2);
    p->fixture = fixture_new(&request, s->capacity);
    trial_same("context made", true, p->fixture != NULL);
    p->text = fixture_text(p->fixture);
    s->capacity = mr_text_capacity(p->text);
    s->record_bytes = (int64_t)fixture_context(p->fixture)->params.records.bytes;
    model_start(&p->model, s);
}

static void end(void *pair)
{
    struct pair *p = pair;

    fixture_free(p->fixture);
}

int main(int argc, char **argv)
{
    static const struct trial trial = {begin, compare, end, operations,
                                       sizeof(operations) / sizeof(*operations)};
    static struct pair pair;

    return trial_main(&trial, &pair, argc, argv);
}
