/*
 * collector.h - from committed tokens to records in the output, exactly once
 */
#ifndef RUNTIME_COLLECTOR_COLLECTOR_H
#define RUNTIME_COLLECTOR_COLLECTOR_H

#include "runtime/tokenizer/vocabulary.h"
#include <millrace/emission.h>

struct collector_options {
    mr_member *member; /* joined as MR_ROLE_COLLECTOR */
    const vocabulary *vocabulary;
    int target; /* descriptors, as in output.h */
    int spool;  /* -1: none */
};

/*
 * collector_run - collect until told to leave
 *
 * Returns 0 (told to leave, and everything is sent), -EPIPE (the output's reader is gone),
 * -EINVAL, -EBADF (the output can't be written at all) or another -errno; all but 0 were said on
 * stderr. Killed at any instruction, or ended by an error: a successor goes on to the byte.
 */
int collector_run(const struct collector_options *options);

#endif
