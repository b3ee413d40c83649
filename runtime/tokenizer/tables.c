/*
 * tables.c - tables that another process made, mapped and worked in where they lie
 *
 * The vocabulary here is a view: its pointers lead into the mapping, which nobody can change. What
 * isn't sealed is refused before it is mapped: its maker could still cut it under us, and we would
 * end by SIGBUS.
 */
#include "runtime/tokenizer/tables.h"
#include "runtime/tokenizer/tables_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct tables {
    char *base;
    size_t bytes;
    vocabulary vocab;
};

static const tables_header *header_of(const tables *mapped)
{
    return (const tables_header *)(const void *)mapped->base;
}

/* As a vocabulary has it, whose pointers aren't to constants; nobody writes there. */
static void *part_of(const tables *mapped, enum tables_part part)
{
    return mapped->base + header_of(mapped)->parts[part].offset;
}

static size_t count_of(const tables *mapped, enum tables_part part, size_t element)
{
    return tables_count(header_of(mapped), part, element);
}

/* ---- the view ---- */

static void view_merges(tables *mapped, merge_table *table)
{
    size_t slots = count_of(mapped, TABLES_MERGES, sizeof(*table->slots));

    if (slots > 0)
        *table = (merge_table){part_of(mapped, TABLES_MERGES), slots - 1,
                               64 - (unsigned)__builtin_ctzll(slots)};
}

static void view_whole(tables *mapped, token_map *map)
{
    size_t slots = count_of(mapped, TABLES_WHOLE, sizeof(*map->slots));

    *map = (token_map){.texts = {part_of(mapped, TABLES_BYTES), part_of(mapped, TABLES_PLACES)},
                       .slots = part_of(mapped, TABLES_WHOLE),
                       .mask = slots - 1};
}

static void view_vocabulary(tables *mapped)
{
    const tables_header *header = header_of(mapped);
    vocabulary *v = &mapped->vocab;

    *v = (vocabulary){
        .count = count_of(mapped, TABLES_TYPES, 1),
        .places = part_of(mapped, TABLES_PLACES),
        .types = part_of(mapped, TABLES_TYPES),
        .bytes = part_of(mapped, TABLES_BYTES),
        .byte_count = count_of(mapped, TABLES_BYTES, 1),
        .longest = header->longest,
        .takes_whole = header->takes_whole != 0,
        .by_score = header->by_score != 0,
        .ranks = part_of(mapped, TABLES_RANKS),
        .blanks_begin = header->blanks_begin != 0,
        .specials = part_of(mapped, TABLES_SPECIALS),
        .special_count = count_of(mapped, TABLES_SPECIALS, sizeof(*v->specials)),
        .has_user_defined = header->has_user_defined != 0,
        .ends = part_of(mapped, TABLES_ENDS),
        .end_count = count_of(mapped, TABLES_ENDS, sizeof(*v->ends)),
        .adds_bos = header->adds_bos != 0,
        .adds_space = header->adds_space != 0,
        .pre = part_of(mapped, TABLES_PRE),
        .fingerprint = header->fingerprint,
    };
    memcpy(v->byte_tokens, header->byte_tokens, sizeof(v->byte_tokens));
    memcpy(v->ids, header->ids, sizeof(v->ids));
    view_merges(mapped, &v->merges);
    view_whole(mapped, &v->whole);
}

/* ---- mapping ---- */

static const char *map_file(tables *mapped, int fd)
{
    enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL };
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat status;

    if (seals < 0 || (seals & SEALS) != SEALS)
        return "they don't lie in a sealed memory file";
    if (fstat(fd, &status) < 0 || status.st_size <= 0)
        return "they are empty";
    /* All pages at once: each is read now, to be checked. */
    mapped->base = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (mapped->base == MAP_FAILED) {
        mapped->base = NULL;
        return strerror(errno);
    }
    mapped->bytes = (size_t)status.st_size;
    return tables_check(mapped->base, mapped->bytes);
}

tables *tables_map(int fd, char *error, size_t error_size)
{
    tables *mapped = calloc(1, sizeof(*mapped));
    const char *why = mapped ? map_file(mapped, fd) : "no memory";

    if (!why) {
        view_vocabulary(mapped);
        return mapped;
    }
    snprintf(error, error_size,
             "cannot use the vocabulary's tables that the supervisor made: %s; start the run again",
             why);
    tables_free(mapped);
    return NULL;
}

void tables_free(tables *mapped)
{
    if (mapped && mapped->base)
        munmap(mapped->base, mapped->bytes);
    free(mapped);
}

const vocabulary *tables_vocabulary(const tables *mapped)
{
    return &mapped->vocab;
}

gguf_text tables_chat_template(const tables *mapped)
{
    if (!header_of(mapped)->has_template)
        return (gguf_text){NULL, 0};
    return (gguf_text){part_of(mapped, TABLES_TEMPLATE), count_of(mapped, TABLES_TEMPLATE, 1)};
}
