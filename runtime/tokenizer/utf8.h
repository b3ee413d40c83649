/*
 * utf8.h - telling UTF-8 from broken UTF-8, and repairing it
 *
 * Broken text is repaired as Python's bytes.decode("utf-8", errors="replace") and browsers do:
 * each maximal part that begins a character but doesn't complete it, and each byte that can't
 * begin one, becomes one U+FFFD (Unicode 15, section 3.9, table 3-8). So a surrogate written in
 * three bytes becomes three of them. NUL is a character like any other.
 */
#ifndef MILLRACE_TOKENIZER_UTF8_H
#define MILLRACE_TOKENIZER_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* How long the repaired text can be at most, for text of `length` bytes. */
#define UTF8_REPAIRED_ROOM(length) ((length)*3)

/*
 * utf8_step - length of the character, or of the maximal broken part, that begins at `text`
 *
 *   length  of what is left of the text, at least 1
 *   valid   out: whether it is a whole character
 */
size_t utf8_step(const char *text, size_t length, bool *valid);

/* Bytes of the longest beginning of the text that is valid; `length` if all of it is. */
size_t utf8_valid(const char *text, size_t length);

/* Writes the repaired text to `out`, which has UTF8_REPAIRED_ROOM(length) bytes; returns its
 * length. Valid text comes out as it went in. */
size_t utf8_repair(const char *text, size_t length, char *out);

/* The code point of the valid character at `text`. */
unsigned utf8_code_point(const char *text);

#endif
