/*
 * byte_level.h - the alphabet in which byte-level BPE vocabularies are written
 *
 * GPT-2 wrote each byte as a printable character, so that a vocabulary is a text file: the bytes
 * 21..7E, A1..AC and AE..FF as the characters of the same numbers, the other 68, in order, as
 * U+0100..U+0143 (a blank is 'Ġ'). Source: openai/gpt-2, src/encoder.py, bytes_to_unicode().
 */
#ifndef MILLRACE_TOKENIZER_BYTE_LEVEL_H
#define MILLRACE_TOKENIZER_BYTE_LEVEL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * byte_level_decode - the bytes that a token written in this alphabet stands for
 *
 *   out  room for `length` bytes
 *
 * Returns false if the text has a character outside the alphabet, or isn't UTF-8.
 */
bool byte_level_decode(const char *text, size_t length, unsigned char *out, size_t *out_length);

#endif
