/*
 * bpe.c - merging the bytes of one piece into tokens
 *
 * Short pieces (nearly all words) lie in arrays, and each round looks for the least merge in all
 * of them: no pointers, no heap, a few cache lines. Longer ones are a linked list with a heap of
 * candidates.
 */
#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/grow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_PIECE = 48 };

static size_t byte_tokens(const vocabulary *vocab, const char *piece, size_t length, int32_t *ids)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        int32_t id = vocab->byte_tokens[(unsigned char)piece[i]];

        ids[n] = id;
        n += id >= 0;
    }
    return n;
}

/* ---- short pieces ---- */

static size_t least(const uint64_t *merges, size_t count)
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        if (merges[i] < merges[best])
            best = i;
    return best;
}

static size_t merge_short(const merge_table *table, int32_t *ids, size_t n)
{
    uint64_t merges[SHORT_PIECE]; /* of ids[i] with ids[i + 1] */

    for (size_t i = 0; i + 1 < n; i++)
        merges[i] = merges_find(table, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t at = least(merges, n - 1);

        if (merges[at] == MERGE_NONE)
            break;
        ids[at] = (int32_t)(uint32_t)merges[at];
        n--;
        memmove(&ids[at + 1], &ids[at + 2], (n - at - 1) * sizeof(*ids));
        memmove(&merges[at], &merges[at + 1], (n - at - 1) * sizeof(*merges));
        if (at + 1 < n)
            merges[at] = merges_find(table, ids[at], ids[at + 1]);
        if (at > 0)
            merges[at - 1] = merges_find(table, ids[at - 1], ids[at]);
    }
    return n;
}

/* ---- long pieces ---- */

/* Puts the pair that begins at `left` into the heap, if the vocabulary merges it. */
static int consider(const merge_table *table, merge_memory *memory, uint32_t left)
{
    const merge_symbol *symbols = memory->symbols;
    uint32_t right;
    uint64_t merge;

    if (left == MERGE_NOWHERE || (right = symbols[left].after) == MERGE_NOWHERE)
        return 0;
    merge = merges_find(table, symbols[left].id, symbols[right].id);
    if (merge == MERGE_NONE)
        return 0;
    return merge_push(memory, (merge_candidate){merge >> 32 << 32 | left, (int32_t)(uint32_t)merge,
                                                symbols[left].length + symbols[right].length});
}

static int merge_pair(const merge_table *table, merge_memory *memory, merge_candidate candidate)
{
    uint32_t at = (uint32_t)candidate.order;
    int result;

    if (!merge_join(memory, candidate))
        return 0;
    result = consider(table, memory, memory->symbols[at].before);
    return result ? result : consider(table, memory, at);
}

static void link_symbols(merge_symbol *symbols, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        symbols[i] = (merge_symbol){
            .id = ids[i], .length = 1, .before = (uint32_t)i - 1, .after = (uint32_t)i + 1};
    symbols[0].before = MERGE_NOWHERE;
    symbols[n - 1].after = MERGE_NOWHERE;
}

static int merge_long(const merge_table *table, merge_memory *memory, int32_t *ids, size_t *count)
{
    size_t n = *count;
    int result = merge_begin(memory, n);

    if (result != 0)
        return result;
    link_symbols(memory->symbols, ids, n);
    for (size_t i = 0; i < n && result == 0; i++)
        result = consider(table, memory, (uint32_t)i);
    while (memory->heap_count && result == 0)
        result = merge_pair(table, memory, merge_pop(memory));
    if (result != 0)
        return result;
    *count = 0;
    for (uint32_t i = 0; i != MERGE_NOWHERE; i = memory->symbols[i].after)
        ids[(*count)++] = memory->symbols[i].id;
    return 0;
}

int bpe_merge(const vocabulary *vocab, merge_memory *memory, const char *piece, size_t length,
              int32_t *ids, size_t *count)
{
    size_t n = byte_tokens(vocab, piece, length, ids);

    *count = n;
    if (n > SHORT_PIECE)
        return merge_long(&vocab->merges, memory, ids, count);
    *count = merge_short(&vocab->merges, ids, n);
    return 0;
}
