/*
 * Tests of runtime/media/audio.h: WAV and FLAC to samples, and samples to WAV
 */
#include "runtime/media/audio.h"
#include "tests/media/samples.h"
#include <check.h>
#include <errno.h>
#include <math.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 16, RATE = 22050, FRAMES = 321 };

/* Formats, and of how many bits their integers are; 0: floats. */
static const struct {
    int format;
    unsigned bits;
} formats[] = {{SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 8},    {SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16},
               {SF_FORMAT_WAV | SF_FORMAT_PCM_24, 24},   {SF_FORMAT_WAV | SF_FORMAT_PCM_32, 32},
               {SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, 16}, {SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 24},
               {SF_FORMAT_WAV | SF_FORMAT_FLOAT, 0},     {SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 0},
               {SF_FORMAT_WAVEX | SF_FORMAT_FLOAT, 0},   {SF_FORMAT_FLAC | SF_FORMAT_PCM_S8, 8},
               {SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16},  {SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 24}};
enum { FORMATS = sizeof(formats) / sizeof(formats[0]), CUT_WAV = 1, CUT_FLAC = 10 };

static int decode_status(const unsigned char *bytes, size_t length, struct media_error *error)
{
    struct audio audio;
    unsigned char *copy = malloc(length > 0 ? length : 1);
    int status;
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, length);
    error->sentence[0] = '\0';
    status = audio_decode(copy, length, LIMIT, &audio, error);
    ck_assert_int_eq(status < 0, error->sentence[0] != '\0');
    ck_assert_int_eq(status < 0, audio.samples == NULL);
    free(audio.samples);
    free(copy);
    return status;
}

/* The integer that a format keeps of a sample's 32 bits, as a float. */
static double kept(unsigned frame, unsigned channel, unsigned bits)
{
    double value = (int32_t)sample_value(frame, 0, channel, 32);
    return bits == 0 ? (float)(value / 2147483648.0)
                     : floor(value / pow(2, 32 - bits)) / pow(2, bits - 1);
}

static void check_sound(int format, unsigned bits, int channels)
{
    struct media_bytes file = sample_sound(format, RATE, channels, FRAMES);
    struct media_error error = {""};
    struct audio audio;
    int status = audio_decode(file.bytes, file.length, LIMIT, &audio, &error);
    ck_assert_msg(status == 0, "%s", error.sentence);
    ck_assert_uint_eq(audio.rate, RATE);
    ck_assert_uint_eq(audio.count, FRAMES);
    for (unsigned i = 0; i < FRAMES; i++) {
        double sum = 0;
        for (int c = 0; c < channels; c++)
            sum += (float)kept(i, (unsigned)c, bits);
        ck_assert_float_eq(audio.samples[i], (float)(sum / channels));
    }
    free(audio.samples);
    free(file.bytes);
}

START_TEST(every_sort_of_wav_and_flac_is_decoded_to_the_mean_of_its_channels)
{
    check_sound(formats[_i].format, formats[_i].bits, 1);
    check_sound(formats[_i].format, formats[_i].bits, 2);
    check_sound(formats[_i].format, formats[_i].bits, 3);
}
END_TEST

START_TEST(many_blocks_are_one_sound)
{
    struct media_bytes file = sample_sound(formats[1].format, RATE, 2, 40001);
    struct media_error error;
    struct audio audio;
    ck_assert_int_eq(audio_decode(file.bytes, file.length, LIMIT, &audio, &error), 0);
    ck_assert_uint_eq(audio.count, 40001);
    ck_assert_float_eq(audio.samples[40000],
                       (float)((kept(40000, 0, 16) + kept(40000, 1, 16)) / 2));
    free(audio.samples);
    free(file.bytes);
}
END_TEST

START_TEST(a_file_cut_anywhere_is_refused)
{
    struct media_bytes file = sample_sound(formats[_i].format, RATE, 2, 50);
    struct media_error error;
    for (size_t length = 0; length < file.length; length++)
        ck_assert_msg(decode_status(file.bytes, length, &error) < 0, "%zu bytes", length);
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), 0);
    free(file.bytes);
}
END_TEST

START_TEST(a_file_with_any_byte_changed_does_no_harm)
{
    struct media_bytes file = sample_sound(formats[_i].format, RATE, 2, 50);
    struct media_error error;
    for (size_t at = 0; at < file.length; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            file.bytes[at] ^= 1U << bit;
            decode_status(file.bytes, file.length, &error);
            file.bytes[at] ^= 1U << bit;
        }
    free(file.bytes);
}
END_TEST

START_TEST(flac_with_a_changed_sample_is_refused)
{
    struct media_bytes file = sample_sound(formats[CUT_FLAC].format, RATE, 1, 500);
    struct media_error error;
    file.bytes[file.length - 100] ^= 4;
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), -EINVAL);
    free(file.bytes);
}
END_TEST

START_TEST(other_formats_and_codecs_are_refused)
{
    static const int refused[] = {SF_FORMAT_WAV | SF_FORMAT_ULAW,
                                  SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM,
                                  SF_FORMAT_WAV | SF_FORMAT_GSM610,
                                  SF_FORMAT_RF64 | SF_FORMAT_PCM_16,
                                  SF_FORMAT_WAV | SF_FORMAT_PCM_16 | SF_ENDIAN_BIG,
                                  SF_FORMAT_AIFF | SF_FORMAT_PCM_16,
                                  SF_FORMAT_AU | SF_FORMAT_PCM_16,
                                  SF_FORMAT_OGG | SF_FORMAT_VORBIS};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct media_bytes file = sample_sound(refused[i], 8000, 1, 400);
        struct media_error error;
        ck_assert_int_eq(decode_status(file.bytes, file.length, &error), -ENOTSUP);
        free(file.bytes);
    }
}
END_TEST

START_TEST(the_limit_on_samples_is_exact)
{
    struct media_bytes file = sample_sound(formats[_i].format, RATE, 2, 50);
    struct media_error error;
    struct audio audio;
    ck_assert_int_eq(audio_decode(file.bytes, file.length, 49, &audio, &error), -EFBIG);
    ck_assert_ptr_nonnull(strstr(error.sentence, "file has 50 samples; 49 are allowed"));
    ck_assert_int_eq(audio_decode(file.bytes, file.length, 50, &audio, &error), 0);
    free(audio.samples);
    free(file.bytes);
}
END_TEST

START_TEST(a_flac_header_that_claims_hours_is_refused)
{
    struct media_bytes file = sample_sound(formats[CUT_FLAC].format, RATE, 1, 50);
    struct media_error error;
    /* STREAMINFO begins at 8; the last 36 of its first 144 bits are the number of samples. */
    file.bytes[8 + 13] |= 0x0F;
    memset(file.bytes + 8 + 14, 0xFF, 4);
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), -EFBIG);
    memset(file.bytes + 8 + 14, 0, 4); /* and one that doesn't say */
    file.bytes[8 + 13] &= 0xF0;
    ck_assert_int_lt(decode_status(file.bytes, file.length, &error), 0);
    free(file.bytes);
}
END_TEST

START_TEST(a_wav_of_unknown_length_goes_on_to_its_end)
{
    struct media_bytes file = sample_sound(formats[1].format, RATE, 1, 50);
    struct media_error error;
    struct audio audio;
    memset(file.bytes + 40, 0xFF, 4);
    ck_assert_int_eq(audio_decode(file.bytes, file.length, LIMIT, &audio, &error), 0);
    ck_assert_uint_eq(audio.count, 50);
    free(audio.samples);
    free(file.bytes);
}
END_TEST

START_TEST(a_wav_without_samples_is_refused)
{
    struct media_bytes file = sample_sound(formats[1].format, RATE, 1, 50);
    struct media_error error;
    memset(file.bytes + 40, 0, 4);
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), -EINVAL);
    ck_assert_str_eq(error.sentence, "the WAV file is broken: it has no samples");
    free(file.bytes);
}
END_TEST

START_TEST(samples_that_are_no_finite_number_are_refused)
{
    const float bad[] = {0, _i == 0 ? NAN : INFINITY, 0};
    struct media_bytes file = sample_floats(SF_FORMAT_WAV | SF_FORMAT_FLOAT, bad, 3);
    struct media_error error;
    ck_assert_int_eq(decode_status(file.bytes, file.length, &error), -EINVAL);
    ck_assert_str_eq(error.sentence, "the WAV file is broken: a sample is no finite number");
    free(file.bytes);
}
END_TEST

START_TEST(floats_beyond_one_stay_as_they_are)
{
    const float loud[] = {2.5F, -3.0F};
    struct media_bytes file = sample_floats(SF_FORMAT_WAV | SF_FORMAT_FLOAT, loud, 2);
    struct media_error error;
    struct audio audio;
    ck_assert_int_eq(audio_decode(file.bytes, file.length, LIMIT, &audio, &error), 0);
    ck_assert_float_eq(audio.samples[0], 2.5F);
    ck_assert_float_eq(audio.samples[1], -3.0F);
    free(audio.samples);
    free(file.bytes);
}
END_TEST

START_TEST(an_encoded_wav_is_these_bytes)
{
    static const float samples[] = {0, 0.5F, -1, 1, 1.5F / 32768, -2.5F / 32768, NAN, -INFINITY};
    static const unsigned char wanted[] =
        "RIFF\x34\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1F\0\0\x80\x3E\0\0\2\0\x10\0data\x10\0\0\0"
        "\0\0\0\x40\0\x80\xFF\x7F\2\0\xFE\xFF\0\0\0\x80";
    struct media_bytes wav;
    struct media_error error;
    ck_assert_int_eq(audio_encode_wav(samples, 8, 8000, &wav, &error), 0);
    ck_assert_uint_eq(wav.length, sizeof(wanted) - 1);
    ck_assert_mem_eq(wav.bytes, wanted, sizeof(wanted) - 1);
    free(wav.bytes);
}
END_TEST

START_TEST(every_16_bit_sample_survives_decoding_and_encoding)
{
    enum { COUNT = 1 << 16 };
    static float samples[COUNT];
    struct media_bytes first, second;
    struct media_error error;
    struct audio audio;
    for (int i = 0; i < COUNT; i++)
        samples[i] = (float)(i - 32768) / 32768;
    ck_assert_int_eq(audio_encode_wav(samples, COUNT, RATE, &first, &error), 0);
    ck_assert_int_eq(audio_decode(first.bytes, first.length, COUNT, &audio, &error), 0);
    ck_assert_mem_eq(audio.samples, samples, sizeof(samples));
    ck_assert_int_eq(audio_encode_wav(audio.samples, audio.count, audio.rate, &second, &error), 0);
    ck_assert_uint_eq(first.length, second.length);
    ck_assert_mem_eq(first.bytes, second.bytes, first.length);
    free(audio.samples);
    free(first.bytes);
    free(second.bytes);
}
END_TEST

START_TEST(what_no_wav_can_hold_is_not_encoded)
{
    const float sample = 0;
    struct media_bytes wav;
    struct media_error error;
    ck_assert_int_eq(audio_encode_wav(&sample, 1, 0, &wav, &error), -EINVAL);
    ck_assert_int_eq(audio_encode_wav(&sample, (size_t)1 << 31, 8000, &wav, &error), -EFBIG);
    ck_assert_ptr_null(wav.bytes);
}
END_TEST

static TCase *decoding(void)
{
    TCase *tests = tcase_create("decoding");
    tcase_add_loop_test(tests, every_sort_of_wav_and_flac_is_decoded_to_the_mean_of_its_channels, 0,
                        FORMATS);
    tcase_add_test(tests, many_blocks_are_one_sound);
    tcase_add_loop_test(tests, a_file_cut_anywhere_is_refused, CUT_WAV, CUT_WAV + 1);
    tcase_add_loop_test(tests, a_file_cut_anywhere_is_refused, CUT_FLAC, CUT_FLAC + 1);
    tcase_add_loop_test(tests, a_file_with_any_byte_changed_does_no_harm, CUT_WAV, CUT_WAV + 1);
    tcase_add_loop_test(tests, a_file_with_any_byte_changed_does_no_harm, CUT_FLAC, CUT_FLAC + 1);
    tcase_add_test(tests, flac_with_a_changed_sample_is_refused);
    tcase_add_test(tests, other_formats_and_codecs_are_refused);
    tcase_add_loop_test(tests, the_limit_on_samples_is_exact, CUT_WAV, CUT_WAV + 1);
    tcase_add_loop_test(tests, the_limit_on_samples_is_exact, CUT_FLAC, CUT_FLAC + 1);
    tcase_add_test(tests, a_flac_header_that_claims_hours_is_refused);
    tcase_add_test(tests, a_wav_of_unknown_length_goes_on_to_its_end);
    tcase_add_test(tests, a_wav_without_samples_is_refused);
    tcase_add_loop_test(tests, samples_that_are_no_finite_number_are_refused, 0, 2);
    tcase_add_test(tests, floats_beyond_one_stay_as_they_are);
    return tests;
}

int main(void)
{
    Suite *suite = suite_create("audio");
    TCase *encoding = tcase_create("encoding");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_test(encoding, an_encoded_wav_is_these_bytes);
    tcase_add_test(encoding, every_16_bit_sample_survives_decoding_and_encoding);
    tcase_add_test(encoding, what_no_wav_can_hold_is_not_encoded);
    suite_add_tcase(suite, decoding());
    suite_add_tcase(suite, encoding);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
