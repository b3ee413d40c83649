/*
 * llama.c - tokens a second of the llama worker's engine
 *
 *     llama [--threads N] [--kernels SET] [MODEL.gguf]
 *
 * Without a model it takes the bundled one. Prefill: one prompt of 512 tokens, or what the model's
 * context allows, in chunks of 256. Decode: 1, 8 and 32 sequences at once, 64 tokens each behind a
 * prompt of 32. Sampling isn't counted. Each line is the median of five runs, by the clock and by
 * the processor time of all threads; the second tells more on a machine that others use too.
 */
#include "workers/llama/engine.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK = 256, PROMPT = 512, SHORT_PROMPT = 32, DECODE = 64, MOST_BATCH = 32, RUNS = 5 };

static engine *e;
static int64_t tokens[PROMPT];

/* Seconds, or tokens a second, by both clocks. */
typedef struct {
    double wall, cpu;
} pair;

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static pair now(void)
{
    return (pair){seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static pair rate_since(pair begin, double count)
{
    pair end = now();

    return (pair){count / (end.wall - begin.wall), count / (end.cpu - begin.cpu)};
}

static void step(const engine_work *work, size_t count)
{
    if (engine_step(e, work, count) < 0) {
        fprintf(stderr, "llama: %s\n", engine_error(e));
        exit(EXIT_FAILURE);
    }
}

static engine_sequence *open_sequence(uint32_t limit)
{
    engine_sequence *s;

    if (engine_sequence_open(e, limit, NULL, 0, &s) < 0) {
        fprintf(stderr, "llama: the cache has no room for the benchmark\n");
        exit(EXIT_FAILURE);
    }
    return s;
}

static pair prefill(uint32_t length)
{
    engine_sequence *s = open_sequence(length);
    pair begin = now();

    for (uint32_t done = 0; done < length; done += CHUNK) {
        uint32_t count = length - done < CHUNK ? length - done : CHUNK;
        step(&(engine_work){s, tokens + done, count, done + count == length}, 1);
    }
    pair rate = rate_since(begin, length);
    engine_sequence_close(e, s);
    return rate;
}

static pair decode(uint32_t batch)
{
    engine_work work[MOST_BATCH];

    for (uint32_t i = 0; i < batch; i++) {
        work[i] = (engine_work){open_sequence(SHORT_PROMPT + DECODE), tokens, SHORT_PROMPT, 0};
        step(&work[i], 1);
        work[i].count = work[i].logits = 1;
    }
    pair begin = now();
    for (int i = 0; i < DECODE; i++)
        step(work, batch);
    pair rate = rate_since(begin, batch * DECODE);
    for (uint32_t i = 0; i < batch; i++)
        engine_sequence_close(e, work[i].sequence);
    return rate;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, pair (*run)(uint32_t), uint32_t argument)
{
    double wall[RUNS], cpu[RUNS];

    for (int i = 0; i < RUNS; i++) {
        pair rate = run(argument);
        wall[i] = rate.wall;
        cpu[i] = rate.cpu;
    }
    qsort(wall, RUNS, sizeof(wall[0]), by_size);
    qsort(cpu, RUNS, sizeof(cpu[0]), by_size);
    printf("%-8s %4u  %9.1f tokens/s (%.1f to %.1f)  %9.1f tokens/CPU second\n", what, argument,
           wall[RUNS / 2], wall[0], wall[RUNS - 1], cpu[RUNS / 2]);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {{"threads", required_argument, NULL, 't'},
                                          {"kernels", required_argument, NULL, 'k'},
                                          {NULL, 0, NULL, 0}};
    const char *model = MODELS_DIR "/bundled/millrace-stories.gguf";
    engine_options options = {.max_sequences = MOST_BATCH, .max_positions = CHUNK};
    char error[512];
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 't')
            options.threads = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'k')
            options.kernels = optarg;
        else
            return 2;
    }
    model = optind < argc ? argv[optind] : model;
    if (engine_open(&e, model, &options, error, sizeof(error)) < 0) {
        fprintf(stderr, "llama: %s\n", error);
        return 2;
    }
    const engine_facts *facts = engine_describe(e);
    for (size_t i = 0; i < PROMPT; i++)
        tokens[i] = (int64_t)(i * 7919 % facts->vocabulary);
    printf("%s, kernels %s, threads %u\n", model, facts->kernels->name,
           options.threads ? options.threads : 1);
    report("prefill", prefill, facts->max_length < PROMPT ? facts->max_length : PROMPT);
    for (uint32_t batch = 1; batch <= MOST_BATCH; batch = batch == 1 ? 8 : batch * 4)
        report("decode", decode, batch);
    engine_close(e);
    return 0;
}
