/*
 * geometry.h - how large a domain is made for a model
 *
 * All memory of a domain is reserved at its start, so this is where a run's worst case is settled:
 * slots, the longest context, and the arena that the contexts' arrays lie in.
 */
#ifndef RUNTIME_SUPERVISOR_GEOMETRY_H
#define RUNTIME_SUPERVISOR_GEOMETRY_H

#include "runtime/supervisor/model_file.h"
#include "runtime/supervisor/options.h"
#include <millrace/domain.h>

/* geometry_choose - fill in slots, lengths and memory; 0, or -EINVAL/-ENOSPC after the error was
 * said. `free_bytes` is what /dev/shm has free. */
int geometry_choose(mr_domain_options *domain, const struct run_options *options,
                    const struct model_file *model, uint64_t free_bytes);

/* geometry_free_bytes - what /dev/shm has free; 0 when it can't be told */
uint64_t geometry_free_bytes(void);

#endif
