/*
 * options.c - the command line of `millrace run`
 */
#include "runtime/supervisor/options.h"
#include "runtime/supervisor/group.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <millrace/domain.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTION_MAX_BATCH = 256,
    OPTION_NAME,
    OPTION_SLOTS,
    OPTION_MAX_LEN,
    OPTION_MEMORY,
    OPTION_MAX_ATTEMPTS,
    OPTION_STUCK_AFTER,
    OPTION_THREADS,
    OPTION_SEED,
    OPTION_STREAM,
    OPTION_LOG_LEVEL,
    OPTION_RESUME,
    OPTION_DISCARD,
    OPTION_WORKER,
    OPTION_KINDS,
    OPTION_IMAGE_TOKENS,
    OPTION_IMAGE_TOKEN,
    OPTION_SAMPLE_RATE,
    OPTION_NO_IO_URING,
    OPTION_NO_SECCOMP,
    OPTION_TRACE,
    OPTION_HELP,
    OPTION_VERSION
};

enum { DEFAULT_IMAGE_TOKENS = 64, DEFAULT_SAMPLE_RATE = 24000 };
enum { MAX_ATTEMPTS = 15, DEFAULT_ATTEMPTS = 3, DEFAULT_STUCK_AFTER = 60 };

static const struct option table[] = {
    {"model", required_argument, NULL, 'm'},
    {"output", required_argument, NULL, 'o'},
    {"workers", required_argument, NULL, 'n'},
    {"max-batch", required_argument, NULL, OPTION_MAX_BATCH},
    {"name", required_argument, NULL, OPTION_NAME},
    {"slots", required_argument, NULL, OPTION_SLOTS},
    {"max-len", required_argument, NULL, OPTION_MAX_LEN},
    {"memory", required_argument, NULL, OPTION_MEMORY},
    {"max-attempts", required_argument, NULL, OPTION_MAX_ATTEMPTS},
    {"stuck-after", required_argument, NULL, OPTION_STUCK_AFTER},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"stream", no_argument, NULL, OPTION_STREAM},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {"resume", required_argument, NULL, OPTION_RESUME},
    {"discard", required_argument, NULL, OPTION_DISCARD},
    {"worker", required_argument, NULL, OPTION_WORKER},
    {"kinds", required_argument, NULL, OPTION_KINDS},
    {"image-tokens", required_argument, NULL, OPTION_IMAGE_TOKENS},
    {"image-token", required_argument, NULL, OPTION_IMAGE_TOKEN},
    {"sample-rate", required_argument, NULL, OPTION_SAMPLE_RATE},
    {"no-io-uring", no_argument, NULL, OPTION_NO_IO_URING},
    {"no-seccomp", no_argument, NULL, OPTION_NO_SECCOMP},
    {"trace", required_argument, NULL, OPTION_TRACE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0}};

void options_help(void)
{
    fputs(
        "usage: millrace run -m MODEL [OPTION...] [REQUESTS | -]\n"
        "       millrace run --resume NAME\n"
        "       millrace run --discard NAME\n"
        "\n"
        "Answers the requests of an OpenAI Batch file (JSONL; '-' or nothing: standard input)\n"
        "with a model on this machine.\n"
        "\n"
        "  -m, --model FILE      the model, a GGUF file\n"
        "  -o, --output FILE     where the answers go; default: standard output\n"
        "  -n, --workers N       worker processes; default: one for each two cores, at most 4;\n"
        "                        0: only those that attach by themselves\n"
        "      --threads N       threads of each worker; default: the cores divided among them\n"
        "      --max-batch N     requests that a worker holds at once; default: the worker's\n"
        "      --slots N         requests in flight; default 64\n"
        "      --max-len N       most tokens of a request, prompt and answer together;\n"
        "                        default: the model's, at most 8192\n"
        "      --memory SIZE     shared memory in all, e.g. 512M; default: what the above need,\n"
        "                        at most half of what /dev/shm has free\n"
        "      --max-attempts N  deaths of workers in a row, without a step between, after which\n"
        "                        a request is failed; default 3\n"
        "      --stuck-after S   seconds without progress inside a step after which a process of "
        "the\n"
        "                        group is killed; default 60; 0: never\n"
        "      --seed N          from which missing seeds are derived; default 0\n"
        "      --stream          also write each piece of text as soon as it is there\n"
        "      --name NAME       name of the domain; a run that was stopped stays under it\n"
        "      --resume NAME     finish what a stopped run had accepted, with its options\n"
        "      --discard NAME    remove a stopped run\n"
        "      --worker COMMAND  another worker program; it is given the same arguments\n"
        "      --kinds LIST      what the worker serves: text (default), vision (chats with "
        "images),\n"
        "                        tts (speech), pixel (images), or all; e.g. text,vision\n"
        "      --image-tokens N  tokens that an image of a chat stands as; default 64\n"
        "      --image-token ID  the token it is made of; default: by its name in the vocabulary\n"
        "      --sample-rate HZ  samples a second of speech; default 24000\n"
        "      --no-io-uring     read and write by plain system calls\n"
        "      --no-seccomp      let members keep the system calls that they never need\n"
        "      --trace FILE      at the end, write the ways of the last 4096 requests as Chrome "
        "trace\n"
        "                        events, for ui.perfetto.dev\n"
        "      --log-level LEVEL error, warning (default), info or debug\n"
        "      --help, --version\n"
        "\n"
        "Exit status: 0 all answered, 1 some requests failed, 2 wrong usage or start\n"
        "impossible, 130 interrupted.\n",
        stdout);
}

static bool wrong(const char *format, const char *what)
{
    log_error(format, what);
    return false;
}

static bool read_number(const char *option, uint64_t low, uint64_t high, uint64_t *value)
{
    char *end;
    unsigned long long number;
    errno = 0;
    number = strtoull(optarg, &end, 10);
    if (errno != 0 || optarg[0] < '0' || optarg[0] > '9' || *end != '\0' || number < low ||
        number > high) {
        log_error("option '--%s' is '%s', but must be a number in [%" PRIu64 ", %" PRIu64 "]",
                  option, optarg, low, high);
        return false;
    }
    *value = number;
    return true;
}

static bool read_unsigned(const char *option, unsigned low, unsigned high, unsigned *value)
{
    uint64_t number;
    if (!read_number(option, low, high, &number))
        return false;
    *value = (unsigned)number;
    return true;
}

/* A size: a number with K, M, G or T behind it (powers of 1,024), or of bytes. */
static bool read_size(const char *option, uint64_t *value)
{
    static const char units[] = "KMGT";
    char *end;
    const char *unit;
    unsigned shift = 0;
    unsigned long long number;
    errno = 0;
    number = strtoull(optarg, &end, 10);
    unit = *end != '\0' ? strchr(units, *end & ~0x20) : NULL;
    if (unit != NULL) {
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
    }
    if (errno != 0 || optarg[0] < '0' || optarg[0] > '9' || *end != '\0' || number == 0 ||
        number > UINT64_MAX >> shift) {
        log_error("option '--%s' is '%s', but must be a size such as 512M or 2G", option, optarg);
        return false;
    }
    *value = (uint64_t)number << shift;
    return true;
}

static bool read_level(enum log_level *level)
{
    int found = log_level_of(optarg);
    if (found < 0)
        return wrong("option '--log-level' is '%s'; known are error, warning, info and debug",
                     optarg);
    *level = (enum log_level)found;
    return true;
}

/* read_kinds - a list of names, separated by commas */
static bool read_kinds(uint32_t *kinds)
{
    static const struct {
        const char *name;
        uint32_t kinds;
    } known[] = {{"text", MR_TAKES_TEXT},
                 {"vision", MR_TAKES_VISION},
                 {"tts", MR_TAKES_TTS},
                 {"pixel", MR_TAKES_PIXEL},
                 {"all", MR_TAKES_ALL}};
    const char *rest = optarg;
    *kinds = 0;
    for (size_t length; *rest != '\0'; rest += length + (rest[length] == ',')) {
        uint32_t found = 0;
        length = strcspn(rest, ",");
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            if (strlen(known[i].name) == length && memcmp(known[i].name, rest, length) == 0)
                found = known[i].kinds;
        if (found == 0)
            break;
        *kinds |= found;
    }
    if (*rest == '\0' && *kinds != 0)
        return true;
    return wrong("option '--kinds' is '%s'; known are text, vision, tts, pixel and all, separated "
                 "by commas",
                 optarg);
}

static bool read_token(int *token)
{
    unsigned id;
    if (!read_unsigned("image-token", 0, INT32_MAX, &id))
        return false;
    *token = (int)id;
    return true;
}

static bool read_option(struct run_options *options, int option)
{
    switch (option) {
    case 'm':
        options->model = optarg;
        return true;
    case 'o':
        options->output = optarg;
        return true;
    case 'n':
        return read_unsigned("workers", 0, GROUP_MAX_WORKERS, &options->workers);
    case OPTION_MAX_BATCH:
        return read_unsigned("max-batch", 1, 4096, &options->max_batch);
    case OPTION_NAME:
        options->name = optarg;
        return true;
    case OPTION_SLOTS:
        return read_unsigned("slots", 1, MR_MAX_SLOTS, &options->slots);
    case OPTION_MAX_LEN:
        return read_unsigned("max-len", 2, 1u << 27, &options->max_len);
    case OPTION_MEMORY:
        return read_size("memory", &options->memory);
    case OPTION_MAX_ATTEMPTS:
        return read_unsigned("max-attempts", 1, MAX_ATTEMPTS, &options->max_attempts);
    case OPTION_STUCK_AFTER:
        return read_unsigned("stuck-after", 0, 86400, &options->stuck_after);
    case OPTION_THREADS:
        return read_unsigned("threads", 1, 256, &options->threads);
    case OPTION_SEED:
        return read_number("seed", 0, UINT64_MAX, &options->seed);
    case OPTION_STREAM:
        options->stream = true;
        return true;
    case OPTION_LOG_LEVEL:
        return read_level(&options->log_level);
    case OPTION_RESUME:
        options->resume = optarg;
        return true;
    case OPTION_DISCARD:
        options->discard = optarg;
        return true;
    case OPTION_WORKER:
        options->worker = optarg;
        return true;
    case OPTION_KINDS:
        return read_kinds(&options->kinds);
    case OPTION_IMAGE_TOKENS:
        return read_unsigned("image-tokens", 1, 65536, &options->image_tokens);
    case OPTION_IMAGE_TOKEN:
        return read_token(&options->image_token);
    case OPTION_SAMPLE_RATE:
        return read_unsigned("sample-rate", 1000, 768000, &options->sample_rate);
    case OPTION_NO_IO_URING:
        options->plain_io = true;
        return true;
    case OPTION_NO_SECCOMP:
        options->unconfined = true;
        return true;
    case OPTION_TRACE:
        options->trace = optarg;
        return true;
    default:
        return false; /* getopt_long() has said what is wrong */
    }
}

static bool check_together(const struct run_options *options, int argc, char **argv)
{
    if (argc - optind > 1)
        return wrong("'%s' is one file of requests too many; a run takes one", argv[optind + 1]);
    if (options->trace != NULL && options->discard != NULL)
        return wrong("a run that is discarded isn't looked at; leave out --trace%s", "");
    if (options->resume != NULL && options->discard != NULL)
        return wrong("--resume and --discard exclude each other%s", "");
    if ((options->resume != NULL || options->discard != NULL) &&
        (options->model != NULL || options->input != NULL || options->output != NULL ||
         options->name != NULL))
        return wrong("a run that is resumed or discarded has its model, files and name already%s",
                     "");
    if (options->kinds != MR_TAKES_TEXT && options->worker == NULL && options->workers > 0)
        return wrong("the worker that is shipped serves text alone; name one that serves what "
                     "--kinds asks for with --worker%s",
                     "");
    if (options->resume == NULL && options->discard == NULL && options->model == NULL)
        return wrong("no model is given; name a GGUF file with -m%s", "");
    return true;
}

/* One worker for each two cores: the kernels of one worker use two threads well, and prefill and
 * decode of different requests overlap between workers. */
static unsigned default_workers(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    long workers = cores / 2;
    return workers < 1 ? 1 : workers > 4 ? 4 : (unsigned)workers;
}

enum options_result options_read(struct run_options *options, int argc, char **argv)
{
    int option;
    *options = (struct run_options){.workers = default_workers(),
                                    .max_attempts = DEFAULT_ATTEMPTS,
                                    .stuck_after = DEFAULT_STUCK_AFTER,
                                    .kinds = MR_TAKES_TEXT,
                                    .image_tokens = DEFAULT_IMAGE_TOKENS,
                                    .image_token = -1,
                                    .sample_rate = DEFAULT_SAMPLE_RATE,
                                    .log_level = LOG_LEVEL_WARNING};
    optind = 0; /* forget what an earlier call read */
    while ((option = getopt_long(argc, argv, "m:o:n:", table, NULL)) != -1) {
        if (option == OPTION_HELP)
            return OPTIONS_HELP;
        if (option == OPTION_VERSION)
            return OPTIONS_VERSION;
        if (!read_option(options, option))
            return OPTIONS_WRONG;
    }
    if (optind < argc)
        options->input = argv[optind];
    return check_together(options, argc, argv) ? OPTIONS_RUN : OPTIONS_WRONG;
}
