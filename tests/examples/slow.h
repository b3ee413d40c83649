/*
 * slow.h - included before a worker's source, it makes each step slow enough to be killed in
 */
#ifndef TESTS_EXAMPLES_SLOW_H
#define TESTS_EXAMPLES_SLOW_H

#define _GNU_SOURCE
#include <millrace/worker.h>
#include <unistd.h>

static inline int update_slowly(mr_text *text, int64_t token, const mr_logprobs *logprobs)
{
    usleep(100);
    return mr_text_update(text, token, logprobs);
}

#define mr_text_update update_slowly

#endif
