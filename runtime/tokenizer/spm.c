/*
 * spm.c - merging the characters of a text into tokens, by the tokens' scores
 *
 * Symbols are a linked list over the piece's bytes, with a heap of candidates (merge_heap.h). A
 * pair is looked up by its text, since that is all that decides whether it is a token.
 */
#include "runtime/tokenizer/spm.h"
#include "runtime/tokenizer/grow.h"
#include "runtime/tokenizer/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX

typedef struct spm_symbol {
    uint32_t start;
    uint32_t length; /* in bytes; 0: it was merged into the one before it */
    uint32_t before;
    uint32_t after;
    int32_t id; /* of the token that it was merged to; -1: a character, not looked up yet */
} spm_symbol;

void spm_memory_free(spm_memory *memory)
{
    free(memory->symbols);
    merge_heap_free(&memory->heap);
    *memory = (spm_memory){0};
}

size_t spm_unescape(char *text, size_t length)
{
    size_t used = 0;

    for (size_t i = 0; i < length; used++)
        if (length - i >= 3 && memcmp(text + i, "\xE2\x96\x81", 3) == 0) {
            text[used] = ' ';
            i += 3;
        } else {
            text[used] = text[i++];
        }
    return used;
}

size_t spm_piece_end(const vocabulary *vocab, const char *text, size_t length, size_t start)
{
    if (!vocab->blanks_begin)
        return length;
    while (++start < length)
        if (text[start] == ' ' && text[start - 1] != ' ')
            break;
    return start;
}

static int link_symbols(spm_memory *memory, const char *piece, size_t length)
{
    spm_symbol *symbols;
    uint32_t n = 0;
    bool valid;

    if (!GROW(memory->symbols, memory->symbol_room, length))
        return -ENOMEM;
    symbols = memory->symbols;
    for (size_t at = 0; at < length; at += symbols[n++].length)
        symbols[n] = (spm_symbol){
            (uint32_t)at, (uint32_t)utf8_step(piece + at, length - at, &valid), n - 1, n + 1, -1};
    symbols[0].before = NOWHERE;
    symbols[n - 1].after = NOWHERE;
    return 0;
}

/* Puts the pair that begins at `left` into the heap, if it is a token. */
static int consider(const vocabulary *vocab, spm_memory *memory, const char *piece, uint32_t left)
{
    const spm_symbol *symbols = memory->symbols;
    uint32_t right;
    gguf_text both;
    int32_t id;

    if (left == NOWHERE || (right = symbols[left].after) == NOWHERE)
        return 0;
    both = (gguf_text){piece + symbols[left].start, symbols[left].length + symbols[right].length};
    if (both.length > vocab->longest || (id = token_map_find(&vocab->whole, both)) < 0)
        return 0;
    return merge_heap_push(&memory->heap, (merge_candidate){(uint64_t)vocab->ranks[id] << 32 | left,
                                                            id, (uint32_t)both.length});
}

static int merge_pair(const vocabulary *vocab, spm_memory *memory, const char *piece,
                      merge_candidate candidate)
{
    spm_symbol *symbols = memory->symbols;
    uint32_t at = (uint32_t)candidate.order;
    spm_symbol *left = &symbols[at];
    int result;

    if (left->length == 0 || left->after == NOWHERE ||
        left->length + symbols[left->after].length != candidate.length)
        return 0;
    left->id = candidate.id;
    left->length = candidate.length;
    symbols[left->after].length = 0;
    left->after = symbols[left->after].after;
    if (left->after != NOWHERE)
        symbols[left->after].before = at;
    result = consider(vocab, memory, piece, left->before);
    return result ? result : consider(vocab, memory, piece, at);
}

/* The tokens of a character's bytes; returns how many. */
static size_t spell(const vocabulary *vocab, const char *bytes, size_t length, int32_t *ids)
{
    int64_t unknown = vocab->ids[VOCABULARY_UNKNOWN];

    for (size_t i = 0; i < length; i++) {
        ids[i] = vocab->byte_tokens[(unsigned char)bytes[i]];
        if (ids[i] < 0) {
            ids[0] = (int32_t)unknown;
            return unknown >= 0;
        }
    }
    return length;
}

static size_t write_out(const vocabulary *vocab, const spm_memory *memory, const char *piece,
                        int32_t *ids)
{
    size_t count = 0;

    for (uint32_t i = 0; i != NOWHERE; i = memory->symbols[i].after) {
        const spm_symbol *symbol = &memory->symbols[i];
        gguf_text text = {piece + symbol->start, symbol->length};
        int32_t id = symbol->id >= 0 ? symbol->id : token_map_find(&vocab->whole, text);

        if (id >= 0)
            ids[count++] = id;
        else
            count += spell(vocab, text.bytes, text.length, ids + count);
    }
    return count;
}

int spm_merge(const vocabulary *vocab, spm_memory *memory, const char *piece, size_t length,
              int32_t *ids, size_t *count)
{
    int result = link_symbols(memory, piece, length);

    memory->heap.count = 0;
    for (uint32_t i = 0; i != NOWHERE && result == 0; i = memory->symbols[i].after)
        result = consider(vocab, memory, piece, i);
    while (memory->heap.count && result == 0)
        result = merge_pair(vocab, memory, piece, merge_heap_pop(&memory->heap));
    if (result == 0)
        *count = write_out(vocab, memory, piece, ids);
    return result;
}
