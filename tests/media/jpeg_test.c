/*
 * Tests of JPEG in runtime/media/image.h
 */
#include "runtime/media/image.h"
#include "tests/media/samples.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 16, NEAR = 6 };

static int decode_status(const unsigned char *bytes, size_t length, struct media_error *error)
{
    struct image image;
    int status;
    error->sentence[0] = '\0';
    status = image_decode(bytes, length, LIMIT, &image, error);
    ck_assert_int_eq(status < 0, error->sentence[0] != '\0');
    ck_assert_int_eq(status < 0, image.pixels == NULL);
    free(image.pixels);
    return status;
}

static struct image decode_sample(const struct jpeg_sample *sample)
{
    struct media_bytes file = sample_jpeg(sample);
    struct media_error error = {""};
    struct image image;
    int status = image_decode(file.bytes, file.length, LIMIT, &image, &error);
    ck_assert_msg(status == 0, "%s", error.sentence);
    ck_assert_uint_eq(image.width, sample->width);
    ck_assert_uint_eq(image.height, sample->height);
    free(file.bytes);
    return image;
}

/* Where the marker FF `code` stands in a file. */
static size_t find_marker(const struct media_bytes *file, unsigned char code)
{
    for (size_t at = 0; at + 1 < file->length; at++)
        if (file->bytes[at] == 0xFF && file->bytes[at + 1] == code)
            return at;
    ck_abort_msg("the sample has no marker %x", code);
    return 0;
}

/* Nearly what was encoded: the format loses a little. */
static void check_slope(const struct image *image, int components)
{
    for (unsigned y = 0; y < image->height; y++)
        for (unsigned x = 0; x < image->width; x++)
            for (unsigned c = 0; c < 3; c++) {
                int wanted = sample_slope(x, y, components == 1 ? 0 : c);
                int got = image->pixels[(y * image->width + x) * 3 + c];
                ck_assert_int_le(abs(wanted - got), NEAR);
            }
}

START_TEST(grey_and_colour_become_rgb)
{
    struct jpeg_sample sample = {19, 13, _i, .progressive = false};
    struct image image = decode_sample(&sample);
    check_slope(&image, _i);
    free(image.pixels);
}
END_TEST

START_TEST(a_progressive_image_is_the_same_as_a_baseline_one)
{
    struct jpeg_sample sample = {33, 18, 3, .progressive = false};
    struct image plain = decode_sample(&sample), progressive;
    sample.progressive = true;
    progressive = decode_sample(&sample);
    ck_assert_mem_eq(plain.pixels, progressive.pixels, 33 * 18 * 3);
    free(plain.pixels);
    free(progressive.pixels);
}
END_TEST

START_TEST(cmyk_is_refused_with_the_remedy)
{
    struct jpeg_sample sample = {8, 8, 4, .progressive = false};
    struct media_bytes file = sample_jpeg(&sample);
    struct media_error error;
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), -ENOTSUP);
    ck_assert_str_eq(error.sentence, "the JPEG image is CMYK; convert it to RGB");
    free(file.bytes);
}
END_TEST

START_TEST(a_file_cut_anywhere_is_refused)
{
    static const struct jpeg_sample samples[] = {{9, 7, 1, .progressive = false},
                                                 {19, 13, 3, .progressive = false},
                                                 {9, 7, 1, .progressive = true},
                                                 {19, 13, 3, .progressive = true}};
    struct media_bytes file = sample_jpeg(&samples[_i]);
    struct media_error error;
    for (size_t length = 0; length < file.length; length++)
        ck_assert_msg(decode_status(file.bytes, length, &error) < 0, "%zu bytes", length);
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), 0);
    free(file.bytes);
}
END_TEST

/* JPEG has no checksums, so some changes only make another picture. */
START_TEST(a_file_with_any_byte_changed_does_no_harm)
{
    struct jpeg_sample sample = {19, 13, 3, .progressive = _i != 0};
    struct media_bytes file = sample_jpeg(&sample);
    struct media_error error;
    for (size_t at = 0; at < file.length; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            file.bytes[at] ^= 1U << bit;
            decode_status(file.bytes, file.length, &error);
            file.bytes[at] ^= 1U << bit;
        }
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), 0);
    free(file.bytes);
}
END_TEST

START_TEST(a_header_that_claims_a_huge_picture_is_refused)
{
    struct jpeg_sample sample = {8, 8, 3, .progressive = false};
    struct media_bytes file = sample_jpeg(&sample);
    unsigned char *size = file.bytes + find_marker(&file, 0xC0) + 5;
    struct media_error error;
    memcpy(size, "\xEA\x60\xEA\x60", 4);
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), -EFBIG);
    ck_assert_str_eq(error.sentence,
                     "the image has 60000 x 60000 pixels; 65536 in all are allowed");
    free(file.bytes);
}
END_TEST

START_TEST(a_progressive_image_of_too_many_scans_is_refused)
{
    struct jpeg_sample sample = {16, 16, 1, .one_scan_each = true};
    struct media_bytes file = sample_jpeg(&sample);
    struct media_error error;
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), -EFBIG);
    ck_assert_str_eq(error.sentence, "the JPEG image has more than 50 scans");
    free(file.bytes);
}
END_TEST

START_TEST(more_than_8_bits_a_sample_are_refused)
{
    struct jpeg_sample sample = {8, 8, 1, .progressive = false};
    struct media_bytes file = sample_jpeg(&sample);
    struct media_error error;
    file.bytes[find_marker(&file, 0xC0) + 4] = 12;
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), -ENOTSUP);
    free(file.bytes);
}
END_TEST

START_TEST(fill_bytes_before_a_marker_are_harmless)
{
    struct jpeg_sample sample = {8, 8, 1, .progressive = false};
    struct media_bytes file = sample_jpeg(&sample);
    size_t at = find_marker(&file, 0xDA);
    struct media_error error;
    file.bytes = realloc(file.bytes, file.length + 3);
    ck_assert_ptr_nonnull(file.bytes);
    memmove(file.bytes + at + 3, file.bytes + at, file.length - at);
    memset(file.bytes + at, 0, 3);
    ck_assert_int_eq(decode_status(file.bytes, file.length + 3, &error), 0);
    free(file.bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jpeg");
    TCase *tests = tcase_create("jpeg");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_test(tests, a_progressive_image_is_the_same_as_a_baseline_one);
    tcase_add_loop_test(tests, grey_and_colour_become_rgb, 1, 2);
    tcase_add_loop_test(tests, grey_and_colour_become_rgb, 3, 4);
    tcase_add_test(tests, cmyk_is_refused_with_the_remedy);
    tcase_add_loop_test(tests, a_file_cut_anywhere_is_refused, 0, 4);
    tcase_add_loop_test(tests, a_file_with_any_byte_changed_does_no_harm, 0, 2);
    tcase_add_test(tests, a_header_that_claims_a_huge_picture_is_refused);
    tcase_add_test(tests, a_progressive_image_of_too_many_scans_is_refused);
    tcase_add_test(tests, more_than_8_bits_a_sample_are_refused);
    tcase_add_test(tests, fill_bytes_before_a_marker_are_harmless);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
