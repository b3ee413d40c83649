/*
 * text_kill_test.c - a worker is killed at every instruction of each operation of a text context
 */
#include "ipc/text.h"
#include "tests/ipc/kill/context_kill.h"

/* ---- the context ---- */

static struct fixture *make(void)
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
    return fixture_new(&request, 24);
}

static const char *go_on(mr_context *context)
{
    return mr_text_update(mr_context_text(context), 1, NULL) < 0 ? "the successor can't go on"
                                                                 : NULL;
}

/* ---- the operations ---- */

static const mr_top_logprob tops[] = {{21, -0.5}, {22, -1.5}};
static const mr_logprob entry = {-0.5, tops, 2};
static const mr_logprobs record = {&entry, 1};

static void update_plain(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_update(text, 21, NULL);
}

static void update(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_update(text, 21, &record);
}

static void update_to_the_end(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_update(text, 7, &record);
}

static void complete_stop_sequence(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_update(text, 9, &record);
}

static void half_a_stop_sequence(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_update(text, 8, &record);
}

static void two_tokens(mr_context *context)
{
    update(context);
    update(context);
}

static void jump_ahead(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_jump_ahead(text, 22);
}

static void chunk(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_chunk(text, 4);
}

static void advance_chunk(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_advance_chunk(text);
}

static void placeholder(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_update_with_future_token(text);
}

static void token_and_placeholder(mr_context *context)
{
    update(context);
    placeholder(context);
}

static void realise(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_realize_future_token(text, 23, &record);
}

static void overwrite(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_overwrite_last_token(text, 24);
}

static void token_and_overwrite(mr_context *context)
{
    update(context);
    overwrite(context);
}

/* Overwriting was cut off between its commit and the store into the array. */
static void forget_overwritten(mr_context *context)
{
    context->tokens[6] = 99;
}

static void offset(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_apply_processing_offset(text, -2);
}

static void two_tokens_and_offset(mr_context *context)
{
    two_tokens(context);
    offset(context);
}

static void rewind_processing(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_rewind_processing(text, 2);
}

static void skip(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_skip_processing(text, 3);
}

static void append(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_advance_with_token(text, 25, false);
}

static void consume(mr_context *context)
{
    mr_text *text = mr_context_text(context);
    mr_tokens tokens;

    mr_text_consume_recently_generated_tokens(text, &tokens);
}

static void output(mr_context *context)
{
    mr_text *text = mr_context_text(context);
    mr_text_output taken;

    mr_text_to_generation_output(text, &taken);
}

static void reset(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_reset(text);
}

static void reset_buffer(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_reset_as_new_prompt(text);
}

static void cancel(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_text_set_status(text, MR_CANCELLED);
}

static void take_over_again(mr_context *context)
{
    mr_text_take_over(context);
}

static void echo(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    for (int64_t position = 1; position < 6; position++)
        mr_text_put_echo_logprob(text, position, &entry);
}

static void reserve(mr_context *context)
{
    mr_text *text = mr_context_text(context);

    mr_reserve_enter(&text, 1, 3);
    mr_reserve_leave(&text, 1);
}

static void token_and_overwrite_at_once(mr_context *context)
{
    mr_context_hold(context);
    update(context);
    overwrite(context);
    update(context);
    mr_context_release(context);
}

#define CASE(name, before, operate, damage) CONTEXT_CASE(name, make, before, operate, damage, go_on)

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
        CASE("three_steps_under_a_hold", update, token_and_overwrite_at_once, NULL),
    };

    return kill_main(cases, sizeof(cases) / sizeof(*cases));
}
