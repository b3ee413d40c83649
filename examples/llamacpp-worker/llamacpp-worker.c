/*
 * llamacpp-worker.c - llama.cpp as a millrace worker: any model that it knows, on any device
 *
 * Usage: llamacpp-worker --attach NAME --model FILE [--threads N] [--max-batch N] [--name NAME]
 * These are also the options that `millrace run --worker` gives. One thread unless told: llama.cpp's
 * threads spin, and more of them than idle cores make it crawl.
 *
 * Continuous batching: each context that is held has one of llama.cpp's sequences, and each step
 * one llama_decode() of what all of them have to process: a token of those that are in their
 * answer, and as much of the prompts as fits beside. A context that comes with a processed length
 * of 0 begins its sequence anew, also one that another worker had before.
 *
 * The arithmetic of llama.cpp depends on what else is in a batch, so MR_BATCH_INVARIANT isn't
 * claimed: answers are complete and single whatever dies, but an interrupted one may take another
 * turn.
 */
#include "choose.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONTEXTS = 64, BATCH_TOKENS = 512 };

struct sequence { /* its number is its place */
    mr_context *context;
    mr_handle handle;
};

/* What one step computes of one context. */
struct part {
    mr_context *context;
    int32_t last; /* its last token's place in the batch */
};

struct engine {
    struct llama_model *model;
    struct llama_context *llama;
    struct llama_batch batch;
    struct chooser *chooser;
    uint32_t capacity;
    struct sequence sequences[MOST_CONTEXTS];
    struct part parts[MOST_CONTEXTS];
    uint32_t part_count;
};

struct options {
    const char *domain;
    const char *model;
    const char *name;
    int threads;
    int max_batch;
};

static void quiet(enum ggml_log_level level, const char *text, void *nothing)
{
    (void)nothing;
    if (level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

/* The longest context that the group may have, or 0. */
static uint32_t longest_of(const char *name)
{
    mr_domain_info info = {.size = sizeof(info)};
    mr_domain *domain;

    if (mr_domain_open(&domain, name))
        return 0;
    mr_domain_get_info(domain, &info);
    mr_domain_close(domain);
    return info.max_length;
}

static bool engine_open(struct engine *engine, const struct options *options)
{
    struct llama_context_params params = llama_context_default_params();
    uint32_t longest = longest_of(options->domain);

    if (!longest) {
        fprintf(stderr, "llamacpp-worker: %s\n", mr_error());
        return false;
    }
    engine->capacity = (uint32_t)options->max_batch;
    params.n_seq_max = engine->capacity;
    params.n_ctx = longest * engine->capacity; /* each sequence has room for the longest */
    params.n_batch = params.n_ubatch = BATCH_TOKENS;
    params.n_threads = params.n_threads_batch = options->threads;
    llama_log_set(quiet, NULL);
    llama_backend_init();
    engine->model = llama_model_load_from_file(options->model, llama_model_default_params());
    engine->llama = engine->model ? llama_init_from_model(engine->model, params) : NULL;
    engine->batch = llama_batch_init(BATCH_TOKENS, 0, 1);
    engine->chooser = engine->llama
                          ? chooser_new(llama_vocab_n_tokens(llama_model_get_vocab(engine->model)))
                          : NULL;
    if (!engine->chooser)
        fprintf(stderr, "llamacpp-worker: cannot load '%s'\n", options->model);
    return engine->chooser != NULL;
}

static void engine_close(struct engine *engine)
{
    chooser_free(engine->chooser);
    llama_batch_free(engine->batch);
    if (engine->llama)
        llama_free(engine->llama);
    if (engine->model)
        llama_model_free(engine->model);
    llama_backend_free();
}

/* ---- sequences ---- */

static void forget(struct engine *engine, int sequence)
{
    llama_memory_seq_rm(llama_get_memory(engine->llama), sequence, -1, -1);
    engine->sequences[sequence].context = NULL;
}

/* The sequence of a context that is held; a new one's is empty. There are as many as contexts. */
static int sequence_of(struct engine *engine, mr_context *context)
{
    int empty = -1;

    for (int i = 0; i < (int)engine->capacity; i++) {
        struct sequence *sequence = &engine->sequences[i];

        if (sequence->context == context) {
            if (sequence->handle != mr_context_handle(context) ||
                mr_text_processed_length(mr_context_text(context)) == 0)
                forget(engine, i);
            empty = i;
            break;
        }
        if (!sequence->context)
            empty = i;
    }
    engine->sequences[empty] = (struct sequence){context, mr_context_handle(context)};
    return empty;
}

static void let_go(struct engine *engine, mr_worker *worker, mr_context *context,
                   const char *failure)
{
    int sequence = sequence_of(engine, context);

    if ((failure ? mr_worker_fail(worker, context, failure) : mr_worker_hand_on(worker, context)))
        fprintf(stderr, "llamacpp-worker: %s\n", mr_error());
    forget(engine, sequence);
}

/* ---- a step ---- */

/* Adds what a context has to process, or as much of it as there is room for. */
static int add(struct engine *engine, mr_context *context)
{
    struct llama_batch *batch = &engine->batch;
    mr_text *text = mr_context_text(context);
    int64_t room = BATCH_TOKENS - batch->n_tokens, from = mr_text_processed_length(text);
    int sequence = sequence_of(engine, context), error = 0;
    mr_tokens active;

    if (room == 0)
        return 0;
    if (mr_text_active_length(text) > room && (error = mr_text_chunk(text, room)))
        return error;
    active = mr_text_active(text);
    for (size_t i = 0; i < active.count; i++) {
        int32_t at = batch->n_tokens++;

        batch->token[at] = (llama_token)active.ids[i];
        batch->pos[at] = (llama_pos)(from + (int64_t)i);
        batch->n_seq_id[at] = 1;
        batch->seq_id[at][0] = sequence;
        batch->logits[at] = i + 1 == active.count;
    }
    engine->parts[engine->part_count++] = (struct part){context, batch->n_tokens - 1};
    return 0;
}

/* Answers first: a token each; the prompts share the room that is left. */
static void collect(struct engine *engine, mr_worker *worker, mr_context **held, int count)
{
    engine->batch.n_tokens = 0;
    engine->part_count = 0;
    for (int prompts = 0; prompts < 2; prompts++)
        for (int i = 0; i < count; i++) {
            if (!held[i] || (mr_text_active_length(mr_context_text(held[i])) > 1) != prompts)
                continue;
            if (mr_context_cancelled(held[i]))
                let_go(engine, worker, held[i], NULL);
            else if (add(engine, held[i]))
                let_go(engine, worker, held[i], mr_error());
            held[i] = NULL;
        }
}

static int commit(struct engine *engine, const struct part *part)
{
    mr_text *text = mr_context_text(part->context);
    const float *logits;
    llama_token token;
    mr_logprobs logprobs;

    if (mr_text_actively_chunked(text))
        return mr_text_update(text, 0, NULL); /* ends the chunk; no token is added */
    logits = llama_get_logits_ith(engine->llama, part->last);
    token = choose(engine->chooser, logits, part->context);
    if (!mr_text_wants_log_probabilities(text))
        return mr_text_update(text, token, NULL);
    tell_logprobs(engine->chooser, logits, token, text, &logprobs);
    return mr_text_update(text, token, &logprobs);
}

static void step(struct engine *engine, mr_worker *worker, mr_context **held, int count)
{
    int failed;

    collect(engine, worker, held, count);
    if (!engine->part_count)
        return;
    failed = llama_decode(engine->llama, engine->batch);
    for (uint32_t i = 0; i < engine->part_count; i++) {
        mr_context *context = engine->parts[i].context;

        if (failed)
            let_go(engine, worker, context, "llama.cpp could not compute the request");
        else if (commit(engine, &engine->parts[i]))
            let_go(engine, worker, context, mr_error());
        else if (mr_context_is_done(context))
            let_go(engine, worker, context, NULL);
    }
}

static int serve(struct engine *engine, const struct options *options)
{
    char kind[256];
    int size =
        snprintf(kind, sizeof(kind), "llama.cpp %s ",
                 strrchr(options->model, '/') ? strrchr(options->model, '/') + 1 : options->model);
    mr_worker_options attach = {
        .size = sizeof(attach),
        .capacity = engine->capacity,
        .fingerprint = kind,
        .name = options->name,
        .vocabulary = (uint32_t)llama_vocab_n_tokens(llama_model_get_vocab(engine->model)),
    };
    mr_context *held[MOST_CONTEXTS];
    mr_worker *worker = NULL;
    int n;

    if (size > 0 && (size_t)size < sizeof(kind))
        llama_model_desc(engine->model, kind + size, sizeof(kind) - (size_t)size);
    n = mr_worker_attach(&worker, options->domain, &attach);
    while (n >= 0 && (n = mr_worker_batch(worker, held, MR_WAIT)) >= 0)
        step(engine, worker, held, n);
    if (n != -ESHUTDOWN)
        fprintf(stderr, "llamacpp-worker: %s\n", mr_error());
    mr_worker_leave(worker);
    return n != -ESHUTDOWN;
}

static bool read_options(struct options *options, int argc, char **argv)
{
    static const struct option table[] = {
        {"attach", required_argument, NULL, 'a'},    {"model", required_argument, NULL, 'm'},
        {"name", required_argument, NULL, 'n'},      {"threads", required_argument, NULL, 't'},
        {"max-batch", required_argument, NULL, 'b'}, {0}};
    int option;

    *options = (struct options){.name = "llamacpp-worker", .threads = 1, .max_batch = 8};
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1)
        switch (option) {
        case 'a':
            options->domain = optarg;
            break;
        case 'm':
            options->model = optarg;
            break;
        case 'n':
            options->name = optarg;
            break;
        case 't':
            options->threads = atoi(optarg);
            break;
        case 'b':
            options->max_batch = atoi(optarg);
            break;
        default:
            return false;
        }
    return options->domain && options->model && options->threads > 0 && options->max_batch > 0 &&
           options->max_batch <= MOST_CONTEXTS;
}

int main(int argc, char **argv)
{
    struct engine engine = {0};
    struct options options;
    int status = 1;

    if (!read_options(&options, argc, argv)) {
        fputs(
            "usage: llamacpp-worker --attach NAME --model FILE [--threads N] [--max-batch 1..64]\n",
            stderr);
        return 2;
    }
    if (engine_open(&engine, &options))
        status = serve(&engine, &options);
    engine_close(&engine);
    return status;
}
