/*
 * admit.h - from a line of the input to contexts in shared memory
 *
 * A line becomes a request (its contexts are READY when admit_line() returns), a refusal (a context
 * that only carries the error), or nothing (an empty line). Lines are numbered from 1, and a line's
 * number is its ordinal.
 */
#ifndef RUNTIME_TOKENIZER_ADMIT_H
#define RUNTIME_TOKENIZER_ADMIT_H

#include "runtime/tokenizer/material.h"
#include "runtime/tokenizer/model.h"
#include <millrace/intake.h>

enum { ADMIT_MAX_ENDS = REQUEST_MAX_STOP_IDS + 64 };

struct admission {
    mr_member *member;
    mr_intake *intake;
    struct model *model;
    const char *model_name; /* as the answers name it */
    bool stream;
    bool unchecked_ids; /* the table of custom_ids is full, and that was said */
    unsigned sample_rate;
    mr_domain_info info;
    int64_t ends[ADMIT_MAX_ENDS]; /* of the request at work: the tokens that end its answer */
    struct material material;     /* of it: what its kind needs */
};

/* What became of a line. */
enum admit_result {
    ADMIT_DONE = 0,
    ADMIT_DRAINED = 1, /* not taken: nothing more is to be accepted */
    ADMIT_STOPPED = 2  /* not taken: the domain stops */
};

/* admit_line - a line of `length` bytes that ends before `end`; an enum admit_result or -errno */
int admit_line(struct admission *admission, uint64_t line, uint64_t end, const char *bytes,
               size_t length);

/* admit_refusal - a line that is refused unread */
int admit_refusal(struct admission *admission, uint64_t line, uint64_t end,
                  const struct refusal *refusal);

#endif
