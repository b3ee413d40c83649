/*
 * echo_worker.c - a worker that any test can foretell: it answers with the prompt, again and again
 *
 * Token i of the answer is token i modulo the prompt's length of the prompt. It takes the arguments
 * that `millrace run` gives to workers, and is told by the environment to be slow or to fail:
 *
 *   ECHO_STEP_US    microseconds a step
 *   ECHO_EXIT       exit at once with this status, instead of attaching
 *   ECHO_EXIT_NAME  exit at once with status 1 if this is its name
 *   ECHO_STOP_ONCE  stop itself before it joins, unless this file is there; makes it
 *   ECHO_LEAVE      join, and leave without any work
 *   ECHO_DIE_SEED   kill itself when it holds a request with this seed
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <millrace/worker.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { BATCH_MAX = 64, TOP_MAX = 20 };

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static int64_t answer(const mr_text *text, int64_t index)
{
    return mr_text_all(text).ids[index % mr_text_original_prompt_length(text)];
}

/* The log-probability of each token is told by its id, and its alternatives follow it. */
static mr_logprob logprob_of(const mr_text *text, int64_t token, mr_top_logprob tops[TOP_MAX])
{
    int count = mr_text_log_probabilities(text);
    for (int i = 0; i < count; i++)
        tops[i] = (mr_top_logprob){.token = token + i, .logprob = -(double)(i + 1) / 4};
    return (mr_logprob){.chosen = -0.25, .top = tops, .top_count = (size_t)count};
}

static int put_echo(mr_text *text)
{
    mr_top_logprob tops[TOP_MAX];
    int error = 0;
    for (int64_t i = 1; i < mr_text_original_prompt_length(text) && error == 0; i++) {
        mr_logprob logprob = logprob_of(text, mr_text_all(text).ids[i], tops);
        error = mr_text_put_echo_logprob(text, i, &logprob);
    }
    return error;
}

static int step(mr_text *text)
{
    int64_t index = mr_text_length(text) - mr_text_original_prompt_length(text);
    int64_t token = answer(text, index);
    mr_top_logprob tops[TOP_MAX];
    mr_logprob logprob = logprob_of(text, token, tops);
    const mr_logprobs logprobs = {.entries = &logprob, .count = 1};
    int error = 0;
    if (mr_text_log_probabilities_echo(text) && index == 0)
        error = put_echo(text);
    if (error == 0)
        error =
            mr_text_update(text, token, mr_text_wants_log_probabilities(text) ? &logprobs : NULL);
    return error;
}

static int work(mr_worker *worker)
{
    mr_context *batch[BATCH_MAX];
    uint64_t pause = setting("ECHO_STEP_US", 0), deadly = setting("ECHO_DIE_SEED", UINT64_MAX);
    int n;
    while ((n = mr_worker_batch(worker, batch, MR_WAIT)) >= 0) {
        for (int i = 0; i < n; i++) {
            mr_text *text = mr_context_text(batch[i]);
            int error = 0;
            if (mr_context_sampling(batch[i])->seed == deadly)
                raise(SIGKILL);
            if (!mr_text_is_done(text) && !mr_context_cancelled(batch[i]))
                error = step(text);
            if (error < 0)
                mr_worker_fail(worker, batch[i], mr_error());
            else if (mr_text_is_done(text) || mr_context_cancelled(batch[i]))
                mr_worker_hand_on(worker, batch[i]);
        }
        if (pause > 0)
            usleep((useconds_t)pause);
    }
    return n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"attach", required_argument, NULL, 'a'},  {"model", required_argument, NULL, 'm'},
        {"name", required_argument, NULL, 'n'},    {"max-batch", required_argument, NULL, 'b'},
        {"threads", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
    mr_worker_options wants = {.size = sizeof(wants),
                               .fingerprint = "echo-1",
                               .name = "echo",
                               .capacity = 8,
                               .flags = MR_BATCH_INVARIANT};
    const char *domain = "";
    mr_worker *worker = NULL;
    int option, file, n;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a')
            domain = optarg;
        else if (option == 'n')
            wants.name = optarg;
        else if (option == 'b')
            wants.capacity = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == '?')
            return 2;
    }
    prctl(PR_SET_NAME, wants.name);
    if (getenv("ECHO_EXIT") != NULL)
        return (int)setting("ECHO_EXIT", 0);
    if (getenv("ECHO_EXIT_NAME") != NULL && strcmp(getenv("ECHO_EXIT_NAME"), wants.name) == 0)
        return 1;
    if (getenv("ECHO_STOP_ONCE") != NULL &&
        (file = open(getenv("ECHO_STOP_ONCE"), O_CREAT | O_EXCL | O_CLOEXEC, 0600)) >= 0) {
        close(file);
        raise(SIGSTOP);
    }
    if (wants.capacity > BATCH_MAX)
        wants.capacity = BATCH_MAX;
    n = mr_worker_attach(&worker, domain, &wants);
    if (n == 0)
        n = getenv("ECHO_LEAVE") != NULL ? -ESHUTDOWN : work(worker);
    if (n != -ESHUTDOWN)
        fprintf(stderr, "%s: %s\n", wants.name, mr_error());
    mr_worker_leave(worker);
    return n != -ESHUTDOWN;
}
