/*
 * millrace/text.h - TextContext: tokens, where the model stands in them, and what came out
 *
 * The operations, their order of checks and what a failure leaves behind are those of Modular MAX's
 * TextContext and TokenBuffer (docs/contexts.md names each, and each deliberate difference). An
 * operation that fails changes nothing.
 *
 * Every mutating operation is one commit: a process killed at any instruction inside it leaves the
 * context as before or as after. Placeholder tokens (mr_text_update_with_future_token()) and the
 * reserve scope live in this process's view alone; others see the context as of the last commit
 * without them. No operation takes memory or makes a system call.
 *
 * Errors are -EINVAL with mr_error_code() one of enum mr_text_error, unless said otherwise.
 * "Index" is a 0-based position in the token array; ranges are half-open.
 */
#ifndef MILLRACE_TEXT_H
#define MILLRACE_TEXT_H

#include <millrace/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Stands for a token that isn't known yet; see mr_text_update_with_future_token(). */
#define MR_FUTURE_TOKEN ((int64_t)-999)

/* A view of token ids in shared memory; valid until the context's next mutating operation. */
typedef struct mr_tokens {
    const int64_t *ids;
    size_t count;
} mr_tokens;

/* One alternative of one output position. */
typedef struct mr_top_logprob {
    int64_t token;
    double logprob;
} mr_top_logprob;

/* Log-probabilities of one output position: that of the chosen token and the top alternatives. */
typedef struct mr_logprob {
    double chosen;
    const mr_top_logprob *top;
    size_t top_count;
} mr_logprob;

/* A record: in practice one position; with MAX's echo a list may have more entries. */
typedef struct mr_logprobs {
    const mr_logprob *entries;
    size_t count;
} mr_logprobs;

/* Reasons: what mr_error_code() gives after a call of this header failed. */
enum mr_text_error {
    MR_TEXT_TOKENS_EMPTY = 101,
    MR_TEXT_NEGATIVE_TOKEN,
    MR_TEXT_OFFSET_START,
    MR_TEXT_OFFSET_END,
    MR_TEXT_NEGATIVE_N,
    MR_TEXT_RANGE_START,
    MR_TEXT_RANGE_END,
    MR_TEXT_SKIP_ALL,
    MR_TEXT_CHUNK_SIZE,
    MR_TEXT_NOT_CHUNKED,
    MR_TEXT_CHUNKED,
    MR_TEXT_NOTHING_OUTSTANDING,
    MR_TEXT_NOTHING_GENERATED,
    MR_TEXT_INDEX,
    MR_TEXT_MIN_TOKENS_MAX_LENGTH,
    MR_TEXT_ENDPOINT_SCHEME,
    MR_TEXT_ENDPOINT_PORT,
    MR_TEXT_EMPTY_STOP_SEQUENCE,
    MR_TEXT_EOS_RANGE,
    MR_TEXT_AFTER_FUTURE,
    MR_TEXT_FUTURE_TWICE,
    MR_TEXT_FUTURE_MATCHER,
    MR_TEXT_REALIZE_EMPTY,
    MR_TEXT_REALIZE_NOT_FUTURE,
    MR_TEXT_OUTPUT_FUTURE,
    MR_TEXT_MATCHER,
    MR_TEXT_CAPACITY, /* the request's room for tokens or records is used up: -ENOSPC */
    MR_TEXT_RESERVED, /* a mutation inside a reserve scope */
    MR_TEXT_MERGE_EMPTY,
    MR_TEXT_MERGE_MIXED,
    MR_TEXT_TOKENS_NDIM,
    MR_TEXT_TOKENS_DTYPE
};

/* ---- views and lengths ---- */

/*
 * Tokens as ranges of the one array: [0, prompt length) is the prompt, what follows is generated.
 * The model has processed what lies before the *active* tokens, [processed length + offset,
 * processing end); those are its next step's. [completion start, completion end) is what was
 * generated and not yet consumed by mr_text_consume_recently_generated_tokens() or an output.
 * Each is a plain load of this process's own cursors; none can fail, but for mr_text_get().
 */
mr_tokens mr_text_all(const mr_text *text);       /* [0, length) */
mr_tokens mr_text_prompt(const mr_text *text);    /* [0, prompt length) */
mr_tokens mr_text_generated(const mr_text *text); /* [prompt length, length) */
mr_tokens mr_text_active(const mr_text *text);    /* what the next step must process */
int64_t mr_text_length(const mr_text *text);
int64_t mr_text_prompt_length(const mr_text *text);
int64_t mr_text_generated_length(const mr_text *text);
int64_t mr_text_processed_length(const mr_text *text); /* first active index less the offset */
int64_t mr_text_active_length(const mr_text *text);
int64_t mr_text_current_position(const mr_text *text); /* processing end less the offset (Q11) */
int64_t mr_text_processing_end(const mr_text *text);
int64_t mr_text_processing_offset(const mr_text *text);
int64_t mr_text_completion_start(const mr_text *text);
int64_t mr_text_completion_end(const mr_text *text);
bool mr_text_has_outstanding_generated_tokens(const mr_text *text);
bool mr_text_actively_chunked(const mr_text *text);

/* mr_text_get - the token at `index`, in [-length, length): a negative one counts from the end.
 * Returns 0, or -ERANGE with MR_TEXT_INDEX. */
int mr_text_get(const mr_text *text, int64_t index, int64_t *token);

/* Length of the prompt as the request had it. No reset moves it: random counters, min_tokens and
 * penalties of a request that was taken over from a dead worker count from here. */
int64_t mr_text_original_prompt_length(const mr_text *text);

/* Tokens that the context has room for; max_length lies at or below it. */
int64_t mr_text_capacity(const mr_text *text);

/* ---- the token buffer ---- */

/* mr_text_apply_processing_offset - let the active tokens begin `offset` later (or earlier): what a
 * draft model needs that lags behind. Returns 0; MR_TEXT_OFFSET_START, _OFFSET_END. One commit. */
int mr_text_apply_processing_offset(mr_text *text, int64_t offset);

/* mr_text_rewind_processing, mr_text_skip_processing - the active tokens begin n >= 0 earlier, or
 * later. Returns 0; MR_TEXT_NEGATIVE_N; MR_TEXT_RANGE_START or _OFFSET_START (beyond the tokens);
 * MR_TEXT_SKIP_ALL (none would be left). One commit each. */
int mr_text_rewind_processing(mr_text *text, int64_t n);
int mr_text_skip_processing(mr_text *text, int64_t n);

/* mr_text_chunk - work on the first `size` active tokens alone; 0 < size < active length, else
 * MR_TEXT_CHUNK_SIZE; MR_TEXT_RANGE_END with an offset that leaves none of them; in a vision
 * context MR_VISION_BISECT where that would cut an image. mr_text_advance_chunk() goes on with the
 * rest; MR_TEXT_NOT_CHUNKED where there is none. One commit each. */
int mr_text_chunk(mr_text *text, int64_t size);
int mr_text_advance_chunk(mr_text *text);

/* mr_text_advance_with_token - append a token; the active tokens become that one alone, or with
 * `mark_previous_as_processed` false grow by it. Returns 0; MR_TEXT_NEGATIVE_TOKEN, _CHUNKED,
 * _AFTER_FUTURE, _CAPACITY. One commit. Status and end tokens are mr_text_update()'s business. */
int mr_text_advance_with_token(mr_text *text, int64_t token, bool mark_previous_as_processed);

/* mr_text_overwrite_last_token - replace the last generated token; MR_TEXT_NOTHING_GENERATED where
 * the last one is the prompt's. One commit: others see the old or the new one. */
int mr_text_overwrite_last_token(mr_text *text, int64_t token);

/* mr_text_consume_recently_generated_tokens - the generated tokens that weren't consumed yet, as a
 * view; MR_TEXT_NOTHING_OUTSTANDING if there are none. One commit. */
int mr_text_consume_recently_generated_tokens(mr_text *text, mr_tokens *tokens);

/* mr_text_reset_as_new_prompt - all tokens become the prompt, nothing of it processed: the buffer's
 * half of mr_text_reset(). A placeholder is deleted first (Q30). One commit. */
int mr_text_reset_as_new_prompt(mr_text *text);

/* ---- fields ---- */

/* What the request asked for, and what came of it. Texts and ids are views of shared memory, valid
 * as long as the context is held. */
int64_t mr_text_max_length(const mr_text *text);
int64_t mr_text_min_tokens(const mr_text *text);
int mr_text_log_probabilities(const mr_text *text);        /* number of top alternatives wanted */
bool mr_text_wants_log_probabilities(const mr_text *text); /* also true for "0 alternatives" */
bool mr_text_log_probabilities_echo(const mr_text *text);
bool mr_text_ignore_eos(const mr_text *text);
mr_bytes mr_text_json_schema(const mr_text *text);                        /* length 0: none */
mr_bytes mr_text_target_endpoint(const mr_text *text);                    /* length 0: none */
const int64_t *mr_text_eos_token_ids(const mr_text *text, size_t *count); /* *count is set */
size_t mr_text_eos_sequence_count(const mr_text *text);
mr_tokens mr_text_eos_sequence(const mr_text *text, size_t i); /* no tokens: there is no i-th */
bool mr_text_is_initial_prompt(const mr_text *text);
enum mr_status mr_text_status(const mr_text *text);
void mr_text_set_status(mr_text *text, enum mr_status status); /* one commit */
bool mr_text_is_done(const mr_text *text);

/*
 * A grammar matcher is an object of the worker's own: it is not in shared memory, and a new owner
 * rebuilds it from the tokens behind the original prompt. mr_text_update() and mr_text_jump_ahead()
 * ask it before they change anything and tell it after they have.
 */
typedef struct mr_matcher {
    bool (*accepts)(void *self, int64_t token); /* would it take the token? changes nothing */
    void (*accept)(void *self, int64_t token);  /* take it */
    void *self;

    /* What follows may be NULL. */
    void (*restart)(void *self); /* be as before the first token */

    /* Set the bit of each token in [0, vocabulary) that it would take; all are clear. */
    void (*mask)(const void *self, uint64_t *bits, size_t vocabulary);

    /* True when it would take one token alone, *token. */
    bool (*forced)(const void *self, int64_t *token);
} mr_matcher;

/* mr_text_set_matcher, mr_text_matcher - the context's matcher, in this process's view alone: it is
 * gone when the context is handed on or put back, and `self` stays the caller's to free */
void mr_text_set_matcher(mr_text *text, const mr_matcher *matcher); /* copied; NULL: none */
const mr_matcher *mr_text_matcher(const mr_text *text);             /* NULL: none */

/*
 * mr_text_rebuild_matcher - bring a matcher to where the context stands: for who was given a
 * context that others have worked on
 *
 * Restarts it and gives it the tokens behind the original prompt. Returns 0; -EINVAL with
 * MR_TEXT_MATCHER if it refuses one of them (then it is not the matcher of this request);
 * -ENOTSUP without a matcher that can restart.
 */
int mr_text_rebuild_matcher(mr_text *text);

/* mr_text_matcher_mask - which tokens may come next: bit t % 64 of bits[t / 64]. All without a
 * matcher. `bits` has room for (vocabulary + 63) / 64 words. */
void mr_text_matcher_mask(const mr_text *text, uint64_t *bits, size_t vocabulary);

/*
 * mr_text_jump_forced - jump ahead over the tokens that the matcher forces, at most `limit`
 *
 * Returns how many, 0 without a matcher that can tell; or an error of mr_text_jump_ahead() for the
 * first of them. Stops when the context is done. Each token is one commit.
 */
int mr_text_jump_forced(mr_text *text, int limit);

/* ---- operations ---- */

/* mr_text_update - one step's token (or, while chunked, the end of a chunk)
 *   logprobs  NULL: none; copied
 * Returns 0, or an error as above (MR_TEXT_AFTER_FUTURE, _NEGATIVE_TOKEN, _MATCHER, _CAPACITY). */
int mr_text_update(mr_text *text, int64_t token, const mr_logprobs *logprobs);

/*
 * mr_text_update_with_future_token, mr_text_realize_future_token - a step whose token comes later
 *
 * The first appends a placeholder, MR_FUTURE_TOKEN, so that the next step can be prepared; it lives
 * in this process's view alone, and nothing is committed. The second puts the token in its place,
 * with its status: one commit.
 * Returns 0; the first 1 when the context is chunked: the chunk was advanced and no placeholder is
 * there (Q26). Errors: MR_TEXT_FUTURE_TWICE, _FUTURE_MATCHER (a matcher can't follow),
 * _REALIZE_EMPTY, _REALIZE_NOT_FUTURE, _NEGATIVE_TOKEN, _CAPACITY.
 */
int mr_text_update_with_future_token(mr_text *text);
int mr_text_realize_future_token(mr_text *text, int64_t token, const mr_logprobs *logprobs);

/* mr_text_jump_ahead - append a token that was not sampled: it joins the active tokens, and ends
 * the context where it is an end. While chunked, and errors: as mr_text_update(). One commit. */
int mr_text_jump_ahead(mr_text *text, int64_t token);

/* mr_text_reset - begin anew with all tokens as the prompt, for who lost its KV cache: nothing is
 * processed, min_tokens and stop sequences count from here (Q24), a finished status stays (Q31).
 * Returns 0, or MR_TEXT_RESERVED. One commit. */
int mr_text_reset(mr_text *text);

/* mr_text_compute_num_available_steps - max_seq_len less the tokens before the active ones: so many
 * steps fit a model with sequences of that length; may be negative */
int64_t mr_text_compute_num_available_steps(const mr_text *text, int64_t max_seq_len);

/* mr_text_put_echo_logprob - log-probability of the prompt's token at `position` >= 1, to be
 * committed with the next step; positions must come in order; one that was already stored (by this
 * holder or one before it) is skipped and 0 returned. */
int mr_text_put_echo_logprob(mr_text *text, int64_t position, const mr_logprob *logprob);

/* mr_text_min_token_mask - whether the position current_position + step lies where ending tokens
 * are forbidden; the ids are those of mr_text_eos_token_ids() (MAX: get_min_token_logit_mask) */
bool mr_text_min_token_mask(const mr_text *text, int64_t step);

/* What to_generation_output gave: views valid until the next mutating operation. */
typedef struct mr_text_output {
    mr_tokens tokens;
    enum mr_status status;
    size_t logprob_count; /* records among them; positions without one are skipped (Q20) */
} mr_text_output;

/* mr_text_to_generation_output - consumes the generated tokens that weren't consumed yet; none is
 * no error. MR_TEXT_OUTPUT_FUTURE while a placeholder is there (Q29). One commit. */
int mr_text_to_generation_output(mr_text *text, mr_text_output *output);

/* Record i in [0, logprob_count) of the last output: its index in the token array and its contents.
 * `entries` has room for `room` entries and `tops` for `top_room`; counts are returned in
 * *logprobs. -ENOSPC if they don't fit. */
int mr_text_output_logprobs(const mr_text *text, size_t i, int64_t *position, mr_logprobs *logprobs,
                            mr_logprob *entries, size_t room, mr_top_logprob *tops,
                            size_t top_room);

/* TextGenerationOutput: a piece of a request's output that stands for itself. */
typedef struct mr_generation {
    mr_bytes request_id;
    mr_tokens tokens;
    enum mr_status final_status; /* now; done is what isn't MR_ACTIVE */
    bool has_logprobs;           /* false: none, which isn't the same as an empty list */
    const mr_logprobs *logprobs;
    size_t logprob_count;
} mr_generation;

/*
 * mr_generation_merge - pieces of one request as one: id of the first, status of the last
 *
 *   tokens, records  room for all tokens and log-probability records of the parts, which *merged
 *                    points to; what the records point to stays the parts'
 *
 * Returns 0, -EINVAL (MR_TEXT_MERGE_EMPTY; MR_TEXT_MERGE_MIXED: only some have log-probabilities,
 * which does happen, as positions without a record are skipped), -ENOSPC.
 */
int mr_generation_merge(const mr_generation *parts, size_t count, int64_t *tokens,
                        size_t token_room, mr_logprobs *records, size_t record_room,
                        mr_generation *merged);

/* ---- several contexts at once ---- */

/* mr_reserve_enter - room for n more tokens in each context, in this process's view only, until
 * mr_reserve_leave(): lengths and the active window are larger by n, the tokens undefined, and
 * mutations are refused. n may be negative. Undone by itself when the process dies.
 * Errors: MR_TEXT_RANGE_END, MR_TEXT_CAPACITY, -EEXIST (a context or request id twice); then no
 * scope is open. */
int mr_reserve_enter(mr_text *const *batch, size_t count, int64_t n);
void mr_reserve_leave(mr_text *const *batch, size_t count);

#ifdef __cplusplus
}
#endif
#endif
