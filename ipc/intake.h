/*
 * intake.h - what the intake's files share (private to ipc/)
 *
 *     intake.c    who comes next: marks, recovery, admission, duplicate ids
 *     request.c   one request: how much room it needs, how it fills a slot
 */
#ifndef MILLRACE_IPC_INTAKE_H
#define MILLRACE_IPC_INTAKE_H

#include "ipc/domain.h"
#include <millrace/intake.h>

/* mr_request_check - fields, limits of the domain; 0, -EINVAL, -E2BIG */
int mr_request_check(const mr_domain *domain, const mr_request *request);

/* mr_request_size - bytes of arena that one of its contexts needs */
uint64_t mr_request_size(const mr_request *request);

/* mr_request_fill - write choice `choice` into a FILLING slot whose range is slot->arena */
void mr_request_fill(mr_domain *domain, mr_slot *slot, const mr_request *request, uint32_t choice);

#endif
