/*
 * gguf.c - opening a GGUF file: every byte of its structure is checked here, once
 *
 * The file is read front to back by a cursor that never passes the file's end: header, pairs of
 * metadata, descriptions of tensors, then the aligned section of weights. What was checked is
 * recorded as views, so that nothing behind this file has to check again.
 *
 * Invariants of a gguf that gguf_open() has returned:
 *   1. every view (key, string, array, tensor) lies inside [base, base + size)
 *   2. keys are unique and sorted, names of tensors are unique, both non-empty
 *   3. an array holds numbers, booleans or strings, and exactly `count` of them
 *   4. a tensor of a known type has whole blocks a row and begins on the file's alignment
 *
 * Bounded: structure beyond the limits below is refused, so that a sparse file of zeros as large
 * as a disk can't keep the reader busy or make it take memory.
 */
#include "models/gguf.h"
#include "models/gguf_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    MAX_PAIRS = 1 << 16,     /* real files have some dozens */
    MAX_TENSORS = 1 << 18,   /* the largest mixtures of experts have tens of thousands */
    MAX_STRUCTURE = 1 << 28, /* bytes before the weights; real ones: some MB of vocabulary */
    MAX_ALIGNMENT = 1 << 16, /* a larger one than a page can't be had from a mapping anyway */
    DEFAULT_ALIGNMENT = 32,
    SAMPLE = 1024, /* bytes of a tensor's beginning, middle and end that the fingerprint covers */
};

static const char alignment_key[] = "general.alignment";

typedef struct {
    gguf *file;
    const char *path;
    size_t offset; /* of the next byte to read, in [0, file->size] */
    char *error;
    size_t error_size;
} cursor;

/* Sets the error; the first one counts. Always false, for `return fail(...)`. */
__attribute__((format(printf, 2, 3))) static bool fail(cursor *at, const char *format, ...)
{
    va_list args;
    int used = snprintf(at->error, at->error_size, "cannot read model '%s': ", at->path);

    if (used < 0 || (size_t)used >= at->error_size)
        return false;
    va_start(args, format);
    vsnprintf(at->error + used, at->error_size - (size_t)used, format, args);
    va_end(args);
    return false;
}

static bool cut_off(cursor *at, const char *what)
{
    return fail(at,
                "its %s at byte %zu reaches past the end of the file at byte %zu; it is damaged "
                "or cut off, fetch it again",
                what, at->offset, at->file->size);
}

/* A name out of the file, made fit for a message: short, and nothing that moves a terminal. */
typedef struct {
    char text[68];
} printable;

static printable shown(gguf_text name)
{
    printable out;
    size_t n = name.length < 64 ? name.length : 64;

    for (size_t i = 0; i < n; i++)
        out.text[i] = name.bytes[i] >= ' ' && name.bytes[i] <= '~' ? name.bytes[i] : '?';
    strcpy(out.text + n, name.length > n ? "..." : "");
    return out;
}

/* The next `size` bytes, or NULL with the error set. */
static const unsigned char *take(cursor *at, uint64_t size, const char *what)
{
    const unsigned char *bytes = at->file->base + at->offset;

    if (size > at->file->size - at->offset) {
        cut_off(at, what);
        return NULL;
    }
    at->offset += (size_t)size;
    return bytes;
}

static bool take_u32(cursor *at, uint32_t *value, const char *what)
{
    const unsigned char *bytes = take(at, sizeof(*value), what);

    if (!bytes)
        return false;
    memcpy(value, bytes, sizeof(*value));
    return true;
}

static bool take_u64(cursor *at, uint64_t *value, const char *what)
{
    const unsigned char *bytes = take(at, sizeof(*value), what);

    if (!bytes)
        return false;
    memcpy(value, bytes, sizeof(*value));
    return true;
}

static bool take_text(cursor *at, gguf_text *text, const char *what)
{
    const unsigned char *bytes;
    uint64_t length;

    if (!take_u64(at, &length, what))
        return false;
    bytes = take(at, length, what);
    if (!bytes)
        return false;
    *text = (gguf_text){(const char *)bytes, (size_t)length};
    return true;
}

static bool check_booleans(cursor *at, const unsigned char *bytes, uint64_t count, gguf_text key)
{
    for (uint64_t i = 0; i < count; i++)
        if (bytes[i] > 1)
            return fail(at, "its key '%s' has a boolean of value %u; only 0 and 1 are booleans",
                        shown(key).text, bytes[i]);
    return true;
}

static bool within_limit(cursor *at, gguf_text name)
{
    return at->offset <= MAX_STRUCTURE ||
           fail(at, "its '%s' reaches past the limit of %d bytes", shown(name).text, MAX_STRUCTURE);
}

static bool take_strings(cursor *at, gguf_array *array, gguf_text key)
{
    gguf_text text;

    array->bytes = at->file->base + at->offset;
    for (uint64_t i = 0; i < array->count; i++)
        if (!take_text(at, &text, "array of strings") || !within_limit(at, key))
            return false;
    array->size = (size_t)(at->file->base + at->offset - array->bytes);
    return true;
}

static bool take_array(cursor *at, gguf_value *value)
{
    gguf_array *array = &value->array;
    size_t element;

    if (!take_u32(at, &array->type, "array type") || !take_u64(at, &array->count, "array length"))
        return false;
    if (array->type == GGUF_VALUE_STRING)
        return take_strings(at, array, value->key);
    element = gguf_value_size(array->type);
    if (element == 0)
        return fail(at,
                    "its key '%s' is an array of type %" PRIu32 ", which is not one of numbers, "
                    "booleans or strings",
                    shown(value->key).text, array->type);
    if (array->count > at->file->size / element)
        return cut_off(at, "array");
    array->size = (size_t)array->count * element;
    array->bytes = take(at, array->size, "array");
    if (!array->bytes)
        return false;
    return array->type != GGUF_VALUE_BOOL ||
           check_booleans(at, array->bytes, array->count, value->key);
}

static bool take_value(cursor *at, gguf_value *value)
{
    const unsigned char *bytes;
    size_t size = gguf_value_size(value->type);

    if (value->type == GGUF_VALUE_STRING)
        return take_text(at, &value->bytes, "string");
    if (value->type == GGUF_VALUE_ARRAY)
        return take_array(at, value);
    if (size == 0)
        return fail(at,
                    "its key '%s' has a value of type %" PRIu32 ", which GGUF versions 2 and 3 "
                    "don't have",
                    shown(value->key).text, value->type);
    bytes = take(at, size, "value");
    if (!bytes)
        return false;
    value->bytes = (gguf_text){(const char *)bytes, size};
    return value->type != GGUF_VALUE_BOOL || check_booleans(at, bytes, 1, value->key);
}

static bool take_pair(cursor *at, gguf_value *value)
{
    size_t start = at->offset;

    if (!take_text(at, &value->key, "key") || !take_u32(at, &value->type, "value type"))
        return false;
    if (value->key.length == 0)
        return fail(at, "its key at byte %zu is empty; the file is damaged", start);
    return take_value(at, value) && within_limit(at, value->key);
}

/* Room for one more element; grows with what was read, never with what the file claims. */
static bool make_room(cursor *at, void **array, size_t count, size_t *room, size_t element)
{
    size_t wanted = *room ? *room * 2 : 64;
    void *grown;

    if (count < *room)
        return true;
    grown = reallocarray(*array, wanted, element);
    if (!grown)
        return fail(at, "no memory for an index of %zu entries", wanted);
    *array = grown;
    *room = wanted;
    return true;
}

static int by_key(const void *a, const void *b)
{
    return gguf_text_order(((const gguf_value *)a)->key, ((const gguf_value *)b)->key);
}

static bool take_pairs(cursor *at, uint64_t count)
{
    gguf *file = at->file;
    size_t room = 0;

    if (count > MAX_PAIRS)
        return fail(at, "it claims %" PRIu64 " pairs of metadata, the limit is %d", count,
                    MAX_PAIRS);
    for (; file->value_count < count; file->value_count++) {
        void *values = file->values;

        if (!make_room(at, &values, file->value_count, &room, sizeof(*file->values)))
            return false;
        file->values = values;
        file->values[file->value_count] = (gguf_value){0};
        if (!take_pair(at, &file->values[file->value_count]))
            return false;
    }
    if (count)
        qsort(file->values, file->value_count, sizeof(*file->values), by_key);
    for (size_t i = 1; i < file->value_count; i++)
        if (by_key(&file->values[i - 1], &file->values[i]) == 0)
            return fail(at, "its key '%s' is there twice", shown(file->values[i].key).text);
    return true;
}

/* The size of a tensor's data by its shape; false if it isn't whole blocks or overflows. */
static bool measure(gguf_tensor *tensor)
{
    uint32_t elements;
    uint32_t bytes;
    uint64_t total;

    if (!gguf_type_block(tensor->type, &elements, &bytes))
        return true;
    if (tensor->dims[0] % elements != 0)
        return false;
    total = tensor->dims[0] / elements;
    if (__builtin_mul_overflow(total, bytes, &total))
        return false;
    for (uint32_t i = 1; i < tensor->rank; i++)
        if (__builtin_mul_overflow(total, tensor->dims[i], &total))
            return false;
    tensor->bytes = total;
    return true;
}

static bool take_shape(cursor *at, gguf_tensor *tensor)
{
    if (!take_u32(at, &tensor->rank, "tensor's rank"))
        return false;
    if (tensor->rank < 1 || tensor->rank > GGUF_MAX_DIMS)
        return fail(at, "its tensor '%s' has rank %" PRIu32 ", which is not in 1 to %d",
                    shown(tensor->name).text, tensor->rank, GGUF_MAX_DIMS);
    for (uint32_t i = 0; i < GGUF_MAX_DIMS; i++)
        tensor->dims[i] = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (!take_u64(at, &tensor->dims[i], "tensor's shape"))
            return false;
        if (tensor->dims[i] == 0)
            return fail(at, "its tensor '%s' is empty in dimension %" PRIu32,
                        shown(tensor->name).text, i);
    }
    return true;
}

/* Reads a description. The offset stays in `bytes` of a tensor that is measured later, since
 * the section it counts from begins only behind the last description. */
static bool take_tensor(cursor *at, gguf_tensor *tensor, uint64_t *offset)
{
    size_t start = at->offset;

    if (!take_text(at, &tensor->name, "tensor's name"))
        return false;
    if (tensor->name.length == 0)
        return fail(at, "its tensor at byte %zu has no name; the file is damaged", start);
    if (!take_shape(at, tensor) || !take_u32(at, &tensor->type, "tensor's type") ||
        !take_u64(at, offset, "tensor's offset"))
        return false;
    if (!measure(tensor))
        return fail(at,
                    "its tensor '%s' of type %s has rows of %" PRIu64 " elements, which are not "
                    "whole blocks or too many",
                    shown(tensor->name).text, gguf_type_name(tensor->type), tensor->dims[0]);
    return within_limit(at, tensor->name);
}

static bool place(cursor *at, gguf_tensor *tensor, uint64_t offset, size_t section,
                  uint64_t alignment)
{
    size_t room = at->file->size - section;

    if (offset % alignment != 0)
        return fail(at,
                    "its tensor '%s' begins at offset %" PRIu64 ", which is not a multiple of "
                    "the alignment %" PRIu64,
                    shown(tensor->name).text, offset, alignment);
    if (offset > room || tensor->bytes > room - offset)
        return fail(at,
                    "its tensor '%s' needs %" PRIu64 " bytes at offset %" PRIu64 " of a section of "
                    "%zu; it is damaged or cut off, fetch it again",
                    shown(tensor->name).text, tensor->bytes, offset, room);
    if (gguf_type_name(tensor->type))
        tensor->data = at->file->base + section + offset;
    return true;
}

static bool find_alignment(cursor *at, uint64_t *alignment)
{
    gguf_value key = {.key = {alignment_key, sizeof(alignment_key) - 1}};
    const gguf *file = at->file;

    *alignment = DEFAULT_ALIGNMENT;
    if (!file->value_count || !bsearch(&key, file->values, file->value_count, sizeof(key), by_key))
        return true;
    if (!gguf_u64(file, alignment_key, alignment))
        return fail(at, "its key '%s' is not a positive whole number", alignment_key);
    if (*alignment < 8 || *alignment > MAX_ALIGNMENT || (*alignment & (*alignment - 1)))
        return fail(at, "its key '%s' is %" PRIu64 ", which is not a power of two in 8 to %d",
                    alignment_key, *alignment, MAX_ALIGNMENT);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return gguf_text_order((*(const gguf_tensor *const *)a)->name,
                           (*(const gguf_tensor *const *)b)->name);
}

static bool index_tensors(cursor *at)
{
    gguf *file = at->file;

    if (file->tensor_count == 0)
        return true;
    file->by_name = calloc(file->tensor_count, sizeof(*file->by_name));
    if (!file->by_name)
        return fail(at, "no memory for an index of %zu tensors", file->tensor_count);
    for (size_t i = 0; i < file->tensor_count; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->tensor_count, sizeof(*file->by_name), by_name);
    for (size_t i = 1; i < file->tensor_count; i++)
        if (by_name(&file->by_name[i - 1], &file->by_name[i]) == 0)
            return fail(at, "its tensor '%s' is there twice", shown(file->by_name[i]->name).text);
    return true;
}

static bool place_tensors(cursor *at, const uint64_t *offsets)
{
    gguf *file = at->file;
    uint64_t alignment;
    size_t section;

    if (!find_alignment(at, &alignment))
        return false;
    section = (at->offset + alignment - 1) & ~(size_t)(alignment - 1);
    if (file->tensor_count && section > file->size)
        return cut_off(at, "section of weights");
    for (size_t i = 0; i < file->tensor_count; i++)
        if (!place(at, &file->tensors[i], offsets[i], section, alignment))
            return false;
    return true;
}

static bool take_descriptions(cursor *at, uint64_t count, uint64_t **offsets)
{
    gguf *file = at->file;
    size_t room = 0;
    size_t offset_room = 0;

    for (; file->tensor_count < count; file->tensor_count++) {
        size_t i = file->tensor_count;
        void *tensors = file->tensors;
        void *places = *offsets;

        if (!make_room(at, &tensors, i, &room, sizeof(*file->tensors)))
            return false;
        file->tensors = tensors;
        if (!make_room(at, &places, i, &offset_room, sizeof(**offsets)))
            return false;
        *offsets = places;
        file->tensors[i] = (gguf_tensor){0};
        if (!take_tensor(at, &file->tensors[i], &(*offsets)[i]))
            return false;
    }
    return true;
}

static bool take_tensors(cursor *at, uint64_t count)
{
    uint64_t *offsets = NULL;
    bool ok;

    if (count > MAX_TENSORS)
        return fail(at, "it claims %" PRIu64 " tensors, the limit is %d", count, MAX_TENSORS);
    ok = take_descriptions(at, count, &offsets) && place_tensors(at, offsets) && index_tensors(at);
    free(offsets);
    return ok;
}

static bool take_header(cursor *at, uint64_t *tensors, uint64_t *pairs)
{
    const unsigned char *magic = take(at, 4, "magic number");
    uint32_t version;

    if (!magic)
        return false;
    if (memcmp(magic, "GGUF", 4) != 0)
        return fail(at, "it doesn't begin with 'GGUF'; give a model in GGUF format");
    if (!take_u32(at, &version, "version"))
        return false;
    if (version == 0x02000000 || version == 0x03000000)
        return fail(at, "it is written for big-endian machines; convert it to little-endian");
    if (version != 2 && version != 3)
        return fail(at, "it has GGUF version %" PRIu32 "; versions 2 and 3 can be read", version);
    return take_u64(at, tensors, "count of tensors") && take_u64(at, pairs, "count of pairs");
}

static void mix_sample(XXH3_state_t *state, const gguf_tensor *tensor)
{
    const unsigned char *data = tensor->data;
    uint64_t size = tensor->bytes < SAMPLE ? tensor->bytes : SAMPLE;

    if (!data)
        return;
    XXH3_64bits_update(state, data, size);
    XXH3_64bits_update(state, data + (tensor->bytes - size) / 2, size);
    XXH3_64bits_update(state, data + (tensor->bytes - size), size);
}

static bool take_fingerprint(cursor *at)
{
    gguf *file = at->file;
    uint64_t size = file->size;
    XXH3_state_t *state = XXH3_createState();

    if (!state)
        return fail(at, "no memory for its fingerprint");
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, &size, sizeof(size));
    XXH3_64bits_update(state, file->base, at->offset);
    for (size_t i = 0; i < file->tensor_count; i++)
        mix_sample(state, &file->tensors[i]);
    file->fingerprint = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return true;
}

static bool parse(cursor *at)
{
    uint64_t tensors;
    uint64_t pairs;

    return take_header(at, &tensors, &pairs) && take_pairs(at, pairs) &&
           take_tensors(at, tensors) && take_fingerprint(at);
}

gguf *gguf_parse(const void *bytes, size_t size, const char *name, char *error, size_t error_size)
{
    cursor at = {.path = name, .error = error, .error_size = error_size};

    at.file = calloc(1, sizeof(*at.file));
    if (!at.file) {
        fail(&at, "no memory");
        return NULL;
    }
    *at.file = (gguf){.base = bytes, .size = size, .fd = -1};
    if (!parse(&at)) {
        gguf_close(at.file);
        return NULL;
    }
    return at.file;
}

static bool check_file(cursor *at, int fd, struct stat *status)
{
    if (fstat(fd, status) != 0)
        return fail(at, "%s", strerror(errno));
    if (!S_ISREG(status->st_mode))
        return fail(at, "it is not a regular file");
    if (status->st_size == 0)
        return fail(at, "it is empty");
    return true;
}

static gguf *open_mapped(cursor *at, int fd)
{
    struct stat status;
    size_t size;
    void *bytes;
    gguf *file;

    if (!check_file(at, fd, &status))
        return NULL;
    size = (size_t)status.st_size;
    bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        fail(at, "mapping its %zu bytes fails: %s", size, strerror(errno));
        return NULL;
    }
    file = gguf_parse(bytes, size, at->path, at->error, at->error_size);
    if (!file) {
        munmap(bytes, size);
        return NULL;
    }
    file->fd = fd;
    file->modified = status.st_mtim;
    return file;
}

gguf *gguf_open(const char *path, char *error, size_t error_size)
{
    cursor at = {.path = path, .error = error, .error_size = error_size};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block here */
    gguf *file;

    if (fd < 0) {
        fail(&at, "%s", strerror(errno));
        return NULL;
    }
    file = open_mapped(&at, fd);
    if (!file)
        close(fd);
    return file;
}

void gguf_close(gguf *file)
{
    if (!file)
        return;
    if (file->fd >= 0) {
        munmap((void *)(uintptr_t)file->base, file->size);
        close(file->fd);
    }
    free(file->by_name);
    free(file->tensors);
    free(file->values);
    free(file);
}

uint64_t gguf_file_size(const gguf *file)
{
    return file->size;
}

uint64_t gguf_fingerprint(const gguf *file)
{
    return file->fingerprint;
}

bool gguf_unchanged(const gguf *file)
{
    struct stat now;

    if (file->fd < 0)
        return true;
    return fstat(file->fd, &now) == 0 && (size_t)now.st_size == file->size &&
           now.st_mtim.tv_sec == file->modified.tv_sec &&
           now.st_mtim.tv_nsec == file->modified.tv_nsec;
}

const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name)
{
    gguf_tensor wanted = {.name = {name, strlen(name)}};
    const gguf_tensor *key = &wanted;
    const gguf_tensor **found;

    if (file->tensor_count == 0)
        return NULL;
    found = bsearch(&key, file->by_name, file->tensor_count, sizeof(*file->by_name), by_name);
    return found ? *found : NULL;
}

uint64_t gguf_tensor_count(const gguf *file)
{
    return file->tensor_count;
}

const gguf_tensor *gguf_tensor_at(const gguf *file, uint64_t index)
{
    return index < file->tensor_count ? &file->tensors[index] : NULL;
}
