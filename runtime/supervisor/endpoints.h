/*
 * endpoints.h - the two ends of a run: where requests come from and where answers go
 *
 * The supervisor opens both and keeps them open as long as it lives, with the spools of those that
 * are streams, so that what their descriptors know outlives any tokenizer and collector.
 */
#ifndef RUNTIME_SUPERVISOR_ENDPOINTS_H
#define RUNTIME_SUPERVISOR_ENDPOINTS_H

#include <stdbool.h>
#include <stdint.h>

struct run_input {
    int fd;
    int spool;    /* -1: `fd` is a regular file */
    int relay[2]; /* -1: not needed */
    int terminal; /* -1: it is none. Else `fd` is a pipe that run_input_pump() fills from it */
    int pump;
    char *path;    /* absolute; "" for a stream, which no resumed run can open again */
    uint64_t size; /* of a regular file, from where it is read on */
};

struct run_output {
    int fd;
    int spool;  /* -1: `fd` is a regular file of its own */
    char *path; /* absolute; "" for a stream */
};

/* Each returns 0, or -errno after it said what is wrong. `path` NULL or "-" is standard input, or
 * output. run_*_close() is right in any case. */
int run_input_open(struct run_input *input, const char *path);
void run_input_close(struct run_input *input);
int run_output_open(struct run_output *output, const char *path);
void run_output_close(struct run_output *output);

/* run_output_sent - whether all of the first `length` bytes have left: the spool's offset, which
 * the kernel moves, is shared with the collector that sends */
bool run_output_sent(const struct run_output *output, uint64_t length);

/* run_input_pump - move what was typed, a few times a second: only processes of the terminal's own
 * group may read it, and the members have groups of their own */
void run_input_pump(struct run_input *input);

/* run_input_none - of a resumed run whose input was a stream: one that is at its end */
int run_input_none(struct run_input *input);

/* endpoints_differ - false, and said, when the answers would overwrite the requests */
bool endpoints_differ(const struct run_input *input, const struct run_output *output);

#endif
