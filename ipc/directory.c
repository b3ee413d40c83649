/*
 * directory.c - the named arrays of a context
 *
 * The directory is written at admission and constant. Each entry has one place for its array, or
 * two: what may be replaced is written to the idle one, and becomes true by a bit of PLACES in the
 * next commit. So others see the old array or the new one, whole, whenever the holder dies.
 *
 * A place begins with a head that says what lies in it. Head and entry are copied and checked at
 * each access: they lie in shared memory, and what they say about sizes must stay inside the
 * context's own part of the arena.
 */
#include "ipc/error.h"
#include "ipc/parts.h"
#include "ipc/text.h"
#include <errno.h>
#include <string.h>

_Static_assert(MR_ARRAY_NAME_MAX + 1 == sizeof(((mr_entry *)0)->name), "names fit");
_Static_assert(MR_MAX_RANK == sizeof(((mr_array_place *)0)->shape) / sizeof(int64_t), "shapes fit");

enum { LINE = 64, REPLACEABLE_MAX = 64 /* bits of PLACES */ };

/* ---- at admission ---- */

int mr_directory_check(const mr_array_given *given)
{
    int64_t bytes;

    if (!given->name || !*given->name || strlen(given->name) > MR_ARRAY_NAME_MAX)
        return mr_fail(EINVAL, "an array's name must have 1 to %d bytes", MR_ARRAY_NAME_MAX);
    if (given->array.dtype == MR_DTYPE_NONE)
        return 0;
    bytes = mr_array_bytes(&given->array);
    if (bytes < 0)
        return (int)bytes;
    if (given->room && (uint64_t)bytes > given->room)
        return mr_fail(EINVAL, "array '%s' has %lld bytes, more than its room of %llu", given->name,
                       (long long)bytes, (unsigned long long)given->room);
    return 0;
}

/* Elements begin on a line, so that wide loads of them don't cross one. */
static uint64_t place_bytes(const mr_array_given *given)
{
    int64_t bytes = given->array.dtype == MR_DTYPE_NONE ? 0 : mr_array_bytes(&given->array);
    uint64_t most = given->room > (uint64_t)bytes ? given->room : (uint64_t)bytes;

    if (bytes < 0 || most > INT64_MAX / 4)
        return UINT64_MAX;
    return sizeof(mr_array_place) + (most + LINE - 1) / LINE * LINE;
}

uint64_t mr_directory_bytes(const mr_array_given *given)
{
    uint64_t bytes = place_bytes(given);

    return bytes == UINT64_MAX ? bytes : bytes * (given->room ? 2 : 1);
}

static void describe(mr_array_place *place, const mr_array *array)
{
    *place = (mr_array_place){.dtype = array->dtype, .rank = array->rank};
    memcpy(place->shape, array->shape, sizeof(place->shape));
}

void mr_directory_put(mr_domain *domain, mr_entry *entry, uint32_t group,
                      const mr_array_given *given, uint64_t offset)
{
    mr_array_place *place = (mr_array_place *)(void *)(domain->data + offset);

    *entry = (mr_entry){.group = group,
                        .places = given->room ? 2 : 1,
                        .offset = offset,
                        .bytes = place_bytes(given)};
    strcpy(entry->name, given->name);
    describe(place, &given->array);
    if (given->array.dtype != MR_DTYPE_NONE)
        mr_array_copy(place + 1, &given->array);
}

/* ---- looking up ---- */

size_t mr_context_array_count(const mr_context *context)
{
    return context->params.directory.bytes / sizeof(mr_entry);
}

static int corrupt(const mr_context *context, size_t i)
{
    return mr_fail(EBADMSG, "slot %td is corrupt: array %zu makes no sense",
                   context->slot - context->domain->slots, i);
}

/* Do `count` places lie inside the context's own part of the arena? */
static bool lies_inside(const mr_context *context, const mr_entry *entry)
{
    const mr_range whole = context->slot->arena;
    uint64_t end = context->domain->arena_offset + context->domain->arena_bytes;

    return entry->places >= 1 && entry->places <= 2 && entry->offset % 8 == 0 &&
           entry->bytes >= sizeof(mr_array_place) && entry->bytes <= INT64_MAX / 4 &&
           entry->offset >= whole.offset && whole.offset >= context->domain->arena_offset &&
           whole.bytes <= end - whole.offset && entry->offset - whole.offset <= whole.bytes &&
           entry->bytes * entry->places <= whole.bytes - (entry->offset - whole.offset);
}

/* A checked copy of entry i. */
static int look(const mr_context *context, size_t i, mr_entry *entry)
{
    const mr_entry *entries =
        (const mr_entry *)(const void *)(context->domain->data + context->params.directory.offset);

    *entry = entries[i];
    if (!memchr(entry->name, 0, sizeof(entry->name)) || !lies_inside(context, entry) ||
        (entry->places == 2 && i >= REPLACEABLE_MAX))
        return corrupt(context, i);
    return 0;
}

static uint64_t bit(size_t i)
{
    return UINT64_C(1) << i;
}

static mr_array_place *place_of(const mr_context *context, const mr_entry *entry, unsigned which)
{
    return (mr_array_place *)(void *)(context->domain->data + entry->offset + which * entry->bytes);
}

/* The array that a place holds, as far as it fits into it. */
static int read_place(const mr_context *context, size_t i, const mr_entry *entry, unsigned which,
                      mr_array *array)
{
    mr_array_place *place = place_of(context, entry, which);
    const mr_array_place head = *place;
    int64_t bytes;

    *array = (mr_array){.dtype = head.dtype, .rank = head.rank, .data = place + 1};
    memcpy(array->shape, head.shape, sizeof(head.shape));
    if (head.dtype == MR_DTYPE_NONE)
        return 0;
    bytes = mr_array_bytes(array);
    if (bytes < 0 || (uint64_t)bytes > entry->bytes - sizeof(head))
        return corrupt(context, i);
    mr_array_make_contiguous(array);
    return 0;
}

static unsigned present_place(const mr_context *context, size_t i, const mr_entry *entry)
{
    return entry->places == 2 && ((uint64_t)context->now[MR_CURSOR_PLACES] & bit(i));
}

int mr_context_array_at(const mr_context *context, size_t i, mr_array_info *info, mr_array *array)
{
    mr_entry entry;
    int rc;

    if (i >= mr_context_array_count(context))
        return mr_fail(ERANGE, "there is no array %zu, the context has %zu", i,
                       mr_context_array_count(context));
    if ((rc = look(context, i, &entry)))
        return rc;
    *info = (mr_array_info){.group = entry.group,
                            .replaceable = entry.places == 2,
                            .room = entry.bytes - sizeof(mr_array_place)};
    strcpy(info->name, entry.name);
    return read_place(context, i, &entry, present_place(context, i, &entry), array);
}

/* Index of the entry, and a checked copy of it. */
static int find(const mr_context *context, uint32_t group, const char *name, mr_entry *entry)
{
    size_t count = mr_context_array_count(context);

    for (size_t i = 0; i < count; i++) {
        int rc = look(context, i, entry);

        if (rc < 0)
            return rc;
        if (entry->group == group && !strcmp(entry->name, name))
            return (int)i;
    }
    return mr_fail(ENOENT, "the context has no array '%s'", name);
}

int mr_directory_where(const mr_context *context, uint32_t group, const char *name)
{
    mr_entry entry;

    return find(context, group, name, &entry);
}

int mr_context_array(const mr_context *context, enum mr_array_group group, const char *name,
                     mr_array *array)
{
    mr_entry entry;
    int i = find(context, group, name, &entry);

    if (i < 0)
        return i;
    return read_place(context, (size_t)i, &entry, present_place(context, (size_t)i, &entry), array);
}

/* ---- replacing ---- */

/* Is bit i of a cursor word set in the last commit? */
static bool committed_bit(const mr_context *context, enum mr_cursor cursor, size_t i)
{
    const mr_word *word = &context->slot->cursors[context->sequence & 1][cursor];

    return atomic_load_explicit(word, memory_order_relaxed) & bit(i);
}

static bool private_bit(const mr_context *context, enum mr_cursor cursor, size_t i)
{
    return (uint64_t)context->now[cursor] & bit(i);
}

static void set_bit(mr_context *context, enum mr_cursor cursor, size_t i, bool value)
{
    uint64_t others = (uint64_t)context->now[cursor] & ~bit(i);

    context->now[cursor] = (int64_t)(value ? others | bit(i) : others);
}

/* The place that nobody else may be reading: the one that the last commit doesn't name. */
static unsigned idle_place(const mr_context *context, size_t i)
{
    return !committed_bit(context, MR_CURSOR_PLACES, i);
}

/* The idle place is about to be written; should it hold what was replaced since the last commit,
 * that is given up. */
static void withdraw(mr_context *context, size_t i)
{
    bool place = committed_bit(context, MR_CURSOR_PLACES, i);

    if (private_bit(context, MR_CURSOR_PLACES, i) == place)
        return;
    set_bit(context, MR_CURSOR_PLACES, i, place);
    set_bit(context, MR_CURSOR_REPLACED, i, committed_bit(context, MR_CURSOR_REPLACED, i));
}

bool mr_directory_is_replaced(const mr_context *context, int i)
{
    return private_bit(context, MR_CURSOR_REPLACED, (size_t)i);
}

void mr_directory_forget(mr_context *context, int i)
{
    withdraw(context, (size_t)i);
    set_bit(context, MR_CURSOR_REPLACED, (size_t)i, false);
}

int mr_context_array_prepare(mr_context *context, enum mr_array_group group, const char *name,
                             mr_array *place)
{
    mr_entry entry;
    mr_array_place *idle;
    int64_t bytes = mr_array_bytes(place);
    int i = bytes < 0 ? (int)bytes : find(context, group, name, &entry);

    if (i < 0)
        return i;
    if (entry.places != 2)
        return mr_fail(EROFS, "array '%s' can't be replaced", name);
    if ((uint64_t)bytes > entry.bytes - sizeof(mr_array_place))
        return mr_fail(ENOSPC, "array '%s' has room for %llu bytes, not for %lld", name,
                       (unsigned long long)(entry.bytes - sizeof(mr_array_place)),
                       (long long)bytes);
    withdraw(context, (size_t)i);
    idle = place_of(context, &entry, idle_place(context, (size_t)i));
    describe(idle, place);
    mr_array_make_contiguous(place);
    place->data = idle + 1;
    context->prepared |= bit((size_t)i);
    return 0;
}

int mr_context_array_replace(mr_context *context, enum mr_array_group group, const char *name)
{
    int i = mr_directory_where(context, group, name);

    if (i < 0)
        return i;
    if ((size_t)i >= REPLACEABLE_MAX || !(context->prepared & bit((size_t)i)))
        return mr_fail(EINVAL, "array '%s' was not prepared; mr_context_array_prepare() first",
                       name);
    context->prepared &= ~bit((size_t)i);
    set_bit(context, MR_CURSOR_PLACES, (size_t)i, idle_place(context, (size_t)i));
    set_bit(context, MR_CURSOR_REPLACED, (size_t)i, true);
    mr_text_publish(context);
    return 0;
}
