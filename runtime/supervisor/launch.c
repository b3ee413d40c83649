/*
 * launch.c - starting a process of the group
 */
#include "runtime/supervisor/launch.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { FIRST_FD = 3, CANNOT_EXEC = 127 };

/* Puts descriptors[i] at FIRST_FD + i. They are moved out of the way first: any of them may stand
 * where another must go. */
static int place_descriptors(const int descriptors[LAUNCH_FDS])
{
    int moved[LAUNCH_FDS];
    for (int i = 0; i < LAUNCH_FDS; i++) {
        moved[i] = descriptors[i];
        if (descriptors[i] >= 0)
            moved[i] = fcntl(descriptors[i], F_DUPFD, FIRST_FD + LAUNCH_FDS);
        if (descriptors[i] >= 0 && moved[i] < 0)
            return -errno;
    }
    for (int i = 0; i < LAUNCH_FDS; i++) {
        if (moved[i] < 0)
            close(FIRST_FD + i);
        else if (dup2(moved[i], FIRST_FD + i) < 0)
            return -errno;
    }
    close_range(FIRST_FD + LAUNCH_FDS, ~0u, 0);
    return 0;
}

static int place_standard_streams(void)
{
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return -errno;
    return 0;
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* In the child. Only calls that are safe between fork and exec. */
static void become(const struct launch *what, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before it was watched */
        _exit(CANNOT_EXEC);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (place_standard_streams() < 0 || place_descriptors(what->fds) < 0)
        _exit(CANNOT_EXEC);
    reset_signals();
    execv(what->path, what->argv);
    dprintf(STDERR_FILENO, "millrace: cannot run '%s': %s\n", what->path, strerror(errno));
    _exit(CANNOT_EXEC);
}

pid_t launch(const struct launch *what)
{
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        return -errno;
    if (child == 0)
        become(what, parent);
    /* Both sides do it, so that neither has to wait for the other. */
    setpgid(child, child);
    return child;
}

char *launch_worker_path(void)
{
    static const char name[] = "millrace-worker-llama";
    char self[4096], *path = NULL;
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;
    self[length > 0 ? length : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash != NULL && asprintf(&path, "%.*s/%s", (int)(slash - self), self, name) >= 0 &&
        access(path, X_OK) == 0)
        return path;
    free(path);
    path = NULL;
    if (asprintf(&path, "%s/%s", PKGLIBEXECDIR, name) >= 0 && access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}
