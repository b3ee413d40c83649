/*
 * fsck.h - `millrace fsck`
 */
#ifndef RUNTIME_MONITOR_FSCK_H
#define RUNTIME_MONITOR_FSCK_H

/* fsck_main - the verb; argv[0] is "fsck". Returns the program's exit status. */
int fsck_main(int argc, char **argv);

#endif
