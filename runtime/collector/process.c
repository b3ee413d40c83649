/*
 * process.c - the collector as a process of its own: mr-collector
 */
#include "runtime/process.h"
#include "runtime/collector/collector.h"
#include "runtime/log.h"
#include "runtime/tokenizer/tables.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static tables *take_tables(void)
{
    char why[256];
    tables *mapped = tables_map(PROCESS_TABLES_FD, why, sizeof(why));
    close(PROCESS_TABLES_FD);
    if (mapped == NULL)
        log_error("%s", why);
    return mapped;
}

/* status_of - what the end of the collection means for the supervisor */
static int status_of(int error)
{
    switch (error) {
    case 0:
        return PROCESS_DONE;
    case -EPIPE:
        return PROCESS_OUTPUT_CLOSED;
    case -EINVAL:
    case -EBADF:
        return PROCESS_IMPOSSIBLE;
    default:
        return PROCESS_FAILED;
    }
}

int collector_main(int argc, char **argv)
{
    struct process process;
    tables *model;
    int status = PROCESS_IMPOSSIBLE, error;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe and a file limit are errors like others */
    signal(SIGXFSZ, SIG_IGN);
    error = process_begin(&process, argc, argv, MR_ROLE_COLLECTOR);
    if (error < 0)
        return process_status(error);
    model = take_tables();
    if (model != NULL) {
        const struct collector_options options = {.member = process.member,
                                                  .vocabulary = tables_vocabulary(model),
                                                  .target = PROCESS_OUTPUT_FD,
                                                  .spool =
                                                      process.has_spool ? PROCESS_SPOOL_FD : -1};
        status = status_of(collector_run(&options));
    }
    tables_free(model);
    process_end(&process);
    return status;
}
