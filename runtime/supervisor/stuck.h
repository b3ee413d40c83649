/*
 * stuck.h - telling a worker that is stuck from one that is busy
 *
 * A worker counts its steps, and the parts inside a long one (layers, chunks of a prompt). One that
 * is in a step and moves neither count for a while will not come back by itself: it is killed, and
 * its death is treated like any other. A worker that waits for work is in no step.
 */
#ifndef RUNTIME_SUPERVISOR_STUCK_H
#define RUNTIME_SUPERVISOR_STUCK_H

#include "runtime/supervisor/group.h"

/* stuck_look - once a second or so; kills those of the group's workers that haven't moved for
 * `after_s` seconds, 0: none */
void stuck_look(struct group *group, const mr_domain *domain, mr_control *control,
                unsigned after_s);

#endif
