/*
 * domain_info.c - what a domain says of itself: geometry, phase, progress, note
 */
#include "ipc/domain.h"
#include "ipc/error.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include "ipc/twin.h"
#include <errno.h>
#include <string.h>

void mr_domain_get_info(const mr_domain *domain, mr_domain_info *info)
{
    uint32_t size = info->size < sizeof(*info) ? info->size : sizeof(*info);

    memcpy(info, &domain->info, size);
    info->size = size;
}

enum mr_phase mr_domain_phase(const mr_domain *domain)
{
    return mr_phase_of(atomic_load_explicit(&domain->header->phase, memory_order_acquire));
}

void mr_domain_set_phase(mr_domain *domain, enum mr_phase phase)
{
    atomic_store_explicit(&domain->header->phase, mr_phase_word(phase), memory_order_release);
    for (uint32_t i = 0; i < MR_QUEUES; i++)
        mr_queue_ring_all(domain, i);
}

uint64_t mr_domain_unfinished(const mr_domain *domain)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < domain->slot_count; i++) {
        uint32_t state = mr_state_unpack(mr_slot_load(&domain->slots[i])).state;

        count += state != MR_STATE_FREE && state != MR_STATE_FILLING;
    }
    return count;
}

/* The mark before the slots: a record that was taken in before the mark said "finished" is seen. */
void mr_domain_get_progress(const mr_domain *domain, mr_domain_progress *progress)
{
    const mr_header *h = domain->header;
    int64_t mark[MR_MARK_WORDS], length;

    mr_twin_read(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, mark, MR_MARK_WORDS);
    *progress = (mr_domain_progress){
        .records = (uint64_t)mark[MR_MARK_ORDINAL],
        .input_end = (uint64_t)mark[MR_MARK_INPUT_END],
        .input_finished = mark[MR_MARK_FINISHED] != 0,
        .unfinished = mr_domain_unfinished(domain),
    };
    mr_twin_read(&h->journal_sequence, h->journal[0], MR_JOURNAL_WORDS, &length, 1);
    progress->output_length = (uint64_t)length;
    progress->complete = progress->input_finished && !progress->unfinished;
}

int mr_domain_set_note(mr_domain *domain, const char *text)
{
    size_t length = strlen(text);

    if (length > MR_NOTE_MAX)
        return mr_fail(E2BIG, "a note of %zu bytes is longer than %d", length, MR_NOTE_MAX);
    memcpy(domain->header->note, text, length + 1);
    return 0;
}

const char *mr_domain_note(const mr_domain *domain)
{
    return domain->header->note[MR_NOTE_MAX] ? "" : domain->header->note;
}
