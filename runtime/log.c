/*
 * log.c - what a process of the runtime says to the user, on stderr
 */
#include "runtime/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static const char *speaker = "millrace";
static enum log_level limit = LOG_LEVEL_WARNING;
static const char *const names[] = {"error", "warning", "info", "debug"};

void log_open(const char *process, enum log_level level)
{
    speaker = process;
    limit = level;
}

int log_level_of(const char *name)
{
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return (int)i;
    return -1;
}

const char *log_level_name(enum log_level level)
{
    return names[level];
}

/* A control character in a quoted piece of input must not steer the terminal. */
static void blank_control_characters(char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
}

static void say(enum log_level level, const char *format, va_list arguments)
{
    char line[LINE_MAX_BYTES];
    /* On a terminal, over the progress line that may stand there. */
    const char *clear = isatty(STDERR_FILENO) ? "\r\033[K" : "";
    const char *kind = level == LOG_LEVEL_WARNING ? "warning: " : "";
    int begin, length;
    if (level > limit)
        return;
    begin = snprintf(line, sizeof(line), "%s%s: %s", clear, speaker, kind);
    length = vsnprintf(line + begin, sizeof(line) - (size_t)begin - 1, format, arguments);
    if (length < 0)
        return;
    length = (int)strlen(line);
    blank_control_characters(line + begin, (size_t)(length - begin));
    line[length] = '\n';
    /* Nobody is left to be told when stderr itself fails. */
    if (write(STDERR_FILENO, line, (size_t)length + 1) < 0)
        return;
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        say(level, format, arguments);                                                             \
        va_end(arguments);                                                                         \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
