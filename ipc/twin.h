/*
 * twin.h - many words that change together, by one store
 *
 * A twin is a sequence word and two copies of n words; the low bit of the sequence says which copy
 * counts. There is one writer at a time: it fills the idle copy and stores the next number. So a
 * writer that is killed anywhere leaves the old values or the new ones, and never blocks a reader
 * (a seqlock over one copy would). All words are _Atomic: a reader may look at a copy while the
 * writer has moved on by two, and then throws away what it read.
 *
 * Model: tests/model/commit.pml. Orders, labelled at both ends:
 *   T1 release store of the sequence / T1 acquire load: who sees number s sees copy s & 1 whole,
 * and everything the writer stored before (tokens in the arena). T2 release fence before the first
 * store of the next commit: these stores can't rise above the last store of the sequence, so copy s
 * & 1 is quiet while the sequence is s. T3 acquire fence before the reader's second look: its loads
 * of the copy can't sink below it. If a load saw a word of commit s + 2, T2 and T3 make the second
 * look see s + 1 at least.
 */
#ifndef MILLRACE_IPC_TWIN_H
#define MILLRACE_IPC_TWIN_H

#include "ipc/layout.h"

/* T1 of the writer. A test weakens it to show that ThreadSanitizer sees the difference. */
#ifndef MR_COMMIT_ORDER
#define MR_COMMIT_ORDER memory_order_release
#endif

/* mr_twin_read - a consistent set of the first n words; returns the sequence it belongs to */
static inline uint64_t mr_twin_read(const mr_word *sequence, const mr_word *copies, size_t words,
                                    int64_t *values, size_t n)
{
    for (;;) {
        uint64_t s = atomic_load_explicit(sequence, memory_order_acquire); /* T1 */
        const mr_word *copy = copies + (s & 1) * words;

        for (size_t i = 0; i < n; i++)
            values[i] = (int64_t)atomic_load_explicit(&copy[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire); /* T3 */
        if (atomic_load_explicit(sequence, memory_order_relaxed) == s)
            return s;
    }
}

/* A commit in parts, by the one writer: begin, store into the idle copies of one or more arrays
 * that the sequence picks, end. */
static inline void mr_twin_begin(void)
{
    atomic_thread_fence(memory_order_release); /* T2 */
}

static inline void mr_twin_store(uint64_t sequence, mr_word *copies, size_t words,
                                 const int64_t *values, size_t n)
{
    mr_word *idle = copies + (1 - (sequence & 1)) * words;

    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&idle[i], (uint64_t)values[i], memory_order_relaxed);
}

static inline void mr_twin_end(mr_word *sequence, uint64_t begun)
{
    atomic_store_explicit(sequence, begun + 1, MR_COMMIT_ORDER); /* T1 */
}

/* mr_twin_write - commit n words as the successor of `sequence`; the caller is the one writer */
static inline void mr_twin_write(mr_word *sequence, mr_word *copies, size_t words,
                                 const int64_t *values, size_t n)
{
    uint64_t s = atomic_load_explicit(sequence, memory_order_relaxed);

    mr_twin_begin();
    mr_twin_store(s, copies, words, values, n);
    mr_twin_end(sequence, s);
}

#endif
