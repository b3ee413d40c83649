/*
 * chaos.c - a whole group under load, to which everything happens that can
 *
 * Usage: chaos [--seconds N] [--seed S]      (20 seconds, a seed from the clock)
 *
 * Round after round `millrace run` answers a file of mixed requests with the bundled model, with
 * the default of three attempts and one request that kills every worker that takes it. Meanwhile
 * members are killed and stopped (chaos_victims.c), in rounds whose requests and answers are files
 * also the supervisor, and the run is resumed. By turns workers that attach by themselves serve too
 * or alone (chaos_strangers.c), the disk is full for a while (chaos_disk.c), workers drain and the
 * group is scaled (chaos_orders.c). Requests and answers are files, pipes, pieces of a stream.
 *
 * After each disturbance all that must hold in the domain is checked (mr_domain_check()). At the
 * end of a round every request must be answered once, with the bytes of an undisturbed run, the
 * poisonous one alone with an error; and nothing may be left: no slot, byte or lease in use, no
 * file, no process.
 *
 * The last line tells `K kills, R requests, L lost, D duplicated, X differing`, and the seed; the
 * lines before it who was killed and what else there was. A long campaign prints them now and then.
 */
#include "tests/runtime/chaos.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <millrace/millrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUND_S = 240, TELL_S = 300, FEED_MS = 8, COMMAND_MAX = 32 };

struct chaos chaos = {.feed = -1};

/* ---- chance and time ---- */

static uint64_t state;

unsigned below(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((state >> 33) % n);
}

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void wait_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* ---- what came of it ---- */

static unsigned all_kills(void)
{
    unsigned sum = 0;
    for (int i = 0; i < VICTIMS; i++)
        sum += chaos.kills[i];
    return sum;
}

static void print_result(void)
{
    printf("%u rounds; killed: %u workers, %u strangers, %u tokenizers, %u collectors, %u "
           "supervisors; %u spared\n",
           chaos.round, chaos.kills[WORKER], chaos.kills[STRANGER], chaos.kills[TOKENIZER],
           chaos.kills[COLLECTOR], chaos.kills[SUPERVISOR], chaos.spared);
    printf("%u stops, %u of them long, %u found; %u disk-full spells, %u attaches, %u orders, %u "
           "resumes\n",
           chaos.stops, chaos.long_stops, chaos.found, chaos.spells, chaos.attaches, chaos.orders,
           chaos.resumes);
    printf("%u kills, %u requests, %u lost, %u duplicated, %u differing; seed %llu\n", all_kills(),
           chaos.requests, chaos.lost, chaos.doubled, chaos.differing,
           (unsigned long long)chaos.seed);
    fflush(stdout);
}

static bool names_the_domain(const char *pid)
{
    char path[300], line[1024];
    bool found = false;
    size_t got = 0;
    FILE *file;
    snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
    if ((file = fopen(path, "re")) != NULL) {
        got = fread(line, 1, sizeof(line) - 1, file);
        fclose(file);
    }
    line[got] = '\0';
    for (size_t at = 0; at < got && !found; at += strlen(line + at) + 1)
        found = strcmp(line + at, chaos.name) == 0;
    return found;
}

/* A process of this round that still lives; 0: there is none. */
static pid_t find_process(void)
{
    struct dirent *entry;
    pid_t found = 0;
    DIR *proc = opendir("/proc");
    while (proc != NULL && found == 0 && (entry = readdir(proc)) != NULL)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && names_the_domain(entry->d_name))
            found = (pid_t)strtol(entry->d_name, NULL, 10);
    closedir(proc);
    return found;
}

/* The domain as it was found, for whoever wants to know why. */
static void keep_domain(void)
{
    char path[96], block[65536];
    size_t got;
    FILE *from, *to;
    snprintf(path, sizeof(path), "/dev/shm/millrace.%s.data", chaos.name);
    from = fopen(path, "re");
    to = fopen("domain", "we");
    while (from != NULL && to != NULL && (got = fread(block, 1, sizeof(block), from)) > 0 &&
           fwrite(block, 1, got, to) == got)
        ;
    if (from != NULL)
        fclose(from);
    if (to != NULL)
        fclose(to);
}

/* What the run said, and where its files are; the run and its members go. */
void give_up(const char *why)
{
    char *said = read_file("stderr");
    pid_t pid;
    printf("not ok: round %u, way %d: %s; its files stay in %s\n%s", chaos.round,
           (int)chaos.plan.way, why, chaos.folder, said);
    free(said);
    keep_domain();
    if (chaos.run > 0)
        kill(chaos.run, SIGKILL);
    while ((pid = find_process()) > 0) {
        kill(pid, SIGKILL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        wait_ms(10);
    }
    mr_domain_discard(chaos.name);
    print_result();
    exit(1);
}

/* ---- processes ---- */

static void become(const char *program, const char *const *argv, int in, int out, bool faulty)
{
    int err = open("stderr", O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(in >= 0 ? in : open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(out >= 0 ? out : err, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close_range(3, ~0u, 0);
    if (faulty)
        disk_preload();
    execv(program, (char **)(uintptr_t)argv);
    _exit(99);
}

pid_t chaos_start(const char *program, const char *const *argv, int in, int out, bool faulty)
{
    pid_t pid = fork();
    if (pid == 0)
        become(program, argv, in, out, faulty);
    if (pid < 0)
        give_up("cannot start a process");
    return pid;
}

static void begin_run(const char *const *extra, int in, int out)
{
    const char *argv[COMMAND_MAX + 1] = {"millrace", "run"};
    unsigned count = 2;
    for (unsigned i = 0; extra[i] != NULL && count < COMMAND_MAX; i++)
        argv[count++] = extra[i];
    chaos.run = chaos_start(chaos.program, argv, in, out, true);
}

void chaos_bury(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == chaos.run) {
            chaos.run = 0;
            chaos.status = status;
        } else if (!orders_ended(pid, status)) {
            strangers_ended(pid, status); /* else it was left by a supervisor */
        }
    }
}

/* One that had come to its end before it was killed needs no other. */
void chaos_resume(void)
{
    const char *const extra[] = {"--resume", chaos.name, NULL};
    waitpid(chaos.run, &chaos.status, 0);
    chaos.run = 0;
    if (WIFEXITED(chaos.status)) {
        chaos.kills[SUPERVISOR]--;
        return;
    }
    chaos.resumed = true;
    chaos.resumes++;
    begin_run(extra, -1, -1);
}

/* ---- what must hold ---- */

static void print_finding(void *self, const char *place, const char *what)
{
    (void)self;
    printf("  %s: %s\n", place, what);
}

static void check_living(void)
{
    if (mr_domain_check(chaos.domain, print_finding, NULL, NULL) > 0)
        give_up("something in the domain can't be");
}

/* Of a stranger that was there till the end the place is still taken: nobody was left to sweep. */
static void check_nothing_in_use(void)
{
    mr_census census = {.size = sizeof(census)};
    if (mr_domain_check(chaos.domain, print_finding, NULL, &census) > 0)
        give_up("something in the domain can't be");
    if (census.free != census.slots || census.arena_bytes != 0 ||
        census.members > chaos.plan.strangers)
        give_up("slots, arena or places are still in use");
}

static void check_no_file(void)
{
    char prefix[64];
    struct dirent *entry;
    DIR *shm = opendir("/dev/shm");
    snprintf(prefix, sizeof(prefix), "millrace.%s.", chaos.name);
    while (shm != NULL && (entry = readdir(shm)) != NULL)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            give_up("a file was left in /dev/shm");
    closedir(shm);
}

/* Whoever dies must have been killed, and a sanitizer has nothing to say. */
static void check_no_crash(void)
{
    static const char ended[] = "ended by signal ";
    char *said = read_file("stderr");
    for (const char *at = said; (at = strstr(at, ended)) != NULL; at++)
        if (strncmp(at + strlen(ended), "9 ", 2) != 0)
            give_up("a member crashed");
    if (strstr(said, "Sanitizer") != NULL || strstr(said, "runtime error:") != NULL)
        give_up("a sanitizer found something");
    free(said);
}

static bool domain_is_gone(void)
{
    char path[96];
    snprintf(path, sizeof(path), "/dev/shm/millrace.%s.data", chaos.name);
    return access(path, F_OK) != 0;
}

/* One request failed; of a run that was resumed only what it failed itself counts. One whose
 * supervisor was killed while it cleared up can't be resumed, and needn't be. */
static void check_status(void)
{
    int status = WIFEXITED(chaos.status) ? WEXITSTATUS(chaos.status) : 99;
    bool as_it_must = status == 1 || (chaos.resumed && (status == 0 || domain_is_gone()));
    if (!as_it_must)
        give_up("its exit status isn't that of a run of which one request failed");
}

/* ---- a round ---- */

static struct plan make_plan(unsigned round)
{
    unsigned shift = round + round / WAYS;
    struct plan plan = {.way = (enum way)(round % WAYS),
                        .plain = below(2) == 0,
                        .workers = OWN_WORKERS,
                        .strangers = shift % 2 == 1 ? 1 + below(STRANGERS) : 0,
                        .stops = shift % 3 == 0 || below(4) == 0 ? 1 + below(2) : 0,
                        .spells = shift % 3 == 1 || below(4) == 0 ? 1 + below(2) : 0,
                        .orders = shift % 3 == 2 || below(4) == 0};
    if (plan.strangers > 0 && below(4) == 0) {
        plan.strangers = STRANGERS;
        plan.workers = 0;
        plan.orders = false;
    }
    return plan;
}

static void open_domain(void)
{
    double end = now() + PATIENCE_S;
    while (mr_domain_inspect(&chaos.domain, chaos.name) != 0) {
        chaos_bury();
        if (now() > end || chaos.run == 0)
            give_up("the run doesn't begin");
        wait_ms(1);
    }
}

static void drain_pipe(int pipe_end, int file)
{
    char block[4096];
    ssize_t got;
    while (pipe_end >= 0 && (got = read(pipe_end, block, sizeof(block))) > 0)
        if (write(file, block, (size_t)got) != got)
            give_up("cannot keep what came through the pipe");
}

/* A request now and then, so that there are some still to come when something happens. */
static void feed_line(const char **at)
{
    static double next;
    const char *end = strchr(*at, '\n');
    if (chaos.feed < 0 || now() < next)
        return;
    next = now() + FEED_MS / 1e3;
    if (end != NULL) {
        ssize_t written = write(chaos.feed, *at, (size_t)(end + 1 - *at));
        *at += written > 0 ? written : 0;
    } else {
        close(chaos.feed);
        chaos.feed = -1;
    }
}

/* Until the run has ended. */
static void disturb(int pipe_end, int file)
{
    double end = now() + ROUND_S;
    char *requests = read_file("in");
    const char *at = requests;
    while (chaos.run != 0) {
        unsigned before = all_kills();
        drain_pipe(pipe_end, file);
        feed_line(&at);
        strangers_tick();
        disk_tick();
        orders_tick();
        victims_tick();
        if (all_kills() > before)
            check_living();
        if (now() > end)
            give_up("the run doesn't end");
        wait_ms(2);
        chaos_bury();
    }
    drain_pipe(pipe_end, file);
    free(requests);
}

static void begin(int out_pipe, int out_file)
{
    char workers[8];
    const char *extra[COMMAND_MAX] = {
        "-m", chaos.model, "--worker", chaos.worker, "-n", workers,  "--stuck-after",
        "2",  "--seed",    "7",        "--slots",    "24", "--name", chaos.name};
    unsigned count = 14;
    int ends[2] = {-1, -1};
    enum way way = chaos.plan.way;
    snprintf(workers, sizeof(workers), "%u", chaos.plan.workers);
    if (chaos.plan.plain)
        extra[count++] = "--no-io-uring";
    if (way == TO_FILE || way == STREAMED) {
        extra[count++] = "-o";
        extra[count++] = "out";
    }
    if (way == STREAMED)
        extra[count++] = "--stream";
    if (way == FROM_PIPE && pipe2(ends, O_CLOEXEC) != 0)
        give_up("cannot make a pipe");
    extra[count] = way == FROM_PIPE ? "-" : "in";
    begin_run(extra, ends[0], way == FROM_PIPE ? out_file : out_pipe);
    if (ends[0] >= 0)
        close(ends[0]);
    chaos.feed = ends[1];
    if (chaos.feed >= 0)
        fcntl(chaos.feed, F_SETFL, O_NONBLOCK);
}

static void check_end(void)
{
    check_status();
    check_no_crash();
    victims_end();
    disk_end();
    orders_end();
    strangers_end();
    check_nothing_in_use();
    mr_domain_close(chaos.domain);
    chaos.domain = NULL;
    answers_check("out");
    check_no_file();
    if (find_process() != 0)
        give_up("a process was left");
}

static void play(void)
{
    int ends[2] = {-1, -1}, file = open("out", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    chaos.resumed = false;
    chaos.plan = make_plan(chaos.round);
    unlink("stderr");
    if (chaos.plan.way == TO_PIPE &&
        (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0))
        give_up("cannot make a pipe");
    disk_begin();
    begin(ends[1], file);
    if (ends[1] >= 0)
        close(ends[1]);
    open_domain();
    victims_begin();
    strangers_begin();
    orders_begin();
    disturb(ends[0], file);
    if (chaos.feed >= 0)
        give_up("the run ended before its requests");
    close(file);
    if (ends[0] >= 0)
        close(ends[0]);
    check_end();
}

/* ---- the whole ---- */

static void answer_undisturbed(void)
{
    const char *const extra[] = {"-m",     chaos.model, "--worker", chaos.worker, "-n", "2",
                                 "--seed", "7",         "-o",       "whole",      "in", NULL};
    unsetenv("CHAOS_DIE_SEED");
    begin_run(extra, -1, -1);
    waitpid(chaos.run, &chaos.status, 0);
    chaos.run = 0;
    if (!WIFEXITED(chaos.status))
        give_up("the undisturbed run fails");
    answers_expect("whole");
    setenv("CHAOS_DIE_SEED", "666", 1);
}

static void find_programs(void)
{
    const char *build = getenv("MILLRACE_BUILD"), *tests = getenv("MILLRACE_TEST_DATA");
    char path[512], here[256];
    DIR *folder;
    struct dirent *entry;
    if (getcwd(here, sizeof(here)) == NULL)
        give_up("there is no working directory");
    snprintf(chaos.build, sizeof(chaos.build), "%s", build != NULL ? build : here);
    snprintf(chaos.program, sizeof(chaos.program), "%s/millrace", chaos.build);
    snprintf(chaos.worker, sizeof(chaos.worker), "%s/tests/runtime/chaos_worker", chaos.build);
    snprintf(path, sizeof(path), "%s/../models/bundled", tests != NULL ? tests : "tests");
    folder = opendir(path);
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (strstr(entry->d_name, ".gguf") != NULL)
            snprintf(chaos.model, sizeof(chaos.model), "%.240s/%.250s", path, entry->d_name);
    if (folder != NULL)
        closedir(folder);
}

static void open_folder(void)
{
    snprintf(chaos.folder, sizeof(chaos.folder), "/tmp/millrace-chaos-XXXXXX");
    if (mkdtemp(chaos.folder) == NULL || chdir(chaos.folder) != 0)
        give_up("cannot make a folder");
    snprintf(chaos.name, sizeof(chaos.name), "chaos-%d", (int)getpid());
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    setenv("LC_ALL", "C", 1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
}

static void remove_folder(void)
{
    static const char *const files[] = {"in", "out", "whole", "stderr"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(files[i]);
    if (chdir("/") == 0)
        rmdir(chaos.folder);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"seed", required_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    double seconds = 20, end, tell;
    int option;
    chaos.seed = (uint64_t)time(NULL);
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            seconds = strtod(optarg, NULL);
        else if (option == 'r')
            chaos.seed = strtoull(optarg, NULL, 10);
        else
            return 2;
    }
    state = chaos.seed;
    find_programs();
    open_folder();
    answers_write_requests("in");
    answer_undisturbed();
    end = now() + seconds;
    tell = now() + TELL_S;
    for (; now() < end; chaos.round++) {
        if (now() >= tell) { /* a long one that is cut off shall have told something */
            print_result();
            tell = now() + TELL_S;
        }
        play();
    }
    answers_free();
    remove_folder();
    print_result();
    return all_kills() > 0 ? 0 : 1;
}
