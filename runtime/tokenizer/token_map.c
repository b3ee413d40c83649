/*
 * token_map.c - from a token's text to its id
 *
 * Open addressing with linear probing, at most half full. A run of more than MAX_PROBES taken
 * slots is refused: chance never makes one, a hostile vocabulary could, and each look-up would
 * walk it.
 */
#include "runtime/tokenizer/token_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MAX_PROBES = 1024 };

int token_map_init(token_map *map, token_texts texts, size_t count)
{
    size_t slots = 16;

    while (slots < count * 2)
        slots *= 2;
    *map = (token_map){
        .texts = texts, .slots = malloc(slots * sizeof(*map->slots)), .mask = slots - 1};
    if (!map->slots)
        return -ENOMEM;
    memset(map->slots, 0xFF, slots * sizeof(*map->slots));
    return 0;
}

void token_map_clear(token_map *map)
{
    free(map->slots);
    *map = (token_map){0};
}

static bool same(gguf_text a, gguf_text b)
{
    return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

size_t token_map_slot(const token_map *map, gguf_text text)
{
    return XXH3_64bits(text.bytes, text.length) & map->mask;
}

/* The slot that holds the text, or the empty one where it belongs. */
static size_t place(const token_map *map, gguf_text text, unsigned *probes)
{
    size_t slot = token_map_slot(map, text);

    *probes = 0;
    while (map->slots[slot] >= 0 && !same(token_text(map->texts, (size_t)map->slots[slot]), text)) {
        slot = (slot + 1) & map->mask;
        ++*probes;
    }
    return slot;
}

int token_map_add(token_map *map, int32_t id)
{
    unsigned probes;
    size_t slot = place(map, token_text(map->texts, (size_t)id), &probes);

    if (probes > MAX_PROBES)
        return -EINVAL;
    if (map->slots[slot] < 0)
        map->slots[slot] = id;
    return 0;
}

int32_t token_map_find(const token_map *map, gguf_text text)
{
    unsigned probes;

    return map->slots[place(map, text, &probes)];
}
