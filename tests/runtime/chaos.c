/*
 * chaos.c - a whole group under load, whose members are killed and stopped at random
 *
 * Usage: chaos [--seconds N] [--seed S]      (20 seconds, a seed from the clock)
 *
 * Round after round `millrace run` answers a file of mixed requests with the bundled model, with
 * the default of three attempts and one request that kills every worker that takes it. Meanwhile
 * workers, tokenizer and collector are killed or stopped; in rounds whose output is a file also the
 * supervisor, and the run is resumed. The output is a file, a pipe or a stream of pieces, in turn.
 *
 * After each kill all that must hold in the domain is checked (mr_domain_check()). At the end of a
 * round every request must be answered once, with the bytes of an undisturbed run, the poisonous
 * one alone with an error; and nothing may be left: no slot, byte or lease in use, no file, no
 * process.
 *
 * One thing is spared: a request, record or answer at which two members died in a row is given up
 * at the third death, as it must be. So nobody is killed while something innocent is that far
 * (spare()); it gets over it with its next step, within milliseconds.
 *
 * The last line tells `K kills, R requests, L lost, D duplicated, X differing`, and the seed.
 */
#include "ipc/domain.h"
#include "ipc/slot.h"
#include "ipc/twin.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <millrace/millrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 400, POISON = 40, ROUND_S = 60, BETWEEN_MS = 120 };

enum way { TO_FILE, TO_PIPE, STREAMED, WAYS };
enum victim { WORKER, TOKENIZER, COLLECTOR, SUPERVISOR, VICTIMS };

static const char *const names[VICTIMS] = {"workers", "tokenizers", "collectors", "supervisors"};

static struct chaos {
    uint64_t seed;
    char folder[64];
    char name[48]; /* of the domain */
    char model[512];
    char program[512];
    char worker[512];
    json_t *expected; /* line by custom_id */
    mr_domain *domain;
    pid_t run;
    enum way way;
    unsigned round;
    unsigned kills[VICTIMS];
    unsigned stops;
    unsigned resumed;
    unsigned spared;
    unsigned findings;
    unsigned requests, lost, doubled, differing;
} chaos;

/* ---- chance and time ---- */

static uint64_t state;

static unsigned below(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((state >> 33) % n);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void wait_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static unsigned all_kills(void)
{
    unsigned sum = 0;
    for (int i = 0; i < VICTIMS; i++)
        sum += chaos.kills[i];
    return sum;
}

static void print_result(void)
{
    printf("%u rounds; killed: %u %s, %u %s, %u %s, %u %s; %u stopped, %u spared\n", chaos.round,
           chaos.kills[WORKER], names[WORKER], chaos.kills[TOKENIZER], names[TOKENIZER],
           chaos.kills[COLLECTOR], names[COLLECTOR], chaos.kills[SUPERVISOR], names[SUPERVISOR],
           chaos.stops, chaos.spared);
    printf("%u kills, %u requests, %u lost, %u duplicated, %u differing; seed %llu\n", all_kills(),
           chaos.requests, chaos.lost, chaos.doubled, chaos.differing,
           (unsigned long long)chaos.seed);
    fflush(stdout);
}

/* What the run said, and where its files are; the run and its members go. */
static void give_up(const char *why)
{
    char line[400];
    FILE *said = fopen("stderr", "re");
    printf("not ok: round %u, way %d: %s; its files stay in %s\n", chaos.round, (int)chaos.way, why,
           chaos.folder);
    while (said != NULL && fgets(line, sizeof(line), said) != NULL)
        printf("  %s", line);
    if (chaos.run > 0)
        kill(chaos.run, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    mr_domain_discard(chaos.name);
    print_result();
    exit(1);
}

/* ---- requests ---- */

static void put_body(FILE *file, int i)
{
    static const char *const whats[] = {"a fox", "two small boats", "the moon and a hat",
                                        "a very long winter in the old mill by the river"};
    fprintf(file,
            "\"prompt\": \"Once upon a time there was %s, number %d.\", \"max_tokens\": %d, "
            "\"temperature\": %s",
            whats[i % 4], i, 1 + i * 7 % 90, i % 3 ? "0.8" : "0");
    if (i % 4 == 1)
        fputs(", \"stop\": [\"the end\", \". \", \"and\"]", file);
    if (i % 5 == 1)
        fputs(", \"logprobs\": 2", file);
    if (i % 6 == 2)
        fputs(i % 4 ? ", \"n\": 3" : ", \"n\": 0", file); /* 0 is refused */
    if (i % 7 == 3)
        fputs(", \"frequency_penalty\": 0.5, \"presence_penalty\": 0.2", file);
    if (i % 7 == 5)
        fputs(", \"echo\": true", file);
}

static void write_requests(void)
{
    FILE *file = fopen("in", "we");
    for (int i = 0; file != NULL && i < REQUESTS; i++) {
        fprintf(file,
                "{\"custom_id\": \"%s%d\", \"method\": \"POST\", \"url\": \"/v1/completions\", "
                "\"body\": {",
                i == POISON ? "poison" : "r", i);
        if (i == POISON)
            fputs("\"prompt\": \"Die\", \"max_tokens\": 20, \"seed\": 666", file);
        else
            put_body(file, i);
        fputs("}}\n", file);
    }
    if (file == NULL || fclose(file) != 0)
        give_up("cannot write the requests");
}

/* ---- a run ---- */

static int output_of_run(int pipe_end)
{
    return pipe_end >= 0 ? pipe_end : open("stdout", O_WRONLY | O_CREAT | O_TRUNC, 0644);
}

static void become_run(const char *const *extra, int out)
{
    const char *argv[32] = {"millrace", "run"};
    unsigned count = 2;
    int err = open("stderr", O_WRONLY | O_CREAT | O_APPEND, 0644);
    for (unsigned i = 0; extra[i] != NULL && count < 31; i++)
        argv[count++] = extra[i];
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close_range(3, ~0u, 0);
    execv(chaos.program, (char **)(uintptr_t)argv);
    _exit(99);
}

static void begin_run(const char *const *extra, int pipe_end)
{
    chaos.run = fork();
    if (chaos.run == 0)
        become_run(extra, output_of_run(pipe_end));
}

/* A member of this role that has its place; 0: there is none now. */
static pid_t find_member(uint32_t role)
{
    pid_t found = 0;
    unsigned fitting = 0;
    for (int i = 0; i < MR_MAX_MEMBERS; i++) {
        mr_member_info info;
        if (mr_member_get_info(chaos.domain, i, &info) == 0 && info.role == role &&
            (role != MR_ROLE_WORKER || info.steps > 0) && below(++fitting) == 0)
            found = info.pid;
    }
    return found;
}

/* ---- who may be killed ---- */

static bool is_poison(const mr_slot *slot)
{
    return slot->params.sampling.seed == 666;
}

static uint64_t intake_mark(const mr_header *h)
{
    int64_t mark[MR_MARK_WORDS];
    mr_twin_read(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, mark, MR_MARK_WORDS);
    return (uint64_t)mark[MR_MARK_ORDINAL];
}

/* Would another death make something innocent given up? */
static bool spare(void)
{
    const mr_domain *domain = chaos.domain;
    const mr_header *h = domain->header;
    unsigned last = domain->max_attempts - 1;
    bool near = atomic_load(&h->emission_deaths) >= last ||
                (atomic_load(&h->intake_deaths) >= last &&
                 atomic_load(&h->intake_death_at) > intake_mark(h));
    for (uint32_t i = 0; i < domain->slot_count && !near; i++) {
        mr_state_parts parts = mr_state_unpack(mr_slot_load(&domain->slots[i]));
        near = (parts.state == MR_STATE_READY || parts.state == MR_STATE_LEASED) &&
               parts.attempts >= last && !is_poison(&domain->slots[i]);
    }
    chaos.spared += near;
    return near;
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

static void check_nothing_in_use(void)
{
    mr_census census = {.size = sizeof(census)};
    if (mr_domain_check(chaos.domain, print_finding, NULL, &census) > 0)
        give_up("something in the domain can't be");
    if (census.free != census.slots || census.arena_bytes != 0 || census.members != 0)
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

static void check_no_process(void)
{
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    while (proc != NULL && (entry = readdir(proc)) != NULL)
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && names_the_domain(entry->d_name))
            give_up("a process was left");
    closedir(proc);
}

/* ---- answers ---- */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    if (file == NULL || getdelim(&text, &room, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    if (file != NULL)
        fclose(file);
    return text;
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* A piece goes on where the one before it ended. */
static void take_piece(json_t *joined, json_t *record)
{
    char key[64], *whole = NULL;
    snprintf(key, sizeof(key), "%s/%lld", text_of(record, "custom_id"),
             (long long)json_integer_value(json_object_get(record, "choice")));
    if (json_integer_value(json_object_get(record, "offset")) !=
        (json_int_t)strlen(text_of(joined, key)))
        chaos.differing++;
    if (asprintf(&whole, "%s%s", text_of(joined, key), text_of(record, "delta")) < 0)
        abort();
    json_object_set_new(joined, key, json_string(whole));
    free(whole);
}

/* The pieces together are the text. */
static void check_pieces(json_t *joined, json_t *record)
{
    json_t *body = json_object_get(json_object_get(record, "response"), "body"), *choice;
    size_t i;
    json_array_foreach(json_object_get(body, "choices"), i, choice)
    {
        char key[64];
        snprintf(key, sizeof(key), "%s/%zu", text_of(record, "custom_id"), i);
        chaos.differing += strcmp(text_of(joined, key), text_of(choice, "text")) != 0;
    }
}

static bool is_as_expected(const char *id, const char *line, json_t *record)
{
    json_t *error = json_object_get(record, "error");
    if (strncmp(id, "poison", 6) != 0)
        return strcmp(line, text_of(chaos.expected, id)) == 0;
    return strcmp(text_of(error, "code"), "worker_failed") == 0 &&
           strstr(text_of(error, "message"), "workers in a row died") != NULL;
}

static void take_answer(json_t *seen, json_t *joined, const char *line, json_t *record)
{
    const char *id = text_of(record, "custom_id");
    if (json_object_get(seen, id) != NULL)
        chaos.doubled++;
    else if (!is_as_expected(id, line, record))
        chaos.differing++;
    if (chaos.way == STREAMED && strncmp(id, "poison", 6) != 0)
        check_pieces(joined, record);
    json_object_set_new(seen, id, json_true());
}

/* All lines of an output; keeps the finals by id when `keep` is given. */
static void read_answers(const char *path, json_t *keep)
{
    json_t *seen = json_object(), *joined = json_object();
    char *text = read_file(path), *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        json_t *record = json_loads(line, 0, NULL);
        if (record == NULL)
            chaos.differing++;
        else if (json_object_get(record, "delta") != NULL)
            take_piece(joined, record);
        else if (keep != NULL)
            json_object_set_new(keep, text_of(record, "custom_id"), json_string(line));
        else
            take_answer(seen, joined, line, record);
        json_decref(record);
    }
    if (keep == NULL) {
        chaos.requests += REQUESTS;
        chaos.lost += REQUESTS - (unsigned)json_object_size(seen);
    }
    json_decref(joined);
    json_decref(seen);
    free(text);
}

static void answer_undisturbed(void)
{
    const char *const extra[] = {"-m",     chaos.model, "--worker", chaos.worker, "-n", "2",
                                 "--seed", "7",         "-o",       "whole",      "in", NULL};
    int status;
    unsetenv("CHAOS_DIE_SEED");
    begin_run(extra, -1);
    waitpid(chaos.run, &status, 0);
    chaos.run = 0;
    chaos.expected = json_object();
    read_answers("whole", chaos.expected);
    if (!WIFEXITED(status) || json_object_size(chaos.expected) != REQUESTS)
        give_up("the undisturbed run fails");
    setenv("CHAOS_DIE_SEED", "666", 1);
}

/* ---- a round ---- */

static bool run_ended(int *status)
{
    return waitpid(chaos.run, status, WNOHANG) == chaos.run;
}

static void resume(void)
{
    const char *const extra[] = {"--resume", chaos.name, NULL};
    while (waitpid(-1, NULL, 0) > 0) /* its members, which died with it, are ours to bury */
        ;
    chaos.resumed++;
    begin_run(extra, -1);
}

static void kill_one(void)
{
    unsigned dice = below(chaos.way == TO_PIPE ? 14 : 16);
    enum victim victim = dice < 9    ? WORKER
                         : dice < 11 ? TOKENIZER
                         : dice < 14 ? COLLECTOR
                                     : SUPERVISOR;
    static const uint32_t roles[] = {MR_ROLE_WORKER, MR_ROLE_TOKENIZER, MR_ROLE_COLLECTOR};
    pid_t pid = victim == SUPERVISOR ? chaos.run : find_member(roles[victim]);
    if (pid <= 0 || spare())
        return;
    if (victim != SUPERVISOR && below(4) == 0) { /* stopped for a while, and then perhaps killed */
        kill(pid, SIGSTOP);
        chaos.stops++;
        wait_ms(below(150));
        if (below(2) == 0) {
            kill(pid, SIGCONT);
            return;
        }
    }
    if (spare() || kill(pid, SIGKILL) != 0) {
        kill(pid, SIGCONT);
        return;
    }
    chaos.kills[victim]++;
    if (victim == SUPERVISOR)
        resume();
}

static void open_domain(void)
{
    double end = now() + 10;
    while (mr_domain_inspect(&chaos.domain, chaos.name) != 0) {
        int status;
        if (now() > end || run_ended(&status))
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

/* Kills until the run has ended; returns its status. */
static int disturb(int pipe_end, int file)
{
    double end = now() + ROUND_S, next = now() + 0.05;
    int status = 0;
    while (!run_ended(&status)) {
        drain_pipe(pipe_end, file);
        if (now() > end)
            give_up("the run doesn't end");
        if (now() >= next) {
            kill_one();
            check_living();
            next = now() +
                   (below(6) ? 20 + below(BETWEEN_MS) : 0) / 1e3; /* now and then two at once */
        }
        wait_ms(2);
    }
    drain_pipe(pipe_end, file);
    chaos.run = 0;
    return status;
}

static void play(void)
{
    const char *extra[] = {"-m",     chaos.model, "--worker", chaos.worker, "-n",     "3",
                           "--seed", "7",         "--slots",  "24",         "--name", chaos.name,
                           "in",     NULL,        NULL,       NULL,         NULL};
    int ends[2] = {-1, -1}, status,
        file = open("out", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    unsigned resumed = chaos.resumed;
    unlink("stderr");
    if (chaos.way == TO_PIPE) {
        if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
            give_up("cannot make a pipe");
    } else {
        extra[13] = "-o";
        extra[14] = "out";
        extra[15] = chaos.way == STREAMED ? "--stream" : NULL;
    }
    begin_run(extra, ends[1]);
    if (ends[1] >= 0)
        close(ends[1]);
    open_domain();
    status = disturb(ends[0], file);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    close(file);
    if (ends[0] >= 0)
        close(ends[0]);
    /* of a run that was resumed only what it failed itself counts */
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1 ||
        (WEXITSTATUS(status) == 0 && chaos.resumed == resumed))
        give_up("its exit status isn't that of a run of which one request failed");
    check_nothing_in_use();
    mr_domain_close(chaos.domain);
    chaos.domain = NULL;
    read_answers("out", NULL);
    if (chaos.lost + chaos.doubled + chaos.differing > 0)
        give_up("the answers aren't those of an undisturbed run");
    check_no_file();
    check_no_process();
}

/* ---- the whole ---- */

static void find_programs(void)
{
    const char *build = getenv("MILLRACE_BUILD"), *tests = getenv("MILLRACE_TEST_DATA");
    char path[512], here[256];
    DIR *folder;
    struct dirent *entry;
    if (getcwd(here, sizeof(here)) == NULL)
        give_up("there is no working directory");
    build = build != NULL ? build : here;
    snprintf(chaos.program, sizeof(chaos.program), "%s/millrace", build);
    snprintf(chaos.worker, sizeof(chaos.worker), "%s/tests/runtime/chaos_worker", build);
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
    static const char *const files[] = {"in", "out", "whole", "stdout", "stderr"};
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
    double seconds = 20, end;
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
    write_requests();
    answer_undisturbed();
    for (end = now() + seconds; now() < end; chaos.round++) {
        chaos.way = (enum way)(chaos.round % WAYS);
        play();
    }
    json_decref(chaos.expected);
    remove_folder();
    print_result();
    return all_kills() > 0 ? 0 : 1;
}
