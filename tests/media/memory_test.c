/*
 * Tests of runtime/media when memory runs out: at each place in turn, as such, and without a leak
 *
 * The linker sends what our code (and libpng, through it) asks of malloc() and realloc() here
 * (--wrap in local.am). What libjpeg and libsndfile take by themselves is out of reach.
 */
#include "runtime/media/audio.h"
#include "runtime/media/fetch.h"
#include "runtime/media/image.h"
#include "tests/media/samples.h"
#include <check.h>
#include <errno.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *memory, size_t size);

static long left = -1; /* until one fails; below 0: none does */

static bool fails(void)
{
    return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

typedef int attempt(const struct media_bytes *file, struct media_error *error);

static int decode_image(const struct media_bytes *file, struct media_error *error)
{
    struct image image;
    int status = image_decode(file->bytes, file->length, 10000, &image, error);
    free(image.pixels);
    return status;
}

static int encode_image(const struct media_bytes *file, struct media_error *error)
{
    static const unsigned char pixels[40 * 40 * 3] = {1};
    struct media_bytes png;
    int status = image_encode_png(pixels, 40, 40, IMAGE_RGB, &png, error);
    (void)file;
    free(png.bytes);
    return status;
}

static int decode_audio(const struct media_bytes *file, struct media_error *error)
{
    struct audio audio;
    int status = audio_decode(file->bytes, file->length, 10000, &audio, error);
    free(audio.samples);
    return status;
}

static int encode_audio(const struct media_bytes *file, struct media_error *error)
{
    const float sample = 0;
    struct media_bytes wav;
    int status = audio_encode_wav(&sample, 1, 8000, &wav, error);
    (void)file;
    free(wav.bytes);
    return status;
}

static int fetch_url(const struct media_bytes *url, struct media_error *error)
{
    struct media_bytes bytes;
    int status = media_fetch((const char *)url->bytes, url->length, 10000, &bytes, error);
    free(bytes.bytes);
    return status;
}

/* Fails the first allocation, then the second ... up to an attempt in which none failed. */
static void sweep(attempt *try, struct media_bytes file)
{
    long failures = 0;
    for (long at = 0;; at++) {
        struct media_error error = {""};
        bool failed;
        int status;
        left = at;
        status = try(&file, &error);
        failed = left < 0;
        left = -1;
        if (!failed) {
            ck_assert_msg(status == 0, "%s", error.sentence);
            break;
        }
        /* Some of it one can do without: libpng, and who only gives memory back. */
        ck_assert_msg(status == 0 || status == -ENOMEM, "%ld: %s", at, error.sentence);
        ck_assert_int_eq(status < 0, strstr(error.sentence, "no memory") != NULL);
        failures += status < 0;
    }
    ck_assert_int_gt(failures, 0);
    free(file.bytes);
}

static struct media_bytes text(const char *url)
{
    return (struct media_bytes){(unsigned char *)strdup(url), strlen(url)};
}

START_TEST(images_are_decoded_or_there_is_no_memory)
{
    sweep(decode_image, sample_png(&(struct png_sample){5, 5, RGB_ALPHA, 8, .extra = true}));
    sweep(decode_image, sample_png(&(struct png_sample){9, 9, PALETTE, 4, .interlaced = true}));
    sweep(decode_image, sample_jpeg(&(struct jpeg_sample){9, 9, 3, .progressive = true}));
}
END_TEST

START_TEST(sounds_are_decoded_or_there_is_no_memory)
{
    sweep(decode_audio, sample_sound(SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 1, 50));
    sweep(decode_audio, sample_sound(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 8000, 2, 50));
}
END_TEST

START_TEST(images_and_sounds_are_encoded_or_there_is_no_memory)
{
    sweep(encode_image, (struct media_bytes){0});
    sweep(encode_audio, (struct media_bytes){0});
}
END_TEST

START_TEST(urls_are_fetched_or_there_is_no_memory)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/media/memory_test.c", getenv("MILLRACE_TEST_DATA"));
    sweep(fetch_url, text("data:;base64,Zm9v"));
    sweep(fetch_url, text("data:,%41"));
    sweep(fetch_url, text(path));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tests = tcase_create("memory");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_test(tests, images_are_decoded_or_there_is_no_memory);
    tcase_add_test(tests, sounds_are_decoded_or_there_is_no_memory);
    tcase_add_test(tests, images_and_sounds_are_encoded_or_there_is_no_memory);
    tcase_add_test(tests, urls_are_fetched_or_there_is_no_memory);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
