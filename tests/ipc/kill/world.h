/*
 * world.h - a group whose members stand side by side in one process, for one of them to be killed
 *
 * A domain with a tokenizer, two workers of the first stage, one of the second where there are two
 * stages, a collector, and a worker that is dead and not swept yet. The process is forked: in one
 * copy a member operates and is cut off, in another the rest goes on with its objects, which are as
 * they were before the operation, and that is just what they would be in processes of their own.
 *
 * Each request is known by its ordinal: how many choices, which tokens, whether it is refused. So
 * what the collector wrote can be checked word for word.
 */
#ifndef MILLRACE_TESTS_WORLD_H
#define MILLRACE_TESTS_WORLD_H

#include "ipc/domain.h"
#include "tests/ipc/kill/points.h"
#include <millrace/emission.h>
#include <millrace/intake.h>
#include <millrace/worker.h>

enum { WORLD_SLOTS = 8, WORLD_WORKERS = 4, WORLD_LINES = 64 };

/* Workers by what they are for; the rest are members. */
enum world_who {
    WORLD_FIRST,  /* the one that operates */
    WORLD_SECOND, /* of the same stage: operates beside it, goes on after its death */
    WORLD_NEXT,   /* of the second stage, if there is one */
    WORLD_DEAD,   /* has ended and waits for its sweep */
    WORLD_TOKENIZER,
    WORLD_COLLECTOR,
    WORLD_SUPERVISOR,
    WORLD_NOBODY /* a process that just was becoming a member */
};

/* The output: what would be lines of a file. */
struct world_line {
    uint64_t ordinal;
    uint32_t choice;
    uint32_t failed;
    uint64_t count; /* generated tokens */
    uint64_t sum;   /* over all of them and their places */
};

struct world {
    mr_domain *domain;
    mr_worker *workers[WORLD_WORKERS];
    int places[WORLD_WORKERS];
    mr_member *tokenizer;
    mr_intake *intake;
    mr_member *collector;
    mr_emission *emission;
    struct world_line *output; /* WORLD_LINES of them, in `output_fd` */
    int output_fd;
    uint64_t mark;                     /* records taken in so far */
    uint64_t records;                  /* to be taken in before the end */
    enum world_who actor;              /* whose operation is cut off */
    uint64_t may_fail;                 /* ordinals, a bit each, whose answer may be an error */
    uint64_t may_be_short;             /* or cut, by a cancel */
    int next_place;                    /* that the next member will get */
    enum world_who dead;               /* who the supervisor sweeps, when it is the actor */
    mr_context *held[WORLD_WORKERS];   /* the context that a worker's operation is about */
    mr_handle handles[WORLD_NOBODY];   /* the one that an operation of others is about */
    bool begun;                        /* world_begin() was called */
    uint64_t begun_with[WORLD_SLOTS];  /* each slot's state word then */
    uint64_t begun_after[WORLD_SLOTS]; /* and the number of its last commit */
    const void *data;                  /* the test's own */
};

struct world *world_new(uint32_t stages);
void world_free(struct world *world);
size_t world_memory(struct world *world, struct points_region *regions);

uint32_t world_choices(uint64_t ordinal);
bool world_refused(uint64_t ordinal);
int64_t world_generated(uint64_t ordinal); /* tokens */

/* What members do, one thing at a time; they abort where it can't be done. */
int world_admit(struct world *world); /* the next record; 0 or -EAGAIN */
mr_context *world_claim(struct world *world, enum world_who worker); /* what it then holds last */
void world_update(mr_context *context);                              /* one token */
void world_finish(mr_context *context);                              /* until it is done */
bool world_emit(struct world *world);     /* the next context: something was committed */
bool world_emit_all(struct world *world); /* until it would sleep */

/* world_begin - the actor's operation, and nobody else's, comes next */
void world_begin(struct world *world);

/* world_killed - the actor is dead: it is swept, replaced where it must be, all go on to the end.
 * NULL, or what is wrong. */
const char *world_killed(struct world *world);

/* world_ended - the actor is alive and goes on with all others */
const char *world_ended(struct world *world);

#endif
