/*
 * verify.h - `millrace verify-worker`: whether a worker of one's own does what it should
 *
 * The worker is run against groups that have no other, as a stranger that attaches: with one
 * request at a time, with many, killed in the middle, told to leave in the middle. The same
 * requests are asked each time. It honours the protocol if each is answered once and without an
 * error, and if it leaves when it is told to; it is batch-invariant if the answers are the same
 * bytes each time.
 */
#ifndef RUNTIME_VERIFY_VERIFY_H
#define RUNTIME_VERIFY_VERIFY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum verify_exit {
    VERIFY_GOOD = 0,
    VERIFY_BROKEN = 1,  /* it doesn't honour the protocol */
    VERIFY_WRONG = 2,   /* wrong usage, or the check itself was impossible */
    VERIFY_VARIES = 3,  /* it honours the protocol, but isn't batch-invariant */
    VERIFY_SIGNAL = 128 /* and the number of the signal that ended the verification */
};

/* verify_main - the verb; returns an enum verify_exit. SIGINT, SIGTERM and SIGHUP end it in order:
 * no process, domain or file is left. */
int verify_main(int argc, char **argv);

enum { VERIFY_WORDS_MAX = 256 }; /* of the worker's command */

struct verify_plan {
    const char *model;
    char *const *command; /* of the worker, with "{}" for the domain's name; ends with NULL */
    const char *folder;   /* for requests and answers */
    unsigned requests;
    unsigned tokens;   /* of each answer */
    unsigned patience; /* seconds without an answer after which a worker is given up */
    sigset_t signals;  /* blocked; the first that comes ends a trial */
};

enum verify_act { VERIFY_NOTHING, VERIFY_KILL, VERIFY_DRAIN };

struct verify_trial {
    const char *name;    /* of its file */
    const char *what;    /* a phrase for the user */
    unsigned slots;      /* requests in flight */
    enum verify_act act; /* in the middle */
};

/* What came of a trial. */
struct verify_result {
    int signal;         /* not 0: this one ended it, and there is nothing to judge */
    char failure[256];  /* "": the protocol was honoured */
    char *answers;      /* sorted lines; free it */
    uint64_t reclaimed; /* contexts that the killed one held */
    bool acted;         /* it came to the act: the requests were not done before */
};

/* verify_try - one trial; false when it was interrupted, or the check itself was impossible, which
 * is said on stderr. result->answers is the caller's all the same. */
bool verify_try(const struct verify_plan *plan, const struct verify_trial *trial,
                struct verify_result *result);

#endif
