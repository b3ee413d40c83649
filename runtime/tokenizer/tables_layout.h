/*
 * tables_layout.h - how the tables lie in their memory file
 *
 * A header, then parts, each at a multiple of TABLES_ALIGN bytes from the beginning; offsets and
 * ids, never pointers. Made and read by one and the same binary, so the numbers are the machine's
 * own.
 *
 * The tables are valid if (tables_check() asks in this order):
 *   1. Magic, size of the header and size of the whole are right.
 *   2. `check` is XXH3-64 of all that follows it.
 *   3. Each part lies inside, behind the header, aligned, and has the size that the number of
 *      tokens or its kind demands.
 *   4. Each id in them is a token's (or -1, where that means none), each type one of enum
 *      token_type, and the place of each token lies in its block of bytes.
 *   5. The hash tables have 2^k places, 16 at least, of which one at least is empty: so every
 *      search ends.
 */
#ifndef MILLRACE_TOKENIZER_TABLES_LAYOUT_H
#define MILLRACE_TOKENIZER_TABLES_LAYOUT_H

#include "runtime/tokenizer/vocabulary_internal.h"

#include <stddef.h>

#define TABLES_MAGIC UINT64_C(0x73656C626174726D) /* "mrtables" */

enum { TABLES_ALIGN = 64, TABLES_LEAST_SLOTS = 16 };

enum tables_part {
    TABLES_TYPES,    /* a byte a token */
    TABLES_PLACES,   /* a token_place a token */
    TABLES_BYTES,    /* what the tokens stand for */
    TABLES_MERGES,   /* merge_slot, hashed by pair; empty if by_score */
    TABLES_WHOLE,    /* int32_t, hashed by text; empty unless takes_whole or by_score */
    TABLES_RANKS,    /* uint32_t a token; empty unless by_score */
    TABLES_SPECIALS, /* int32_t, in the order of their texts */
    TABLES_ENDS,     /* int64_t, ascending */
    TABLES_PRE,      /* the pre-tokenizer's name, with its NUL */
    TABLES_TEMPLATE, /* the chat template's program */
    TABLES_PARTS
};

typedef struct {
    uint64_t offset;
    uint64_t bytes;
} tables_range;

typedef struct {
    uint64_t magic;
    uint64_t check;
    uint64_t header_bytes;
    uint64_t bytes; /* of all */
    tables_range parts[TABLES_PARTS];
    uint64_t fingerprint;
    uint64_t longest;
    int64_t ids[VOCABULARY_SPECIALS];
    int32_t byte_tokens[256];
    uint8_t takes_whole; /* this and those below: 0 or 1 */
    uint8_t has_user_defined;
    uint8_t adds_bos;
    uint8_t adds_space;
    uint8_t has_template;
    uint8_t by_score;
    uint8_t blanks_begin;
    uint8_t unused;
} tables_header;

/* What `check` covers begins behind it. */
enum { TABLES_CHECKED_FROM = offsetof(tables_header, check) + sizeof(uint64_t) };

static inline const void *tables_part(const tables_header *header, enum tables_part which)
{
    return (const char *)header + header->parts[which].offset;
}

/* Elements in a part. */
static inline size_t tables_count(const tables_header *header, enum tables_part which,
                                  size_t element)
{
    return header->parts[which].bytes / element;
}

/* tables_check_sum - of what lies at `base`, `bytes` bytes, a header at least */
uint64_t tables_check_sum(const void *base, size_t bytes);

/* tables_check - NULL if what lies at `base`, aligned to TABLES_ALIGN, are valid tables; else what
 * is wrong, to stand behind "cannot use ...: " */
const char *tables_check(const void *base, size_t bytes);

#endif
