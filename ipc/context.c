/*
 * context.c - a view of a context: loaded with everything checked, committed by one word
 */
#include "ipc/context.h"
#include "ipc/cursors.h"
#include "ipc/error.h"
#include "ipc/events.h"
#include "ipc/news.h"
#include "ipc/parts.h"
#include "ipc/probes.h"
#include "ipc/slot.h"
#include "ipc/stats.h"
#include <errno.h>
#include <string.h>

/* ---- loading ---- */

bool mr_range_fits(const mr_range *whole, const mr_range *part)
{
    return (!part->bytes && !part->offset) ||
           (part->offset % 8 == 0 && part->offset >= whole->offset && part->bytes <= whole->bytes &&
            part->offset - whole->offset <= whole->bytes - part->bytes);
}

static bool kind_has_text(uint32_t kind)
{
    return kind == MR_KIND_TEXT || kind == MR_KIND_VISION || kind == MR_KIND_TTS;
}

int mr_context_check_params(const mr_domain *domain, const mr_slot *slot, const mr_params *p)
{
    const mr_range *const parts[] = {&p->tokens,        &p->records,     &p->eos_ids,
                                     &p->eos_sequences, &p->logit_bias,  &p->request_id,
                                     &p->model_name,    &p->json_schema, &p->target_endpoint,
                                     &p->reply,         &p->directory};
    const mr_range arena = {domain->arena_offset, domain->arena_bytes};
    const mr_range whole = slot->arena;
    unsigned index = (unsigned)(slot - domain->slots);

    if (p->kind < MR_KIND_TEXT || p->kind > MR_KIND_REFUSAL || p->choices < 1 ||
        p->choice >= p->choices || p->choices > MR_MAX_CHOICES)
        return mr_fail(EBADMSG, "slot %u is corrupt: kind %u, choice %u of %u", index, p->kind,
                       p->choice, p->choices);
    if (!mr_range_fits(&arena, &whole))
        return mr_fail(EBADMSG, "slot %u is corrupt: its range lies outside of the arena", index);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (!mr_range_fits(&whole, parts[i]))
            return mr_fail(EBADMSG, "slot %u is corrupt: array %zu lies outside of its range",
                           index, i);
    if (kind_has_text(p->kind) && (p->capacity < 1 || (uint64_t)p->capacity > p->tokens.bytes / 8 ||
                                   p->original_prompt < 1 || p->original_prompt > p->capacity))
        return mr_fail(EBADMSG, "slot %u is corrupt: room for %lld tokens, a prompt of %lld", index,
                       (long long)p->capacity, (long long)p->original_prompt);
    if (slot->seal != mr_seal_make(slot, p))
        return mr_fail(EBADMSG, "slot %u is corrupt: its request was overwritten", index);
    return 0;
}

int mr_context_peek(mr_context *context, mr_domain *domain, uint32_t index)
{
    mr_slot *slot = &domain->slots[index];
    mr_state_parts state;
    bool sound;
    int rc;

    memset(context, 0, sizeof(*context));
    context->domain = domain;
    context->slot = slot;
    context->state = mr_slot_load(slot);
    state = mr_state_unpack(context->state);
    context->handle = mr_handle_make(index, state.generation);
    context->index = index;
    context->ordinal = atomic_load_explicit(&slot->ordinal, memory_order_relaxed);
    context->params = slot->params;
    if ((rc = mr_context_check_params(domain, slot, &context->params)))
        return rc;
    context->words = context->params.kind == MR_KIND_TEXT ? MR_CURSOR_KIND : MR_CURSOR_WORDS;
    sound = mr_cursors_read(slot, context->now, &context->sequence);
    if (kind_has_text(context->params.kind) && (rc = mr_text_check_cursors(context)))
        return rc;
    if (!sound)
        return mr_fail(EBADMSG, "slot %u is corrupt: its cursors were overwritten", index);
    return mr_parts_load(context);
}

int mr_context_load(mr_context *context, mr_domain *domain, uint32_t index)
{
    int rc = mr_context_peek(context, domain, index);

    if (rc)
        return rc;
    context->cold_due = 2;
    context->counted = context->now[MR_CURSOR_LENGTH];
    context->records = domain->data + context->params.records.offset;
    if (!kind_has_text(context->params.kind))
        return 0;
    context->tokens = (int64_t *)(void *)(domain->data + context->params.tokens.offset);
    context->tokens[context->now[MR_CURSOR_LENGTH] - 1] = context->now[MR_CURSOR_LAST];
    return 0;
}

void mr_context_forget(mr_context *context)
{
    mr_slot *slot = context->slot;

    mr_cursors_read(slot, context->now, &context->sequence);
    context->placeholder = context->reserved = context->held = context->deferred = false;
    context->prepared = 0;
    if (context->tokens)
        context->tokens[context->now[MR_CURSOR_LENGTH] - 1] = context->now[MR_CURSOR_LAST];
}

/* ---- committing ---- */

/*
 * The context has moved: its deaths in a row are forgotten. Only the holder changes a LEASED word,
 * so this can't fail while the lease is ours.
 *
 * It comes after the commit, so a worker killed between the two (some ten instructions) counts one
 * death too many, and a suspect may be given up after one death fewer. Before the commit it would
 * forget a death without a step, and a request that kills its worker in each commit would never be
 * given up. Both in one word can't be: attempts must change with the lease, or a sweep begun anew
 * counts a death twice, and the commit is the store of another word.
 */
static void clear_attempts(mr_context *context)
{
    mr_state_parts state = mr_state_unpack(context->state);

    if (!state.attempts)
        return;
    state.attempts = 0;
    if (mr_slot_change(context->slot, context->state, state))
        context->state = mr_state_pack(state);
}

/*
 * How many words this commit must write. The words behind the hot ones seldom change, and those
 * that two commits in a row left alone are the same in both copies: they need not be written again.
 * What a copy holds when a view is loaded is not known (a predecessor may have died in a commit),
 * so the first two commits write all.
 */
static size_t words_due(mr_context *context)
{
    int64_t *cold = context->now + MR_CURSOR_HOT;
    const size_t bytes = (context->words - MR_CURSOR_HOT) * sizeof(*cold);

    if (memcmp(context->cold, cold, bytes)) {
        memcpy(context->cold, cold, bytes);
        context->cold_due = 2;
    }
    if (!context->cold_due)
        return MR_CURSOR_HOT;
    context->cold_due--;
    return MR_CURSOR_WORDS;
}

static void prefetch_to_write(const void *line)
{
#if defined(__x86_64__)
    /* the builtin fetches for reading, unless all code may use PREFETCHW; where the processor has
     * none it is a NOP */
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
    __builtin_prefetch(line, 1);
#endif
}

/* The collector has the lines that a later commit of the same batch will write: they can be on
 * their way meanwhile. */
static void fetch_ahead(const mr_context *later)
{
    if (!later)
        return;
    prefetch_to_write(&later->slot->sequence);
    if (later->tokens)
        prefetch_to_write(later->tokens + later->now[MR_CURSOR_LENGTH]);
}

/* The first commit of a second step tells when the first was over: nobody asked the clock then. */
static void tell_first(mr_context *context)
{
    if (*context->step_at == context->leased_at)
        return;
    context->first_due = false;
    mr_events_first(context->slot, context->state, *context->step_at);
}

void mr_context_commit(mr_context *context)
{
    if (context->worker && mr_slot_load(context->slot) != context->state)
        return; /* taken away: the slot may be another's by now */
    mr_cursors_write(context->slot, context->sequence++, context->now, words_due(context));
    if (!context->worker)
        return;
    MR_PROBE4(commit, context->ordinal, context->index, context->member,
              context->now[MR_CURSOR_LENGTH]);
    clear_attempts(context);
    if (context->first_due)
        tell_first(context);
    fetch_ahead(context->ahead);
    mr_news_tell(context->domain, context->handle);
    mr_stats_count(context->stats, MR_STAT_commits, 1);
    if (context->now[MR_CURSOR_LENGTH] > context->counted) {
        mr_stats_count(context->stats, MR_STAT_generated_tokens,
                       (uint64_t)(context->now[MR_CURSOR_LENGTH] - context->counted));
        context->counted = context->now[MR_CURSOR_LENGTH];
    }
}

/* ---- what a context is ---- */

static mr_bytes bytes_of(const mr_context *context, const mr_range *range)
{
    return (mr_bytes){(const char *)context->domain->data + range->offset, range->bytes};
}

enum mr_kind mr_context_kind(const mr_context *context)
{
    return (enum mr_kind)context->params.kind;
}

mr_handle mr_context_handle(const mr_context *context)
{
    return context->handle;
}

mr_text *mr_context_text(mr_context *context)
{
    return kind_has_text(context->params.kind) ? (mr_text *)(void *)context : NULL;
}

bool mr_context_is_done(const mr_context *context)
{
    mr_context *view = (mr_context *)(uintptr_t)context;

    if (context->params.kind == MR_KIND_TTS)
        return mr_tts_is_done(mr_context_tts(view));
    if (context->params.kind == MR_KIND_PIXEL)
        return mr_pixel_is_done(mr_context_pixel(view));
    return !kind_has_text(context->params.kind) || mr_text_is_done(mr_context_text(view));
}

enum mr_cancel mr_context_cancelled(const mr_context *context)
{
    return (enum mr_cancel)mr_cancel_load(context->slot, mr_handle_generation(context->handle));
}

bool mr_context_suspect(const mr_context *context)
{
    return mr_state_unpack(context->state).attempts > 0;
}

const mr_sampling *mr_context_sampling(const mr_context *context)
{
    return &context->params.sampling;
}

mr_bytes mr_context_request_id(const mr_context *context)
{
    return bytes_of(context, &context->params.request_id);
}

mr_bytes mr_context_model_name(const mr_context *context)
{
    return bytes_of(context, &context->params.model_name);
}

const mr_logit_bias *mr_context_logit_bias(const mr_context *context, size_t *count)
{
    const mr_range *range = &context->params.logit_bias;

    *count = range->bytes / sizeof(mr_logit_bias);
    return (const mr_logit_bias *)(const void *)(context->domain->data + range->offset);
}

uint64_t mr_context_deadline(const mr_context *context)
{
    return context->params.deadline;
}

int32_t mr_context_priority(const mr_context *context)
{
    return context->params.priority;
}
