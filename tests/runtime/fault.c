/*
 * fault.c - a planted fault: preloaded, it makes one of a run's processes end badly
 *
 *   FAULT_NAME   of the process, as ps shows it: mr-tokenizer, mr-collector ...
 *   FAULT_EXIT   the status that it ends with instead of its own
 *
 * The process is known by the first word of its command line, which is there from the start.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void end_badly(void)
{
    _exit(atoi(getenv("FAULT_EXIT")));
}

__attribute__((constructor)) static void plant(int argc, char **argv)
{
    const char *name = getenv("FAULT_NAME");
    if (name != NULL && getenv("FAULT_EXIT") != NULL && argc > 0 && strcmp(argv[0], name) == 0)
        atexit(end_badly);
}
