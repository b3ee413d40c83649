/*
 * tables_make.c - the tables of a model laid into a sealed memory file
 *
 * All of the file's memory is taken before anything is written there, so that a machine without
 * room gives an error and no SIGBUS. The mapping for writing is gone before the file is sealed, as
 * the kernel demands it.
 */
#include "runtime/tokenizer/tables.h"
#include "runtime/tokenizer/tables_layout.h"
#include "runtime/tokenizer/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The parts as they lie on the heap. */
typedef struct {
    const void *from[TABLES_PARTS];
    tables_header header;
} image;

static void add_part(image *made, enum tables_part part, const void *from, size_t bytes)
{
    tables_header *header = &made->header;

    made->from[part] = from;
    header->parts[part] = (tables_range){header->bytes, bytes};
    header->bytes += (bytes + TABLES_ALIGN - 1) / TABLES_ALIGN * TABLES_ALIGN;
}

static void add_parts(image *made, const vocabulary *v, gguf_text program)
{
    size_t merges = v->by_score ? 0 : v->merges.mask + 1;
    size_t whole = v->takes_whole || v->by_score ? v->whole.mask + 1 : 0;
    size_t ranks = v->by_score ? v->count : 0;

    made->header.bytes = (sizeof(made->header) + TABLES_ALIGN - 1) / TABLES_ALIGN * TABLES_ALIGN;
    add_part(made, TABLES_TYPES, v->types, v->count);
    add_part(made, TABLES_PLACES, v->places, v->count * sizeof(*v->places));
    add_part(made, TABLES_BYTES, v->bytes, v->byte_count);
    add_part(made, TABLES_MERGES, v->merges.slots, merges * sizeof(*v->merges.slots));
    add_part(made, TABLES_WHOLE, v->whole.slots, whole * sizeof(*v->whole.slots));
    add_part(made, TABLES_RANKS, v->ranks, ranks * sizeof(*v->ranks));
    add_part(made, TABLES_SPECIALS, v->specials, v->special_count * sizeof(*v->specials));
    add_part(made, TABLES_ENDS, v->ends, v->end_count * sizeof(*v->ends));
    add_part(made, TABLES_PRE, v->pre, strlen(v->pre) + 1);
    add_part(made, TABLES_TEMPLATE, program.bytes, program.length);
}

static void fill_header(tables_header *header, const vocabulary *v, gguf_text program)
{
    header->magic = TABLES_MAGIC;
    header->header_bytes = sizeof(*header);
    header->fingerprint = v->fingerprint;
    header->longest = v->longest;
    memcpy(header->ids, v->ids, sizeof(header->ids));
    memcpy(header->byte_tokens, v->byte_tokens, sizeof(header->byte_tokens));
    header->takes_whole = v->takes_whole;
    header->has_user_defined = v->has_user_defined;
    header->adds_bos = v->adds_bos;
    header->adds_space = v->adds_space;
    header->by_score = v->by_score;
    header->blanks_begin = v->blanks_begin;
    header->has_template = program.bytes != NULL;
}

static int write_image(int fd, const image *made)
{
    size_t bytes = made->header.bytes;
    int error = posix_fallocate(fd, 0, (off_t)bytes);
    char *base;

    if (error != 0)
        return -error;
    base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    memcpy(base, &made->header, sizeof(made->header));
    for (size_t i = 0; i < TABLES_PARTS; i++)
        if (made->header.parts[i].bytes > 0)
            memcpy(base + made->header.parts[i].offset, made->from[i], made->header.parts[i].bytes);
    ((tables_header *)(void *)base)->check = tables_check_sum(base, bytes);
    munmap(base, bytes);
    return 0;
}

static int put_into_file(const image *made)
{
    int fd = memfd_create("millrace-tables", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

    if (fd < 0)
        return -errno;
    error = write_image(fd, made);
    if (error == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        error = -errno;
    if (error < 0)
        close(fd);
    return error < 0 ? error : fd;
}

int tables_make(const gguf *file, uint64_t *bytes, char *error, size_t error_size)
{
    vocabulary *vocab = vocabulary_load(file, error, error_size);
    gguf_text program = chat_template_program(file);
    image made = {0};
    int fd;

    if (!vocab)
        return -1;
    fill_header(&made.header, vocab, program);
    add_parts(&made, vocab, program);
    fd = put_into_file(&made);
    vocabulary_free(vocab);
    *bytes = made.header.bytes;
    if (fd >= 0)
        return fd;
    snprintf(error, error_size,
             "cannot keep the model's vocabulary, %.1f MiB, in a memory file: %s; free some memory",
             (double)made.header.bytes / 1048576, strerror(-fd));
    return -1;
}
