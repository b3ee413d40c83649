/*
 * segment.h - one shared-memory object, and who holds its lock (private to ipc/)
 */
#ifndef MILLRACE_IPC_SEGMENT_H
#define MILLRACE_IPC_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MR_PATH_MAX = 96 };

/* mr_segment_path - "/dev/shm/millrace.NAME.WHAT" */
void mr_segment_path(char path[MR_PATH_MAX], const char *name, const char *what);

/* mr_segment_name_valid - 1 to MR_NAME_MAX letters, digits, '.', '_' and '-'; -EINVAL */
int mr_segment_name_valid(const char *name);

/* mr_segment_make - a nameless object of `bytes`, all reserved, mapped; returns its descriptor */
int mr_segment_make(uint64_t bytes, mode_t mode, unsigned char **map);

/* mr_segment_publish - give it its name; -EEXIST if there is one of that name */
int mr_segment_publish(int fd, const char *path);

/* mr_segment_map - map an object whole; returns 0 */
int mr_segment_map(int fd, bool writable, unsigned char **map, uint64_t *bytes);

/* Locks are of the open file description: they end with the last process that has it open. Every
 * member holds the first one shared, the supervisor the second one alone. */
int mr_segment_lock_member(int fd);     /* 0 */
int mr_segment_lock_supervisor(int fd); /* 0, -EBUSY */
bool mr_segment_has_members(int fd);    /* besides ourselves */
bool mr_segment_has_supervisor(int fd); /* besides ourselves */

#endif
