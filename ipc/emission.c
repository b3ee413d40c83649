/*
 * emission.c - what was committed by workers appears in the output exactly once
 *
 * The collector appends its bytes, then commits one journal record {length, n, n x {handle, tokens,
 * bytes}} by one word (twin.h): the output's length and the marks of all contexts that the bytes
 * belong to change together. Then the marks are copied to the slots, and slots whose final record
 * is out become FREE. A successor does this again from the journal (it is idempotent: handles whose
 * generation is over are skipped) before it appends anything. Model: tests/model/news.pml.
 *
 * Order of looking: news is cleared first, then the state is loaded, then the cursors: a state of
 * DONE says that the cursors are final.
 *
 * Only the collector turns DONE into FREE, so the parameters and arrays of a context that it looks
 * at stay what they are while it looks.
 */
#include "ipc/context.h"
#include "ipc/cursors.h"
#include "ipc/error.h"
#include "ipc/events.h"
#include "ipc/member.h"
#include "ipc/news.h"
#include "ipc/probes.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include <errno.h>
#include <millrace/emission.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_NS = 50000000 }; /* between two looks after the supervisor */

#define FINAL_BIT (UINT64_C(1) << 63) /* in a part's count of tokens */

/* Where the search for log-probability records goes on, per slot. */
typedef struct record_place {
    mr_handle handle;
    uint64_t at;
    int64_t next; /* the first position that lies at or behind `at` */
} record_place;

/* What is constant in a slot's context, checked and copied when it is first looked at. */
typedef struct known_context {
    mr_handle key;  /* handle + 1 */
    mr_handle seen; /* handle + 1 of the context that was viewed and not ended since; 0: none */
    int64_t capacity;
    mr_range records;
    mr_view view;
} known_context;

struct mr_emission {
    mr_member *member;
    mr_domain *domain;
    uint64_t length;
    uint64_t next_look; /* when the supervisor is looked after again, monotonic time */
    uint64_t suspect;   /* handle + 1 of the context at which the last collectors died; 0: none */
    uint64_t untimed;   /* requests that had ended before the last commit */
    bool armed;         /* the eventfd is watched: producers write it */
    bool at_suspect;    /* it was looked at since the last mr_emission_next() */
    uint32_t look;      /* slots in [look, slot_count) are still to be given once */
    unsigned hints;
    record_place *places;
    known_context *known;
    mr_context context; /* mr_emission_context()'s */
};

/* ---- marks ---- */

/* DONE -> FREE with the next generation, and tell the tokenizer. */
static void free_slot(mr_domain *domain, uint32_t index)
{
    mr_slot *slot = &domain->slots[index];
    uint64_t word = mr_slot_load(slot);
    mr_state_parts state = mr_state_unpack(word);

    if (state.state != MR_STATE_DONE)
        return;
    state = (mr_state_parts){.generation = (state.generation + 1) & MR_GENERATION_MASK,
                             .state = MR_STATE_FREE};
    if (mr_slot_change(slot, word, state))
        mr_queue_push(domain, MR_QUEUE_FREE, index, state.generation);
}

/* `own`: by the process that saw the context and made the commit. Nobody else ends contexts, so it
 * is still this one, whatever became of its state word. */
static void apply_part(mr_domain *domain, mr_handle handle, uint64_t tokens, uint64_t bytes,
                       bool own)
{
    uint32_t index = mr_handle_index(handle);
    mr_slot *slot;
    mr_state_parts state;

    if (index >= domain->slot_count)
        return;
    slot = &domain->slots[index];
    state = mr_state_unpack(mr_slot_load(slot));
    if (!own && (state.generation != mr_handle_generation(handle) || state.state < MR_STATE_READY))
        return;
    mr_marks_store(slot, tokens & ~FINAL_BIT, bytes);
    if (tokens & FINAL_BIT) {
        mr_events_finish(domain, handle, !own);
        MR_PROBE3(emit, atomic_load_explicit(&slot->ordinal, memory_order_relaxed), index,
                  tokens & ~FINAL_BIT);
        atomic_store_explicit(&slot->emitted_final, MR_FINAL, memory_order_release);
        free_slot(domain, index);
    }
}

/* Is the part one of a context that this process saw and hasn't ended? */
static bool is_seen(const mr_emission *emission, mr_handle handle)
{
    uint32_t index = mr_handle_index(handle);

    return index < emission->domain->slot_count && emission->known[index].seen == handle + 1;
}

/* Its handle means nothing any more: should a generation that was overwritten bring it back, it is
 * looked at anew; should the commit name it twice, the next context of the slot isn't touched. */
static void forget(mr_emission *emission, mr_handle handle)
{
    uint32_t index = mr_handle_index(handle);

    if (index >= emission->domain->slot_count)
        return;
    emission->known[index].key = emission->known[index].seen = 0;
    emission->places[index] = (record_place){0};
}

static void apply_journal(mr_emission *emission, const int64_t *journal)
{
    for (int64_t i = 0; i < journal[MR_JOURNAL_COUNT]; i++) {
        const int64_t *part = &journal[MR_JOURNAL_PARTS + i * MR_PART_WORDS];
        mr_handle handle = (uint64_t)part[0];

        apply_part(emission->domain, handle, (uint64_t)part[1], (uint64_t)part[2],
                   is_seen(emission, handle));
        if ((uint64_t)part[1] & FINAL_BIT)
            forget(emission, handle);
    }
}

int mr_emission_commit(mr_emission *emission, uint64_t length, const mr_emitted *parts,
                       size_t count)
{
    mr_header *h = emission->domain->header;
    int64_t journal[MR_JOURNAL_WORDS];

    if (count > MR_MAX_EMITTED)
        return mr_fail(E2BIG, "a commit of %zu parts is larger than %d", count, MR_MAX_EMITTED);
    journal[MR_JOURNAL_LENGTH] = (int64_t)length;
    journal[MR_JOURNAL_COUNT] = (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        int64_t *part = &journal[MR_JOURNAL_PARTS + i * MR_PART_WORDS];

        part[0] = (int64_t)parts[i].handle;
        part[1] = (int64_t)(parts[i].tokens | (parts[i].final ? FINAL_BIT : 0));
        part[2] = (int64_t)parts[i].bytes;
    }
    mr_twin_write(&h->journal_sequence, h->journal[0], MR_JOURNAL_WORDS, journal,
                  MR_JOURNAL_PARTS + count * MR_PART_WORDS);
    emission->length = length;
    emission->untimed = atomic_load_explicit(&h->finished, memory_order_relaxed);
    apply_journal(emission, journal);
    return 0;
}

void mr_emission_time(mr_emission *emission, uint64_t now)
{
    mr_events_emitted(emission->domain, emission->untimed, now);
}

/* ---- beginning ---- */

static int read_journal(mr_emission *emission)
{
    mr_header *h = emission->domain->header;
    int64_t journal[MR_JOURNAL_WORDS];

    mr_twin_read(&h->journal_sequence, h->journal[0], MR_JOURNAL_WORDS, journal, MR_JOURNAL_WORDS);
    if (journal[MR_JOURNAL_COUNT] < 0 || journal[MR_JOURNAL_COUNT] > MR_MAX_EMITTED)
        return mr_fail(EBADMSG, "the journal of domain '%s' is corrupt: %lld parts",
                       emission->domain->info.name, (long long)journal[MR_JOURNAL_COUNT]);
    emission->length = (uint64_t)journal[MR_JOURNAL_LENGTH];
    apply_journal(emission, journal);
    return 0;
}

int mr_emission_open(mr_emission **out, mr_member *member, mr_handle *suspect, unsigned *deaths)
{
    mr_domain *domain = mr_member_domain(member);
    mr_emission *emission;
    int rc;

    if (member->role != MR_ROLE_COLLECTOR)
        return mr_fail(EPERM, "only the collector emits");
    emission = calloc(1, sizeof(*emission));
    if (emission) {
        emission->places = calloc(domain->slot_count, sizeof(*emission->places));
        emission->known = calloc(domain->slot_count, sizeof(*emission->known));
    }
    if (!emission || !emission->places || !emission->known) {
        mr_emission_close(emission);
        return mr_fail(ENOMEM, "out of memory for %u slots", domain->slot_count);
    }
    emission->member = member;
    emission->domain = domain;
    if ((rc = read_journal(emission))) {
        mr_emission_close(emission);
        return rc;
    }
    emission->suspect =
        atomic_load_explicit(&domain->header->emission_death_at, memory_order_relaxed);
    *suspect = emission->suspect - 1;
    *deaths =
        (unsigned)atomic_load_explicit(&domain->header->emission_deaths, memory_order_acquire);
    *out = emission;
    return 0;
}

void mr_emission_close(mr_emission *emission)
{
    if (!emission)
        return;
    free(emission->places);
    free(emission->known);
    free(emission);
}

uint64_t mr_emission_length(const mr_emission *emission)
{
    return emission->length;
}

/* ---- what comes next ---- */

/*
 * A slot that may have something: clears its news. False if it holds nothing accepted.
 *
 * Whatever generation the hint is of, the flag is lowered: a worker that is slow between its CAS to
 * DONE and its news raises the flag of the context that the slot holds by then, and its hint, which
 * names the old one, is the only one that there is.
 */
static bool take_news(mr_emission *emission, uint32_t index, mr_handle *handle)
{
    mr_slot *slot = &emission->domain->slots[index];
    mr_state_parts state;

    mr_news_take(slot);
    state = mr_state_unpack(mr_slot_load(slot));
    if (state.state < MR_STATE_READY || state.state >= MR_STATE_COUNT ||
        !atomic_load_explicit(&slot->ordinal, memory_order_relaxed)) /* spoilt: nobody's answer */
        return false;
    *handle = mr_handle_make(index, state.generation);
    return true;
}

static bool next_of_look(mr_emission *emission, mr_handle *handle)
{
    while (emission->look < emission->domain->slot_count)
        if (take_news(emission, emission->look++, handle))
            return true;
    return false;
}

static void look_again_if_asked(mr_emission *emission)
{
    if (mr_queue_rescan_begin(emission->domain, MR_QUEUE_COLLECTOR))
        emission->look = 0;
}

/* 0 or -EAGAIN, without waiting. */
static int next_now(mr_emission *emission, mr_handle *handle)
{
    uint32_t index, hint;

    if (++emission->hints % 64 == 0)
        look_again_if_asked(emission);
    if (next_of_look(emission, handle))
        return 0;
    while (!mr_queue_pop(emission->domain, MR_QUEUE_COLLECTOR, &index, &hint))
        if (take_news(emission, index, handle))
            return 0;
    look_again_if_asked(emission);
    return next_of_look(emission, handle) ? 0 : -EAGAIN;
}

/*
 * What was looked at is dealt with. If that was the suspect, its deaths were not in a row:
 * without this, three kills by chance in the course of a long answer would count against it. (The
 * words are the supervisor's, who writes them once we are dead.)
 */
static void survive(mr_emission *emission)
{
    mr_header *h = emission->domain->header;

    if (!emission->at_suspect)
        return;
    atomic_store_explicit(&h->emission_deaths, 0, memory_order_relaxed);
    atomic_store_explicit(&h->emission_death_at, 0, memory_order_release);
    emission->suspect = 0;
    emission->at_suspect = false;
}

/* Nobody else writes the journal: what differs from our last commit was overwritten. All its marks
 * were copied, so only the length has still to be right. */
static void mind_journal(mr_emission *emission)
{
    const mr_header *h = emission->domain->header;
    int64_t head[2];

    mr_twin_read(&h->journal_sequence, h->journal[0], MR_JOURNAL_WORDS, head, 2);
    if ((uint64_t)head[MR_JOURNAL_LENGTH] != emission->length || head[MR_JOURNAL_COUNT] < 0 ||
        head[MR_JOURNAL_COUNT] > MR_MAX_EMITTED)
        mr_emission_commit(emission, emission->length, NULL, 0);
}

/* The phase each time, the supervisor's socket now and then. */
static bool may_go_on(mr_emission *emission, uint64_t now)
{
    if (now < emission->next_look && !emission->member->gone)
        return mr_domain_phase(emission->domain) < MR_PHASE_STOP;
    emission->next_look = now + LOOK_NS;
    mind_journal(emission);
    return mr_member_alive(emission->member);
}

int mr_emission_next(mr_emission *emission, mr_handle *handle, int timeout)
{
    uint64_t end = timeout > 0 ? mr_monotonic_ns() + (uint64_t)timeout * 1000000 : 0;

    survive(emission);
    if (emission->armed)
        mr_queue_unwatch(emission->domain, MR_QUEUE_COLLECTOR, (unsigned)emission->member->index);
    emission->armed = false;
    while (next_now(emission, handle)) {
        uint64_t now = mr_monotonic_ns();

        atomic_store_explicit(&emission->domain->header->emitting, 0, memory_order_relaxed);
        mr_member_rest(emission->member);
        if (!may_go_on(emission, now))
            return mr_fail(ESHUTDOWN, "domain '%s' ends", emission->domain->info.name);
        if (timeout >= 0 && now >= end)
            return -EAGAIN;
        if (mr_queue_spin(emission->domain, MR_QUEUE_COLLECTOR))
            continue;
        mr_stats_add(emission->member->stats, MR_STAT_sleeps, 1);
        mr_queue_sleep(emission->domain, MR_QUEUE_COLLECTOR, (unsigned)emission->member->index,
                       timeout < 0 ? -1 : (int)((end - now) / 1000000) + 1);
    }
    return 0;
}

int mr_emission_fd(const mr_emission *emission)
{
    return emission->domain->eventfds[MR_QUEUE_COLLECTOR];
}

int mr_emission_arm(mr_emission *emission)
{
    unsigned index = (unsigned)emission->member->index;

    mr_queue_unwatch(emission->domain, MR_QUEUE_COLLECTOR, index);
    emission->armed = true;
    return mr_queue_watch(emission->domain, MR_QUEUE_COLLECTOR, index);
}

/* ---- looking ---- */

/* The slot of a handle, with its state; NULL when the handle's time is over. */
static mr_slot *slot_of(const mr_emission *emission, mr_handle handle, mr_state_parts *state)
{
    uint32_t index = mr_handle_index(handle);

    if (index >= emission->domain->slot_count)
        return NULL;
    *state = mr_state_unpack(mr_slot_load(&emission->domain->slots[index]));
    return state->generation == mr_handle_generation(handle) && state->state >= MR_STATE_READY
               ? &emission->domain->slots[index]
               : NULL;
}

static mr_bytes bytes_at(const mr_domain *domain, const mr_range *range)
{
    return (mr_bytes){(const char *)domain->data + range->offset, range->bytes};
}

/* `p` is checked; what lies in the slot may have changed since. */
static void view_request(const mr_domain *domain, const mr_slot *slot, const mr_params *p,
                         mr_view *view)
{
    view->kind = p->kind;
    view->choice = p->choice;
    view->choices = p->choices;
    view->ordinal = atomic_load_explicit(&slot->ordinal, memory_order_relaxed);
    view->input_end = atomic_load_explicit(&slot->input_end, memory_order_relaxed);
    view->accepted = p->accepted;
    view->prompt_length = p->original_prompt;
    if (p->kind != MR_KIND_REFUSAL)
        view->tokens.ids = (const int64_t *)(const void *)(domain->data + p->tokens.offset);
    view->request_id = bytes_at(domain, &p->request_id);
    view->model_name = bytes_at(domain, &p->model_name);
    view->reply = bytes_at(domain, &p->reply);
    view->want_log_probabilities = p->want_log_probabilities;
    view->log_probabilities = p->log_probabilities;
    view->log_probabilities_echo = p->log_probabilities_echo;
    view->sampling = &slot->params.sampling;
}

/* Only this process ends the context's use of the slot, so what is constant needs one look; checked
 * is the private copy of it. */
static int know(mr_emission *emission, mr_handle handle, const mr_slot *slot, known_context **out)
{
    known_context *known = &emission->known[mr_handle_index(handle)];
    mr_params params;
    int rc;

    *out = known;
    if (known->key == handle + 1)
        return 0;
    params = slot->params;
    if ((rc = mr_context_check_params(emission->domain, slot, &params)))
        return rc;
    if ((uint64_t)params.capacity > params.tokens.bytes / sizeof(int64_t))
        params.capacity = (int64_t)(params.tokens.bytes / sizeof(int64_t)); /* kinds without text */
    *known = (known_context){.seen = handle + 1,
                             .capacity = params.capacity,
                             .records = params.records,
                             .view = {.handle = handle}};
    view_request(emission->domain, slot, &params, &known->view);
    known->key = handle + 1;
    return 0;
}

static int view_marks(const mr_slot *slot, mr_view *view)
{
    view->emitted_final = mr_slot_is_final(slot);
    if (mr_marks_load(slot, &view->emitted_tokens, &view->emitted_bytes))
        return 0;
    return mr_fail(EBADMSG, "slot %u is corrupt: what was emitted of it was overwritten",
                   mr_handle_index(view->handle));
}

/* The glance was overwritten: the cursors tell the same, if they weren't. */
static bool glance_anew(const mr_slot *slot, mr_glance *glance)
{
    int64_t now[MR_CURSOR_WORDS];
    uint64_t sequence;

    glance->sound = mr_cursors_read(slot, now, &sequence);
    glance->length = now[MR_CURSOR_LENGTH];
    glance->last_token = now[MR_CURSOR_LAST];
    glance->status = (uint32_t)now[MR_CURSOR_STATUS];
    glance->failed = now[MR_CURSOR_FAILURE] != 0;
    glance->resets = (uint32_t)now[MR_CURSOR_RESETS] & 0xffff;
    return glance->sound;
}

/* Where the records of log-probabilities end stands in the cursors alone. */
static bool records_are_sound(const mr_slot *slot, const mr_view *view)
{
    int64_t now[MR_CURSOR_WORDS];
    uint64_t sequence;

    return !view->done || !view->want_log_probabilities || mr_cursors_read(slot, now, &sequence);
}

static int view_progress(const known_context *known, const mr_slot *slot, mr_view *view)
{
    mr_glance glance = mr_glance_read(slot);

    if (!glance.sound && !glance_anew(slot, &glance) && !view->done)
        return -EAGAIN; /* the next commit writes both anew */
    view->cancel = mr_cancel_load(slot, mr_handle_generation(view->handle));
    view->status = glance.status;
    view->resets = glance.resets;
    view->failed = glance.failed;
    if (view->failed)
        view->failure = (mr_bytes){slot->failure, strnlen(slot->failure, sizeof(slot->failure))};
    if (!glance.sound || !records_are_sound(slot, view))
        return mr_fail(EBADMSG, "slot %u is corrupt: its cursors were overwritten",
                       mr_handle_index(view->handle));
    if (view->kind == MR_KIND_REFUSAL)
        return 0;
    if (view->done && view->kind == MR_KIND_TEXT && !view->failed && !view->cancel &&
        view->status == MR_ACTIVE)
        return mr_fail(EBADMSG, "slot %u is corrupt: it was handed to the collector before its end",
                       mr_handle_index(view->handle));
    if (glance.length < view->prompt_length || glance.length > known->capacity)
        return mr_fail(EBADMSG, "slot %u is corrupt: %lld tokens, room for %lld",
                       mr_handle_index(view->handle), (long long)glance.length,
                       (long long)known->capacity);
    view->tokens.count = (size_t)glance.length;
    view->last_token = glance.last_token;
    return 0;
}

/* Of a request that was overwritten: whom the error is to be told. */
static void view_what_is_left(const mr_domain *domain, const mr_slot *slot, mr_view *view)
{
    const mr_range arena = {domain->arena_offset, domain->arena_bytes};
    const mr_range whole = slot->arena, reply = slot->params.reply;

    view->ordinal = atomic_load_explicit(&slot->ordinal, memory_order_relaxed);
    if (mr_range_fits(&arena, &whole) && mr_range_fits(&whole, &reply))
        view->reply = bytes_at(domain, &reply);
}

int mr_emission_view(mr_emission *emission, mr_handle handle, mr_view *view)
{
    mr_state_parts state;
    const mr_slot *slot = slot_of(emission, handle, &state); /* the state before the cursors */
    known_context *known;
    int rc;

    if (!slot)
        return mr_fail(ESTALE, "the context of handle %llx has ended", (unsigned long long)handle);
    emission->at_suspect |= handle + 1 == emission->suspect;
    emission->known[mr_handle_index(handle)].seen = handle + 1;
    atomic_store_explicit(&emission->domain->header->emitting, handle + 1, memory_order_relaxed);
    mr_member_begin(emission->member);
    *view = (mr_view){.handle = handle, .choices = 1, .done = state.state == MR_STATE_DONE};
    if ((rc = know(emission, handle, slot, &known))) {
        view_what_is_left(emission->domain, slot, view);
        return rc;
    }
    *view = known->view;
    view->done = state.state == MR_STATE_DONE;
    if ((rc = view_marks(slot, view)))
        return rc;
    return view_progress(known, slot, view);
}

/* Of which record and choice a slot is: as it was known first, since the words may have been
 * overwritten. */
static void record_of(const mr_emission *emission, mr_handle handle, uint64_t *ordinal,
                      uint32_t *choice)
{
    uint32_t index = mr_handle_index(handle);
    const known_context *known = &emission->known[index];
    const mr_slot *slot = &emission->domain->slots[index];

    *ordinal = known->key == handle + 1
                   ? known->view.ordinal
                   : atomic_load_explicit(&slot->ordinal, memory_order_relaxed);
    *choice = known->key == handle + 1
                  ? known->view.choice
                  : (uint32_t)atomic_load_explicit(&slot->choice, memory_order_relaxed);
}

/* Was the record taken in whole? */
static bool is_whole(const mr_emission *emission, uint64_t ordinal)
{
    const mr_header *h = emission->domain->header;
    int64_t mark[MR_MARK_WORDS];

    mr_twin_read(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, mark, MR_MARK_WORDS);
    return ordinal <= (uint64_t)mark[MR_MARK_ORDINAL];
}

int mr_emission_choice(mr_emission *emission, mr_handle of, uint32_t choice, mr_handle *handle)
{
    mr_state_parts state;
    uint64_t ordinal, other_ordinal;
    uint32_t other_choice;
    bool whole;

    if (!slot_of(emission, of, &state))
        return mr_fail(ESTALE, "the context of handle %llx has ended", (unsigned long long)of);
    record_of(emission, of, &ordinal, &other_choice);
    whole = is_whole(emission, ordinal); /* before the slots: what comes later may be missed */
    for (uint32_t i = 0; i < emission->domain->slot_count; i++) {
        state = mr_state_unpack(mr_slot_load(&emission->domain->slots[i]));
        if (state.state < MR_STATE_READY)
            continue;
        *handle = mr_handle_make(i, state.generation);
        record_of(emission, *handle, &other_ordinal, &other_choice);
        if (other_ordinal == ordinal && other_choice == choice)
            return 0;
    }
    return whole ? -ENOENT : -EAGAIN;
}

int mr_emission_logprobs(mr_emission *emission, mr_handle handle, int64_t position,
                         mr_logprobs *logprobs, mr_logprob *entries, size_t room,
                         mr_top_logprob *tops, size_t top_room)
{
    mr_state_parts state;
    const mr_slot *slot = slot_of(emission, handle, &state);
    int64_t cursors[MR_CURSOR_WORDS];
    known_context *known;
    record_place *place;
    uint64_t used;
    int rc;

    if (!slot)
        return mr_fail(ESTALE, "the context of handle %llx has ended", (unsigned long long)handle);
    if ((rc = know(emission, handle, slot, &known)))
        return rc;
    mr_twin_read(&slot->sequence, slot->cursors[0], MR_CURSOR_WORDS, cursors, MR_CURSOR_WORDS);
    used = (uint64_t)cursors[MR_CURSOR_RECORDS];
    if (used > known->records.bytes)
        used = known->records.bytes;
    place = &emission->places[mr_handle_index(handle)];
    if (place->handle != handle || position < place->next)
        *place = (record_place){.handle = handle};
    rc = mr_records_find(emission->domain->data + known->records.offset, used, &place->at, position,
                         logprobs, entries, room, tops, top_room);
    place->next = position; /* also when there is none: the search has moved on */
    return rc;
}

int mr_emission_context(mr_emission *emission, mr_handle handle, mr_context **context)
{
    mr_state_parts state;
    const mr_slot *slot = slot_of(emission, handle, &state);

    *context = NULL;
    if (!slot)
        return mr_fail(ESTALE, "the context of handle %llx has ended", (unsigned long long)handle);
    if (state.state != MR_STATE_DONE)
        return mr_fail(EAGAIN, "the context of handle %llx isn't done", (unsigned long long)handle);
    *context = &emission->context;
    return mr_context_load(*context, emission->domain, mr_handle_index(handle));
}

void mr_emission_stop(mr_emission *emission, mr_handle handle)
{
    mr_state_parts state;
    mr_slot *slot = slot_of(emission, handle, &state);
    uint64_t none;

    if (!slot)
        return;
    none = mr_cancel_make(state.generation, MR_CANCEL_NONE);
    atomic_compare_exchange_strong_explicit(&slot->cancel, &none,
                                            mr_cancel_make(state.generation, MR_CANCEL_STOPPED),
                                            memory_order_acq_rel, memory_order_relaxed);
}
