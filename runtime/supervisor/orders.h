/*
 * orders.h - what a running group is told to do over its control socket: drain, scale, cancel
 */
#ifndef RUNTIME_SUPERVISOR_ORDERS_H
#define RUNTIME_SUPERVISOR_ORDERS_H

#include "runtime/supervisor/supervisor.h"

/* orders_obey - carry out a command and answer its caller; at once, but for a drain, which is
 * answered when the worker has left */
void orders_obey(struct supervisor *run, const mr_control_event *event);

/* orders_member_left - a stranger's place was swept: who waited for that is answered */
void orders_member_left(struct supervisor *run, int member);

/* orders_worker_left - a worker that was told to leave has ended: it isn't started again */
void orders_worker_left(struct supervisor *run, struct child *child);

#endif
