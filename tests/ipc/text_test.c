/*
 * text_test.c - a text context where it differs from the original, and where memory can't be
 * trusted
 *
 * What it shares with the original is in the golden vectors.
 */
#include "ipc/cursors.h"
#include "ipc/slot.h"
#include "ipc/text.h"
#include "tests/ipc/fixture.h"
#include <check.h>
#include <errno.h>
#include <millrace/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t prompt[] = {11, 12, 13, 14};
static struct fixture *fixture;
static mr_context *context;
static mr_text *text;

static void begin_with(const mr_request *request)
{
    fixture = fixture_new(request, request->max_length);
    ck_assert_ptr_nonnull(fixture);
    context = fixture_context(fixture);
    text = fixture_text(fixture);
}

static mr_request usual_request(void)
{
    mr_request request = fixture_request(prompt, 4, 16);

    request.want_log_probabilities = 1;
    request.log_probabilities = 2;
    request.log_probabilities_echo = 1;
    return request;
}

static void begin(void)
{
    mr_request request = usual_request();

    begin_with(&request);
}

static void end(void)
{
    fixture_free(fixture);
}

/* What others see. */
static int64_t committed(enum mr_cursor cursor)
{
    int64_t words[MR_CURSOR_WORDS];
    uint64_t sequence;

    ck_assert(mr_cursors_read(context->slot, words, &sequence));
    return words[cursor];
}

static void refused(int rc, enum mr_text_error code)
{
    ck_assert_int_lt(rc, 0);
    ck_assert_int_eq(mr_error_code(), code);
}

/* ---- placeholders ---- */

START_TEST(a_placeholder_is_never_committed)
{
    ck_assert_int_eq(mr_text_update_with_future_token(text), 0);
    ck_assert_int_eq(mr_text_length(text), 5);
    ck_assert_int_eq(committed(MR_CURSOR_LENGTH), 4);
    mr_text_set_status(text, MR_CANCELLED);
    ck_assert_int_eq(committed(MR_CURSOR_STATUS), MR_ACTIVE);
    ck_assert_int_eq(mr_text_realize_future_token(text, 9, NULL), 0);
    ck_assert_int_eq(committed(MR_CURSOR_LENGTH), 5);
    ck_assert_int_eq(committed(MR_CURSOR_LAST), 9);
    ck_assert_int_eq(committed(MR_CURSOR_STATUS), MR_CANCELLED);
}
END_TEST

START_TEST(a_reset_takes_back_a_maximum_length_that_only_the_placeholder_caused)
{
    mr_request request = fixture_request(prompt, 4, 5);

    end();
    begin_with(&request);
    ck_assert_int_eq(mr_text_update_with_future_token(text), 0);
    ck_assert_int_eq(mr_text_status(text), MR_MAXIMUM_LENGTH);
    ck_assert_int_eq(mr_text_reset(text), 0);
    ck_assert_int_eq(mr_text_status(text), MR_ACTIVE);
    ck_assert_int_eq(mr_text_length(text), 4);
}
END_TEST

START_TEST(a_placeholder_while_chunked_advances_the_chunk_and_says_so)
{
    ck_assert_int_eq(mr_text_chunk(text, 2), 0);
    ck_assert_int_eq(mr_text_update_with_future_token(text), 1);
    ck_assert_int_eq(mr_text_length(text), 4);
    ck_assert(!mr_text_actively_chunked(text));
}
END_TEST

START_TEST(nothing_is_appended_behind_a_placeholder)
{
    ck_assert_int_eq(mr_text_update_with_future_token(text), 0);
    refused(mr_text_jump_ahead(text, 1), MR_TEXT_AFTER_FUTURE);
    refused(mr_text_advance_with_token(text, 1, true), MR_TEXT_AFTER_FUTURE);
    refused(mr_text_update(text, 1, NULL), MR_TEXT_AFTER_FUTURE);
}
END_TEST

/* The bare buffer knows nothing of placeholders: it consumes one like any token. */
START_TEST(a_placeholder_that_was_consumed_is_deleted_by_a_reset_all_the_same)
{
    mr_tokens consumed;

    ck_assert_int_eq(mr_text_update(text, 7, NULL), 0);
    ck_assert_int_eq(mr_text_update_with_future_token(text), 0);
    ck_assert_int_eq(mr_text_consume_recently_generated_tokens(text, &consumed), 0);
    ck_assert_uint_eq(consumed.count, 2);
    ck_assert_int_eq(consumed.ids[0], 7);
    ck_assert_int_eq(consumed.ids[1], MR_FUTURE_TOKEN);
    ck_assert_int_eq(committed(MR_CURSOR_CONSUMED), 4);
    ck_assert_int_eq(mr_text_reset(text), 0);
    ck_assert_int_eq(mr_text_length(text), 5);
    ck_assert_int_eq(mr_text_prompt_length(text), 5);
    ck_assert_int_eq(mr_text_completion_start(text), 5);
    ck_assert_int_eq(mr_text_completion_end(text), 5);
    ck_assert_int_eq(mr_text_all(text).ids[4], 7);
    refused(mr_text_consume_recently_generated_tokens(text, &consumed),
            MR_TEXT_NOTHING_OUTSTANDING);
    ck_assert_int_eq(fixture_reload(fixture), 0);
    ck_assert_int_eq(mr_text_update(text, 8, NULL), 0);
    ck_assert_int_eq(mr_text_consume_recently_generated_tokens(text, &consumed), 0);
    ck_assert_uint_eq(consumed.count, 1);
    ck_assert_int_eq(consumed.ids[0], 8);
}
END_TEST

START_TEST(a_placeholder_that_was_consumed_becomes_its_token_and_is_not_outstanding_again)
{
    mr_tokens consumed;
    mr_text_output output;

    ck_assert_int_eq(mr_text_update_with_future_token(text), 0);
    ck_assert_int_eq(mr_text_consume_recently_generated_tokens(text, &consumed), 0);
    ck_assert_int_eq(mr_text_to_generation_output(text, &output), 0);
    ck_assert_uint_eq(output.tokens.count, 0);
    ck_assert_int_eq(committed(MR_CURSOR_LENGTH), 4);
    ck_assert_int_eq(mr_text_realize_future_token(text, 9, NULL), 0);
    ck_assert_int_eq(consumed.ids[0], 9);
    ck_assert_int_eq(committed(MR_CURSOR_LENGTH), 5);
    ck_assert_int_eq(committed(MR_CURSOR_CONSUMED), 5);
    ck_assert(!mr_text_has_outstanding_generated_tokens(text));
    ck_assert_int_eq(fixture_reload(fixture), 0);
    ck_assert_int_eq(mr_text_all(text).ids[4], 9);
}
END_TEST

START_TEST(a_placeholder_that_was_consumed_is_gone_with_its_worker)
{
    mr_tokens consumed;

    ck_assert_int_eq(mr_text_update(text, 7, NULL), 0);
    ck_assert_int_eq(mr_text_update_with_future_token(text), 0);
    ck_assert_int_eq(mr_text_consume_recently_generated_tokens(text, &consumed), 0);
    ck_assert_int_eq(fixture_reload(fixture), 0);
    ck_assert_int_eq(mr_text_length(text), 5);
    ck_assert_int_eq(mr_text_consume_recently_generated_tokens(text, &consumed), 0);
    ck_assert_uint_eq(consumed.count, 1);
    ck_assert_int_eq(consumed.ids[0], 7);
}
END_TEST

/* ---- limits ---- */

START_TEST(negative_tokens_are_refused)
{
    refused(mr_text_update(text, -1, NULL), MR_TEXT_NEGATIVE_TOKEN);
    refused(mr_text_update(text, MR_FUTURE_TOKEN, NULL), MR_TEXT_NEGATIVE_TOKEN);
    refused(mr_text_jump_ahead(text, -1), MR_TEXT_NEGATIVE_TOKEN);
    ck_assert_int_eq(mr_text_length(text), 4);
}
END_TEST

START_TEST(a_finished_context_takes_tokens_up_to_its_capacity)
{
    for (int64_t i = 4; i < mr_text_capacity(text); i++)
        ck_assert_int_eq(mr_text_update(text, i, NULL), 0);
    ck_assert(mr_text_is_done(text));
    ck_assert_int_eq(mr_text_update(text, 1, NULL), -ENOSPC);
    ck_assert_int_eq(mr_error_code(), MR_TEXT_CAPACITY);
    ck_assert_str_eq(mr_error(), "cannot update 'r0': the room for its tokens is used up");
}
END_TEST

START_TEST(a_record_that_does_not_fit_leaves_no_token_behind)
{
    mr_top_logprob tops[200] = {{1, -1}};
    mr_logprob entry = {-1, tops, 200};
    mr_logprobs record = {&entry, 1};

    ck_assert_int_eq(mr_text_update(text, 1, &record), -ENOSPC);
    ck_assert_int_eq(mr_text_length(text), 4);
    ck_assert_int_eq(mr_records_undelivered(context, NULL, 0), 0);
}
END_TEST

START_TEST(all_records_that_a_request_asked_for_have_room)
{
    mr_top_logprob tops[2] = {{1, -1}, {2, -2}};
    mr_logprob entry = {-1, tops, 2};
    mr_logprobs record = {&entry, 1};

    for (int64_t i = 1; i < 4; i++)
        ck_assert_int_eq(mr_text_put_echo_logprob(text, i, &entry), 0);
    for (int64_t i = 4; i < 16; i++)
        ck_assert_int_eq(mr_text_update(text, i, &record), 0);
    ck_assert_int_eq(context->now[MR_CURSOR_RECORDS], (int64_t)context->params.records.bytes);
}
END_TEST

START_TEST(a_size_of_records_that_no_memory_has_saturates)
{
    mr_request request = usual_request();

    request.max_length = INT64_MAX;
    request.log_probabilities = UINT32_MAX;
    ck_assert_uint_eq(mr_records_size(&request), UINT64_MAX);
    request.want_log_probabilities = 0;
    request.log_probabilities_echo = 0;
    ck_assert_uint_eq(mr_records_size(&request), 0);
}
END_TEST

/* ---- a successor ---- */

START_TEST(a_take_over_lets_min_tokens_and_stop_sequences_go_on)
{
    static const int64_t stop[] = {8, 9}, end_token[] = {7};
    const mr_tokens sequence = {stop, 2};
    mr_request request = usual_request();

    end();
    request.eos_sequences = &sequence;
    request.eos_sequence_count = 1;
    request.eos_token_ids = end_token;
    request.eos_token_count = 1;
    request.sampling.min_new_tokens = 2;
    begin_with(&request);
    ck_assert_int_eq(mr_text_update(text, 8, NULL), 0);
    ck_assert_int_eq(fixture_reload(fixture), 0);
    mr_text_take_over(context);
    ck_assert_int_eq(mr_text_prompt_length(text), 5);
    ck_assert_int_eq(mr_text_original_prompt_length(text), 4);
    ck_assert(mr_text_min_token_mask(text, 0));
    ck_assert(!mr_text_min_token_mask(text, 1));
    ck_assert_int_eq(mr_text_update(text, 9, NULL), 0);
    ck_assert_int_eq(mr_text_status(text), MR_END_OF_SEQUENCE);
}
END_TEST

START_TEST(a_reset_by_the_worker_counts_min_tokens_and_stop_sequences_anew)
{
    static const int64_t stop[] = {8, 9};
    const mr_tokens sequence = {stop, 2};
    mr_request request = usual_request();

    end();
    request.eos_sequences = &sequence;
    request.eos_sequence_count = 1;
    begin_with(&request);
    ck_assert_int_eq(mr_text_update(text, 8, NULL), 0);
    ck_assert_int_eq(mr_text_reset(text), 0);
    mr_text_take_over(context);
    ck_assert_int_eq(mr_text_update(text, 9, NULL), 0);
    ck_assert_int_eq(mr_text_status(text), MR_ACTIVE);
}
END_TEST

START_TEST(a_take_over_of_what_nobody_worked_on_changes_nothing)
{
    uint64_t sequence = context->slot->sequence;

    mr_text_take_over(context);
    ck_assert_uint_eq(context->slot->sequence, sequence);
    ck_assert_int_eq(mr_text_update(text, 1, NULL), 0);
    mr_text_take_over(context);
    ck_assert_int_eq(committed(MR_CURSOR_RESETS), 1);
}
END_TEST

START_TEST(a_take_over_closes_a_reserve_scope)
{
    ck_assert_int_eq(mr_text_update(text, 1, NULL), 0);
    ck_assert_int_eq(mr_reserve_enter(&text, 1, 4), 0);
    mr_text_take_over(context);
    ck_assert_int_eq(mr_text_length(text), 5);
    ck_assert_int_eq(committed(MR_CURSOR_LENGTH), 5);
}
END_TEST

START_TEST(the_first_token_is_signed_by_its_worker)
{
    context->fingerprint = 77;
    ck_assert_int_eq(mr_text_update_with_future_token(text), 0);
    ck_assert_int_eq(mr_text_reset(text), 0);
    ck_assert_int_eq(committed(MR_CURSOR_FINGERPRINT), 0);
    ck_assert_int_eq(mr_text_update(text, 1, NULL), 0);
    ck_assert_int_eq(committed(MR_CURSOR_FINGERPRINT), 77);
    context->fingerprint = 78;
    ck_assert_int_eq(mr_text_update(text, 1, NULL), 0);
    ck_assert_int_eq(committed(MR_CURSOR_FINGERPRINT), 77);
}
END_TEST

START_TEST(a_last_token_that_was_cut_off_between_cursor_and_array_is_put_right)
{
    ck_assert_int_eq(mr_text_update(text, 5, NULL), 0);
    context->tokens[4] = 99;
    ck_assert_int_eq(fixture_reload(fixture), 0);
    ck_assert_int_eq(mr_text_all(text).ids[4], 5);
}
END_TEST

START_TEST(echo_that_was_stored_is_not_stored_again)
{
    mr_logprob entry = {-1, NULL, 0};

    ck_assert_int_eq(mr_text_put_echo_logprob(text, 1, &entry), 0);
    ck_assert_int_eq(mr_text_put_echo_logprob(text, 2, &entry), 0);
    ck_assert_int_eq(mr_text_update(text, 5, NULL), 0);
    ck_assert_int_eq(fixture_reload(fixture), 0);
    ck_assert_int_eq(mr_text_put_echo_logprob(text, 2, &entry), 0);
    ck_assert_int_eq(mr_text_put_echo_logprob(text, 3, &entry), 0);
    ck_assert_int_eq(mr_records_undelivered(context, NULL, 0), 3);
    refused(mr_text_put_echo_logprob(text, 4, &entry), MR_TEXT_INDEX);
}
END_TEST

/* ---- memory that can't be trusted ---- */

/* Commits these words with one of them changed, as a member gone mad might. */
static void commit_with(const int64_t *good, enum mr_cursor cursor, int64_t value)
{
    memcpy(context->now, good, sizeof(context->now));
    context->now[cursor] = value;
    mr_context_commit(context);
}

START_TEST(cursors_out_of_range_are_refused_when_a_context_is_loaded)
{
    static const struct {
        enum mr_cursor cursor;
        int64_t value;
        const char *what;
    } bad[] = {
        {MR_CURSOR_LENGTH, 0, "length"},
        {MR_CURSOR_LENGTH, 17, "length"},
        {MR_CURSOR_LENGTH, INT64_MAX, "length"},
        {MR_CURSOR_END, -1, "end of the active tokens"},
        {MR_CURSOR_END, 5, "end of the active tokens"},
        {MR_CURSOR_END, 7, "end of the active tokens"},
        {MR_CURSOR_END, INT64_MIN, "end of the active tokens"},
        {MR_CURSOR_START, -1, "start of the active tokens"},
        {MR_CURSOR_START, 7, "start of the active tokens"},
        {MR_CURSOR_OFFSET, INT64_MIN, "processing offset"},
        {MR_CURSOR_OFFSET, 2, "processing offset"},
        {MR_CURSOR_PROMPT, 0, "prompt length"},
        {MR_CURSOR_PROMPT, 7, "prompt length"},
        {MR_CURSOR_CONSUMED, 3, "completion range"},
        {MR_CURSOR_CONSUMED, 7, "completion range"},
        {MR_CURSOR_COMPLETION, 5, "completion range"},
        {MR_CURSOR_BASE, 3, "base of the generated tokens"},
        {MR_CURSOR_BASE, 5, "base of the generated tokens"},
        {MR_CURSOR_STATUS, 4, "status"},
        {MR_CURSOR_STATUS, -1, "status"},
        {MR_CURSOR_FLAGS, 1024, "flags"},
        {MR_CURSOR_RECORDS, -8, "log-probability records"},
        {MR_CURSOR_RECORDS, 1 << 20, "log-probability records"},
        {MR_CURSOR_RECORDS, 9, "log-probability records"},
        {MR_CURSOR_RECORD_FIRST, 16, "log-probability records"},
        {MR_CURSOR_RECORD_LATE, -8, "log-probability records"},
        {MR_CURSOR_ECHO, 5, "echo mark"},
        {MR_CURSOR_ECHO, -1, "echo mark"},
    };
    int64_t good[MR_CURSOR_WORDS];
    char sentence[100];

    ck_assert_int_eq(mr_text_update(text, 5, NULL), 0);
    ck_assert_int_eq(mr_text_update(text, 6, NULL), 0);
    memcpy(good, context->now, sizeof(good));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        commit_with(good, bad[i].cursor, bad[i].value);
        ck_assert_int_eq(fixture_reload(fixture), -EBADMSG);
        snprintf(sentence, sizeof(sentence), "slot 0 is corrupt: its %s is out of range",
                 bad[i].what);
        ck_assert_str_eq(mr_error(), sentence);
    }
    commit_with(good, MR_CURSOR_LENGTH, good[MR_CURSOR_LENGTH]);
    ck_assert_int_eq(fixture_reload(fixture), 0);
}
END_TEST

START_TEST(fields_of_the_request_are_there_to_be_read)
{
    static const int64_t first[] = {8}, second[] = {9, 10};
    const mr_tokens sequences[] = {{first, 1}, {second, 2}};
    mr_request request = usual_request();
    mr_bytes schema, endpoint;

    end();
    request.eos_sequences = sequences;
    request.eos_sequence_count = 2;
    request.json_schema = (mr_bytes){"{}", 2};
    request.target_endpoint = (mr_bytes){"ipc:///there", 12};
    request.ignore_eos = 1;
    request.sampling.top_k = 7;
    request.sampling.temperature = 0.25;
    request.sampling.seed = 99;
    begin_with(&request);
    ck_assert_mem_eq(mr_context_sampling(context), &request.sampling, sizeof(mr_sampling));
    schema = mr_text_json_schema(text);
    endpoint = mr_text_target_endpoint(text);
    ck_assert_uint_eq(schema.length, 2);
    ck_assert_mem_eq(endpoint.bytes, "ipc:///there", 12);
    ck_assert_int_eq(mr_text_max_length(text), 16);
    ck_assert_int_eq(mr_text_log_probabilities(text), 2);
    ck_assert(mr_text_wants_log_probabilities(text));
    ck_assert(mr_text_log_probabilities_echo(text));
    ck_assert(mr_text_ignore_eos(text));
    ck_assert_uint_eq(mr_text_eos_sequence_count(text), 2);
    ck_assert_int_eq(mr_text_eos_sequence(text, 1).ids[1], 10);
    ck_assert_ptr_null(mr_text_eos_sequence(text, 2).ids);
    ck_assert_ptr_null(mr_text_matcher(text));
    ck_assert(!mr_text_min_token_mask(text, INT64_MAX));
}
END_TEST

/* Any bytes: the search ends and reads nothing outside (the sanitizers' builds would see it). */
START_TEST(a_log_of_records_may_hold_anything)
{
    enum { BYTES = 256 };
    unsigned char *log = malloc(BYTES);
    mr_logprob entries[2];
    mr_top_logprob tops[2];
    mr_logprobs logprobs;
    int found = 0;

    ck_assert_ptr_nonnull(log);
    srandom(1);
    for (int round = 0; round < 20000; round++) {
        uint64_t at = (uint64_t)random() % 300;

        memset(log, 0, BYTES);
        for (int i = 0; i < 24; i++)
            log[random() % BYTES] = (unsigned char)(random() % (i % 2 ? 256 : 64) & ~7);
        found += mr_records_find(log, (uint64_t)random() % (BYTES + 1), &at, random() % 4 * 8,
                                 &logprobs, entries, 2, tops, 2) == 0;
    }
    ck_assert_int_gt(found, 0);
    free(log);
}
END_TEST

START_TEST(a_search_for_records_says_when_they_do_not_fit)
{
    mr_top_logprob two[2] = {{1, -1}, {2, -2}}, tops[2];
    mr_logprob entry = {-1, two, 2}, entries[1];
    mr_logprobs record = {&entry, 1}, found;
    uint64_t used, at = 0;

    ck_assert_int_eq(mr_text_update(text, 1, &record), 0);
    used = (uint64_t)context->now[MR_CURSOR_RECORDS];
    ck_assert_int_eq(mr_records_find(context->records, used, &at, 4, &found, entries, 0, tops, 2),
                     -ENOSPC);
    ck_assert_int_eq(mr_records_find(context->records, used, &at, 4, &found, entries, 1, tops, 1),
                     -ENOSPC);
    ck_assert_int_eq(mr_records_find(context->records, used, &at, 4, &found, entries, 1, tops, 2),
                     0);
    ck_assert_int_eq(mr_records_find(context->records, used, &at, 5, &found, entries, 1, tops, 2),
                     -ENOENT);
}
END_TEST

START_TEST(stop_sequences_whose_lengths_make_no_sense_are_none)
{
    static const int64_t stop[] = {8, 9};
    const mr_tokens sequence = {stop, 2};
    mr_request request = usual_request();
    size_t words;
    int64_t *lengths;

    end();
    request.eos_sequences = &sequence;
    request.eos_sequence_count = 1;
    begin_with(&request);
    lengths =
        (int64_t *)(uintptr_t)mr_context_words(context, &context->params.eos_sequences, &words);
    lengths[0] = INT64_MAX;
    ck_assert_ptr_null(mr_text_eos_sequence(text, 0).ids);
    lengths[0] = -1;
    ck_assert_int_eq(mr_text_update(text, 9, NULL), 0);
    ck_assert_int_eq(mr_text_status(text), MR_ACTIVE);
}
END_TEST

/* ---- creation ---- */

START_TEST(requests_that_no_context_can_be_made_of_are_refused)
{
    static const int64_t negative[] = {1, -2}, wide[] = {INT64_C(1) << 31};
    const mr_tokens empty = {prompt, 0};
    mr_request request = fixture_request(prompt, 0, 16);

    refused(mr_text_check(&request), MR_TEXT_TOKENS_EMPTY);
    request = fixture_request(negative, 2, 16);
    refused(mr_text_check(&request), MR_TEXT_NEGATIVE_TOKEN);
    request = usual_request();
    request.sampling.min_new_tokens = INT64_MAX;
    refused(mr_text_check(&request), MR_TEXT_MIN_TOKENS_MAX_LENGTH);
    request = usual_request();
    request.eos_sequences = &empty;
    request.eos_sequence_count = 1;
    refused(mr_text_check(&request), MR_TEXT_EMPTY_STOP_SEQUENCE);
    request = usual_request();
    request.eos_token_ids = wide;
    request.eos_token_count = 1;
    refused(mr_text_check(&request), MR_TEXT_EOS_RANGE);
}
END_TEST

/* ---- the reserve scope ---- */

START_TEST(a_context_in_a_reserve_scope_refuses_to_be_changed)
{
    ck_assert_int_eq(mr_reserve_enter(&text, 1, 3), 0);
    refused(mr_text_update(text, 1, NULL), MR_TEXT_RESERVED);
    refused(mr_text_reset(text), MR_TEXT_RESERVED);
    refused(mr_text_chunk(text, 1), MR_TEXT_RESERVED);
    refused(mr_reserve_enter(&text, 1, 3), MR_TEXT_RESERVED);
    ck_assert_int_eq(mr_text_length(text), 7);
    ck_assert_int_eq(committed(MR_CURSOR_LENGTH), 4);
    mr_text_set_status(text, MR_CANCELLED);
    ck_assert_int_eq(committed(MR_CURSOR_STATUS), MR_ACTIVE);
    mr_reserve_leave(&text, 1);
    ck_assert_int_eq(committed(MR_CURSOR_STATUS), MR_CANCELLED);
    ck_assert_int_eq(committed(MR_CURSOR_LENGTH), 4);
    ck_assert_int_eq(mr_text_update(text, 1, NULL), 0);
}
END_TEST

START_TEST(a_context_can_be_in_a_batch_once_only)
{
    mr_text *twice[] = {text, text};

    ck_assert_int_eq(mr_reserve_enter(twice, 2, 1), -EEXIST);
    ck_assert_int_eq(mr_text_length(text), 4);
    ck_assert_int_eq(mr_reserve_enter(twice, 1, 1), 0);
    mr_reserve_leave(twice, 1);
}
END_TEST

START_TEST(choices_of_one_request_can_be_in_a_batch_together)
{
    struct fixture *first = fixture;
    mr_text *batch[2] = {text, NULL};

    begin();
    batch[1] = text;
    context->params.choice = 1;
    ck_assert_int_eq(mr_reserve_enter(batch, 2, 1), 0);
    mr_reserve_leave(batch, 2);
    context->params.choice = 0;
    ck_assert_int_eq(mr_reserve_enter(batch, 2, 1), -EEXIST);
    fixture_free(first);
}
END_TEST

START_TEST(a_reserve_that_one_context_has_no_room_for_is_none_at_all)
{
    struct fixture *first = fixture;
    mr_text *batch[2] = {text, NULL};

    begin();
    batch[1] = text;
    context->params.choice = 1;
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(mr_text_update(text, 1, NULL), 0);
    refused(mr_reserve_enter(batch, 2, 5), MR_TEXT_CAPACITY);
    ck_assert_int_eq(mr_text_length(batch[0]), 4);
    ck_assert_int_eq(mr_text_update(batch[0], 1, NULL), 0);
    fixture_free(first);
}
END_TEST

static Suite *text_suite(void)
{
    Suite *suite = suite_create("text");
    TCase *cases = tcase_create("text");

    tcase_add_checked_fixture(cases, begin, end);
    tcase_add_test(cases, a_placeholder_is_never_committed);
    tcase_add_test(cases, a_reset_takes_back_a_maximum_length_that_only_the_placeholder_caused);
    tcase_add_test(cases, a_placeholder_while_chunked_advances_the_chunk_and_says_so);
    tcase_add_test(cases, nothing_is_appended_behind_a_placeholder);
    tcase_add_test(cases, a_placeholder_that_was_consumed_is_deleted_by_a_reset_all_the_same);
    tcase_add_test(cases,
                   a_placeholder_that_was_consumed_becomes_its_token_and_is_not_outstanding_again);
    tcase_add_test(cases, a_placeholder_that_was_consumed_is_gone_with_its_worker);
    tcase_add_test(cases, negative_tokens_are_refused);
    tcase_add_test(cases, a_finished_context_takes_tokens_up_to_its_capacity);
    tcase_add_test(cases, a_record_that_does_not_fit_leaves_no_token_behind);
    tcase_add_test(cases, all_records_that_a_request_asked_for_have_room);
    tcase_add_test(cases, a_size_of_records_that_no_memory_has_saturates);
    tcase_add_test(cases, a_take_over_lets_min_tokens_and_stop_sequences_go_on);
    tcase_add_test(cases, a_reset_by_the_worker_counts_min_tokens_and_stop_sequences_anew);
    tcase_add_test(cases, a_take_over_of_what_nobody_worked_on_changes_nothing);
    tcase_add_test(cases, a_take_over_closes_a_reserve_scope);
    tcase_add_test(cases, the_first_token_is_signed_by_its_worker);
    tcase_add_test(cases, a_last_token_that_was_cut_off_between_cursor_and_array_is_put_right);
    tcase_add_test(cases, echo_that_was_stored_is_not_stored_again);
    tcase_add_test(cases, cursors_out_of_range_are_refused_when_a_context_is_loaded);
    tcase_add_test(cases, fields_of_the_request_are_there_to_be_read);
    tcase_add_test(cases, a_log_of_records_may_hold_anything);
    tcase_add_test(cases, a_search_for_records_says_when_they_do_not_fit);
    tcase_add_test(cases, stop_sequences_whose_lengths_make_no_sense_are_none);
    tcase_add_test(cases, requests_that_no_context_can_be_made_of_are_refused);
    tcase_add_test(cases, a_context_in_a_reserve_scope_refuses_to_be_changed);
    tcase_add_test(cases, a_context_can_be_in_a_batch_once_only);
    tcase_add_test(cases, choices_of_one_request_can_be_in_a_batch_together);
    tcase_add_test(cases, a_reserve_that_one_context_has_no_room_for_is_none_at_all);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(text_suite());
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
