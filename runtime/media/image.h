/*
 * image.h - pictures in memory: PNG and JPEG to RGB, and pixels to PNG
 *
 * An image is told by its first bytes, whatever its name or URL says. It becomes rows of 8-bit
 * R, G, B from the top left, the same bits on each machine:
 *
 *   PNG   all colour types and depths, interlaced or not. Grey and palettes are expanded; of 16
 *         bits the upper 8 count; alpha is then laid over white and rounded to the nearest. Gamma,
 *         colour profiles and all chunks beside the picture itself are passed over, and of an
 *         animation only its first picture is taken. What follows its end is not looked at
 *   JPEG  grey, YCbCr and RGB of 8 bits, baseline and progressive; decoded by the accurate integer
 *         transform. Neither an orientation nor a colour profile is applied
 *
 * Broken is also what ends too early or fails a checksum: half a picture is no picture.
 */
#ifndef RUNTIME_MEDIA_IMAGE_H
#define RUNTIME_MEDIA_IMAGE_H

#include "runtime/media/media.h"
#include <stdint.h>

/* A limit that does for most: 192 MiB of RGB. */
#define IMAGE_MAX_PIXELS ((uint64_t)64 << 20)

struct image {
    unsigned width, height;
    unsigned char *pixels; /* width * height * 3, no gaps, and perhaps some room behind them; from
                            * malloc, the caller's to free */
};

/*
 * image_decode - a PNG or JPEG file to RGB
 *
 *   max_pixels  of width times height, checked before anything of that size is allocated
 *
 * Returns 0 or a failure as in media.h: a CMYK or 12-bit JPEG and all other formats are -ENOTSUP.
 * Memory taken meanwhile: at most 4 bytes a pixel, of a progressive JPEG 10, and 16 MiB. Time: a
 * small file can claim the largest picture and 50 scans of it, a second or two at the default
 * limit.
 */
int image_decode(const void *bytes, size_t length, uint64_t max_pixels, struct image *image,
                 struct media_error *error);

/* What pixels to be encoded consist of; the value is their number of bytes. */
enum image_form { IMAGE_GREY = 1, IMAGE_RGB = 3, IMAGE_RGBA = 4 };

/*
 * image_encode_png - 8-bit pixels to a PNG file
 *
 *   pixels         width * height of the form, no gaps
 *   width, height  in [1, 1000000]
 *
 * Returns 0 or a failure as in media.h. The same pixels give the same bytes with the same zlib: the
 * filter and the level are fixed, and there is no time in it.
 */
int image_encode_png(const unsigned char *pixels, unsigned width, unsigned height,
                     enum image_form form, struct media_bytes *png, struct media_error *error);

#endif
