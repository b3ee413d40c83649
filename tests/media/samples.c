/*
 * samples.c - small files of each sort, made by the libraries themselves
 */
#include "tests/media/samples.h"
#include <png.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

uint32_t sample_value(unsigned x, unsigned y, unsigned channel, unsigned bits)
{
    uint32_t h = x * 2654435761U ^ y * 2246822519U ^ (channel + 1) * 3266489917U;
    h ^= h >> 15;
    h *= 2246822519U;
    h ^= h >> 13;
    return h >> (32 - bits);
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static void append(struct media_bytes *out, const void *bytes, size_t length)
{
    out->bytes = must(realloc(out->bytes, out->length + length + 1));
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
}

/* ---- PNG */

unsigned png_channels(int color_type)
{
    switch (color_type) {
    case RGB:
        return 3;
    case GREY_ALPHA:
        return 2;
    case RGB_ALPHA:
        return 4;
    default:
        return 1;
    }
}

void sample_palette(unsigned i, unsigned char rgb[3])
{
    for (unsigned c = 0; c < 3; c++)
        rgb[c] = (unsigned char)sample_value(i, 1000, c, 8);
}

static void png_append(png_structp png, png_bytep bytes, size_t length)
{
    append(png_get_io_ptr(png), bytes, length);
}

static void set_palette(png_structp png, png_infop info, const struct png_sample *sample)
{
    png_color colors[256];
    png_byte alpha[256];
    int count = 1 << sample->depth;
    for (int i = 0; i < count; i++) {
        unsigned char rgb[3];
        sample_palette((unsigned)i, rgb);
        colors[i] = (png_color){rgb[0], rgb[1], rgb[2]};
        alpha[i] = (png_byte)(i * 37);
    }
    png_set_PLTE(png, info, colors, count);
    if (sample->key)
        png_set_tRNS(png, info, alpha, count, NULL);
}

static void set_key(png_structp png, png_infop info, const struct png_sample *sample)
{
    unsigned bits = (unsigned)sample->depth;
    png_color_16 key = {.gray = (png_uint_16)sample_value(0, 0, 0, bits),
                        .red = (png_uint_16)sample_value(0, 0, 0, bits),
                        .green = (png_uint_16)sample_value(0, 0, 1, bits),
                        .blue = (png_uint_16)sample_value(0, 0, 2, bits)};
    png_set_tRNS(png, info, NULL, 0, &key);
}

static void set_extra(png_structp png, png_infop info)
{
    png_text text = {.compression = PNG_TEXT_COMPRESSION_zTXt,
                     .key = (char[]){"Comment"},
                     .text = (char[]){"nothing to see"}};
    png_unknown_chunk strange = {.name = "frEe", .data = (png_byte[]){1, 2, 3}, .size = 3};
    png_set_gAMA(png, info, 0.2);
    png_set_text(png, info, &text, 1);
    png_set_tIME(png, info, &(png_time){.year = 2020, .month = 1, .day = 1});
    strange.location = PNG_HAVE_IHDR;
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_ALWAYS, NULL, 0);
    png_set_unknown_chunks(png, info, &strange, 1);
}

/* A row of samples, packed from the left; 16 bits with the upper ones first. */
static void fill_row(const struct png_sample *sample, unsigned y, unsigned char *row)
{
    unsigned channels = png_channels(sample->color_type), bits = (unsigned)sample->depth;
    size_t bit = 0;
    for (unsigned x = 0; x < sample->width; x++)
        for (unsigned c = 0; c < channels; c++) {
            uint32_t value = sample_value(x, y, c, bits);
            for (unsigned i = bits; i-- > 0; bit++)
                row[bit / 8] |= (unsigned char)((value >> i & 1) << (7 - bit % 8));
        }
}

static void write_rows(png_structp png, const struct png_sample *sample)
{
    size_t stride = sample->width * 8; /* four channels of 16 bits */
    unsigned char *rows = must(calloc(sample->height, stride));
    int passes = sample->interlaced ? png_set_interlace_handling(png) : 1;
    for (unsigned y = 0; y < sample->height; y++)
        fill_row(sample, y, rows + y * stride);
    for (int pass = 0; pass < passes; pass++)
        for (unsigned y = 0; y < sample->height; y++)
            png_write_row(png, rows + y * stride);
    free(rows);
}

struct media_bytes sample_png(const struct png_sample *sample)
{
    struct media_bytes out = {0};
    png_structp png = must(png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL));
    png_infop info = must(png_create_info_struct(png));
    png_set_write_fn(png, &out, png_append, NULL);
    png_set_IHDR(png, info, sample->width, sample->height, sample->depth, sample->color_type,
                 sample->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (sample->color_type == PALETTE)
        set_palette(png, info, sample);
    else if (sample->key)
        set_key(png, info, sample);
    if (sample->extra)
        set_extra(png, info);
    png_write_info(png, info);
    write_rows(png, sample);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return out;
}

/* ---- JPEG */

unsigned char sample_slope(unsigned x, unsigned y, unsigned component)
{
    return (unsigned char)(40 + 3 * x + 2 * y + 20 * component);
}

static void one_scan_each(struct jpeg_compress_struct *jpeg, jpeg_scan_info scans[64])
{
    for (int i = 0; i < 64; i++)
        scans[i] = (jpeg_scan_info){.comps_in_scan = 1, .Ss = i, .Se = i};
    jpeg->scan_info = scans;
    jpeg->num_scans = 64;
}

static void compress(struct jpeg_compress_struct *jpeg, const struct jpeg_sample *sample)
{
    jpeg_scan_info scans[64];
    unsigned channels = (unsigned)sample->components;
    unsigned char *row = must(malloc((size_t)sample->width * channels));
    jpeg->image_width = sample->width;
    jpeg->image_height = sample->height;
    jpeg->input_components = sample->components;
    jpeg->in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, 95, TRUE);
    if (sample->progressive)
        jpeg_simple_progression(jpeg);
    if (sample->one_scan_each)
        one_scan_each(jpeg, scans);
    jpeg_start_compress(jpeg, TRUE);
    for (unsigned y = 0; y < sample->height; y++) {
        for (unsigned x = 0; x < sample->width; x++)
            for (unsigned c = 0; c < channels; c++)
                row[x * channels + c] = sample_slope(x, y, c);
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
    free(row);
}

struct media_bytes sample_jpeg(const struct jpeg_sample *sample)
{
    struct jpeg_error_mgr manager; /* its error_exit() ends the test */
    struct jpeg_compress_struct jpeg = {.err = jpeg_std_error(&manager)};
    unsigned char *bytes = NULL;
    unsigned long length = 0;
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &length);
    compress(&jpeg, sample);
    jpeg_destroy_compress(&jpeg);
    return (struct media_bytes){bytes, length};
}

/* ---- sound */

struct tape {
    struct media_bytes *out;
    size_t at;
};

static sf_count_t tape_length(void *user)
{
    const struct tape *tape = user;
    return (sf_count_t)tape->out->length;
}

static sf_count_t tape_seek(sf_count_t offset, int whence, void *user)
{
    struct tape *tape = user;
    size_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? tape->at : tape->out->length;
    tape->at = from + (size_t)offset;
    return (sf_count_t)tape->at;
}

static sf_count_t tape_read(void *bytes, sf_count_t count, void *user)
{
    struct tape *tape = user;
    size_t left = tape->out->length - tape->at;
    size_t length = (size_t)count < left ? (size_t)count : left;
    memcpy(bytes, tape->out->bytes + tape->at, length);
    tape->at += length;
    return (sf_count_t)length;
}

static sf_count_t tape_write(const void *bytes, sf_count_t count, void *user)
{
    struct tape *tape = user;
    size_t over = tape->out->length - tape->at, length = (size_t)count;
    if (over > length)
        over = length;
    if (over > 0)
        memcpy(tape->out->bytes + tape->at, bytes, over);
    append(tape->out, (const char *)bytes + over, length - over);
    tape->at += length;
    return count;
}

static sf_count_t tape_tell(void *user)
{
    const struct tape *tape = user;
    return (sf_count_t)tape->at;
}

static SNDFILE *open_tape(struct tape *tape, int format, unsigned rate, int channels)
{
    static SF_VIRTUAL_IO calls = {tape_length, tape_seek, tape_read, tape_write, tape_tell};
    SF_INFO info = {.samplerate = (int)rate, .channels = channels, .format = format};
    SNDFILE *file = sf_open_virtual(&calls, SFM_WRITE, &info, tape);
    must(file);
    sf_command(file, SFC_SET_ADD_PEAK_CHUNK, NULL, SF_FALSE); /* it has the time in it */
    return file;
}

struct media_bytes sample_sound(int format, unsigned rate, int channels, unsigned frames)
{
    struct media_bytes out = {0};
    struct tape tape = {&out, 0};
    SNDFILE *file = open_tape(&tape, format, rate, channels);
    size_t wide = (size_t)channels;
    int *samples = must(malloc(frames * wide * sizeof(*samples)));
    for (unsigned i = 0; i < frames; i++)
        for (size_t c = 0; c < wide; c++)
            samples[i * wide + c] = (int)sample_value(i, 0, (unsigned)c, 32);
    sf_command(file, SFC_SET_SCALE_INT_FLOAT_WRITE, NULL, SF_TRUE);
    if (sf_writef_int(file, samples, frames) != (sf_count_t)frames)
        abort();
    free(samples);
    sf_close(file);
    return out;
}

struct media_bytes sample_floats(int format, const float *samples, unsigned frames)
{
    struct media_bytes out = {0};
    struct tape tape = {&out, 0};
    SNDFILE *file = open_tape(&tape, format, 8000, 1);
    if (sf_writef_float(file, samples, frames) != (sf_count_t)frames)
        abort();
    sf_close(file);
    return out;
}
