/*
 * words.c - a vocabulary for tests of the collector's pure parts
 */
#include "tests/collector/words.h"
#include <string.h>

#define TEN     "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

struct vocabulary {
    char single[256];
    const char *long_ones[WORD_COUNT - 256];
};

static struct vocabulary own = {
    .long_ones = {"Hello", " world", "\xE2\x82", "\xAC!", HUNDRED HUNDRED HUNDRED, "<|end|>"}};
const vocabulary *const words = &own;

gguf_text vocabulary_bytes(const vocabulary *vocab, int64_t token)
{
    if (token < 0 || token >= WORD_COUNT)
        return (gguf_text){NULL, 0};
    if (token < 256) {
        own.single[token] = (char)token;
        return (gguf_text){&vocab->single[token], 1};
    }
    return (gguf_text){vocab->long_ones[token - 256], strlen(vocab->long_ones[token - 256])};
}

bool vocabulary_is_control(const vocabulary *vocab, int64_t token)
{
    (void)vocab;
    return token == WORD_END;
}
