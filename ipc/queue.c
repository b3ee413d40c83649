/*
 * queue.c - hints and the doorbell
 *
 * A producer makes a system call only when somebody sleeps. A consumer sets its bit in `sleepers`,
 * fences, looks at the ring once more and only then sleeps; a producer pushes, fences, then looks
 * at the bits. One of the two must see the other (D1, D2: seq_cst fences; with anything weaker both
 * may read the old value, and the consumer sleeps beside a full ring).
 *
 * A mask and not one flag: a producer that cleared the flag of several sleepers and woke one would
 * leave the second asleep while the first is at work (tests/model/doorbell.pml, FLAG). Bits are set
 * and cleared by their owner, and by the sweep once the owner is dead.
 *
 * The semaphore is posted only while it holds fewer posts than there are sleepers: a sleeper that
 * is slow to wake must not pile up posts, each of which would end a later sleep for nothing. A
 * process killed inside sem_wait() leaves glibc's count of waiters one too high, which costs later
 * posts a system call and is never wrong; so semaphores are not re-initialised after a death.
 *
 * Wake-ups die too (a producer killed between push and post, a sleeper that was woken and killed
 * before it took the post): after each death the supervisor rings all bells, once a consumer,
 * whatever the semaphore holds. A post of which the sleeper died counts in it, but wakes nobody.
 */
#include "ipc/queue.h"
#include "ipc/member.h"
#include "ipc/ring.h"
#include "ipc/slot.h"
#include <errno.h>
#include <time.h>
#include <unistd.h>

enum { SLEEP_MS = 100 };

static bool has_something(const mr_domain *domain, uint32_t number)
{
    const mr_ring *ring = &domain->queues[number].ring;

    return !mr_ring_empty(ring, domain->entries[number]) ||
           atomic_load_explicit(&ring->rescan, memory_order_relaxed);
}

static void notify(const mr_domain *domain, uint32_t number)
{
    uint64_t one = 1;

    if (domain->eventfds[number] >= 0) {
        ssize_t written = write(domain->eventfds[number], &one, sizeof(one));

        (void)written; /* EAGAIN: the count is at its limit, so it is readable already */
    }
}

static void post(const mr_domain *domain, uint32_t number, bool all)
{
    mr_doorbell *bell = &domain->queues[number].doorbell;
    uint64_t sleepers = atomic_load_explicit(&bell->sleepers, memory_order_relaxed);

    if (sleepers) {
        int wanted = __builtin_popcountll(sleepers);
        int posted = 0;

        if (!all)
            sem_getvalue(&bell->semaphore, &posted);
        for (int i = posted; i < wanted; i++) {
            sem_post(&bell->semaphore);
            if (!all)
                break;
        }
    }
    if (atomic_load_explicit(&bell->watchers, memory_order_relaxed))
        notify(domain, number);
}

void mr_queue_push(mr_domain *domain, uint32_t number, uint32_t index, uint32_t generation)
{
    mr_queue *queue;

    if (number >= MR_QUEUES) /* a stage that was spoiled meanwhile: the audit finds the slot */
        return;
    queue = &domain->queues[number];
    if (mr_ring_push(&queue->ring, domain->entries[number], mr_hint_make(index, generation)))
        mr_queue_rescan_raise(domain, number);
    atomic_thread_fence(memory_order_seq_cst); /* D1 */
    post(domain, number, false);
}

int mr_queue_pop(mr_domain *domain, uint32_t number, uint32_t *index, uint32_t *hint)
{
    mr_queue *queue = &domain->queues[number];

    for (;;) {
        int rc = mr_ring_pop(&queue->ring, domain->entries[number], hint);

        if (rc)
            return rc;
        *index = (uint32_t)(*hint & MR_INDEX_MASK);
        if (*index < domain->slot_count)
            return 0;
    }
}

bool mr_queue_rescan_begin(mr_domain *domain, uint32_t number)
{
    mr_word *rescan = &domain->queues[number].ring.rescan;

    return atomic_load_explicit(rescan, memory_order_relaxed) &&
           atomic_exchange_explicit(rescan, 0, memory_order_acq_rel);
}

void mr_queue_rescan_raise(mr_domain *domain, uint32_t number)
{
    atomic_exchange_explicit(&domain->queues[number].ring.rescan, 1, memory_order_acq_rel);
}

void mr_queue_ring_all(mr_domain *domain, uint32_t number)
{
    atomic_thread_fence(memory_order_seq_cst); /* D1 */
    post(domain, number, true);
}

static struct timespec in_ms(int ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

void mr_queue_sleep(mr_domain *domain, uint32_t number, unsigned member, int timeout)
{
    mr_queue *queue = &domain->queues[number];
    uint64_t bit = UINT64_C(1) << member;
    struct timespec until = in_ms(timeout >= 0 && timeout < SLEEP_MS ? timeout : SLEEP_MS);

    atomic_fetch_or_explicit(&queue->doorbell.sleepers, bit, memory_order_acq_rel);
    atomic_thread_fence(memory_order_seq_cst); /* D2 */
    if (!has_something(domain, number) && mr_domain_phase(domain) < MR_PHASE_STOP)
        sem_clockwait(&queue->doorbell.semaphore, CLOCK_MONOTONIC, &until);
    atomic_fetch_and_explicit(&queue->doorbell.sleepers, ~bit, memory_order_acq_rel);
}

bool mr_queue_watch(mr_domain *domain, uint32_t number, unsigned member)
{
    mr_queue *queue = &domain->queues[number];

    atomic_fetch_or_explicit(&queue->doorbell.watchers, UINT64_C(1) << member,
                             memory_order_acq_rel);
    atomic_thread_fence(memory_order_seq_cst); /* D2 */
    return has_something(domain, number);
}

void mr_queue_unwatch(mr_domain *domain, uint32_t number, unsigned member)
{
    mr_doorbell *bell = &domain->queues[number].doorbell;
    uint64_t bit = UINT64_C(1) << member, count;
    ssize_t got;

    if (!(atomic_fetch_and_explicit(&bell->watchers, ~bit, memory_order_acq_rel) & bit))
        return;
    got = read(domain->eventfds[number], &count, sizeof(count)); /* non-blocking: empties it */
    (void)got;
    /* emptied for the other watchers too: what is there may be more than this one will take */
    if (atomic_load_explicit(&bell->watchers, memory_order_relaxed) &&
        has_something(domain, number))
        notify(domain, number);
}

void mr_queue_forget(mr_domain *domain, uint32_t number, unsigned member)
{
    mr_doorbell *bell = &domain->queues[number].doorbell;

    atomic_fetch_and_explicit(&bell->sleepers, ~(UINT64_C(1) << member), memory_order_acq_rel);
    atomic_fetch_and_explicit(&bell->watchers, ~(UINT64_C(1) << member), memory_order_acq_rel);
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

bool mr_queue_spin(mr_domain *domain, uint32_t number)
{
    uint64_t end = mr_monotonic_ns() + (uint64_t)domain->spin_us * 1000;

    do {
        for (int i = 0; i < 16; i++) {
            if (has_something(domain, number))
                return true;
            pause_briefly();
        }
    } while (mr_monotonic_ns() < end);
    return false;
}
