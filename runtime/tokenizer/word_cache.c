/*
 * word_cache.c - tokens of the words seen lately
 */
#include "runtime/tokenizer/word_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(word_cache_entry) == 64, "an entry is one cache line");

int word_cache_init(word_cache *cache)
{
    size_t size = WORD_CACHE_ENTRIES * sizeof(*cache->entries);

    cache->entries = aligned_alloc(sizeof(*cache->entries), size);
    if (!cache->entries)
        return -ENOMEM;
    memset(cache->entries, 0, size);
    return 0;
}

void word_cache_clear(word_cache *cache)
{
    free(cache->entries);
    cache->entries = NULL;
}

word_cache_entry *word_cache_place(const word_cache *cache, const char *word, size_t length,
                                   int *hit)
{
    word_cache_entry *entry = &cache->entries[XXH3_64bits(word, length) & (WORD_CACHE_ENTRIES - 1)];

    *hit = entry->length == length && memcmp(entry->bytes, word, length) == 0;
    return entry;
}

void word_cache_put(word_cache_entry *entry, const char *word, size_t length, const int32_t *ids,
                    size_t count)
{
    if (count > WORD_CACHE_IDS)
        return;
    entry->length = (unsigned char)length;
    entry->count = (unsigned char)count;
    memcpy(entry->bytes, word, length);
    memcpy(entry->ids, ids, count * sizeof(*ids));
}
