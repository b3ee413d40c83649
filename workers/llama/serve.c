/*
 * serve.c - the worker's loop: contexts in, steps of the engine, tokens out
 *
 * A job is a context that this worker holds and its keys and values in the cache. Each step takes
 * one position of every job that generates, and chunks of the prompts of the others, as many as
 * fit. When the last token of a job has been computed, the next one is chosen and committed: one
 * commit a context and step. Chunks of a prompt aren't committed: they leave nothing behind but
 * keys and values, which die with the process, and a commit would let a request that kills its
 * worker in its second chunk look like one that moves on.
 *
 * What a context says is believed only as far as the engine checks it again; a job that goes wrong
 * is failed with the reason and the others go on.
 */
#include "workers/llama/serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ALTERNATIVES = 128 };

typedef struct {
    mr_context *context; /* NULL: the place is free */
    mr_handle handle;
    engine_sequence *sequence; /* NULL: not opened yet */
    bool here;                 /* in the present batch: it moves in each step */
} job;

/* A job's part of the present step. */
typedef struct {
    job *job;
    uint32_t first;  /* position of its first token */
    uint32_t count;  /* positions */
    uint32_t logits; /* of them, the last ones */
    bool complete;   /* its last token is the context's: the next one is chosen */
} share;

struct server {
    mr_worker *worker;
    engine *e;
    sampler *sampler;
    uint32_t capacity;
    mr_context **batch; /* [capacity]; so are the next four */
    job *jobs;
    job **order; /* those of the present batch, the oldest first */
    share *shares;
    engine_work *work;
    size_t job_count; /* in `order` */
    size_t count;     /* shares of the present step */
    uint32_t positions_left, logits_left;
};

server *server_create(mr_worker *worker, engine *e, uint32_t capacity)
{
    const engine_facts *facts = engine_describe(e);
    server *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->worker = worker;
    s->e = e;
    s->capacity = capacity;
    s->sampler = sampler_create(facts->vocabulary, facts->kernels);
    s->batch = calloc(capacity, sizeof(mr_context *));
    s->jobs = calloc(capacity, sizeof(*s->jobs));
    s->order = calloc(capacity, sizeof(job *));
    s->shares = calloc(capacity, sizeof(*s->shares));
    s->work = calloc(capacity, sizeof(*s->work));
    if (!s->sampler || !s->batch || !s->jobs || !s->order || !s->shares || !s->work) {
        server_destroy(s);
        return NULL;
    }
    return s;
}

void server_destroy(server *s)
{
    if (!s)
        return;
    sampler_destroy(s->sampler);
    free(s->batch);
    free(s->jobs);
    free(s->order);
    free(s->shares);
    free(s->work);
    free(s);
}

/* ---- jobs begin and end ---- */

static void drop(server *s, job *j)
{
    engine_sequence_close(s->e, j->sequence);
    *j = (job){0};
}

/* The context goes; a lease that was lost meanwhile is as good as gone too. */
static void hand_on(server *s, job *j)
{
    mr_context *context = j->context;

    drop(s, j);
    mr_worker_hand_on(s->worker, context);
}

static void fail(server *s, job *j, const char *why)
{
    mr_context *context = j->context;

    drop(s, j);
    mr_worker_fail(s->worker, context, why);
}

static job *find_job(server *s, const mr_context *context)
{
    job *place = NULL;

    for (uint32_t i = 0; i < s->capacity; i++) {
        job *j = &s->jobs[i];

        if (j->context == context && j->handle == mr_context_handle(context))
            return j;
        if (!j->context)
            place = place ? place : j;
        else if (j->context == context) { /* the view was given to another request */
            drop(s, j);
            place = j;
        }
    }
    return place;
}

/* What this worker can't do for a context, or NULL. */
static const char *unfit(const server *s, mr_context *context)
{
    mr_text *text = mr_context_text(context);

    if (mr_context_kind(context) != MR_KIND_TEXT || !text)
        return "this worker answers text requests only, and the request is of another kind";
    if (mr_text_json_schema(text).length > 0)
        return "this worker can't hold an answer to a JSON schema; leave the schema out";
    if (mr_text_max_length(text) > engine_describe(s->e)->max_length)
        return "the request is longer than the model's context; ask for fewer tokens";
    return NULL;
}

/* Takes the contexts of a batch as jobs, and lets go of those that are over. */
static void take_batch(server *s, int count)
{
    s->job_count = 0;
    for (uint32_t i = 0; i < s->capacity; i++)
        s->jobs[i].here = false;
    for (int i = 0; i < count; i++) {
        mr_context *context = s->batch[i];
        job *j = find_job(s, context);
        const char *why = unfit(s, context);

        j->context = context;
        j->handle = mr_context_handle(context);
        j->here = true;
        if (mr_context_cancelled(context))
            hand_on(s, j);
        else if (why)
            fail(s, j, why);
        else if (mr_text_is_done(mr_context_text(context)))
            hand_on(s, j);
        else
            s->order[s->job_count++] = j;
    }
}

/* ---- sharing a prompt among choices ---- */

static bool same_bytes(mr_bytes a, mr_bytes b)
{
    return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

static size_t common_tokens(const job *a, const job *b)
{
    mr_tokens x = mr_text_all(mr_context_text(a->context));
    mr_tokens y = mr_text_all(mr_context_text(b->context));
    size_t i = 0;

    while (i < x.count && i < y.count && x.ids[i] == y.ids[i])
        i++;
    return i;
}

/* The choice of the same request that has come furthest, of those in the batch; or NULL. */
static const job *sibling(const server *s, const job *j)
{
    const job *best = NULL;

    if (mr_context_sampling(j->context)->choices < 2)
        return NULL;
    for (uint32_t i = 0; i < s->capacity; i++) {
        const job *other = &s->jobs[i];

        if (other != j && other->here && other->sequence &&
            same_bytes(mr_context_request_id(other->context), mr_context_request_id(j->context)) &&
            (!best ||
             engine_sequence_length(other->sequence) > engine_sequence_length(best->sequence)))
            best = other;
    }
    return best;
}

/*
 * Opens the job's sequence, with the pages of a choice that has the same prompt. Returns false
 * while that one is still computing it: then the job waits, since it is quicker to share. Such a
 * choice is in the same step, so it does move.
 */
static bool open_sequence(server *s, job *j)
{
    mr_text *text = mr_context_text(j->context);
    int64_t limit = mr_text_capacity(text);
    const job *other = sibling(s, j);
    size_t common = other ? common_tokens(j, other) : 0;
    size_t most = (size_t)mr_text_length(text) - 1; /* the last one is for the logits */
    uint32_t longest = engine_describe(s->e)->max_length;
    int status;

    if (mr_text_log_probabilities_echo(text))
        common = 0; /* all of the prompt's logits are wanted */
    common = common < most ? common : most;
    if (common >= LANES && engine_sequence_length(other->sequence) < common)
        return false;
    status = engine_sequence_open(s->e, limit < longest ? (uint32_t)limit : longest,
                                  common ? other->sequence : NULL, (uint32_t)common, &j->sequence);
    if (status < 0)
        fail(s, j,
             "the request doesn't fit into the worker's key and value cache; give the worker "
             "more memory");
    return status == 0;
}

/* ---- composing a step ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The logits that a chunk [first, first + count) of a context of `end` tokens wants: the last one's
 * if the chunk reaches the end, with echo also those before tokens of the prompt. */
static uint32_t logits_of(const mr_text *text, uint32_t first, uint32_t count, uint32_t end)
{
    bool echo = mr_text_log_probabilities_echo(text);

    if (echo && first + 1 < (uint64_t)mr_text_original_prompt_length(text))
        return count;
    return first + count == end ? 1 : 0;
}

/* Gives the job its part of the step: all that it has yet to do, or what there is room for. */
static void add_share(server *s, job *j)
{
    mr_text *text = mr_context_text(j->context);
    uint32_t first = engine_sequence_length(j->sequence);
    uint32_t end = (uint32_t)mr_text_length(text);
    uint32_t count = least(end - first, s->positions_left);
    uint32_t logits = logits_of(text, first, count, end);

    if (logits > s->logits_left) {
        count = logits > 1 ? s->logits_left : 0;
        logits = count ? logits_of(text, first, count, end) : 0;
    }
    if (count == 0)
        return;
    s->work[s->count] = (engine_work){.sequence = j->sequence,
                                      .tokens = mr_text_all(text).ids + first,
                                      .count = count,
                                      .logits = logits};
    s->shares[s->count++] = (share){.job = j,
                                    .first = first,
                                    .count = count,
                                    .logits = logits,
                                    .complete = first + count == end};
    s->positions_left -= count;
    s->logits_left -= logits;
}

/* Positions that the job has yet to compute, its sequence being open and no further than the
 * context: 0 if it isn't ready. */
static uint32_t positions_to_do(server *s, job *j)
{
    int64_t length = mr_text_length(mr_context_text(j->context));

    if (j->sequence && engine_sequence_length(j->sequence) >= length) {
        engine_sequence_close(s->e, j->sequence); /* the context was taken back: begin anew */
        j->sequence = NULL;
    }
    if (!j->sequence && !open_sequence(s, j))
        return 0;
    return (uint32_t)length - engine_sequence_length(j->sequence);
}

/* Those that generate come first, one position each; what is left is for prompts. */
static void compose(server *s)
{
    const engine_facts *facts = engine_describe(s->e);

    s->count = 0;
    s->positions_left = facts->max_positions;
    s->logits_left = facts->max_logits;
    for (size_t i = 0; i < s->job_count; i++)
        if (positions_to_do(s, s->order[i]) == 1)
            add_share(s, s->order[i]);
    for (size_t i = 0; i < s->job_count; i++)
        if (s->order[i]->sequence && positions_to_do(s, s->order[i]) > 1)
            add_share(s, s->order[i]);
}

/* ---- after a step ---- */

static mr_logprob logprob_of(server *s, const mr_text *text, const float *logits, int64_t token,
                             mr_top_logprob top[MOST_ALTERNATIVES])
{
    int wanted = mr_text_log_probabilities(text);
    uint32_t vocabulary = engine_describe(s->e)->vocabulary;
    size_t count = wanted < 0 ? 0 : wanted < MOST_ALTERNATIVES ? (size_t)wanted : MOST_ALTERNATIVES;

    count = count < vocabulary ? count : vocabulary;
    return (mr_logprob){.chosen = sampler_logprob(s->sampler, logits, token, top, count),
                        .top = top,
                        .top_count = count};
}

/* Log-probabilities of the prompt's tokens behind the positions of a share. `row` is that of its
 * first logits. */
static int put_echo(server *s, const share *part, size_t row)
{
    mr_text *text = mr_context_text(part->job->context);
    mr_tokens all = mr_text_all(text);
    int64_t position = (int64_t)part->first + part->count - part->logits + 1;
    int status = 0;

    for (uint32_t i = 0; i < part->logits && status == 0; i++, position++) {
        mr_top_logprob top[MOST_ALTERNATIVES];

        if (position >= mr_text_original_prompt_length(text))
            break;
        mr_logprob entry =
            logprob_of(s, text, engine_logits(s->e, row + i), all.ids[position], top);
        status = mr_text_put_echo_logprob(text, position, &entry);
    }
    return status;
}

/* Chooses the next token and commits it. 0, -EDOM (there is none), or what the commit says. */
static int advance(server *s, job *j, const float *logits)
{
    mr_text *text = mr_context_text(j->context);
    mr_tokens all = mr_text_all(text);
    mr_top_logprob top[MOST_ALTERNATIVES];
    mr_logprob entry;
    sample_request request = {.sampling = mr_context_sampling(j->context),
                              .tokens = all.ids,
                              .token_count = all.count,
                              .prompt_count = (size_t)mr_text_original_prompt_length(text)};
    int64_t token;
    int status;

    request.bias = mr_context_logit_bias(j->context, &request.bias_count);
    request.ending = mr_text_eos_token_ids(text, &request.ending_count);
    status = sampler_choose(s->sampler, logits, &request, &token);
    if (status < 0)
        return status;
    if (!mr_text_wants_log_probabilities(text))
        return mr_text_update(text, token, NULL);
    entry = logprob_of(s, text, logits, token, top);
    return mr_text_update(text, token, &(mr_logprobs){.entries = &entry, .count = 1});
}

static void finish_share(server *s, const share *part, size_t row)
{
    job *j = part->job;
    mr_text *text = mr_context_text(j->context);
    int status = 0;

    if (mr_text_log_probabilities_echo(text))
        status = put_echo(s, part, row);
    if (status == 0 && part->complete)
        status = advance(s, j, engine_logits(s->e, row + part->logits - 1));
    if (status == -EDOM)
        fail(s, j, "no token can be chosen: all are forbidden, or the model gives no numbers");
    else if (status < 0)
        fail(s, j, mr_error());
    else if (mr_text_is_done(text))
        hand_on(s, j);
}

static void finish_step(server *s)
{
    size_t row = 0;

    for (size_t i = 0; i < s->count; i++) {
        finish_share(s, &s->shares[i], row);
        row += s->shares[i].logits;
    }
}

/* A step that the engine refuses names a context that makes no sense: each is tried alone, so that
 * it fails and the others go on. */
static void step_one_by_one(server *s)
{
    size_t count = s->count;

    for (size_t i = 0; i < count; i++)
        if (engine_step(s->e, &s->work[i], 1) < 0)
            fail(s, s->shares[i].job, engine_error(s->e));
        else
            finish_share(s, &s->shares[i], 0);
}

/* ---- the loop ---- */

static void count_positions(const server *s)
{
    uint64_t positions = engine_describe(s->e)->max_positions - s->positions_left;

    mr_stats_add(mr_worker_stats(s->worker), MR_STAT_computed_tokens, positions);
}

enum worker_exit server_run(server *s, const char *name)
{
    int count;

    while ((count = mr_worker_batch(s->worker, s->batch, MR_WAIT)) >= 0) {
        if (!engine_model_unchanged(s->e)) {
            fprintf(stderr, "%s: the model file was changed while it is served; start again\n",
                    name);
            return WORKER_MODEL_CHANGED;
        }
        take_batch(s, count);
        compose(s);
        if (s->count == 0)
            continue;
        count_positions(s);
        if (engine_step(s->e, s->work, s->count) == 0)
            finish_step(s);
        else
            step_one_by_one(s);
    }
    if (count == -ESHUTDOWN)
        return WORKER_DONE;
    fprintf(stderr, "%s: %s\n", name, mr_error());
    return WORKER_FAILED;
}
