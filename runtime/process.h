/*
 * process.h - how a process of the runtime begins: tokenizer and collector
 *
 * The supervisor starts both from its own binary with a hidden verb, as
 *
 *     mr-collector --attach DOMAIN [--log-level LEVEL]
 *
 * in a process group of its own, with SIGPIPE ignored, and with these descriptors besides stderr:
 *
 *     both       PROCESS_TABLES_FD  the model's vocabulary, ready to be mapped
 *                                   (tokenizer/tables.h)
 *
 *     tokenizer  PROCESS_INPUT_FD   the requests: a file or a stream
 *                PROCESS_SPOOL_FD   only if the input can't be read twice: a file to keep it in
 *                PROCESS_RELAY_..._FD  besides, if it isn't a pipe: the ends of one before the
 *                                   spool
 *
 *     collector  PROCESS_OUTPUT_FD  where the answers go
 *                PROCESS_SPOOL_FD   only if the output can't be cut: a file that is sent on from;
 *                                   its open file description is the supervisor's, so its offset
 *                                   outlives this process
 *
 * All else that they must know stands in the domain's note (note.h).
 */
#ifndef RUNTIME_PROCESS_H
#define RUNTIME_PROCESS_H

#include "runtime/note.h"
#include <millrace/member.h>

enum {
    PROCESS_INPUT_FD = 3,
    PROCESS_OUTPUT_FD = 3,
    PROCESS_SPOOL_FD = 4,
    PROCESS_RELAY_READ_FD = 5,
    PROCESS_RELAY_WRITE_FD = 6,
    PROCESS_TABLES_FD = 7
};

/* How a member ends tells the supervisor what to do about it. Any other end is a death: the place
 * is swept and the process started anew. Workers keep to the same. */
enum process_exit {
    PROCESS_DONE = 0,          /* it was told to leave, or has nothing more to do */
    PROCESS_FAILED = 1,        /* an error that may go away: a death like any other */
    PROCESS_IMPOSSIBLE = 2,    /* it would fail again in the same way, and has said why */
    PROCESS_MODEL_CHANGED = 3, /* the model file is no longer what it was */
    PROCESS_OUTPUT_CLOSED = 4, /* nobody reads the answers any more */
    PROCESS_INPUT_BROKEN = 5 /* the requests can't be read to their end; those read are taken in */
};

struct process {
    mr_member *member;
    struct note note;
    bool has_spool; /* which of the descriptors above it was given */
    bool has_relay;
};

/* The entries; they return an enum process_exit. */
int tokenizer_main(int argc, char **argv);
int collector_main(int argc, char **argv);

/*
 * process_begin - what both begin with: read the arguments, take the name, join the domain
 *
 * Returns 0, or -errno after it said why on stderr.
 */
int process_begin(struct process *process, int argc, char **argv, enum mr_role role);

/* process_status - how a process ends that could not begin: enum process_exit */
int process_status(int error);
void process_end(struct process *process); /* leaves the domain, frees the note */

#endif
