/*
 * cursors.h - a commit of a slot's cursors, and the collector's glance at it (private to ipc/)
 *
 * One sequence word picks two things at once (twin.h): the cursors, which are the truth and which a
 * successor of the worker loads, and a glance, which repeats in three words what the collector
 * needs at each token. The glance lies on the line of the sequence and of `news`: so handing a
 * token over moves one line to the collector and back, and the cursors' lines stay where the worker
 * is. (Each on a line of its own: 0.85 us from commit to collector instead of 0.24, and half the
 * tokens a second of one context.)
 */
#ifndef MILLRACE_IPC_CURSORS_H
#define MILLRACE_IPC_CURSORS_H

#include "ipc/twin.h"
#include <stdbool.h>

typedef struct mr_glance {
    int64_t length;
    int64_t last_token;
    uint32_t status;
    uint32_t resets; /* its low 16 bits */
    uint32_t failed;
    bool sound; /* no word of it was overwritten */
} mr_glance;

/* state: {check 32, resets 16, failed 8, status 8} */
enum { MR_GLANCE_LENGTH, MR_GLANCE_LAST, MR_GLANCE_STATE };

/*
 * A check over n words: each is turned by another count, so that one flipped bit always shows. The
 * check of the words that each commit writes covers its number too: a flipped bit of the sequence
 * names the older copy, which has another.
 */
static inline uint32_t mr_words_check(uint64_t sequence, const int64_t *words, size_t n)
{
    uint64_t sum = sequence * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < n; i++) {
        unsigned turn = (unsigned)(7 * i + 3) & 63;

        sum ^= (uint64_t)words[i] << turn | (uint64_t)words[i] >> (64 - turn);
    }
    return (uint32_t)(sum ^ sum >> 32);
}

/* The words behind the first line, the check itself left out: it has a word of its own. */
static inline uint32_t mr_cold_check(const int64_t *now)
{
    return mr_words_check(0, now + MR_CURSOR_HOT, MR_CURSOR_CHECK - MR_CURSOR_HOT);
}

/* mr_marks_store - the collector's marks of a context: generated tokens and bytes of text that are
 * in the output. mr_marks_load: false if they were overwritten */
static inline void mr_marks_store(mr_slot *slot, uint64_t tokens, uint64_t bytes)
{
    const int64_t marks[] = {(int64_t)(tokens & UINT32_MAX), (int64_t)bytes};
    uint64_t check = mr_words_check(0, marks, 2);

    atomic_store_explicit(&slot->emitted_tokens, check << 32 | (uint64_t)marks[0],
                          memory_order_relaxed);
    atomic_store_explicit(&slot->emitted_bytes, bytes, memory_order_relaxed);
}

static inline bool mr_marks_load(const mr_slot *slot, uint64_t *tokens, uint64_t *bytes)
{
    uint64_t word = atomic_load_explicit(&slot->emitted_tokens, memory_order_relaxed);
    int64_t marks[2];

    *tokens = word & UINT32_MAX;
    *bytes = atomic_load_explicit(&slot->emitted_bytes, memory_order_relaxed);
    marks[0] = (int64_t)*tokens;
    marks[1] = (int64_t)*bytes;
    return word >> 32 == mr_words_check(0, marks, 2);
}

/* mr_cursors_write - commit the first n cursors of a slot as the successor of `sequence`, which the
 * one writer knows: asking the slot would wait for the line to come back from the collector. n is
 * MR_CURSOR_HOT or all */
static inline void mr_cursors_write(mr_slot *slot, uint64_t sequence, const int64_t *now, size_t n)
{
    const uint64_t next = sequence + 1;
    int64_t hot[MR_CURSOR_HOT], glance[MR_GLANCE_WORDS];

    for (size_t i = 0; i < MR_CURSOR_HOT; i++)
        hot[i] = now[i];
    hot[MR_CURSOR_FLAGS] |= (int64_t)((uint64_t)mr_words_check(next, now, MR_CURSOR_HOT) << 32);
    glance[MR_GLANCE_LENGTH] = now[MR_CURSOR_LENGTH];
    glance[MR_GLANCE_LAST] = now[MR_CURSOR_LAST];
    glance[MR_GLANCE_STATE] = (now[MR_CURSOR_RESETS] & 0xffff) << 16 |
                              (now[MR_CURSOR_FAILURE] != 0) << 8 | (now[MR_CURSOR_STATUS] & 255);
    glance[MR_GLANCE_STATE] |=
        (int64_t)((uint64_t)mr_words_check(next, glance, MR_GLANCE_WORDS) << 32);
    mr_twin_begin();
    mr_twin_store(sequence, slot->cursors[0], MR_CURSOR_WORDS, hot, MR_CURSOR_HOT);
    if (n > MR_CURSOR_HOT) {
        const int64_t check = (int64_t)mr_cold_check(now);

        mr_twin_store(sequence, slot->cursors[0] + MR_CURSOR_HOT, MR_CURSOR_WORDS,
                      now + MR_CURSOR_HOT, MR_CURSOR_CHECK - MR_CURSOR_HOT);
        mr_twin_store(sequence, slot->cursors[0] + MR_CURSOR_CHECK, MR_CURSOR_WORDS, &check, 1);
    }
    mr_twin_store(sequence, slot->glance[0], MR_GLANCE_WORDS, glance, MR_GLANCE_WORDS);
    mr_twin_end(&slot->sequence, sequence);
}

/* mr_cursors_read - all cursors as of one commit, and its number. False if a word of them was
 * overwritten; they are given all the same. */
static inline bool mr_cursors_read(const mr_slot *slot, int64_t now[MR_CURSOR_WORDS],
                                   uint64_t *sequence)
{
    uint64_t cold;
    uint32_t hot;

    *sequence =
        mr_twin_read(&slot->sequence, slot->cursors[0], MR_CURSOR_WORDS, now, MR_CURSOR_WORDS);
    hot = (uint32_t)((uint64_t)now[MR_CURSOR_FLAGS] >> 32);
    now[MR_CURSOR_FLAGS] &= UINT32_MAX;
    cold = (uint64_t)now[MR_CURSOR_CHECK];
    now[MR_CURSOR_CHECK] = 0;
    return hot == mr_words_check(*sequence, now, MR_CURSOR_HOT) && cold == mr_cold_check(now);
}

static inline mr_glance mr_glance_read(const mr_slot *slot)
{
    int64_t words[MR_GLANCE_WORDS];
    uint64_t sequence =
        mr_twin_read(&slot->sequence, slot->glance[0], MR_GLANCE_WORDS, words, MR_GLANCE_WORDS);
    uint32_t check = (uint32_t)((uint64_t)words[MR_GLANCE_STATE] >> 32);

    words[MR_GLANCE_STATE] &= UINT32_MAX;
    return (mr_glance){.length = words[MR_GLANCE_LENGTH],
                       .last_token = words[MR_GLANCE_LAST],
                       .status = (uint32_t)words[MR_GLANCE_STATE] & 255,
                       .failed = (uint32_t)(words[MR_GLANCE_STATE] >> 8) & 255,
                       .resets = (uint32_t)(words[MR_GLANCE_STATE] >> 16),
                       .sound = check == mr_words_check(sequence, words, MR_GLANCE_WORDS)};
}

#endif
