/*
 * media.h - what the functions of this folder hand up: bytes, or a number and a sentence
 *
 * They work on memory alone, know nothing of requests or contexts, and never print. Each returns 0
 * or one of these, with one sentence for the user in *error (lower case, no full stop; it tells
 * what is wrong with the thing, and the caller says which thing it was):
 *
 *   -EINVAL   broken: no decoder could read it
 *   -ENOTSUP  good perhaps, but of a sort that isn't taken
 *   -EFBIG    larger than the caller allows
 *   -ENOMEM   no memory
 *   other     errno of a file that couldn't be opened or read (media_fetch() alone)
 *
 * On failure nothing is left allocated and the results are empty. What they return in success
 * comes from malloc, belongs to the caller, and is bounded by the limit that the caller gave.
 * Safe from any thread; nothing is shared.
 */
#ifndef RUNTIME_MEDIA_MEDIA_H
#define RUNTIME_MEDIA_MEDIA_H

#include <stddef.h>

enum { MEDIA_SENTENCE_MAX = 256 };

struct media_error {
    char sentence[MEDIA_SENTENCE_MAX];
};

struct media_bytes {
    unsigned char *bytes; /* from malloc, the caller's to free; NULL after a failure */
    size_t length;
};

/*
 * media_fail - writes the sentence, cut to its room; returns `code`, for `return media_fail(...)`
 *
 * Control characters become '?', since parts of it come from outside, and a character that was
 * cut in two goes whole.
 */
int media_fail(struct media_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
