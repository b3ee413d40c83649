/*
 * fixture.c - runs of the program as a user starts it
 */
#include "tests/runtime/fixture.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 40, WAIT_S = 120 };

static char folder[128];
static pid_t started[1024]; /* runs of this test, to look for what they left */
static unsigned started_count;

/* ---- paths ---- */

static const char *path_in(const char *variable, const char *otherwise, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    const char *root = getenv(variable);
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", root != NULL ? root : otherwise, name);
    return path;
}

const char *path_of_millrace(void)
{
    return path_in("MILLRACE_BUILD", ".", "millrace");
}

const char *path_of_model(void)
{
    return path_in("MILLRACE_TEST_DATA", "tests", "data/smollm2-16k.gguf");
}

const char *path_of_worker(void)
{
    return path_in("MILLRACE_BUILD", ".", "tests/runtime/echo_worker");
}

pid_t stranger_begin(const char *domain)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        execl(path_of_worker(), "stranger", "--attach", domain, "--name", "stranger", NULL);
        _exit(99);
    }
    return pid;
}

void preload(const char *module)
{
    const char *build = getenv("MILLRACE_BUILD"), *of_asan = getenv("ASAN_OPTIONS");
    char path[600], options[600];
    snprintf(path, sizeof(path), "%s/tests/runtime/%s", build != NULL ? build : ".", module);
    ck_assert_msg(access(path, R_OK) == 0, "'%s' is missing", path);
    if (of_asan == NULL || strstr(of_asan, "verify_asan_link_order") == NULL) {
        snprintf(options, sizeof(options), "%s:verify_asan_link_order=0",
                 of_asan != NULL ? of_asan : "");
        setenv("ASAN_OPTIONS", options, 1);
    }
    setenv("LD_PRELOAD", path, 1);
}

/* ---- the folder, and what may not be left ---- */

const char *own_name(const char *word)
{
    static char names[4][48];
    static unsigned next;
    char *name = names[next++ % 4];
    snprintf(name, sizeof(names[0]), "%s-%d", word, (int)getpid());
    return name;
}

const char *own_file(const char *word, const char *what)
{
    static char path[96];
    snprintf(path, sizeof(path), "/dev/shm/millrace.%s.%s", own_name(word), what);
    return path;
}

void fixture_open(void)
{
    const char *root = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%s/millrace-test-XXXXXX", root != NULL ? root : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    started_count = 0;
    signal(SIGPIPE, SIG_IGN);
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void check_no_segment(pid_t pid)
{
    char name[64];
    struct dirent *entry;
    DIR *shm = opendir("/dev/shm");
    ck_assert_ptr_nonnull(shm);
    snprintf(name, sizeof(name), "millrace.run-%u-%d.", (unsigned)getuid(), (int)pid);
    while ((entry = readdir(shm)) != NULL)
        ck_assert_msg(strncmp(entry->d_name, name, strlen(name)) != 0, "'%s' was left in /dev/shm",
                      entry->d_name);
    closedir(shm);
}

static bool read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (got < 0)
        return false;
    text[got] = '\0';
    return true;
}

/* The children of a process, as many as there is room for. */
static unsigned children_of(pid_t parent, pid_t *children, unsigned room)
{
    char path[64], list[1024], *at = list, *end;
    unsigned count = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    if (!read_small(path, list, sizeof(list)))
        return 0;
    while (count < room) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        children[count++] = (pid_t)pid;
        at = end;
    }
    return count;
}

/* Members set no subreaper, so an orphan is init's child; its command line names the domain. */
static void check_no_process(pid_t pid)
{
    char domain[64], path[300], line[1024];
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    ck_assert_ptr_nonnull(proc);
    snprintf(domain, sizeof(domain), "run-%u-%d", (unsigned)getuid(), (int)pid);
    while ((entry = readdir(proc)) != NULL) {
        snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !read_small(path, line, 1024))
            continue;
        for (const char *at = line; at < line + sizeof(line) && *at != '\0'; at += strlen(at) + 1)
            ck_assert_msg(strcmp(at, domain) != 0, "process %s of domain '%s' was left",
                          entry->d_name, domain);
    }
    closedir(proc);
}

void fixture_close(void)
{
    for (unsigned i = 0; i < started_count; i++) {
        check_no_segment(started[i]);
        check_no_process(started[i]);
    }
    ck_assert_int_eq(chdir("/"), 0);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- runs ---- */

static void become_run(int in, int out, const char *const *arguments)
{
    const char *argv[ARGUMENTS_MAX] = {"millrace", "run"};
    unsigned count = 2;
    bool own = arguments[0] != NULL &&
               (strcmp(arguments[0], "--resume") == 0 || strcmp(arguments[0], "--discard") == 0);
    int err = open("stderr", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    if (!own) {
        argv[count++] = "-m";
        argv[count++] = path_of_model();
        argv[count++] = "--worker";
        argv[count++] = path_of_worker();
    }
    for (unsigned i = 0; arguments[i] != NULL && count < ARGUMENTS_MAX - 1; i++)
        argv[count++] = arguments[i];
    if (isatty(
            in)) { /* as a terminal has it: a session of its own, and members that may not read */
        setsid();
        ioctl(in, TIOCSCTTY, 0);
    }
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close_range(3, ~0u, 0);
    execv(path_of_millrace(), (char **)(uintptr_t)argv);
    _exit(99);
}

void run_begin_fds(struct run *run, int in, int out, const char *const *arguments)
{
    *run = (struct run){.pid = fork()};
    ck_assert_int_ge(run->pid, 0);
    if (run->pid == 0)
        become_run(in, out, arguments);
    ck_assert_uint_lt(started_count, sizeof(started) / sizeof(started[0]));
    started[started_count++] = run->pid;
}

void run_begin_list(struct run *run, const char *input, const char *const *arguments)
{
    int in = open(input != NULL ? input : "/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open("stdout", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ck_assert_int_ge(in, 0);
    ck_assert_int_ge(out, 0);
    run_begin_fds(run, in, out, arguments);
    close(in);
    close(out);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void wait_ms(unsigned milliseconds)
{
    struct timespec time = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    nanosleep(&time, NULL);
}

void run_end(struct run *run)
{
    double deadline = now() + WAIT_S;
    struct rusage usage;
    int status = 0;
    pid_t ended = 0;
    while (ended == 0 && now() < deadline) {
        ended = wait4(run->pid, &status, WNOHANG, &usage);
        if (ended == 0)
            wait_ms(5);
    }
    if (ended != run->pid)
        kill(run->pid, SIGKILL);
    run->out = file_read("stdout", NULL);
    run->err = file_read("stderr", NULL);
    ck_assert_msg(ended == run->pid, "the run doesn't end; it said: %s", run->err);
    run->status = WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
    getrusage(RUSAGE_CHILDREN, &usage);
    run->max_kb = usage.ru_maxrss;
}

int run_whole_list(struct run *run, const char *input, const char *const *arguments)
{
    run_begin_list(run, input, arguments);
    run_end(run);
    return run->status;
}

void run_signal(const struct run *run, int signal)
{
    ck_assert_int_eq(kill(run->pid, signal), 0);
}

void run_free(struct run *run)
{
    free(run->out);
    free(run->err);
    *run = (struct run){0};
}

void run_said(const struct run *run, const char *what)
{
    ck_assert_msg(strstr(run->err, what) != NULL, "it didn't say '%s' but: %s", what, run->err);
}

static bool has_name(pid_t pid, const char *prefix)
{
    char path[64], name[32];
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    return read_small(path, name, sizeof(name)) && strncmp(name, prefix, strlen(prefix)) == 0;
}

pid_t run_any_process(const struct run *run, const char *prefix)
{
    pid_t children[64], chosen = 0;
    unsigned count = children_of(run->pid, children, 64), fitting = 0;
    for (unsigned i = 0; i < count; i++)
        if (has_name(children[i], prefix) && rand() % (int)++fitting == 0)
            chosen = children[i];
    return chosen;
}

bool process_has_settled(pid_t pid)
{
#ifdef __SANITIZE_ADDRESS__
    enum { SETTLED_MS = 120 };
#else
    enum { SETTLED_MS = 40 };
#endif
    char path[40], line[1024];
    unsigned long long start = 0;
    struct timespec now;
    FILE *file;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    /* the 22nd field; the second is a name in brackets, which has no bracket in it here */
    if (fgets(line, sizeof(line), file) != NULL && strchr(line, ')') != NULL)
        sscanf(strchr(line, ')') + 1,
               "%*s %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &start);
    fclose(file);
    clock_gettime(CLOCK_BOOTTIME, &now);
    return start > 0 && (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6 >
                            (double)start * 1000 / (double)sysconf(_SC_CLK_TCK) + SETTLED_MS;
}

pid_t run_process(const struct run *run, const char *name)
{
    return run_any_process(run, name);
}

/* ---- files ---- */

void file_add_bytes(const char *path, const char *bytes, size_t count)
{
    FILE *file = fopen(path, "ae");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, count, file), count);
    ck_assert_int_eq(fclose(file), 0);
}

void file_add(const char *path, const char *text)
{
    file_add_bytes(path, text, strlen(text));
}

const char *request(const char *id, const char *prompt, int max_tokens)
{
    static char line[4096];
    snprintf(line, sizeof(line),
             "{\"custom_id\": \"%s\", \"method\": \"POST\", \"url\": \"/v1/completions\", "
             "\"body\": {\"prompt\": \"%s\", \"max_tokens\": %d}}\n",
             id, prompt, max_tokens);
    return line;
}

void write_requests(const char *path, unsigned count, int max_tokens)
{
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    for (unsigned i = 0; i < count; i++) {
        char id[16], prompt[64];
        snprintf(id, sizeof(id), "r%u", i);
        snprintf(prompt, sizeof(prompt), "request number %u says this, over and over", i);
        fputs(request(id, prompt, max_tokens), file);
    }
    ck_assert_int_eq(fclose(file), 0);
}

char *file_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "re");
    struct stat status;
    char *text;
    size_t got;
    if (file == NULL || fstat(fileno(file), &status) < 0)
        return calloc(1, 1);
    text = malloc((size_t)status.st_size + 1);
    ck_assert_ptr_nonnull(text);
    got = fread(text, 1, (size_t)status.st_size, file);
    text[got] = '\0';
    if (length != NULL)
        *length = got;
    fclose(file);
    return text;
}

size_t count_lines(const char *path)
{
    size_t length = 0, lines = 0;
    char *text = file_read(path, &length);
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    free(text);
    return lines;
}

void run_wait_for_lines(const char *path, size_t lines)
{
    double deadline = now() + WAIT_S;
    while (count_lines(path) < lines) {
        ck_assert_msg(now() < deadline, "'%s' never has %zu lines", path, lines);
        wait_ms(5);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *file_sorted(const char *path, const char *drop)
{
    size_t length = 0, count = 0, room = count_lines(path) + 1;
    char *text = file_read(path, &length), *sorted = malloc(length + room + 1), *end = sorted;
    char **lines = calloc(room, sizeof(*lines));
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (drop == NULL || strstr(line, drop) == NULL)
            lines[count++] = line;
    qsort(lines, count, sizeof(*lines), compare);
    for (size_t i = 0; i < count; i++)
        end += sprintf(end, "%s\n", lines[i]);
    *end = '\0';
    free(lines);
    free(text);
    return sorted;
}

/* ---- answers ---- */

json_t *answers_read(const char *path)
{
    json_t *answers = json_object();
    char *text = file_read(path, NULL), key[32];
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_t *answer = json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        const char *id = json_string_value(json_object_get(answer, "custom_id"));
        json_t *at = json_object_get(json_object_get(answer, "error"), "line");
        ck_assert_msg(answer != NULL, "no JSON: %s", line);
        /* Of a duplicate both answers carry the id; the refusal goes by its line. */
        snprintf(key, sizeof(key), "line %lld", (long long)json_integer_value(at));
        if (id == NULL || at != NULL)
            json_object_set(answers, key, answer);
        if (id != NULL && json_object_get(answers, id) == NULL)
            json_object_set(answers, id, answer);
        json_decref(answer);
    }
    free(text);
    return answers;
}

const char *answer_error(json_t *answers, const char *id)
{
    json_t *answer = json_object_get(answers, id);
    ck_assert_msg(answer != NULL, "'%s' has no answer", id);
    return json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
}

const char *answer_text(json_t *answers, const char *id)
{
    json_t *body =
        json_object_get(json_object_get(json_object_get(answers, id), "response"), "body");
    json_t *choice = json_array_get(json_object_get(body, "choices"), 0);
    json_t *message = json_object_get(choice, "message");
    return json_string_value(message != NULL ? json_object_get(message, "content")
                                             : json_object_get(choice, "text"));
}
