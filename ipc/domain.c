/*
 * domain.c - the memory of a domain: made, opened, checked, replaced, removed
 *
 * A domain is made whole before it has a name (segment.c). Two starts of one name meet at the link
 * of the data segment: one gets EEXIST. A dead domain is replaced under the supervisor's lock on
 * the old segment, which its replacer must hold while it unlinks; after it got the lock it looks
 * whether the name still leads to that segment, since another may have been quicker.
 *
 * Whoever maps a domain that somebody else made checks everything that it will ever dereference
 * against the mapped size and copies what is constant: a header that changes later changes nothing.
 */
#include "ipc/domain.h"
#include "ipc/error.h"
#include "ipc/queue.h"
#include "ipc/ring.h"
#include "ipc/segment.h"
#include "ipc/slot.h"
#include "ipc/stats.h"
#include "ipc/twin.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- geometry ---- */

typedef struct geometry {
    mr_domain_options o; /* with defaults filled in */
    uint64_t ring_entries;
    uint64_t members_offset;
    uint64_t queues_offset;
    uint64_t entries_offset;
    uint64_t slots_offset;
    uint64_t ids_offset;
    uint64_t arena_offset;
    uint64_t total_bytes;
} geometry;

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

static uint64_t power_of_two(uint64_t at_least)
{
    uint64_t power = 1;

    while (power < at_least)
        power *= 2;
    return power;
}

static int check_options(const mr_domain_options *o)
{
    if (o->slots < 1 || o->slots > MR_MAX_SLOTS)
        return mr_fail(EINVAL, "slots '%u' is not in 1 to %d", o->slots, MR_MAX_SLOTS);
    if (o->stages < 1 || o->stages > MR_MAX_STAGES)
        return mr_fail(EINVAL, "stages '%u' is not in 1 to %d", o->stages, MR_MAX_STAGES);
    if (o->max_length < 2 || o->max_length > 1u << 27)
        return mr_fail(EINVAL, "maximum length '%u' is not in 2 to %u", o->max_length, 1u << 27);
    if (o->arena_bytes < 4096 || o->arena_bytes > UINT64_C(1) << 46)
        return mr_fail(EINVAL, "memory of '%llu' bytes is not in 4096 to 2^46",
                       (unsigned long long)o->arena_bytes);
    if (o->max_attempts > MR_ATTEMPTS_MAX)
        return mr_fail(EINVAL, "attempts '%u' are more than %u", o->max_attempts, MR_ATTEMPTS_MAX);
    if (o->id_table > UINT64_C(1) << 32)
        return mr_fail(EINVAL, "a table of '%llu' ids is more than 2^32",
                       (unsigned long long)o->id_table);
    return 0;
}

static int plan(const mr_domain_options *options, geometry *g)
{
    int rc;

    *g = (geometry){0};
    memcpy(&g->o, options, options->size < sizeof(g->o) ? options->size : sizeof(g->o));
    g->o.slots = g->o.slots ? g->o.slots : 64;
    g->o.stages = g->o.stages ? g->o.stages : 1;
    g->o.max_attempts = g->o.max_attempts ? g->o.max_attempts : 3;
    g->o.id_table = power_of_two(g->o.id_table ? g->o.id_table : 65536);
    if ((rc = check_options(&g->o)))
        return rc;
    g->o.arena_bytes = round_up(g->o.arena_bytes, 4096);
    g->ring_entries = power_of_two((uint64_t)g->o.slots * 2 > 16 ? (uint64_t)g->o.slots * 2 : 16);
    g->members_offset = round_up(sizeof(mr_header), 4096);
    g->queues_offset = round_up(g->members_offset + MR_MAX_MEMBERS * sizeof(mr_place_record), 4096);
    g->entries_offset = round_up(g->queues_offset + MR_QUEUES * sizeof(mr_queue), 4096);
    g->slots_offset = round_up(g->entries_offset + MR_QUEUES * g->ring_entries * 8, 4096);
    g->ids_offset = round_up(g->slots_offset + g->o.slots * sizeof(mr_slot), 4096);
    g->arena_offset = round_up(g->ids_offset + g->o.id_table * sizeof(mr_id), 4096);
    g->total_bytes = g->arena_offset + g->o.arena_bytes;
    return 0;
}

uint64_t mr_domain_size(const mr_domain_options *options)
{
    geometry g;

    return plan(options, &g) ? 0 : g.total_bytes + round_up(sizeof(mr_stats_segment), 4096);
}

/* ---- the layout epoch ---- */

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ b[i]) * UINT64_C(1099511628211); /* FNV-1a */
    return hash;
}

/* A hash over what two binaries must agree on to share this memory. */
static uint64_t layout_epoch(void)
{
    const uint64_t facts[] = {
        sizeof(mr_header),
        offsetof(mr_header, phase),
        offsetof(mr_header, mark_sequence),
        offsetof(mr_header, journal_sequence),
        sizeof(mr_place_record),
        sizeof(mr_queue),
        offsetof(mr_queue, doorbell),
        sizeof(mr_slot),
        offsetof(mr_slot, sequence),
        offsetof(mr_slot, ordinal),
        offsetof(mr_slot, params),
        sizeof(mr_params),
        offsetof(mr_params, sampling),
        sizeof(mr_sampling),
        sizeof(mr_id),
        sizeof(sem_t),
        MR_CURSOR_WORDS,
        MR_JOURNAL_WORDS,
        MR_MAX_MEMBERS,
        MR_MAX_STAGES,
    };
    const char *libc = gnu_get_libc_version();

    return hash_bytes(hash_bytes(UINT64_C(14695981039346656037), facts, sizeof(facts)), libc,
                      strlen(libc));
}

/* ---- a view ---- */

static void view_close(mr_domain *domain)
{
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

static mr_domain *view_new(void)
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

static bool queues_are_sane(const mr_domain *domain)
{
    for (uint32_t i = 0; i < MR_QUEUES; i++) {
        const mr_ring *ring = &domain->queues[i].ring;

        if (ring->mask > UINT32_MAX || (ring->mask & (ring->mask + 1)) ||
            ring->mask + 1 < domain->slot_count ||
            !lies_inside(domain, ring->entries, ring->mask + 1, 8))
            return false;
    }
    return true;
}

/* Point into the mapping, with everything checked. */
static int view_bind(mr_domain *domain)
{
    mr_header *h = (mr_header *)(void *)domain->data;

    if (domain->data_bytes < sizeof(mr_header) ||
        atomic_load_explicit(&h->magic, memory_order_acquire) != MR_MAGIC)
        return mr_fail(EBADMSG, "shared memory of the domain is no millrace segment; remove it");
    if (h->abi != MR_ABI)
        return mr_fail(EPROTO,
                       "domain '%.*s' has ABI %u, this library %u; use binaries of one version",
                       MR_NAME_MAX, h->name, h->abi, MR_ABI);
    if (h->layout != layout_epoch())
        return mr_fail(EPROTO,
                       "domain '%.*s' has layout %016llx, this library %016llx; rebuild the worker "
                       "with this version's headers and the same C library",
                       MR_NAME_MAX, h->name, (unsigned long long)h->layout,
                       (unsigned long long)layout_epoch());
    domain->header = h;
    domain->slot_count = h->slots;
    domain->stage_count = h->stages;
    domain->max_length = h->max_length;
    domain->vocabulary = h->vocabulary;
    domain->max_attempts = h->max_attempts;
    domain->id_count = h->ids_count;
    domain->arena_offset = h->arena_offset;
    domain->arena_bytes = h->arena_bytes;
    domain->spin_us = spin_time(h->spin_us);
    if (h->total_bytes != domain->data_bytes || domain->slot_count < 1 ||
        domain->slot_count > MR_MAX_SLOTS || domain->stage_count < 1 ||
        domain->stage_count > MR_MAX_STAGES || domain->max_attempts < 1 ||
        (domain->id_count & (domain->id_count - 1)) || !domain->id_count ||
        !lies_inside(domain, h->members_offset, MR_MAX_MEMBERS, sizeof(mr_place_record)) ||
        !lies_inside(domain, h->queues_offset, MR_QUEUES, sizeof(mr_queue)) ||
        !lies_inside(domain, h->slots_offset, h->slots, sizeof(mr_slot)) ||
        !lies_inside(domain, h->ids_offset, h->ids_count, sizeof(mr_id)) ||
        !lies_inside(domain, h->arena_offset, h->arena_bytes, 1))
        return mr_fail(EBADMSG,
                       "domain '%.*s' is corrupt: an offset in its header lies outside of its %llu "
                       "bytes; discard it",
                       MR_NAME_MAX, h->name, (unsigned long long)domain->data_bytes);
    domain->members = (mr_place_record *)(void *)(domain->data + h->members_offset);
    domain->queues = (mr_queue *)(void *)(domain->data + h->queues_offset);
    domain->slots = (mr_slot *)(void *)(domain->data + h->slots_offset);
    domain->ids = (mr_id *)(void *)(domain->data + h->ids_offset);
    if (!queues_are_sane(domain))
        return mr_fail(EBADMSG, "domain '%.*s' is corrupt: a ring lies outside of it; discard it",
                       MR_NAME_MAX, h->name);
    fill_info(domain);
    return 0;
}

/* ---- making one ---- */

static uint64_t realtime_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

static void init_header(mr_domain *domain, const char *name, const geometry *g)
{
    mr_header *h = (mr_header *)(void *)domain->data;

    h->abi = MR_ABI;
    h->header_bytes = sizeof(*h);
    h->layout = layout_epoch();
    h->total_bytes = g->total_bytes;
    h->all_bytes = g->total_bytes + round_up(sizeof(mr_stats_segment), 4096);
    h->created = g->o.created ? g->o.created : realtime_seconds();
    h->seed = g->o.seed;
    h->model_fingerprint = g->o.model_fingerprint;
    h->creator = (uint32_t)getpid();
    h->named = g->o.named;
    h->slots = g->o.slots;
    h->stages = g->o.stages;
    h->max_length = g->o.max_length;
    h->vocabulary = g->o.vocabulary;
    h->max_attempts = g->o.max_attempts;
    h->spin_us = g->o.spin_us;
    h->members_offset = g->members_offset;
    h->queues_offset = g->queues_offset;
    h->slots_offset = g->slots_offset;
    h->ids_offset = g->ids_offset;
    h->ids_count = g->o.id_table;
    h->arena_offset = g->arena_offset;
    h->arena_bytes = g->o.arena_bytes;
    snprintf(h->name, sizeof(h->name), "%s", name);
    for (uint32_t i = 0; i < g->o.stages; i++)
        snprintf(h->stage_names[i], sizeof(h->stage_names[i]), "%s",
                 g->o.stage_names ? g->o.stage_names[i] : "generate");
}

static void init_queues(mr_domain *domain, const geometry *g)
{
    mr_queue *queues = (mr_queue *)(void *)(domain->data + g->queues_offset);

    for (uint32_t i = 0; i < MR_QUEUES; i++) {
        mr_ring_init(&queues[i].ring, g->entries_offset + i * g->ring_entries * 8, g->ring_entries);
        sem_init(&queues[i].doorbell.semaphore, 1, 0);
    }
}

static int make_eventfds(mr_domain *domain)
{
    for (int i = 0; i < MR_QUEUES; i++) {
        domain->eventfds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (domain->eventfds[i] < 0)
            return mr_fail(errno, "cannot make an eventfd: %s", strerror(errno));
    }
    return 0;
}

/* Nameless segments, filled, locked and mapped. */
static int make_segments(mr_domain *domain, const char *name, const geometry *g)
{
    uint64_t stats_bytes = round_up(sizeof(mr_stats_segment), 4096);
    int rc;

    domain->data_fd = mr_segment_make(g->total_bytes, 0600, &domain->data);
    if (domain->data_fd < 0)
        return domain->data_fd;
    domain->data_bytes = g->total_bytes;
    domain->stats_fd = mr_segment_make(stats_bytes, 0644, &domain->stats);
    if (domain->stats_fd < 0)
        return domain->stats_fd;
    domain->stats_bytes = stats_bytes;
    domain->stats_writable = true;
    init_header(domain, name, g);
    init_queues(domain, g);
    mr_stats_init((mr_stats_segment *)(void *)domain->stats, name, domain->info.created);
    atomic_store_explicit(&((mr_header *)(void *)domain->data)->magic, MR_MAGIC,
                          memory_order_release);
    if ((rc = mr_segment_lock_supervisor(domain->data_fd)) ||
        (rc = mr_segment_lock_member(domain->data_fd)))
        return rc;
    domain->supervisor = true;
    return 0;
}

static void unlink_all(const char *name)
{
    static const char *const whats[] = {"sock", "kv", "stats",
                                        "data"}; /* data last: it is the name */
    char path[MR_PATH_MAX];

    for (size_t i = 0; i < sizeof(whats) / sizeof(*whats); i++) {
        mr_segment_path(path, name, whats[i]);
        unlink(path);
    }
}

/* ---- the dead of that name ---- */

static bool still_named(int fd, const char *path)
{
    struct stat mine, named;

    return !fstat(fd, &mine) && !stat(path, &named) && mine.st_dev == named.st_dev &&
           mine.st_ino == named.st_ino;
}

/* Open and lock a domain by name if nobody lives in it. 0: *domain may be unbound (header == NULL)
 * when the segment is corrupt. -ENOENT, -EBUSY. */
static int seize(const char *name, mr_domain **out)
{
    char path[MR_PATH_MAX];
    mr_domain *domain = view_new();
    int rc = 0;

    if (!domain)
        return mr_fail(ENOMEM, "out of memory");
    mr_segment_path(path, name, "data");
    domain->data_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (domain->data_fd < 0)
        rc = mr_fail(errno, "cannot open domain '%s': %s", name, strerror(errno));
    else if (mr_segment_lock_supervisor(domain->data_fd) || mr_segment_has_members(domain->data_fd))
        rc = mr_fail(EBUSY, "domain '%s' is running; choose another name or stop it first", name);
    else if (!still_named(domain->data_fd, path))
        rc = mr_fail(EAGAIN, "domain '%s' is just being replaced", name);
    if (rc) {
        view_close(domain);
        return rc;
    }
    if (mr_segment_map(domain->data_fd, true, &domain->data, &domain->data_bytes) ||
        view_bind(domain))
        domain->header = NULL;
    *out = domain;
    return 0;
}

/* Remove a dead domain if that loses nothing. */
static int replace_dead(const char *name, bool unnamed_only)
{
    mr_domain *dead;
    int rc = seize(name, &dead);

    if (rc)
        return rc;
    if (dead->header && dead->info.named && (unnamed_only || mr_domain_unfinished(dead)))
        rc = mr_fail(
            ENOTEMPTY,
            "domain '%s' ended with %llu requests unfinished; finish them with --resume %s or "
            "drop them with --discard %s",
            name, (unsigned long long)mr_domain_unfinished(dead), name, name);
    else
        unlink_all(name);
    view_close(dead);
    return rc;
}

static int publish(mr_domain *domain, const char *name)
{
    char path[MR_PATH_MAX];
    int rc;

    mr_segment_path(path, name, "data");
    while ((rc = mr_segment_publish(domain->data_fd, path)) == -EEXIST) {
        rc = replace_dead(name, false);
        if (rc == -EBUSY)
            return mr_fail(EEXIST, "domain '%s' is running; choose another name or stop it first",
                           name);
        if (rc && rc != -ENOENT && rc != -EAGAIN)
            return rc;
    }
    if (rc)
        return rc;
    mr_segment_path(path, name, "stats");
    unlink(path); /* of a dead domain whose data is gone */
    return mr_segment_publish(domain->stats_fd, path);
}

int mr_domain_create(mr_domain **out, const char *name, const mr_domain_options *options)
{
    geometry g;
    mr_domain *domain;
    int rc;

    if ((rc = mr_segment_name_valid(name)) || (rc = plan(options, &g)))
        return rc;
    if (!(domain = view_new()))
        return mr_fail(ENOMEM, "out of memory");
    if ((rc = make_segments(domain, name, &g)) || (rc = view_bind(domain)) ||
        (rc = make_eventfds(domain)) || (rc = publish(domain, name))) {
        view_close(domain);
        return rc;
    }
    *out = domain;
    return 0;
}

/* ---- the others ---- */

static int open_stats(mr_domain *domain, const char *name)
{
    char path[MR_PATH_MAX];
    int rc;

    mr_segment_path(path, name, "stats");
    domain->stats_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (domain->stats_fd < 0)
        return mr_fail(errno, "cannot open the stats of domain '%s': %s", name, strerror(errno));
    if ((rc = mr_segment_map(domain->stats_fd, true, &domain->stats, &domain->stats_bytes)))
        return rc;
    domain->stats_writable = true;
    if (domain->stats_bytes < sizeof(mr_stats_segment))
        return mr_fail(EBADMSG, "the stats of domain '%s' are too small; discard it", name);
    return 0;
}

static int open_data(mr_domain *domain, const char *name)
{
    char path[MR_PATH_MAX];
    int rc;

    mr_segment_path(path, name, "data");
    domain->data_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (domain->data_fd < 0)
        return mr_fail(errno, "cannot open domain '%s': %s", name,
                       errno == ENOENT ? "there is none of that name" : strerror(errno));
    if ((rc = mr_segment_lock_member(domain->data_fd)))
        return rc;
    if (!mr_segment_has_supervisor(domain->data_fd))
        return mr_fail(ESTALE, "domain '%s' is dead: its supervisor is gone; resume or discard it",
                       name);
    if ((rc = mr_segment_map(domain->data_fd, true, &domain->data, &domain->data_bytes)))
        return rc;
    return view_bind(domain);
}

int mr_domain_open(mr_domain **out, const char *name)
{
    mr_domain *domain;
    int rc = mr_segment_name_valid(name);

    if (rc)
        return rc;
    if (!(domain = view_new()))
        return mr_fail(ENOMEM, "out of memory");
    if ((rc = open_data(domain, name)) || (rc = open_stats(domain, name))) {
        view_close(domain);
        return rc;
    }
    *out = domain;
    return 0;
}

int mr_domain_resume(mr_domain **out, const char *name)
{
    mr_domain *domain;
    int rc = mr_segment_name_valid(name);

    if (rc || (rc = seize(name, &domain)))
        return rc;
    if (!domain->header)
        rc = mr_fail(EBADMSG, "domain '%s' is corrupt and can't be resumed; discard it", name);
    else if (!(rc = mr_segment_lock_member(domain->data_fd)) && !(rc = open_stats(domain, name)))
        rc = make_eventfds(domain);
    if (rc) {
        view_close(domain);
        return rc;
    }
    domain->supervisor = true;
    atomic_store_explicit(&domain->header->phase, MR_PHASE_RUN, memory_order_release);
    *out = domain;
    return 0;
}

void mr_domain_close(mr_domain *domain)
{
    if (domain)
        view_close(domain);
}

void mr_domain_remove(mr_domain *domain)
{
    if (!domain)
        return;
    unlink_all(domain->info.name);
    view_close(domain);
}

int mr_domain_discard(const char *name)
{
    mr_domain *dead;
    int rc = mr_segment_name_valid(name);

    if (rc || (rc = seize(name, &dead)))
        return rc;
    unlink_all(name);
    view_close(dead);
    return 0;
}

/* "millrace.NAME.data" -> NAME; false for other files. */
static bool name_of_file(const char *file, char name[MR_NAME_MAX + 1])
{
    size_t length = strlen(file);

    if (strncmp(file, "millrace.", 9) || length < 15 || strcmp(file + length - 5, ".data") ||
        length - 14 > MR_NAME_MAX)
        return false;
    memcpy(name, file + 9, length - 14);
    name[length - 14] = 0;
    return true;
}

int mr_domain_clean(void)
{
    DIR *folder = opendir("/dev/shm");
    struct dirent *entry;
    int removed = 0;

    if (!folder)
        return 0;
    while ((entry = readdir(folder))) {
        char name[MR_NAME_MAX + 1];
        struct stat st;

        if (name_of_file(entry->d_name, name) &&
            !fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
            st.st_uid == geteuid() && !replace_dead(name, true))
            removed++;
    }
    closedir(folder);
    return removed;
}

/* ---- questions ---- */

void mr_domain_get_info(const mr_domain *domain, mr_domain_info *info)
{
    uint32_t size = info->size < sizeof(*info) ? info->size : sizeof(*info);

    memcpy(info, &domain->info, size);
    info->size = size;
}

enum mr_phase mr_domain_phase(const mr_domain *domain)
{
    return (enum mr_phase)atomic_load_explicit(&domain->header->phase, memory_order_acquire);
}

void mr_domain_set_phase(mr_domain *domain, enum mr_phase phase)
{
    atomic_store_explicit(&domain->header->phase, phase, memory_order_release);
    for (uint32_t i = 0; i < MR_QUEUES; i++)
        mr_queue_ring_all(domain, i);
}

uint64_t mr_domain_unfinished(const mr_domain *domain)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < domain->slot_count; i++) {
        uint32_t state = mr_state_unpack(mr_slot_load(&domain->slots[i])).state;

        count += state != MR_STATE_FREE && state != MR_STATE_FILLING;
    }
    return count;
}

/* The mark before the slots: a record that was taken in before the mark said "finished" is seen. */
void mr_domain_get_progress(const mr_domain *domain, mr_domain_progress *progress)
{
    const mr_header *h = domain->header;
    int64_t mark[MR_MARK_WORDS], length;

    mr_twin_read(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, mark, MR_MARK_WORDS);
    *progress = (mr_domain_progress){
        .records = (uint64_t)mark[MR_MARK_ORDINAL],
        .input_end = (uint64_t)mark[MR_MARK_INPUT_END],
        .input_finished = mark[MR_MARK_FINISHED] != 0,
        .unfinished = mr_domain_unfinished(domain),
    };
    mr_twin_read(&h->journal_sequence, h->journal[0], MR_JOURNAL_WORDS, &length, 1);
    progress->output_length = (uint64_t)length;
    progress->complete = progress->input_finished && !progress->unfinished;
}

int mr_domain_set_note(mr_domain *domain, const char *text)
{
    size_t length = strlen(text);

    if (length > MR_NOTE_MAX)
        return mr_fail(E2BIG, "a note of %zu bytes is longer than %d", length, MR_NOTE_MAX);
    memcpy(domain->header->note, text, length + 1);
    return 0;
}

const char *mr_domain_note(const mr_domain *domain)
{
    return domain->header->note[MR_NOTE_MAX] ? "" : domain->header->note;
}
