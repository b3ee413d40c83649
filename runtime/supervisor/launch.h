/*
 * launch.h - starting a process of the group
 */
#ifndef RUNTIME_SUPERVISOR_LAUNCH_H
#define RUNTIME_SUPERVISOR_LAUNCH_H

#include <sys/types.h>

enum { LAUNCH_FDS = 5 };

#define LAUNCH_NO_FDS                                                                              \
    {                                                                                              \
        -1, -1, -1, -1, -1                                                                         \
    }

struct launch {
    const char *path; /* of the binary */
    char **argv;      /* ends with NULL */
    /* What the process finds as descriptors 3, 4, ...; -1: nothing there */
    int fds[LAUNCH_FDS];
};

/*
 * launch - start it
 *
 * It is in a process group of its own, so that a Ctrl-C reaches the supervisor alone; it dies with
 * its parent, gains no privileges, has no descriptor but stderr (as standard output too) and those
 * of `fds`, no signal blocked, and SIGPIPE ignored.
 *
 * Returns its pid, or -errno.
 */
pid_t launch(const struct launch *what);

/* launch_worker_path - where the worker that is shipped lies: beside this binary or in libexec.
 * To be freed; NULL when it isn't there. */
char *launch_worker_path(void);

#endif
