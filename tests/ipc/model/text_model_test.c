/*
 * text_model_test.c - random operations on a text context and on its model, compared after each
 *
 *     text_model_test [SEED [OPERATIONS]]
 *
 * Beside the operations the holder dies now and then: the private view is thrown away and a
 * successor loads what was committed, and takes it over or just goes on. Prints the seed; on a
 * difference also the number of the operation, so that it can be had again.
 */
#include "ipc/text.h"
#include "tests/ipc/fixture.h"
#include "tests/ipc/model/text_model.h"
#include <errno.h>
#include <millrace/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPERATIONS = 200000, OPERATIONS_PER_CONTEXT = 120 };

/* ---- random numbers: SplitMix64 ---- */

static uint64_t random_state;

static uint64_t random_word(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* In [low, high]. */
static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(random_word() % (uint64_t)(high - low + 1));
}

static bool one_in(int64_t n)
{
    return between(1, n) == 1;
}

/* A number around [low, high], rarely an absurd one. */
static int64_t around(int64_t low, int64_t high)
{
    if (one_in(60))
        return one_in(2) ? INT64_MAX : INT64_MIN;
    return between(low - 3, high + 3);
}

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
    const char *operation;
    uint64_t count;
};

static void fail(const struct pair *p, const char *what, int64_t expected, int64_t actual)
{
    printf("operation %llu, %s: %s is %lld, the model has %lld\n", (unsigned long long)p->count,
           p->operation, what, (long long)actual, (long long)expected);
    exit(1);
}

static void same(const struct pair *p, const char *what, int64_t expected, int64_t actual)
{
    if (expected != actual)
        fail(p, what, expected, actual);
}

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

static void same_record(const struct pair *p, int record, const mr_logprobs *actual)
{
    const mr_logprob *entry = &actual->entries[0];

    same(p, "number of entries", 1, (int64_t)actual->count);
    same(p, "log-probability", -record, (int64_t)entry->chosen);
    same(p, "number of alternatives", record % 4, (int64_t)entry->top_count);
    same(p, "alternatives", 0,
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
        same(p, "record of the output", 0,
             mr_text_output_logprobs(p->text, found++, &position, &logprobs, &entry, 1, tops, 4));
        same(p, "position of a record", i, position);
        same_record(p, expected->records[i - expected->start], &logprobs);
    }
    same(p, "records of the output", (int64_t)found, (int64_t)count);
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

    same(p, "search for a record", record ? 0 : -ENOENT, rc);
    if (record)
        same_record(p, record, &logprobs);
}

static void same_undelivered(const struct pair *p)
{
    int64_t keys[MODEL_KEYS];
    size_t count = mr_records_undelivered(fixture_context(p->fixture), keys, MODEL_KEYS);
    bool held[MODEL_KEYS] = {false};

    for (size_t i = 0; i < count; i++)
        held[keys[i] + 1] = true;
    for (int key = 0; key < MODEL_KEYS; key++)
        same(p, "undelivered record", p->model.now.map[key] != 0, held[key]);
}

/* ---- comparing ---- */

/* Tokens [0, count) but for reserved ones, which have no contents. */
static void same_tokens(const struct pair *p, mr_tokens actual, int64_t start, int64_t end)
{
    int64_t count = end > start ? end - start : 0;
    int64_t defined = p->model.reserved ? p->model.saved_length : p->model.now.length;

    same(p, "number of tokens in a view", count, (int64_t)actual.count);
    for (int64_t i = start; i < end && i < defined; i++)
        same(p, "token", p->model.now.tokens[i], actual.ids[i - start]);
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

    same(p, "length", m->length, mr_text_length(text));
    same(p, "prompt length", m->prompt, mr_text_prompt_length(text));
    same(p, "generated length", m->length - m->prompt, mr_text_generated_length(text));
    same(p, "processed length", m->start, mr_text_processed_length(text));
    same(p, "active length", model_active_length(&p->model), mr_text_active_length(text));
    same(p, "position", model_position(&p->model), mr_text_current_position(text));
    same(p, "end", m->end, mr_text_processing_end(text));
    same(p, "offset", m->offset, mr_text_processing_offset(text));
    same(p, "completion start", m->consumed, mr_text_completion_start(text));
    same(p, "completion end", completion, mr_text_completion_end(text));
    same(p, "chunked", m->chunked, mr_text_actively_chunked(text));
    same(p, "initial", m->initial, mr_text_is_initial_prompt(text));
    same(p, "status", m->status, mr_text_status(text));
    same(p, "done", m->status != MR_ACTIVE, mr_text_is_done(text));
    same(p, "original prompt", p->setup.prompt_length, mr_text_original_prompt_length(text));
    same(p, "resets", m->resets, fixture_context(p->fixture)->now[MR_CURSOR_RESETS]);
}

static void same_mask(const struct pair *p)
{
    for (int64_t step = -2; step < 4; step++)
        same(p, "mask", model_masked(&p->model, step), mr_text_min_token_mask(p->text, step));
}

static void compare(const struct pair *p)
{
    same_numbers(p);
    same_views(p);
    same_mask(p);
    same_undelivered(p);
    same_search(p);
}

/* Did both give the same? */
static void same_result(const struct pair *p, int expected, int rc)
{
    same(p, "error", expected, rc < 0 ? mr_error_code() : 0);
    if (expected == MR_TEXT_CAPACITY)
        same(p, "errno", -ENOSPC, rc);
}

/* ---- operations ---- */

static void update(struct pair *p)
{
    int64_t token = some_token();
    int record = some_record(p);
    int expected = model_update(&p->model, token, record);

    same_result(p, expected, mr_text_update(p->text, token, record_of(record)));
}

static void jump_ahead(struct pair *p)
{
    int64_t token = some_token();
    int expected = model_jump_ahead(&p->model, token);

    same_result(p, expected, mr_text_jump_ahead(p->text, token));
}

static void future(struct pair *p)
{
    bool advanced;
    int expected = model_future(&p->model, &advanced);
    int rc = mr_text_update_with_future_token(p->text);

    same_result(p, expected, rc);
    if (expected == 0)
        same(p, "chunk advanced", advanced, rc);
}

static void realize(struct pair *p)
{
    int64_t token = some_token();
    int record = some_record(p);
    int expected = model_realize(&p->model, token, record);

    same_result(p, expected, mr_text_realize_future_token(p->text, token, record_of(record)));
}

static void reset(struct pair *p)
{
    int expected = model_reset(&p->model, true);

    same_result(p, expected, mr_text_reset(p->text));
}

static void reset_buffer(struct pair *p)
{
    int expected = model_reset(&p->model, false);

    same_result(p, expected, mr_text_reset_as_new_prompt(p->text));
}

static void offset(struct pair *p)
{
    int64_t n = around(-p->model.now.start, p->model.now.end - p->model.now.start);
    int expected = model_offset(&p->model, n);

    same_result(p, expected, mr_text_apply_processing_offset(p->text, n));
}

static void rewind_processing(struct pair *p)
{
    int64_t n = around(0, p->model.now.start);
    int expected = model_rewind(&p->model, n);

    same_result(p, expected, mr_text_rewind_processing(p->text, n));
}

static void skip(struct pair *p)
{
    int64_t n = around(0, model_active_length(&p->model));
    int expected = model_skip(&p->model, n);

    same_result(p, expected, mr_text_skip_processing(p->text, n));
}

static void chunk(struct pair *p)
{
    int64_t n = around(0, model_active_length(&p->model));
    int expected = model_chunk(&p->model, n);

    same_result(p, expected, mr_text_chunk(p->text, n));
}

static void advance_chunk(struct pair *p)
{
    int expected = model_advance_chunk(&p->model);

    same_result(p, expected, mr_text_advance_chunk(p->text));
}

static void append(struct pair *p)
{
    int64_t token = some_token();
    bool mark = one_in(2);
    int expected = model_append(&p->model, token, mark);

    same_result(p, expected, mr_text_advance_with_token(p->text, token, mark));
}

static void overwrite(struct pair *p)
{
    int64_t token = some_token();
    int expected = model_overwrite(&p->model, token);

    same_result(p, expected, mr_text_overwrite_last_token(p->text, token));
}

/* A placeholder can be consumed from the buffer alone, but what then becomes of its record when
 * it is deleted is left open. */
static void consume(struct pair *p)
{
    struct model_output output;
    mr_tokens tokens;
    int expected;

    if (p->model.now.placeholder)
        return;
    expected = model_consume(&p->model, &output);
    same_result(p, expected, mr_text_consume_recently_generated_tokens(p->text, &tokens));
    if (expected == 0)
        same_tokens(p, tokens, output.start, output.end);
}

static void take_output(struct pair *p)
{
    struct model_output expected;
    mr_text_output output;
    int error = model_output(&p->model, &expected);

    same_result(p, error, mr_text_to_generation_output(p->text, &output));
    if (error)
        return;
    same_tokens(p, output.tokens, expected.start, expected.end);
    same(p, "status of the output", p->model.now.status, output.status);
    same_output_records(p, &expected, output.logprob_count);
}

static void set_status(struct pair *p)
{
    int status = (int)between(MR_ACTIVE, MR_CANCELLED);

    model_set_status(&p->model, status);
    mr_text_set_status(p->text, (enum mr_status)status);
}

static void echo(struct pair *p)
{
    int64_t position = around(1, p->setup.prompt_length);
    int record = ++p->records;
    int expected = model_echo(&p->model, position, record);

    same_result(p, expected,
                mr_text_put_echo_logprob(p->text, position, record_of(record)->entries));
}

static void reserve(struct pair *p)
{
    int64_t n = around(-2, 8);
    int expected = model_reserve(&p->model, n);

    same_result(p, expected, mr_reserve_enter(&p->text, 1, n));
}

static void leave(struct pair *p)
{
    model_leave(&p->model);
    mr_reserve_leave(&p->text, 1);
}

static void get(struct pair *p)
{
    int64_t length = p->model.now.length, index = around(-length, length);
    int64_t defined = p->model.reserved ? p->model.saved_length : length, token;
    bool there = index >= -length && index < length;

    same_result(p, there ? 0 : MR_TEXT_INDEX, mr_text_get(p->text, index, &token));
    if (there && index < 0)
        index += length;
    if (there && index < defined)
        same(p, "element", p->model.now.tokens[index], token);
}

static void steps_available(struct pair *p)
{
    int64_t limit = between(-10, 100);

    same(p, "steps", limit - (p->model.now.length - model_active_length(&p->model)),
         mr_text_compute_num_available_steps(p->text, limit));
}

/* ---- the matcher ---- */

static bool accepts(void *self, int64_t token)
{
    return token != ((struct pair *)self)->model.matcher_refuses;
}

static int64_t taken;

static void accept(void *self, int64_t token)
{
    (void)self;
    (void)token;
    taken++;
}

static void set_matcher(struct pair *p)
{
    mr_matcher matcher = {accepts, accept, p};

    p->model.has_matcher = one_in(4);
    p->model.matcher_refuses = between(0, 6);
    p->model.matcher_taken = taken;
    mr_text_set_matcher(p->text, p->model.has_matcher ? &matcher : NULL);
}

/* ---- death ---- */

static void die(struct pair *p)
{
    model_die(&p->model);
    same(p, "load", 0, fixture_reload(p->fixture));
}

static void take_over(struct pair *p)
{
    model_take_over(&p->model);
    mr_text_take_over(fixture_context(p->fixture));
}

static void die_and_be_taken_over(struct pair *p)
{
    die(p);
    take_over(p);
}

static const struct {
    const char *name;
    void (*run)(struct pair *pair);
    int weight;
} operations[] = {
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
    {"get", get, 3},
    {"compute_num_available_steps", steps_available, 2},
    {"set_matcher", set_matcher, 2},
    {"death", die, 3},
    {"death and take-over", die_and_be_taken_over, 2},
    {"take-over of what was put back", take_over, 2},
};

static void run_one(struct pair *p)
{
    int64_t total = 0, pick;
    size_t i = 0;

    for (size_t j = 0; j < sizeof(operations) / sizeof(*operations); j++)
        total += operations[j].weight;
    for (pick = between(1, total); pick > operations[i].weight; i++)
        pick -= operations[i].weight;
    p->operation = operations[i].name;
    p->count++;
    operations[i].run(p);
    if (p->model.has_matcher)
        same(p, "tokens the matcher took", p->model.matcher_taken, taken);
    compare(p);
}

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

static void begin(struct pair *p)
{
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
    if (!p->fixture)
        fail(p, mr_error(), 0, mr_error_code());
    p->text = fixture_text(p->fixture);
    s->capacity = mr_text_capacity(p->text);
    s->record_bytes = (int64_t)fixture_context(p->fixture)->params.records.bytes;
    model_start(&p->model, s);
}

int main(int argc, char **argv)
{
    uint64_t wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : OPERATIONS;
    struct pair p = {.operation = "creation"};

    random_state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    printf("seed %llu\n", (unsigned long long)random_state);
    fflush(stdout);
    while (p.count < wanted) {
        begin(&p);
        for (int i = 0; i < OPERATIONS_PER_CONTEXT; i++)
            run_one(&p);
        fixture_free(p.fixture);
    }
    printf("%llu operations, no difference\n", (unsigned long long)p.count);
    return 0;
}
