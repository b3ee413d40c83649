/*
 * millrace/context.h - one request's whole state, whatever its kind
 *
 * A mr_context is this process's view of a context that it holds: the arrays are read and written
 * in place in shared memory, the cursors are kept here and committed to shared memory by one word.
 * It belongs to the member that was given it (mr_worker_batch()) until it is handed on, put back
 * or failed; after that it must not be used. Not for use by two threads at once.
 */
#ifndef MILLRACE_CONTEXT_H
#define MILLRACE_CONTEXT_H

#include <millrace/sampling.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names one use of one slot: {generation 28, index 15 (low bits)}. Never reused for 2^28 uses. */
typedef uint64_t mr_handle;

typedef struct mr_context mr_context;
typedef struct mr_text mr_text; /* the text part of a context; see text.h */

enum mr_kind {
    MR_KIND_TEXT = 1,
    MR_KIND_VISION = 2,
    MR_KIND_TTS = 3,
    MR_KIND_PIXEL = 4,
    MR_KIND_REFUSAL = 5 /* a request that was refused at admission; never seen by a worker */
};

/* GenerationStatus of the contexts specification. */
enum mr_status { MR_ACTIVE = 0, MR_END_OF_SEQUENCE = 1, MR_MAXIMUM_LENGTH = 2, MR_CANCELLED = 3 };

/* Why a context is to end although its own status says "active". */
enum mr_cancel {
    MR_CANCEL_NONE = 0,
    MR_CANCEL_STOPPED = 1, /* the collector found a stop string; nothing more is needed */
    MR_CANCEL_CLIENT = 2,  /* cancelled by its client */
    MR_CANCEL_DEADLINE = 3
};

typedef struct mr_bytes {
    const char *bytes; /* not NUL-terminated */
    size_t length;
} mr_bytes;

/* mr_context_kind - what it is; constant. None of these calls fails: they read this process's view.
 */
enum mr_kind mr_context_kind(const mr_context *context);

/* mr_context_is_done - whether all work on it is done: mr_text_is_done(), for tts mr_tts_is_done()
 * (the audio), for pixel mr_pixel_is_done() */
bool mr_context_is_done(const mr_context *context);

/* mr_context_handle - names this use of its slot; constant while it is held */
mr_handle mr_context_handle(const mr_context *context);

/* The text part; NULL for kinds that have none (pixel, refusal). */
mr_text *mr_context_text(mr_context *context);

/* Whether the context should be handed on without further work (an enum mr_cancel, 0: no).
 * One relaxed load; ask once a step. */
enum mr_cancel mr_context_cancelled(const mr_context *context);

/* True when its last holders died without a step: work on it alone until it has committed one, so
 * that its death, if it kills again, is laid at its own door. mr_worker_batch() sees to it. */
bool mr_context_suspect(const mr_context *context);

/* Of the request, constant; texts and parameters are views, valid as long as it is held. */
const mr_sampling *mr_context_sampling(const mr_context *context);
mr_bytes mr_context_request_id(const mr_context *context);
mr_bytes mr_context_model_name(const mr_context *context);

/* Logit biases of the request; *count is set, also to 0. */
const mr_logit_bias *mr_context_logit_bias(const mr_context *context, size_t *count);

/* Deadline in nanoseconds of CLOCK_BOOTTIME, 0: none. Priority: higher is more urgent, default 0.
 */
uint64_t mr_context_deadline(const mr_context *context);
int32_t mr_context_priority(const mr_context *context);

/*
 * mr_context_hold, mr_context_release - several operations as one commit
 *
 * Between the two nothing is committed; others see the context as it was before, and who dies
 * inside leaves it so. A step that must be whole, say a token and the speech that belongs to it,
 * stands between them. A context that is put back while it is held goes back as it was before; it
 * must not be handed on then.
 */
void mr_context_hold(mr_context *context);
void mr_context_release(mr_context *context);

#ifdef __cplusplus
}
#endif
#endif
