/*
 * image_internal.h - what the two decoders have in common
 *
 * A decoder fills *image and may leave pixels in it when it fails; image_decode() frees them. It
 * is entered with *image all zero.
 */
#ifndef RUNTIME_MEDIA_IMAGE_INTERNAL_H
#define RUNTIME_MEDIA_IMAGE_INTERNAL_H

#include "runtime/media/image.h"

int png_decode(const unsigned char *bytes, size_t length, uint64_t max_pixels, struct image *image,
               struct media_error *error);
int jpeg_decode(const unsigned char *bytes, size_t length, uint64_t max_pixels, struct image *image,
                struct media_error *error);

/* image_reserve - checks a size against the limit, then takes memory of `channels` bytes a pixel */
int image_reserve(struct image *image, unsigned width, unsigned height, unsigned channels,
                  uint64_t max_pixels, struct media_error *error);

#endif
