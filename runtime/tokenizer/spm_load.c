/*
 * spm_load.c - reading what a SentencePiece vocabulary has besides its tokens
 *
 * Scores (tokenizer.ggml.scores) become ranks, of which the lowest is merged first. Tokens of type
 * byte are named <0x00> to <0xFF>. Tokens that a user's text must not become, and those that it
 * can't, are not in the map by which texts are merged.
 */
#include "runtime/tokenizer/spm.h"
#include "runtime/tokenizer/vocabulary_loader.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool decode_byte(loader *load, size_t token, char *out, size_t *length)
{
    gguf_text name = token_text(load->names, token);
    int high = name.length == 6 ? hex_digit(name.bytes[3]) : -1;
    int low = name.length == 6 ? hex_digit(name.bytes[4]) : -1;

    if (high < 0 || low < 0 || memcmp(name.bytes, "<0x", 3) != 0 || name.bytes[5] != '>')
        return loader_fail(load,
                           "the model file's token %zu, '%.*s', is of type byte, but is not "
                           "named <0x00> to <0xFF>",
                           token, (int)(name.length < 64 ? name.length : 64), name.bytes);
    *out = (char)(high << 4 | low);
    *length = 1;
    return true;
}

bool spm_decode_name(loader *load, size_t token, char *out, size_t *length)
{
    gguf_text name = token_text(load->names, token);

    if (load->vocab->types[token] == TOKEN_BYTE)
        return decode_byte(load, token, out, length);
    memcpy(out, name.bytes, name.length);
    *length = token_is_special(load->vocab, token) ? name.length : spm_unescape(out, name.length);
    return true;
}

/* The higher the score, the lower the rank. A float's bits, as a number, grow with its magnitude;
 * the sum makes -0 a 0. */
static uint32_t rank_of(float score)
{
    float plain = score + 0.0f;
    uint32_t bits;

    memcpy(&bits, &plain, sizeof(bits));
    return bits >> 31 ? bits : 0x7FFFFFFF - bits;
}

static bool take_scores(loader *load)
{
    vocabulary *v = load->vocab;
    gguf_array array;
    double score;

    if (!gguf_get_array(load->file, "tokenizer.ggml.scores", &array))
        return loader_fail(load, "the model file has no array 'tokenizer.ggml.scores'");
    if (array.count != v->count)
        return loader_fail(
            load, "the model file's 'tokenizer.ggml.scores' has %" PRIu64 " entries for %zu tokens",
            array.count, v->count);
    v->ranks = calloc(v->count, sizeof(*v->ranks));
    if (!v->ranks)
        return loader_no_memory(load);
    for (size_t i = 0; i < v->count; i++) {
        if (!gguf_array_f64(&array, i, &score) || isnan(score))
            return loader_fail(load,
                               "the model file's 'tokenizer.ggml.scores' of token %zu is not a "
                               "number",
                               i);
        v->ranks[i] = rank_of((float)score);
    }
    XXH3_64bits_update(load->identity, array.bytes, array.size);
    return true;
}

/* Whether a text can be merged to the token: its name has blanks in SentencePiece's way alone. */
static bool may_be_made(const loader *load, size_t token)
{
    unsigned char type = load->vocab->types[token];
    gguf_text name = token_text(load->names, token);

    return (type == TOKEN_NORMAL || type == TOKEN_UNUSED) && name.length > 0 &&
           !memchr(name.bytes, ' ', name.length);
}

static bool has_inner_blank(gguf_text text)
{
    for (size_t i = 1; i < text.length; i++)
        if (text.bytes[i] == ' ' && text.bytes[i - 1] != ' ')
            return true;
    return false;
}

static bool index_texts(loader *load)
{
    vocabulary *v = load->vocab;

    v->blanks_begin = true;
    if (token_map_init(&v->whole, (token_texts){v->bytes, v->places}, v->count) != 0)
        return loader_no_memory(load);
    for (size_t i = 0; i < v->count; i++) {
        if (!may_be_made(load, i))
            continue;
        if (token_map_add(&v->whole, (int32_t)i) != 0)
            return loader_fail(load, "the model file's vocabulary can't be indexed; it was made "
                                     "to be slow");
        if (has_inner_blank(vocabulary_text(v, i)))
            v->blanks_begin = false;
    }
    return true;
}

static void find_bytes(vocabulary *v)
{
    memset(v->byte_tokens, 0xFF, sizeof(v->byte_tokens));
    for (size_t i = v->count; i-- > 0;)
        if (v->types[i] == TOKEN_BYTE)
            v->byte_tokens[(unsigned char)v->bytes[v->places[i].start]] = (int32_t)i;
}

bool spm_load(loader *load)
{
    find_bytes(load->vocab);
    return take_scores(load) && index_texts(load);
}
