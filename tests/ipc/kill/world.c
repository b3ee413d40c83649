/*
 * world.c - see world.h
 */
#include "tests/ipc/kill/world.h"
#include "ipc/intake.h"
#include "ipc/member.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include <errno.h>
#include <millrace/check.h>
#include <millrace/supervise.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PROMPT = 3, LONGEST = 80, ROUNDS = 12 };

/* ---- what is wrong ---- */

static char wrong[400];

__attribute__((format(printf, 1, 2))) static const char *say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(wrong, sizeof(wrong), format, arguments);
    va_end(arguments);
    return wrong;
}

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "the test itself fails: %s (%s)\n", what, mr_error());
    abort();
}

/* ---- requests ---- */

uint32_t world_choices(uint64_t ordinal)
{
    return ordinal % 8 == 4 ? 2 : 1;
}

bool world_refused(uint64_t ordinal)
{
    return ordinal % 8 == 6;
}

int64_t world_generated(uint64_t ordinal)
{
    return 2 + (int64_t)(ordinal % 2);
}

static int64_t token(uint64_t ordinal, uint32_t choice, int64_t index)
{
    return (int64_t)((ordinal * 31 + choice * 7 + (uint64_t)index) % 1000);
}

static const int64_t prompt[PROMPT] = {1, 2, 3};

static mr_request request_of(uint64_t ordinal)
{
    mr_request request = {
        .size = sizeof(request),
        .kind = MR_KIND_TEXT,
        .ordinal = ordinal,
        .input_end = ordinal * 10,
        .prompt = prompt,
        .prompt_length = PROMPT,
        .max_length = PROMPT + world_generated(ordinal),
        .request_id = {"id", 2},
    };

    mr_sampling_defaults(&request.sampling);
    request.sampling.choices = world_choices(ordinal);
    request.sampling.seed = ordinal;
    return request;
}

/* As many choices as there are slots, as long as the arena has room for. */
static mr_request request_for_all(uint64_t ordinal)
{
    mr_request request = request_of(ordinal);

    request.max_length = LONGEST;
    request.sampling.choices = WORLD_SLOTS;
    return request;
}

/* ---- life ---- */

static uint64_t arena_for_all(void)
{
    mr_request request = request_for_all(1);

    return (mr_request_size(&request) + 63) / 64 * 64 * WORLD_SLOTS;
}

static void make_domain(struct world *world, uint32_t stages)
{
    static const char *const names[] = {"first", "second"};
    static unsigned number;
    mr_domain_options options = {
        .size = sizeof(options),
        .slots = WORLD_SLOTS,
        .arena_bytes = arena_for_all(),
        .max_length = LONGEST,
        .vocabulary = 1000,
        .stages = stages,
        .stage_names = names,
        .created = 1,
        .id_table = 8,
        .finished = 16,
    };
    char name[40];

    snprintf(name, sizeof(name), "points-%d-%u", (int)getpid(), number++);
    must(!mr_domain_create(&world->domain, name, &options), "a domain");
    madvise(world->domain->data, world->domain->data_bytes, MADV_DOFORK);
    madvise(world->domain->stats, world->domain->stats_bytes, MADV_DOFORK);
    world->domain->patience_ns = 0;
}

static mr_member *join(mr_domain *domain, enum mr_role role)
{
    mr_member_options options = {.size = sizeof(options), .role = role, .name = "points"};
    mr_member *member;

    must(!mr_member_join(&member, domain, &options), "a member");
    return member;
}

static void join_worker(struct world *world, enum world_who who)
{
    mr_worker_options options = {.size = sizeof(options),
                                 .capacity = WORLD_SLOTS,
                                 .stage = who == WORLD_NEXT ? "second" : "first",
                                 .fingerprint = "points"};

    must(!mr_worker_join(&world->workers[who], world->domain, &options), "a worker");
    world->places[who] = mr_worker_index(world->workers[who]);
}

static void open_intake(struct world *world)
{
    mr_intake_mark mark;

    world->tokenizer = join(world->domain, MR_ROLE_TOKENIZER);
    must(!mr_intake_open(&world->intake, world->tokenizer, &mark, NULL), "an intake");
    world->mark = mark.ordinal;
}

static void open_emission(struct world *world)
{
    mr_handle suspect;
    unsigned deaths;

    world->collector = join(world->domain, MR_ROLE_COLLECTOR);
    must(!mr_emission_open(&world->emission, world->collector, &suspect, &deaths), "an emission");
}

struct world *world_new(uint32_t stages)
{
    struct world *world = calloc(1, sizeof(*world));

    must(world != NULL, "memory");
    make_domain(world, stages);
    world->output_fd = memfd_create("output", MFD_CLOEXEC);
    must(!ftruncate(world->output_fd, WORLD_LINES * sizeof(struct world_line)), "an output");
    world->output = mmap(NULL, WORLD_LINES * sizeof(struct world_line), PROT_READ | PROT_WRITE,
                         MAP_SHARED, world->output_fd, 0);
    must(world->output != MAP_FAILED, "an output");
    join_worker(world, WORLD_FIRST);
    join_worker(world, WORLD_SECOND);
    join_worker(world, WORLD_DEAD);
    if (stages > 1)
        join_worker(world, WORLD_NEXT);
    open_intake(world);
    open_emission(world);
    world->next_place = mr_member_index(world->collector) + 1;
    world->dead = WORLD_DEAD;
    world->records = 8;
    return world;
}

void world_free(struct world *world)
{
    munmap(world->output, WORLD_LINES * sizeof(struct world_line));
    close(world->output_fd);
    for (int i = 0; i < WORLD_WORKERS; i++)
        mr_worker_leave(world->workers[i]);
    mr_emission_close(world->emission);
    mr_member_leave(world->collector);
    mr_intake_close(world->intake);
    mr_member_leave(world->tokenizer);
    mr_domain_remove(world->domain);
    free(world);
}

size_t world_memory(struct world *world, struct points_region *regions)
{
    const mr_domain *domain = world->domain;

    regions[0] = (struct points_region){domain->data, domain->data_bytes, domain->data_fd, false};
    regions[1] = (struct points_region){world->output, WORLD_LINES * sizeof(struct world_line),
                                        world->output_fd, false};
    /* what is counted decides nothing, but where the supervisor adds up what the dead counted */
    regions[2] = (struct points_region){domain->stats, domain->stats_bytes, domain->stats_fd,
                                        world->actor != WORLD_SUPERVISOR};
    return 3;
}

/* ---- tokenizer ---- */

int world_admit(struct world *world)
{
    uint64_t ordinal = world->mark + 1;
    mr_request request = request_of(ordinal);
    int rc;

    mr_intake_work(world->intake, ordinal);
    rc = world_refused(ordinal) ? mr_intake_refuse(world->intake, &request)
                                : mr_intake_admit(world->intake, &request);
    must(!rc || rc == -EAGAIN, "a request");
    if (!rc)
        world->mark = ordinal;
    return rc;
}

/* ---- workers ---- */

mr_context *world_claim(struct world *world, enum world_who worker)
{
    mr_context *batch[WORLD_SLOTS];
    int n = mr_worker_batch(world->workers[worker], batch, 0);

    must(n >= 0, "a batch");
    return n ? batch[n - 1] : NULL;
}

void world_update(mr_context *context)
{
    mr_text *text = mr_context_text(context);
    int64_t index = mr_text_length(text) - mr_text_original_prompt_length(text);
    const mr_sampling *sampling = mr_context_sampling(context);

    must(!mr_text_update(text, token(sampling->seed, sampling->choice, index), NULL), "an update");
}

void world_finish(mr_context *context)
{
    while (!mr_context_is_done(context) && !mr_context_cancelled(context))
        world_update(context);
}

static bool work(struct world *world, enum world_who who)
{
    mr_context *batch[WORLD_SLOTS];
    int n, did = 0;

    while ((n = mr_worker_batch(world->workers[who], batch, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            world_finish(batch[i]);
            must(!mr_worker_hand_on(world->workers[who], batch[i]), "a hand-on");
        }
        did++;
    }
    must(n == 0, "a batch");
    return did;
}

/* ---- collector ---- */

static int64_t token_at(const mr_view *view, size_t i)
{
    return i + 1 == view->tokens.count ? view->last_token : view->tokens.ids[i];
}

static struct world_line line_of(const mr_view *view)
{
    struct world_line line = {
        .ordinal = view->ordinal, .choice = view->choice, .failed = view->failed};

    for (size_t i = (size_t)view->prompt_length; i < view->tokens.count; i++)
        line.sum += (uint64_t)token_at(view, i) * ++line.count;
    return line;
}

/* All choices of the request, if all are done. */
static bool all_done(mr_emission *emission, const mr_view *view, mr_view *views)
{
    for (uint32_t choice = 0; choice < view->choices; choice++) {
        mr_handle handle;

        if (mr_emission_choice(emission, view->handle, choice, &handle) ||
            mr_emission_view(emission, handle, &views[choice]) || !views[choice].done)
            return false;
    }
    return true;
}

bool world_emit(struct world *world)
{
    mr_emission *emission = world->emission;
    size_t at = mr_emission_length(emission) / sizeof(struct world_line);
    mr_emitted parts[WORLD_SLOTS];
    mr_view view, views[WORLD_SLOTS];
    mr_handle handle;

    if (mr_emission_next(emission, &handle, 0) || mr_emission_view(emission, handle, &view) ||
        !view.done || !all_done(emission, &view, views))
        return false;
    must(at + view.choices <= WORLD_LINES, "room in the output");
    for (uint32_t i = 0; i < view.choices; i++) {
        world->output[at + i] = line_of(&views[i]);
        parts[i] = (mr_emitted){
            .handle = views[i].handle, .tokens = world->output[at + i].count, .final = 1};
    }
    must(!mr_emission_commit(emission, (at + view.choices) * sizeof(struct world_line), parts,
                             view.choices),
         "a commit");
    return true;
}

bool world_emit_all(struct world *world)
{
    const mr_ring *ring = &world->domain->queues[MR_QUEUE_COLLECTOR].ring;
    bool did = false;

    for (int idle = 0; idle < 2;)
        if (world_emit(world))
            did = true;
        else if (mr_ring_empty(ring, world->domain->entries[MR_QUEUE_COLLECTOR]))
            idle++;
    return did;
}

/* ---- going on ---- */

static bool is_written(const struct world *world, uint64_t ordinal)
{
    size_t lines = mr_emission_length(world->emission) / sizeof(struct world_line);

    for (size_t i = 0; i < lines; i++)
        if (world->output[i].ordinal == ordinal)
            return true;
    return false;
}

static bool all_written(const struct world *world, uint64_t last)
{
    for (uint64_t ordinal = 1; ordinal <= last; ordinal++)
        if (!is_written(world, ordinal))
            return false;
    return true;
}

/* Everybody does what there is to do, by turns, until everything is answered. */
static const char *go_on(struct world *world)
{
    for (int round = 0; round < ROUNDS; round++) {
        while (world->mark < world->records && !world_admit(world))
            ;
        for (int who = 0; who < WORLD_WORKERS; who++)
            if (world->workers[who] && who != WORLD_DEAD)
                work(world, who);
        world_emit_all(world);
        if (world->mark >= world->records && all_written(world, world->records))
            return NULL;
    }
    for (uint64_t ordinal = 1; ordinal <= world->records; ordinal++)
        if (!is_written(world, ordinal))
            return say("request %llu of %llu is never answered", (unsigned long long)ordinal,
                       (unsigned long long)world->mark);
    return say("the group never ends");
}

/* ---- what must hold ---- */

static void note_finding(void *self, const char *place, const char *what)
{
    (void)self;
    say("%s: %s", place, what);
}

static const char *check(struct world *world, const char *when, mr_census *census)
{
    char found[sizeof(wrong)];

    if (!mr_domain_check(world->domain, note_finding, NULL, census))
        return NULL;
    snprintf(found, sizeof(found), "%s", wrong);
    return say("%s: %.300s", when, found);
}

/* Who sleeps beside a queue that has something must have been rung. */
static const char *check_bells(const struct world *world)
{
    for (uint32_t i = 0; i < MR_QUEUES; i++) {
        mr_queue *queue = &world->domain->queues[i];
        int posts = 0;

        sem_getvalue(&queue->doorbell.semaphore, &posts);
        if (atomic_load(&queue->doorbell.sleepers) && !posts &&
            (!mr_ring_empty(&queue->ring, world->domain->entries[i]) ||
             atomic_load(&queue->ring.rescan)))
            return say("queue %u has something, and its sleeper was not rung", i);
    }
    return NULL;
}

static uint64_t sum_of(uint64_t ordinal, uint32_t choice)
{
    uint64_t sum = 0;

    for (int64_t i = 0; i < world_generated(ordinal); i++)
        sum += (uint64_t)token(ordinal, choice, i) * (uint64_t)(i + 1);
    return sum;
}

static const char *check_line(const struct world *world, const struct world_line *line)
{
    unsigned long long ordinal = line->ordinal;
    bool may_fail = world->may_fail >> ordinal & 1,
         may_be_short = world->may_be_short >> ordinal & 1;

    if (line->failed && !may_fail)
        return say("request %llu was failed", ordinal);
    if (line->failed || may_be_short || (world_refused(ordinal) && !line->count))
        return NULL;
    if (line->count != (uint64_t)world_generated(ordinal) ||
        line->sum != sum_of(ordinal, line->choice))
        return say("request %llu has other tokens", ordinal);
    return NULL;
}

/* Each choice of each request, once. */
static const char *check_output(const struct world *world)
{
    size_t lines = mr_emission_length(world->emission) / sizeof(struct world_line), wanted = 0;

    for (uint64_t ordinal = 1; ordinal <= world->records; ordinal++)
        wanted += world_choices(ordinal);
    for (size_t i = 0; i < lines; i++) {
        const struct world_line *line = &world->output[i];
        const char *why = check_line(world, line);

        for (size_t j = 0; j < i; j++)
            if (world->output[j].ordinal == line->ordinal &&
                world->output[j].choice == line->choice)
                return say("request %llu is answered twice", (unsigned long long)line->ordinal);
        if (why)
            return why;
    }
    return lines == wanted ? NULL : say("%zu answers instead of %zu", lines, wanted);
}

/* Nothing is in use, and what the intake believes of slots and arena is so: one request takes all
 * of both. */
static const char *check_all_free(struct world *world)
{
    mr_request request = request_for_all(world->mark + 1);
    mr_census census = {.size = sizeof(census)};
    const char *why = check(world, "at the end", &census);

    if (why)
        return why;
    if (census.free != WORLD_SLOTS || census.arena_bytes)
        return say("%u slots and %llu bytes of the arena are in use at the end",
                   WORLD_SLOTS - census.free, (unsigned long long)census.arena_bytes);
    return mr_intake_admit(world->intake, &request)
               ? say("a request that needs everything has no room: %s", mr_error())
               : NULL;
}

static const char *end(struct world *world)
{
    const char *why = go_on(world);

    if (!why)
        why = check_output(world);
    return why ? why : check_all_free(world);
}

/* ---- after a death ---- */

static enum world_who dead_of(const struct world *world)
{
    return world->actor == WORLD_SUPERVISOR ? world->dead : world->actor;
}

static int place_of(const struct world *world)
{
    enum world_who dead = dead_of(world);

    return dead == WORLD_TOKENIZER   ? mr_member_index(world->tokenizer)
           : dead == WORLD_COLLECTOR ? mr_member_index(world->collector)
           : dead == WORLD_NOBODY    ? world->next_place
                                     : world->places[dead];
}

static bool is_dead(const struct world *world, mr_state_parts state)
{
    return state.state == MR_STATE_LEASED && (int)state.owner == place_of(world);
}

/* One that waited beside a suspect was not at work. */
static bool was_at_work(uint64_t alone, uint32_t index, mr_state_parts state)
{
    return !alone || alone == mr_handle_make(index, state.generation) + 1;
}

/* A death counts once for each context that was at work, and for no other. */
static const char *check_attempts(const struct world *world, const mr_state_parts *before)
{
    uint64_t alone = atomic_load(&world->domain->members[place_of(world)].alone);

    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        mr_state_parts after = mr_state_unpack(mr_slot_load(&world->domain->slots[i]));
        uint32_t wanted =
            before[i].attempts + (is_dead(world, before[i]) && was_at_work(alone, i, before[i]));

        if (after.state == MR_STATE_READY && before[i].state != MR_STATE_FILLING &&
            after.attempts != wanted && after.stage == before[i].stage)
            return say("slot %u counts %u deaths, not %u", i, after.attempts, wanted);
        if (is_dead(world, after))
            return say("slot %u is still leased to the dead", i);
    }
    return NULL;
}

void world_begin(struct world *world)
{
    world->begun = true;
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        world->begun_with[i] = mr_slot_load(&world->domain->slots[i]);
        world->begun_after[i] = atomic_load(&world->domain->slots[i].sequence);
    }
}

/* Deaths are forgotten by a commit, and by nothing before it. */
static const char *check_suspects(const struct world *world)
{
    for (uint32_t i = 0; i < WORLD_SLOTS && world->begun; i++) {
        const mr_slot *slot = &world->domain->slots[i];
        mr_state_parts before = mr_state_unpack(world->begun_with[i]);
        mr_state_parts now = mr_state_unpack(mr_slot_load(slot));

        if (before.state == MR_STATE_LEASED && now.state == MR_STATE_LEASED &&
            before.attempts != now.attempts &&
            world->begun_after[i] == atomic_load(&slot->sequence))
            return say("slot %u counts %u deaths instead of %u, and nothing was committed", i,
                       now.attempts, before.attempts);
    }
    return NULL;
}

static const char *sweep(struct world *world)
{
    mr_state_parts before[WORLD_SLOTS];
    const char *why;

    for (uint32_t i = 0; i < WORLD_SLOTS; i++)
        before[i] = mr_state_unpack(mr_slot_load(&world->domain->slots[i]));
    if (mr_supervisor_sweep(world->domain, place_of(world), NULL) < 0)
        return say("the sweep fails: %s", mr_error());
    why = check_attempts(world, before);
    if (!why && atomic_load(&world->domain->members[place_of(world)].place) != MR_PLACE_FREE)
        why = say("the place of the dead is not free");
    return why;
}

/* The others have a successor at once; the first worker's work is for the second. */
static void replace(struct world *world)
{
    enum world_who dead = dead_of(world);

    if (dead == WORLD_FIRST)
        world->workers[dead] = NULL;
    if (dead == WORLD_NEXT)
        join_worker(world, dead);
    for (int i = 0; i < 2; i++) { /* the first successor dies as soon as it has begun */
        if (dead == WORLD_TOKENIZER)
            open_intake(world);
        if (dead == WORLD_COLLECTOR)
            open_emission(world);
        if (i == 0 && (dead == WORLD_TOKENIZER || dead == WORLD_COLLECTOR))
            mr_supervisor_sweep(world->domain, place_of(world), NULL);
    }
    if (world->actor == WORLD_SUPERVISOR)
        mr_supervisor_expire(world->domain);
}

const char *world_killed(struct world *world)
{
    const char *why = check(world, "after the kill", NULL);

    if (!why)
        why = check_suspects(world);
    if (!why)
        why = sweep(world);
    if (!why)
        why = check(world, "after the sweep", NULL);
    if (!why)
        why = check_bells(world);
    if (!why) {
        replace(world);
        why = end(world);
    }
    return why;
}

const char *world_ended(struct world *world)
{
    const char *why = check(world, "after it has ended", NULL);

    if (!why)
        why = check_bells(world);
    if (world->actor == WORLD_SUPERVISOR)
        replace(world);
    return why ? why : end(world);
}
