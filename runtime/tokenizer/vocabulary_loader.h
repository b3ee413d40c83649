/*
 * vocabulary_loader.h - a vocabulary while it is read: what the parts of the loader share
 */
#ifndef MILLRACE_TOKENIZER_VOCABULARY_LOADER_H
#define MILLRACE_TOKENIZER_VOCABULARY_LOADER_H

#include "runtime/tokenizer/vocabulary_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

typedef struct {
    const gguf *file;
    vocabulary *vocab;
    token_texts names; /* the tokens as they stand in the file */
    token_place *name_places;
    token_map by_name;
    XXH3_state_t *identity;
    char *error;
    size_t error_size;
} loader;

/* Says what is wrong with the file; false. */
__attribute__((format(printf, 2, 3))) bool loader_fail(loader *load, const char *format, ...);
bool loader_no_memory(loader *load);

/* A control, unknown or user-defined token. */
bool token_is_special(const vocabulary *v, size_t token);

/* spm_decode_name - what a token of a SentencePiece vocabulary stands for; *length is that of its
 * name and of what is written to `out` */
bool spm_decode_name(loader *load, size_t token, char *out, size_t *length);

/* spm_load - scores, tokens of single bytes and tokens by their text, behind all names */
bool spm_load(loader *load);

#endif
