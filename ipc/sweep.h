/*
 * sweep.h - taking one context back (private to ipc/)
 */
#ifndef MILLRACE_IPC_SWEEP_H
#define MILLRACE_IPC_SWEEP_H

#include "ipc/domain.h"

/* mr_sweep_take_back - from a holder that is dead or never was: reset it and put it back, or fail
 * it. `held` is the state word, `alone` the holder's notion of what it was at (mr_place_record).
 * True when the context had used up its attempts. */
bool mr_sweep_take_back(mr_domain *domain, uint32_t index, uint64_t held, uint64_t alone);

#endif
