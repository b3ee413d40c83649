/*
 * millrace/emission.h - the collector's side: each result appears exactly once, to the byte
 *
 * One process at a time emits. It takes hints, reads committed tokens from its own mark, appends to
 * the output and then commits by one word: the output's length and the marks of all contexts that
 * the bytes belong to. A successor cuts the output to the committed length and goes on.
 *
 *     open -> cut the output to mr_emission_length() -> look at every context once
 *     { mr_emission_next(); mr_emission_view(); write; mr_emission_commit() }*
 *
 * All of it belongs to one thread of the member that opened it.
 */
#ifndef MILLRACE_EMISSION_H
#define MILLRACE_EMISSION_H

#include <millrace/member.h>
#include <millrace/text.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_emission mr_emission;

/*
 * What the collector sees of a context: a consistent snapshot of its cursors as of one commit, and
 * views of the arrays, valid as long as the context isn't committed as final by this collector.
 * `tokens` are all tokens, prompt and generated; only [0, tokens.count) may be read. The last token
 * counts from `last_token` (which the array may not have yet).
 */
typedef struct mr_view {
    mr_handle handle;
    uint32_t kind;   /* enum mr_kind */
    uint32_t done;   /* 1: nothing will be added any more; the snapshot is the final one */
    uint32_t failed; /* 1: ended by an error, see `failure` */
    uint32_t cancel; /* enum mr_cancel */
    uint32_t status; /* enum mr_status, of the snapshot */
    uint32_t choice; /* index among the choices of its request */
    uint32_t choices;
    uint32_t resets;  /* how often it was taken over from a dead worker or put back */
    uint64_t ordinal; /* of its record in the input */
    uint64_t input_end;
    uint64_t accepted;     /* CLOCK_BOOTTIME, nanoseconds */
    int64_t prompt_length; /* the original one */
    mr_tokens tokens;
    int64_t last_token; /* of tokens.ids[tokens.count - 1] */
    mr_bytes request_id;
    mr_bytes model_name;
    mr_bytes reply;
    mr_bytes failure; /* sentence */
    uint32_t want_log_probabilities;
    uint32_t log_probabilities;
    uint32_t log_probabilities_echo;
    uint32_t emitted_final;  /* 1: its final record is in the output: commit it as final again */
    uint64_t emitted_tokens; /* marks, as committed by mr_emission_commit() */
    uint64_t emitted_bytes;
    const mr_sampling *sampling;
    uint64_t reserved[4];
} mr_view;

/* One context's part of a commit. */
typedef struct mr_emitted {
    mr_handle handle;
    uint64_t tokens; /* generated tokens whose text is in the output, in all */
    uint64_t bytes;  /* bytes of text in the output, in all */
    uint32_t final;  /* 1: the final record too; the slot is given back */
    uint32_t reserved;
} mr_emitted;

/* Parts that one commit takes at most. */
enum { MR_MAX_EMITTED = 128 };

/*
 * mr_emission_open - become the collector, after whatever happened to the last one
 *
 *   deaths   how often a collector died in a row while it worked on *suspect; at max_attempts that
 *            one must be answered with a plain error instead
 *
 * Copies the marks of the last commit to the contexts once more and frees what was final.
 * Afterwards mr_emission_next() gives every context in use once. Returns 0, -EPERM.
 */
int mr_emission_open(mr_emission **emission, mr_member *member, mr_handle *suspect,
                     unsigned *deaths);

/* mr_emission_close - frees it; the member goes on; NULL is fine */
void mr_emission_close(mr_emission *emission);

/* Bytes of the output that count: it must be cut to this before anything is appended. */
uint64_t mr_emission_length(const mr_emission *emission);

/*
 * mr_emission_next - a context that may have something new
 *
 * Waits up to `timeout` milliseconds (MR_WAIT, 0). Clears the context's news flag, so that what is
 * committed later brings a new hint: call mr_emission_view() after it, not before.
 * Returns 0, -EAGAIN (timeout), -ESHUTDOWN (leave now).
 */
int mr_emission_next(mr_emission *emission, mr_handle *handle, int timeout);

/* mr_emission_fd, mr_emission_arm - for event loops, as mr_worker_fd() and mr_worker_arm() */
int mr_emission_fd(const mr_emission *emission);
int mr_emission_arm(mr_emission *emission);

/* mr_emission_view - look at a context; -ESTALE if the handle's time is over, -EAGAIN if it isn't
 * accepted yet, -EBADMSG if it is corrupt (then `handle` and `done` are right all the same, `reply`
 * and `ordinal` what is left of them). Remembers it as the one at work, for mr_emission_open()'s
 * `suspect`. */
int mr_emission_view(mr_emission *emission, mr_handle handle, mr_view *view);

/* mr_emission_choice - handle of choice `choice` of the same request; -ESTALE, -EAGAIN (not made
 * yet), -ENOENT (it was made, and its slot was overwritten since) */
int mr_emission_choice(mr_emission *emission, mr_handle of, uint32_t choice, mr_handle *handle);

/* mr_emission_logprobs - the record of the token at index `position`, as of the last view
 *   entries, tops  room for the result, as in mr_text_output_logprobs()
 * Returns 0, -ENOENT (none), -ENOSPC. Cheap when asked in rising order of positions. */
int mr_emission_logprobs(mr_emission *emission, mr_handle handle, int64_t position,
                         mr_logprobs *logprobs, mr_logprob *entries, size_t room,
                         mr_top_logprob *tops, size_t top_room);

/*
 * mr_emission_context - a finished context as a whole, for what a view doesn't show: its arrays
 * (mr_context_array()), its image (mr_pixel_to_generation_output()), its speech tokens
 *
 * For reading alone. Valid until the next call of this function, or until the context is committed
 * as final. Returns 0; -ESTALE; -EAGAIN (not done yet); -EBADMSG if it is corrupt.
 */
int mr_emission_context(mr_emission *emission, mr_handle handle, mr_context **context);

/* mr_emission_stop - the text is complete (a stop string was found): its worker may stop now */
void mr_emission_stop(mr_emission *emission, mr_handle handle);

/*
 * mr_emission_commit - `length` bytes of the output now count, and with them `parts`
 *
 * At most MR_MAX_EMITTED parts; all choices of a request that end together belong in one commit.
 * The bytes must be written before. One word decides; killed before it the bytes are cut away,
 * after it the rest is done by a successor. A final part's slot is free afterwards.
 */
int mr_emission_commit(mr_emission *emission, uint64_t length, const mr_emitted *parts,
                       size_t count);

/* mr_emission_time - when the last commit was made (nanoseconds of CLOCK_BOOTTIME), for
 * mr_trace.emitted of the requests that it ended. Plain stores. Killed before it: their time isn't
 * known. */
void mr_emission_time(mr_emission *emission, uint64_t now);

#ifdef __cplusplus
}
#endif
#endif
