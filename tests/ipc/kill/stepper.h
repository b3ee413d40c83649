/*
 * stepper.h - a traced child, one instruction at a time
 */
#ifndef MILLRACE_TESTS_STEPPER_H
#define MILLRACE_TESTS_STEPPER_H

#include <stdbool.h>
#include <sys/types.h>

/* One instruction; false when something else than the step stopped it, a crash. */
bool stepper_step(pid_t child);

/* A step is two switches between parent and child, which are much faster on one processor. */
void stepper_stay_on_one_processor(void);

#endif
