/*
 * domain_view.c - a domain as one process sees it: mapped, and checked before it is used
 *
 * Whoever maps a domain that somebody else made checks everything that it will ever dereference
 * against the mapped size and copies what is constant: a header that changes later changes nothing.
 */
#include "ipc/domain_view.h"
#include "ipc/error.h"
#include "ipc/geometry.h"
#include "ipc/segment.h"
#include "ipc/stats.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A worker that died is back by then, its model loaded. */
static const uint64_t PATIENCE_NS = UINT64_C(30000000000);

void mr_view_close(mr_domain *domain)
{
    free(domain->audit);
    if (domain->data)
        munmap(domain->data, domain->data_bytes);
    if (domain->stats)
        munmap(domain->stats, domain->stats_bytes);
    if (domain->data_fd >= 0)
        close(domain->data_fd);
    if (domain->stats_fd >= 0)
        close(domain->stats_fd);
    for (int i = 0; i < MR_QUEUES; i++)
        if (domain->eventfds[i] >= 0)
            close(domain->eventfds[i]);
    free(domain);
}

mr_domain *mr_view_new(void)
{
    mr_domain *domain = calloc(1, sizeof(*domain));

    if (!domain)
        return NULL;
    domain->data_fd = domain->stats_fd = -1;
    for (int i = 0; i < MR_QUEUES; i++)
        domain->eventfds[i] = -1;
    return domain;
}

/* How long a consumer spins: about one wake-up where each process has a core of its own, else not
 * at all to speak of, since the one that it waits for may want this very core. */
static uint32_t spin_time(uint32_t wanted)
{
    cpu_set_t set;

    if (wanted)
        return wanted < 10000 ? wanted : 10000;
    return !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) >= 6 ? 50 : 2;
}

static void fill_info(mr_domain *domain)
{
    const mr_header *h = domain->header;
    mr_domain_info *info = &domain->info;

    info->slots = domain->slot_count;
    info->stages = domain->stage_count;
    info->max_length = domain->max_length;
    info->vocabulary = domain->vocabulary;
    info->max_attempts = domain->max_attempts;
    info->arena_bytes = domain->arena_bytes;
    info->model_fingerprint = h->model_fingerprint;
    info->seed = h->seed;
    info->created = h->created;
    info->total_bytes = h->all_bytes;
    info->named = h->named;
    info->creator = h->creator;
    info->kinds = h->kinds;
    memcpy(info->name, h->name, sizeof(info->name));
    memcpy(info->stage_names, h->stage_names, sizeof(info->stage_names));
    info->name[MR_NAME_MAX] = 0;
    for (int i = 0; i < MR_MAX_STAGES; i++)
        info->stage_names[i][MR_STAGE_NAME_MAX] = 0;
}

/* Does [offset, offset + count * size) lie behind the header and inside the segment? */
static bool lies_inside(const mr_domain *domain, uint64_t offset, uint64_t count, uint64_t size)
{
    return offset % 64 == 0 && offset >= sizeof(mr_header) && offset <= domain->data_bytes &&
           count <= (domain->data_bytes - offset) / size;
}

/* Where the rings' entries lie, copied. False if not all of them lie inside. */
static bool bind_rings(mr_domain *domain)
{
    for (uint32_t i = 0; i < MR_QUEUES; i++) {
        const mr_ring *ring = &domain->queues[i].ring;
        uint64_t mask = ring->mask, offset = ring->entries;

        if (mask > UINT32_MAX || (mask & (mask + 1)) || mask + 1 < domain->slot_count ||
            !lies_inside(domain, offset, mask + 1, 8))
            return false;
        domain->entries[i] = (mr_entries){(mr_word *)(void *)(domain->data + offset), mask};
    }
    return true;
}

/* Point into the mapping, with everything checked. */
int mr_view_bind(mr_domain *domain)
{
    mr_header *h = (mr_header *)(void *)domain->data;

    if (domain->data_bytes < sizeof(mr_header) ||
        atomic_load_explicit(&h->magic, memory_order_acquire) != MR_MAGIC)
        return mr_fail(EBADMSG, "shared memory of the domain is no millrace segment; remove it");
    if (h->abi != MR_ABI)
        return mr_fail(EPROTO,
                       "domain '%.*s' has ABI %u, this library %u; use binaries of one version",
                       MR_NAME_MAX, h->name, h->abi, MR_ABI);
    if (h->layout != mr_layout_epoch())
        return mr_fail(EPROTO,
                       "domain '%.*s' has layout %016llx, this library %016llx; rebuild the worker "
                       "with this version's headers and the same C library",
                       MR_NAME_MAX, h->name, (unsigned long long)h->layout,
                       (unsigned long long)mr_layout_epoch());
    domain->header = h;
    domain->slot_count = h->slots;
    domain->stage_count = h->stages;
    domain->max_length = h->max_length;
    domain->vocabulary = h->vocabulary;
    domain->max_attempts = h->max_attempts;
    domain->id_count = h->ids_count;
    domain->finished_count = h->finished_count;
    domain->arena_offset = h->arena_offset;
    domain->arena_bytes = h->arena_bytes;
    domain->spin_us = spin_time(h->spin_us);
    domain->patience_ns = PATIENCE_NS;
    if (h->total_bytes != domain->data_bytes || domain->slot_count < 1 ||
        domain->slot_count > MR_MAX_SLOTS || domain->stage_count < 1 ||
        domain->stage_count > MR_MAX_STAGES || domain->max_attempts < 1 ||
        (domain->id_count & (domain->id_count - 1)) || !domain->id_count ||
        !domain->finished_count ||
        !lies_inside(domain, h->members_offset, MR_MAX_MEMBERS, sizeof(mr_place_record)) ||
        !lies_inside(domain, h->queues_offset, MR_QUEUES, sizeof(mr_queue)) ||
        !lies_inside(domain, h->slots_offset, h->slots, sizeof(mr_slot)) ||
        !lies_inside(domain, h->ids_offset, h->ids_count, sizeof(mr_id)) ||
        !lies_inside(domain, h->finished_offset, domain->finished_count, sizeof(mr_finished)) ||
        !lies_inside(domain, h->arena_offset, h->arena_bytes, 1))
        return mr_fail(EBADMSG,
                       "domain '%.*s' is corrupt: an offset in its header lies outside of its %llu "
                       "bytes; discard it",
                       MR_NAME_MAX, h->name, (unsigned long long)domain->data_bytes);
    domain->members = (mr_place_record *)(void *)(domain->data + h->members_offset);
    domain->queues = (mr_queue *)(void *)(domain->data + h->queues_offset);
    domain->slots = (mr_slot *)(void *)(domain->data + h->slots_offset);
    domain->ids = (mr_id *)(void *)(domain->data + h->ids_offset);
    domain->finished = (mr_finished *)(void *)(domain->data + h->finished_offset);
    if (!bind_rings(domain))
        return mr_fail(EBADMSG, "domain '%.*s' is corrupt: a ring lies outside of it; discard it",
                       MR_NAME_MAX, h->name);
    fill_info(domain);
    return 0;
}

/* A member writes by its own notion of a page, so it must be the domain's; rows may be more. */
static int check_stats(mr_domain *domain, const char *name)
{
    const mr_stats_head *head = (const void *)domain->stats;

    if (domain->stats_bytes < sizeof(mr_stats_segment))
        return mr_fail(EBADMSG, "the stats of domain '%s' are too small; discard it", name);
    if (atomic_load_explicit(&head->magic, memory_order_acquire) != MR_STATS_MAGIC ||
        head->pages != MR_STATS_PAGES || head->page_bytes != sizeof(struct mr_stats) ||
        head->pages_offset != offsetof(mr_stats_segment, pages))
        return mr_fail(EPROTO,
                       "the stats of domain '%s' have another layout; use binaries of one "
                       "version",
                       name);
    domain->stats_writable = true;
    return 0;
}

int mr_view_open_data(mr_domain *domain, const char *name, int access)
{
    char path[MR_PATH_MAX];

    mr_segment_path(path, name, "data");
    domain->data_fd = open(path, access | O_CLOEXEC | O_NOFOLLOW);
    if (domain->data_fd < 0)
        return mr_fail(errno, "cannot open domain '%s': %s", name,
                       errno == ENOENT ? "there is none of that name" : strerror(errno));
    return 0;
}

int mr_view_open_stats(mr_domain *domain, const char *name)
{
    char path[MR_PATH_MAX];
    int rc;

    mr_segment_path(path, name, "stats");
    domain->stats_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (domain->stats_fd < 0)
        return mr_fail(errno, "cannot open the stats of domain '%s': %s", name, strerror(errno));
    if ((rc = mr_segment_map(domain->stats_fd, true, &domain->stats, &domain->stats_bytes)))
        return rc;
    return check_stats(domain, name);
}
