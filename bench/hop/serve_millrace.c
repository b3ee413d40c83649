/*
 * serve_millrace.c - W3: the serving hop through libmillrace, by its public headers alone
 *
 * Tokenizer, workers and collector attach to a domain as any member does. The number of slots is
 * the number of requests in flight: the tokenizer admits whenever one is free.
 */
#include "bench/hop/parts.h"
#include <errno.h>
#include <millrace/millrace.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAUSES_A_ROUND = 16 };

_Static_assert((int)MAX_IN_FLIGHT <= (int)MR_MAX_EMITTED, "a round fits into one commit");

struct group {
    const serving *plan;
    char name[MR_NAME_MAX + 1];
};

static void fail_unless_stopped(int rc, const char *who)
{
    if (rc && rc != -ESHUTDOWN)
        die("%s: %s (%d)", who, mr_error(), rc);
}

static mr_member *attach(const struct group *g, enum mr_role role, const char *name)
{
    const mr_member_options options = {.size = sizeof(options), .role = role, .name = name};
    mr_member *member = NULL;

    fail_unless_stopped(mr_member_attach(&member, g->name, &options), "a member");
    return member;
}

/* ---- tokenizer ---- */

static int take_in(mr_intake *intake, uint64_t ordinal)
{
    char id[17];
    mr_request request = {
        .size = sizeof(request),
        .kind = MR_KIND_TEXT,
        .ordinal = ordinal,
        .prompt = serve_prompt(ordinal),
        .prompt_length = PROMPT_TOKENS,
        .max_length = PROMPT_TOKENS + OUTPUT_TOKENS,
    };
    int rc;

    snprintf(id, sizeof(id), "%016llx", (unsigned long long)ordinal);
    request.request_id = (mr_bytes){id, 16};
    mr_sampling_defaults(&request.sampling);
    request.sampling.seed = ordinal;
    while ((rc = mr_intake_admit(intake, &request)) == -EAGAIN)
        if ((rc = mr_intake_wait(intake, MR_WAIT)))
            return rc;
    return rc;
}

static void tokenizer(run *r, report *mine, void *shared)
{
    mr_member *member = attach(shared, MR_ROLE_TOKENIZER, "hop-tokenizer");
    mr_intake_mark mark;
    mr_intake *intake;
    int rc = mr_intake_open(&intake, member, &mark, NULL);

    fail_unless_stopped(rc, "the tokenizer");
    run_begin(r, mine);
    while (!rc && !run_stopped(r))
        rc = take_in(intake, mine->count += 1);
    mr_intake_finish(intake);
    while (!rc || rc == -ETIMEDOUT)
        rc = mr_intake_wait(intake, MR_WAIT);
    fail_unless_stopped(rc, "the tokenizer");
    run_end(mine);
    mr_intake_close(intake);
    mr_member_leave(member);
}

/* ---- worker: a model step that costs nothing ---- */

static int step(const run *r, mr_worker *worker, mr_context *context, uint64_t *now)
{
    mr_text *text = mr_context_text(context);
    uint64_t index = (uint64_t)mr_text_generated_length(text);
    uint64_t request = mr_context_sampling(context)->seed;
    int rc = mr_text_update(text, serve_token_or_stamp(r, request, index, now), NULL);

    return !rc && mr_text_is_done(text) ? mr_worker_hand_on(worker, context) : rc;
}

static void work(run *r, report *mine, void *shared)
{
    const struct group *g = shared;
    const mr_worker_options options = {
        .size = sizeof(options),
        .capacity = (uint32_t)(g->plan->in_flight / g->plan->workers),
        .fingerprint = "nothing-1",
        .name = "hop-worker",
    };
    mr_context *batch[MAX_IN_FLIGHT];
    mr_worker *worker = NULL;
    int n;

    fail_unless_stopped(mr_worker_attach(&worker, g->name, &options), "a worker");
    run_begin(r, mine);
    while ((n = mr_worker_batch(worker, batch, MR_WAIT)) >= 0) {
        uint64_t now = 0;

        serve_pace(g->plan, mine);
        for (int i = 0; i < n; i++)
            fail_unless_stopped(step(r, worker, batch[i], &now), "a worker");
        mine->count += (uint64_t)n;
    }
    fail_unless_stopped(n, "a worker");
    run_end(mine);
    mr_worker_leave(worker);
}

/* ---- collector ---- */

static int64_t token_at(const mr_view *view, size_t i)
{
    return i + 1 == view->tokens.count ? view->last_token : view->tokens.ids[i];
}

/* How far each slot's context was read, ahead of the marks that a commit moves. */
struct read_mark {
    mr_handle key; /* handle + 1 */
    size_t tokens;
};

/* Reads what is new in a context; false: nothing is. */
static bool collect(run *r, report *mine, const mr_view *view, struct read_mark *mark,
                    mr_emitted *part)
{
    size_t from = mark->key == view->handle + 1 ? mark->tokens : (size_t)view->prompt_length;
    uint64_t now = 0;

    for (size_t i = from; i < view->tokens.count; i++) {
        size_t index = i - (size_t)view->prompt_length;
        int64_t token = token_at(view, i);

        if (index % STAMP_EACH) {
            if (token != serve_token(view->ordinal, index))
                die("token %zu of request %llu is wrong", index, (unsigned long long)view->ordinal);
        } else {
            now = now ? now : run_stamp(r);
            run_delay(r, (uint64_t)token, now);
        }
    }
    mine->count += view->tokens.count - from;
    *mark = (struct read_mark){view->handle + 1, view->tokens.count};
    *part = (mr_emitted){.handle = view->handle,
                         .tokens = view->tokens.count - (size_t)view->prompt_length,
                         .final = view->done};
    return view->done || from < view->tokens.count;
}

/*
 * A round: each context that has something is looked at about once, then all of it is committed.
 * A pause between rounds (0.3 us) lets more tokens come with the next look; a collector with work
 * of its own (text to make, a file to write) has that pause anyway.
 */
static void collect_until_stopped(run *r, report *mine, mr_emission *emission, size_t in_flight)
{
    static struct read_mark marks[MR_MAX_SLOTS];
    mr_emitted parts[MR_MAX_EMITTED];
    mr_handle handle;
    int rc;

    while (!(rc = mr_emission_next(emission, &handle, MR_WAIT))) {
        size_t count = 0;

        do {
            mr_view view;

            rc = mr_emission_view(emission, handle, &view);
            if (rc && rc != -ESTALE)
                die("the collector: %s (%d)", mr_error(), rc);
            if (!rc)
                count += collect(r, mine, &view, &marks[handle % MR_MAX_SLOTS], &parts[count]);
        } while (count < in_flight && !mr_emission_next(emission, &handle, 0));
        if (count)
            mr_emission_commit(emission, mine->count * sizeof(int64_t), parts, count);
        mine->ended = now_ns();
        for (int i = 0; i < PAUSES_A_ROUND; i++)
            relax();
    }
    fail_unless_stopped(rc, "the collector");
}

static void collector(run *r, report *mine, void *shared)
{
    const struct group *g = shared;
    mr_member *member = attach(shared, MR_ROLE_COLLECTOR, "hop-collector");
    mr_emission *emission;
    mr_handle suspect;
    unsigned deaths;

    fail_unless_stopped(mr_emission_open(&emission, member, &suspect, &deaths), "the collector");
    run_begin(r, mine);
    collect_until_stopped(r, mine, emission, (size_t)g->plan->in_flight);
    run_end_at(mine, mine->ended); /* the last token's time; the group is stopped a little later */
    mr_emission_close(emission);
    mr_member_leave(member);
}

/* ---- the group ---- */

static mr_domain_options domain_options(const serving *s)
{
    return (mr_domain_options){
        .size = sizeof(mr_domain_options),
        .slots = (uint32_t)s->in_flight,
        .arena_bytes = (uint64_t)s->in_flight << 16,
        .max_length = PROMPT_TOKENS + OUTPUT_TOKENS,
        .spin_us = s->poll ? 50 : 0,
    };
}

/* The supervisor's part: members come. */
static void let_join(mr_control *control, run *r)
{
    int members = r->processes;
    mr_control_event event;

    while (members) {
        usleep(200);
        run_look(r);
        while (!mr_control_next(control, &event) && event.kind != MR_CONTROL_NONE) {
            if (event.kind == MR_CONTROL_REFUSED)
                die("a member was refused: %s", event.why);
            members -= event.kind == MR_CONTROL_JOINED;
        }
    }
}

static void finish(mr_domain *domain, run *r)
{
    mr_domain_progress progress;

    run_stop(r);
    do {
        usleep(500);
        run_look(r);
        mr_domain_get_progress(domain, &progress);
    } while (!progress.complete);
    mr_domain_set_phase(domain, MR_PHASE_STOP);
    run_wait(r);
}

served serve_millrace(const serving *s)
{
    const mr_domain_options options = domain_options(s);
    struct group g = {.plan = s};
    mr_control *control;
    mr_domain *domain;
    run *r = run_new();
    served result;

    snprintf(g.name, sizeof(g.name), "hop-%d", (int)getpid());
    if (mr_domain_create(&domain, g.name, &options) || mr_control_open(&control, domain))
        die("%s", mr_error());
    run_add(r, tokenizer, &g, serve_place(SERVE_TOKENIZER));
    run_add(r, collector, &g, serve_place(SERVE_COLLECTOR));
    for (int i = 0; i < s->workers; i++)
        run_add(r, work, &g, serve_place(SERVE_WORKER + i));
    let_join(control, r);
    run_go(r);
    usleep((useconds_t)(s->seconds * 1e6));
    finish(domain, r);
    result = serve_result(r, &r->reports[1]);
    mr_control_close(control);
    mr_domain_remove(domain);
    run_free(r);
    return result;
}
