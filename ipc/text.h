/*
 * text.h - what the files of the text part share (private to ipc/)
 *
 *     tokens.c        the token buffer: views' limits move, tokens are appended
 *     text.c          the operations of TextContext on top of it
 *     text_output.c   what was generated and not yet delivered
 *     text_state.c    a view is loaded, begun, taken over
 *     text_fields.c   reading
 *     matcher.c       a grammar's matcher beside it
 *     logprobs.c      the records of log-probabilities
 *     reserve.c       the reserve scope
 *
 * An operation checks everything, then changes `now`, then publishes it. The words are named in
 * layout.h; with the letters of the contexts specification: tokens [0, L), prompt [0, P), active
 * [S + O, E), not yet delivered [A, B).
 *
 * Invariants of what is committed:
 *   0 <= S <= E <= L <= capacity,  0 <= S + O <= E,  E == L unless chunked
 *   1 <= P <= A <= B == L,  original prompt <= BASE <= P
 */
#ifndef MILLRACE_IPC_TEXT_H
#define MILLRACE_IPC_TEXT_H

#include "ipc/context.h"

/* The array of a range that holds words; `count` of them. */
static inline const int64_t *mr_context_words(const mr_context *context, const mr_range *range,
                                              size_t *count)
{
    *count = range->bytes / sizeof(int64_t);
    return (const int64_t *)(const void *)(context->domain->data + range->offset);
}

/* The stop sequences that were not yet looked at: {length, tokens} one behind the other. */
typedef struct mr_sequences {
    const int64_t *at;
    size_t words;
} mr_sequences;

static inline mr_sequences mr_text_sequences(const mr_context *context)
{
    mr_sequences all;

    all.at = mr_context_words(context, &context->params.eos_sequences, &all.words);
    return all;
}

/* False at the end, or where the lengths make no sense. */
static inline bool mr_text_next_sequence(mr_sequences *rest, mr_tokens *sequence)
{
    uint64_t length = rest->words ? (uint64_t)*rest->at : 0;

    if (!rest->words || length > rest->words - 1)
        return false;
    *sequence = (mr_tokens){rest->at + 1, (size_t)length};
    rest->at += 1 + length;
    rest->words -= 1 + (size_t)length;
    return true;
}

/* mr_text_refuse - fail with an error code of a kind; "cannot OPERATION 'ID': WHY" */
int mr_text_refuse(const mr_context *context, int code, const char *operation, const char *why);

/* mr_text_changeable - 0, or an error inside a reserve scope, where nothing may be changed */
int mr_text_changeable(const mr_context *context, const char *operation);

/* mr_text_publish - commit `now`, unless a placeholder, a reserve scope or a hold makes it wait */
void mr_text_publish(mr_context *context);

/* mr_text_check_append - may one more token be appended? */
int mr_text_check_append(const mr_context *context, const char *operation, int64_t token);

/* mr_text_append - in the private view; the caller has checked and publishes */
void mr_text_append(mr_context *context, int64_t token, bool mark_previous_as_processed);

/* mr_text_replace_last - another last token, in the order that a kill may interrupt; publishes */
void mr_text_replace_last(mr_context *context, int64_t token);

/* mr_text_next_chunk - what advance_chunk does, in the private view */
void mr_text_next_chunk(mr_context *context);

/* mr_text_restart - all tokens become prompt, nothing is processed; in the private view. A
 * placeholder is deleted, together with what it alone did to the status. */
void mr_text_restart(mr_context *context);

/* ---- log-probability records (logprobs.c) ---- */

/* mr_records_begin - an empty log; the memory may hold anything */
void mr_records_begin(mr_context *context);

/* mr_records_check - is there room for one more? NULL always fits */
int mr_records_check(const mr_context *context, const char *operation, const mr_logprobs *record);

/* mr_records_append - in the private view, behind the committed bytes; NULL adds nothing */
void mr_records_append(mr_context *context, int64_t key, const mr_logprobs *record);

/* mr_records_seek - the last record under `key` at or behind byte *at, which moves so that the next
 * larger key can be searched from there */
bool mr_records_seek(const mr_context *context, uint64_t *at, int64_t key, uint64_t *found);

/* mr_records_read - contents of the record at byte `at`; -ENOSPC when they don't fit */
int mr_records_read(const mr_context *context, uint64_t at, mr_logprobs *logprobs,
                    mr_logprob *entries, size_t room, mr_top_logprob *tops, size_t top_room);

/* mr_records_pass - A has moved: skip records that can't be delivered any more */
void mr_records_pass(mr_context *context);

/* mr_records_drop - forget, after a reset, records that can never be delivered */
void mr_records_drop(mr_context *context);

/* mr_records_undelivered - keys of the records not yet delivered, in the order of the log and as
 * often as they were stored; returns how many there are, of which `room` are written. For tests. */
size_t mr_records_undelivered(const mr_context *context, int64_t *keys, size_t room);

#endif
