/*
 * options.h - the command line of millrace-worker-llama
 */
#ifndef MILLRACE_LLAMA_OPTIONS_H
#define MILLRACE_LLAMA_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *domain;
    const char *model;
    const char *name;
    const char *kernels;    /* NULL: the fastest */
    uint32_t max_batch;     /* contexts held at once; 0: the default */
    uint32_t max_positions; /* of a step; 0: the default */
    uint32_t threads;
    uint64_t memory; /* bytes for keys and values; 0: the default */
} worker_options;

/* How the process ends. The supervisor does what fits (runtime/process.h). */
enum worker_exit {
    WORKER_DONE = 0,          /* the domain ends, or help was given */
    WORKER_FAILED = 1,        /* an error that may go away */
    WORKER_IMPOSSIBLE = 2,    /* wrong usage, or no start is possible */
    WORKER_MODEL_CHANGED = 3, /* the model file is no longer what it was */
};

/* options_read - returns true to go on; false to end with *status, after the help, the version or
 * one sentence was printed */
bool options_read(worker_options *options, int argc, char **argv, enum worker_exit *status);

#endif
