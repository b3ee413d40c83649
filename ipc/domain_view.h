/*
 * domain_view.h - a mapping of a domain in this process (private to ipc/)
 */
#ifndef MILLRACE_IPC_DOMAIN_VIEW_H
#define MILLRACE_IPC_DOMAIN_VIEW_H

#include "ipc/domain.h"

mr_domain *mr_view_new(void);          /* empty; NULL: out of memory */
void mr_view_close(mr_domain *domain); /* unmaps and closes what it has */

/* mr_view_bind - point into a mapped data segment, everything checked: 0, -EBADMSG, -EPROTO */
int mr_view_bind(mr_domain *domain);

/* mr_view_open_data - open, not map, the data of domain `name`; access: O_RDWR or O_RDONLY */
int mr_view_open_data(mr_domain *domain, const char *name, int access);

/* mr_view_open_stats - map the stats of domain `name` */
int mr_view_open_stats(mr_domain *domain, const char *name);

#endif
