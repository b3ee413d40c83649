/*
 * spm.c - merging the characters of a text into tokens, by the tokens' scores
 *
 * A pair is looked up by its text, since that is all that decides whether it is a token.
 */
#include "runtime/tokenizer/spm.h"
#include "runtime/tokenizer/grow.h"
#include "runtime/tokenizer/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* A symbol a character, whose id isn't looked up yet: -1. */
static void link_symbols(merge_symbol *symbols, const char *piece, size_t length)
{
    uint32_t n = 0;
    bool valid;

    for (size_t at = 0; at < length; at += symbols[n++].length)
        symbols[n] = (merge_symbol){
            -1, (uint32_t)at, (uint32_t)utf8_step(piece + at, length - at, &valid), n - 1, n + 1};
    symbols[0].before = MERGE_NOWHERE;
    symbols[n - 1].after = MERGE_NOWHERE;
}

/* Puts the pair that begins at `left` into the heap, if it is a token. */
static int consider(const vocabulary *vocab, merge_memory *memory, const char *piece, uint32_t left)
{
    const merge_symbol *symbols = memory->symbols;
    uint32_t right;
    gguf_text both;
    int32_t id;

    if (left == MERGE_NOWHERE || (right = symbols[left].after) == MERGE_NOWHERE)
        return 0;
    both = (gguf_text){piece + symbols[left].start, symbols[left].length + symbols[right].length};
    if (both.length > vocab->longest || (id = token_map_find(&vocab->whole, both)) < 0)
        return 0;
    return merge_push(memory, (merge_candidate){(uint64_t)vocab->ranks[id] << 32 | left, id,
                                                (uint32_t)both.length});
}

static int merge_pair(const vocabulary *vocab, merge_memory *memory, const char *piece,
                      merge_candidate candidate)
{
    uint32_t at = (uint32_t)candidate.order;
    int result;

    if (!merge_join(memory, candidate))
        return 0;
    result = consider(vocab, memory, piece, memory->symbols[at].before);
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

static size_t write_out(const vocabulary *vocab, const merge_memory *memory, const char *piece,
                        int32_t *ids)
{
    size_t count = 0;

    for (uint32_t i = 0; i != MERGE_NOWHERE; i = memory->symbols[i].after) {
        const merge_symbol *symbol = &memory->symbols[i];
        gguf_text text = {piece + symbol->start, symbol->length};
        int32_t id = symbol->id >= 0 ? symbol->id : token_map_find(&vocab->whole, text);

        if (id >= 0)
            ids[count++] = id;
        else
            count += spell(vocab, text.bytes, text.length, ids + count);
    }
    return count;
}

int spm_merge(const vocabulary *vocab, merge_memory *memory, const char *piece, size_t length,
              int32_t *ids, size_t *count)
{
    int result = merge_begin(memory, length);

    if (result != 0)
        return result;
    link_symbols(memory->symbols, piece, length);
    for (uint32_t i = 0; i != MERGE_NOWHERE && result == 0; i = memory->symbols[i].after)
        result = consider(vocab, memory, piece, i);
    while (memory->heap_count && result == 0)
        result = merge_pair(vocab, memory, piece, merge_pop(memory));
    if (result == 0)
        *count = write_out(vocab, memory, piece, ids);
    return result;
}
