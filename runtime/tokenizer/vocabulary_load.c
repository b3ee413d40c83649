/*
 * vocabulary_load.c - reading a vocabulary out of a GGUF file
 *
 * The keys: tokenizer.ggml.{model, pre, tokens, token_type, merges, *_token_id, add_bos_token,
 * add_space_prefix}; spm_load.c has those of SentencePiece vocabularies. What is refused: another
 * model than the two, ids outside of the vocabulary, arrays of the wrong type or length, a merge of
 * words that are no tokens. A merge that has to do with a control token is left out: a user's text
 * must never become one.
 */
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/text_copy.h"
#include "runtime/tokenizer/vocabulary_loader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_TOKENS = 1 << 24, /* the largest vocabularies have some hundred thousand */
    MAX_MERGES = 1 << 25,
    MAX_TOKEN_BYTES = 4096,  /* as written in the file; the longest known are runs of blanks */
    MAX_SPECIAL_BYTES = 512, /* each byte of a text may be compared with that many */
};

bool loader_fail(loader *load, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(load->error, load->error_size, format, args);
    va_end(args);
    text_make_printable(load->error);
    return false;
}

bool loader_no_memory(loader *load)
{
    return loader_fail(load, "no memory for the model's vocabulary");
}

static bool is_named(gguf_text text, const char *name)
{
    return text.length == strlen(name) && memcmp(text.bytes, name, text.length) == 0;
}

static bool take_model(loader *load)
{
    gguf_text model;

    if (!gguf_string(load->file, "tokenizer.ggml.model", &model))
        return loader_fail(load, "the model file has no key 'tokenizer.ggml.model'; give one that "
                                 "carries its tokenizer");
    load->vocab->by_score = is_named(model, "llama");
    if (!load->vocab->by_score && !is_named(model, "gpt2"))
        return loader_fail(load,
                           "the model file's tokenizer is '%.*s'; only byte-level BPE ('gpt2') and "
                           "SentencePiece BPE ('llama') can be read",
                           (int)(model.length < 64 ? model.length : 64), model.bytes);
    return true;
}

static bool take_pre(loader *load)
{
    vocabulary *v = load->vocab;
    gguf_text pre = {"default", 7};

    gguf_string(load->file, "tokenizer.ggml.pre", &pre);
    v->pre = text_copy(pre);
    if (!v->pre)
        return loader_no_memory(load);
    v->takes_whole = !v->by_score && strcmp(v->pre, "llama-bpe") == 0;
    return true;
}

static bool get_strings(loader *load, const char *key, uint64_t most, gguf_array *array)
{
    if (!gguf_get_array(load->file, key, array))
        return loader_fail(load, "the model file has no array '%s'", key);
    if (array->count > most)
        return loader_fail(load,
                           "the model file's '%s' has %" PRIu64 " entries, the limit is %" PRIu64,
                           key, array->count, most);
    return true;
}

static bool index_names(loader *load)
{
    size_t count = load->vocab->count;

    if (token_map_init(&load->by_name, load->names, count) != 0)
        return loader_no_memory(load);
    for (size_t i = 0; i < count; i++)
        if (token_map_add(&load->by_name, (int32_t)i) != 0)
            return loader_fail(load,
                               "the model file's 'tokenizer.ggml.tokens' can't be indexed; it was "
                               "made to be slow");
    return true;
}

static bool take_tokens(loader *load)
{
    gguf_array array;
    gguf_strings strings;
    gguf_text name;

    if (!get_strings(load, "tokenizer.ggml.tokens", MAX_TOKENS, &array))
        return false;
    if (array.count == 0)
        return loader_fail(load, "the model file's 'tokenizer.ggml.tokens' is empty");
    if (!gguf_array_strings(&array, &strings))
        return loader_fail(load,
                           "the model file's 'tokenizer.ggml.tokens' is not an array of strings");
    load->vocab->count = (size_t)array.count;
    load->name_places = calloc(load->vocab->count, sizeof(*load->name_places));
    if (!load->name_places)
        return loader_no_memory(load);
    load->names = (token_texts){(const char *)array.bytes, load->name_places};
    for (token_place *place = load->name_places; gguf_strings_next(&strings, &name); place++)
        *place = (token_place){(uint32_t)(name.bytes - load->names.bytes), (uint32_t)name.length};
    XXH3_64bits_update(load->identity, array.bytes, array.size);
    return index_names(load);
}

static bool take_types(loader *load)
{
    vocabulary *v = load->vocab;
    gguf_array array;
    int64_t type;

    v->types = malloc(v->count);
    if (!v->types)
        return loader_no_memory(load);
    memset(v->types, TOKEN_NORMAL, v->count);
    if (!gguf_get_array(load->file, "tokenizer.ggml.token_type", &array))
        return true;
    if (array.count != v->count)
        return loader_fail(load,
                           "the model file's 'tokenizer.ggml.token_type' has %" PRIu64
                           " entries for %zu tokens",
                           array.count, v->count);
    for (size_t i = 0; i < v->count; i++) {
        if (!gguf_array_i64(&array, i, &type) || type < TOKEN_NORMAL || type > TOKEN_BYTE)
            return loader_fail(load,
                               "the model file's 'tokenizer.ggml.token_type' of token %zu is not "
                               "a number in 1 to 6",
                               i);
        v->types[i] = (unsigned char)type;
    }
    return true;
}

bool token_is_special(const vocabulary *v, size_t token)
{
    return v->types[token] == TOKEN_CONTROL || v->types[token] == TOKEN_UNKNOWN ||
           v->types[token] == TOKEN_USER_DEFINED;
}

static bool check_lengths(loader *load)
{
    for (size_t i = 0; i < load->vocab->count; i++) {
        size_t most = token_is_special(load->vocab, i) ? MAX_SPECIAL_BYTES : MAX_TOKEN_BYTES;

        if (load->name_places[i].length > most)
            return loader_fail(load,
                               "the model file's token %zu has %" PRIu32 " bytes, the limit is %zu",
                               i, load->name_places[i].length, most);
    }
    return true;
}

/* A name that isn't written in the byte-level alphabet, or is a special token's, stands for
 * itself. */
static void decode_name(const loader *load, size_t token, char *out, size_t *length)
{
    gguf_text name = token_text(load->names, token);

    if (!token_is_special(load->vocab, token) &&
        byte_level_decode(name.bytes, name.length, (unsigned char *)out, length))
        return;
    *length = name.length;
    memcpy(out, name.bytes, name.length);
}

/* Fills bytes and places with what the names stand for. */
static bool decode_names(loader *load)
{
    vocabulary *v = load->vocab;
    size_t room = 0;
    char *next;

    for (size_t i = 0; i < v->count; i++)
        room += load->name_places[i].length;
    v->places = calloc(v->count, sizeof(*v->places));
    v->bytes = next = malloc(room + 1);
    if (!v->places || !v->bytes)
        return loader_no_memory(load);
    v->longest = 1;
    for (size_t i = 0; i < v->count; i++) {
        size_t length = 0;

        if (!v->by_score)
            decode_name(load, i, next, &length);
        else if (!spm_decode_name(load, i, next, &length))
            return false;
        v->places[i] = (token_place){(uint32_t)(next - v->bytes), (uint32_t)length};
        v->longest = length > v->longest ? length : v->longest;
        next += length;
    }
    v->byte_count = (size_t)(next - v->bytes);
    return true;
}

static void find_byte_tokens(vocabulary *v)
{
    for (size_t byte = 0; byte < 256; byte++)
        v->byte_tokens[byte] = -1;
    for (size_t i = v->count; i-- > 0;)
        if (v->places[i].length == 1 && !token_is_special(v, i))
            v->byte_tokens[(unsigned char)v->bytes[v->places[i].start]] = (int32_t)i;
}

/* Vocabularies of this kind take a piece that is a token whole, without regard to the merges. */
static bool index_whole(loader *load)
{
    vocabulary *v = load->vocab;

    if (!v->takes_whole)
        return true;
    if (token_map_init(&v->whole, (token_texts){v->bytes, v->places}, v->count) != 0)
        return loader_no_memory(load);
    for (size_t i = 0; i < v->count; i++)
        if (!token_is_special(v, i) && token_map_add(&v->whole, (int32_t)i) != 0)
            return loader_fail(load,
                               "the model file's vocabulary can't be indexed; it was made to be "
                               "slow");
    return true;
}

static int by_text(const void *a, const void *b, void *context)
{
    const vocabulary *v = context;
    gguf_text left = vocabulary_text(v, (size_t) * (const int32_t *)a);
    gguf_text right = vocabulary_text(v, (size_t) * (const int32_t *)b);
    size_t shared = left.length < right.length ? left.length : right.length;
    int order = memcmp(left.bytes, right.bytes, shared);

    return order ? order : (left.length > right.length) - (left.length < right.length);
}

static bool list_specials(loader *load)
{
    vocabulary *v = load->vocab;

    for (size_t i = 0; i < v->count; i++)
        v->special_count += token_is_special(v, i) && v->places[i].length;
    v->specials = malloc((v->special_count + 1) * sizeof(*v->specials));
    if (!v->specials)
        return loader_no_memory(load);
    for (size_t i = 0, n = 0; i < v->count; i++) {
        if (!token_is_special(v, i) || v->places[i].length == 0)
            continue;
        v->specials[n++] = (int32_t)i;
        v->has_user_defined |= v->types[i] == TOKEN_USER_DEFINED;
    }
    qsort_r(v->specials, v->special_count, sizeof(*v->specials), by_text, v);
    return true;
}

static bool add_merge(loader *load, gguf_text text, uint32_t rank)
{
    vocabulary *v = load->vocab;
    const char *blank = text.length > 2 ? memchr(text.bytes + 1, ' ', text.length - 1) : NULL;
    size_t left_length = blank ? (size_t)(blank - text.bytes) : 0;
    char joined[MAX_TOKEN_BYTES];
    int32_t left;
    int32_t right;
    int32_t whole;

    if (!blank)
        return loader_fail(load, "the model file's merge %" PRIu32 " is not two words", rank);
    if (text.length > sizeof(joined))
        return loader_fail(load,
                           "the model file's merge %" PRIu32 " has %zu bytes, the limit is %zu",
                           rank, text.length, sizeof(joined));
    memcpy(joined, text.bytes, left_length);
    memcpy(joined + left_length, blank + 1, text.length - left_length - 1);
    left = token_map_find(&load->by_name, (gguf_text){joined, left_length});
    right = token_map_find(&load->by_name,
                           (gguf_text){joined + left_length, text.length - left_length - 1});
    whole = token_map_find(&load->by_name, (gguf_text){joined, text.length - 1});
    if (left < 0 || right < 0 || whole < 0)
        return loader_fail(load,
                           "the model file's merge %" PRIu32
                           ", '%.*s', has to do with a word that is no "
                           "token of its vocabulary",
                           rank, (int)(text.length < 64 ? text.length : 64), text.bytes);
    if (token_is_special(v, (size_t)left) || token_is_special(v, (size_t)right) ||
        token_is_special(v, (size_t)whole))
        return true;
    if (merges_add(&v->merges, left, right, rank, whole) != 0)
        return loader_fail(load,
                           "the model file's 'tokenizer.ggml.merges' can't be indexed; it was made "
                           "to be slow");
    return true;
}

static bool take_merges(loader *load)
{
    gguf_array array;
    gguf_strings strings;
    gguf_text text;

    if (!get_strings(load, "tokenizer.ggml.merges", MAX_MERGES, &array))
        return false;
    if (!gguf_array_strings(&array, &strings))
        return loader_fail(load,
                           "the model file's 'tokenizer.ggml.merges' is not an array of strings");
    if (merges_init(&load->vocab->merges, (size_t)array.count) != 0)
        return loader_no_memory(load);
    for (uint32_t rank = 0; gguf_strings_next(&strings, &text); rank++)
        if (!add_merge(load, text, rank))
            return false;
    XXH3_64bits_update(load->identity, array.bytes, array.size);
    return true;
}

static bool take_id(loader *load, const char *key, int64_t *id)
{
    uint64_t number;

    *id = -1;
    if (!gguf_u64(load->file, key, &number))
        return true;
    if (number >= load->vocab->count)
        return loader_fail(load, "the model file's '%s' is %" PRIu64 ", but it has %zu tokens", key,
                           number, load->vocab->count);
    *id = (int64_t)number;
    return true;
}

static bool take_ids(loader *load)
{
    static const char *const keys[VOCABULARY_SPECIALS] = {
        [VOCABULARY_BOS] = "tokenizer.ggml.bos_token_id",
        [VOCABULARY_EOS] = "tokenizer.ggml.eos_token_id",
        [VOCABULARY_EOT] = "tokenizer.ggml.eot_token_id",
        [VOCABULARY_UNKNOWN] = "tokenizer.ggml.unknown_token_id",
        [VOCABULARY_PADDING] = "tokenizer.ggml.padding_token_id",
    };

    for (size_t i = 0; i < VOCABULARY_SPECIALS; i++)
        if (!take_id(load, keys[i], &load->vocab->ids[i]))
            return false;
    return true;
}

static int by_id(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

/* Names by which families of models call the token that ends a turn or a text; their files often
 * give only one of several as eos. Source: the models' own tokenizer files. */
static const char *const end_names[] = {
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>",      "<|endoftext|>", "<|end_of_text|>",
    "<|end|>",    "</s>",       "<|end_of_turn|>", "<end_of_turn>",
};

static void add_end(vocabulary *v, int64_t id)
{
    for (size_t i = 0; i < v->end_count; i++)
        if (v->ends[i] == id)
            return;
    if (id >= 0)
        v->ends[v->end_count++] = id;
}

static bool list_ends(loader *load)
{
    vocabulary *v = load->vocab;
    size_t names = sizeof(end_names) / sizeof(end_names[0]);
    int64_t eom;

    v->ends = calloc(names + 3, sizeof(*v->ends));
    if (!v->ends)
        return loader_no_memory(load);
    if (!take_id(load, "tokenizer.ggml.eom_token_id", &eom))
        return false;
    add_end(v, v->ids[VOCABULARY_EOS]);
    add_end(v, v->ids[VOCABULARY_EOT]);
    add_end(v, eom);
    for (size_t i = 0; i < names; i++) {
        int64_t id = vocabulary_find_special(v, (gguf_text){end_names[i], strlen(end_names[i])});

        if (vocabulary_is_control(v, id))
            add_end(v, id);
    }
    qsort(v->ends, v->end_count, sizeof(*v->ends), by_id);
    return true;
}

static bool take_settings(loader *load)
{
    vocabulary *v = load->vocab;

    /* what the absence of the keys means for these models */
    v->adds_bos = v->takes_whole || v->by_score;
    v->adds_space = v->by_score;
    gguf_bool(load->file, "tokenizer.ggml.add_bos_token", &v->adds_bos);
    gguf_bool(load->file, "tokenizer.ggml.add_space_prefix", &v->adds_space);
    if (v->adds_bos && v->ids[VOCABULARY_BOS] < 0)
        return loader_fail(load,
                           "the model file wants texts to begin with a BOS token, but has no key "
                           "'tokenizer.ggml.bos_token_id'");
    return true;
}

static void finish_identity(loader *load)
{
    vocabulary *v = load->vocab;
    const unsigned char settings[3] = {v->adds_bos, v->adds_space, v->by_score};

    XXH3_64bits_update(load->identity, v->types, v->count);
    XXH3_64bits_update(load->identity, v->ids, sizeof(v->ids));
    XXH3_64bits_update(load->identity, v->ends, v->end_count * sizeof(*v->ends));
    XXH3_64bits_update(load->identity, settings, sizeof(settings));
    XXH3_64bits_update(load->identity, v->pre, strlen(v->pre));
    v->fingerprint = XXH3_64bits_digest(load->identity);
}

static bool bpe_load(loader *load)
{
    find_byte_tokens(load->vocab);
    return index_whole(load) && take_merges(load);
}

static bool load_all(loader *load)
{
    if (!take_model(load) || !take_pre(load) || !take_tokens(load) || !take_types(load) ||
        !check_lengths(load) || !decode_names(load))
        return false;
    if (!(load->vocab->by_score ? spm_load(load) : bpe_load(load)) || !list_specials(load) ||
        !take_ids(load) || !list_ends(load) || !take_settings(load))
        return false;
    finish_identity(load);
    return true;
}

vocabulary *vocabulary_load(const gguf *file, char *error, size_t error_size)
{
    loader load = {.file = file, .error = error, .error_size = error_size};
    bool ok;

    load.vocab = calloc(1, sizeof(*load.vocab));
    load.identity = XXH3_createState();
    if (load.vocab && load.identity) {
        XXH3_64bits_reset(load.identity);
        ok = load_all(&load);
    } else {
        ok = loader_no_memory(&load);
    }
    XXH3_freeState(load.identity);
    token_map_clear(&load.by_name);
    free(load.name_places);
    if (ok)
        return load.vocab;
    vocabulary_free(load.vocab);
    return NULL;
}
