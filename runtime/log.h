/*
 * log.h - what a process of the runtime says to the user, on stderr
 *
 * One line a call, one write a line, so lines of several processes don't mix. A message is a
 * sentence that begins in lower case and has no full stop.
 */
#ifndef RUNTIME_LOG_H
#define RUNTIME_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* log_open - who speaks, and up to which level; `process` must stay valid */
void log_open(const char *process, enum log_level level);

/* log_level_of - the level of a name ("error", "warning", "info", "debug"), or -1 */
int log_level_of(const char *name);
const char *log_level_name(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
