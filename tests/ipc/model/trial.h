/*
 * trial.h - what the model tests share: random numbers, comparing, the main loop
 *
 *     PROGRAM [SEED [OPERATIONS]]
 *
 * Prints the seed; on a difference also the number of the operation, so that it can be had again.
 */
#ifndef MILLRACE_TESTS_TRIAL_H
#define MILLRACE_TESTS_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Random numbers, the same for a seed everywhere. */
int64_t between(int64_t low, int64_t high); /* in [low, high] */
bool one_in(int64_t n);
int64_t around(int64_t low, int64_t high); /* around [low, high], rarely an absurd number */

struct trial_operation {
    const char *name;
    void (*run)(void *pair);
    int weight;
};

struct trial {
    void (*begin)(void *pair); /* a fresh context and its model */
    void (*compare)(const void *pair);
    void (*end)(void *pair);
    const struct trial_operation *operations;
    size_t count;
};

/* trial_same - the program ends if the two differ */
void trial_same(const char *what, int64_t expected, int64_t actual);

/* trial_result - the same for a call's result: 0 or the error code that it must give */
void trial_result(int expected, int rc);

int trial_main(const struct trial *trial, void *pair, int argc, char **argv);

#endif
