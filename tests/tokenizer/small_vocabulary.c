/*
 * small_vocabulary.c - vocabularies of a few tokens, made for one test each
 */
#include "tests/tokenizer/small_vocabulary.h"

#include <check.h>
#include <string.h>

void small_vocabulary_begin(const small_vocabulary *small, const char *pre, gguf_builder *builder)
{
    int32_t types[SMALL_MAX];

    for (size_t i = 0; i < small->token_count; i++)
        types[i] = small->types[i] ? small->types[i] : 1;
    gguf_builder_begin(builder, 3);
    gguf_builder_add_string(builder, "tokenizer.ggml.model", "gpt2");
    if (pre)
        gguf_builder_add_string(builder, "tokenizer.ggml.pre", pre);
    gguf_builder_add_strings(builder, "tokenizer.ggml.tokens", small->tokens, small->token_count);
    gguf_builder_add_i32s(builder, "tokenizer.ggml.token_type", types, small->token_count);
    gguf_builder_add_strings(builder, "tokenizer.ggml.merges", small->merges, small->merge_count);
}

vocabulary *small_vocabulary_load(gguf_builder *builder, gguf **file, char *error,
                                  size_t error_size)
{
    gguf_builder_finish(builder, 0);
    *file = gguf_parse(builder->bytes, builder->length, "small", error, error_size);
    ck_assert_msg(*file != NULL, "%s", error);
    return vocabulary_load(*file, error, error_size);
}
