/*
 * kinds_test.c - requests of every kind through the whole group
 *
 * What kinds_worker makes is worked out here again from the request itself (kinds_sums.h): a text
 * that spells an image, a sound, a picture. Then 256 of them, mixed, while workers are killed: not
 * a byte of the output may change. KINDS_SEED repeats a row of kills.
 */
#include "models/gguf.h"
#include "runtime/media/audio.h"
#include "runtime/media/base64.h"
#include "runtime/media/image.h"
#include "runtime/tokenizer/model.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/kinds_sums.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A control token of the tests' vocabulary that no template uses. */
#define IMAGE_TOKEN "5"

enum { RATE = 16000, WIDTH = 5, HEIGHT = 4, MIXED = 256, TOKENS = 8 };

static struct model model;

static const char *path_of_kinds_worker(void)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s", path_of_worker());
    strcpy(strrchr(path, '/'), "/kinds_worker");
    return path;
}

static int run_kinds(struct run *run, const char *requests)
{
    return run_whole(run, NULL, "--worker", path_of_kinds_worker(), "--kinds", "all",
                     "--image-token", IMAGE_TOKEN, "--image-tokens", "3", "--sample-rate", "16000",
                     "-n", "2", "--max-len", "256", "-o", "out", requests);
}

static void setup(void)
{
    char why[256];
    uint64_t bytes;
    gguf *file = gguf_open(path_of_model(), why, sizeof(why));
    int made = file != NULL ? tables_make(file, &bytes, why, sizeof(why)) : -1;
    ck_assert_msg(model_load(&model, made, why, sizeof(why)) == 0, "%s", why);
    close(made);
    gguf_close(file);
    fixture_open();
}

static void teardown(void)
{
    model_free(&model);
    fixture_close();
}

/* ---- what the requests bring ---- */

static void paint(unsigned char pixels[HEIGHT * WIDTH * 3], unsigned number)
{
    for (unsigned i = 0; i < HEIGHT * WIDTH * 3; i++)
        pixels[i] = (unsigned char)(i * 7 + number * 13);
}

static void png_of(unsigned number, struct media_bytes *png)
{
    unsigned char pixels[HEIGHT * WIDTH * 3];
    struct media_error error;
    paint(pixels, number);
    ck_assert_int_eq(image_encode_png(pixels, WIDTH, HEIGHT, IMAGE_RGB, png, &error), 0);
}

static uint64_t sum_of(uint64_t sum, unsigned number)
{
    unsigned char pixels[HEIGHT * WIDTH * 3];
    float values[HEIGHT * WIDTH * 3];
    paint(pixels, number);
    for (unsigned i = 0; i < HEIGHT * WIDTH * 3; i++)
        values[i] = (float)pixels[i] / 255;
    return vision_sum(sum, values, HEIGHT * WIDTH * 3);
}

static void put_file(const char *path, const struct media_bytes *file)
{
    FILE *to = fopen(path, "we");
    ck_assert_ptr_nonnull(to);
    ck_assert_uint_eq(fwrite(file->bytes, 1, file->length, to), file->length);
    ck_assert_int_eq(fclose(to), 0);
}

static void put_png(const char *path, unsigned number)
{
    struct media_bytes png;
    png_of(number, &png);
    put_file(path, &png);
    free(png.bytes);
}

/* A square of nothing: small as a file. */
static void put_blank(const char *path, unsigned side)
{
    unsigned char *pixels = calloc(side, side);
    struct media_error error;
    struct media_bytes png;
    ck_assert_int_eq(image_encode_png(pixels, side, side, IMAGE_GREY, &png, &error), 0);
    put_file(path, &png);
    free(png.bytes);
    free(pixels);
}

/* A data: url; to be freed. */
static char *png_url(unsigned number)
{
    static const char head[] = "data:image/png;base64,";
    struct media_bytes png;
    char *url;
    png_of(number, &png);
    url = calloc(1, sizeof(head) + BASE64_ENCODED(png.length));
    strcpy(url, head);
    base64_encode(png.bytes, png.length, url + strlen(head));
    free(png.bytes);
    return url;
}

/* A voice of 50 samples; returns their sum as 16-bit integers. */
static int64_t put_voice(const char *path, unsigned rate)
{
    struct media_error error;
    struct media_bytes wav;
    float samples[50];
    int64_t sum = 0;
    for (int i = 0; i < 50; i++) {
        samples[i] = (float)(i * 100) / 32768;
        sum += i * 100;
    }
    ck_assert_int_eq(audio_encode_wav(samples, 50, rate, &wav, &error), 0);
    put_file(path, &wav);
    free(wav.bytes);
    return sum;
}

/* ---- what must come out ---- */

static void spell(uint64_t sum, unsigned tokens, char *text)
{
    size_t length = 0;
    for (unsigned i = 0; i < tokens; i++) {
        gguf_text bytes = vocabulary_bytes(model.vocab, vision_token(sum, i));
        memcpy(text + length, bytes.bytes, bytes.length);
        length += bytes.length;
    }
    text[length] = '\0';
}

static const json_t *body_of(json_t *answers, const char *id)
{
    const json_t *record = json_object_get(answers, id);
    const json_t *body = json_object_get(json_object_get(record, "response"), "body");
    ck_assert_msg(json_is_object(body), "%s: %s", id,
                  json_string_value(json_object_get(json_object_get(record, "error"), "message")));
    return body;
}

static const char *chat_text(json_t *answers, const char *id)
{
    const json_t *choices = json_object_get(body_of(answers, id), "choices");
    const json_t *message = json_object_get(json_array_get(choices, 0), "message");
    return json_string_value(json_object_get(message, "content"));
}

static unsigned char *decode(const json_t *text, size_t *length)
{
    unsigned char *bytes;
    ck_assert(json_is_string(text));
    bytes = malloc(json_string_length(text));
    ck_assert_int_eq(
        base64_decode(json_string_value(text), json_string_length(text), bytes, length), 0);
    return bytes;
}

static void check_speech(json_t *answers, const char *id, const char *input, int64_t voice)
{
    const json_t *sound = json_object_get(body_of(answers, id), "audio");
    size_t length;
    unsigned char *wav = decode(json_object_get(sound, "data"), &length);
    struct media_error error;
    struct refusal refusal;
    struct audio audio;
    mr_tokens prompt;
    ck_assert_int_eq(json_integer_value(json_object_get(sound, "sample_rate")), RATE);
    ck_assert_int_eq(audio_decode(wav, length, 1 << 20, &audio, &error), 0);
    ck_assert_uint_eq(audio.rate, RATE);
    ck_assert_uint_eq(audio.count, TOKENS * SPEECH_BLOCK * SPEECH_SAMPLES);
    ck_assert(model_encode_text(&model, (mr_bytes){input, strlen(input)}, 256, &prompt, &refusal));
    for (size_t i = 0; i < audio.count; i++) {
        size_t index = i / SPEECH_SAMPLES;
        int64_t token = prompt.ids[index / SPEECH_BLOCK % prompt.count];
        int64_t speech = speech_token(token, (int64_t)index, voice);
        ck_assert(audio.samples[i] == speech_sample((int32_t)speech, (int)(i % SPEECH_SAMPLES)));
    }
    free(audio.samples);
    free(wav);
}

/* The tokens of an image's prompt, padded as the runtime does it. */
static void pad(const char *text, int64_t *ids, size_t count)
{
    int64_t padding = vocabulary_special(model.vocab, VOCABULARY_PADDING);
    struct refusal refusal;
    mr_tokens tokens;
    ck_assert(model_encode_text(&model, (mr_bytes){text, strlen(text)}, count, &tokens, &refusal));
    for (size_t i = 0; i < count; i++)
        ids[i] = i < tokens.count ? tokens.ids[i] : padding >= 0 ? padding : 0;
}

static void check_picture(json_t *answers, const char *id, const char *prompt,
                          const mr_pixel_options *options)
{
    enum { PROMPT = 256 };
    const json_t *data = json_object_get(body_of(answers, id), "data");
    size_t length;
    unsigned char *png = decode(json_object_get(json_array_get(data, 0), "b64_json"), &length);
    int64_t tokens[PROMPT];
    mr_pixel_request request;
    mr_pixel_model constants;
    mr_pixel_plan plan;
    struct media_error error;
    struct image image;
    float *latents;
    void *memory;
    mr_pixel_model_defaults(&constants);
    mr_pixel_request_defaults(&request);
    ck_assert_int_eq(mr_prepare_plan(&constants, options, &plan), 0);
    memory = malloc(plan.bytes);
    mr_prepare_pixel(&plan, memory, &request);
    pad(prompt, tokens, PROMPT);
    latents = request.noise.data;
    for (int64_t step = 0; step < options->steps; step++)
        for (int64_t i = 0; i < mr_array_count(&request.noise); i++)
            latents[i] = pixel_step(latents[i], ((const float *)request.sigmas.data)[step],
                                    tokens[i % PROMPT]);
    ck_assert_int_eq(image_decode(png, length, 1 << 20, &image, &error), 0);
    ck_assert_uint_eq(image.width, options->width);
    ck_assert_uint_eq(image.height, options->height);
    for (int64_t i = 0; i < options->height * options->width * 3; i++) {
        int64_t row = i / 3 / options->width * plan.rows / options->height;
        int64_t column = i / 3 % options->width * plan.columns / options->width;
        float latent = latents[(i % 3 * plan.rows + row) * plan.columns + column];
        ck_assert_int_eq(image.pixels[i], (int)(pixel_value(latent) * 255));
    }
    free(image.pixels);
    free(memory);
    free(png);
}

/* ---- one of each ---- */

START_TEST(an_image_in_a_chat_reaches_the_worker_to_the_bit)
{
    char *url = png_url(3), *line = NULL, expected[256];
    struct run run;
    json_t *answers;
    put_png("four.png", 4);
    ck_assert_int_gt(
        asprintf(&line,
                 "{\"custom_id\":\"one\",\"url\":\"/v1/chat/completions\",\"body\":{\"max_tokens\":"
                 "8,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
                 "\"What is it?\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"%s\"}}]}]}}\n"
                 "{\"custom_id\":\"two\",\"url\":\"/v1/chat/completions\",\"body\":{\"max_tokens\":"
                 "8,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
                 "\"image_url\":{\"url\":\"four.png\"}},{\"type\":\"image_url\",\"image_url\":"
                 "{\"url\":\"%s\"}}]}]}}\n",
                 url, url),
        0);
    file_add("in", line);
    ck_assert_int_eq(run_kinds(&run, "in"), 0);
    answers = answers_read("out");
    spell(sum_of(0, 3), TOKENS, expected);
    ck_assert_str_eq(chat_text(answers, "one"), expected);
    spell(sum_of(sum_of(0, 4), 3), TOKENS, expected);
    ck_assert_str_eq(chat_text(answers, "two"), expected);
    json_decref(answers);
    run_free(&run);
    free(line);
    free(url);
}
END_TEST

START_TEST(a_speech_is_the_sum_of_its_text_and_its_voice)
{
    int64_t voice = put_voice("voice.wav", RATE);
    struct run run;
    json_t *answers;
    file_add("in", "{\"custom_id\":\"plain\",\"url\":\"/v1/audio/speech\",\"body\":{\"input\":"
                   "\"Hello there\",\"voice\":\"any\",\"max_tokens\":8}}\n"
                   "{\"custom_id\":\"voice\",\"url\":\"/v1/audio/speech\",\"body\":{\"input\":"
                   "\"Good night\",\"max_tokens\":8,\"audio_prompt\":\"voice.wav\"}}\n"
                   "{\"custom_id\":\"tokens\",\"url\":\"/v1/audio/speech\",\"body\":{\"input\":"
                   "\"Once more\",\"max_tokens\":8,\"audio_prompt_tokens\":[5,6,7]}}\n");
    ck_assert_int_eq(run_kinds(&run, "in"), 0);
    answers = answers_read("out");
    check_speech(answers, "plain", "Hello there", 0);
    check_speech(answers, "voice", "Good night", voice);
    check_speech(answers, "tokens", "Once more", 18);
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(a_picture_is_the_sum_of_noise_and_prompt)
{
    mr_pixel_options options;
    struct run run;
    json_t *answers;
    file_add("in", "{\"custom_id\":\"a\",\"url\":\"/v1/images/generations\",\"body\":{\"prompt\":"
                   "\"a red mill\",\"size\":\"64x48\",\"seed\":7,\"num_inference_steps\":4}}\n");
    ck_assert_int_eq(run_kinds(&run, "in"), 0);
    answers = answers_read("out");
    mr_pixel_options_defaults(&options);
    options.width = 64;
    options.height = 48;
    options.seed = 7;
    options.steps = 4;
    check_picture(answers, "a", "a red mill", &options);
    json_decref(answers);
    run_free(&run);
}
END_TEST

/* ---- what can't be served ---- */

static void expect_error(const char *url, const char *body, const char *code, const char *words)
{
    char *line;
    struct run run;
    json_t *answers, *error;
    unlink("in");
    unlink("out");
    ck_assert_int_gt(
        asprintf(&line, "{\"custom_id\":\"x\",\"url\":\"%s\",\"body\":%s}\n", url, body), 0);
    file_add("in", line);
    ck_assert_int_eq(run_kinds(&run, "in"), 1);
    answers = answers_read("out");
    ck_assert_str_eq(answer_error(answers, "x"), code);
    error = json_object_get(json_object_get(answers, "x"), "error");
    ck_assert_msg(strstr(json_string_value(json_object_get(error, "message")), words) != NULL,
                  "'%s' does not say '%s'", json_string_value(json_object_get(error, "message")),
                  words);
    json_decref(answers);
    run_free(&run);
    free(line);
}

START_TEST(what_is_no_image_or_sound_is_answered_with_an_error)
{
#define CHAT_WITH(url)                                                                             \
    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"       \
    "\"url\":\"" url "\"}}]}]}"
    put_voice("slow.wav", 8000);
    put_blank("large.png", 3600);
    expect_error("/v1/chat/completions",
                 "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
                 "\"image_url\":\"large.png\"},{\"type\":\"image_url\",\"image_url\":"
                 "\"large.png\"}]}]}",
                 "request_too_large", "image 2");
    expect_error("/v1/chat/completions", CHAT_WITH("missing.png"), "invalid_parameter",
                 "image 1 of 'body.messages'");
    expect_error("/v1/chat/completions", CHAT_WITH("slow.wav"), "invalid_parameter", "image 1");
    expect_error("/v1/chat/completions", CHAT_WITH("https://example.org/a.png"),
                 "invalid_parameter", "image 1");
    expect_error("/v1/audio/speech", "{\"input\":\"a\",\"audio_prompt\":\"slow.wav\"}",
                 "invalid_parameter", "8000 samples a second");
    expect_error("/v1/audio/speech", "{\"input\":\"a\",\"response_format\":\"mp3\"}",
                 "unsupported_parameter", "only 'wav'");
    expect_error("/v1/audio/speech", "{\"voice\":\"a\"}", "invalid_parameter", "'body.input'");
    expect_error("/v1/images/generations", "{\"prompt\":\"a\",\"size\":\"9\"}", "invalid_parameter",
                 "WIDTHxHEIGHT");
    expect_error("/v1/images/generations", "{\"prompt\":\"a\",\"size\":\"8x8\"}",
                 "invalid_parameter", "");
    expect_error("/v1/images/generations", "{\"prompt\":\"a\",\"n\":2}", "unsupported_parameter",
                 "one image");
    expect_error("/v1/images/generations", "{\"prompt\":\"a\",\"size\":\"8192x8192\"}",
                 "request_too_large", "--memory");
}
END_TEST

START_TEST(a_run_for_texts_refuses_the_other_kinds)
{
    struct run run;
    json_t *answers;
    file_add("in", "{\"custom_id\":\"i\",\"url\":\"/v1/images/generations\",\"body\":{\"prompt\":"
                   "\"a\"}}\n"
                   "{\"custom_id\":\"c\",\"url\":\"/v1/chat/completions\",\"body\":{\"messages\":[{"
                   "\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
                   "\"a.png\"}}]}]}}\n");
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "out", "in"), 1);
    answers = answers_read("out");
    ck_assert_str_eq(answer_error(answers, "i"), "unknown_url");
    ck_assert_str_eq(answer_error(answers, "c"), "unsupported_parameter");
    json_decref(answers);
    run_free(&run);
}
END_TEST

START_TEST(a_worker_that_does_not_take_the_kinds_ends_the_run_with_that_reason)
{
    struct run run;
    file_add("in", "{\"custom_id\":\"i\",\"url\":\"/v1/images/generations\",\"body\":{\"prompt\":"
                   "\"a\"}}\n");
    ck_assert_int_eq(run_whole(&run, NULL, "--kinds", "pixel", "-o", "out", "in"), 2);
    ck_assert_msg(strstr(run.err, "serves pixel requests") != NULL, "%s", run.err);
    run_free(&run);
}
END_TEST

/* ---- many, with kills ---- */

static void write_mixed(void)
{
    put_voice("voice.wav", RATE);
    for (unsigned i = 0; i < MIXED; i++) {
        char *url = png_url(i % 9), *line = NULL;
        switch (i % 4) {
        case 0:
            ck_assert_int_gt(
                asprintf(&line,
                         "{\"custom_id\":\"t%u\",\"url\":\"/v1/completions\",\"body\":{\"prompt\":"
                         "\"text number %u\",\"max_tokens\":%u,\"n\":%u}}\n",
                         i, i, 8 + i % 13, 1 + i % 3),
                0);
            break;
        case 1:
            ck_assert_int_gt(
                asprintf(&line,
                         "{\"custom_id\":\"v%u\",\"url\":\"/v1/chat/completions\",\"body\":{"
                         "\"max_tokens\":12,\"messages\":[{\"role\":\"user\",\"content\":[{"
                         "\"type\":\"image_url\",\"image_url\":{\"url\":\"%s\"}},{\"type\":"
                         "\"text\",\"text\":\"number %u\"}]}]}}\n",
                         i, url, i),
                0);
            break;
        case 2:
            ck_assert_int_gt(asprintf(&line,
                                      "{\"custom_id\":\"s%u\",\"url\":\"/v1/audio/speech\","
                                      "\"body\":{\"input\":\"speech %u\",\"max_tokens\":%u,"
                                      "\"audio_prompt\":\"voice.wav\",\"max_seconds\":1}}\n",
                                      i, i, 4 + i % 9),
                             0);
            break;
        default:
            ck_assert_int_gt(asprintf(&line,
                                      "{\"custom_id\":\"p%u\",\"url\":\"/v1/images/generations\","
                                      "\"body\":{\"prompt\":\"picture %u\",\"size\":\"48x%u\","
                                      "\"num_inference_steps\":%u}}\n",
                                      i, i, 32 + i % 32, 2 + i % 5),
                             0);
        }
        file_add("in", line);
        free(line);
        free(url);
    }
}

static void begin_mixed(struct run *run)
{
    unlink("out");
    run_begin(run, NULL, "--worker", path_of_kinds_worker(), "--kinds", "all", "--image-token",
              IMAGE_TOKEN, "--sample-rate", "16000", "-n", "2", "--max-len", "256", "--slots", "16",
              "--max-attempts", "15", "-o", "out", "in");
}

static bool has_ended(const struct run *run)
{
    siginfo_t info = {0};
    waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid != 0;
}

START_TEST(kills_of_workers_change_no_byte_of_any_kind)
{
    const char *given = getenv("KINDS_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    unsigned kills = 0;
    struct run run;
    char *right, *got;
    setenv("LC_ALL", "C", 1);
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    setenv("KINDS_STEP_US", "500", 1);
    srand(seed);
    write_mixed();
    begin_mixed(&run);
    run_end(&run);
    ck_assert_msg(run.status == 0, "status %d: %s", run.status, run.err);
    ck_assert_uint_eq(count_lines("out"), MIXED);
    right = file_sorted("out", NULL);
    run_free(&run);
    begin_mixed(&run);
    while (!has_ended(&run)) {
        pid_t victim = run_any_process(&run, rand() % 4 ? "mr-worker" : "mr-");
        wait_ms((unsigned)rand() % 40);
        if (victim > 0 && process_has_settled(victim) && kill(victim, SIGKILL) == 0)
            kills++;
    }
    run_end(&run);
    fprintf(stderr, "seed %u: %u kills\n", seed, kills);
    ck_assert_msg(run.status == 0, "status %d: %s", run.status, run.err);
    got = file_sorted("out", NULL);
    ck_assert_str_eq(got, right);
    ck_assert_uint_gt(kills, 3);
    run_free(&run);
    free(got);
    free(right);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kinds");
    TCase *each = tcase_create("each"), *many = tcase_create("many");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_checked_fixture(each, setup, teardown);
    tcase_set_timeout(each, 60);
    tcase_add_test(each, an_image_in_a_chat_reaches_the_worker_to_the_bit);
    tcase_add_test(each, a_speech_is_the_sum_of_its_text_and_its_voice);
    tcase_add_test(each, a_picture_is_the_sum_of_noise_and_prompt);
    tcase_add_test(each, what_is_no_image_or_sound_is_answered_with_an_error);
    tcase_add_test(each, a_run_for_texts_refuses_the_other_kinds);
    tcase_add_test(each, a_worker_that_does_not_take_the_kinds_ends_the_run_with_that_reason);
    suite_add_tcase(suite, each);
    tcase_add_checked_fixture(many, setup, teardown);
    tcase_set_timeout(many, 120);
    tcase_add_test(many, kills_of_workers_change_no_byte_of_any_kind);
    suite_add_tcase(suite, many);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
