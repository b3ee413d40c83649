/*
 * mill.h - a small mill around the collector under test: requests, a model and the right output
 *
 * The model is a hash, so every answer is known beforehand. Requests of all sorts come: chats and
 * completions, with stop strings, log-probabilities, echo and several choices, some that are
 * refused and some that a worker gives up. The vocabulary is that of words.h.
 *
 * Tokenizer and worker are plain functions over libmillrace's public headers: threads or processes.
 */
#ifndef TESTS_COLLECTOR_MILL_H
#define TESTS_COLLECTOR_MILL_H

#include "runtime/reply.h"
#include <millrace/millrace.h>

struct mill_plan {
    uint64_t requests; /* ordinals 1 to requests */
    unsigned slots;
    bool stream;
    uint64_t poison; /* the request that kills collectors; 0: none */
};

mr_domain_options mill_domain(const struct mill_plan *plan);

/* Bodies of members; they return 0 when told to leave. */
int mill_tokenizer(mr_member *member, const struct mill_plan *plan);
int mill_worker(mr_worker *worker);

/* mill_answered - whether all requests were taken in and all is emitted */
bool mill_answered(const mr_domain *domain, const struct mill_plan *plan);

/* mill_check - fails the test unless the output has each answer once, byte for byte, in any order,
 * and, if the plan streams, the pieces of each text without a gap before it */
void mill_check(const struct mill_plan *plan, const char *output, size_t length);

#endif
