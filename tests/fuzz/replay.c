/*
 * replay.c - runs a fuzz target over stored inputs, without libFuzzer
 *
 * Arguments are files; without any, all files of the folder that MILLRACE_TEST_DATA and the
 * program's name give: gguf_replay runs tests/fuzz/gguf/. Each input is also run cut in half and
 * with each of its first bytes changed, once in one bit (a digit mostly stays a digit) and once in
 * all, so that a few seeds reach many paths.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGED_BYTES = 512 };

static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    long length;

    if (file && fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0) {
        rewind(file);
        bytes = malloc((size_t)length + 1);
        *size = bytes ? fread(bytes, 1, (size_t)length, file) : 0;
    }
    if (file)
        fclose(file);
    return bytes;
}

/* Runs a copy of exactly this size, so that a sanitizer sees a read behind it. */
static void run(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_changed(unsigned char *bytes, size_t size, size_t at, unsigned char change)
{
    bytes[at] ^= change;
    run(bytes, size);
    bytes[at] ^= change;
}

static int replay(const char *path)
{
    size_t size = 0;
    unsigned char *bytes = read_file(path, &size);

    if (!bytes) {
        fprintf(stderr, "cannot read '%s': %s\n", path, strerror(errno));
        return 1;
    }
    run(bytes, size);
    run(bytes, size / 2);
    for (size_t i = 0; i < size && i < CHANGED_BYTES; i++) {
        run_changed(bytes, size, i, 0xFF);
        run_changed(bytes, size, i, 1);
    }
    free(bytes);
    return 0;
}

/* tests/fuzz/NAME/ * of a program called NAME_replay. */
static int replay_folder(const char *program)
{
    const char *data = getenv("MILLRACE_TEST_DATA");
    const char *name = strrchr(program, '/');
    glob_t found;
    char pattern[4096];
    int failed = 0;

    name = name ? name + 1 : program;
    snprintf(pattern, sizeof(pattern), "%s/fuzz/%.*s/*", data ? data : "tests",
             (int)strcspn(name, "_"), name);
    if (glob(pattern, 0, NULL, &found) != 0) {
        fprintf(stderr, "no inputs in '%s'\n", pattern);
        return 1;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        failed |= replay(found.gl_pathv[i]);
    printf("%zu inputs\n", found.gl_pathc);
    globfree(&found);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;

    if (argc == 1)
        return replay_folder(argv[0]);
    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i]);
    return failed;
}
