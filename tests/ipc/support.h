/*
 * support.h - what the unit tests of libmillrace share
 */
#ifndef MILLRACE_TESTS_IPC_SUPPORT_H
#define MILLRACE_TESTS_IPC_SUPPORT_H

#include "ipc/context.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include <check.h>
#include <millrace/millrace.h>

/* A domain of `slots` slots that is removed by support_close(); fails the test if it can't be made.
 */
mr_domain *support_domain(uint32_t slots);
mr_domain *support_domain_with(mr_domain_options options);
void support_close(mr_domain *domain);
const char *support_name(const mr_domain *domain);

mr_member *support_join(mr_domain *domain, enum mr_role role);
mr_worker *support_worker(mr_domain *domain, uint32_t capacity);
mr_intake *support_intake(mr_domain *domain, mr_member **member);
mr_emission *support_emission(mr_domain *domain, mr_member **member);

/* A text request of three tokens, good for `new_tokens` more. */
mr_request support_request(uint64_t ordinal, int64_t new_tokens);

/* Die as a process does: the place stays taken, nothing is put back. */
void support_die(mr_domain *domain, int place);

uint32_t support_state(const mr_domain *domain, uint32_t index);
int support_run(Suite *suite);

#endif
