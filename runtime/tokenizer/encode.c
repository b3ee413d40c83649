/*
 * encode.c - from text to tokens
 *
 * The text falls into sections and special tokens: a section ends where a special token that
 * counts there begins. A section is repaired, cut into pieces, and each piece merged, by way of
 * the cache if it is a word.
 *
 * Memory: the ids that were made (at most the caller's limit), one repaired section, and what
 * merging the longest piece needs. A piece of more bytes than the remaining limit times the
 * longest token is refused before it is merged.
 */
#include "runtime/tokenizer/encode.h"
#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/grow.h"
#include "runtime/tokenizer/pretokenize.h"
#include "runtime/tokenizer/spm.h"
#include "runtime/tokenizer/utf8.h"
#include "runtime/tokenizer/word_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct encoder {
    const vocabulary *vocab;
    pretokenizer *cutter; /* NULL for a vocabulary by score, which has none */
    word_cache cache;
    merge_memory memory;

    int64_t *ids;
    size_t id_room;
    size_t count;
    size_t limit;

    int32_t *piece; /* ids of one piece */
    size_t piece_room;
    char *section; /* a section that had to be changed */
    size_t section_room;
};

encoder *encoder_new(const vocabulary *vocab, char *error, size_t error_size)
{
    encoder *new = calloc(1, sizeof(*new));

    if (!new || word_cache_init(&new->cache) != 0) {
        snprintf(error, error_size, "no memory for an encoder");
        free(new);
        return NULL;
    }
    new->vocab = vocab;
    if (!vocab->by_score)
        new->cutter = pretokenizer_new(vocab->pre, true, error, error_size);
    if (!new->cutter && !vocab->by_score) {
        encoder_free(new);
        return NULL;
    }
    return new;
}

void encoder_free(encoder *coder)
{
    if (!coder)
        return;
    pretokenizer_free(coder->cutter);
    word_cache_clear(&coder->cache);
    merge_memory_free(&coder->memory);
    free(coder->ids);
    free(coder->piece);
    free(coder->section);
    free(coder);
}

static int append(encoder *coder, const int32_t *ids, size_t count)
{
    if (count > coder->limit - coder->count)
        return -E2BIG;
    if (!GROW(coder->ids, coder->id_room, coder->count + count))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        coder->ids[coder->count + i] = ids[i];
    coder->count += count;
    return 0;
}

/* A piece without regard to the cache; the ids are in encoder->piece. */
static int merge_piece(encoder *coder, const char *piece, size_t length, size_t *count)
{
    const vocabulary *vocab = coder->vocab;
    int32_t whole = -1;

    if (length / vocab->longest > coder->limit - coder->count)
        return -E2BIG;
    if (!GROW(coder->piece, coder->piece_room, length))
        return -ENOMEM;
    if (vocab->by_score)
        return spm_merge(vocab, &coder->memory, piece, length, coder->piece, count);
    if (vocab->takes_whole)
        whole = token_map_find(&vocab->whole, (gguf_text){piece, length});
    if (whole >= 0) {
        coder->piece[0] = whole;
        *count = 1;
        return 0;
    }
    return bpe_merge(vocab, &coder->memory, piece, length, coder->piece, count);
}

static int encode_piece(encoder *coder, const char *piece, size_t length)
{
    word_cache_entry *entry = NULL;
    size_t count;
    int hit = 0;
    int result;

    if (length <= WORD_CACHE_BYTES)
        entry = word_cache_place(&coder->cache, piece, length, &hit);
    if (hit)
        return append(coder, entry->ids, entry->count);
    result = merge_piece(coder, piece, length, &count);
    if (result != 0)
        return result;
    if (entry)
        word_cache_put(entry, piece, length, coder->piece, count);
    return append(coder, coder->piece, count);
}

static int piece_end(encoder *coder, const char *text, size_t length, size_t start, size_t *end)
{
    if (!coder->vocab->by_score)
        return pretokenizer_next(coder->cutter, text, length, start, end);
    *end = spm_piece_end(coder->vocab, text, length, start);
    return 0;
}

static int encode_pieces(encoder *coder, const char *text, size_t length)
{
    size_t start = 0;
    size_t end;
    int result = 0;

    while (start < length && result == 0) {
        result = piece_end(coder, text, length, start, &end);
        if (result != 0)
            break;
        result = encode_piece(coder, text + start, end - start);
        start = end;
    }
    return result;
}

/* Text without special tokens: repaired, and with a blank in front if the vocabulary wants it. */
static int encode_section(encoder *coder, const char *text, size_t length)
{
    const vocabulary *vocab = coder->vocab;
    bool blank = vocab->adds_space && length && (vocab->by_score || text[0] != ' ');
    size_t used = 0;

    if (!blank && !vocab->by_score && utf8_valid(text, length) == length)
        return encode_pieces(coder, text, length);
    if (!GROW(coder->section, coder->section_room, UTF8_REPAIRED_ROOM(length) + 1))
        return -ENOMEM;
    if (blank)
        coder->section[used++] = ' ';
    used += utf8_repair(text, length, coder->section + used);
    if (vocab->by_score)
        used = spm_unescape(coder->section, used);
    return encode_pieces(coder, coder->section, used);
}

/* The special token that counts at `at`, or -1. `own` is the range that `at` is in, or NULL. */
static int64_t special_at(const encoder *coder, const encoder_text *text, size_t at,
                          const text_range *own)
{
    const vocabulary *vocab = coder->vocab;
    int64_t id = -1;

    if (own)
        id = vocabulary_match(vocab, text->bytes + at, own->end - at, true);
    if (id < 0 && vocab->has_user_defined)
        id = vocabulary_match(vocab, text->bytes + at, text->length - at, false);
    return id;
}

/* The first special token at or behind `at`; *start is text->length if there is none. `own` is
 * moved along: the first range that isn't behind. */
static int64_t next_special(const encoder *coder, const encoder_text *text, size_t at, size_t *own,
                            size_t *start)
{
    for (; at < text->length; at++) {
        const text_range *range;
        int64_t id;

        while (*own < text->own_count && text->own[*own].end <= at)
            ++*own;
        range = *own < text->own_count ? &text->own[*own] : NULL;
        if (!coder->vocab->has_user_defined) {
            if (!range)
                break;
            if (at < range->start)
                at = range->start;
        }
        id = special_at(coder, text, at, range && range->start <= at ? range : NULL);
        if (id >= 0) {
            *start = at;
            return id;
        }
    }
    *start = text->length;
    return -1;
}

static int append_id(encoder *coder, int64_t id)
{
    int32_t narrow = (int32_t)id;

    return append(coder, &narrow, 1);
}

static int encode_all(encoder *coder, const encoder_text *text)
{
    size_t at = 0;
    size_t own = 0;
    size_t start;
    int result = 0;

    if (text->begin && coder->vocab->adds_bos)
        result = append_id(coder, vocabulary_special(coder->vocab, VOCABULARY_BOS));
    while (at < text->length && result == 0) {
        int64_t id = next_special(coder, text, at, &own, &start);

        result = encode_section(coder, text->bytes + at, start - at);
        if (id < 0)
            break;
        if (result == 0)
            result = append_id(coder, id);
        at = start + vocabulary_bytes(coder->vocab, id).length;
    }
    return result;
}

int encoder_run(encoder *coder, const encoder_text *text, size_t limit, encoder_tokens *tokens)
{
    int result;

    coder->count = 0;
    coder->limit = limit;
    result = encode_all(coder, text);
    if (result == 0)
        *tokens = (encoder_tokens){coder->ids, coder->count};
    return result;
}
