/*
 * image.c - which decoder a picture needs, and what its size may be
 */
#include "runtime/media/image_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int image_reserve(struct image *image, unsigned width, unsigned height, unsigned channels,
                  uint64_t max_pixels, struct media_error *error)
{
    uint64_t count = (uint64_t)width * height;
    if (count > max_pixels || count > SIZE_MAX / channels)
        return media_fail(error, -EFBIG, "the image has %u x %u pixels; %ju in all are allowed",
                          width, height, (uintmax_t)max_pixels);
    image->width = width;
    image->height = height;
    image->pixels = malloc((size_t)count * channels);
    if (image->pixels == NULL)
        return media_fail(error, -ENOMEM, "no memory for an image of %u x %u pixels", width,
                          height);
    return 0;
}

static int decode(const unsigned char *bytes, size_t length, uint64_t max_pixels,
                  struct image *image, struct media_error *error)
{
    static const unsigned char png[] = "\x89PNG\r\n\x1A\n", jpeg[] = "\xFF\xD8\xFF";
    if (length >= sizeof(png) - 1 && memcmp(bytes, png, sizeof(png) - 1) == 0)
        return png_decode(bytes, length, max_pixels, image, error);
    if (length >= sizeof(jpeg) - 1 && memcmp(bytes, jpeg, sizeof(jpeg) - 1) == 0)
        return jpeg_decode(bytes, length, max_pixels, image, error);
    return media_fail(error, -ENOTSUP, "the image is neither PNG nor JPEG");
}

int image_decode(const void *bytes, size_t length, uint64_t max_pixels, struct image *image,
                 struct media_error *error)
{
    int status;
    *image = (struct image){0};
    status = decode(bytes, length, max_pixels, image, error);
    if (status < 0) {
        free(image->pixels);
        *image = (struct image){0};
    }
    return status;
}
