/*
 * kill.h - what is left when a process is killed after any instruction of an operation
 *
 * A case prepares something in shared memory (MAP_SHARED); a child operates on it under ptrace(2),
 * one instruction at a time. Two things are tried, each with fresh subjects:
 *
 *   - after every instruction the memory as it is then, which is what a kill would leave, is copied
 *     into a process of its own and checked there;
 *   - after some of them, evenly spread, the child is really killed (SIGKILL) and reaped, and the
 *     memory itself is checked: what the kernel does at a death is tried too.
 *
 * To try another operation write a struct kill_case and give it to kill_main(). An operation may
 * make system calls (each is one step), but not wait for anybody.
 */
#ifndef MILLRACE_TESTS_KILL_H
#define MILLRACE_TESTS_KILL_H

#include <stdbool.h>
#include <stddef.h>

enum { KILL_REGIONS = 4 };

struct kill_region {
    void *at;
    size_t bytes;
};

struct kill_case {
    const char *name; /* a sentence of behaviour */

    /* Makes a subject, in memory that a child of fork(2) shares. */
    void *(*prepare)(const struct kill_case *self);

    /* Which memory that is; returns how many regions. */
    size_t (*memory)(void *subject, struct kill_region regions[KILL_REGIONS]);

    /* In the child: the operation that is cut off. */
    void (*operate)(void *subject);

    /* After the death: NULL, or what is wrong. `finished`: the operation had ended, so what it does
     * must be done. */
    const char *(*check)(void *subject, bool finished);

    void (*discard)(void *subject);

    const void *data; /* the case's own */
};

struct kill_count {
    size_t instructions; /* of the operation */
    size_t looks;        /* times the memory was checked: after each, but for a sanitizer's build */
    size_t kills;        /* times the process was killed and then the memory checked */
};

/*
 * kill_everywhere - run one case at every instruction
 *
 * Returns NULL, or what was wrong and after which instruction. MILLRACE_KILLS says how many real
 * kills there are, default 16, 0: one after every instruction.
 */
const char *kill_everywhere(const struct kill_case *kill_case, struct kill_count *count);

/* kill_main - runs cases, prints what was tried, returns the exit status: 0, 1, or 77 where ptrace
 * is refused */
int kill_main(const struct kill_case *cases, size_t count);

#endif
