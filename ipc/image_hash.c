/*
 * image_hash.c - the content hash of an image, by which prefix caches know it again
 */
#include "ipc/error.h"
#include <errno.h>
#include <millrace/vision.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static int hash_compacted(const mr_array *array, size_t bytes, int64_t *hash)
{
    void *copy = malloc(bytes ? bytes : 1);

    if (!copy)
        return mr_fail(ENOMEM, "there is no memory for %zu bytes of an image", bytes);
    mr_array_copy(copy, array);
    *hash = (int64_t)XXH3_64bits(copy, bytes);
    free(copy);
    return 0;
}

int mr_image_hash(const mr_array *pixel_values, int64_t *hash)
{
    int64_t bytes = mr_array_bytes(pixel_values);

    if (bytes < 0)
        return (int)bytes;
    if (!mr_array_is_contiguous(pixel_values))
        return hash_compacted(pixel_values, (size_t)bytes, hash);
    *hash = (int64_t)XXH3_64bits(pixel_values->data, (size_t)bytes);
    return 0;
}
