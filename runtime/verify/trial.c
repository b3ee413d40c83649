/*
 * trial.c - one group without workers, one worker that attaches, and what befalls it
 */
#include "runtime/log.h"
#include "runtime/verify/child.h"
#include "runtime/verify/verify.h"
#include <errno.h>
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
    int signal;      /* that came: the trial is to end */
    bool impossible; /* the check itself */
    mr_stats_view *stats;
    uint64_t *values;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Until the next look. */
static void rest(struct trial *trial)
{
    const struct timespec time = {.tv_nsec = LOOK_MS * 1000000L};
    int came = sigtimedwait(&trial->plan->signals, NULL, &time);
    if (came > 0)
        trial->signal = came;
}

/* Workers may attach: the supervisor answers, if only that it doesn't know this order. The stats
 * are there before it does. */
static bool is_ready(const struct trial *trial)
{
    const mr_command nothing = {0};
    char answer[256];
    return mr_control_ask(trial->name, &nothing, answer, sizeof(answer)) == -EINVAL;
}

/* It gives its run no name: should we be killed, the next start of a run removes what it leaves. */
static bool start_group(struct trial *trial)
{
    char slots[16];
    char *argv[] = {"/proc/self/exe",
                    "run",
                    "-m",
                    (char *)trial->plan->model,
                    "--workers",
                    "0",
                    "--slots",
                    slots,
                    "-o",
                    trial->output,
                    "--log-level",
                    "error",
                    trial->input,
                    NULL};
    uint64_t end = now_ms() + START_MS;
    snprintf(slots, sizeof(slots), "%u", trial->what->slots);
    trial->group = child_run(argv, true, &trial->plan->signals);
    snprintf(trial->name, sizeof(trial->name), "run-%u-%d", (unsigned)getuid(), (int)trial->group);
    while (trial->group > 0 && trial->signal == 0 && now_ms() < end) {
        if (is_ready(trial) && mr_stats_open(&trial->stats, trial->name) == 0)
            return true;
        if (waitpid(trial->group, NULL, WNOHANG) == trial->group)
            trial->group = 0;
        rest(trial);
    }
    if (trial->signal == 0)
        log_error("a group with the model '%s' can't be started; try 'millrace run' with it",
                  trial->plan->model);
    return false;
}

/* ---- the worker ---- */

/* The command with the domain's name in the place of "{}"; without one, with what `millrace run`
 * would give. */
static void start_worker(struct trial *trial)
{
    char *argv[VERIFY_WORDS_MAX + 5];
    size_t count = 0;
    bool named = false;
    for (; trial->plan->command[count] != NULL; count++) {
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
    trial->worker = child_run(argv, false, &trial->plan->signals);
    if (trial->worker < 0) {
        log_error("cannot start a process for the worker: %s", strerror(-trial->worker));
        trial->impossible = true;
    }
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

static void tell_stays(struct verify_result *result, const char *when)
{
    snprintf(result->failure, sizeof(result->failure),
             "the worker doesn't leave %s: mr_worker_batch() gave -ESHUTDOWN, or is not called",
             when);
}

static bool leaves(struct trial *trial, struct verify_result *result, const char *when)
{
    uint64_t end = now_ms() + LEAVE_MS;
    int status;
    while ((status = worker_ended(trial)) < 0 && trial->signal == 0 && now_ms() < end)
        rest(trial);
    if (status < 0)
        tell_stays(result, when);
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
    child_kill(trial->worker);
    trial->worker = 0;
}

/* Its exit status; -1: no answer has come in time. It may end before the worker's process has. */
static int wait_for_answer(struct trial *trial, pid_t asker)
{
    uint64_t end = now_ms() + trial->plan->patience * UINT64_C(1000);
    int status;
    while (trial->signal == 0 && now_ms() < end) {
        if (waitpid(asker, &status, WNOHANG) == asker)
            return status;
        rest(trial);
    }
    child_kill(asker);
    return -1;
}

static bool drain_worker(struct trial *trial, struct verify_result *result)
{
    mr_command command = {.verb = MR_VERB_DRAIN};
    char answer[256];
    int status, said;
    pid_t asker;
    snprintf(command.word, sizeof(command.word), "%d", (int)trial->worker);
    asker = child_ask(trial->name, &command, &trial->plan->signals, &said);
    if (asker < 0) {
        log_error("cannot start a process to drain the worker: %s", strerror(-asker));
        trial->impossible = true;
        return false;
    }
    status = wait_for_answer(trial, asker);
    child_answer(said, answer, sizeof(answer));
    close(said);
    if (status > 0)
        snprintf(result->failure, sizeof(result->failure), "the worker can't be drained: %.200s",
                 answer);
    else if (status < 0)
        tell_stays(result, "when it is drained");
    return status == 0 && leaves(trial, result, "when it is drained");
}

/* A third of the work is done, and more is to come. */
static bool act_if_due(struct trial *trial, struct verify_result *result)
{
    uint64_t all = (uint64_t)trial->plan->requests * trial->plan->tokens;
    if (trial->what->act == VERIFY_NOTHING || result->acted || trial->worker == 0 ||
        counted(trial, "commits") < all / 3)
        return true;
    result->acted = true;
    if (trial->what->act == VERIFY_KILL)
        kill_worker(trial);
    else if (!drain_worker(trial, result))
        return false;
    start_worker(trial);
    return trial->worker > 0;
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
    while (trial->signal == 0 && !group_ended(trial)) {
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
        rest(trial);
    }
    return trial->worker == 0 || leaves(trial, result, "when the group ends");
}

/* ---- the answers ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct lines {
    char **at;
    size_t count, room;
    size_t bytes; /* of all */
};

static bool add_line(struct lines *lines, char *line)
{
    if (lines->count == lines->room) {
        size_t room = lines->room * 2 + 16;
        char **grown = realloc(lines->at, room * sizeof(*grown));
        if (grown == NULL)
            return false;
        lines->at = grown;
        lines->room = room;
    }
    lines->at[lines->count++] = line;
    lines->bytes += strlen(line);
    return true;
}

/* false: there is not that much memory, or the file can't be read. A file that is missing is one
 * without lines. */
static bool read_lines(const char *path, struct lines *lines)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    bool good = true;
    if (file == NULL)
        return errno == ENOENT;
    while (good && getline(&line, &size, file) > 0 && (good = add_line(lines, line)))
        line = NULL;
    good = good && feof(file); /* getline() ends the same way without memory */
    free(line);
    fclose(file);
    return good;
}

static char *join(const struct lines *lines)
{
    char *text = malloc(lines->bytes + 1), *end = text;
    if (text == NULL)
        return NULL;
    *end = '\0';
    for (size_t i = 0; i < lines->count; i++)
        end = stpcpy(end, lines->at[i]);
    return text;
}

/* The lines of a file, sorted; NULL when they can't be had. */
static char *read_sorted(const char *path, size_t *count)
{
    struct lines lines = {0};
    char *text = NULL;
    if (read_lines(path, &lines)) {
        if (lines.count > 0)
            qsort(lines.at, lines.count, sizeof(*lines.at), compare_lines);
        text = join(&lines);
    }
    *count = lines.count;
    for (size_t i = 0; i < lines.count; i++)
        free(lines.at[i]);
    free(lines.at);
    return text;
}

static void judge_answers(struct trial *trial, struct verify_result *result)
{
    size_t count;
    result->answers = read_sorted(trial->output, &count);
    if (result->answers == NULL) {
        log_error("cannot read the answers in '%s': %s", trial->output, strerror(errno));
        trial->impossible = true;
        return;
    }
    if (result->failure[0] != '\0')
        return;
    if (count != trial->plan->requests)
        snprintf(result->failure, sizeof(result->failure), "%zu of %u requests were answered",
                 count, trial->plan->requests);
    else if (trial->group_status != 0)
        snprintf(result->failure, sizeof(result->failure),
                 "requests ended with an error; see '%.180s'", trial->output);
}

static void end_trial(struct trial *trial)
{
    if (trial->worker > 0)
        kill_worker(trial);
    if (trial->group > 0)
        child_kill(trial->group);
    mr_stats_close(trial->stats);
    free(trial->values);
    /* the members of a killed group leave within a second */
    for (int i = 0; i < 1000 && mr_domain_discard(trial->name) == -EBUSY; i++)
        rest(trial);
}

bool verify_try(const struct verify_plan *plan, const struct verify_trial *what,
                struct verify_result *result)
{
    struct trial trial = {.plan = plan, .what = what};
    mr_stats_head_info head = {.size = sizeof(head)};
    bool started;
    *result = (struct verify_result){0};
    snprintf(trial.input, sizeof(trial.input), "%.400s/requests.jsonl", plan->folder);
    snprintf(trial.output, sizeof(trial.output), "%.400s/%s.jsonl", plan->folder, what->name);
    started = start_group(&trial);
    if (started) {
        mr_stats_get_head(trial.stats, &head);
        started = (trial.values = calloc(head.values, sizeof(*trial.values))) != NULL;
    }
    if (started) {
        start_worker(&trial);
        if (trial.worker > 0)
            watch(&trial, result);
        if (trial.signal == 0 && !trial.impossible)
            judge_answers(&trial, result);
    }
    end_trial(&trial);
    result->signal = trial.signal;
    return started && !trial.impossible && trial.signal == 0;
}
