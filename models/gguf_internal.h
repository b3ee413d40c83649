/*
 * gguf_internal.h - what the files of the GGUF reader share
 *
 * gguf.c opens and checks a file, gguf_values.c reads its metadata, gguf_types.c knows the
 * tensor types. All of a gguf is written while it is opened and constant afterwards.
 */
#ifndef MILLRACE_MODELS_GGUF_INTERNAL_H
#define MILLRACE_MODELS_GGUF_INTERNAL_H

#include "models/gguf.h"

#include <string.h>
#include <time.h>

/* The types of metadata values; the numbers are the format's. */
enum gguf_value_type {
    GGUF_VALUE_U8 = 0,
    GGUF_VALUE_I8 = 1,
    GGUF_VALUE_U16 = 2,
    GGUF_VALUE_I16 = 3,
    GGUF_VALUE_U32 = 4,
    GGUF_VALUE_I32 = 5,
    GGUF_VALUE_F32 = 6,
    GGUF_VALUE_BOOL = 7,
    GGUF_VALUE_STRING = 8,
    GGUF_VALUE_ARRAY = 9,
    GGUF_VALUE_U64 = 10,
    GGUF_VALUE_I64 = 11,
    GGUF_VALUE_F64 = 12,
};

/* One pair of the metadata. `array` counts for arrays alone, `bytes` for all others: a number's
 * little-endian bytes, or a string's text. */
typedef struct {
    gguf_text key;
    uint32_t type;
    gguf_text bytes;
    gguf_array array;
} gguf_value;

struct gguf {
    const unsigned char *base;
    size_t size;
    int fd; /* -1 if the bytes are the caller's */
    struct timespec modified;
    uint64_t fingerprint;

    gguf_value *values; /* in the order of their keys */
    size_t value_count;
    gguf_tensor *tensors; /* in the order of the file */
    const gguf_tensor **by_name;
    size_t tensor_count;
};

/*
 * gguf_parse - check a file that lies in memory already, and index it
 *
 * `bytes` must outlive the result and not change; `name` stands in the error for the path.
 */
gguf *gguf_parse(const void *bytes, size_t size, const char *name, char *error, size_t error_size);

/* Bytes of one value of a fixed size; 0 for strings, arrays and unknown types. */
size_t gguf_value_size(uint32_t type);

/* Order of texts by their bytes, a prefix before what it begins. */
int gguf_text_order(gguf_text a, gguf_text b);

#endif
