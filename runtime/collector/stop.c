/*
 * stop.c - finding stop strings in a text that comes byte by byte
 *
 * `matched` of a string is the length of its longest beginning that the text ends with, in
 * [0, length). border[n] is the length of the longest beginning of the string, shorter than n, that
 * its first n bytes end with: where to go on when the byte behind them doesn't fit.
 */
#include "runtime/collector/stop.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pattern {
    unsigned char *bytes;
    uint32_t *border; /* of 0 to `length` bytes */
    size_t length;
    size_t matched;
};

struct stops {
    unsigned count;
    struct pattern patterns[];
};

static size_t follow(const struct pattern *pattern, size_t matched, unsigned char byte)
{
    while (matched > 0 && pattern->bytes[matched] != byte)
        matched = pattern->border[matched];
    return pattern->bytes[matched] == byte ? matched + 1 : 0;
}

static void find_borders(struct pattern *pattern)
{
    size_t border = 0;
    pattern->border[0] = 0;
    pattern->border[1] = 0;
    for (size_t n = 1; n < pattern->length; n++) {
        border = follow(pattern, border, pattern->bytes[n]);
        pattern->border[n + 1] = (uint32_t)border;
    }
}

static int pattern_init(struct pattern *pattern, mr_bytes string)
{
    pattern->bytes = malloc(string.length);
    pattern->border = malloc((string.length + 1) * sizeof(*pattern->border));
    if (pattern->bytes == NULL || pattern->border == NULL)
        return -ENOMEM;
    memcpy(pattern->bytes, string.bytes, string.length);
    pattern->length = string.length;
    find_borders(pattern);
    return 0;
}

int stops_new(struct stops **result, const mr_bytes *strings, unsigned count)
{
    struct stops *stops;
    *result = NULL;
    if (count == 0)
        return 0;
    stops = calloc(1, sizeof(*stops) + count * sizeof(stops->patterns[0]));
    if (stops == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        if (strings[i].length == 0)
            continue;
        if (pattern_init(&stops->patterns[stops->count++], strings[i]) < 0) {
            stops_free(stops);
            return -ENOMEM;
        }
    }
    *result = stops;
    return 0;
}

void stops_free(struct stops *stops)
{
    if (stops == NULL)
        return;
    for (unsigned i = 0; i < stops->count; i++) {
        free(stops->patterns[i].bytes);
        free(stops->patterns[i].border);
    }
    free(stops);
}

size_t stops_feed(struct stops *stops, unsigned char byte)
{
    size_t longest = 0;
    for (unsigned i = 0; stops != NULL && i < stops->count; i++) {
        struct pattern *pattern = &stops->patterns[i];
        pattern->matched = follow(pattern, pattern->matched, byte);
        if (pattern->matched < pattern->length)
            continue;
        pattern->matched = pattern->border[pattern->length];
        longest = pattern->length > longest ? pattern->length : longest;
    }
    return longest;
}

size_t stops_pending(const struct stops *stops)
{
    size_t longest = 0;
    for (unsigned i = 0; stops != NULL && i < stops->count; i++)
        if (stops->patterns[i].matched > longest)
            longest = stops->patterns[i].matched;
    return longest;
}
