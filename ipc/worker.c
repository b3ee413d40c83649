/*
 * worker.c - a worker's life: claim, hold, commit, hand on
 *
 * What a worker holds, it holds by the state words of the slots; the list here is only its own
 * notion of that, and is gone with it. A context is loaded after its claim and never before:
 * nothing read from a slot that isn't ours counts.
 *
 * Room: a worker holds at most `capacity` contexts whose worst cases, rounded up to pages, fit in
 * `token_capacity`. One that doesn't fit is given back with a hint for the others, and no further
 * is claimed until something held was let go of (`full`): so it isn't passed round and round. One
 * that is too large for the room left (`large`) is remembered: until another took it, room is made
 * for it before anything else is claimed, or small ones that come after it would keep it out for
 * ever.
 *
 * Kinds: what another arithmetic has begun is left to its workers (`left`): the hint goes back into
 * the ring, and the bell rings for them.
 */
#include "ipc/context.h"
#include "ipc/error.h"
#include "ipc/events.h"
#include "ipc/lease.h"
#include "ipc/member.h"
#include "ipc/probes.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include "ipc/stats.h"
#include "ipc/sweep.h"
#include <errno.h>
#include <millrace/worker.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MISSED = 8,            /* kinds that may be missed at a time */
    LEFT_AT_ONCE = 64,     /* hints that are passed on to others before a batch goes on */
    LOOK_FOR_DROPPED = 64, /* claims between two looks at `rescan` in a ring that is never empty */
    AHEAD = 4,             /* places in a batch: about as many misses as overlap */
    OPTIONS_MAX = 4096,    /* bytes of options, of any version to come */
    LOOK_NS = 50000000,    /* between two looks after the supervisor */
    LONG_STEP_NS = 100000, /* a step beside which the clock costs nothing */
    AUDIT_NS = 1000000000  /* between two looks for leases of ours that we don't hold */
};

/* A kind (mr_begun_by()) of which no worker was found alive, and since when (boot time); 0: none.
 */
typedef struct missed_kind {
    uint32_t kind;
    uint64_t since;
} missed_kind;

struct mr_worker {
    mr_member *member;
    mr_domain *domain;
    uint32_t capacity;
    uint32_t count; /* of held */
    uint64_t token_capacity;
    uint64_t token_page;
    uint64_t tokens;      /* reserved by what is held */
    bool full;            /* something didn't fit */
    mr_slot *large;       /* the slot of what was too large for the room left; NULL: none */
    uint64_t large_needs; /* tokens of it */
    bool may_suspect;     /* a suspect was claimed since none was found */
    bool left;            /* something was left to workers of the kind that began it */
    missed_kind missed[MISSED];
    uint64_t next_look;  /* when the supervisor is looked after again, boot time */
    uint64_t now;        /* boot time, of the present call of mr_worker_batch() */
    uint64_t step_begun; /* of the step that its caller is in; 0: none */
    uint64_t step_time;  /* of the last one that ended, not recorded yet; 0: none */
    uint64_t last_step;  /* of the last one that ended */
    uint64_t next_audit; /* when its leases are looked through again, boot time */
    unsigned claims;
    mr_context **held;
    mr_context *contexts; /* storage, `capacity` of them; free ones have no slot */
};

/* ---- joining and leaving ---- */

/* What a program of the first release knew of the options, and all releases after it. */
enum { OLDEST_OPTIONS = offsetof(mr_worker_options, model_fingerprint) };

/*
 * The options as this library knows them. A program that was built with an older header has fewer:
 * those that it doesn't know are 0. One that was built with a newer header has more, which must be
 * 0, since this library can't do what they ask for.
 */
static int take_options(mr_worker_options *known, const mr_worker_options *given)
{
    const unsigned char *bytes = (const unsigned char *)given;

    if (!given || given->size < OLDEST_OPTIONS || given->size > OPTIONS_MAX)
        return mr_fail(EINVAL, "the worker's options are of size %u, not %zu; set .size",
                       given ? given->size : 0, sizeof(*known));
    for (uint32_t i = sizeof(*known); i < given->size; i++)
        if (bytes[i])
            return mr_fail(E2BIG,
                           "the worker asks for what libmillrace %s doesn't know; install "
                           "the version that it was built with",
                           mr_version());
    *known = (mr_worker_options){0};
    memcpy(known, given, given->size < sizeof(*known) ? given->size : sizeof(*known));
    return 0;
}

static int check_options(const mr_worker_options *o)
{
    if (!o->fingerprint || !*o->fingerprint)
        return mr_fail(EINVAL, "a worker must say what its arithmetic is; set .fingerprint");
    if (o->capacity < 1 || o->capacity > MR_MAX_SLOTS)
        return mr_fail(EINVAL, "capacity '%u' is not in 1 to %d", o->capacity, MR_MAX_SLOTS);
    return 0;
}

static mr_member_options member_options(const mr_worker_options *o)
{
    return (mr_member_options){
        .size = sizeof(mr_member_options),
        .role = MR_ROLE_WORKER,
        .capacity = o->capacity,
        .model_fingerprint = o->model_fingerprint,
        .vocabulary = o->vocabulary,
        .flags = o->flags,
        .fingerprint = o->fingerprint,
        .stage_name = o->stage,
        .name = o->name,
        .kinds = o->kinds,
    };
}

static int worker_new(mr_worker **out, mr_member *member, const mr_worker_options *o)
{
    mr_worker *worker = calloc(1, sizeof(*worker));

    if (worker) {
        worker->held = calloc(o->capacity, sizeof(mr_context *));
        worker->contexts = calloc(o->capacity, sizeof(mr_context));
    }
    if (!worker || !worker->held || !worker->contexts) {
        if (worker) {
            free(worker->held);
            free(worker->contexts);
        }
        free(worker);
        mr_member_leave(member);
        return mr_fail(ENOMEM, "out of memory for %u contexts", o->capacity);
    }
    worker->member = member;
    worker->domain = mr_member_domain(member);
    worker->capacity = o->capacity;
    worker->token_page = o->token_page ? o->token_page : 1;
    worker->token_capacity = o->token_capacity ? o->token_capacity : UINT64_MAX;
    if (o->token_capacity)
        mr_stats_set(member->stats, MR_STAT_kv_capacity, o->token_capacity);
    *out = worker;
    return 0;
}

static int check_room(const mr_domain *domain, const mr_worker_options *o)
{
    uint64_t page = o->token_page ? o->token_page : 1;
    uint64_t longest = (domain->max_length + page - 1) / page * page;

    if (o->token_capacity && o->token_capacity < longest)
        return mr_fail(
            EINVAL,
            "room for %llu tokens is less than the domain's longest context needs (%llu); give "
            "the worker more memory, or start the domain with a smaller --max-len",
            (unsigned long long)o->token_capacity, (unsigned long long)longest);
    return 0;
}

int mr_worker_attach(mr_worker **worker, const char *name, const mr_worker_options *given)
{
    mr_worker_options options;
    mr_member_options wants;
    mr_member *member;
    int rc = take_options(&options, given);

    if (rc || (rc = check_options(&options)))
        return rc;
    wants = member_options(&options);
    if ((rc = mr_member_attach(&member, name, &wants)))
        return rc;
    if ((rc = check_room(mr_member_domain(member), &options))) {
        mr_member_leave(member);
        return rc;
    }
    return worker_new(worker, member, &options);
}

int mr_worker_join(mr_worker **worker, mr_domain *domain, const mr_worker_options *given)
{
    mr_worker_options options;
    mr_member_options wants;
    mr_member *member;
    int rc = take_options(&options, given);

    if (rc || (rc = check_options(&options)) || (rc = check_room(domain, &options)))
        return rc;
    wants = member_options(&options);
    if ((rc = mr_member_join(&member, domain, &wants)))
        return rc;
    return worker_new(worker, member, &options);
}

void mr_worker_leave(mr_worker *worker)
{
    if (!worker)
        return;
    while (worker->count)
        if (mr_worker_put_back(worker, worker->held[worker->count - 1]))
            break; /* the lease is lost: the supervisor has it already */
    mr_member_leave(worker->member);
    free(worker->contexts);
    free(worker->held);
    free(worker);
}

/* ---- claiming ---- */

static uint64_t tokens_needed(const mr_worker *worker, const mr_context *context)
{
    uint64_t tokens = (uint64_t)context->params.capacity;

    return (tokens + worker->token_page - 1) / worker->token_page * worker->token_page;
}

static mr_context *free_context(mr_worker *worker)
{
    for (uint32_t i = 0; i < worker->capacity; i++)
        if (!worker->contexts[i].slot)
            return &worker->contexts[i];
    return NULL;
}

static void update_gauges(mr_worker *worker)
{
    atomic_store_explicit(&worker->member->place->held, worker->count, memory_order_relaxed);
    mr_stats_set(worker->member->stats, MR_STAT_held, worker->count);
    mr_stats_set(worker->member->stats, MR_STAT_kv_tokens, worker->tokens);
}

/* Is any worker alive that computes as the one that began this context? */
static bool kind_lives(const mr_domain *domain, uint32_t begun_by)
{
    for (int i = 0; i < MR_MAX_MEMBERS; i++) {
        const mr_place_record *place = &domain->members[i];

        if (mr_place_taken(domain, (uint32_t)i) && place->role == MR_ROLE_WORKER &&
            mr_begun_by(place->fingerprint) == begun_by)
            return true;
    }
    return false;
}

/* What is known of a kind's absence; a new entry if there is none yet. Where more kinds are missed
 * than there are entries, they share the last, and patience is longer. */
static missed_kind *missed_of(mr_worker *worker, uint32_t begun_by)
{
    missed_kind *empty = NULL;

    for (unsigned i = 0; i < MISSED; i++) {
        if (worker->missed[i].kind == begun_by)
            return &worker->missed[i];
        if (!worker->missed[i].kind && !empty)
            empty = &worker->missed[i];
    }
    if (!empty) {
        empty = &worker->missed[MISSED - 1];
        *empty = (missed_kind){0};
    }
    return empty;
}

/* Is nobody left for a while who could go on with it? One of its kind may have been killed and be
 * just starting again: to give up at once would fail what a moment of patience answers. */
static bool is_given_up(mr_worker *worker, uint32_t begun_by)
{
    missed_kind *missed = missed_of(worker, begun_by);

    if (kind_lives(worker->domain, begun_by)) {
        *missed = (missed_kind){0};
        return false;
    }
    if (!missed->kind)
        *missed = (missed_kind){begun_by, mr_boottime_ns()};
    return mr_boottime_ns() - missed->since >= worker->domain->patience_ns;
}

/* Whether a context just claimed may stay. 0, -EAGAIN (give it back), or it was failed: -ECANCELED.
 */
static int fits(mr_worker *worker, mr_context *context, uint32_t index)
{
    uint64_t begun_by = (uint64_t)context->now[MR_CURSOR_FINGERPRINT];

    if (begun_by && begun_by != worker->member->fingerprint) {
        if (!is_given_up(worker, mr_begun_by(begun_by)))
            return -EAGAIN;
        mr_lease_fail(
            worker->domain, index, context->state,
            "the request was begun by a worker of another model or build, and none of that "
            "kind is left");
        return -ECANCELED;
    }
    if (tokens_needed(worker, context) <= worker->token_capacity - worker->tokens)
        return 0;
    worker->large = context->slot;
    worker->large_needs = tokens_needed(worker, context);
    return -EAGAIN;
}

/* A batch is worked through in its order: each commit may fetch the lines of a later one. */
static void look_ahead(mr_worker *worker, uint32_t from)
{
    for (uint32_t i = from; i < worker->count; i++)
        worker->held[i]->ahead = i + AHEAD < worker->count ? worker->held[i + AHEAD] : NULL;
}

/* One that was begun, taken back or handed on has waited for other reasons. */
static void count_wait(const mr_worker *worker, const mr_context *context)
{
    const mr_params *params = &context->params;

    if (params->accepted && params->accepted < worker->now && !context->now[MR_CURSOR_RESETS] &&
        !mr_context_suspect(context) && params->first_stage == worker->member->stage)
        MR_STATS_RECORD(worker->member->stats, queue_wait, worker->now - params->accepted);
}

static void hold(mr_worker *worker, mr_context *context)
{
    count_wait(worker, context);
    context->worker = worker;
    context->stats = worker->member->stats;
    context->fingerprint = worker->member->fingerprint;
    context->member = (uint32_t)worker->member->index;
    context->first_due = true;
    context->leased_at = worker->now;
    context->step_at = &worker->now;
    mr_events_begin(context->slot, context->state, worker->now, context->sequence);
    MR_PROBE3(lease, context->ordinal, context->index, context->member);
    worker->may_suspect |= mr_context_suspect(context);
    worker->tokens += tokens_needed(worker, context);
    worker->held[worker->count++] = context;
    look_ahead(worker, worker->count > AHEAD ? worker->count - AHEAD - 1 : 0);
    mr_stats_add(worker->member->stats, MR_STAT_claims, 1);
    update_gauges(worker);
}

/* Was it begun by a worker of another kind, and will one of that kind come for it? */
static bool is_for_others(mr_worker *worker, mr_state_parts state)
{
    return state.owner && state.owner != mr_begun_by(worker->member->fingerprint) &&
           !is_given_up(worker, state.owner);
}

/* Try to become the owner of slot `index`; `hint` may be stale. 0, -EAGAIN, or -EBUSY: it is for
 * others, whom the hint that led here must reach. */
static int claim(mr_worker *worker, uint32_t index, const uint32_t *hint)
{
    mr_slot *slot = &worker->domain->slots[index];
    uint64_t word = mr_slot_load(slot);
    mr_state_parts state = mr_state_unpack(word);
    mr_context *context;
    int rc;

    /* READY with a request that was answered: the word was overwritten, the arrays are another's */
    if (state.state != MR_STATE_READY || state.stage != worker->member->stage ||
        !mr_slot_is_unanswered(slot) || (hint && !mr_hint_fits(*hint, index, state.generation)))
        return -EAGAIN;
    if (is_for_others(worker, state))
        return -EBUSY;
    if (!(context = free_context(worker)))
        return -EAGAIN;
    state.state = MR_STATE_LEASED;
    state.owner = (uint32_t)worker->member->index;
    if (!mr_slot_change(slot, word, state))
        return -EAGAIN;
    word = mr_state_pack(state);
    if (mr_context_load(context, worker->domain, index)) {
        mr_lease_fail(worker->domain, index, word, mr_error());
        context->slot = NULL;
        return -EAGAIN;
    }
    if ((rc = fits(worker, context, index))) {
        if (rc == -EAGAIN) {
            worker->full = true;
            mr_lease_to_ready(worker->domain, index, word, state.stage, state.attempts,
                              (uint64_t)context->now[MR_CURSOR_FINGERPRINT]);
        }
        context->slot = NULL;
        return -EAGAIN;
    }
    hold(worker, context);
    return 0;
}

static void leave_to_others(mr_worker *worker, uint32_t index, uint32_t generation)
{
    worker->left = true;
    mr_queue_push(worker->domain, worker->member->stage, index, generation);
}

/* A hint was dropped somewhere: look at the slots themselves. */
static void look_through_slots(mr_worker *worker)
{
    if (!mr_queue_rescan_begin(worker->domain, worker->member->stage))
        return;
    mr_stats_add(worker->member->stats, MR_STAT_rescans, 1);
    for (uint32_t i = 0; i < worker->domain->slot_count; i++) {
        if (worker->count == worker->capacity || worker->full) {
            mr_queue_rescan_raise(worker->domain, worker->member->stage); /* stopped early */
            return;
        }
        if (claim(worker, i, NULL) == -EBUSY)
            leave_to_others(worker, i,
                            mr_state_unpack(mr_slot_load(&worker->domain->slots[i])).generation);
    }
}

static bool may_claim(const mr_worker *worker)
{
    return worker->count < worker->capacity && !worker->full;
}

/* Turn to the one that was too large, once there is room for it; forget it if another took it. */
static void turn_to_large(mr_worker *worker)
{
    mr_slot *slot = worker->large;
    mr_state_parts state;

    if (!slot)
        return;
    state = mr_state_unpack(mr_slot_load(slot));
    if (state.state == MR_STATE_READY && state.stage == worker->member->stage) {
        worker->full = worker->large_needs > worker->token_capacity - worker->tokens;
        if (worker->full || worker->count == worker->capacity)
            return;
        worker->large = NULL;
        claim(worker, (uint32_t)(slot - worker->domain->slots), NULL);
        return;
    }
    worker->large = NULL;
    worker->full = false;
}

static void claim_what_fits(mr_worker *worker)
{
    uint32_t index, hint, first_left = UINT32_MAX;
    unsigned left = 0, rounds = 0;
    int rc;

    worker->left = false;
    turn_to_large(worker);
    while (may_claim(worker)) {
        if (++worker->claims % LOOK_FOR_DROPPED == 0)
            look_through_slots(worker);
        if (!may_claim(worker))
            return;
        if (mr_queue_pop(worker->domain, worker->member->stage, &index, &hint)) {
            look_through_slots(worker);
            return;
        }
        rc = claim(worker, index, &hint);
        if (rc == -EBUSY) {
            leave_to_others(worker, index, hint >> MR_INDEX_BITS);
            first_left = left++ ? first_left : index;
            rounds += index == first_left; /* a hint may be doubled: the second time says little */
            if (rounds == 3 || left == LEFT_AT_ONCE)
                return;
        } else if (rc) {
            mr_stats_add(worker->member->stats, MR_STAT_stale_hints, 1);
        }
    }
}

/* ---- batches ---- */

/* Says which of the held contexts is at work by itself, for the sweep; 0: all are. */
static void tell_alone(mr_worker *worker, uint64_t alone)
{
    mr_word *word = &worker->member->place->alone;

    if (atomic_load_explicit(word, memory_order_relaxed) != alone)
        atomic_store_explicit(word, alone, memory_order_relaxed);
}

/* All that is held; or a suspect alone, so that a death is laid at the right door: those that are
 * held beside it are not at work. */
static int give(mr_worker *worker, mr_context **batch)
{
    for (uint32_t i = 0; i < worker->count && worker->may_suspect; i++)
        if (mr_context_suspect(worker->held[i])) {
            batch[0] = worker->held[i];
            tell_alone(worker, batch[0]->handle + 1);
            return 1;
        }
    worker->may_suspect = false;
    tell_alone(worker, 0);
    memcpy(batch, worker->held, worker->count * sizeof(*batch));
    return (int)worker->count;
}

/* The step before the last one is recorded when the last one ends: the store of a value that has
 * just come from the clock would make all that follows wait for it. */
static void record_step(mr_worker *worker)
{
    if (worker->step_time)
        MR_STATS_RECORD(worker->member->stats, step_time, worker->step_time);
    worker->step_time = 0;
}

/* The caller is back: what it did since it had its batch was a step. */
static void end_step(mr_worker *worker)
{
    if (!worker->step_begun)
        return;
    record_step(worker);
    worker->step_time = worker->last_step = worker->now - worker->step_begun;
    worker->step_begun = 0;
}

/* ---- leases that don't fit what is held ---- */

static void let_go(mr_worker *worker, mr_context *context)
{
    for (uint32_t i = 0; i < worker->count; i++)
        if (worker->held[i] == context) {
            memmove(&worker->held[i], &worker->held[i + 1],
                    (worker->count - i - 1) * sizeof(*worker->held));
            worker->count--;
            look_ahead(worker, i > AHEAD ? i - AHEAD : 0);
            break;
        }
    worker->tokens -= tokens_needed(worker, context);
    worker->full = false;
    context->slot = NULL;
    context->worker = NULL;
    update_gauges(worker);
}

static bool is_held(const mr_worker *worker, const mr_slot *slot)
{
    for (uint32_t i = 0; i < worker->count; i++)
        if (worker->held[i]->slot == slot)
            return true;
    return false;
}

/* Ours by the state word, but not held: the word was overwritten. Only we can tell, so it is for us
 * to give it back. */
static void give_unknown_back(mr_worker *worker)
{
    mr_domain *domain = worker->domain;

    for (uint32_t i = 0; i < domain->slot_count; i++) {
        uint64_t word = mr_slot_load(&domain->slots[i]);
        mr_state_parts state = mr_state_unpack(word);

        if (state.state == MR_STATE_LEASED && state.owner == (uint32_t)worker->member->index &&
            !is_held(worker, &domain->slots[i]))
            mr_sweep_take_back(domain, i, word, 0);
    }
}

/* What is held, but no longer ours by the state word, was taken away or overwritten. */
static void drop_lost(mr_worker *worker)
{
    for (uint32_t i = worker->count; i-- > 0;)
        if (mr_slot_load(worker->held[i]->slot) != worker->held[i]->state)
            let_go(worker, worker->held[i]);
    if (worker->now >= worker->next_audit) {
        worker->next_audit = worker->now + AUDIT_NS;
        give_unknown_back(worker);
    }
}

static int begin_step(mr_worker *worker, int contexts)
{
    mr_place_record *place = worker->member->place;

    atomic_store_explicit(&place->steps,
                          atomic_load_explicit(&place->steps, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&place->step_begun, worker->now, memory_order_relaxed);
    worker->step_begun = worker->now;
    mr_stats_count(worker->member->stats, MR_STAT_steps, 1);
    MR_STATS_RECORD(worker->member->stats, batch_size, (uint64_t)contexts);
    return contexts;
}

/* Milliseconds left until `end`; MR_WAIT stays what it is. */
static int left_until(int timeout, uint64_t end)
{
    uint64_t now = timeout < 0 ? 0 : mr_monotonic_ns();

    return timeout < 0 ? MR_WAIT : now >= end ? 0 : (int)((end - now + 999999) / 1000000);
}

/* What is there is not for us: others have it first. */
static void leave_it_for_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* Nothing is held: no step goes on, however long the next one is waited for. */
static void be_idle(mr_worker *worker)
{
    record_step(worker);
    atomic_store_explicit(&worker->member->place->step_begun, 0, memory_order_relaxed);
}

static void wait_for_work(mr_worker *worker, int timeout)
{
    uint32_t queue = worker->member->stage;

    mr_stats_add(worker->member->stats, MR_STAT_sleeps, 1);
    if (worker->full || worker->left) {
        leave_it_for_a_moment();
        return;
    }
    if (mr_queue_spin(worker->domain, queue))
        return;
    mr_queue_sleep(worker->domain, queue, (unsigned)worker->member->index, timeout);
}

/* The phase each time, the supervisor's socket now and then: a step of nothing costs one look at
 * the clock. */
static bool may_go_on(mr_worker *worker, uint64_t now)
{
    if (now < worker->next_look && !worker->member->gone)
        return mr_domain_phase(worker->domain) < MR_PHASE_STOP;
    worker->next_look = now + LOOK_NS;
    return mr_member_alive(worker->member);
}

/* Between two steps: what others can go on with at once shall not wait until we have left. */
static int leave_in_order(mr_worker *worker)
{
    while (worker->count)
        if (mr_worker_put_back(worker, worker->held[worker->count - 1]))
            break; /* the lease is lost: the supervisor has it already */
    atomic_store_explicit(&worker->member->place->step_begun, 0, memory_order_relaxed);
    return mr_fail(ESHUTDOWN, "this worker was told to leave domain '%s'",
                   worker->domain->info.name);
}

int mr_worker_batch(mr_worker *worker, mr_context **batch, int timeout)
{
    uint64_t end = timeout > 0 ? mr_monotonic_ns() + (uint64_t)timeout * 1000000 : 0;

    for (;;) {
        int left;

        worker->now = mr_boottime_ns();
        end_step(worker);
        if (!may_go_on(worker, worker->now))
            return mr_fail(ESHUTDOWN, "domain '%s' ends", worker->domain->info.name);
        if (atomic_load_explicit(&worker->member->place->leave, memory_order_relaxed))
            return leave_in_order(worker);
        drop_lost(worker);
        if (!worker->count)
            worker->full = false;
        claim_what_fits(worker);
        if (worker->count)
            return begin_step(worker, give(worker, batch));
        be_idle(worker);
        left = left_until(timeout, end);
        if (!left)
            return 0;
        wait_for_work(worker, left);
    }
}

int mr_worker_fd(const mr_worker *worker)
{
    return worker->domain->eventfds[worker->member->stage];
}

int mr_worker_arm(mr_worker *worker)
{
    uint32_t queue = worker->member->stage;
    unsigned member = (unsigned)worker->member->index;

    mr_queue_unwatch(worker->domain, queue, member);
    if (!mr_queue_watch(worker->domain, queue, member))
        return 0;
    if (worker->full || worker->left)
        leave_it_for_a_moment();
    return 1;
}

void mr_worker_progress(mr_worker *worker)
{
    mr_word *parts = &worker->member->place->parts;

    atomic_store_explicit(parts, atomic_load_explicit(parts, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* ---- letting go ---- */

/* Tells that the lease ends. Where steps are short their beginning is exact enough, and the clock
 * costs more than a commit; where they are long it costs nothing. */
static void tell_end(const mr_worker *worker, const mr_context *context, enum mr_trace_end end)
{
    const bool is_long = worker->last_step >= LONG_STEP_NS;

    mr_events_end(context->slot, context->state, end, is_long ? mr_boottime_ns() : worker->now);
}

static int check_held(const mr_worker *worker, const mr_context *context)
{
    if (!context || context->worker != worker || !context->slot)
        return mr_fail(EINVAL, "the context is not held by this worker");
    return 0;
}

static int lost(mr_worker *worker, mr_context *context, int rc)
{
    let_go(worker, context);
    return rc ? mr_fail(ESTALE, "the context was taken away from this worker") : 0;
}

int mr_worker_hand_on(mr_worker *worker, mr_context *context)
{
    uint32_t index, next;
    int rc = check_held(worker, context);

    if (rc)
        return rc;
    if (context->placeholder || context->reserved || context->held)
        return mr_fail(EINVAL, "the context has changes that nobody else sees: realise its "
                               "placeholder, leave its reserve scope, release its hold first");
    index = mr_handle_index(context->handle);
    if (mr_slot_load(context->slot) != context->state)
        return lost(worker, context, -ESTALE);
    next = mr_state_unpack(context->state).stage + 1;
    MR_PROBE4(hand_on, context->ordinal, context->index, context->member, next);
    if (next < worker->domain->stage_count && !mr_context_cancelled(context)) {
        tell_end(worker, context, MR_TRACE_HANDED_ON);
        return lost(worker, context,
                    mr_lease_to_ready(worker->domain, index, context->state, next, 0, 0));
    }
    if (!mr_context_is_done(context) && !mr_context_cancelled(context))
        return mr_fail(EINVAL,
                       "the context is neither done nor cancelled: update it until it is done, "
                       "or put it back");
    tell_end(worker, context, MR_TRACE_DONE);
    return lost(worker, context, mr_lease_to_done(worker->domain, index, context->state));
}

int mr_worker_put_back(mr_worker *worker, mr_context *context)
{
    mr_state_parts state;
    int rc = check_held(worker, context);

    if (rc)
        return rc;
    if (mr_slot_load(context->slot) != context->state)
        return lost(worker, context, -ESTALE);
    tell_end(worker, context, MR_TRACE_PUT_BACK);
    if (!mr_context_text(context)) {
        mr_context_forget(context);
    } else {
        mr_text_take_over(context);
        context->worker = NULL; /* no step: attempts stay, and nothing is new */
        mr_context_commit(context);
        context->worker = worker;
    }
    state = mr_state_unpack(context->state);
    mr_stats_add(worker->member->stats, MR_STAT_put_back, 1);
    return lost(worker, context,
                mr_lease_release(worker->domain, mr_handle_index(context->handle), context,
                                 state.attempts));
}

int mr_worker_fail(mr_worker *worker, mr_context *context, const char *why)
{
    int rc = check_held(worker, context);

    if (rc)
        return rc;
    if (mr_slot_load(context->slot) != context->state)
        return lost(worker, context, -ESTALE);
    return lost(
        worker, context,
        mr_lease_fail(worker->domain, mr_handle_index(context->handle), context->state, why));
}

mr_domain *mr_worker_domain(mr_worker *worker)
{
    return worker->domain;
}

mr_stats *mr_worker_stats(mr_worker *worker)
{
    return worker->member->stats;
}

int mr_worker_index(const mr_worker *worker)
{
    return worker->member->index;
}
