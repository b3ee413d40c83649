/*
 * gguf_test.c - the GGUF reader takes good files apart and refuses every bad one with a sentence
 */
#include "models/gguf_internal.h"
#include "tests/models/gguf_builder.h"
#include "tests/models/gguf_walk.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char error[512];
static gguf_builder built;

static gguf *parse(void)
{
    error[0] = '\0';
    return gguf_parse(built.bytes, built.length, "model.gguf", error, sizeof(error));
}

static void refuse(const char *words)
{
    gguf *file = parse();

    ck_assert_msg(file == NULL, "a file is taken that should be refused with '%s'", words);
    ck_assert_msg(strstr(error, words) != NULL, "'%s' doesn't say '%s'", error, words);
    ck_assert_msg(strncmp(error, "cannot read model 'model.gguf': ", 32) == 0, "%s", error);
}

static void begin(void)
{
    gguf_builder_begin(&built, 3);
}

static void end(void)
{
    gguf_builder_free(&built);
}

/* A file with something of everything: 9 pairs, 2 tensors. */
static void build_good(uint32_t version)
{
    static const char *const words[] = {"one", "", "three"};
    static const int32_t numbers[] = {1, -2, 3};
    static const uint64_t matrix[] = {64, 3};
    static const uint64_t row[] = {5};
    const float real = 0.5F;

    gguf_builder_begin(&built, version);
    gguf_builder_add_string(&built, "general.architecture", "llama");
    gguf_builder_add_u32(&built, "llama.block_count", 30);
    gguf_builder_add_bool(&built, "yes", true);
    gguf_builder_add_strings(&built, "words", words, 3);
    gguf_builder_add_i32s(&built, "numbers", numbers, 3);
    gguf_builder_key(&built, "real", GGUF_VALUE_F32);
    gguf_builder_bytes(&built, &real, sizeof(real));
    gguf_builder_key(&built, "large", GGUF_VALUE_U64);
    gguf_builder_u64(&built, UINT64_MAX);
    gguf_builder_key(&built, "negative", GGUF_VALUE_I64);
    gguf_builder_u64(&built, (uint64_t)-7);
    gguf_builder_key(&built, "small", GGUF_VALUE_I8);
    gguf_builder_bytes(&built, "\x7B", 1);
    gguf_builder_tensor(&built, "matrix", GGUF_Q8_0, 2, matrix, 0);
    gguf_builder_tensor(&built, "row", GGUF_F32, 1, row, 224);
    gguf_builder_finish(&built, 224 + 20);
}

START_TEST(metadata_of_versions_2_and_3_is_read)
{
    gguf *file;
    uint64_t whole;
    double real;
    bool truth;
    gguf_text text;

    build_good((uint32_t)_i);
    file = parse();
    ck_assert_msg(file != NULL, "%s", error);
    ck_assert(gguf_string(file, "general.architecture", &text));
    ck_assert(text.length == 5 && memcmp(text.bytes, "llama", 5) == 0);
    ck_assert(gguf_u64(file, "llama.block_count", &whole) && whole == 30);
    ck_assert(gguf_bool(file, "yes", &truth) && truth);
    ck_assert(gguf_f64(file, "real", &real) && real == 0.5);
    ck_assert(gguf_u64(file, "large", &whole) && whole == UINT64_MAX);
    ck_assert(gguf_u64(file, "small", &whole) && whole == 123);
    gguf_close(file);
    end();
}
END_TEST

START_TEST(a_value_of_another_type_is_not_there)
{
    gguf *file;
    uint64_t whole = 99;
    double real;
    bool truth;
    gguf_text text;
    gguf_array array;

    build_good(3);
    file = parse();
    ck_assert(!gguf_u64(file, "negative", &whole));
    ck_assert(!gguf_u64(file, "real", &whole));
    ck_assert(!gguf_u64(file, "yes", &whole));
    ck_assert(!gguf_u64(file, "general.architecture", &whole));
    ck_assert(!gguf_u64(file, "words", &whole));
    ck_assert(!gguf_f64(file, "small", &real));
    ck_assert(!gguf_bool(file, "small", &truth));
    ck_assert(!gguf_string(file, "yes", &text));
    ck_assert(!gguf_get_array(file, "yes", &array));
    ck_assert(!gguf_u64(file, "no.such.key", &whole));
    ck_assert_uint_eq(whole, 99);
    gguf_close(file);
    end();
}
END_TEST

START_TEST(arrays_are_read_element_by_element)
{
    gguf *file;
    gguf_array array;
    gguf_strings strings;
    gguf_text text;
    int64_t whole;
    double real;

    build_good(3);
    file = parse();
    ck_assert(gguf_get_array(file, "words", &array) && array.count == 3);
    ck_assert(gguf_array_strings(&array, &strings));
    ck_assert(gguf_strings_next(&strings, &text) && text.length == 3);
    ck_assert(gguf_strings_next(&strings, &text) && text.length == 0);
    ck_assert(gguf_strings_next(&strings, &text) && memcmp(text.bytes, "three", 5) == 0);
    ck_assert(!gguf_strings_next(&strings, &text));
    ck_assert(!gguf_array_i64(&array, 0, &whole));
    ck_assert(gguf_get_array(file, "numbers", &array) && array.count == 3);
    ck_assert(!gguf_array_strings(&array, &strings));
    ck_assert(gguf_array_i64(&array, 1, &whole) && whole == -2);
    ck_assert(!gguf_array_i64(&array, 3, &whole));
    ck_assert(!gguf_array_f64(&array, 0, &real));
    gguf_close(file);
    end();
}
END_TEST

START_TEST(tensors_are_found_by_name_with_shape_and_place)
{
    gguf *file;
    const gguf_tensor *matrix;
    const gguf_tensor *row;

    build_good(3);
    file = parse();
    matrix = gguf_find_tensor(file, "matrix");
    row = gguf_find_tensor(file, "row");
    ck_assert_ptr_nonnull(matrix);
    ck_assert_ptr_nonnull(row);
    ck_assert_ptr_null(gguf_find_tensor(file, "rows"));
    ck_assert_uint_eq(gguf_tensor_count(file), 2);
    ck_assert_ptr_eq(gguf_tensor_at(file, 0), matrix);
    ck_assert_ptr_null(gguf_tensor_at(file, 2));
    ck_assert_uint_eq(matrix->rank, 2);
    ck_assert_uint_eq(matrix->dims[0], 64);
    ck_assert_uint_eq(matrix->dims[1], 3);
    ck_assert_uint_eq(matrix->dims[3], 1);
    ck_assert_uint_eq(matrix->bytes, (uint64_t)64 / 32 * 34 * 3);
    ck_assert_uint_eq(row->bytes, 20);
    ck_assert_uint_eq((uintptr_t)row->data - (uintptr_t)matrix->data, 224);
    ck_assert_ptr_eq((const unsigned char *)row->data + 20, built.bytes + built.length);
    gguf_close(file);
    end();
}
END_TEST

START_TEST(a_file_without_pairs_and_tensors_is_read)
{
    gguf *file;
    uint64_t whole;

    begin();
    gguf_builder_finish(&built, 0);
    file = parse();
    ck_assert_msg(file != NULL, "%s", error);
    ck_assert(!gguf_u64(file, "key", &whole));
    ck_assert_ptr_null(gguf_find_tensor(file, "name"));
    gguf_close(file);
    end();
}
END_TEST

START_TEST(a_tensor_of_an_unknown_type_has_no_data)
{
    const uint64_t dims[] = {32};
    const gguf_tensor *tensor;
    gguf *file;

    begin();
    gguf_builder_tensor(&built, "strange", 77, 1, dims, 0);
    gguf_builder_finish(&built, 0);
    file = parse();
    ck_assert_msg(file != NULL, "%s", error);
    tensor = gguf_find_tensor(file, "strange");
    ck_assert_ptr_null(tensor->data);
    ck_assert_uint_eq(tensor->bytes, 0);
    ck_assert_ptr_null(gguf_type_name(tensor->type));
    gguf_close(file);
    end();
}
END_TEST

START_TEST(blocks_of_the_types_are_those_of_the_format)
{
    static const struct {
        uint32_t type;
        const char *name;
        uint32_t elements;
        uint32_t bytes;
    } types[] = {
        {GGUF_F32, "F32", 1, 4},     {GGUF_F16, "F16", 1, 2},     {GGUF_BF16, "BF16", 1, 2},
        {GGUF_Q4_0, "Q4_0", 32, 18}, {GGUF_Q4_1, "Q4_1", 32, 20}, {GGUF_Q8_0, "Q8_0", 32, 34},
        {14, "Q6_K", 256, 210},
    };
    uint32_t elements;
    uint32_t bytes;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        ck_assert_str_eq(gguf_type_name(types[i].type), types[i].name);
        ck_assert(gguf_type_block(types[i].type, &elements, &bytes));
        ck_assert_uint_eq(elements, types[i].elements);
        ck_assert_uint_eq(bytes, types[i].bytes);
    }
    ck_assert(!gguf_type_block(4, &elements, &bytes));
    ck_assert(!gguf_type_block(UINT32_MAX, &elements, &bytes));
}
END_TEST

START_TEST(each_cut_of_a_good_file_is_refused)
{
    build_good(3);
    for (size_t length = built.length - 1; length < built.length; length--) {
        /* A copy of just this size, so that a sanitizer sees any read behind it. */
        unsigned char *cut = malloc(length + 1);

        memcpy(cut, built.bytes, length);
        if (gguf_parse(length ? cut : cut + 1, length, "cut", error, sizeof(error)))
            ck_abort_msg("a file cut to %zu bytes is taken", length);
        if (!strstr(error, "fetch it again"))
            ck_abort_msg("cut to %zu bytes: %s", length, error);
        free(cut);
    }
    end();
}
END_TEST

START_TEST(a_changed_byte_does_no_harm)
{
    static const unsigned char values[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF};

    build_good(3);
    for (size_t i = 0; i < built.length; i++) {
        unsigned char good = built.bytes[i];

        for (size_t k = 0; k < sizeof(values); k++) {
            gguf *file;

            built.bytes[i] = values[k];
            file = parse();
            if (file)
                gguf_walk(file);
            else if (!error[0])
                ck_abort_msg("byte %zu: refused without a word", i);
            gguf_close(file);
        }
        built.bytes[i] = good;
    }
    end();
}
END_TEST

START_TEST(a_file_of_another_kind_is_refused)
{
    begin();
    memcpy(built.bytes, "PK\3\4", 4);
    refuse("it doesn't begin with 'GGUF'");
    end();
    gguf_builder_begin(&built, 1);
    refuse("it has GGUF version 1; versions 2 and 3 can be read");
    end();
    gguf_builder_begin(&built, 4);
    refuse("it has GGUF version 4");
    end();
    gguf_builder_begin(&built, 0x03000000);
    refuse("big-endian");
    end();
}
END_TEST

START_TEST(claimed_counts_take_no_memory)
{
    begin();
    built.pairs = 65536;
    gguf_builder_finish(&built, 0);
    refuse("cut off");
    built.pairs = 65537;
    gguf_builder_finish(&built, 0);
    refuse("it claims 65537 pairs of metadata");
    built.pairs = 0;
    built.tensors = UINT64_MAX;
    gguf_builder_finish(&built, 0);
    refuse("it claims 18446744073709551615 tensors");
    end();
}
END_TEST

START_TEST(a_string_longer_than_the_file_is_refused)
{
    static const uint64_t lengths[] = {100, INT64_MAX, UINT64_MAX, UINT64_MAX - 40};

    begin();
    gguf_builder_key(&built, "key", GGUF_VALUE_STRING);
    gguf_builder_u64(&built, lengths[_i]);
    gguf_builder_finish(&built, 0);
    refuse("its string at byte 47 reaches past the end of the file");
    end();
}
END_TEST

START_TEST(an_array_longer_than_the_file_is_refused)
{
    static const uint64_t counts[] = {100, UINT64_MAX / 4, UINT64_MAX / 8 + 2, UINT64_MAX};
    static const uint32_t types[] = {GGUF_VALUE_U8, GGUF_VALUE_I32, GGUF_VALUE_F64,
                                     GGUF_VALUE_STRING};

    for (size_t i = 0; i < 4; i++) {
        begin();
        gguf_builder_key(&built, "key", GGUF_VALUE_ARRAY);
        gguf_builder_u32(&built, types[i]);
        gguf_builder_u64(&built, counts[_i]);
        gguf_builder_finish(&built, 0);
        refuse("reaches past the end of the file");
        end();
    }
}
END_TEST

START_TEST(keys_must_be_there_once_and_have_a_name)
{
    begin();
    gguf_builder_add_u32(&built, "twice", 1);
    gguf_builder_add_u32(&built, "other", 1);
    gguf_builder_add_bool(&built, "twice", true);
    gguf_builder_finish(&built, 0);
    refuse("its key 'twice' is there twice");
    end();
    begin();
    gguf_builder_add_u32(&built, "", 1);
    gguf_builder_finish(&built, 0);
    refuse("its key at byte 24 is empty");
    end();
}
END_TEST

START_TEST(values_of_types_outside_the_format_are_refused)
{
    begin();
    gguf_builder_key(&built, "new", 13);
    gguf_builder_u64(&built, 0);
    gguf_builder_finish(&built, 0);
    refuse("its key 'new' has a value of type 13");
    end();
    begin();
    gguf_builder_key(&built, "nested", GGUF_VALUE_ARRAY);
    gguf_builder_u32(&built, GGUF_VALUE_ARRAY);
    gguf_builder_u64(&built, 0);
    gguf_builder_finish(&built, 0);
    refuse("its key 'nested' is an array of type 9");
    end();
    begin();
    gguf_builder_key(&built, "maybe", GGUF_VALUE_BOOL);
    gguf_builder_bytes(&built, "\2", 1);
    gguf_builder_finish(&built, 0);
    refuse("its key 'maybe' has a boolean of value 2");
    end();
}
END_TEST

static void refuse_tensor(uint32_t type, uint32_t rank, const uint64_t *dims, uint64_t offset,
                          const char *words)
{
    static const uint64_t none[8];

    begin();
    gguf_builder_tensor(&built, "weight", type, rank, dims ? dims : none, offset);
    gguf_builder_finish(&built, 256);
    refuse(words);
    end();
}

START_TEST(shapes_that_no_tensor_has_are_refused)
{
    const uint64_t empty[] = {4, 0};
    const uint64_t odd[] = {33, 2};
    const uint64_t huge[] = {UINT64_C(1) << 40, UINT64_C(1) << 40};
    const uint64_t wraps[] = {UINT64_C(1) << 62, 2, 2, 2};

    refuse_tensor(GGUF_F32, 0, NULL, 0, "its tensor 'weight' has rank 0");
    refuse_tensor(GGUF_F32, 5, NULL, 0, "its tensor 'weight' has rank 5");
    refuse_tensor(GGUF_F32, 2, empty, 0, "its tensor 'weight' is empty in dimension 1");
    refuse_tensor(GGUF_Q8_0, 2, odd, 0, "its tensor 'weight' of type Q8_0 has rows of 33");
    refuse_tensor(GGUF_F32, 2, huge, 0, "too many");
    refuse_tensor(GGUF_Q4_0, 4, wraps, 0, "too many");
}
END_TEST

START_TEST(tensors_outside_of_the_weights_are_refused)
{
    const uint64_t dims[] = {64};

    refuse_tensor(GGUF_F32, 1, dims, 32, "its tensor 'weight' needs 256 bytes at offset 32");
    refuse_tensor(GGUF_F32, 1, dims, 288, "at offset 288 of a section of 256");
    refuse_tensor(GGUF_F32, 1, dims, UINT64_MAX - 31, "at offset 18446744073709551584");
    refuse_tensor(GGUF_F32, 1, dims, 16, "which is not a multiple of the alignment 32");
}
END_TEST

START_TEST(two_tensors_of_one_name_are_refused)
{
    const uint64_t dims[] = {8};

    begin();
    gguf_builder_tensor(&built, "weight", GGUF_F32, 1, dims, 0);
    gguf_builder_tensor(&built, "weight", GGUF_F32, 1, dims, 32);
    gguf_builder_finish(&built, 64);
    refuse("its tensor 'weight' is there twice");
    end();
    begin();
    gguf_builder_tensor(&built, "", GGUF_F32, 1, dims, 0);
    gguf_builder_finish(&built, 64);
    refuse("its tensor at byte 24 has no name");
    end();
}
END_TEST

START_TEST(an_alignment_must_be_a_sensible_power_of_two)
{
    static const uint32_t bad[] = {0, 1, 4, 24, 1 << 17};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        begin();
        gguf_builder_add_u32(&built, "general.alignment", bad[i]);
        gguf_builder_finish(&built, 0);
        refuse("its key 'general.alignment' is");
        end();
    }
    begin();
    gguf_builder_add_string(&built, "general.alignment", "32");
    gguf_builder_finish(&built, 0);
    refuse("its key 'general.alignment' is not a positive whole number");
    end();
}
END_TEST

START_TEST(the_alignment_of_the_file_counts)
{
    const uint64_t dims[] = {2};
    const gguf_tensor *tensor;
    gguf *file;

    begin();
    gguf_builder_add_u32(&built, "general.alignment", 64);
    gguf_builder_tensor(&built, "first", GGUF_F32, 1, dims, 0);
    gguf_builder_tensor(&built, "second", GGUF_F32, 1, dims, 64);
    gguf_builder_finish(&built, 128);
    file = parse();
    ck_assert_msg(file != NULL, "%s", error);
    tensor = gguf_find_tensor(file, "first");
    ck_assert_uint_eq(((uintptr_t)tensor->data - (uintptr_t)built.bytes) % 64, 0);
    gguf_close(file);
    end();
}
END_TEST

START_TEST(messages_show_no_control_characters_and_stay_in_their_buffer)
{
    char tiny[16];

    begin();
    gguf_builder_add_u32(&built, "\33[2J\n", 1);
    gguf_builder_add_u32(&built, "\33[2J\n", 1);
    gguf_builder_finish(&built, 0);
    refuse("its key '?[2J?' is there twice");
    ck_assert_ptr_null(gguf_parse(built.bytes, built.length, "model.gguf", tiny, sizeof(tiny)));
    ck_assert_str_eq(tiny, "cannot read mod");
    end();
}
END_TEST

START_TEST(the_fingerprint_changes_with_metadata_and_weights)
{
    uint64_t first;
    gguf *file;

    build_good(3);
    file = parse();
    first = gguf_fingerprint(file);
    gguf_close(file);
    file = parse();
    ck_assert_uint_eq(gguf_fingerprint(file), first);
    gguf_close(file);
    built.bytes[built.length - 1] ^= 1;
    file = parse();
    ck_assert_uint_ne(gguf_fingerprint(file), first);
    gguf_close(file);
    built.bytes[built.length - 1] ^= 1;
    memcpy(memmem(built.bytes, built.length, "llama", 5), "lLama", 5);
    file = parse();
    ck_assert_uint_ne(gguf_fingerprint(file), first);
    gguf_close(file);
    end();
}
END_TEST

/* ---- files ---- */

static char folder[] = "/tmp/millrace-gguf-XXXXXX";
static char path[64];

static void make_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/model.gguf", folder);
}

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

static void write_file(const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
    close(fd);
}

static void refuse_path(const char *words)
{
    ck_assert_ptr_null(gguf_open(path, error, sizeof(error)));
    ck_assert_msg(strstr(error, words) != NULL, "'%s' doesn't say '%s'", error, words);
    ck_assert_msg(strstr(error, path) != NULL, "'%s' doesn't name the file", error);
}

START_TEST(a_mapped_file_is_read_and_tells_when_it_was_changed)
{
    const struct timespec later[2] = {{1000000000, 0}, {1000000000, 0}};
    gguf *file;

    build_good(3);
    write_file(built.bytes, built.length);
    file = gguf_open(path, error, sizeof(error));
    ck_assert_msg(file != NULL, "%s", error);
    ck_assert_uint_eq(gguf_file_size(file), built.length);
    ck_assert_uint_ne(gguf_walk(file), 0);
    ck_assert(gguf_unchanged(file));
    ck_assert_int_eq(utimensat(AT_FDCWD, path, later, 0), 0);
    ck_assert(!gguf_unchanged(file));
    gguf_close(file);
    end();
}
END_TEST

START_TEST(a_truncated_file_is_told_but_not_an_unlinked_one)
{
    gguf *file;

    build_good(3);
    write_file(built.bytes, built.length);
    file = gguf_open(path, error, sizeof(error));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(gguf_unchanged(file));
    gguf_close(file);
    write_file(built.bytes, built.length);
    file = gguf_open(path, error, sizeof(error));
    ck_assert_int_eq(truncate(path, (off_t)built.length / 2), 0);
    ck_assert(!gguf_unchanged(file));
    gguf_close(file);
    end();
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused)
{
    refuse_path("No such file or directory");
    write_file("", 0);
    refuse_path("it is empty");
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    refuse_path("it is not a regular file");
    rmdir(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    refuse_path("it is not a regular file");
}
END_TEST

/* Files of 64 GiB that take no room. valgrind has not so many addresses: there these two say
 * nothing. */
#define SPARSE_BYTES ((off_t)1 << 36)

static bool can_map_sparse(void)
{
    void *map =
        mmap(NULL, SPARSE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return map != MAP_FAILED && !munmap(map, SPARSE_BYTES);
}

START_TEST(a_sparse_file_of_zeros_is_refused_at_once)
{
    if (!can_map_sparse())
        return;
    begin();
    built.pairs = 65536;
    gguf_builder_finish(&built, 0);
    write_file(built.bytes, built.length);
    ck_assert_int_eq(truncate(path, SPARSE_BYTES), 0);
    refuse_path("is empty");
    end();
}
END_TEST

START_TEST(an_endless_array_of_empty_strings_is_refused)
{
    if (!can_map_sparse())
        return;
    begin();
    gguf_builder_key(&built, "words", GGUF_VALUE_ARRAY);
    gguf_builder_u32(&built, GGUF_VALUE_STRING);
    gguf_builder_u64(&built, UINT64_C(1) << 32);
    gguf_builder_finish(&built, 0);
    write_file(built.bytes, built.length);
    ck_assert_int_eq(truncate(path, SPARSE_BYTES), 0);
    refuse_path("past the limit");
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gguf");
    TCase *reading = tcase_create("reading");
    TCase *refusing = tcase_create("refusing");
    TCase *files = tcase_create("files");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(reading, metadata_of_versions_2_and_3_is_read, 2, 4);
    tcase_add_test(reading, a_value_of_another_type_is_not_there);
    tcase_add_test(reading, arrays_are_read_element_by_element);
    tcase_add_test(reading, tensors_are_found_by_name_with_shape_and_place);
    tcase_add_test(reading, a_file_without_pairs_and_tensors_is_read);
    tcase_add_test(reading, a_tensor_of_an_unknown_type_has_no_data);
    tcase_add_test(reading, blocks_of_the_types_are_those_of_the_format);
    tcase_add_test(reading, the_alignment_of_the_file_counts);
    tcase_add_test(reading, the_fingerprint_changes_with_metadata_and_weights);
    suite_add_tcase(suite, reading);

    tcase_add_test(refusing, each_cut_of_a_good_file_is_refused);
    tcase_add_test(refusing, a_changed_byte_does_no_harm);
    tcase_add_test(refusing, a_file_of_another_kind_is_refused);
    tcase_add_test(refusing, claimed_counts_take_no_memory);
    tcase_add_loop_test(refusing, a_string_longer_than_the_file_is_refused, 0, 4);
    tcase_add_loop_test(refusing, an_array_longer_than_the_file_is_refused, 0, 4);
    tcase_add_test(refusing, keys_must_be_there_once_and_have_a_name);
    tcase_add_test(refusing, values_of_types_outside_the_format_are_refused);
    tcase_add_test(refusing, shapes_that_no_tensor_has_are_refused);
    tcase_add_test(refusing, tensors_outside_of_the_weights_are_refused);
    tcase_add_test(refusing, two_tensors_of_one_name_are_refused);
    tcase_add_test(refusing, an_alignment_must_be_a_sensible_power_of_two);
    tcase_add_test(refusing, messages_show_no_control_characters_and_stay_in_their_buffer);
    suite_add_tcase(suite, refusing);

    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, a_mapped_file_is_read_and_tells_when_it_was_changed);
    tcase_add_test(files, a_truncated_file_is_told_but_not_an_unlinked_one);
    tcase_add_test(files, what_is_no_regular_file_is_refused);
    tcase_add_test(files, a_sparse_file_of_zeros_is_refused_at_once);
    tcase_add_test(files, an_endless_array_of_empty_strings_is_refused);
    suite_add_tcase(suite, files);

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
