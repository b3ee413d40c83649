/*
 * word_cache.h - tokens of the words seen lately
 *
 * Ordinary text repeats its words; a word's tokens depend on nothing but the word. The cache has
 * a fixed size: a word has one place, and whatever else comes there takes it.
 */
#ifndef MILLRACE_TOKENIZER_WORD_CACHE_H
#define MILLRACE_TOKENIZER_WORD_CACHE_H

#include <stddef.h>
#include <stdint.h>

enum { WORD_CACHE_BYTES = 30, WORD_CACHE_IDS = 8, WORD_CACHE_ENTRIES = 1 << 14 };

/* One cache line. */
typedef struct {
    _Alignas(64) int32_t ids[WORD_CACHE_IDS];
    unsigned char length; /* of the word; 0: empty */
    unsigned char count;
    char bytes[WORD_CACHE_BYTES];
} word_cache_entry;

typedef struct {
    word_cache_entry *entries;
} word_cache;

int word_cache_init(word_cache *cache); /* 0 or -ENOMEM; word_cache_clear() frees it */
void word_cache_clear(word_cache *cache);

/* The place of a word of [1, WORD_CACHE_BYTES] bytes; *hit says whether the word is there. */
word_cache_entry *word_cache_place(const word_cache *cache, const char *word, size_t length,
                                   int *hit);

/* Writes a word to its place, if it has few enough tokens. */
void word_cache_put(word_cache_entry *entry, const char *word, size_t length, const int32_t *ids,
                    size_t count);

#endif
