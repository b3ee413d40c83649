/*
 * millrace/intake.h - the tokenizer's side: requests become contexts, each exactly once
 *
 * One process at a time takes requests in. It numbers the records of its input 1, 2, 3, ... (the
 * *ordinal*) and, for each in turn, admits a context (several for a request with several choices)
 * or a refusal. A successor learns from mr_intake_open() up to which record its predecessor came;
 * killed at any instruction, no record is skipped and none is taken twice.
 *
 * All of it belongs to one thread of the member that opened it.
 */
#ifndef MILLRACE_INTAKE_H
#define MILLRACE_INTAKE_H

#include <millrace/member.h>
#include <millrace/text.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_intake mr_intake;

/*
 * A request to be admitted. Everything is copied; nothing is kept. Begin with
 * {.size = sizeof(mr_request), .kind = MR_KIND_TEXT}.
 */
typedef struct mr_request {
    uint32_t size;
    uint32_t kind;      /* enum mr_kind */
    uint64_t ordinal;   /* of its record, >= 1 and larger than the intake mark's */
    uint64_t input_end; /* offset in the input behind its record */
    uint32_t stage;     /* where it begins, in [0, stages) */
    int32_t priority;
    uint64_t deadline; /* nanoseconds of CLOCK_BOOTTIME, 0: none */
    uint64_t accepted; /* nanoseconds of CLOCK_BOOTTIME when it was read, for latencies */

    mr_bytes request_id;
    mr_bytes model_name;
    mr_bytes reply; /* the runtime's own note to the collector; libmillrace doesn't look into it */

    /* text */
    const int64_t *prompt;
    size_t prompt_length;
    int64_t max_length; /* prompt and generated together */
    const int64_t *eos_token_ids;
    size_t eos_token_count;
    const mr_tokens *eos_sequences;
    size_t eos_sequence_count;
    const mr_logit_bias *logit_bias;
    size_t logit_bias_count;
    mr_bytes json_schema;
    mr_bytes target_endpoint;
    uint32_t log_probabilities; /* top alternatives to keep room for */
    uint32_t want_log_probabilities;
    uint32_t log_probabilities_echo;
    uint32_t ignore_eos;
    uint32_t draft_tokens; /* extra room for speculative decoding */
    uint32_t reserved;
    mr_sampling sampling; /* .choices >= 1: that many contexts, with .choice 0, 1, ... */

    /* the other kinds, each with its own header; NULL where the kind isn't that */
    const struct mr_vision_request *vision;
    const struct mr_tts_request *tts;
    const struct mr_pixel_request *pixel;
} mr_request;

typedef struct mr_intake_mark {
    uint64_t ordinal;   /* of the last record that was taken in whole; 0: none */
    uint64_t input_end; /* offset in the input behind it */
} mr_intake_mark;

/*
 * mr_intake_open - become the tokenizer, after whatever happened to the last one
 *
 * Gives half-made slots back and finds the mark. *deaths is how often a tokenizer died in a row
 * while the record behind the mark was at work (mr_intake_work()): at max_attempts that record must
 * be refused unread. Returns 0, -EPERM when the member isn't a tokenizer.
 */
int mr_intake_open(mr_intake **intake, mr_member *member, mr_intake_mark *mark, unsigned *deaths);

/* mr_intake_close - frees it; the member goes on; NULL is fine */
void mr_intake_close(mr_intake *intake);

/* mr_intake_work - the record `ordinal` is now at work (0: none): should this process die before
 * the next call, the death is laid at its door. mr_intake_wait() suspends it. */
void mr_intake_work(mr_intake *intake, uint64_t ordinal);

/*
 * mr_intake_check - MAX's checks of a request's fields and the domain's limits
 *
 * Returns 0, -EINVAL (mr_error_code() an enum mr_text_error or mr_sampling_error) or -E2BIG (it can
 * never fit in this domain: more choices than slots, longer than max_length, larger than the
 * arena).
 */
int mr_intake_check(mr_intake *intake, const mr_request *request);

/*
 * mr_intake_admit - accept a request: its contexts are READY for its first stage when this returns
 *
 * All slots and ranges that its choices need are taken at once or none.
 * Returns 0; -EAGAIN (no room now: mr_intake_wait()); or as mr_intake_check().
 * Acceptance is the publication of the last choice's slot; the intake mark follows. Killed between
 * two choices: a successor admits the same record again, and only the missing choices are made.
 */
int mr_intake_admit(mr_intake *intake, const mr_request *request);

/* mr_intake_refuse - a record that can't be accepted takes a slot too, DONE at once, so that its
 * answer is emitted exactly once: kind, ordinal, input_end, request_id and reply count */
int mr_intake_refuse(mr_intake *intake, const mr_request *request);

/* mr_intake_skip - a record that needs no answer (an empty line): moves the mark alone */
void mr_intake_skip(mr_intake *intake, uint64_t ordinal, uint64_t input_end);

/*
 * mr_intake_seen - whether an id was seen in an earlier record
 *
 *   hash  128 bits of it
 *
 * Returns 0 (new; now remembered as of `ordinal`), 1 (seen in a record before `ordinal`), -ENOSPC
 * (the table is full: ids are no longer checked).
 */
int mr_intake_seen(mr_intake *intake, const uint64_t hash[2], uint64_t ordinal);

/* mr_intake_finish - the input has ended (or was cut by a signal): no record will follow; kept for
 * successors. mr_intake_finished() asks. */
void mr_intake_finish(mr_intake *intake);
bool mr_intake_finished(const mr_intake *intake);

/* mr_intake_wait - sleep until a slot became free, at most `timeout` milliseconds; 0, -ETIMEDOUT,
 * or -ESHUTDOWN. _fd and _arm as mr_worker_fd() and mr_worker_arm(). */
int mr_intake_wait(mr_intake *intake, int timeout);
int mr_intake_fd(const mr_intake *intake);
int mr_intake_arm(mr_intake *intake);

#ifdef __cplusplus
}
#endif
#endif
