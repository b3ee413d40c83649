/*
 * run.h - `millrace run`
 */
#ifndef RUNTIME_SUPERVISOR_RUN_H
#define RUNTIME_SUPERVISOR_RUN_H

/* run_main - the verb; argv[0] is "run". Returns the program's exit status. */
int run_main(int argc, char **argv);

#endif
