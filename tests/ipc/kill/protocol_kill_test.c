/*
 * protocol_kill_test.c - any member is killed at every instruction of the protocol's operations
 */
#include "tests/ipc/kill/operations.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *prepare(const void *data)
{
    const struct operation *operation = data;
    struct world *world = world_new(operation->stages ? operation->stages : 1);

    world->actor = operation->actor;
    if (operation->hold)
        operation->hold(world, operation->actor);
    if (operation->prepare)
        operation->prepare(world, operation->actor);
    world->data = operation;
    world_begin(world);
    return world;
}

static size_t memory(void *subject, struct points_region regions[POINTS_REGIONS])
{
    return world_memory(subject, regions);
}

static void operate(void *subject)
{
    struct world *world = subject;
    const struct operation *operation = world->data;

    operation->operate(world, world->actor);
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

static bool try(const struct operation *operation, const struct points_settings *settings,
                struct points_count *all)
{
    const struct points_case one = {.prepare = prepare,
                                    .memory = memory,
                                    .operate = operate,
                                    .killed = killed,
                                    .ended = ended,
                                    .discard = discard,
                                    .data = operation};
    struct points_count count = {0};
    const char *why = points_try(&one, settings, &count);

    printf("%-38s %6zu kill points, %5zu tried, %3zu real%s%s\n", operation->name, count.points,
           count.tried, count.kills, why ? ": " : "", why ? why : "");
    all->points += count.points;
    all->tried += count.tried;
    all->kills += count.kills;
    return !why;
}

int main(int argc, char **argv)
{
    struct points_settings settings = points_settings(1);
    struct points_count all = {0};
    size_t tests = 0, failed = 0;

    if (!points_available()) {
        puts("skipped: ptrace is refused here");
        return 77;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    mr_domain_clean();
    for (size_t i = 0; i < operation_count; i++) {
        if (argc > 1 ? !strstr(operations[i].name, argv[1])
                     : operations[i].is_long && !settings.all)
            continue;
        tests++;
        failed += !try(&operations[i], &settings, &all);
    }
    printf("in all: %zu kill points, %zu tried, %zu real kills\n", all.points, all.tried,
           all.kills);
    printf("%zu%%: Checks: %zu, Failures: %zu, Errors: 0\n",
           tests ? 100 * (tests - failed) / tests : 0, tests, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
