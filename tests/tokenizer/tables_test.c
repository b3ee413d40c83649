/*
 * tables_test.c - tables that one process made serve another as the model's file would, or are
 * refused with one sentence
 */
#include "runtime/tokenizer/tables_layout.h"
#include "runtime/tokenizer/template.h"
#include "tests/tokenizer/small_vocabulary.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALL_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL };

/* Pieces are taken whole, there is a control and a user-defined token, and an id that ends. */
static const small_vocabulary letters = {
    .tokens = {"a", "b", "c", "ab", "abc", "bc", "<|im_end|>", "<tool>", "\xC4\xA0"},
    .types = {0, 0, 0, 0, 0, 0, TOKEN_CONTROL, TOKEN_USER_DEFINED},
    .token_count = 9,
    .merges = {"a b", "ab c", "b c"},
    .merge_count = 3,
};

#define TEMPLATE "{{ '<|im_start|>' }} bos_token"

static fixture made;
static char error[512];

static void open_letters(bool with_template)
{
    small_vocabulary_begin(&letters, "llama-bpe", &made.bytes);
    gguf_builder_add_u32(&made.bytes, "tokenizer.ggml.bos_token_id", 6);
    if (with_template)
        gguf_builder_add_string(&made.bytes, "tokenizer.chat_template", TEMPLATE);
    gguf_builder_finish(&made.bytes, 0);
    fixture_parse(&made);
}

/* A vocabulary that merges by scores, with a token that has a blank inside. */
static void open_scores(void)
{
    static const char *const tokens[] = {"<unk>",
                                         "<s>",
                                         "a",
                                         "b",
                                         "c",
                                         "ab",
                                         "\xE2\x96\x81",
                                         "\xE2\x96\x81"
                                         "a",
                                         "<0x41>",
                                         "a\xE2\x96\x81"
                                         "b"};
    static const int32_t types[] = {TOKEN_UNKNOWN, TOKEN_CONTROL, 1, 1, 1, 1, 1, 1, TOKEN_BYTE, 1};
    static const float scores[] = {0, 0, -9, -9, -9, 2.5f, -9, -0.5f, 0, 7};
    enum { COUNT = sizeof(scores) / sizeof(scores[0]) };

    gguf_builder_begin(&made.bytes, 3);
    gguf_builder_add_string(&made.bytes, "tokenizer.ggml.model", "llama");
    gguf_builder_add_strings(&made.bytes, "tokenizer.ggml.tokens", tokens, COUNT);
    gguf_builder_add_i32s(&made.bytes, "tokenizer.ggml.token_type", types, COUNT);
    gguf_builder_key(&made.bytes, "tokenizer.ggml.scores", GGUF_VALUE_ARRAY);
    gguf_builder_u32(&made.bytes, GGUF_VALUE_F32);
    gguf_builder_u64(&made.bytes, COUNT);
    gguf_builder_bytes(&made.bytes, scores, sizeof(scores));
    gguf_builder_add_u32(&made.bytes, "tokenizer.ggml.bos_token_id", 1);
    gguf_builder_finish(&made.bytes, 0);
    fixture_parse(&made);
}

static int make(void)
{
    uint64_t bytes;
    int fd = tables_make(made.file, &bytes, error, sizeof(error));

    ck_assert_msg(fd >= 0, "%s", error);
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), (off_t)bytes);
    return fd;
}

/* What lies in the file, to be freed. */
static char *bytes_of(int fd, size_t *length)
{
    char *bytes;

    *length = (size_t)lseek(fd, 0, SEEK_END);
    bytes = aligned_alloc(TABLES_ALIGN, (*length + TABLES_ALIGN) / TABLES_ALIGN * TABLES_ALIGN);
    ck_assert_int_eq(pread(fd, bytes, *length, 0), (ssize_t)*length);
    return bytes;
}

/* A memory file of these bytes. Assertions would cost a system call each; this runs in loops. */
static int file_of(const void *bytes, size_t length, int seals)
{
    int fd = memfd_create("made", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length || fcntl(fd, F_ADD_SEALS, seals) < 0)
        ck_abort_msg("no memory file can be made: %s", strerror(errno));
    return fd;
}

/* Whether they are refused, by a whole sentence. */
static bool is_refused(int fd)
{
    static const char begin[] = "cannot use the vocabulary's tables that the supervisor made: ";
    tables *mapped;

    error[0] = '\0';
    mapped = tables_map(fd, error, sizeof(error));
    tables_free(mapped);
    return !mapped && strncmp(error, begin, strlen(begin)) == 0 &&
           strstr(error, "; start the run again") != NULL && !strchr(error, '\n');
}

static bool bytes_are_refused(const void *bytes, size_t length, int seals)
{
    int fd = file_of(bytes, length, seals);
    bool refused = is_refused(fd);

    close(fd);
    return refused;
}

/* ---- what they hold ---- */

static void same_text(gguf_text got, gguf_text wanted)
{
    if (got.length != wanted.length || memcmp(got.bytes, wanted.bytes, got.length) != 0)
        ck_abort_msg("a token's text differs");
}

static void compare(const vocabulary *got, const vocabulary *wanted)
{
    const int64_t *ends, *wanted_ends;
    size_t count, wanted_count;

    ck_assert_uint_eq(vocabulary_count(got), vocabulary_count(wanted));
    ck_assert_uint_eq(vocabulary_fingerprint(got), vocabulary_fingerprint(wanted));
    ck_assert_int_eq(vocabulary_adds_bos(got), vocabulary_adds_bos(wanted));
    for (int i = 0; i < VOCABULARY_SPECIALS; i++)
        ck_assert_int_eq(vocabulary_special(got, i), vocabulary_special(wanted, i));
    ends = vocabulary_ends(got, &count);
    wanted_ends = vocabulary_ends(wanted, &wanted_count);
    ck_assert_uint_eq(count, wanted_count);
    ck_assert_mem_eq(ends, wanted_ends, count * sizeof(*ends));
    for (int64_t id = 0; id < (int64_t)vocabulary_count(wanted); id++) {
        gguf_text text = vocabulary_bytes(wanted, id);

        same_text(vocabulary_bytes(got, id), text);
        if (vocabulary_is_control(got, id) != vocabulary_is_control(wanted, id) ||
            vocabulary_find_special(got, text) != vocabulary_find_special(wanted, text))
            ck_abort_msg("what token %lld is differs", (long long)id);
    }
}

START_TEST(mapped_tables_say_what_the_file_says)
{
    int fd;
    tables *mapped;

    if (_i == 0)
        open_letters(true);
    else if (_i == 1)
        open_scores();
    else
        fixture_open(&made, "smollm");
    fd = make();
    mapped = tables_map(fd, error, sizeof(error));
    ck_assert_msg(mapped != NULL, "%s", error);
    close(fd);
    compare(tables_vocabulary(mapped), made.vocab);
    tables_free(mapped);
    fixture_close(&made);
}
END_TEST

START_TEST(the_chat_template_is_there_word_for_word_or_not_at_all)
{
    for (int with = 0; with < 2; with++) {
        gguf_text program;
        tables *mapped;
        int fd;

        open_letters(with);
        fd = make();
        mapped = tables_map(fd, error, sizeof(error));
        program = tables_chat_template(mapped);
        ck_assert(with ? program.length == strlen(TEMPLATE) &&
                             memcmp(program.bytes, TEMPLATE, program.length) == 0
                       : program.bytes == NULL);
        if (!with) {
            ck_assert_ptr_null(
                chat_template_read(program, tables_vocabulary(mapped), error, sizeof(error)));
            ck_assert_ptr_nonnull(strstr(error, "has no key 'tokenizer.chat_template'"));
        }
        tables_free(mapped);
        close(fd);
        fixture_close(&made);
    }
}
END_TEST

START_TEST(tables_serve_two_at_once_and_after_their_maker_closed_them)
{
    tables *one, *other;
    int fd;

    open_letters(true);
    fd = make();
    one = tables_map(fd, error, sizeof(error));
    other = tables_map(fd, error, sizeof(error));
    close(fd);
    ck_assert_ptr_ne(vocabulary_bytes(tables_vocabulary(one), 4).bytes,
                     vocabulary_bytes(tables_vocabulary(other), 4).bytes);
    tables_free(one);
    compare(tables_vocabulary(other), made.vocab);
    tables_free(other);
    fixture_close(&made);
}
END_TEST

/* ---- nobody can change them ---- */

START_TEST(what_was_made_cannot_be_changed)
{
    char path[32];
    int fd, again;

    open_letters(true);
    fd = make();
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(again, 0);
    ck_assert_int_lt(pwrite(again, "x", 1, 0), 0);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_lt(ftruncate(again, 0), 0);
    ck_assert_int_lt(ftruncate(again, 1 << 20), 0);
    ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
    ck_assert_int_lt(fcntl(again, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
    close(again);
    close(fd);
    fixture_close(&made);
}
END_TEST

/* ---- what is refused ---- */

static char *made_bytes(size_t *length)
{
    char *bytes;
    int fd = make();

    bytes = bytes_of(fd, length);
    close(fd);
    ck_assert(!bytes_are_refused(bytes, *length, ALL_SEALS));
    return bytes;
}

static char *letters_bytes(size_t *length)
{
    open_letters(true);
    return made_bytes(length);
}

START_TEST(tables_that_lack_a_seal_are_refused)
{
    static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL};
    size_t length;
    char *bytes = letters_bytes(&length);

    for (size_t i = 0; i < 4; i++)
        ck_assert(bytes_are_refused(bytes, length, ALL_SEALS & ~seals[i]));
    ck_assert_ptr_nonnull(strstr(error, "they don't lie in a sealed memory file"));
    free(bytes);
    fixture_close(&made);
}
END_TEST

START_TEST(what_is_no_memory_file_is_refused)
{
    int ends[2], file = open(fixture_path("data/smollm2-16k.gguf"), O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert(is_refused(file));
    ck_assert(is_refused(ends[0]));
    ck_assert(is_refused(-1));
    ck_assert(bytes_are_refused("", 0, ALL_SEALS));
    ck_assert_ptr_nonnull(strstr(error, "they are empty"));
    close(file);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(tables_cut_off_anywhere_are_refused)
{
    size_t length;
    char *bytes = letters_bytes(&length);

    for (size_t cut = 0; cut < length; cut++)
        if (!bytes_are_refused(bytes, cut, ALL_SEALS))
            ck_abort_msg("%zu bytes of %zu are taken for tables", cut, length);
    free(bytes);
    fixture_close(&made);
}
END_TEST

START_TEST(tables_with_any_bit_flipped_are_refused)
{
    size_t length;
    char *bytes = letters_bytes(&length);

    for (size_t bit = 0; bit < length * 8; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        if (!bytes_are_refused(bytes, length, ALL_SEALS))
            ck_abort_msg("bit %zu of %zu may be flipped", bit, length * 8);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    free(bytes);
    fixture_close(&made);
}
END_TEST

static volatile size_t sink; /* so that nothing is left out of the binary */

/* Does with tables that were not refused all that a run does; what comes of it may be nonsense. */
static void use(const tables *mapped)
{
    static const char text[] = "abcab <tool>bc<|im_end|> a b c d A\xC3\xA9";
    const vocabulary *vocab = tables_vocabulary(mapped);
    encoder *coder = encoder_new(vocab, error, sizeof(error));
    chat_template *chat =
        chat_template_read(tables_chat_template(mapped), vocab, error, sizeof(error));
    const text_range all = {0, sizeof(text) - 1};
    const encoder_text whole = {text, sizeof(text) - 1, &all, 1, true};
    encoder_tokens tokens;
    size_t sum = 0;

    if (coder && encoder_run(coder, &whole, 1000, &tokens) == 0)
        for (size_t i = 0; i < tokens.count; i++)
            sum += vocabulary_bytes(vocab, tokens.ids[i]).length;
    for (size_t id = 0; id < vocabulary_count(vocab); id++) {
        gguf_text bytes = vocabulary_bytes(vocab, (int64_t)id);

        for (size_t i = 0; i < bytes.length; i++)
            sum += (unsigned char)bytes.bytes[i];
        sum += (size_t)vocabulary_find_special(vocab, bytes);
    }
    sink = sum;
    chat_template_free(chat);
    encoder_free(coder);
}

/* As if the maker had been mad: any byte wrong, and the check sum right. */
START_TEST(wrong_tables_with_a_right_check_sum_are_refused_or_harmless)
{
    static const unsigned char values[] = {0, 1, 0x7F, 0x80, 0xFF};
    size_t length;
    char *bytes;
    uint64_t *check;
    unsigned refused = 0;

    if (_i == 0)
        open_letters(true);
    else
        open_scores();
    bytes = made_bytes(&length);
    check = &((tables_header *)(void *)bytes)->check;
    for (size_t at = 0; at < length; at++)
        for (size_t i = 0; i < sizeof(values); i++) {
            char before = bytes[at];
            tables *mapped;
            int fd;

            bytes[at] = (char)values[i];
            if (at < TABLES_CHECKED_FROM - sizeof(*check) || at >= TABLES_CHECKED_FROM)
                *check = tables_check_sum(bytes, length);
            fd = file_of(bytes, length, ALL_SEALS);
            mapped = tables_map(fd, error, sizeof(error));
            refused += mapped == NULL;
            if (mapped)
                use(mapped);
            tables_free(mapped);
            close(fd);
            bytes[at] = before;
            *check = tables_check_sum(bytes, length);
        }
    ck_assert_uint_gt(refused, 1000);
    free(bytes);
    fixture_close(&made);
}
END_TEST

START_TEST(tables_of_another_version_are_told_as_such)
{
    size_t length;
    char *bytes = letters_bytes(&length);

    ((tables_header *)(void *)bytes)->header_bytes += 8;
    ck_assert(bytes_are_refused(bytes, length, ALL_SEALS));
    ck_assert_ptr_nonnull(strstr(error, "they are of another version of millrace"));
    free(bytes);
    fixture_close(&made);
}
END_TEST

START_TEST(of_a_file_without_a_vocabulary_no_tables_are_made)
{
    uint64_t bytes;

    gguf_builder_begin(&made.bytes, 3);
    gguf_builder_finish(&made.bytes, 0);
    made.file = gguf_parse(made.bytes.bytes, made.bytes.length, "none", error, sizeof(error));
    ck_assert_msg(made.file != NULL, "%s", error);
    ck_assert_int_eq(tables_make(made.file, &bytes, error, sizeof(error)), -1);
    ck_assert_ptr_nonnull(strstr(error, "has no key 'tokenizer.ggml.model'"));
    gguf_close(made.file);
    gguf_builder_free(&made.bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tables");
    TCase *tests = tcase_create("tables");
    TCase *bad = tcase_create("refused");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(bad, 300);
    tcase_add_loop_test(tests, mapped_tables_say_what_the_file_says, 0, 3);
    tcase_add_test(tests, the_chat_template_is_there_word_for_word_or_not_at_all);
    tcase_add_test(tests, tables_serve_two_at_once_and_after_their_maker_closed_them);
    tcase_add_test(tests, what_was_made_cannot_be_changed);
    tcase_add_test(bad, tables_that_lack_a_seal_are_refused);
    tcase_add_test(bad, what_is_no_memory_file_is_refused);
    tcase_add_test(bad, tables_cut_off_anywhere_are_refused);
    tcase_add_test(bad, tables_with_any_bit_flipped_are_refused);
    tcase_add_loop_test(bad, wrong_tables_with_a_right_check_sum_are_refused_or_harmless, 0, 2);
    tcase_add_test(bad, tables_of_another_version_are_told_as_such);
    tcase_add_test(bad, of_a_file_without_a_vocabulary_no_tables_are_made);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, bad);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
