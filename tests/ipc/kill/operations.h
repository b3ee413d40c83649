/*
 * operations.h - the operations of the protocol, each with the state that it starts from
 */
#ifndef MILLRACE_TESTS_OPERATIONS_H
#define MILLRACE_TESTS_OPERATIONS_H

#include "tests/ipc/kill/world.h"

/*
 * `hold` makes what members hold before the operation, `prepare` what lies about: so that of two
 * operations' preparations none claims what the other left for its own.
 */
struct operation {
    const char *name;
    enum world_who actor;
    uint32_t stages;                                          /* 0: 1 */
    void (*hold)(struct world *world, enum world_who who);    /* or NULL */
    void (*prepare)(struct world *world, enum world_who who); /* or NULL */
    void (*operate)(struct world *world, enum world_who who);
    bool is_long; /* tens of thousands of instructions: in the short version one such is enough */
    bool beside;  /* it takes no memory and leaves all members: another may do it in the middle */
};

extern const struct operation operations[];
extern const size_t operation_count;

#endif
