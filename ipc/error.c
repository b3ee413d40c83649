/*
 * error.c - the calling thread's last sentence and reason
 */
#include "ipc/error.h"
#include "config.h"
#include <errno.h>
#include <millrace/error.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char sentence[400];
static _Thread_local int reason;

const char *mr_error(void)
{
    return sentence;
}

int mr_error_code(void)
{
    return reason;
}

int mr_error_passes(int error)
{
    switch (error) {
    case -EAGAIN:
    case -ECONNRESET:
    case -EINTR:
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM:
        return 1;
    default:
        return 0;
    }
}

const char *mr_version(void)
{
    return PACKAGE_VERSION;
}

int mr_fail(int errnum, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    reason = 0;
    return -errnum;
}

int mr_fail_code(int errnum, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    reason = code;
    return -errnum;
}
