/*
 * trial.c - see trial.h
 */
#include "tests/ipc/model/trial.h"
#include <millrace/error.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPERATIONS = 200000, OPERATIONS_PER_CONTEXT = 120 };

/* ---- random numbers: SplitMix64 ---- */

static uint64_t state;

static uint64_t random_word(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t between(int64_t low, int64_t high)
{
    uint64_t count = (uint64_t)high - (uint64_t)low + 1;

    return count ? (int64_t)((uint64_t)low + random_word() % count) : (int64_t)random_word();
}

bool one_in(int64_t n)
{
    return between(1, n) == 1;
}

int64_t around(int64_t low, int64_t high)
{
    if (one_in(60))
        return one_in(2) ? INT64_MAX : INT64_MIN;
    return between(low - 3, high + 3);
}

/* ---- comparing ---- */

static const char *operation = "creation";
static uint64_t operations_done;

void trial_same(const char *what, int64_t expected, int64_t actual)
{
    if (expected == actual)
        return;
    printf("operation %llu, %s: %s is %lld, the model has %lld\n",
           (unsigned long long)operations_done, operation, what, (long long)actual,
           (long long)expected);
    exit(1);
}

void trial_result(int expected, int rc)
{
    trial_same("error", expected, rc < 0 ? mr_error_code() : 0);
}

/* ---- the loop ---- */

static const struct trial_operation *pick(const struct trial *trial)
{
    const struct trial_operation *picked = trial->operations;
    int64_t total = 0, ticket;

    for (size_t i = 0; i < trial->count; i++)
        total += trial->operations[i].weight;
    for (ticket = between(1, total); ticket > picked->weight; picked++)
        ticket -= picked->weight;
    return picked;
}

int trial_main(const struct trial *trial, void *pair, int argc, char **argv)
{
    uint64_t wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : OPERATIONS;

    state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    printf("seed %llu\n", (unsigned long long)state);
    fflush(stdout);
    while (operations_done < wanted) {
        trial->begin(pair);
        for (int i = 0; i < OPERATIONS_PER_CONTEXT; i++) {
            const struct trial_operation *picked = pick(trial);

            operation = picked->name;
            operations_done++;
            picked->run(pair);
            trial->compare(pair);
        }
        trial->end(pair);
    }
    printf("%llu operations, no difference\n", (unsigned long long)operations_done);
    return 0;
}
