/*
 * command.h - the verbs that command a running group: drain, scale, cancel
 */
#ifndef RUNTIME_SUPERVISOR_COMMAND_H
#define RUNTIME_SUPERVISOR_COMMAND_H

/* Each takes the arguments behind `millrace` and returns the exit status: 0 done, 1 the group
 * refused, or there is none, 2 wrong usage. */
int drain_main(int argc, char **argv);
int scale_main(int argc, char **argv);
int cancel_main(int argc, char **argv);

#endif
