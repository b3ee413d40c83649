/*
 * child.c - the processes that a trial starts, none of which outlives it
 */
#include "runtime/verify/child.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_RUN = 127, SENTENCE_MAX = 256 };

/* As fork(), or -errno. */
static pid_t start(const sigset_t *held)
{
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        return -errno;
    if (child > 0) {
        setpgid(child, child); /* both sides do it, so that neither has to wait for the other */
        return child;
    }
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before it was watched */
        _exit(CANNOT_RUN);
    sigprocmask(SIG_UNBLOCK, held, NULL);
    return 0;
}

pid_t child_run(char *const argv[], bool quiet, const sigset_t *held)
{
    pid_t child = start(held);
    if (child != 0)
        return child;
    if (quiet) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
    }
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "millrace: cannot run '%s': %s\n", argv[0], strerror(errno));
    _exit(CANNOT_RUN);
}

pid_t child_ask(const char *domain, const mr_command *command, const sigset_t *held, int *answer)
{
    char text[SENTENCE_MAX] = "";
    int ends[2], rc;
    pid_t child;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    child = start(held);
    if (child == 0) {
        rc = mr_control_ask(domain, command, text, sizeof(text));
        dprintf(ends[1], "%s", text); /* it fits into the pipe: nobody has to read it */
        _exit(rc != 0);
    }
    close(ends[1]);
    if (child < 0)
        close(ends[0]);
    else
        *answer = ends[0];
    return child;
}

void child_answer(int answer, char *text, size_t size)
{
    ssize_t got = read(answer, text, size - 1);
    text[got > 0 ? got : 0] = '\0';
}

void child_kill(pid_t child)
{
    kill(-child, SIGKILL);
    waitpid(child, NULL, 0);
}
