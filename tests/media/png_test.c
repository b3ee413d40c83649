/*
 * Tests of PNG in runtime/media/image.h: all that the format knows, and all that may be broken
 */
#include "runtime/media/image.h"
#include "tests/media/samples.h"
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 16 };

static const int forms[][2] = {{GREY, 1},      {GREY, 2},        {GREY, 4},      {GREY, 8},
                               {GREY, 16},     {RGB, 8},         {RGB, 16},      {PALETTE, 1},
                               {PALETTE, 2},   {PALETTE, 4},     {PALETTE, 8},   {GREY_ALPHA, 8},
                               {RGB_ALPHA, 8}, {GREY_ALPHA, 16}, {RGB_ALPHA, 16}};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

static const unsigned sizes[][2] = {{1, 1}, {3, 9}, {7, 5}, {33, 17}};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static unsigned to_8_bits(uint32_t value, unsigned bits)
{
    return bits == 16 ? value >> 8 : value * 255 / ((1U << bits) - 1);
}

static bool is_key(const struct png_sample *png, unsigned x, unsigned y, unsigned colors)
{
    unsigned bits = (unsigned)png->depth;
    for (unsigned c = 0; c < colors; c++)
        if (sample_value(x, y, c, bits) != sample_value(0, 0, c, bits))
            return false;
    return png->key;
}

/* The pixel that must be there, computed from what the sample says and from nothing else. */
static void expect(const struct png_sample *png, unsigned x, unsigned y, unsigned char rgb[3])
{
    unsigned bits = (unsigned)png->depth, channels = png_channels(png->color_type);
    unsigned colors = channels < 3 ? 1 : 3;
    unsigned alpha = is_key(png, x, y, colors) ? 0 : 255;
    if (png->color_type == PALETTE) {
        unsigned entry = sample_value(x, y, 0, bits);
        sample_palette(entry, rgb);
        alpha = png->key ? entry * 37 & 255 : 255;
    } else {
        for (unsigned c = 0; c < 3; c++)
            rgb[c] = (unsigned char)to_8_bits(sample_value(x, y, c % colors, bits), bits);
    }
    if (channels == 2 || channels == 4)
        alpha = to_8_bits(sample_value(x, y, channels - 1, bits), bits);
    for (unsigned c = 0; c < 3; c++)
        rgb[c] = (unsigned char)lrint(rgb[c] * alpha / 255.0 + 255 - alpha);
}

static void check_sample(const struct png_sample *png)
{
    struct media_bytes file = sample_png(png);
    struct media_error error = {""};
    struct image image;
    int status = image_decode(file.bytes, file.length, LIMIT, &image, &error);
    ck_assert_msg(status == 0, "%s", error.sentence);
    ck_assert_uint_eq(image.width, png->width);
    ck_assert_uint_eq(image.height, png->height);
    for (unsigned y = 0; y < png->height; y++)
        for (unsigned x = 0; x < png->width; x++) {
            unsigned char rgb[3];
            expect(png, x, y, rgb);
            ck_assert_msg(
                memcmp(rgb, image.pixels + (y * png->width + x) * 3, 3) == 0,
                "type %d, depth %d, interlaced %d, key %d, %u x %u: pixel %u, %u is another",
                png->color_type, png->depth, png->interlaced, png->key, png->width, png->height, x,
                y);
        }
    free(image.pixels);
    free(file.bytes);
}

static struct png_sample sample_of(int form, unsigned size)
{
    return (struct png_sample){.color_type = forms[form][0],
                               .depth = forms[form][1],
                               .width = sizes[size][0],
                               .height = sizes[size][1]};
}

START_TEST(every_colour_type_and_depth_becomes_rgb)
{
    for (unsigned size = 0; size < SIZES; size++)
        for (int interlaced = 0; interlaced < 2; interlaced++) {
            struct png_sample png = sample_of(_i, size);
            png.interlaced = interlaced;
            check_sample(&png);
        }
}
END_TEST

START_TEST(what_a_colour_key_makes_clear_is_white)
{
    for (unsigned size = 0; size < SIZES; size++)
        for (int interlaced = 0; interlaced < 2; interlaced++) {
            struct png_sample png = sample_of(_i, size);
            png.interlaced = interlaced;
            png.key = true;
            if (png_channels(png.color_type) % 2 != 0) /* has no alpha of its own */
                check_sample(&png);
        }
}
END_TEST

START_TEST(chunks_beside_the_picture_make_no_difference)
{
    struct png_sample png = sample_of(_i, SIZES - 1);
    png.extra = true;
    check_sample(&png);
}
END_TEST

static int decode_status(const unsigned char *bytes, size_t length)
{
    struct media_error error = {""};
    struct image image;
    unsigned char *copy = malloc(length + 1); /* of its size: a sanitizer sees what lies behind */
    int status;
    ck_assert_ptr_nonnull(copy);
    copy = realloc(copy, length > 0 ? length : 1);
    memcpy(copy, bytes, length);
    status = image_decode(copy, length, LIMIT, &image, &error);
    ck_assert_int_eq(status < 0, error.sentence[0] != '\0');
    ck_assert_int_eq(status < 0, image.pixels == NULL);
    free(image.pixels);
    free(copy);
    return status;
}

START_TEST(a_file_cut_anywhere_is_refused)
{
    struct png_sample png = sample_of(_i, 2);
    struct media_bytes file;
    png.interlaced = _i % 2 != 0;
    file = sample_png(&png);
    for (size_t length = 0; length < file.length; length++)
        ck_assert_int_lt(decode_status(file.bytes, length), 0);
    ck_assert_int_eq(decode_status(file.bytes, file.length), 0);
    free(file.bytes);
}
END_TEST

START_TEST(a_file_with_any_byte_changed_is_refused)
{
    struct png_sample png = sample_of(_i, 2);
    struct media_bytes file = sample_png(&png);
    for (size_t at = 0; at < file.length; at++) {
        file.bytes[at] ^= 0x21;
        ck_assert_msg(decode_status(file.bytes, file.length) < 0, "byte %zu", at);
        file.bytes[at] ^= 0x21;
    }
    free(file.bytes);
}
END_TEST

START_TEST(bytes_behind_the_end_do_not_matter)
{
    struct png_sample png = sample_of(3, 2);
    struct media_bytes file = sample_png(&png);
    file.bytes = realloc(file.bytes, file.length + 10);
    ck_assert_ptr_nonnull(file.bytes);
    memset(file.bytes + file.length, 7, 10);
    ck_assert_int_eq(decode_status(file.bytes, file.length + 10), 0);
    free(file.bytes);
}
END_TEST

START_TEST(the_limit_on_pixels_is_exact)
{
    struct png_sample png = sample_of(5, 2);
    struct media_bytes file = sample_png(&png);
    struct media_error error;
    struct image image;
    ck_assert_int_eq(image_decode(file.bytes, file.length, 34, &image, &error), -EFBIG);
    ck_assert_str_eq(error.sentence, "the image has 7 x 5 pixels; 34 in all are allowed");
    ck_assert_ptr_null(image.pixels);
    ck_assert_int_eq(image_decode(file.bytes, file.length, 35, &image, &error), 0);
    free(image.pixels);
    free(file.bytes);
}
END_TEST

START_TEST(a_header_that_claims_a_huge_picture_is_refused)
{
    /* 60,000 x 60,000 RGB, with good checksums, and an IDAT chunk of nothing */
    static const unsigned char bomb[] =
        "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\xEA\x60\0\0\xEA\x60\x08\x02\0\0\0\x0F\xB0\xE2\x15"
        "\0\0\0\0IDAT\x35\xAF\x06\x1E";
    struct media_error error;
    struct image image;
    int status = image_decode(bomb, sizeof(bomb) - 1, IMAGE_MAX_PIXELS, &image, &error);
    ck_assert_msg(status == -EFBIG, "%s", error.sentence);
    ck_assert_str_eq(error.sentence,
                     "the image has 60000 x 60000 pixels; 67108864 in all are allowed");
}
END_TEST

START_TEST(other_formats_are_refused)
{
    struct media_error error;
    struct image image;
    ck_assert_int_eq(image_decode("GIF89a", 6, LIMIT, &image, &error), -ENOTSUP);
    ck_assert_str_eq(error.sentence, "the image is neither PNG nor JPEG");
    ck_assert_int_eq(image_decode("", 0, LIMIT, &image, &error), -ENOTSUP);
}
END_TEST

/* What an image of this form must be decoded to. */
static void expect_encoded(const unsigned char *pixel, enum image_form form, unsigned char rgb[3])
{
    for (unsigned c = 0; c < 3; c++)
        rgb[c] = form == IMAGE_GREY ? pixel[0] : pixel[c];
    if (form == IMAGE_RGBA)
        for (unsigned c = 0; c < 3; c++)
            rgb[c] = (unsigned char)lrint(rgb[c] * pixel[3] / 255.0 + 255 - pixel[3]);
}

START_TEST(pixels_come_back_as_they_were_encoded)
{
    static const enum image_form all[] = {IMAGE_GREY, IMAGE_RGB, IMAGE_RGBA};
    const enum image_form form = all[_i];
    enum { WIDTH = 61, HEIGHT = 43, COUNT = WIDTH * HEIGHT };
    unsigned char pixels[COUNT * 4], rgb[3];
    struct media_bytes file, again;
    struct media_error error;
    struct image image;
    for (unsigned i = 0; i < COUNT * 4; i++)
        pixels[i] = (unsigned char)sample_value(i, 0, 0, 8);
    ck_assert_int_eq(image_encode_png(pixels, WIDTH, HEIGHT, form, &file, &error), 0);
    ck_assert_int_eq(image_encode_png(pixels, WIDTH, HEIGHT, form, &again, &error), 0);
    ck_assert_uint_eq(file.length, again.length);
    ck_assert_mem_eq(file.bytes, again.bytes, file.length);
    ck_assert_int_eq(image_decode(file.bytes, file.length, COUNT, &image, &error), 0);
    ck_assert_uint_eq(image.width, WIDTH);
    ck_assert_uint_eq(image.height, HEIGHT);
    for (unsigned i = 0; i < COUNT; i++) {
        expect_encoded(pixels + i * form, form, rgb);
        ck_assert_mem_eq(image.pixels + i * 3, rgb, 3);
    }
    free(image.pixels);
    free(file.bytes);
    free(again.bytes);
}
END_TEST

START_TEST(an_image_without_pixels_is_not_encoded)
{
    struct media_bytes file = {(unsigned char *)"", 1};
    struct media_error error = {""};
    ck_assert_int_eq(image_encode_png((const unsigned char *)"", 0, 1, IMAGE_RGB, &file, &error),
                     -EINVAL);
    ck_assert_ptr_null(file.bytes);
    ck_assert_ptr_nonnull(strstr(error.sentence, "cannot encode a PNG image"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("png");
    TCase *cases = tcase_create("png");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_loop_test(cases, every_colour_type_and_depth_becomes_rgb, 0, FORMS);
    tcase_add_loop_test(cases, what_a_colour_key_makes_clear_is_white, 0, FORMS);
    tcase_add_loop_test(cases, chunks_beside_the_picture_make_no_difference, 0, FORMS);
    tcase_add_loop_test(cases, a_file_cut_anywhere_is_refused, 0, FORMS);
    tcase_add_loop_test(cases, a_file_with_any_byte_changed_is_refused, 0, FORMS);
    tcase_add_test(cases, bytes_behind_the_end_do_not_matter);
    tcase_add_test(cases, the_limit_on_pixels_is_exact);
    tcase_add_test(cases, a_header_that_claims_a_huge_picture_is_refused);
    tcase_add_test(cases, other_formats_are_refused);
    tcase_add_loop_test(cases, pixels_come_back_as_they_were_encoded, 0, 3);
    tcase_add_test(cases, an_image_without_pixels_is_not_encoded);
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
