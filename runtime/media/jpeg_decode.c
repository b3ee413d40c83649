/*
 * jpeg_decode.c - JPEG files to RGB, by libjpeg-turbo
 *
 * libjpeg leaves by longjmp when it meets an error. read_jpeg() is the only function that it may
 * jump out of; all that must be freed is held by its callers.
 *
 * The pixel limit alone doesn't bound the time: a progressive image may have any number of scans
 * in a few bytes each, and every one goes over the whole picture. So their number is limited too.
 */
#include "runtime/media/image_internal.h"
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>

#include <jerror.h>
#include <jpeglib.h>

enum { MAX_SCANS = 50 }; /* encoders make about ten */

struct reader {
    struct jpeg_error_mgr manager; /* first, so that a pointer to it is one to the reader */
    struct jpeg_progress_mgr progress;
    struct media_error *error;
    jmp_buf jump;
    int status; /* of what libjpeg found */
};

static _Noreturn void leave(struct reader *reader, int status)
{
    reader->status = status;
    longjmp(reader->jump, 1);
}

static void on_error(j_common_ptr common)
{
    struct reader *reader = (struct reader *)common->err;
    char message[JMSG_LENGTH_MAX];
    if (common->err->msg_code == JERR_OUT_OF_MEMORY)
        leave(reader, media_fail(reader->error, -ENOMEM, "no memory to decode a JPEG image"));
    common->err->format_message(common, message);
    if (common->err->msg_code == JERR_BAD_PRECISION || common->err->msg_code == JERR_NOT_COMPILED)
        leave(reader, media_fail(reader->error, -ENOTSUP,
                                 "the JPEG image is of a sort that isn't taken: %.120s", message));
    leave(reader, media_fail(reader->error, -EINVAL, "the JPEG image is broken: %.120s", message));
}

/* libjpeg warns of what it had to guess, such as the rest of a file that was cut. Fill bytes
 * between two markers alone are harmless, and some cameras write them. */
static void on_message(j_common_ptr common, int level)
{
    if (level < 0 && common->err->msg_code != JWRN_EXTRANEOUS_DATA)
        on_error(common);
}

static void on_progress(j_common_ptr common)
{
    struct reader *reader = (struct reader *)common->err;
    if (((j_decompress_ptr)common)->input_scan_number > MAX_SCANS)
        leave(reader, media_fail(reader->error, -EFBIG, "the JPEG image has more than %d scans",
                                 MAX_SCANS));
}

static int check_colors(const struct jpeg_decompress_struct *jpeg, struct media_error *error)
{
    switch (jpeg->jpeg_color_space) {
    case JCS_GRAYSCALE:
    case JCS_YCbCr:
    case JCS_RGB:
        return 0;
    case JCS_CMYK:
    case JCS_YCCK:
        return media_fail(error, -ENOTSUP, "the JPEG image is CMYK; convert it to RGB");
    default:
        return media_fail(error, -ENOTSUP, "the JPEG image has %d components of no known colours",
                          jpeg->num_components);
    }
}

static void read_rows(struct jpeg_decompress_struct *jpeg, const struct image *image)
{
    jpeg->out_color_space = JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = image->pixels + (size_t)jpeg->output_scanline * image->width * 3;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
}

static int read_jpeg(struct jpeg_decompress_struct *jpeg, struct image *image, uint64_t max_pixels,
                     struct media_error *error)
{
    int status;
    jpeg_read_header(jpeg, TRUE);
    status = check_colors(jpeg, error);
    if (status == 0)
        status = image_reserve(image, jpeg->image_width, jpeg->image_height, 3, max_pixels, error);
    if (status == 0)
        read_rows(jpeg, image);
    return status;
}

/* A jump may come out of jpeg_create_decompress() already; of a struct that is all zero
 * jpeg_destroy_decompress() frees nothing. */
static int read_guarded(struct jpeg_decompress_struct *jpeg, const unsigned char *bytes,
                        size_t length, uint64_t max_pixels, struct image *image)
{
    struct reader *reader = (struct reader *)jpeg->err;
    if (setjmp(reader->jump) != 0)
        return reader->status;
    jpeg_create_decompress(jpeg);
    jpeg->progress = &reader->progress;
    jpeg_mem_src(jpeg, bytes, length);
    return read_jpeg(jpeg, image, max_pixels, reader->error);
}

int jpeg_decode(const unsigned char *bytes, size_t length, uint64_t max_pixels, struct image *image,
                struct media_error *error)
{
    struct reader reader = {.error = error, .progress.progress_monitor = on_progress};
    struct jpeg_decompress_struct jpeg = {.err = jpeg_std_error(&reader.manager)};
    int status;
    reader.manager.error_exit = on_error;
    reader.manager.emit_message = on_message;
    status = read_guarded(&jpeg, bytes, length, max_pixels, image);
    jpeg_destroy_decompress(&jpeg);
    return status;
}
