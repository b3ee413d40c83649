/*
 * group.h - a whole group in miniature, for the tests of libmillrace
 *
 * Tokenizer, workers and collector as plain functions over the public headers, with a model that is
 * a hash, so that every answer is known beforehand. The same bodies run as threads of one process
 * (ThreadSanitizer sees the protocols) and as processes (which can be killed).
 */
#ifndef MILLRACE_TESTS_IPC_GROUP_H
#define MILLRACE_TESTS_IPC_GROUP_H

#include <millrace/millrace.h>
#include <stdio.h>

typedef struct group_plan {
    uint64_t requests; /* ordinals 1 .. requests */
    uint32_t slots;
    uint32_t capacity; /* of a worker */
    uint64_t arena_bytes;
    bool stream; /* pieces are written as they come */
} group_plan;

/* How a request of this plan looks: some are refused, some have several choices. */
uint32_t group_choices(uint64_t ordinal);
bool group_refused(uint64_t ordinal);
int64_t group_prompt_length(uint64_t ordinal);
int64_t group_generated(uint64_t ordinal);

mr_domain_options group_domain(const group_plan *plan);

/* Bodies: return 0 when they left in order. `output` is a descriptor of a regular file. */
int group_tokenizer(mr_member *member, const group_plan *plan);
int group_worker(mr_worker *worker, const group_plan *plan);
int group_collector(mr_member *member, const group_plan *plan, int output);

/* True when everything was taken in and emitted. */
bool group_finished(const mr_domain *domain);

/* The output's records must be those of the plan, each once and whole, in any order; says what is
 * wrong otherwise. Pieces joined must be the final texts. */
bool group_output_is_right(const group_plan *plan, int output, char *why, size_t why_size);

#endif
