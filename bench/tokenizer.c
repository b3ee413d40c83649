/*
 * tokenizer.c - how many megabytes of text a second are encoded, on one thread?
 *
 *   tokenizer [MODEL [TEXT]]
 *
 * By default SmolLM2's cut vocabulary and the English prose that trained the bundled model.
 *
 *   cold      documents of 16 KiB, each with an encoder that has seen nothing
 *   first     the whole text, with an encoder that has seen nothing
 *   warm      the whole text again
 *   distinct  each word of the text once: the cache is of no use
 *   a run     a megabyte without a blank
 *
 * Each figure is the median of ROUNDS; making encoders is not counted.
 */
#include "runtime/tokenizer/encode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

enum { ROUNDS = 9, DOCUMENT = 16384, RUN = 1000000, MANY = 1 << 26 };

static const char default_model[] = "tests/data/smollm2-16k.gguf";
static const char default_text[] = "models/train/data/answers.jsonl";

typedef struct {
    char *bytes;
    size_t length;
} text;

static vocabulary *vocab;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "tokenizer: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(2);
}

static text read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    text read = {0};
    long length;

    if (!file || fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) <= 0)
        die("cannot read '%s'; name a text file", path);
    rewind(file);
    read.bytes = malloc((size_t)length);
    if (!read.bytes)
        die("no memory for '%s'", path);
    read.length = fread(read.bytes, 1, (size_t)length, file);
    fclose(file);
    return read;
}

/* The thread's own time, so that other work on the machine is not counted. */
static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static encoder *new_encoder(void)
{
    char error[256];
    encoder *coder = encoder_new(vocab, error, sizeof(error));

    if (!coder)
        die("%s", error);
    return coder;
}

/* Seconds to encode a text once; adds the tokens to *tokens. */
static double encode(encoder *coder, text part, size_t *tokens)
{
    encoder_tokens made;
    double start = now();

    if (encoder_run(coder, &(encoder_text){part.bytes, part.length, NULL, 0, false}, MANY, &made) !=
        0)
        die("encoding fails");
    *tokens += made.count;
    return now() - start;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static void report(const char *name, double *seconds, text all, size_t tokens)
{
    qsort(seconds, ROUNDS, sizeof(*seconds), by_size);
    printf("%-9s %7.1f MB/s  (%.1f to %.1f)  %zu tokens of %zu bytes, %.0f ns a token\n", name,
           (double)all.length / seconds[ROUNDS / 2] / 1e6,
           (double)all.length / seconds[ROUNDS - 1] / 1e6, (double)all.length / seconds[0] / 1e6,
           tokens, all.length, seconds[ROUNDS / 2] / (double)tokens * 1e9);
}

static void bench_documents(text all)
{
    double seconds[ROUNDS] = {0};
    size_t tokens = 0;

    for (size_t round = 0; round < ROUNDS; round++) {
        tokens = 0;
        for (size_t at = 0; at < all.length; at += DOCUMENT) {
            size_t left = all.length - at;
            encoder *coder = new_encoder();

            seconds[round] +=
                encode(coder, (text){all.bytes + at, left < DOCUMENT ? left : DOCUMENT}, &tokens);
            encoder_free(coder);
        }
    }
    report("cold", seconds, all, tokens);
}

static void bench_fresh(const char *name, text all)
{
    double seconds[ROUNDS];
    size_t tokens = 0;

    for (size_t round = 0; round < ROUNDS; round++) {
        encoder *coder = new_encoder();

        tokens = 0;
        seconds[round] = encode(coder, all, &tokens);
        encoder_free(coder);
    }
    report(name, seconds, all, tokens);
}

static void bench_warm(text all)
{
    double seconds[ROUNDS];
    size_t tokens = 0;
    encoder *coder = new_encoder();

    encode(coder, all, &tokens);
    for (size_t round = 0; round < ROUNDS; round++) {
        tokens = 0;
        seconds[round] = encode(coder, all, &tokens);
    }
    encoder_free(coder);
    report("warm", seconds, all, tokens);
}

static int by_word(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each word of the text once, with a blank in front. */
static text distinct_words(text all)
{
    char *copy = strndup(all.bytes, all.length);
    char **words = calloc(all.length / 2 + 1, sizeof(*words));
    text distinct = {malloc(all.length + 2), 0};
    size_t count = 0;

    if (!copy || !words || !distinct.bytes)
        die("no memory");
    for (char *word = strtok(copy, " \n\t"); word; word = strtok(NULL, " \n\t"))
        words[count++] = word;
    qsort(words, count, sizeof(*words), by_word);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(words[i], words[i - 1]) != 0)
            distinct.length += (size_t)sprintf(distinct.bytes + distinct.length, " %s", words[i]);
    free(words);
    free(copy);
    return distinct;
}

static void bench_run(void)
{
    text run = {malloc(RUN), RUN};
    unsigned state = 1;

    if (!run.bytes)
        die("no memory");
    for (size_t i = 0; i < RUN; i++) {
        state = state * 1664525U + 1013904223U;
        run.bytes[i] = "etaoinshrdlucmfw"[state >> 28];
    }
    bench_fresh("a run", run);
    free(run.bytes);
}

static void describe(const char *model, const char *path)
{
    struct utsname machine;

    uname(&machine);
    printf("%s %s %s, one thread; vocabulary of '%s', %zu tokens; text '%s'\n", machine.sysname,
           machine.release, machine.machine, model, vocabulary_count(vocab), path);
}

int main(int argc, char **argv)
{
    const char *model = argc > 1 ? argv[1] : default_model;
    const char *path = argc > 2 ? argv[2] : default_text;
    char error[512];
    gguf *file = gguf_open(model, error, sizeof(error));
    text all = read_text(path);
    text distinct;

    if (!file)
        die("%s", error);
    vocab = vocabulary_load(file, error, sizeof(error));
    if (!vocab)
        die("%s", error);
    describe(model, path);
    bench_documents(all);
    bench_fresh("first", all);
    bench_warm(all);
    distinct = distinct_words(all);
    bench_fresh("distinct", distinct);
    bench_run();
    free(distinct.bytes);
    free(all.bytes);
    vocabulary_free(vocab);
    gguf_close(file);
    return 0;
}
