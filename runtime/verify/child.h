/*
 * child.h - the processes that a trial starts, none of which outlives it
 *
 * Each leads a process group of its own, so that a Ctrl-C reaches the verifier alone, which then
 * ends them in order; and the kernel kills it when the verifier dies. The signals that the verifier
 * holds back (`held`) are let through again in it.
 */
#ifndef RUNTIME_VERIFY_CHILD_H
#define RUNTIME_VERIFY_CHILD_H

#include <millrace/supervise.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* child_run - a program with its arguments, without its messages if `quiet`; its pid, or -errno */
pid_t child_run(char *const argv[], bool quiet, const sigset_t *held);

/*
 * child_ask - give a domain an order whose answer may never come
 *
 *   answer  out, on success: where child_answer() reads; to be closed
 *
 * Returns the pid of a child that waits for the answer, or -errno. It ends with 0 if the order was
 * carried out.
 */
pid_t child_ask(const char *domain, const mr_command *command, const sigset_t *held, int *answer);

/* child_answer - the sentence that the order was answered with, once the child has ended */
void child_answer(int answer, char *text, size_t size);

/* child_kill - a child of child_run() or child_ask() and all that it started; waits for it */
void child_kill(pid_t child);

#endif
