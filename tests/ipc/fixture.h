/*
 * fixture.h - one context of a one-slot domain, for tests of what can be done with a context
 *
 * The memory is anonymous and shared, so a child of fork(2) works on the same context as its
 * parent and may be killed in the middle; fixture_reload() then gives what a successor sees.
 */
#ifndef MILLRACE_TESTS_IPC_FIXTURE_H
#define MILLRACE_TESTS_IPC_FIXTURE_H

#include "ipc/context.h"
#include <millrace/intake.h>

struct fixture;

/* A request with a prompt of `count` tokens and defaults for the rest. */
mr_request fixture_request(const int64_t *prompt, size_t count, int64_t max_length);

/* fixture_new - a context of the request with room for at least `capacity` tokens; NULL when the
 * request is refused, mr_error_code() says why */
struct fixture *fixture_new(const mr_request *request, int64_t capacity);
void fixture_free(struct fixture *fixture);

/* The view under which the context is held; the same object for the fixture's whole life. */
mr_context *fixture_context(struct fixture *fixture);
mr_text *fixture_text(struct fixture *fixture);

/* fixture_reload - forget the view and load it anew from the committed state; 0 or -EBADMSG */
int fixture_reload(struct fixture *fixture);

#endif
