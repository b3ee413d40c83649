/*
 * note.h - what a run was asked to do, kept in its domain
 *
 * The supervisor writes it as JSON into the domain's note before the members start; they read it
 * there, and so does `millrace run --resume`, which has no other source for the run's options.
 */
#ifndef RUNTIME_NOTE_H
#define RUNTIME_NOTE_H

#include <millrace/domain.h>
#include <stdbool.h>

struct note {
    char *model;      /* absolute path of the model file */
    char *model_name; /* as the answers name it */
    char *input;      /* absolute path, or "" when it is a stream */
    char *output;     /* absolute path, or "" when it is a stream */
    char *worker;     /* the worker's command; "" for the one that is shipped */
    unsigned workers;
    unsigned max_batch;    /* 0: the worker's default */
    unsigned threads;      /* 0: the worker's default */
    unsigned image_tokens; /* that an image stands as */
    int image_token;       /* -1: the vocabulary's own */
    unsigned sample_rate;  /* of speech, in samples a second */
    bool stream;           /* pieces of the answers are wanted before the final record */
    bool plain_io;         /* io_uring is not to be used */
};

/* note_write - into the domain's note; 0, -ENOMEM, or -E2BIG (paths too long for it) */
int note_write(mr_domain *domain, const struct note *note);

/* note_read - from the domain's note, into memory that note_free() frees; 0 or -EBADMSG */
int note_read(const mr_domain *domain, struct note *note);
void note_free(struct note *note);

#endif
