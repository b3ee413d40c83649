/*
 * samples.h - small files of each sort, made by the libraries themselves
 *
 * What a sample shows follows from its place alone (sample_value()), so a test can tell what must
 * come out of it. All results are from malloc, the caller's to free.
 */
#ifndef TESTS_MEDIA_SAMPLES_H
#define TESTS_MEDIA_SAMPLES_H

#include "runtime/media/media.h"
#include <stdbool.h>
#include <stdint.h>

/* A number of so many bits that looks random but isn't. */
uint32_t sample_value(unsigned x, unsigned y, unsigned channel, unsigned bits);

/* Colour types of PNG, as its header has them. */
enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

struct png_sample {
    unsigned width, height;
    int color_type, depth;
    bool interlaced;
    bool key;   /* tRNS: grey or RGB as at pixel 0,0; a palette's entry i has alpha i * 37 */
    bool extra; /* chunks that must make no difference: gamma, text, time, a strange one */
};
struct media_bytes sample_png(const struct png_sample *png);
unsigned png_channels(int color_type);

/* Entry i of a sample's palette. */
void sample_palette(unsigned i, unsigned char rgb[3]);

struct jpeg_sample {
    unsigned width, height;
    int components; /* 1 grey, 3 RGB (kept as YCbCr), 4 CMYK */
    bool progressive;
    bool one_scan_each; /* progressive, grey: a scan for each of the 64 coefficients */
};
struct media_bytes sample_jpeg(const struct jpeg_sample *jpeg);
unsigned char sample_slope(unsigned x, unsigned y, unsigned component); /* what it shows */

/* Sound in a format of libsndfile; frame i's channel c is sample_value(i, 0, c, 32) as a signed
 * 32-bit integer, of which the format keeps the upper bits. */
struct media_bytes sample_sound(int format, unsigned rate, int channels, unsigned frames);

/* Sound out of these floats, for formats that have such. */
struct media_bytes sample_floats(int format, const float *samples, unsigned frames);

#endif
