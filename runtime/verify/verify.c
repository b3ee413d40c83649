/*
 * verify.c - the verb: its options, its requests, the trials, and the verdict
 */
#include "runtime/verify/verify.h"
#include "runtime/log.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MANY = 16 };

static const struct verify_trial trials[] = {
    {"alone", "one request at a time", 1, VERIFY_NOTHING},
    {"together", "many requests at once", MANY, VERIFY_NOTHING},
    {"few", "three at once", 3, VERIFY_NOTHING},
    {"killed", "killed in the middle", MANY, VERIFY_KILL},
    {"drained", "told to leave in the middle", MANY, VERIFY_DRAIN},
};

enum { TRIALS = sizeof(trials) / sizeof(trials[0]) };

static void help(void)
{
    fputs(
        "usage: millrace verify-worker -m MODEL [OPTION...] [--] COMMAND [ARGUMENT...]\n"
        "\n"
        "Runs a worker in several ways and tells whether it honours the protocol and whether it\n"
        "is batch-invariant: the same bytes whatever else is in the batch and who is killed.\n"
        "An argument {} of the command stands for the domain's name; without one the command is\n"
        "given --attach NAME --model MODEL.\n"
        "\n"
        "  -m, --model FILE   the model, a GGUF file\n"
        "      --requests N   default 12\n"
        "      --tokens N     of each answer; default 32\n"
        "      --patience S   seconds without a step after which the worker is given up; default "
        "60\n"
        "      --help\n"
        "\n"
        "Exit status: 0 good, 1 it breaks the protocol, 2 wrong usage, 3 it honours the protocol\n"
        "but is not batch-invariant, 130 interrupted.\n",
        stdout);
}

static bool number(const char *option, unsigned high, unsigned *value)
{
    char *end;
    unsigned long found = strtoul(optarg, &end, 10);
    if (optarg[0] < '0' || optarg[0] > '9' || *end != '\0' || found < 1 || found > high) {
        log_error("option '--%s' is '%s', but must be a number in [1, %u]", option, optarg, high);
        return false;
    }
    *value = (unsigned)found;
    return true;
}

/* 0: go on; else a status to end with, less one. */
static int read_options(struct verify_plan *plan, int argc, char **argv)
{
    static const struct option table[] = {
        {"model", required_argument, NULL, 'm'},  {"requests", required_argument, NULL, 'r'},
        {"tokens", required_argument, NULL, 't'}, {"patience", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int option;
    bool good = true;
    while (good && (option = getopt_long(argc, argv, "+m:", table, NULL)) != -1)
        switch (option) {
        case 'm':
            plan->model = optarg;
            break;
        case 'r':
            good = number("requests", 1000, &plan->requests);
            break;
        case 't':
            good = number("tokens", 4096, &plan->tokens);
            break;
        case 'p':
            good = number("patience", 3600, &plan->patience);
            break;
        case 'h':
            help();
            return VERIFY_GOOD + 1;
        default:
            good = false;
        }
    plan->command = argv + optind;
    if (good && (plan->model == NULL || plan->command[0] == NULL)) {
        log_error(
            "a model and the worker's command are needed; see 'millrace verify-worker --help'");
        good = false;
    }
    if (good && argc - optind > VERIFY_WORDS_MAX) {
        log_error(
            "the worker's command has %d words, but may have at most %d; put it into a script",
            argc - optind, VERIFY_WORDS_MAX);
        good = false;
    }
    return good ? 0 : VERIFY_WRONG + 1;
}

/* Prompts of many lengths, greedy and drawn, with and without log-probabilities and penalties. */
static bool write_requests(const struct verify_plan *plan)
{
    char path[512];
    FILE *file;
    bool good;
    snprintf(path, sizeof(path), "%.400s/requests.jsonl", plan->folder);
    if ((file = fopen(path, "we")) == NULL) {
        log_error("cannot write '%s': %s", path, strerror(errno));
        return false;
    }
    for (unsigned i = 0; i < plan->requests; i++) {
        fprintf(file,
                "{\"custom_id\":\"v%u\",\"method\":\"POST\",\"url\":\"/v1/completions\","
                "\"body\":{\"prompt\":\"Once upon a time",
                i);
        for (unsigned word = 0; word < i * 7 % 40; word++)
            fputs(word % 2 ? " on" : " and", file);
        fprintf(file, "\",\"ignore_eos\":true,\"max_tokens\":%u,\"seed\":%u,\"temperature\":%s",
                plan->tokens, i, i % 2 ? "0.9" : "0");
        fputs(i % 3 == 1   ? ",\"logprobs\":2"
              : i % 3 == 2 ? ",\"frequency_penalty\":0.5"
                           : "",
              file);
        fputs("}}\n", file);
    }
    good = !ferror(file);
    return fclose(file) == 0 && good;
}

/* The first answer that differs, by its custom id; both are sorted by it. */
static void tell_difference(const char *first, const char *other, char *id, size_t size)
{
    const char *line = first;
    for (size_t i = 0; first[i] != '\0' && first[i] == other[i]; i++)
        if (first[i] == '\n')
            line = first + i + 1;
    line = strstr(line, "\"custom_id\":\"");
    snprintf(id, size, "%.*s", line ? (int)strcspn(line + 13, "\"") : 0, line ? line + 13 : "");
}

static const char *note_on(const struct verify_trial *trial, const struct verify_result *result)
{
    if (trial->act != VERIFY_NOTHING && !result->acted)
        return " (too late: all was done before; try more --tokens)";
    if (trial->act == VERIFY_KILL && result->reclaimed == 0)
        return " (it held nothing then; try more --tokens)";
    return "";
}

/* Prints the line of one trial and folds it into the verdict. */
static enum verify_exit judge(const struct verify_trial *trial, const struct verify_result *result,
                              const char *first, enum verify_exit so_far)
{
    char id[80];
    printf("%-28s ", trial->what);
    if (result->failure[0] != '\0') {
        printf("FAILED: %s\n", result->failure);
        return VERIFY_BROKEN;
    }
    if (first == NULL || strcmp(first, result->answers) == 0) {
        printf("ok%s%s\n", first != NULL ? ", the same bytes" : "", note_on(trial, result));
        return so_far;
    }
    tell_difference(first, result->answers, id, sizeof(id));
    printf("ok, but other bytes: request '%s' is the first\n", id);
    return so_far == VERIFY_BROKEN ? so_far : VERIFY_VARIES;
}

static int run_trials(const struct verify_plan *plan)
{
    enum verify_exit verdict = VERIFY_GOOD;
    char *first = NULL;
    for (int i = 0; i < TRIALS && verdict != VERIFY_BROKEN; i++) {
        struct verify_result result;
        if (!verify_try(plan, &trials[i], &result)) {
            free(result.answers);
            free(first);
            return result.signal != 0 ? VERIFY_SIGNAL + result.signal : VERIFY_WRONG;
        }
        verdict = judge(&trials[i], &result, first, verdict);
        fflush(stdout);
        if (first == NULL)
            first = result.answers;
        else
            free(result.answers);
    }
    free(first);
    return (int)verdict;
}

/* The answers stay where something is to be seen in them. */
static void clean_up(const char *folder)
{
    char path[512];
    for (int i = 0; i <= TRIALS; i++) {
        snprintf(path, sizeof(path), "%.400s/%s.jsonl", folder,
                 i < TRIALS ? trials[i].name : "requests");
        unlink(path);
    }
    rmdir(folder);
}

/* From here on the trials look for them; one that we were started to ignore stays ignored. */
static void block_signals(sigset_t *signals)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP};
    sigemptyset(signals);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct sigaction action;
        sigaction(wanted[i], NULL, &action);
        if (action.sa_handler != SIG_IGN)
            sigaddset(signals, wanted[i]);
    }
    sigprocmask(SIG_BLOCK, signals, NULL);
}

int verify_main(int argc, char **argv)
{
    struct verify_plan plan = {.requests = 12, .tokens = 32, .patience = 60};
    const char *base = getenv("TMPDIR");
    char folder[400];
    int ended, verdict;
    log_open("millrace", LOG_LEVEL_WARNING);
    if ((ended = read_options(&plan, argc, argv)) != 0)
        return ended - 1;
    snprintf(folder, sizeof(folder), "%.300s/millrace-verify-XXXXXX", base != NULL ? base : "/tmp");
    plan.folder = folder;
    block_signals(&plan.signals);
    if (mkdtemp(folder) == NULL) {
        log_error("cannot make a folder in '%s': %s; set TMPDIR", base != NULL ? base : "/tmp",
                  strerror(errno));
        return VERIFY_WRONG;
    }
    setenv("SOURCE_DATE_EPOCH", "1700000000", 0); /* answers have a date */
    verdict = write_requests(&plan) ? run_trials(&plan) : VERIFY_WRONG;
    if (verdict == VERIFY_GOOD)
        puts("the worker honours the protocol and is batch-invariant");
    else if (verdict == VERIFY_VARIES)
        printf(
            "the worker honours the protocol, but is not batch-invariant: compare the answers in "
            "'%s'\n",
            folder);
    else if (verdict == VERIFY_BROKEN)
        printf("the worker does not honour the protocol; what was answered is in '%s'\n", folder);
    if (verdict != VERIFY_VARIES && verdict != VERIFY_BROKEN)
        clean_up(folder);
    return verdict;
}
