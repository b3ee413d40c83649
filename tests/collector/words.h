/*
 * words.h - a vocabulary for tests of the collector's pure parts
 *
 * It takes the place of runtime/tokenizer/vocabulary.c. Token 0 to 255 is the byte of its number;
 * those from 256 on are the words of words.c, of which the last ones are control tokens.
 */
#ifndef TESTS_COLLECTOR_WORDS_H
#define TESTS_COLLECTOR_WORDS_H

#include "runtime/tokenizer/vocabulary.h"

enum {
    WORD_HELLO = 256, /* "Hello" */
    WORD_WORLD,       /* " world" */
    WORD_EURO_BEGIN,  /* the first two bytes of U+20AC */
    WORD_EURO_END,    /* its last byte, and "!" */
    WORD_LONG,        /* 300 bytes */
    WORD_END,         /* "<|end|>", control */
    WORD_COUNT
};

extern const vocabulary *const words;

#endif
