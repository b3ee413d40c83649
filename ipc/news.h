/*
 * news.h - telling the collector that a context has something new (private to ipc/)
 *
 * Many commits may make one hint: the flag is exchanged to 1, and only who found it 0 pushes. The
 * collector exchanges it to 0 BEFORE it reads state and cursors (an exchange, since a plain store
 * could be passed by the loads that follow: N1), so that a commit after its reading brings a new
 * hint. A worker killed between flag and push leaves a raised flag without a hint; the sweep
 * therefore hints every slot in use, flag up or not. Model: tests/model/news.pml.
 */
#ifndef MILLRACE_IPC_NEWS_H
#define MILLRACE_IPC_NEWS_H

#include "ipc/queue.h"
#include "ipc/slot.h"

static inline void mr_news_tell(mr_domain *domain, mr_handle handle)
{
    mr_slot *slot = &domain->slots[mr_handle_index(handle)];

    if (!atomic_exchange_explicit(&slot->news, 1, memory_order_acq_rel)) /* N1 */
        mr_queue_push(domain, MR_QUEUE_COLLECTOR, mr_handle_index(handle),
                      mr_handle_generation(handle));
}

static inline void mr_news_take(mr_slot *slot)
{
    atomic_exchange_explicit(&slot->news, 0, memory_order_acq_rel); /* N1 */
}

#endif
