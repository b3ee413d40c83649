/*
 * small_vocabulary.h - vocabularies of a few tokens, made for one test each
 */
#ifndef MILLRACE_TESTS_TOKENIZER_SMALL_VOCABULARY_H
#define MILLRACE_TESTS_TOKENIZER_SMALL_VOCABULARY_H

#include "models/gguf_internal.h"
#include "tests/tokenizer/fixture.h"

enum { SMALL_MAX = 512 };

/* Tokens, types and merges of a file; what else it has is up to the test. */
typedef struct {
    const char *tokens[SMALL_MAX];
    int32_t types[SMALL_MAX]; /* 0 counts as 1, normal */
    size_t token_count;
    const char *merges[SMALL_MAX];
    size_t merge_count;
} small_vocabulary;

/* Begins a file with the keys that every one has. The test adds its own, then calls
 * small_vocabulary_load(), or fixture_parse() after gguf_builder_finish(). */
void small_vocabulary_begin(const small_vocabulary *small, const char *pre, gguf_builder *builder);

/* Finishes and loads; NULL with `error` set if it is refused. *file is to be closed. */
vocabulary *small_vocabulary_load(gguf_builder *builder, gguf **file, char *error,
                                  size_t error_size);

#endif
