/*
 * png_encode.c - pixels to PNG files, by libpng
 *
 * As in png_decode.c libpng may leave write_png() by longjmp, and that alone.
 */
#include "runtime/media/image.h"
#include <errno.h>
#include <png.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    const unsigned char *pixels;
    unsigned width, height;
    enum image_form form;
    struct media_bytes *png;
    size_t room;
    struct media_error *error;
    bool no_memory;
    int status; /* of what libpng found */
};

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    struct writer *writer = png_get_mem_ptr(png);
    void *memory = malloc(size);
    writer->no_memory = writer->no_memory || memory == NULL;
    return memory;
}

static void on_free(png_structp png, png_voidp memory)
{
    (void)png;
    free(memory);
}

static int no_memory(struct media_error *error)
{
    return media_fail(error, -ENOMEM, "no memory to encode a PNG image");
}

static void on_error(png_structp png, png_const_charp message)
{
    struct writer *writer = png_get_error_ptr(png);
    writer->status = writer->no_memory ? no_memory(writer->error)
                                       : media_fail(writer->error, -EINVAL,
                                                    "cannot encode a PNG image: %.120s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static bool grow(struct writer *writer, size_t wanted)
{
    size_t room = writer->room > 0 ? writer->room : 4096;
    unsigned char *grown;
    while (room < wanted)
        room *= 2;
    grown = realloc(writer->png->bytes, room);
    if (grown == NULL)
        return false;
    writer->png->bytes = grown;
    writer->room = room;
    return true;
}

static void on_write(png_structp png, png_bytep bytes, size_t length)
{
    struct writer *writer = png_get_io_ptr(png);
    size_t wanted = writer->png->length + length;
    if (wanted > writer->room && !grow(writer, wanted)) {
        writer->no_memory = true;
        png_error(png, "no memory");
    }
    memcpy(writer->png->bytes + writer->png->length, bytes, length);
    writer->png->length = wanted;
}

static void on_flush(png_structp png)
{
    (void)png;
}

static int color_type(enum image_form form)
{
    switch (form) {
    case IMAGE_GREY:
        return PNG_COLOR_TYPE_GRAY;
    case IMAGE_RGB:
        return PNG_COLOR_TYPE_RGB;
    case IMAGE_RGBA:
        return PNG_COLOR_TYPE_RGB_ALPHA;
    }
    return -1;
}

static void write_png(png_structp png, png_infop info, struct writer *writer)
{
    const size_t stride = (size_t)writer->width * writer->form;
    png_set_write_fn(png, writer, on_write, on_flush);
    /* Of a picture with noise level 6 makes an eighth less, and takes three times as long. */
    png_set_compression_level(png, 3);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
    png_set_IHDR(png, info, writer->width, writer->height, 8, color_type(writer->form),
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (unsigned y = 0; y < writer->height; y++)
        png_write_row(png, writer->pixels + y * stride);
    png_write_end(png, NULL);
}

static int write_guarded(png_structp png, png_infop info, struct writer *writer)
{
    if (setjmp(png_jmpbuf(png)) == 0)
        write_png(png, info, writer);
    return writer->status;
}

int image_encode_png(const unsigned char *pixels, unsigned width, unsigned height,
                     enum image_form form, struct media_bytes *bytes, struct media_error *error)
{
    struct writer writer = {pixels, width, height, form, bytes, 0, error, false, 0};
    png_structp png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &writer, on_error,
                                                on_warning, &writer, on_malloc, on_free);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    int status;
    *bytes = (struct media_bytes){0};
    status = info != NULL ? write_guarded(png, info, &writer) : no_memory(error);
    png_destroy_write_struct(&png, &info);
    if (status < 0) {
        free(bytes->bytes);
        *bytes = (struct media_bytes){0};
    }
    return status;
}
