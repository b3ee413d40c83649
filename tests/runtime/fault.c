/*
 * fault.c - a planted fault: preloaded, it makes one of a run's processes end badly
 *
 *   FAULT_NAME   of the process, as ps shows it: mr-tokenizer, mr-collector ...
 *   FAULT_EXIT   the status that it ends with instead of its own
 *   FAULT_LOOP   a text: it never comes back from looking at JSON, or from making the ids of a
 *                result (not of an error: runtime/collector/answer.c), of bytes that have it
 *
 * The process is known by the first word of its command line, which is there from the start. The
 * loop stands in calls of libraries that one of the processes alone makes: the tokenizer reads
 * JSON, the collector hashes ids with seeds.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void end_badly(void)
{
    _exit(atoi(getenv("FAULT_EXIT")));
}

enum { KINDS_OF_ID = 3 };

static bool is_planted; /* in this process */

static void loop_at(const void *bytes, size_t length)
{
    const char *text = getenv("FAULT_LOOP");
    while (is_planted && text != NULL && memmem(bytes, length, text, strlen(text)) != NULL)
        usleep(1000); /* one that burns no processor is as stuck */
}

/* Declared here, since neither library's header is needed for more. */
typedef struct {
    uint64_t low, high;
} hash128;
void *json_loadb(const char *bytes, size_t length, size_t flags, void *error);
hash128 XXH3_128bits_withSeed(const void *bytes, size_t length, uint64_t seed);

void *json_loadb(const char *bytes, size_t length, size_t flags, void *error)
{
    void *(*next)(const char *, size_t, size_t, void *);
    *(void **)&next = dlsym(RTLD_NEXT, "json_loadb");
    loop_at(bytes, length);
    return next(bytes, length, flags, error);
}

hash128 XXH3_128bits_withSeed(const void *bytes, size_t length, uint64_t seed)
{
    hash128 (*next)(const void *, size_t, uint64_t);
    *(void **)&next = dlsym(RTLD_NEXT, "XXH3_128bits_withSeed");
    if (seed % KINDS_OF_ID != 0)
        loop_at(bytes, length);
    return next(bytes, length, seed);
}

__attribute__((constructor)) static void plant(int argc, char **argv)
{
    const char *name = getenv("FAULT_NAME");
    is_planted = name != NULL && argc > 0 && strcmp(argv[0], name) == 0;
    if (is_planted && getenv("FAULT_EXIT") != NULL)
        atexit(end_badly);
}
