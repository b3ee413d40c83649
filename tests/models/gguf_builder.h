/*
 * gguf_builder.h - makes GGUF files in memory, good ones and bad ones, for tests
 *
 * Calls append in the order of the format: pairs, then tensors, then gguf_builder_finish(). What
 * is written is not checked, so that a test can write what no program should. Out of memory ends
 * the test.
 */
#ifndef MILLRACE_TESTS_MODELS_GGUF_BUILDER_H
#define MILLRACE_TESTS_MODELS_GGUF_BUILDER_H

#include "models/gguf.h"

typedef struct {
    unsigned char *bytes;
    size_t length;
    size_t room;
    uint64_t pairs;
    uint64_t tensors;
} gguf_builder;

void gguf_builder_begin(gguf_builder *builder, uint32_t version);
void gguf_builder_free(gguf_builder *builder);

/* Pieces of the format. */
void gguf_builder_bytes(gguf_builder *builder, const void *bytes, size_t length);
void gguf_builder_u32(gguf_builder *builder, uint32_t number);
void gguf_builder_u64(gguf_builder *builder, uint64_t number);
void gguf_builder_text(gguf_builder *builder, const char *text);

/* A pair's key and type; its value is to follow. */
void gguf_builder_key(gguf_builder *builder, const char *key, uint32_t type);

/* Whole pairs. */
void gguf_builder_add_u32(gguf_builder *builder, const char *key, uint32_t number);
void gguf_builder_add_bool(gguf_builder *builder, const char *key, bool value);
void gguf_builder_add_string(gguf_builder *builder, const char *key, const char *text);
void gguf_builder_add_strings(gguf_builder *builder, const char *key, const char *const *texts,
                              size_t count);
void gguf_builder_add_i32s(gguf_builder *builder, const char *key, const int32_t *numbers,
                           size_t count);

/* All pairs of a file but the one with the key `except`. */
void gguf_builder_copy(gguf_builder *builder, const gguf *file, const char *except);

/* The description of a tensor. */
void gguf_builder_tensor(gguf_builder *builder, const char *name, uint32_t type, uint32_t rank,
                         const uint64_t *dims, uint64_t offset);

/* Writes the counts into the header; pads to 32 bytes and appends `data` zeros as weights. */
void gguf_builder_finish(gguf_builder *builder, size_t data);

#endif
