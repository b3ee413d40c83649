/*
 * stepper.c - see stepper.h
 */
#include "tests/ipc/kill/stepper.h"
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

bool stepper_step(pid_t child)
{
    int status;

    if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0 || waitpid(child, &status, 0) != child)
        abort();
    return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

void stepper_stay_on_one_processor(void)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
}
