/*
 * token_texts.h - the texts of a vocabulary's tokens, by id
 *
 * Places in one block of bytes, so that the whole can lie anywhere: on the heap, in a model file,
 * in memory that processes share.
 */
#ifndef MILLRACE_TOKENIZER_TOKEN_TEXTS_H
#define MILLRACE_TOKENIZER_TOKEN_TEXTS_H

#include "models/gguf.h"

typedef struct {
    uint32_t start;
    uint32_t length;
} token_place;

typedef struct {
    const char *bytes;
    const token_place *places; /* by id */
} token_texts;

static inline gguf_text token_text(token_texts texts, size_t id)
{
    token_place place = texts.places[id];

    return (gguf_text){texts.bytes + place.start, place.length};
}

#endif
