/*
 * stop.h - finding stop strings in a text that comes byte by byte
 *
 * Of all occurrences of all strings the one that is *completed first* counts; of several that end
 * with the same byte, the longest. So what stands before it holds no stop string, and the answer
 * depends on the text alone, not on the pieces in which it came.
 *
 * Each string has a matcher of its own (Knuth, Morris, Pratt): a byte costs O(strings) amortised,
 * whatever came before, and the memory is a few bytes per byte of the strings.
 */
#ifndef RUNTIME_COLLECTOR_STOP_H
#define RUNTIME_COLLECTOR_STOP_H

#include <millrace/context.h>

struct stops;

/* stops_new - a matcher at the beginning of a text; the strings are copied. 0, or -ENOMEM.
 * Empty strings are never found. With count 0 *stops is NULL, which all calls below take. */
int stops_new(struct stops **stops, const mr_bytes *strings, unsigned count);
void stops_free(struct stops *stops);

/* stops_feed - the next byte of the text; returns the length of the stop string that it completes,
 * or 0 */
size_t stops_feed(struct stops *stops, unsigned char byte);

/* stops_pending - how many bytes at the end of the text may be the beginning of a stop string */
size_t stops_pending(const struct stops *stops);

#endif
