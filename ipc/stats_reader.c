/*
 * stats_reader.c - the stats of a domain, read by anybody
 *
 * Whoever reads has the stats segment alone, of a domain that may be dead, of another version or of
 * another user. So the table is copied when it is mapped, all that it says is checked against the
 * mapped size, and texts are made printable: nothing that lies in the segment leads outside of it
 * or steers a terminal. Values are loaded where they lie; stats.c tells what counts and why a total
 * never goes backwards.
 */
#include "ipc/error.h"
#include "ipc/member.h"
#include "ipc/segment.h"
#include "ipc/stats.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MOST_ROWS = 4096,
    MOST_PAGES = 4096,
    MOST_VALUES = 1 << 20,
    LOOKS = 1000,   /* at a totals word that changes; it does so when a member dies */
    FRESH_MS = 3000 /* a supervisor measures four times a second */
};

struct mr_stats_view {
    const unsigned char *map;
    uint64_t bytes;
    const mr_stats_head *head;
    const unsigned char *pages; /* the first */
    uint64_t page_bytes;
    uint64_t values_offset;
    mr_stats_head_info info; /* .pages without those of the dead */
    mr_stats_row *rows;
};

/* ---- opening ---- */

/* Letters, digits and '_' only, or at least printable ASCII; ends with NUL. */
static void copy_text(char *to, const char *from, size_t size, bool word)
{
    size_t i;

    for (i = 0; i + 1 < size && from[i]; i++) {
        unsigned char c = (unsigned char)from[i];

        to[i] = c >= 0x80 || (word ? !isalnum(c) : c < 0x20 || c == 0x7f) ? '_' : (char)c;
    }
    to[i] = 0;
}

static enum mr_stats_kind kind_of(const char *kind)
{
    static const char *const names[] = {"", "counter", "gauge", "histogram"};

    for (int i = 1; i < 4; i++)
        if (!strncmp(kind, names[i], 16))
            return (enum mr_stats_kind)i;
    return 0;
}

/* False for a row of a kind that this version doesn't know, or that lies outside of a page. */
static bool copy_row(const mr_stats_view *view, const mr_stats_table_row *from, mr_stats_row *to)
{
    *to = (mr_stats_row){.kind = kind_of(from->kind),
                         .first = from->first,
                         .count = from->count,
                         .low = from->low,
                         .sub = from->sub};
    copy_text(to->name, from->name, sizeof(to->name), true);
    copy_text(to->unit, from->unit, sizeof(to->unit), true);
    copy_text(to->label, from->label, sizeof(to->label), false);
    copy_text(to->help, from->help, sizeof(to->help), false);
    if (to->first >= view->info.values || to->count < 1 ||
        to->count > view->info.values - to->first || !to->name[0])
        return false;
    if (to->kind == MR_STATS_HISTOGRAM)
        return to->count > 2 && to->low < 64 && to->sub < 16;
    return to->kind && to->count == 1;
}

static int copy_table(mr_stats_view *view, uint64_t offset, uint32_t rows, uint32_t row_bytes)
{
    view->rows = calloc(rows ? rows : 1, sizeof(*view->rows));
    if (!view->rows)
        return mr_fail(ENOMEM, "out of memory for %u rows of stats", rows);
    for (uint32_t i = 0; i < rows; i++) {
        mr_stats_table_row row;

        memcpy(&row, view->map + offset + (uint64_t)i * row_bytes, sizeof(row));
        view->info.rows += copy_row(view, &row, &view->rows[view->info.rows]);
    }
    return 0;
}

/* Does [offset, offset + count * size) lie inside? */
static bool inside(const mr_stats_view *view, uint64_t offset, uint64_t count, uint64_t size)
{
    return offset % 8 == 0 && offset <= view->bytes && size &&
           count <= (view->bytes - offset) / size;
}

static int bind_view(mr_stats_view *view, const char *name)
{
    const mr_stats_head *head = (const void *)view->map;
    mr_stats_head h;

    if (view->bytes < sizeof(h) ||
        atomic_load_explicit(&head->magic, memory_order_acquire) != MR_STATS_MAGIC)
        return mr_fail(EPROTO,
                       "the stats of domain '%s' have a format that this version doesn't know; use "
                       "the one that runs it",
                       name);
    memcpy(&h, view->map, sizeof(h));
    if (h.pages < 4 || h.pages > MOST_PAGES || h.values < 1 || h.values > MOST_VALUES ||
        h.rows > MOST_ROWS || h.row_bytes < sizeof(mr_stats_table_row) ||
        h.values_offset < offsetof(struct mr_stats, values) || h.values_offset % 8 ||
        h.page_bytes % 8 || h.page_bytes < h.values_offset ||
        (h.page_bytes - h.values_offset) / 8 < h.values ||
        !inside(view, h.table_offset, h.rows, h.row_bytes) ||
        !inside(view, h.pages_offset, h.pages, h.page_bytes))
        return mr_fail(EBADMSG, "the stats of domain '%s' are corrupt: a part lies outside", name);
    view->head = head;
    view->pages = view->map + h.pages_offset;
    view->page_bytes = h.page_bytes;
    view->values_offset = h.values_offset;
    view->info = (mr_stats_head_info){
        .pages = h.pages - 2, .values = h.values, .created = h.created, .created_at = h.created_at};
    copy_text(view->info.name, name, sizeof(view->info.name), false);
    return copy_table(view, h.table_offset, h.rows, h.row_bytes);
}

static int map_file(mr_stats_view *view, const char *name)
{
    char path[MR_PATH_MAX];
    unsigned char *map;
    int fd, rc;

    mr_segment_path(path, name, "stats");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return mr_fail(errno, "cannot open the stats of domain '%s': %s", name,
                       errno == ENOENT ? "there is no domain of that name" : strerror(errno));
    rc = mr_segment_map(fd, false, &map, &view->bytes);
    close(fd);
    if (!rc)
        view->map = map;
    return rc;
}

int mr_stats_open(mr_stats_view **out, const char *domain)
{
    mr_stats_view *view;
    int rc = mr_segment_name_valid(domain);

    if (rc)
        return rc;
    if (!(view = calloc(1, sizeof(*view))))
        return mr_fail(ENOMEM, "out of memory");
    if ((rc = map_file(view, domain)) || (rc = bind_view(view, domain))) {
        mr_stats_close(view);
        return rc;
    }
    *out = view;
    return 0;
}

void mr_stats_close(mr_stats_view *view)
{
    if (!view)
        return;
    if (view->map)
        munmap((void *)(uintptr_t)view->map, view->bytes);
    free(view->rows);
    free(view);
}

/* ---- which there are ---- */

static int has_stats(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 15 && !strncmp(entry->d_name, "millrace.", 9) &&
           !strcmp(entry->d_name + length - 6, ".stats") && length - 15 <= MR_NAME_MAX;
}

int mr_stats_each(int (*each)(void *self, const char *domain), void *self)
{
    struct dirent **entries;
    int count = scandir("/dev/shm", &entries, has_stats, alphasort), rc = 0;

    if (count < 0)
        return mr_fail(errno, "cannot look through '/dev/shm': %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        char name[MR_NAME_MAX + 1], path[MR_PATH_MAX];

        snprintf(name, sizeof(name), "%.*s", (int)strlen(entries[i]->d_name) - 15,
                 entries[i]->d_name + 9);
        mr_segment_path(path, name, "stats");
        if (!rc && !mr_segment_name_valid(name) && !access(path, R_OK))
            rc = each(self, name);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* ---- what there is ---- */

static const struct mr_stats *page_of(const mr_stats_view *view, uint32_t page)
{
    return (const void *)(view->pages + page * view->page_bytes);
}

static const mr_word *values_of(const mr_stats_view *view, uint32_t page)
{
    return (const void *)(view->pages + page * view->page_bytes + view->values_offset);
}

void mr_stats_get_head(const mr_stats_view *view, mr_stats_head_info *info)
{
    uint32_t size = info->size < sizeof(*info) ? info->size : sizeof(*info);
    mr_stats_head_info now = view->info;

    now.looked_at = atomic_load_explicit(&view->head->looked_at, memory_order_relaxed);
    memcpy(info, &now, size);
    info->size = size;
}

const mr_stats_row *mr_stats_get_row(const mr_stats_view *view, uint32_t row)
{
    return row < view->info.rows ? &view->rows[row] : NULL;
}

const mr_stats_row *mr_stats_find_row(const mr_stats_view *view, const char *name)
{
    for (uint32_t i = 0; i < view->info.rows; i++)
        if (!strcmp(view->rows[i].name, name))
            return &view->rows[i];
    return NULL;
}

static bool is_taken(const mr_stats_view *view, uint32_t page)
{
    return page < view->info.pages &&
           atomic_load_explicit(&page_of(view, page)->taken, memory_order_acquire);
}

int mr_stats_get_owner(const mr_stats_view *view, uint32_t page, mr_stats_owner *owner)
{
    uint32_t size = owner->size < sizeof(*owner) ? owner->size : sizeof(*owner);
    const struct mr_stats *at = page_of(view, page);
    mr_stats_owner now;

    if (!is_taken(view, page))
        return mr_fail(ENOENT, "nobody has page %u", page);
    now = (mr_stats_owner){.size = size,
                           .pid = at->pid,
                           .role = at->role,
                           .stage = at->stage,
                           .capacity = at->capacity,
                           .start_time = at->start_time,
                           .joined_at = at->joined_at};
    copy_text(now.name, at->name, sizeof(now.name), false);
    memcpy(owner, &now, size);
    return 0;
}

/* ---- values ---- */

static void add_page(const mr_stats_view *view, uint32_t page, uint64_t *values)
{
    const mr_word *from = values_of(view, page);

    for (uint32_t i = 0; i < view->info.values; i++)
        values[i] += atomic_load_explicit(&from[i], memory_order_relaxed);
}

int mr_stats_read(const mr_stats_view *view, uint32_t page, uint64_t *values)
{
    if (!is_taken(view, page))
        return mr_fail(ENOENT, "nobody has page %u", page);
    memset(values, 0, view->info.values * sizeof(*values));
    add_page(view, page, values);
    return 0;
}

/* All that counts by this totals word. */
static void add_up(const mr_stats_view *view, uint64_t totals, uint64_t *values)
{
    memset(values, 0, view->info.values * sizeof(*values));
    add_page(view, view->info.pages + mr_totals_copy(totals), values);
    for (uint32_t i = 0; i < view->info.pages; i++)
        if (i + 1 != mr_totals_void(totals)) /* one that nobody has is zero, or not folded yet */
            add_page(view, i, values);
}

void mr_stats_read_total(const mr_stats_view *view, uint64_t *values)
{
    for (int looks = 0; looks < LOOKS; looks++) {
        uint64_t totals = atomic_load_explicit(&view->head->totals, memory_order_acquire); /* F1 */

        add_up(view, totals, values);
        atomic_thread_fence(memory_order_acquire); /* F3 */
        if (atomic_load_explicit(&view->head->totals, memory_order_relaxed) == totals)
            return;
    }
}

bool mr_stats_alive(const mr_stats_view *view)
{
    uint64_t looked = atomic_load_explicit(&view->head->looked_at, memory_order_relaxed);
    uint32_t page = view->info.pages - 1;
    const struct mr_stats *at = page_of(view, page);

    if (!is_taken(view, page))
        return false;
    if (at->pid_namespace && at->pid_namespace == mr_process_namespace(getpid()))
        return at->start_time && mr_process_start_time(at->pid) == at->start_time;
    return mr_boottime_ns() - looked < FRESH_MS * UINT64_C(1000000);
}

/* ---- histograms ---- */

uint64_t mr_stats_bucket_end(const mr_stats_row *row, uint32_t bucket)
{
    uint64_t next = (uint64_t)bucket + 1, mantissa;
    uint32_t shift;

    if (bucket + 2 >= row->count)
        return UINT64_MAX;
    if (next >> row->sub < 2)
        return next << row->low;
    shift = (uint32_t)(next >> row->sub) - 1;
    mantissa = (next & ((UINT64_C(1) << row->sub) - 1)) | UINT64_C(1) << row->sub;
    if (shift + row->low + row->sub >= 63)
        return UINT64_MAX;
    return mantissa << (shift + row->low);
}

uint64_t mr_stats_samples(const mr_stats_row *row, const uint64_t *values)
{
    uint64_t samples = 0;

    for (uint32_t i = 1; i < row->count; i++)
        samples += values[row->first + i];
    return samples;
}

/* Samples of a bucket are taken to lie evenly in it; where it is one value wide they are that. */
double mr_stats_quantile(const mr_stats_row *row, const uint64_t *values, double part)
{
    double wanted = part * (double)mr_stats_samples(row, values), before = 0, value = 0;
    uint64_t begin = 0, end = 0;

    for (uint32_t i = 0; i + 1 < row->count && before < wanted; i++, begin = end) {
        double here = (double)values[row->first + 1 + i];
        double inside = wanted - before < here ? (wanted - before) / here : 1;

        end = mr_stats_bucket_end(row, i);
        if (here > 0)
            value = (double)begin +
                    (end == UINT64_MAX || end - begin == 1 ? 0 : (double)(end - begin) * inside);
        before += here;
    }
    return value;
}
