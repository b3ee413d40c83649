/*
 * options.h - the command line of `millrace run`
 */
#ifndef RUNTIME_SUPERVISOR_OPTIONS_H
#define RUNTIME_SUPERVISOR_OPTIONS_H

#include "runtime/log.h"
#include <stdbool.h>
#include <stdint.h>

struct run_options {
    const char *model;
    const char *input;  /* NULL or "-": standard input */
    const char *output; /* NULL or "-": standard output */
    const char *name;   /* of the domain; NULL: run-UID-PID */
    const char *worker; /* command; NULL: the one that is shipped */
    const char *resume;
    const char *discard;
    const char *trace; /* file for the ways of the requests, at the end; NULL: none */
    unsigned workers;
    unsigned max_batch; /* 0: the worker's default */
    unsigned threads;   /* 0: the worker's default */
    unsigned slots;     /* 0: by the memory */
    unsigned max_len;   /* 0: by the model */
    unsigned max_attempts;
    unsigned stuck_after; /* seconds; 0: never */
    uint32_t kinds;       /* enum mr_kinds */
    unsigned image_tokens;
    int image_token; /* -1: the vocabulary's own */
    unsigned sample_rate;
    uint64_t memory; /* 0: by the rest, and at most half of what is free */
    uint64_t seed;
    bool stream;
    bool plain_io;
    bool unconfined;
    enum log_level log_level;
};

enum options_result { OPTIONS_RUN = 0, OPTIONS_HELP = 1, OPTIONS_VERSION = 2, OPTIONS_WRONG = 3 };

/* options_read - from the arguments behind the verb (argv[0] is the verb itself). What is wrong
 * with them is said on stderr. */
enum options_result options_read(struct run_options *options, int argc, char **argv);

/* options_help - the text of --help, on stdout */
void options_help(void);

#endif
