/*
 * main.c - how long it takes to recover from a death, in a real run, seen from outside
 *
 *     ./dev bench recovery [-r DEATHS] [-m MODEL]
 *
 * A run of `millrace` is started with no worker of its own. Workers of this program attach, hold
 * requests and are killed one after the other: the time is from before kill(2) until the place of
 * the dead is free again, which is the last thing that a sweep does (its contexts are READY,
 * hinted, and all bells rung before). Then tokenizers and collectors are killed: the time is until
 * their successor has taken a record in, or written an answer. Another request is sent right after
 * each kill, so that it has something to do. At the end it tells how much memory they have.
 *
 * This program maps the domain and looks every 20 us, so its figures are that much too large. It
 * uses public headers alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <millrace/stats.h>
#include <millrace/supervise.h>
#include <millrace/worker.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    HELD = 32,        /* contexts that a worker holds when it is killed */
    DEATHS_MAX = 200, /* of a kind; each takes a token of the requests that are held */
    HELD_TOKENS = 250,
    LOOK_US = 20,
    PATIENCE_S = 60, /* a busy machine may keep a process from running for half of that */
    LIFE_MS =
        1100 /* between two deaths: one that had lived for a second is started again at once */
};

static char name[48], answers[64];
static pid_t run, stayer;
static int requests; /* the end of the run's standard input */
static unsigned sent;
static mr_domain *domain;

static _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void end_run(void);

static _Noreturn void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("recovery: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    end_run();
    exit(1);
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void rest(unsigned us)
{
    nanosleep(&(struct timespec){us / 1000000, (long)(us % 1000000) * 1000}, NULL);
}

static double longest_away; /* between two looks of this program, in ms: nobody let it run */
static pid_t victim;        /* a tokenizer or collector */

/* As ps(1) shows it; '-': there is no such process. */
static char state_of(pid_t pid)
{
    char path[48], state = '-';
    FILE *file;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file != NULL && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = '-';
    if (file != NULL)
        fclose(file);
    return state;
}

/* wait_until - looks at what `is_there` tells until it does; the time since `begin` in ms */
static double wait_until(bool (*is_there)(uint64_t), uint64_t what, double begin, const char *shown)
{
    double looked = now_ms();
    while (!is_there(what)) {
        double before = looked;
        if (looked - begin > PATIENCE_S * 1e3)
            die("%s doesn't happen within %d s; the killed process is '%c', the supervisor '%c', "
                "and "
                "this program was kept from running for up to %.0f ms",
                shown, PATIENCE_S, state_of(victim), state_of(run), longest_away);
        rest(LOOK_US);
        looked = now_ms();
        if (looked - before > longest_away)
            longest_away = looked - before;
    }
    return now_ms() - begin;
}

/* ---- what is looked at ---- */

static int place_of(enum mr_role role, pid_t not, mr_member_info *info)
{
    for (int i = 0; i < MR_MAX_MEMBERS; i++)
        if (mr_member_get_info(domain, i, info) == 0 && info->role == role && info->pid != not )
            return i;
    return -1;
}

static bool has_left(uint64_t place)
{
    mr_member_info info;
    return mr_member_get_info(domain, (int)place, &info) < 0;
}

/* The victim's successor may have the same place by now. */
static enum mr_role victim_role;

static bool is_swept(uint64_t unused)
{
    mr_member_info info;
    int place = place_of(victim_role, 0, &info);
    (void)unused;
    return place < 0 || info.pid != victim;
}

static bool is_succeeded(uint64_t unused)
{
    mr_member_info info;
    (void)unused;
    return place_of(victim_role, victim, &info) >= 0;
}

/* A worker says by the parts of its step that it holds all and works on none by itself. */
static bool holds_all(uint64_t place)
{
    mr_member_info info;
    return mr_member_get_info(domain, (int)place, &info) == 0 && info.parts > 0;
}

static bool is_taken_in(uint64_t records)
{
    mr_domain_progress progress;
    mr_domain_get_progress(domain, &progress);
    return progress.records >= records;
}

static bool is_put_out(uint64_t length)
{
    mr_domain_progress progress;
    mr_domain_get_progress(domain, &progress);
    return progress.output_length > length;
}

static bool is_open(uint64_t unused)
{
    (void)unused;
    return mr_domain_open(&domain, name) == 0;
}

static bool has_role(uint64_t role)
{
    mr_member_info info;
    return place_of((enum mr_role)role, 0, &info) >= 0;
}

/* ---- the run, its requests and its workers ---- */

static void begin_run(const char *millrace, const char *model)
{
    int ends[2];
    snprintf(name, sizeof(name), "recovery-%d", (int)getpid());
    snprintf(answers, sizeof(answers), "/tmp/recovery-%d.jsonl", (int)getpid());
    if (pipe2(ends, O_CLOEXEC) < 0)
        die("cannot make a pipe: %s", strerror(errno));
    run = fork();
    if (run == 0) {
        dup2(ends[0], STDIN_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(millrace, "millrace", "run", "-m", model, "-n", "0", "--slots", "64", "--max-len",
              "256", "--name", name, "-o", answers, "--log-level", "error", NULL);
        _exit(127);
    }
    close(ends[0]);
    requests = ends[1];
    wait_until(is_open, 0, now_ms(), "the run's start");
    wait_until(has_role, MR_ROLE_TOKENIZER, now_ms(), "the tokenizer's start");
    wait_until(has_role, MR_ROLE_COLLECTOR, now_ms(), "the collector's start");
}

/* Requests are numbered from 1 as their records are; prompts are ids, so that any model takes them.
 */
static void send_request(int max_tokens)
{
    if (dprintf(requests,
                "{\"custom_id\": \"r%u\", \"method\": \"POST\", \"url\": \"/v1/completions\", "
                "\"body\": {\"prompt\": [5, 6, 7, 8], \"max_tokens\": %d}}\n",
                ++sent, max_tokens) < 0)
        die("cannot send a request: %s", strerror(errno));
}

static mr_worker *attach(unsigned capacity)
{
    const mr_worker_options options = {.size = sizeof(options),
                                       .capacity = capacity,
                                       .fingerprint = "recovery-1",
                                       .name = "bench-worker"};
    mr_worker *worker;
    if (mr_worker_attach(&worker, name, &options) < 0)
        die("cannot attach: %s", mr_error());
    return worker;
}

/* A worker that takes what it can and never answers. What its predecessor held is suspect, and must
 * get on by a token, or it would be given up after the third death. */
static void hold(void)
{
    mr_context *batch[HELD];
    mr_worker *worker = attach(HELD);
    int count;
    while ((count = mr_worker_batch(worker, batch, MR_WAIT)) >= 0) {
        if (count == 1 && mr_context_suspect(batch[0]))
            mr_text_update(mr_context_text(batch[0]), 9, NULL);
        if (count == HELD)
            mr_worker_progress(worker);
        rest(LOOK_US);
    }
    _exit(0);
}

static void answer_all(void)
{
    mr_context *batch[HELD];
    mr_worker *worker = attach(HELD);
    int count;
    while ((count = mr_worker_batch(worker, batch, MR_WAIT)) >= 0)
        for (int i = 0; i < count; i++) {
            mr_text *text = mr_context_text(batch[i]);
            if (!mr_text_is_done(text))
                mr_text_update(text, 9, NULL);
            mr_worker_hand_on(worker, batch[i]);
        }
    mr_worker_leave(worker);
    _exit(0);
}

static pid_t begin_worker(void (*body)(void))
{
    pid_t pid = fork();
    if (pid < 0)
        die("cannot fork: %s", strerror(errno));
    if (pid == 0) {
        close(requests);
        body();
    }
    return pid;
}

/* ---- deaths ---- */

/* When what followed a death was seen, in ms from before the kill. */
struct death {
    double swept;  /* the dead one's place is free again */
    double joined; /* a successor is a member; of a worker none is waited for */
    double at_work;
    double waited; /* the successor, for a processor, until then */
    double away;   /* this program, at a stretch */
};

static struct death worker_death(void)
{
    mr_member_info info;
    pid_t worker = begin_worker(hold);
    double begin;
    int place;
    wait_until(has_role, MR_ROLE_WORKER, now_ms(), "a worker's joining");
    place = place_of(MR_ROLE_WORKER, 0, &info);
    wait_until(holds_all, (uint64_t)place, now_ms(), "a worker's taking its requests");
    begin = now_ms();
    kill(worker, SIGKILL);
    begin = wait_until(has_left, (uint64_t)place, begin, "a sweep");
    waitpid(worker, NULL, 0);
    return (struct death){begin, begin, begin, 0, 0};
}

static pid_t process_of(enum mr_role role)
{
    mr_member_info info;
    wait_until(has_role, role, now_ms(), "a successor's start");
    if (place_of(role, 0, &info) < 0)
        die("a process that had started has gone");
    return info.pid;
}

/* The second number of /proc/PID/schedstat, in ms; 0: the kernel doesn't tell. */
static double waited_for_processor(pid_t pid)
{
    char path[48];
    unsigned long long ran, waited = 0;
    FILE *file;
    snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    file = fopen(path, "re");
    if (file != NULL && fscanf(file, "%llu %llu", &ran, &waited) != 2)
        waited = 0;
    if (file != NULL)
        fclose(file);
    return (double)waited / 1e6;
}

/* Kills the holder of a role, gives its successor something to do, and waits for that. */
static struct death death_of(enum mr_role role, bool (*is_done)(uint64_t), uint64_t what,
                             const char *shown)
{
    double begin = now_ms();
    struct death death;
    victim = process_of(role);
    victim_role = role;
    longest_away = 0;
    kill(victim, SIGKILL);
    send_request(1);
    death.swept = wait_until(is_swept, 0, begin, "a sweep");
    death.joined = wait_until(is_succeeded, 0, begin, "a successor's start");
    death.at_work = wait_until(is_done, what, begin, shown);
    death.waited = waited_for_processor(process_of(role));
    death.away = longest_away;
    return death;
}

static struct death tokenizer_death(void)
{
    rest(LIFE_MS * 1000);
    return death_of(MR_ROLE_TOKENIZER, is_taken_in, sent + 1, "a record's being taken in");
}

static struct death collector_death(void)
{
    mr_domain_progress progress;
    rest(LIFE_MS * 1000);
    mr_domain_get_progress(domain, &progress);
    return death_of(MR_ROLE_COLLECTOR, is_put_out, progress.output_length,
                    "an answer's being written");
}

/* ---- figures ---- */

static int compare(const void *a, const void *b)
{
    double x = ((const struct death *)a)->at_work, y = ((const struct death *)b)->at_work;
    return (x > y) - (x < y);
}

/* The aim is one for the median, or for nine of ten as well. */
static void measure(const char *what, struct death (*death)(void), unsigned deaths, double aim_ms,
                    bool nine_of_ten)
{
    static struct death all[DEATHS_MAX];
    const struct death *most = &all[deaths - 1];
    double median, ninetieth;
    for (unsigned i = 0; i < deaths; i++)
        all[i] = death();
    qsort(all, deaths, sizeof(*all), compare);
    median = all[deaths / 2].at_work;
    ninetieth = all[deaths * 9 / 10].at_work;
    printf("%-58s %8.2f %8.2f %8.2f %8.2f   %.0f %s\n", what, all[0].at_work, median, ninetieth,
           most->at_work, aim_ms,
           (nine_of_ten ? ninetieth : median) <= aim_ms ? "reached" : "missed");
    if (nine_of_ten)
        printf(
            "    the longest: swept after %.2f, a successor joined after %.2f; it waited %.2f for "
            "a processor, this program %.2f at a stretch\n",
            most->swept, most->joined, most->waited, most->away);
    fflush(stdout);
}

/* A number of /proc/PID/smaps_rollup, in KiB; 0: it isn't told. */
static unsigned long memory_of(pid_t pid, const char *what)
{
    char path[48], line[256];
    unsigned long kib = 0;
    FILE *file;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, what, strlen(what)) == 0)
            sscanf(line + strlen(what), "%lu", &kib);
    if (file != NULL)
        fclose(file);
    return kib;
}

static void show_memory(const char *what, pid_t pid)
{
    printf("%-58s %8lu %8lu\n", what, memory_of(pid, "Rss:"), memory_of(pid, "Pss:"));
}

static void end_run(void)
{
    if (run <= 0)
        return;
    kill(run, SIGKILL);
    waitpid(run, NULL, 0);
    if (stayer > 0)
        kill(stayer, SIGKILL);
    mr_domain_close(domain);
    for (int i = 0; i < 200 && mr_domain_discard(name) == -EBUSY; i++)
        rest(10000);
    unlink(answers);
}

static char *beside(const char *self, const char *path)
{
    static char found[4096];
    const char *slash = strrchr(self, '/');
    snprintf(found, sizeof(found), "%.*s/../../%s", slash != NULL ? (int)(slash - self) : 1,
             slash != NULL ? self : ".", path);
    return found;
}

int main(int argc, char **argv)
{
    static const char fetched[] = "models/fetched/SmolLM2-135M-Instruct-Q4_1.gguf";
    const char *model =
        access(fetched, R_OK) == 0 ? fetched : "models/bundled/millrace-stories.gguf";
    unsigned deaths = 15;
    int option;
    while ((option = getopt(argc, argv, "r:m:")) != -1) {
        if (option == 'm')
            model = optarg;
        else if (option == 'r' && atoi(optarg) > 0 && atoi(optarg) <= DEATHS_MAX)
            deaths = (unsigned)atoi(optarg);
        else
            die("usage: recovery [-r DEATHS, 1 to %d] [-m MODEL]", DEATHS_MAX);
    }
    signal(SIGPIPE, SIG_IGN);
    begin_run(beside(argv[0], "millrace"), model);
    printf("%ld processors, %u deaths of each kind, model '%s'\n\n%-58s %8s %8s %8s %8s   %s\n",
           sysconf(_SC_NPROCESSORS_ONLN), deaths, model, "milliseconds", "least", "median", "90%",
           "most", "aim");
    for (unsigned i = 0; i < HELD; i++)
        send_request(HELD_TOKENS);
    measure("worker killed -> its 32 contexts READY, hinted, bells rung", worker_death, deaths, 5,
            false);
    stayer = begin_worker(answer_all);
    wait_until(is_put_out, 0, now_ms(), "the first answer");
    measure("tokenizer killed -> its successor has taken a record in", tokenizer_death, deaths, 100,
            true);
    measure("collector killed -> its successor has written an answer", collector_death, deaths, 100,
            true);
    printf("\n%-58s %8s %8s\n", "memory, KiB", "Rss", "Pss");
    show_memory("supervisor", run);
    show_memory("tokenizer", process_of(MR_ROLE_TOKENIZER));
    show_memory("collector", process_of(MR_ROLE_COLLECTOR));
    end_run();
    return 0;
}
