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

typedef struct mr_glance {
    int64_t length;
    int64_t last_token;
    uint32_t status;
    uint32_t resets;
    uint32_t failed;
} mr_glance;

enum {
    MR_GLANCE_LENGTH,
    MR_GLANCE_LAST,
    MR_GLANCE_STATE
}; /* state: {resets, failed 8, status 8} */

/* mr_cursors_write - commit the first n cursors of a slot as the successor of `sequence`, which the
 * one writer knows: asking the slot would wait for the line to come back from the collector */
static inline void mr_cursors_write(mr_slot *slot, uint64_t sequence, const int64_t *now, size_t n)
{
    const int64_t glance[MR_GLANCE_WORDS] = {
        [MR_GLANCE_LENGTH] = now[MR_CURSOR_LENGTH],
        [MR_GLANCE_LAST] = now[MR_CURSOR_LAST],
        [MR_GLANCE_STATE] = (int64_t)((uint64_t)now[MR_CURSOR_RESETS] << 16) |
                            (now[MR_CURSOR_FAILURE] != 0) << 8 | (now[MR_CURSOR_STATUS] & 255),
    };

    mr_twin_begin();
    mr_twin_store(sequence, slot->cursors[0], MR_CURSOR_WORDS, now, n);
    mr_twin_store(sequence, slot->glance[0], MR_GLANCE_WORDS, glance, MR_GLANCE_WORDS);
    mr_twin_end(&slot->sequence, sequence);
}

static inline mr_glance mr_glance_read(const mr_slot *slot)
{
    int64_t words[MR_GLANCE_WORDS];

    mr_twin_read(&slot->sequence, slot->glance[0], MR_GLANCE_WORDS, words, MR_GLANCE_WORDS);
    return (mr_glance){.length = words[MR_GLANCE_LENGTH],
                       .last_token = words[MR_GLANCE_LAST],
                       .status = (uint32_t)words[MR_GLANCE_STATE] & 255,
                       .failed = (uint32_t)(words[MR_GLANCE_STATE] >> 8) & 255,
                       .resets = (uint32_t)(words[MR_GLANCE_STATE] >> 16)};
}

#endif
