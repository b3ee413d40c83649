/*
 * kill.c - single-steps a child, looks at what it has done so far, kills it
 */
#include "tests/ipc/kill/kill.h"
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

enum { KILLS = 16 };

/* A sanitizer's build has ten times the instructions; looking after some of them must do there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { LOOK_EVERY = 16 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { LOOK_EVERY = 16 };
#else
enum { LOOK_EVERY = 1 };
#endif
#else
enum { LOOK_EVERY = 1 };
#endif

/* What children tell, in memory that all share. Only instructions between `begun` and `ended`
 * count. */
static struct board {
    _Atomic bool begun;
    _Atomic bool ended;
    char why[400];
} * board;

static const char refused[] = "ptrace is refused";

static bool is_ended(void)
{
    return atomic_load(&board->ended);
}

/* ---- the child that operates ---- */

_Noreturn static void be_child(const struct kill_case *kill_case, void *subject)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(77);
    raise(SIGSTOP); /* the parent steps from here */
    atomic_store(&board->begun, true);
    kill_case->operate(subject);
    atomic_store(&board->ended, true);
    _exit(0);
}

/* A child that stands before the operation; -1 where ptrace is refused. */
static pid_t start_child(const struct kill_case *kill_case, void *subject)
{
    pid_t child;
    int status;

    atomic_store(&board->begun, false);
    atomic_store(&board->ended, false);
    child = fork();
    if (child == 0)
        be_child(kill_case, subject);
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    if (!WIFSTOPPED(status))
        return -1;
    while (!atomic_load(&board->begun))
        if (!stepper_step(child))
            abort();
    return child;
}

static void end_child(pid_t child)
{
    int status;

    if (kill(child, SIGKILL) < 0 || waitpid(child, &status, 0) != child)
        abort();
}

/* ---- looking ---- */

/* From here on this process has its own copy of the region, at the same address. */
static void make_private(const struct kill_region *region)
{
    void *copy = malloc(region->bytes);

    if (!copy)
        abort();
    memcpy(copy, region->at, region->bytes);
    if (mmap(region->at, region->bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        abort();
    memcpy(region->at, copy, region->bytes);
    free(copy);
}

_Noreturn static void be_looker(const struct kill_case *kill_case, void *subject)
{
    struct kill_region regions[KILL_REGIONS];
    size_t count = kill_case->memory(subject, regions);
    const char *why;

    for (size_t i = 0; i < count; i++)
        make_private(&regions[i]);
    why = kill_case->check(subject, is_ended());
    snprintf(board->why, sizeof(board->why), "%s", why ? why : "");
    _exit(why != NULL);
}

static const char *look(const struct kill_case *kill_case, void *subject)
{
    pid_t looker = fork();
    int status;

    if (looker == 0)
        be_looker(kill_case, subject);
    if (looker < 0 || waitpid(looker, &status, 0) != looker)
        abort();
    if (WIFEXITED(status))
        return WEXITSTATUS(status) ? board->why : NULL;
    return "the check crashed";
}

/* Says what is wrong, and where. */
static const char *at_instruction(const char *why, size_t steps)
{
    static char text[500];

    if (!why)
        return NULL;
    snprintf(text, sizeof(text), "%s instruction %zu: %s",
             is_ended() ? "finished at" : "killed after", steps, why);
    return text;
}

static const char *look_everywhere(const struct kill_case *kill_case, size_t *instructions,
                                   size_t *looks)
{
    void *subject = kill_case->prepare(kill_case);
    pid_t child = start_child(kill_case, subject);
    const char *why = child < 0 ? refused : NULL;

    *instructions = *looks = 0;
    while (!why && !is_ended()) {
        why = stepper_step(child) ? NULL : "the operation crashed";
        if (!why && (is_ended() || ++*instructions % LOOK_EVERY == 0)) {
            why = look(kill_case, subject);
            ++*looks;
        }
    }
    if (child >= 0)
        end_child(child);
    kill_case->discard(subject);
    return at_instruction(why, *instructions);
}

/* ---- killing ---- */

static const char *kill_after(const struct kill_case *kill_case, size_t steps)
{
    void *subject = kill_case->prepare(kill_case);
    pid_t child = start_child(kill_case, subject);
    const char *why = NULL;

    for (size_t i = 0; i < steps && !why && !is_ended(); i++)
        why = stepper_step(child) ? NULL : "the operation crashed";
    end_child(child);
    if (!why)
        why = kill_case->check(subject, is_ended());
    why = at_instruction(why, steps);
    kill_case->discard(subject);
    return why;
}

static size_t wanted_kills(size_t instructions)
{
    const char *text = getenv("MILLRACE_KILLS");
    size_t wanted = text ? strtoul(text, NULL, 10) : KILLS;

    return wanted == 0 || wanted > instructions ? instructions : wanted;
}

const char *kill_everywhere(const struct kill_case *kill_case, struct kill_count *count)
{
    const char *why = look_everywhere(kill_case, &count->instructions, &count->looks);
    size_t kills = wanted_kills(count->instructions);

    for (count->kills = 0; !why && count->kills < kills; count->kills++)
        why = kill_after(kill_case, 1 + count->kills * count->instructions / kills);
    return why;
}

/* ---- all cases ---- */

static void make_board(void)
{
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        abort();
}

int kill_main(const struct kill_case *cases, size_t count)
{
    struct kill_count all = {0, 0, 0}, one;
    size_t failed = 0;

    make_board();
    stepper_stay_on_one_processor();
    for (size_t i = 0; i < count; i++) {
        const char *why = kill_everywhere(&cases[i], &one);

        if (why && strstr(why, refused)) {
            puts("skipped: ptrace is refused here");
            return 77;
        }
        all.instructions += one.instructions;
        all.looks += one.looks;
        all.kills += one.kills;
        failed += why != NULL;
        printf("%s: %zu instructions, %zu looks, %zu kills%s%s\n", cases[i].name, one.instructions,
               one.looks, one.kills, why ? ", FAILED: " : "", why ? why : "");
        fflush(stdout);
    }
    printf("in all: %zu instructions, %zu looks, %zu kills\n", all.instructions, all.looks,
           all.kills);
    printf("%zu%%: Checks: %zu, Failures: %zu, Errors: 0\n",
           count ? 100 * (count - failed) / count : 100, count, failed);
    return failed > 0;
}
