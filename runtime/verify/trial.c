/*
 * trial.c - one group without workers, one worker that attaches, and what befalls it
 */
#include "runtime/log.h"
#include "runtime/verify/verify.h"
#include <errno.h>
#include <fcntl.h>
#include <millrace/domain.h>
#include <millrace/stats.h>
#include <millrace/supervise.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 2, LEAVE_MS = 10000, START_MS = 30000 };

struct trial {
    const struct verify_plan *plan;
    const struct verify_trial *what;
    char name[MR_NAME_MAX + 1];
    char input[512], output[512];
    pid_t group;
    int group_status; /* once group is 0 */
    pid_t worker;
    mr_stats_view *stats;
    uint64_t *values;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
}

static pid_t spawn(char *const argv[], bool quiet)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    if (quiet) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
    }
    execvp(argv[0], argv);
    fprintf(stderr, "millrace: cannot run '%s': %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Workers may attach: the supervisor answers, if only that it doesn't know this order. The stats
 * are there before it does. */
static bool is_ready(const struct trial *trial)
{
    const mr_command nothing = {0};
    char answer[256];
    return mr_control_ask(trial->name, &nothing, answer, sizeof(answer)) == -EINVAL;
}

static bool start_group(struct trial *trial)
{
    char slots[16];
    char *argv[] = {"/proc/self/exe", "run",   "-m",         (char *)trial->plan->model,
                    "--workers",      "0",     "--name",     trial->name,
                    "--slots",        slots,   "-o",         trial->output,
                    "--log-level",    "error", trial->input, NULL};
    uint64_t end = now_ms() + START_MS;
    snprintf(slots, sizeof(slots), "%u", trial->what->slots);
    trial->group = spawn(argv, true);
    while (trial->group > 0 && now_ms() < end) {
        if (is_ready(trial) && mr_stats_open(&trial->stats, trial->name) == 0)
            return true;
        if (waitpid(trial->group, NULL, WNOHANG) == trial->group)
            trial->group = 0;
        rest();
    }
    log_error("a group with the model '%s' can't be started; try 'millrace run' with it",
              trial->plan->model);
    return false;
}

/* ---- the worker ---- */

/* The command with the domain's name in the place of "{}"; without one, with what `millrace run`
 * would give. */
static void start_worker(struct trial *trial)
{
    char *argv[64];
    size_t count = 0;
    bool named = false;
    for (; trial->plan->command[count] != NULL && count < 58; count++) {
        bool here = strcmp(trial->plan->command[count], "{}") == 0;
        argv[count] = here ? trial->name : trial->plan->command[count];
        named |= here;
    }
    if (!named) {
        argv[count++] = "--attach";
        argv[count++] = trial->name;
        argv[count++] = "--model";
        argv[count++] = (char *)trial->plan->model;
    }
    argv[count] = NULL;
    trial->worker = spawn(argv, false);
}

/* A worker that ended by itself has its status; else -1. */
static int worker_ended(struct trial *trial)
{
    int status;
    if (trial->worker <= 0 || waitpid(trial->worker, &status, WNOHANG) != trial->worker)
        return -1;
    trial->worker = 0;
    return status;
}

static void tell_end(char *failure, size_t size, int status, const char *when)
{
    if (WIFSIGNALED(status))
        snprintf(failure, size, "the worker was killed by signal %d (%s) %s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)), when);
    else
        snprintf(failure, size, "the worker ended with status %d %s", WEXITSTATUS(status), when);
}

static bool leaves(struct trial *trial, struct verify_result *result, const char *when)
{
    uint64_t end = now_ms() + LEAVE_MS;
    int status;
    while ((status = worker_ended(trial)) < 0 && now_ms() < end)
        rest();
    if (status < 0)
        snprintf(result->failure, sizeof(result->failure),
                 "the worker doesn't leave %s: mr_worker_batch() gave -ESHUTDOWN, or is not called",
                 when);
    else if (status != 0)
        tell_end(result->failure, sizeof(result->failure), status, when);
    return status == 0;
}

/* ---- the middle ---- */

static uint64_t counted(struct trial *trial, const char *name)
{
    const mr_stats_row *row = mr_stats_find_row(trial->stats, name);
    mr_stats_read_total(trial->stats, trial->values);
    return row != NULL ? trial->values[row->first] : 0;
}

static void kill_worker(struct trial *trial)
{
    kill(trial->worker, SIGKILL);
    waitpid(trial->worker, NULL, 0);
    trial->worker = 0;
}

static bool drain_worker(struct trial *trial, struct verify_result *result)
{
    mr_command command = {.verb = MR_VERB_DRAIN};
    char answer[256];
    snprintf(command.word, sizeof(command.word), "%d", (int)trial->worker);
    if (mr_control_ask(trial->name, &command, answer, sizeof(answer)) != 0) {
        snprintf(result->failure, sizeof(result->failure), "the worker can't be drained: %.200s",
                 answer);
        return false;
    }
    return leaves(trial, result, "when it is drained");
}

/* A third of the work is done, and more is to come. */
static bool act_if_due(struct trial *trial, struct verify_result *result)
{
    uint64_t all = (uint64_t)trial->plan->requests * trial->plan->tokens;
    if (trial->what->act == VERIFY_NOTHING || result->acted || counted(trial, "commits") < all / 3)
        return true;
    result->acted = true;
    if (trial->what->act == VERIFY_KILL)
        kill_worker(trial);
    else if (!drain_worker(trial, result))
        return false;
    start_worker(trial);
    return true;
}

static bool group_ended(struct trial *trial)
{
    if (waitpid(trial->group, &trial->group_status, WNOHANG) != trial->group)
        return false;
    trial->group = 0;
    return true;
}

static bool watch(struct trial *trial, struct verify_result *result)
{
    uint64_t commits = 0, last = now_ms();
    while (!group_ended(trial)) {
        uint64_t now = counted(trial, "commits");
        int status;
        if (now != commits)
            last = now_ms(), commits = now;
        if (!act_if_due(trial, result))
            return false;
        result->reclaimed = counted(trial, "slots_reclaimed");
        /* at the end it may be gone before the group is */
        if ((status = worker_ended(trial)) >= 0 && mr_stats_alive(trial->stats) && status != 0) {
            tell_end(result->failure, sizeof(result->failure), status, "while there was work");
            return false;
        }
        if (now_ms() - last > trial->plan->patience * UINT64_C(1000)) {
            snprintf(result->failure, sizeof(result->failure),
                     "the worker made no step for %u seconds", trial->plan->patience);
            return false;
        }
        rest();
    }
    return trial->worker == 0 || leaves(trial, result, "when the group ends");
}

/* ---- the answers ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of a file, sorted. */
static char *read_sorted(const char *path, unsigned *count)
{
    FILE *file = fopen(path, "re");
    char **lines = NULL, *text = NULL, *line = NULL;
    size_t size = 0, room = 0, length = 0;
    FILE *out = open_memstream(&text, &length);
    *count = 0;
    while (file != NULL && getline(&line, &size, file) > 0) {
        if (*count == room)
            lines = realloc(lines, (room = room * 2 + 16) * sizeof(*lines));
        lines[(*count)++] = line;
        line = NULL;
    }
    free(line);
    if (*count > 0)
        qsort(lines, *count, sizeof(*lines), compare_lines);
    for (unsigned i = 0; i < *count; i++) {
        fputs(lines[i], out);
        free(lines[i]);
    }
    free(lines);
    if (file != NULL)
        fclose(file);
    fclose(out);
    return text;
}

static void judge_answers(struct trial *trial, struct verify_result *result)
{
    unsigned count;
    result->answers = read_sorted(trial->output, &count);
    if (result->failure[0] != '\0')
        return;
    if (count != trial->plan->requests)
        snprintf(result->failure, sizeof(result->failure), "%u of %u requests were answered", count,
                 trial->plan->requests);
    else if (trial->group_status != 0)
        snprintf(result->failure, sizeof(result->failure),
                 "requests ended with an error; see '%.180s'", trial->output);
}

static void end_trial(struct trial *trial)
{
    if (trial->worker > 0)
        kill_worker(trial);
    if (trial->group > 0) {
        kill(trial->group, SIGKILL);
        waitpid(trial->group, NULL, 0);
    }
    mr_stats_close(trial->stats);
    free(trial->values);
    /* the members of a killed group leave within a second */
    for (int i = 0; i < 1000 && mr_domain_discard(trial->name) == -EBUSY; i++)
        rest();
}

bool verify_try(const struct verify_plan *plan, const struct verify_trial *what,
                struct verify_result *result)
{
    struct trial trial = {.plan = plan, .what = what};
    mr_stats_head_info head = {.size = sizeof(head)};
    bool started;
    *result = (struct verify_result){0};
    snprintf(trial.name, sizeof(trial.name), "verify-%d-%s", (int)getpid(), what->name);
    snprintf(trial.input, sizeof(trial.input), "%.400s/requests.jsonl", plan->folder);
    snprintf(trial.output, sizeof(trial.output), "%.400s/%s.jsonl", plan->folder, what->name);
    started = start_group(&trial);
    if (started) {
        mr_stats_get_head(trial.stats, &head);
        started = (trial.values = calloc(head.values, sizeof(*trial.values))) != NULL;
    }
    if (started) {
        start_worker(&trial);
        watch(&trial, result);
        judge_answers(&trial, result);
    }
    end_trial(&trial);
    return started;
}
