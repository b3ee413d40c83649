/*
 * millrace/error.h - what went wrong, for a person and for a program
 *
 * Calls of libmillrace return 0 (or a count) or a negative errno. After a failure mr_error() has
 * one sentence about it: the subject in quotes, the place, the remedy; and mr_error_code() has a
 * reason finer than errno where the call documents an enumeration of them, else 0.
 * Both are per thread and last until the next failing call of that thread. The library never
 * prints and never exits.
 */
#ifndef MILLRACE_ERROR_H
#define MILLRACE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* mr_error, mr_error_code - of this thread's last failure. The sentence is never NULL, and ""
 * before the first one; the next failure overwrites it. */
const char *mr_error(void);
int mr_error_code(void);

/* mr_error_passes - whether what failed with `error` (negative errno) may succeed a moment later:
 * memory or descriptors ran out, or the supervisor had no time. A worker that could not attach for
 * such a reason ends with status 1 and is started again; else with 2. */
int mr_error_passes(int error);

/* mr_version - "0.1.0", of the library that runs */
const char *mr_version(void);

#ifdef __cplusplus
}
#endif
#endif
