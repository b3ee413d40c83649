/*
 * process.c - the collector as a process of its own: mr-collector
 */
#include "runtime/process.h"
#include "models/gguf.h"
#include "runtime/collector/collector.h"
#include "runtime/log.h"
#include <errno.h>
#include <signal.h>

/* load - the vocabulary of the model, which keeps copies of all it needs from the file */
static vocabulary *load(const char *path)
{
    char why[256];
    vocabulary *vocab;
    gguf *file = gguf_open(path, why, sizeof(why));
    vocab = file != NULL ? vocabulary_load(file, why, sizeof(why)) : NULL;
    gguf_close(file);
    if (vocab == NULL)
        log_error("%s", why);
    return vocab;
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
    vocabulary *vocab;
    int status = PROCESS_IMPOSSIBLE, error;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe and a file limit are errors like others */
    signal(SIGXFSZ, SIG_IGN);
    error = process_begin(&process, argc, argv, MR_ROLE_COLLECTOR);
    if (error < 0)
        return process_status(error);
    vocab = load(process.note.model);
    if (vocab != NULL) {
        const struct collector_options options = {.member = process.member,
                                                  .vocabulary = vocab,
                                                  .target = PROCESS_OUTPUT_FD,
                                                  .spool =
                                                      process.has_spool ? PROCESS_SPOOL_FD : -1};
        status = status_of(collector_run(&options));
    }
    vocabulary_free(vocab);
    process_end(&process);
    return status;
}
