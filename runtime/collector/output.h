/*
 * output.h - where the records go, so that each of them arrives exactly once
 *
 * The collector appends, then commits the length by one word in shared memory (mr_emission_commit).
 * A successor begins with that length:
 *
 *   A file that can be cut is cut to it, so what was appended and not committed never was.
 *   What can't be cut (a pipe, a socket, a terminal) gets its bytes from a *spool*, a file that is
 *   cut in the same way. Committed bytes leave the spool by sendfile(2) alone, from the spool's own
 *   file offset: the kernel moves that offset in the very call that moves the bytes, and the open
 *   file description is held by the supervisor too, so the offset outlives any collector. Between
 *   "sent" and "known to be sent" there is no instruction at which to die.
 *
 * Place p of the output is place p of the spool. What was sent is punched out of it, so that it
 * takes bounded room; that is done only far behind the offset and in large whole pieces, because a
 * pipe or socket refers to the spool's pages until its reader takes them. When the reader is too
 * slow, output_write() waits.
 *
 * A failing write (a full disk) is said once and tried again each second.
 */
#ifndef RUNTIME_COLLECTOR_OUTPUT_H
#define RUNTIME_COLLECTOR_OUTPUT_H

#include "runtime/io.h"

enum {
    OUTPUT_UNSENT_MAX = 64 << 20, /* bytes of the spool that may wait to be sent */
    OUTPUT_KEPT = 16 << 20,       /* behind the offset: more than any pipe or socket holds */
    OUTPUT_PUNCHED = 8 << 20,     /* at once */
    OUTPUT_SPOOL_MAX =
        96 << 20 /* all that, and what one batch adds; a larger record adds its size */
};

struct output {
    struct io *io;
    int target;         /* where the bytes end */
    int file;           /* where they are appended: the spool, or the target itself */
    uint64_t length;    /* appended */
    uint64_t committed; /* of these, by output_commit() */
    uint64_t punched;
    bool has_spool;
    bool appends;                /* the target is a file that others append to as well */
    bool troubled;               /* the last try failed, which was said */
    uint64_t retry;              /* CLOCK_MONOTONIC, milliseconds: when to try again to send */
    bool (*patient)(void *self); /* asked while it waits: false ends the waiting */
    void *self;
};

/*
 * output_open - cut to the committed length and go on from there
 *
 *   spool    descriptor of the spool; -1: the target can be cut
 *   length   mr_emission_length()
 *   patient  asked several times a second while a full disk or a slow reader holds everything up
 *
 * Returns 0, or -errno after it said why.
 */
int output_open(struct output *output, int target, int spool, uint64_t length,
                bool (*patient)(void *self), void *self);
void output_close(struct output *output);

/* output_write - append; 0, -ESHUTDOWN (patience ended), -EPIPE (as output_send()) */
int output_write(struct output *output, const char *bytes, size_t count);

/* output_commit - all that was appended counts now (after mr_emission_commit()) */
void output_commit(struct output *output);

/*
 * output_send - send on what is committed, as far as it goes without waiting
 *
 * Returns 0 (all is sent, or there is no spool), 1 (the reader must take something first, see
 * output_events()), -EPIPE (nobody reads any more) or -errno (this kind of file can't be sent to).
 */
int output_send(struct output *output);

/* output_events - what to poll `target` for until output_send() can go on: POLLOUT, or 0 when only
 * time helps */
short output_events(const struct output *output);

/* output_finish - send the rest, however long the reader takes; as output_send(), and -ESHUTDOWN */
int output_finish(struct output *output);

#endif
