/*
 * gguf.h - what stands in a GGUF model file
 *
 * A GGUF file (v2 or v3, little-endian) is mapped read-only and shared; metadata and tensors are
 * views into the mapping, so N processes that open one file hold its weights once, in the page
 * cache. Every count, length, offset, type and alignment is checked against the file's size
 * before anything is dereferenced: a hostile file gets an error, never a crash. Nothing here
 * allocates in proportion to a number that the file merely claims.
 *
 * The format is that of ggml-org/ggml, docs/gguf.md.
 *
 * A gguf is immutable once open and may be read by any number of threads. Strings are views:
 * {pointer, bytes}, not NUL-terminated, valid until gguf_close().
 */
#ifndef MILLRACE_MODELS_GGUF_H
#define MILLRACE_MODELS_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types of tensor elements that are read here; the numbers are the format's. */
enum gguf_tensor_type {
    GGUF_F32 = 0,
    GGUF_F16 = 1,
    GGUF_Q4_0 = 2,
    GGUF_Q4_1 = 3,
    GGUF_Q8_0 = 8,
    GGUF_BF16 = 30,
};

enum { GGUF_MAX_DIMS = 4 };

typedef struct gguf gguf;

typedef struct {
    const char *bytes;
    size_t length;
} gguf_text;

/*
 * One tensor. `dims[0]` is the innermost (contiguous) dimension, as the format has it: a matrix
 * of R rows and C columns has dims {C, R}. Quantised rows are whole blocks: dims[0] is a multiple
 * of the block size. `bytes` is the exact size of `data`, which is aligned as the file says
 * (at least to 32 bytes unless the file says otherwise). Of a type that this reader doesn't know
 * (gguf_type_name() gives NULL) no size can be told: `data` is NULL and `bytes` 0.
 */
typedef struct {
    gguf_text name;
    uint32_t type; /* enum gguf_tensor_type, or another number of the format */
    uint32_t rank; /* in [1, GGUF_MAX_DIMS] */
    uint64_t dims[GGUF_MAX_DIMS];
    const void *data;
    uint64_t bytes;
} gguf_tensor;

/* An array of the metadata; elements are read with the gguf_array_*() calls. */
typedef struct {
    uint32_t type; /* the format's value type of the elements */
    uint64_t count;
    const unsigned char *bytes; /* first element */
    size_t size;                /* of all elements */
} gguf_array;

/*
 * gguf_open - map a model file and check all of its structure
 *
 *   path   of a regular file
 *   error  out, on failure: one sentence, subject quoted, with place (byte offset, key or tensor)
 *          and remedy; always NUL-terminated
 *
 * Returns the file, to be closed with gguf_close(), or NULL.
 */
gguf *gguf_open(const char *path, char *error, size_t error_size);
void gguf_close(gguf *file); /* NULL is fine */

/* Size of the file and an identity of its contents: XXH3-64 over header, metadata, the tensors'
 * descriptions and a sample of the weights; the same file gives the same number everywhere. */
uint64_t gguf_file_size(const gguf *file);
uint64_t gguf_fingerprint(const gguf *file);

/* Whether the file behind the mapping still has the size and time of change it was opened with;
 * a worker asks between steps, since a truncated mapping would end it by SIGBUS. A file that was
 * unlinked or replaced by rename is unchanged: the mapping keeps the old one. */
bool gguf_unchanged(const gguf *file);

/* Metadata by key. Each returns true and sets *value if the key is there with a type that fits
 * (any integer type whose value fits for integers; F32 or F64 for gguf_f64). */
bool gguf_u64(const gguf *file, const char *key, uint64_t *value);
bool gguf_f64(const gguf *file, const char *key, double *value);
bool gguf_bool(const gguf *file, const char *key, bool *value);
bool gguf_string(const gguf *file, const char *key, gguf_text *value);
bool gguf_get_array(const gguf *file, const char *key, gguf_array *value);

/* A cursor over an array of strings (elements are of varying length, so in order only). */
typedef struct {
    const unsigned char *next;
    uint64_t left;
} gguf_strings;
bool gguf_array_strings(const gguf_array *array, gguf_strings *strings); /* false: not of strings */
bool gguf_strings_next(gguf_strings *strings, gguf_text *text);          /* false: at the end */

/* Element i of an array of numbers; false if it has another type or i is outside. */
bool gguf_array_i64(const gguf_array *array, uint64_t i, int64_t *value);
bool gguf_array_f64(const gguf_array *array, uint64_t i, double *value);

/* Tensors, by name or by index in [0, gguf_tensor_count()). NULL if there is none such. */
const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name);
uint64_t gguf_tensor_count(const gguf *file);
const gguf_tensor *gguf_tensor_at(const gguf *file, uint64_t index);

/* Name of a tensor type ("Q8_0"), or NULL for one this reader doesn't know. */
const char *gguf_type_name(uint32_t type);

/* Elements a block and bytes a block of a type; false for one this reader doesn't know. */
bool gguf_type_block(uint32_t type, uint32_t *elements, uint32_t *bytes);

#endif
