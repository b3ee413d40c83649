/*
 * kv.c - pages and sequences of the cache
 */
#include "workers/llama/kv.h"

#include "workers/llama/kernels/kernels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint32_t pages_of(uint32_t positions)
{
    return (positions + LANES - 1) / LANES;
}

static size_t floats_of_head(const model *m)
{
    size_t padded = ((size_t)m->head_size + LANES - 1) / LANES * LANES;
    return (m->head_size + padded) * LANES;
}

size_t kv_page_bytes(const model *m)
{
    return (size_t)m->layers * m->key_heads * floats_of_head(m) * sizeof(float);
}

static void fill_free_list(kv *cache)
{
    /* the lowest page on top */
    for (uint32_t i = 0; i < cache->page_count; i++)
        cache->free_pages[i] = cache->page_count - 1 - i;
    cache->free_count = cache->page_count;
}

int kv_create(kv *cache, const model *m, uint32_t pages, uint32_t sequences, uint32_t longest)
{
    size_t table = pages_of(longest);

    *cache = (kv){.page_floats = kv_page_bytes(m) / sizeof(float),
                  .head_floats = floats_of_head(m),
                  .head_size = m->head_size,
                  .padded = (m->head_size + LANES - 1) / LANES * LANES,
                  .key_heads = m->key_heads,
                  .page_count = pages,
                  .sequence_count = sequences,
                  .longest = longest};
    if (__builtin_mul_overflow(kv_page_bytes(m), (size_t)pages, &cache->bytes))
        return -ENOMEM;
    void *memory =
        mmap(NULL, cache->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cache->memory = memory == MAP_FAILED ? NULL : memory;
    if (cache->memory) /* a wish: attention touches a small page for every 2 KiB or so */
        madvise(memory, cache->bytes, MADV_HUGEPAGE);
    cache->free_pages = calloc(pages, sizeof(*cache->free_pages));
    cache->sharers = calloc(pages, sizeof(*cache->sharers));
    cache->page_tables = calloc(sequences * table, sizeof(*cache->page_tables));
    cache->sequences = calloc(sequences, sizeof(*cache->sequences));
    if (!cache->memory || !cache->free_pages || !cache->sharers || !cache->page_tables ||
        !cache->sequences) {
        kv_destroy(cache);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < sequences; i++)
        cache->sequences[i].pages = cache->page_tables + i * table;
    fill_free_list(cache);
    return 0;
}

void kv_destroy(kv *cache)
{
    if (cache->memory)
        munmap(cache->memory, cache->bytes);
    free(cache->free_pages);
    free(cache->sharers);
    free(cache->page_tables);
    free(cache->sequences);
    *cache = (kv){0};
}

static kv_sequence *closed_sequence(kv *cache)
{
    for (uint32_t i = 0; i < cache->sequence_count; i++)
        if (cache->sequences[i].limit == 0)
            return &cache->sequences[i];
    return NULL;
}

/* Pages that are full with the least of so many positions. */
static uint32_t whole_pages(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t least = a < b ? a : b;

    return (least < c ? least : c) / LANES;
}

int kv_open(kv *cache, uint32_t limit, const kv_sequence *from, uint32_t shared,
            kv_sequence **sequence)
{
    kv_sequence *s = closed_sequence(cache);
    uint32_t common = from ? whole_pages(from->length, shared, limit) : 0;

    if (limit < 1 || limit > cache->longest || pages_of(limit) > cache->page_count)
        return -E2BIG;
    if (!s || pages_of(limit) - common > cache->free_count)
        return -EAGAIN;
    for (uint32_t i = 0; i < pages_of(limit); i++) {
        s->pages[i] = i < common ? from->pages[i] : cache->free_pages[--cache->free_count];
        cache->sharers[s->pages[i]]++;
    }
    s->limit = limit;
    s->length = common * LANES;
    *sequence = s;
    return 0;
}

void kv_close(kv *cache, kv_sequence *sequence)
{
    for (uint32_t i = pages_of(sequence->limit); i-- > 0;) {
        uint32_t page = sequence->pages[i];

        if (--cache->sharers[page] == 0)
            cache->free_pages[cache->free_count++] = page;
    }
    sequence->limit = 0;
    sequence->length = 0;
}

size_t kv_head_offset(const kv *cache, uint32_t layer, uint32_t head)
{
    return ((size_t)layer * cache->key_heads + head) * cache->head_floats;
}

void kv_put(kv *cache, const kv_sequence *sequence, uint32_t layer, uint32_t position,
            const float *keys, const float *values)
{
    uint32_t size = cache->head_size, lane = position % LANES;
    float *page = cache->memory + sequence->pages[position / LANES] * cache->page_floats;

    for (uint32_t head = 0; head < cache->key_heads; head++, keys += size, values += size) {
        float *to = page + kv_head_offset(cache, layer, head);

        for (uint32_t d = 0; d < size; d++)
            to[d * LANES + lane] = keys[d];
        memcpy(to + (size_t)size * LANES + (size_t)lane * cache->padded, values,
               size * sizeof(float));
    }
}

/* How many sequences list the page, and whether one of them may still write in it. */
static uint32_t count_sharers(const kv *cache, uint32_t page, bool *written)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < cache->sequence_count; i++) {
        const kv_sequence *s = &cache->sequences[i];

        for (uint32_t j = 0; j < pages_of(s->limit); j++)
            if (s->pages[j] == page) {
                count++;
                *written = *written || (j + 1) * LANES > s->length;
            }
    }
    return count;
}

bool kv_check(const kv *cache)
{
    uint32_t used = 0;

    for (uint32_t page = 0; page < cache->page_count; page++) {
        bool written = false;
        uint32_t count = count_sharers(cache, page, &written);

        if (count != cache->sharers[page] || (written && count > 1))
            return false;
        used += count > 0;
    }
    for (uint32_t i = 0; i < cache->free_count; i++)
        if (cache->sharers[cache->free_pages[i]] != 0)
            return false;
    return used + cache->free_count == cache->page_count;
}
