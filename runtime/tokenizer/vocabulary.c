/*
 * vocabulary.c - looking things up in a loaded vocabulary
 */
#include "runtime/tokenizer/vocabulary_internal.h"

#include <stdlib.h>
#include <string.h>

void vocabulary_free(vocabulary *vocab)
{
    if (!vocab)
        return;
    merges_clear(&vocab->merges);
    token_map_clear(&vocab->whole);
    free(vocab->places);
    free(vocab->types);
    free(vocab->ranks);
    free(vocab->bytes);
    free(vocab->specials);
    free(vocab->ends);
    free(vocab->pre);
    free(vocab);
}

size_t vocabulary_count(const vocabulary *vocab)
{
    return vocab->count;
}

uint64_t vocabulary_fingerprint(const vocabulary *vocab)
{
    return vocab->fingerprint;
}

static bool inside(const vocabulary *vocab, int64_t token)
{
    return token >= 0 && (uint64_t)token < vocab->count;
}

gguf_text vocabulary_bytes(const vocabulary *vocab, int64_t token)
{
    return inside(vocab, token) ? vocabulary_text(vocab, (size_t)token) : (gguf_text){NULL, 0};
}

bool vocabulary_is_control(const vocabulary *vocab, int64_t token)
{
    return inside(vocab, token) &&
           (vocab->types[token] == TOKEN_CONTROL || vocab->types[token] == TOKEN_UNKNOWN);
}

int64_t vocabulary_special(const vocabulary *vocab, enum vocabulary_special which)
{
    return vocab->ids[which];
}

const int64_t *vocabulary_ends(const vocabulary *vocab, size_t *count)
{
    *count = vocab->end_count;
    return vocab->ends;
}

bool vocabulary_adds_bos(const vocabulary *vocab)
{
    return vocab->adds_bos;
}

/* Of the specials in [low, high), which all agree in their first `depth` bytes: the first whose
 * next byte is at least `byte`. A text that ends at `depth` stands before all others. */
static size_t lower_bound(const vocabulary *vocab, size_t low, size_t high, size_t depth,
                          unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        gguf_text text = vocabulary_text(vocab, (size_t)vocab->specials[middle]);

        if (text.length > depth && (unsigned char)text.bytes[depth] >= byte)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

int64_t vocabulary_match(const vocabulary *vocab, const char *text, size_t length, bool control)
{
    size_t low = 0;
    size_t high = vocab->special_count;
    int64_t found = -1;

    for (size_t depth = 0; depth < length && low < high; depth++) {
        unsigned byte = (unsigned char)text[depth];
        int32_t first;

        low = lower_bound(vocab, low, high, depth, byte);
        high = lower_bound(vocab, low, high, depth, byte + 1);
        if (low == high)
            break;
        first = vocab->specials[low];
        if (vocab->places[first].length == depth + 1 &&
            (control || vocab->types[first] == TOKEN_USER_DEFINED))
            found = first;
    }
    return found;
}

int64_t vocabulary_find_special(const vocabulary *vocab, gguf_text name)
{
    int64_t found = vocabulary_match(vocab, name.bytes, name.length, true);

    return found >= 0 && vocab->places[found].length == name.length ? found : -1;
}
