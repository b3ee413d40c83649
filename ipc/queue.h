/*
 * queue.h - a ring together with the doorbell on which its consumers sleep (private to ipc/)
 */
#ifndef MILLRACE_IPC_QUEUE_H
#define MILLRACE_IPC_QUEUE_H

#include "ipc/domain.h"
#include <millrace/member.h>

/* mr_queue_push - hint that slot `index` may want this queue's consumers, and ring the bell. Never
 * waits: a full ring drops the hint and raises `rescan`. */
void mr_queue_push(mr_domain *domain, uint32_t queue, uint32_t index, uint32_t generation);

/* mr_queue_pop - the oldest hint's slot, an index below the domain's slots; -EAGAIN */
int mr_queue_pop(mr_domain *domain, uint32_t queue, uint32_t *index, uint32_t *hint);

/* mr_queue_rescan_begin - true if somebody dropped a hint: the caller must look at ALL slots, or
 * raise it again. Lowers the flag before the look, so that what is dropped during it isn't missed.
 */
bool mr_queue_rescan_begin(mr_domain *domain, uint32_t queue);
void mr_queue_rescan_raise(mr_domain *domain, uint32_t queue);

/* mr_queue_ring - wake sleepers: as many as there are, or one */
void mr_queue_ring_all(mr_domain *domain, uint32_t queue);

/* mr_queue_sleep - wait until the queue has something, at most `timeout` ms (bounded to 100 ms by
 * itself, since nobody rings when the supervisor dies). Returns at once if it has something. */
void mr_queue_sleep(mr_domain *domain, uint32_t queue, unsigned member, int timeout);

/* For event loops: set the watcher's bit, then look. True: there is something, don't sleep. The bit
 * stays until mr_queue_unwatch(). */
bool mr_queue_watch(mr_domain *domain, uint32_t queue, unsigned member);
void mr_queue_unwatch(mr_domain *domain, uint32_t queue, unsigned member);

/* mr_queue_forget - clear a dead member's bits */
void mr_queue_forget(mr_domain *domain, uint32_t queue, unsigned member);

/* mr_queue_spin - look for up to the domain's spin time; true as soon as there is something */
bool mr_queue_spin(mr_domain *domain, uint32_t queue);

#endif
