/*
 * options.c - the command line of millrace-worker-llama
 */
#include "workers/llama/options.h"

#include <errno.h>
#include <getopt.h>
#include <millrace/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BATCH = 4096, MOST_POSITIONS = 8192, MOST_THREADS = 256 };

static const char help[] =
    "usage: millrace-worker-llama --attach DOMAIN --model FILE [OPTION...]\n"
    "Compute the text requests of a running domain with a Llama model in a GGUF file.\n"
    "\n"
    "  --attach DOMAIN     name of the domain; `millrace ls` lists them\n"
    "  --model FILE        the model, the same that the domain's tokenizer reads\n"
    "  --name NAME         for ps and the statistics; default: mr-worker-llama\n"
    "  --max-batch N       requests held at once, 1 to 4096; default: 32\n"
    "  --max-positions N   positions of a step, 1 to 8192: what a long prompt may take of it at\n"
    "                      a time; default: 256\n"
    "  --threads N         1 to 256; default: 1\n"
    "  --memory SIZE       for keys and values, with K, M or G; default: 1G, or what one request\n"
    "                      of full length takes\n"
    "  --kernels SET       portable, avx2 or avx512; default: the fastest that the machine has\n"
    "  --help, --version\n";

static bool wrong(enum worker_exit *status, const char *before, const char *word, const char *after)
{
    fprintf(stderr, "millrace-worker-llama: %s '%s'%s\n", before, word, after);
    *status = WORKER_IMPOSSIBLE;
    return false;
}

/* A whole number in [1, most]. */
static bool read_number(const char *option, const char *text, uint32_t most, uint32_t *number,
                        enum worker_exit *status)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || value < 1 || value > most) {
        fprintf(stderr, "millrace-worker-llama: option '%s' is '%s'; give a number from 1 to %u\n",
                option, text, most);
        *status = WORKER_IMPOSSIBLE;
        return false;
    }
    *number = (uint32_t)value;
    return true;
}

static bool read_size(const char *text, uint64_t *size, enum worker_exit *status)
{
    static const char units[] = "KMG";
    char *end;
    const char *unit;

    errno = 0;
    *size = strtoull(text, &end, 10);
    unit = *end ? strchr(units, *end) : NULL;
    if (unit && end[1] == '\0' && *size < (uint64_t)1 << 33)
        *size <<= 10 * (unit - units + 1);
    else if (*end)
        errno = EINVAL;
    if (errno || *text < '0' || *text > '9' || *size < 1)
        return wrong(status, "option '--memory' is", text, "; give a size like 512M or 2G");
    return true;
}

/* One option; true to go on. */
static bool take(worker_options *o, int option, enum worker_exit *status)
{
    switch (option) {
    case 'a':
        o->domain = optarg;
        return true;
    case 'm':
        o->model = optarg;
        return true;
    case 'n':
        o->name = optarg;
        return true;
    case 'k':
        o->kernels = optarg;
        return true;
    case 'b':
        return read_number("--max-batch", optarg, MOST_BATCH, &o->max_batch, status);
    case 'p':
        return read_number("--max-positions", optarg, MOST_POSITIONS, &o->max_positions, status);
    case 't':
        return read_number("--threads", optarg, MOST_THREADS, &o->threads, status);
    case 'M':
        return read_size(optarg, &o->memory, status);
    case 'h':
        fputs(help, stdout);
        return false;
    case 'v':
        printf("millrace-worker-llama %s\n", mr_version());
        return false;
    default:
        *status = WORKER_IMPOSSIBLE; /* getopt has said why */
        return false;
    }
}

bool options_read(worker_options *options, int argc, char **argv, enum worker_exit *status)
{
    static const struct option known[] = {
        {"attach", required_argument, NULL, 'a'},
        {"model", required_argument, NULL, 'm'},
        {"name", required_argument, NULL, 'n'},
        {"kernels", required_argument, NULL, 'k'},
        {"max-batch", required_argument, NULL, 'b'},
        {"max-positions", required_argument, NULL, 'p'},
        {"threads", required_argument, NULL, 't'},
        {"memory", required_argument, NULL, 'M'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *options = (worker_options){.name = "mr-worker-llama", .threads = 1};
    *status = WORKER_DONE;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
        if (!take(options, option, status))
            return false;
    if (optind < argc)
        return wrong(status, "unexpected argument", argv[optind], "; see --help");
    if (!options->domain || !options->model)
        return wrong(status, "option", options->domain ? "--model" : "--attach",
                     " is missing; see --help");
    return true;
}
