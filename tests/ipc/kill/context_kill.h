/*
 * context_kill.h - kill cases of operations on one context, of any kind
 *
 * A context is made, something is done to it, then one operation is cut off. What others can read
 * must be what it was before or what it is after, token for token, record for record, array for
 * array. Then a successor loads the context, takes it over twice (a sweep may be begun anew) and
 * goes on.
 */
#ifndef MILLRACE_TESTS_CONTEXT_KILL_H
#define MILLRACE_TESTS_CONTEXT_KILL_H

#include "tests/ipc/fixture.h"
#include "tests/ipc/kill/kill.h"

struct context_operation {
    struct fixture *(*make)(void);
    void (*before)(mr_context *context); /* or NULL */
    void (*operate)(mr_context *context);
    void (*damage)(mr_context *context); /* what an earlier kill left behind and nobody may see */
    const char *(*go_on)(mr_context *context); /* by the successor; NULL, or what is wrong */
};

/* A kill case whose `data` is a struct context_operation. */
void *context_prepare(const struct kill_case *self);
size_t context_memory(void *subject, struct kill_region regions[KILL_REGIONS]);
void context_operate(void *subject);
const char *context_check(void *subject, bool finished);
void context_discard(void *subject);

#define CONTEXT_CASE(name, ...)                                                                    \
    {                                                                                              \
        name, context_prepare, context_memory, context_operate, context_check, context_discard,    \
            &(const struct context_operation)                                                      \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

#endif
