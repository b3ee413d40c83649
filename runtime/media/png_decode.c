/*
 * png_decode.c - PNG files to RGB, by libpng
 *
 * libpng leaves by longjmp when it meets an error. read_png() is the only function that it may
 * jump out of; all that must be freed is held by its callers.
 */
#include "runtime/media/image_internal.h"
#include <errno.h>
#include <png.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const unsigned char *next;
    size_t left;
    uint64_t max_pixels;
    struct image *image;
    struct media_error *error;
    bool no_memory; /* for what libpng wanted; its message alone wouldn't tell */
    int status;     /* of what libpng found */
};

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    struct reader *reader = png_get_mem_ptr(png);
    void *memory = malloc(size);
    reader->no_memory = reader->no_memory || memory == NULL;
    return memory;
}

static void on_free(png_structp png, png_voidp memory)
{
    (void)png;
    free(memory);
}

static int no_memory(struct media_error *error)
{
    return media_fail(error, -ENOMEM, "no memory to decode a PNG image");
}

static void on_error(png_structp png, png_const_charp message)
{
    struct reader *reader = png_get_error_ptr(png);
    reader->status = reader->no_memory ? no_memory(reader->error)
                                       : media_fail(reader->error, -EINVAL,
                                                    "the PNG image is broken: %.120s", message);
    png_longjmp(png, 1);
}

/* What libpng can go on after, such as a strange chunk beside the picture, is nobody's concern. */
static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep bytes, size_t length)
{
    struct reader *reader = png_get_io_ptr(png);
    if (length > reader->left)
        png_error(png, "it ends too early");
    memcpy(bytes, reader->next, length);
    reader->next += length;
    reader->left -= length;
}

/* The picture alone: what other chunks might inflate to is never looked at. */
static void set_limits(png_structp png)
{
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_user_limits(png, 1000000, 1000000);
    png_set_chunk_cache_max(png, 1);
    png_set_chunk_malloc_max(png, 1 << 16);
}

/* Has libpng hand out 8-bit RGB, or RGBA if there is something to be seen through. */
static unsigned set_form(png_structp png, png_infop info)
{
    bool clear = (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) != 0 ||
                 png_get_valid(png, info, PNG_INFO_tRNS) != 0;
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    return clear ? 4 : 3;
}

/* Row by row, once for each pass of an interlaced image, which fills in the row's gaps. */
static void read_rows(png_structp png, png_infop info, const struct image *image, unsigned channels)
{
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    for (int pass = 0; pass < passes; pass++)
        for (unsigned y = 0; y < image->height; y++)
            png_read_row(png, image->pixels + (size_t)y * image->width * channels, NULL);
    png_read_end(png, NULL);
}

/* RGBA to RGB in the same memory, over white. */
static void lay_over_white(struct image *image)
{
    const size_t count = (size_t)image->width * image->height;
    const unsigned char *in = image->pixels;
    unsigned char *out = image->pixels;
    for (size_t i = 0; i < count; i++, in += 4, out += 3) {
        unsigned alpha = in[3], white = 255 * (255 - alpha);
        for (unsigned c = 0; c < 3; c++)
            out[c] = (unsigned char)((in[c] * alpha + white + 127) / 255);
    }
}

static int read_png(png_structp png, png_infop info, struct reader *reader)
{
    unsigned channels;
    int status;
    set_limits(png);
    png_set_read_fn(png, reader, on_read);
    png_read_info(png, info);
    channels = set_form(png, info);
    status =
        image_reserve(reader->image, png_get_image_width(png, info),
                      png_get_image_height(png, info), channels, reader->max_pixels, reader->error);
    if (status < 0)
        return status;
    read_rows(png, info, reader->image, channels);
    if (channels == 4)
        lay_over_white(reader->image);
    return 0;
}

static int read_guarded(png_structp png, png_infop info, struct reader *reader)
{
    if (setjmp(png_jmpbuf(png)) != 0)
        return reader->status;
    return read_png(png, info, reader);
}

int png_decode(const unsigned char *bytes, size_t length, uint64_t max_pixels, struct image *image,
               struct media_error *error)
{
    struct reader reader = {bytes, length, max_pixels, image, error, false, 0};
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning,
                                               &reader, on_malloc, on_free);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    int status = info != NULL ? read_guarded(png, info, &reader) : no_memory(error);
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}
