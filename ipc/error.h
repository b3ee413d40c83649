/*
 * error.h - how libmillrace's own files report (private to ipc/)
 */
#ifndef MILLRACE_IPC_ERROR_H
#define MILLRACE_IPC_ERROR_H

#include <millrace/error.h>

/* mr_fail - set this thread's sentence (cut at 400 bytes) and reason 0; returns -errnum */
__attribute__((format(printf, 2, 3))) int mr_fail(int errnum, const char *format, ...);

/* mr_fail_code - the same with a reason of a documented enumeration */
__attribute__((format(printf, 3, 4))) int mr_fail_code(int errnum, int code, const char *format,
                                                       ...);

#endif
