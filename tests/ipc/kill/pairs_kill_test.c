/*
 * pairs_kill_test.c - a member stands still at an instruction of an operation while another does a
 * whole one, then goes on or dies
 */
#include "tests/ipc/kill/operations.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most of a sweep adds up the counters of the dead, which nobody else looks at. */
enum { LONG_STRIDE = 61 };

struct pair {
    const struct operation *first;
    const struct operation *second;
};

/* Of two workers the second one is another. */
static enum world_who second_of(const struct pair *pair)
{
    return pair->second->actor == WORLD_FIRST ? WORLD_SECOND : pair->second->actor;
}

/* There is one tokenizer, one collector, one supervisor. */
static bool is_possible(const struct pair *pair)
{
    return pair->first->beside && pair->second->beside &&
           (pair->first->actor != pair->second->actor || pair->first->actor == WORLD_FIRST);
}

static void do_if(void (*what)(struct world *world, enum world_who who), struct world *world,
                  enum world_who who)
{
    if (what)
        what(world, who);
}

static void *prepare(const void *data)
{
    const struct pair *pair = data;
    struct world *world = world_new(1);

    world->actor = pair->first->actor;
    do_if(pair->first->hold, world, world->actor);
    do_if(pair->second->hold, world, second_of(pair));
    do_if(pair->first->prepare, world, world->actor);
    do_if(pair->second->prepare, world, second_of(pair));
    world->data = pair;
    return world;
}

static size_t memory(void *subject, struct points_region regions[POINTS_REGIONS])
{
    return world_memory(subject, regions);
}

static void operate(void *subject)
{
    struct world *world = subject;
    const struct pair *pair = world->data;

    pair->first->operate(world, world->actor);
}

static void meanwhile(void *subject)
{
    struct world *world = subject;
    const struct pair *pair = world->data;

    pair->second->operate(world, second_of(pair));
}

static const char *killed(void *subject)
{
    return world_killed(subject);
}

static const char *ended(void *subject)
{
    return world_ended(subject);
}

static void discard(void *subject)
{
    world_free(subject);
}

static bool try(const struct pair *pair, const struct points_settings *settings,
                struct points_count *count)
{
    const struct points_case one = {.prepare = prepare,
                                    .memory = memory,
                                    .operate = operate,
                                    .meanwhile = meanwhile,
                                    .killed = killed,
                                    .ended = ended,
                                    .discard = discard,
                                    .data = pair};
    const char *why = points_try(&one, settings, count);

    if (why)
        printf("%s, %s in the middle: %s\n", pair->first->name, pair->second->name, why);
    return !why;
}

/* One operation with each that may come between. */
static size_t try_all(const struct operation *first, const char *second,
                      struct points_settings settings, struct points_count *all, size_t *tests)
{
    struct points_count count = {0};
    size_t failed = 0, tried = 0;

    if (first->is_long && !settings.all)
        return 0;
    if (first->is_long)
        settings = (struct points_settings){.stride = LONG_STRIDE};
    for (size_t i = 0; i < operation_count; i++) {
        const struct pair pair = {first, &operations[i]};

        if (!is_possible(&pair) || (second && !strstr(operations[i].name, second)))
            continue;
        tried++;
        failed += !try(&pair, &settings, &count);
    }
    if (tried)
        printf("%-28s with %2zu others: stopped at %6zu instructions, overtaken at %6zu, then "
               "killed %6zu times\n",
               first->name, tried, count.points, count.beside, count.tried);
    all->points += count.points;
    all->beside += count.beside;
    all->tried += count.tried;
    *tests += tried;
    return failed;
}

int main(int argc, char **argv)
{
    struct points_settings settings = points_settings(61);
    struct points_count all = {0};
    size_t tests = 0, failed = 0;

    if (!points_available()) {
        puts("skipped: ptrace is refused here");
        return 77;
    }
#ifdef __SANITIZE_ADDRESS__
    puts("skipped: thousands of forks of what the address sanitizer watches take minutes");
    return 77;
#endif
    setvbuf(stdout, NULL, _IOLBF, 0);
    mr_domain_clean();
    for (size_t i = 0; i < operation_count; i++)
        if (argc < 2 || strstr(operations[i].name, argv[1]))
            failed += try_all(&operations[i], argc > 2 ? argv[2] : NULL, settings, &all, &tests);
    printf("in all: %zu pairs, stopped at %zu instructions, overtaken at %zu, then killed %zu "
           "times\n",
           tests, all.points, all.beside, all.tried);
    printf("%zu%%: Checks: %zu, Failures: %zu, Errors: 0\n",
           tests ? 100 * (tests - failed) / tests : 0, tests, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
