/*
 * fixture.h - the vocabulary that the tokenizer's tests share: SmolLM2's first 16,384 tokens
 *
 * See tests/data/make_vocabulary.py. The file names the pre-tokenizer smollm; a fixture can be
 * had with any other.
 */
#ifndef MILLRACE_TESTS_TOKENIZER_FIXTURE_H
#define MILLRACE_TESTS_TOKENIZER_FIXTURE_H

#include "runtime/tokenizer/encode.h"
#include "runtime/tokenizer/tables.h"
#include "tests/models/gguf_builder.h"

typedef struct {
    gguf_builder bytes;
    gguf *file;
    vocabulary *vocab; /* as it was read from the file */
    tables *mapped;    /* NULL, or what `coder` works in instead */
    encoder *coder;
} fixture;

/* The path of a file below tests/, in a buffer that the next call uses again. */
const char *fixture_path(const char *name);

/* Ends the test if it can't be made. fixture_close() frees it. */
void fixture_open(fixture *fixture, const char *pre);
void fixture_close(fixture *fixture);

/* A vocabulary out of what a builder has; the same to free. */
void fixture_parse(fixture *fixture);

/* From now on it encodes by tables that were made of its file, sealed and mapped. */
void fixture_map(fixture *fixture);

/* The tokens of a text, recognising control tokens nowhere, or everywhere. */
encoder_tokens fixture_encode(fixture *fixture, const char *text, size_t length, bool special);

#endif
