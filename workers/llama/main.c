/*
 * main.c - millrace-worker-llama: a worker that computes Llama models
 *
 * It is a stranger to the domain like any other: all it knows of it comes through the public
 * headers. The order of starting: the domain tells how long contexts may be, the engine takes its
 * memory for that, and only then the worker joins, ready to work.
 */
#include "workers/llama/engine.h"
#include "workers/llama/options.h"
#include "workers/llama/serve.h"

#include <errno.h>
#include <millrace/confine.h>
#include <millrace/worker.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { DEFAULT_BATCH = 32, DEFAULT_POSITIONS = 256, ECHO_LOGITS = 32 };

static const char *program = "mr-worker-llama";
static mr_worker *worker;

static enum worker_exit say(enum worker_exit status, const char *why)
{
    fprintf(stderr, "%s: %s\n", program, why);
    return status;
}

/* Of a call of libmillrace that failed, or not. */
static enum worker_exit status_of(int error)
{
    if (error >= 0)
        return WORKER_DONE;
    return mr_error_passes(error) ? WORKER_FAILED : WORKER_IMPOSSIBLE;
}

/* A page of the model's file is gone: it was cut while a step read it. */
static void model_is_cut(int number)
{
    static const char message[] = ": the model file was cut while it is served; start again\n";

    (void)number;
    if (write(STDERR_FILENO, program, strlen(program)) < 0 ||
        write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
        _exit(WORKER_FAILED);
    _exit(WORKER_MODEL_CHANGED);
}

static void tell_progress(void *unused)
{
    (void)unused;
    if (worker)
        mr_worker_progress(worker);
}

static int ask_domain(const char *name, mr_domain_info *info)
{
    mr_domain *domain;
    int status = mr_domain_open(&domain, name);

    if (status < 0)
        return status;
    info->size = sizeof(*info);
    mr_domain_get_info(domain, info);
    mr_domain_close(domain);
    return 0;
}

static engine_options engine_options_for(const worker_options *o, const mr_domain_info *info)
{
    uint32_t batch = o->max_batch ? o->max_batch : DEFAULT_BATCH;
    uint32_t positions = o->max_positions ? o->max_positions : DEFAULT_POSITIONS;

    batch = batch < info->slots ? batch : info->slots;
    /* Half of a step is left to prompts, whatever is generated beside them. */
    positions = positions > 2 * batch ? positions : 2 * batch;
    return (engine_options){.threads = o->threads,
                            .max_sequences = batch,
                            .max_positions = positions,
                            .max_logits = batch + ECHO_LOGITS,
                            .max_length = info->max_length,
                            .kv_bytes = o->memory,
                            .kernels = o->kernels,
                            .progress = tell_progress};
}

static int attach(const worker_options *o, const engine *e)
{
    const engine_facts *facts = engine_describe(e);
    char fingerprint[ENGINE_FINGERPRINT];
    mr_worker_options wants = {.size = sizeof(wants),
                               .capacity = facts->max_sequences,
                               .fingerprint = fingerprint,
                               .name = o->name,
                               .model_fingerprint = facts->model_fingerprint,
                               .token_capacity = (uint64_t)facts->kv_pages * facts->page_positions,
                               .token_page = facts->page_positions,
                               .vocabulary = facts->vocabulary,
                               .flags = MR_BATCH_INVARIANT};

    engine_fingerprint(e, fingerprint);
    return mr_worker_attach(&worker, o->domain, &wants);
}

static enum worker_exit serve(const worker_options *o, engine *e)
{
    int attached = attach(o, e);
    server *s;
    enum worker_exit status;

    if (attached == -ESHUTDOWN)
        return WORKER_DONE;
    if (attached < 0)
        return say(status_of(attached), mr_error());
    (void)mr_confine(); /* where it can't be had, all goes on without */
    s = server_create(worker, e, engine_describe(e)->max_sequences);
    status = s ? server_run(s, program) : say(WORKER_FAILED, "no memory for the batch");
    server_destroy(s);
    mr_worker_leave(worker);
    worker = NULL;
    return status;
}

static enum worker_exit run(const worker_options *o)
{
    mr_domain_info info;
    engine_options wants;
    engine *e;
    char error[512];
    enum worker_exit status;

    status = status_of(ask_domain(o->domain, &info));
    if (status != WORKER_DONE)
        return say(status, mr_error());
    wants = engine_options_for(o, &info);
    if (engine_open(&e, o->model, &wants, error, sizeof(error)) < 0)
        return say(WORKER_IMPOSSIBLE, error);
    status = serve(o, e);
    engine_close(e);
    return status;
}

int main(int argc, char **argv)
{
    worker_options options;
    enum worker_exit status;

    if (!options_read(&options, argc, argv, &status))
        return status;
    program = options.name;
    prctl(PR_SET_NAME, options.name);
    signal(SIGBUS, model_is_cut);
    return run(&options);
}
