/*
 * fixture.h - runs of the program as a user starts it
 *
 * Each test works in a folder of its own, which fixture_open() makes and enters. A run takes the
 * tests' vocabulary as its model and echo_worker as its worker, unless its arguments say otherwise
 * (the last one counts). Whatever waits, waits for a bounded time and then fails the test.
 */
#ifndef TESTS_RUNTIME_FIXTURE_H
#define TESTS_RUNTIME_FIXTURE_H

#include <check.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct run {
    pid_t pid;
    int status;  /* exit status, or 256 + the signal */
    long max_kb; /* the largest of all its processes, once it has ended */
    char *out;   /* what it wrote, once it has ended */
    char *err;
};

/* own_name - WORD-PID: the name of a domain that no test running beside this one has; valid for the
 * next three calls */
const char *own_name(const char *word);
const char *own_file(const char *word, const char *what); /* of that domain, in /dev/shm */

void fixture_open(void);
void fixture_close(void); /* removes the folder and fails if a run left anything behind */

/* run_begin - start `millrace run -m MODEL --worker ECHO ARGUMENT...`, with standard output into
 * the file "stdout"; `input` is the file that becomes standard input, NULL: /dev/null */
#define run_begin(run, input, ...)                                                                 \
    run_begin_list(run, input, (const char *const[]){__VA_ARGS__, NULL})
void run_begin_list(struct run *run, const char *input, const char *const *arguments);
/* The same with descriptors of the caller's. */
void run_begin_fds(struct run *run, int in, int out, const char *const *arguments);
void run_end(struct run *run); /* waits for it */
void run_signal(const struct run *run, int signal);
void run_free(struct run *run);
void run_said(const struct run *run, const char *what); /* its stderr, once it has ended */

/* run_whole - all of it; returns the exit status */
#define run_whole(run, input, ...)                                                                 \
    run_whole_list(run, input, (const char *const[]){__VA_ARGS__, NULL})
int run_whole_list(struct run *run, const char *input, const char *const *arguments);

/* A process of a run by its name ("mr-tokenizer", "mr-worker-0"); 0: there is none now. */
pid_t run_process(const struct run *run, const char *name);
/* Any process of the run whose name begins so, at random. */
pid_t run_any_process(const struct run *run, const char *prefix);

/* stranger_begin - start a worker that nobody told the run of, and that attaches to a domain */
pid_t stranger_begin(const char *domain);

/* process_has_settled - whether it was there long enough to get to work: those that are killed
 * again and again before they did are given up, and so is the run */
bool process_has_settled(pid_t pid);

/* run_wait_for_lines - until the file has at least so many lines */
void run_wait_for_lines(const char *path, size_t lines);
void wait_ms(unsigned milliseconds);

/* preload - a module of tests/runtime/ comes before all libraries of what is started from now on,
 * the address sanitizer's too; until LD_PRELOAD is unset */
void preload(const char *module);

/* Requests: file_add() appends text; request() formats one completion to be added. */
void file_add(const char *path, const char *text);
void file_add_bytes(const char *path, const char *bytes, size_t count);
const char *request(const char *id, const char *prompt, int max_tokens);
void write_requests(const char *path, unsigned count, int max_tokens);
char *file_read(const char *path, size_t *length); /* to be freed */
size_t count_lines(const char *path);

/* The lines of a file in sorted order, to be freed; `drop` leaves out those that contain it. */
char *file_sorted(const char *path, const char *drop);

/* Answers: a JSON object by custom_id; those without one under "line N". */
json_t *answers_read(const char *path);
const char *answer_error(json_t *answers, const char *id); /* its code, or NULL */
const char *answer_text(json_t *answers, const char *id);  /* of choice 0, or NULL */

/* The program's path, the tests' model, the worker. */
const char *path_of_millrace(void);
const char *path_of_model(void);
const char *path_of_worker(void);

#endif
