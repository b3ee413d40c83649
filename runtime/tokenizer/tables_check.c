/*
 * tables_check.c - whether what lies in memory are valid tables: the conditions of tables_layout.h
 */
#include "runtime/tokenizer/tables_layout.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t tables_check_sum(const void *base, size_t bytes)
{
    return XXH3_64bits((const char *)base + TABLES_CHECKED_FROM, bytes - TABLES_CHECKED_FROM);
}

static uint64_t token_count(const tables_header *header)
{
    return header->parts[TABLES_TYPES].bytes;
}

/* ---- parts ---- */

static bool part_is_inside(const tables_header *header, tables_range part)
{
    return part.offset >= sizeof(*header) && part.offset % TABLES_ALIGN == 0 &&
           part.offset <= header->bytes && part.bytes <= header->bytes - part.offset;
}

static bool is_hash_table(const tables_header *header, enum tables_part part, size_t element)
{
    uint64_t slots = tables_count(header, part, element);

    return slots >= TABLES_LEAST_SLOTS && (slots & (slots - 1)) == 0;
}

/* What the one kind of vocabulary or the other merges by. */
static bool merging_parts_are_right(const tables_header *header)
{
    if ((header->takes_whole || header->by_score) &&
        !is_hash_table(header, TABLES_WHOLE, sizeof(int32_t)))
        return false;
    return header->by_score
               ? tables_count(header, TABLES_RANKS, sizeof(uint32_t)) == token_count(header)
               : is_hash_table(header, TABLES_MERGES, sizeof(merge_slot));
}

static bool parts_are_right(const tables_header *header)
{
    static const size_t elements[TABLES_PARTS] = {
        [TABLES_TYPES] = 1,
        [TABLES_PLACES] = sizeof(token_place),
        [TABLES_BYTES] = 1,
        [TABLES_MERGES] = sizeof(merge_slot),
        [TABLES_WHOLE] = sizeof(int32_t),
        [TABLES_RANKS] = sizeof(uint32_t),
        [TABLES_SPECIALS] = sizeof(int32_t),
        [TABLES_ENDS] = sizeof(int64_t),
        [TABLES_PRE] = 1,
        [TABLES_TEMPLATE] = 1,
    };

    for (size_t i = 0; i < TABLES_PARTS; i++)
        if (!part_is_inside(header, header->parts[i]) || header->parts[i].bytes % elements[i] != 0)
            return false;
    return token_count(header) > 0 && token_count(header) <= INT32_MAX &&
           tables_count(header, TABLES_PLACES, sizeof(token_place)) == token_count(header) &&
           merging_parts_are_right(header);
}

/* ---- what stands in them ---- */

static bool is_token_or_none(const tables_header *header, int64_t id)
{
    return id >= -1 && id < (int64_t)token_count(header);
}

static bool tokens_are_right(const tables_header *header)
{
    const unsigned char *types = tables_part(header, TABLES_TYPES);
    const token_place *places = tables_part(header, TABLES_PLACES);
    uint64_t room = header->parts[TABLES_BYTES].bytes, count = token_count(header);
    bool right = header->longest > 0;

    for (uint64_t i = 0; i < count; i++)
        right &= types[i] >= TOKEN_NORMAL && types[i] <= TOKEN_BYTE &&
                 (uint64_t)places[i].start + places[i].length <= room &&
                 places[i].length <= header->longest;
    return right;
}

static bool merges_are_right(const tables_header *header)
{
    const merge_slot *slots = tables_part(header, TABLES_MERGES);
    uint64_t count = tables_count(header, TABLES_MERGES, sizeof(*slots)), empty = 0;
    bool right = true;

    for (uint64_t i = 0; i < count; i++) {
        empty += slots[i].merge == MERGE_NONE;
        right &= slots[i].merge == MERGE_NONE || (uint32_t)slots[i].merge < token_count(header);
    }
    return right && (empty > 0 || header->by_score);
}

static bool whole_is_right(const tables_header *header)
{
    const int32_t *slots = tables_part(header, TABLES_WHOLE);
    uint64_t count = tables_count(header, TABLES_WHOLE, sizeof(*slots)), empty = 0;
    bool right = true;

    for (uint64_t i = 0; i < count; i++) {
        empty += slots[i] == -1;
        right &= is_token_or_none(header, slots[i]);
    }
    return right && (empty > 0 || count == 0);
}

static bool specials_are_right(const tables_header *header)
{
    const int32_t *specials = tables_part(header, TABLES_SPECIALS);
    const token_place *places = tables_part(header, TABLES_PLACES);
    uint64_t count = tables_count(header, TABLES_SPECIALS, sizeof(*specials));

    for (uint64_t i = 0; i < count; i++)
        if (specials[i] < 0 || !is_token_or_none(header, specials[i]) ||
            places[specials[i]].length == 0)
            return false;
    return true;
}

static bool ids_are_right(const tables_header *header)
{
    const int64_t *ends = tables_part(header, TABLES_ENDS);
    uint64_t end_count = tables_count(header, TABLES_ENDS, sizeof(*ends));
    bool right = true;

    for (size_t i = 0; i < VOCABULARY_SPECIALS; i++)
        right &= is_token_or_none(header, header->ids[i]);
    for (size_t i = 0; i < 256; i++)
        right &= is_token_or_none(header, header->byte_tokens[i]);
    for (uint64_t i = 0; i < end_count; i++)
        right &= ends[i] >= 0 && is_token_or_none(header, ends[i]);
    return right && (!header->adds_bos || header->ids[VOCABULARY_BOS] >= 0);
}

static bool pre_is_right(const tables_header *header)
{
    uint64_t bytes = header->parts[TABLES_PRE].bytes;

    return bytes > 0 && memchr(tables_part(header, TABLES_PRE), '\0', bytes) != NULL;
}

const char *tables_check(const void *base, size_t bytes)
{
    const tables_header *header = base;

    if (bytes < sizeof(*header))
        return "they are cut off";
    if (header->magic != TABLES_MAGIC)
        return "they are no tables";
    if (header->header_bytes != sizeof(*header))
        return "they are of another version of millrace";
    if (header->bytes != bytes)
        return "they are cut off or too long";
    if (header->check != tables_check_sum(base, bytes))
        return "their check sum is wrong";
    if (!parts_are_right(header))
        return "a part of them lies outside, or has a wrong size";
    if (!tokens_are_right(header) || !specials_are_right(header) || !ids_are_right(header) ||
        !pre_is_right(header))
        return "a token in them is wrong";
    if (!merges_are_right(header) || !whole_is_right(header))
        return "their merges are wrong";
    return NULL;
}
