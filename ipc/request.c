/*
 * request.c - how a request fills a slot
 *
 * All arrays of a context lie in one range of the arena, sized here for the worst case, so that no
 * worker can run out in the middle: tokens up to the longest length, log-probability records for
 * all of them, and what belongs to its kind (parts.c). Everything is written while the slot is
 * FILLING; the publication that follows (a release) makes it visible as a whole.
 */
#include "ipc/context.h"
#include "ipc/cursors.h"
#include "ipc/error.h"
#include "ipc/intake.h"
#include "ipc/parts.h"
#include "ipc/slot.h"
#include <errno.h>
#include <string.h>

/* ---- sizes ---- */

static uint64_t words(uint64_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

/* Tokens that the context can ever hold: in an orderly run nothing is appended once it is done. */
static uint64_t token_capacity(const mr_request *request)
{
    int64_t longest = request->max_length > (int64_t)request->prompt_length + 1
                          ? request->max_length
                          : (int64_t)request->prompt_length + 1;

    return (uint64_t)longest + request->draft_tokens;
}

static uint64_t sequence_words(const mr_request *request)
{
    uint64_t total = 0;

    for (size_t i = 0; i < request->eos_sequence_count; i++)
        total += 1 + request->eos_sequences[i].count;
    return total;
}

static bool has_text(const mr_request *request)
{
    return request->kind != MR_KIND_REFUSAL && request->kind != MR_KIND_PIXEL;
}

static uint64_t text_size(const mr_request *request)
{
    return words(request->json_schema.length) + words(request->target_endpoint.length) +
           token_capacity(request) * sizeof(int64_t) + words(mr_records_size(request)) +
           request->eos_token_count * sizeof(int64_t) + sequence_words(request) * sizeof(int64_t) +
           words(request->logit_bias_count * sizeof(mr_logit_bias));
}

uint64_t mr_request_size(const mr_request *request)
{
    uint64_t parts = mr_parts_size(request);
    uint64_t own = words(request->request_id.length) + words(request->model_name.length) +
                   words(request->reply.length) + (has_text(request) ? text_size(request) : 0);

    return parts > UINT64_MAX - own ? UINT64_MAX : own + parts;
}

/* ---- checks ---- */

static int check_limits(const mr_domain *domain, const mr_request *request)
{
    uint32_t choices = request->kind == MR_KIND_REFUSAL ? 1 : request->sampling.choices;
    uint64_t size;

    if (choices < 1 || choices > MR_MAX_CHOICES)
        return mr_fail(E2BIG, "%u choices are not in 1 to %d", choices, MR_MAX_CHOICES);
    if (choices > domain->slot_count)
        return mr_fail(E2BIG,
                       "%u choices are more than the %u slots of this run; ask for fewer, or start "
                       "it with more --slots",
                       choices, domain->slot_count);
    /* what workers have room for, each by itself (worker.c): more could be claimed by none */
    if (has_text(request) && token_capacity(request) > domain->max_length)
        return mr_fail(E2BIG, "a context of %llu tokens is longer than the longest of this run, %u",
                       (unsigned long long)token_capacity(request), domain->max_length);
    size = mr_request_size(request);
    if (size > domain->arena_bytes / choices / 64 * 64)
        return mr_fail(
            E2BIG,
            "the request needs %llu bytes for each of %u choices, the run has %llu in all; "
            "start it with more --memory",
            (unsigned long long)size, choices, (unsigned long long)domain->arena_bytes);
    return 0;
}

static int check_vocabulary(const mr_domain *domain, const mr_request *request)
{
    for (size_t i = 0; i < request->prompt_length; i++)
        if (domain->vocabulary && request->prompt[i] >= (int64_t)domain->vocabulary)
            return mr_fail(EINVAL, "token %lld at index %zu of the prompt is not in [0, %u)",
                           (long long)request->prompt[i], i, domain->vocabulary);
    return 0;
}

int mr_request_check(const mr_domain *domain, const mr_request *request)
{
    int rc;

    if (request->size < sizeof(*request))
        return mr_fail(EINVAL, "the request is of size %u, not %zu; set .size", request->size,
                       sizeof(*request));
    if (request->kind == MR_KIND_REFUSAL)
        return check_limits(domain, request);
    if (request->kind > MR_KIND_REFUSAL || !(domain->info.kinds >> request->kind & 1))
        return mr_fail(EINVAL, "domain '%s' takes no requests of kind %u", domain->info.name,
                       request->kind);
    if (request->stage >= domain->stage_count)
        return mr_fail(EINVAL, "stage %u is not in [0, %u)", request->stage, domain->stage_count);
    rc = mr_parts_check(request);
    if (!rc && has_text(request))
        rc = check_vocabulary(domain, request);
    return rc ? rc : check_limits(domain, request);
}

/* ---- filling ---- */

/* Hands out the slot's range piece by piece. */
typedef struct filler {
    unsigned char *base; /* of the segment */
    uint64_t next;
} filler;

static mr_range take(filler *f, uint64_t bytes)
{
    mr_range range = {f->next, bytes};

    f->next += words(bytes);
    return range;
}

static mr_range put(filler *f, const void *from, uint64_t bytes)
{
    mr_range range = take(f, bytes);

    if (bytes)
        memcpy(f->base + range.offset, from, bytes);
    return range;
}

static mr_range put_text(filler *f, mr_bytes text)
{
    return put(f, text.bytes, text.length);
}

static mr_range put_sequences(filler *f, const mr_request *request)
{
    mr_range range = take(f, sequence_words(request) * sizeof(int64_t));
    int64_t *to = (int64_t *)(void *)(f->base + range.offset);

    for (size_t i = 0; i < request->eos_sequence_count; i++) {
        const mr_tokens *sequence = &request->eos_sequences[i];

        *to++ = (int64_t)sequence->count;
        memcpy(to, sequence->ids, sequence->count * sizeof(int64_t));
        to += sequence->count;
    }
    return range;
}

static void put_prompt(filler *f, mr_params *p, const mr_request *request)
{
    uint64_t capacity = token_capacity(request);

    p->tokens = take(f, capacity * sizeof(int64_t));
    memcpy(f->base + p->tokens.offset, request->prompt, request->prompt_length * sizeof(int64_t));
    p->capacity = (int64_t)capacity;
    p->original_prompt = (int64_t)request->prompt_length;
}

static void put_text_part(filler *f, mr_params *p, const mr_request *request)
{
    put_prompt(f, p, request);
    p->max_length = request->max_length;
    p->log_probabilities = request->log_probabilities;
    p->want_log_probabilities = request->want_log_probabilities;
    p->log_probabilities_echo = request->log_probabilities_echo;
    p->ignore_eos = request->ignore_eos;
    p->records = take(f, mr_records_size(request));
    p->eos_ids = put(f, request->eos_token_ids, request->eos_token_count * sizeof(int64_t));
    p->eos_sequence_count = (uint32_t)request->eos_sequence_count;
    p->eos_sequences = put_sequences(f, request);
    p->logit_bias = put(f, request->logit_bias, request->logit_bias_count * sizeof(mr_logit_bias));
    p->json_schema = put_text(f, request->json_schema);
    p->target_endpoint = put_text(f, request->target_endpoint);
}

/* The cursors of a context that nobody has worked on, as the first commit. */
static void start_cursors(mr_domain *domain, mr_slot *slot, const mr_request *request)
{
    const mr_params *params = &slot->params;
    mr_context context = {.domain = domain, .slot = slot, .params = *params};
    uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);

    if (has_text(request)) {
        context.tokens = (int64_t *)(void *)(domain->data + params->tokens.offset);
        context.records = domain->data + params->records.offset;
        mr_text_start(&context, params->original_prompt);
    }
    mr_parts_start(&context, request);
    mr_cursors_write(slot, sequence, context.now, MR_CURSOR_WORDS);
    /* the other copy too: a commit of fewer words leaves the rest of its copy as it is */
    mr_cursors_write(slot, sequence + 1, context.now, MR_CURSOR_WORDS);
}

void mr_request_fill(mr_domain *domain, mr_slot *slot, const mr_request *request, uint32_t choice)
{
    filler f = {.base = domain->data, .next = slot->arena.offset};
    mr_params *p = &slot->params;

    *p = (mr_params){
        .kind = request->kind,
        .choice = choice,
        .choices = request->kind == MR_KIND_REFUSAL ? 1 : request->sampling.choices,
        .first_stage = request->stage,
        .priority = request->priority,
        .deadline = request->deadline,
        .accepted = request->accepted,
        .sampling = request->sampling,
    };
    p->sampling.choice = choice;
    p->sampling.choices = p->choices;
    p->request_id = put_text(&f, request->request_id);
    p->model_name = put_text(&f, request->model_name);
    p->reply = put_text(&f, request->reply);
    if (has_text(request))
        put_text_part(&f, p, request);
    mr_parts_fill(domain, p, request, f.next);
    slot->failure[0] = 0;
    atomic_store_explicit(&slot->news, 0, memory_order_relaxed);
    atomic_store_explicit(
        &slot->cancel,
        mr_cancel_make(mr_state_unpack(mr_slot_load(slot)).generation, MR_CANCEL_NONE),
        memory_order_relaxed);
    mr_marks_store(slot, 0, 0);
    atomic_store_explicit(&slot->emitted_final, 0, memory_order_relaxed);
    start_cursors(domain, slot, request);
    slot->seal = mr_seal_make(slot, p);
}
