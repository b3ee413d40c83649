/*
 * points.c - stops a child after each instruction and tries the others on what it leaves
 *
 * The copy of a child in the middle of an operation is made by the child itself, in the handler of
 * a signal that it gets from the parent: fork(2), and the copy returns from the handler into the
 * operation. The child then raises a second signal, which the handler blocks: it is delivered with
 * the return to the interrupted instruction, where the parent takes it away and steps on. So no
 * register need be known.
 */
#include "tests/ipc/kill/points.h"
#include "tests/ipc/kill/stepper.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_S = 20 };

static struct board {
    _Atomic bool begun;
    _Atomic bool ended;
    char why[400];
} * board;

static struct run {
    const struct points_case *what;
    void *subject;
    struct points_region regions[POINTS_REGIONS];
    size_t region_count;
    unsigned char *before[POINTS_REGIONS]; /* as of the stop before */
    volatile sig_atomic_t is_copy;
} run;

/* ---- memory ---- */

static void make_private(void)
{
    for (size_t i = 0; i < run.region_count; i++)
        if (mmap(run.regions[i].at, run.regions[i].bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_FIXED, run.regions[i].fd, 0) == MAP_FAILED)
            abort();
}

/* What is there now is remembered for the next stop. */
static bool has_changed(void)
{
    bool changed = false;

    for (size_t i = 0; i < run.region_count; i++) {
        const struct points_region *region = &run.regions[i];

        if (region->still || !memcmp(region->at, run.before[i], region->bytes))
            continue;
        memcpy(run.before[i], region->at, region->bytes);
        changed = true;
    }
    return changed;
}

static void begin(const struct points_case *what)
{
    run = (struct run){.what = what, .subject = what->prepare(what->data)};
    run.region_count = what->memory(run.subject, run.regions);
    for (size_t i = 0; i < run.region_count; i++) {
        if (!(run.before[i] = malloc(run.regions[i].bytes)))
            abort();
        memcpy(run.before[i], run.regions[i].at, run.regions[i].bytes);
    }
}

static void finish(void)
{
    for (size_t i = 0; i < run.region_count; i++)
        free(run.before[i]);
    run.what->discard(run.subject);
}

/* ---- the child, and its copies ---- */

_Noreturn static void tell(const char *why)
{
    snprintf(board->why, sizeof(board->why), "%s", why ? why : "");
    _exit(why != NULL);
}

static void copy_myself(int signal)
{
    int status = 0;
    pid_t copy = fork();

    (void)signal;
    if (copy == 0) {
        run.is_copy = true;
        alarm(PATIENCE_S);
        make_private();
        run.what->meanwhile(run.subject);
        return;
    }
    if (copy < 0 || waitpid(copy, &status, 0) != copy)
        abort();
    if (!WIFEXITED(status))
        snprintf(board->why, sizeof(board->why), "a member crashed or hangs: signal %d",
                 WTERMSIG(status));
    atomic_store(&board->ended, false); /* which the copy has, and its original hasn't */
    raise(SIGUSR2);
}

_Noreturn static void be_child(void)
{
    struct sigaction copying = {.sa_handler = copy_myself, .sa_flags = SA_RESTART};
    sigset_t of_copies;

    sigemptyset(&of_copies);
    sigaddset(&of_copies, SIGCHLD);
    sigprocmask(SIG_BLOCK, &of_copies, NULL); /* each would stop the child */
    sigemptyset(&copying.sa_mask);
    sigaddset(&copying.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &copying, NULL);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(77);
    raise(SIGSTOP); /* the parent steps from here */
    atomic_store(&board->begun, true);
    run.what->operate(run.subject);
    atomic_store(&board->ended, true); /* here the parent no longer steps */
    if (!run.is_copy && run.what->meanwhile)
        run.what->meanwhile(run.subject);
    tell(run.what->ended(run.subject));
}

static pid_t start_child(void)
{
    pid_t child;
    int status;

    atomic_store(&board->begun, false);
    atomic_store(&board->ended, false);
    board->why[0] = 0;
    child = fork();
    if (child == 0)
        be_child();
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        abort();
    while (!atomic_load(&board->begun))
        if (!stepper_step(child))
            abort();
    return child;
}

static void kill_child(pid_t child)
{
    int status;

    if (kill(child, SIGKILL) < 0 || waitpid(child, &status, 0) != child)
        abort();
}

static const char *outcome(void)
{
    return board->why[0] ? board->why : NULL;
}

/* Has the child, which stands after an instruction, overtaken by another. */
static const char *overtake(pid_t child)
{
    int status;

    if (ptrace(PTRACE_CONT, child, NULL, (void *)SIGUSR1) < 0 ||
        waitpid(child, &status, 0) != child)
        abort();
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGUSR2)
        return "it can't be copied";
    return outcome();
}

static const char *run_out(pid_t child)
{
    int status;

    alarm(PATIENCE_S);
    if (ptrace(PTRACE_CONT, child, NULL, NULL) < 0 || waitpid(child, &status, 0) != child)
        abort();
    alarm(0);
    return WIFEXITED(status) ? outcome() : "a member crashed";
}

/* ---- those who survive ---- */

static const char *survive(bool meanwhile)
{
    pid_t survivors = fork();
    int status;

    if (survivors == 0) {
        alarm(PATIENCE_S);
        make_private();
        if (meanwhile)
            run.what->meanwhile(run.subject);
        tell(run.what->killed(run.subject));
    }
    if (survivors < 0 || waitpid(survivors, &status, 0) != survivors)
        abort();
    if (!WIFEXITED(status))
        snprintf(board->why, sizeof(board->why), "a survivor crashed or hangs: signal %d",
                 WTERMSIG(status));
    return outcome();
}

/* ---- all stops of one run ---- */

static const char *with_place(const char *why, size_t steps, const char *what)
{
    static char text[600];

    if (!why)
        return NULL;
    snprintf(text, sizeof(text), "%s instruction %zu: %s", what, steps, why);
    return text;
}

/* Killed here, and with `meanwhile` another's operation after that. */
static const char *look(size_t steps, struct points_count *count)
{
    count->tried++;
    return with_place(survive(run.what->meanwhile != NULL), steps, "killed after");
}

static const char *look_beside(pid_t child, size_t steps, struct points_count *count)
{
    count->beside++;
    return with_place(overtake(child), steps, "overtaken after");
}

static const char *look_around(pid_t child, size_t steps, const struct points_settings *settings,
                               struct points_count *count)
{
    bool is_new = has_changed() || steps == 1;
    const char *why = NULL;

    if (is_new || settings->all)
        why = look(steps, count);
    if (!why && run.what->meanwhile && (is_new || steps % settings->stride == 0))
        why = look_beside(child, steps, count);
    return why;
}

static const char *step_through(const struct points_settings *settings, struct points_count *count)
{
    pid_t child = start_child();
    const char *why = NULL;
    size_t steps = 0;

    for (;;) {
        if (!stepper_step(child))
            why = with_place("it crashed", steps, "after");
        if (why || atomic_load(&board->ended))
            break;
        if ((why = look_around(child, ++steps, settings, count)))
            break;
    }
    count->points += steps;
    if (why)
        kill_child(child);
    else
        why = with_place(run_out(child), steps, "ended after");
    return why;
}

/* ---- real kills ---- */

static const char *kill_at(size_t steps)
{
    pid_t child;
    const char *why;

    begin(run.what);
    child = start_child();
    for (size_t i = 0; i < steps && !atomic_load(&board->ended); i++)
        if (!stepper_step(child))
            break;
    kill_child(child);
    why = with_place(survive(false), steps, "really killed after");
    finish();
    return why;
}

struct points_settings points_settings(size_t stride)
{
    const char *text = getenv("MILLRACE_POINTS");
    bool all = text && !strcmp(text, "all");

    return (struct points_settings){.all = all, .kills = all ? 64 : 4, .stride = all ? 1 : stride};
}

const char *points_try(const struct points_case *what, const struct points_settings *settings,
                       struct points_count *count)
{
    size_t points = count->points;
    const char *why;

    begin(what);
    why = step_through(settings, count);
    finish();
    points = count->points - points;
    for (size_t i = 0; !why && !what->meanwhile && i < settings->kills && i < points; i++) {
        why = kill_at(1 + i * points / settings->kills);
        count->kills++;
        count->tried++;
    }
    return why;
}

bool points_available(void)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0);
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        abort();
    stepper_stay_on_one_processor();
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
