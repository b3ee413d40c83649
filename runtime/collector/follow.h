/*
 * follow.h - what the collector remembers of a context while its tokens come
 *
 * Most requests need nothing before they are done. Those with stop strings, and those that stream,
 * are followed: their text is made as the tokens are committed. What is remembered is only a
 * short-cut; it can be made again at any time from the tokens and the mark in the context.
 */
#ifndef RUNTIME_COLLECTOR_FOLLOW_H
#define RUNTIME_COLLECTOR_FOLLOW_H

#include "runtime/collector/detokenize.h"

struct followed {
    mr_handle handle; /* whose; another one makes the rest void */
    bool known;       /* `stream` and `wanted` are set */
    bool stream;
    bool wanted; /* its text is needed before the end */
    bool begun;  /* `text` is in use */
    bool told;   /* its worker knows that a stop string was found */
    uint64_t
        lonely; /* since when another choice of its request is missed, milliseconds; 0: none is */
    bool final; /* its final record is in the batch that is made now */
    unsigned part;    /* its place in that batch, plus one; 0: none */
    uint64_t seen;    /* generated tokens that were there at the last look, */
    uint64_t seen_at; /* and when that was: for the stats */
    struct detokenizer text;
};

/* followed_use - make it that of `handle`, forgetting what another context left there */
void followed_use(struct followed *followed, mr_handle handle);
void followed_forget(struct followed *followed);

/* followed_note - learn from the reply what is wanted of the context */
void followed_note(struct followed *followed, const struct reply *reply);

/*
 * followed_update - make the text of all tokens of a snapshot that are new
 *
 * For a stream, what is `ready` in followed->text afterwards is the piece that follows the mark in
 * the view. Returns 0, or -ENOMEM.
 */
int followed_update(struct followed *followed, const vocabulary *vocab, const mr_view *view,
                    const struct reply *reply);

#endif
