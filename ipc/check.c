/*
 * check.c - whether everything in a domain's memory is as it must be
 *
 * The mapping may be read-only and the domain at work, so nothing here stores to it. What hangs on
 * several words is loaded in the order in which a domain at work can't seem wrong: first what may
 * only lag behind, then what it must not be ahead of (a slot's ordinal, then the mark).
 */
#include "ipc/check.h"
#include "ipc/domain_view.h"
#include "ipc/error.h"
#include "ipc/geometry.h"
#include "ipc/segment.h"
#include "ipc/slot.h"
#include "ipc/twin.h"
#include <errno.h>
#include <fcntl.h>
#include <millrace/member.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOKS = 3, PAUSE_NS = 2000000 };

/* ---- mapping ---- */

static int open_to_look(mr_domain *domain, const char *name)
{
    int rc;

    if ((rc = mr_view_open_data(domain, name, O_RDONLY)))
        return rc;
    if ((rc = mr_segment_map(domain->data_fd, false, &domain->data, &domain->data_bytes)))
        return rc;
    return mr_view_bind(domain);
}

int mr_domain_inspect(mr_domain **out, const char *name)
{
    mr_domain *domain;
    int rc = mr_segment_name_valid(name);

    if (rc)
        return rc;
    if (!(domain = mr_view_new()))
        return mr_fail(ENOMEM, "out of memory");
    if ((rc = open_to_look(domain, name))) {
        mr_view_close(domain);
        return rc;
    }
    *out = domain;
    return 0;
}

/* ---- findings ---- */

bool mr_check_wrong(mr_check *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(check->what, sizeof(check->what), format, arguments);
    va_end(arguments);
    return true;
}

void mr_check_tell(mr_check *check, const char *format, ...)
{
    char place[80];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(place, sizeof(place), format, arguments);
    va_end(arguments);
    check->findings++;
    if (check->report)
        check->report(check->self, place, check->what);
}

void mr_check_pause(const mr_check *check)
{
    if (!check->at_rest)
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

bool mr_check_persists(mr_check *check, bool (*look)(mr_check *, uint32_t), uint32_t which)
{
    for (int i = 0; i < LOOKS; i++) {
        if (!look(check, which))
            return false;
        mr_check_pause(check);
    }
    return true;
}

/* ---- the header ---- */

static mr_domain_options options_of(const mr_header *h)
{
    return (mr_domain_options){.size = sizeof(mr_domain_options),
                               .slots = h->slots,
                               .arena_bytes = h->arena_bytes,
                               .max_length = h->max_length,
                               .stages = h->stages,
                               .max_attempts = h->max_attempts,
                               .id_table = h->ids_count,
                               .kinds = h->kinds,
                               .finished = h->finished_count};
}

static bool geometry_is_wrong(mr_check *check, uint32_t unused)
{
    const mr_header *h = check->domain->header;
    const mr_domain_options options = options_of(h);
    mr_geometry g;

    (void)unused;
    if (h->magic != MR_MAGIC || h->abi != MR_ABI || h->layout != mr_layout_epoch() ||
        h->header_bytes != sizeof(*h))
        return mr_check_wrong(check, "the words that tell its version were overwritten");
    if (mr_geometry_plan(&options, &g))
        return mr_check_wrong(check, "%s", mr_error());
    if (h->slots != check->domain->slot_count || h->arena_bytes != check->domain->arena_bytes ||
        h->members_offset != g.members_offset || h->queues_offset != g.queues_offset ||
        h->slots_offset != g.slots_offset || h->ids_offset != g.ids_offset ||
        h->finished_offset != g.finished_offset || h->arena_offset != g.arena_offset ||
        h->total_bytes != g.data_bytes || h->all_bytes != g.data_bytes + g.stats_bytes)
        return mr_check_wrong(check,
                              "its parts don't lie where %u slots and %llu bytes of arena "
                              "would have them",
                              h->slots, (unsigned long long)h->arena_bytes);
    return false;
}

static bool names_are_wrong(mr_check *check, uint32_t unused)
{
    const mr_header *h = check->domain->header;

    (void)unused;
    if (strnlen(h->name, sizeof(h->name)) == sizeof(h->name) || mr_segment_name_valid(h->name))
        return mr_check_wrong(check, "the domain's name was overwritten");
    for (uint32_t i = 0; i < check->domain->stage_count; i++)
        if (!h->stage_names[i][0] ||
            strnlen(h->stage_names[i], MR_STAGE_NAME_MAX + 1) > MR_STAGE_NAME_MAX)
            return mr_check_wrong(check, "the name of stage %u was overwritten", i);
    if (h->note[MR_NOTE_MAX])
        return mr_check_wrong(check, "the note has no end");
    return false;
}

static bool phase_is_wrong(mr_check *check, uint32_t unused)
{
    uint32_t word = atomic_load_explicit(&check->domain->header->phase, memory_order_acquire);

    (void)unused;
    return word != mr_phase_word(mr_phase_of(word)) &&
           mr_check_wrong(check, "phase %x is unknown", word);
}

static uint64_t load(const mr_word *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

/* Who is at work clears it, and so does the sweep of the dead. */
static bool work_is_wrong(mr_check *check, uint32_t unused)
{
    const mr_header *h = check->domain->header;
    uint64_t emitting = load(&h->emitting);

    (void)unused;
    if (check->at_rest && load(&h->intaking))
        return mr_check_wrong(check, "record %llu is being taken in, but by nobody",
                              (unsigned long long)load(&h->intaking));
    if (check->at_rest && emitting)
        return mr_check_wrong(check, "slot %u is being emitted, but by nobody",
                              mr_handle_index(emitting - 1));
    if (emitting && mr_handle_index(emitting - 1) >= check->domain->slot_count)
        return mr_check_wrong(check, "slot %u, of %u, is being emitted",
                              mr_handle_index(emitting - 1), check->domain->slot_count);
    return false;
}

static bool deaths_are_wrong(mr_check *check, uint32_t unused)
{
    const mr_header *h = check->domain->header;

    (void)unused;
    if (load(&h->intake_deaths) && !load(&h->intake_death_at))
        return mr_check_wrong(check, "%llu tokenizers died at no record",
                              (unsigned long long)load(&h->intake_deaths));
    if (load(&h->emission_deaths) && !load(&h->emission_death_at))
        return mr_check_wrong(check, "%llu collectors died at no request",
                              (unsigned long long)load(&h->emission_deaths));
    return false;
}

static void check_header(mr_check *check)
{
    static bool (*const looks[])(mr_check *, uint32_t) = {
        geometry_is_wrong, names_are_wrong, phase_is_wrong, work_is_wrong, deaths_are_wrong};

    for (size_t i = 0; i < sizeof(looks) / sizeof(*looks); i++)
        if (mr_check_persists(check, looks[i], 0))
            mr_check_tell(check, "header");
}

/* ---- places ---- */

bool mr_check_place_taken(const mr_check *check, uint32_t place)
{
    return mr_place_taken(check->domain, place);
}

static bool is_single(uint32_t role)
{
    return role == MR_ROLE_TOKENIZER || role == MR_ROLE_COLLECTOR;
}

static bool has_twin(const mr_check *check, uint32_t number, uint32_t role)
{
    for (uint32_t i = 0; i < number; i++)
        if (mr_check_place_taken(check, i) && check->domain->members[i].role == role)
            return true;
    return false;
}

static bool place_is_wrong(mr_check *check, uint32_t number)
{
    const mr_place_record *place = &check->domain->members[number];
    uint32_t taken = atomic_load_explicit(&place->place, memory_order_acquire);
    uint64_t alone = load(&place->alone);

    if (taken != MR_PLACE_FREE && taken != MR_PLACE_TAKEN)
        return mr_check_wrong(check, "it is neither free nor taken");
    if (taken == MR_PLACE_FREE)
        return false;
    if (place->role < MR_ROLE_SUPERVISOR || place->role > MR_ROLE_WORKER)
        return mr_check_wrong(check, "role %u is unknown", place->role);
    if (place->pid <= 0)
        return mr_check_wrong(check, "process %d can't be", place->pid);
    if (!memchr(place->name, 0, sizeof(place->name)))
        return mr_check_wrong(check, "its name has no end");
    if (is_single(place->role) && has_twin(check, number, place->role))
        return mr_check_wrong(check, "it is a second %s",
                              place->role == MR_ROLE_TOKENIZER ? "tokenizer" : "collector");
    if (place->role != MR_ROLE_WORKER)
        return false;
    if (place->stage >= check->domain->stage_count)
        return mr_check_wrong(check, "stage %u is not in [0, %u)", place->stage,
                              check->domain->stage_count);
    if (load(&place->held) > place->capacity)
        return mr_check_wrong(check, "it holds %llu contexts, more than its %u",
                              (unsigned long long)load(&place->held), place->capacity);
    if (alone && mr_handle_index(alone - 1) >= check->domain->slot_count)
        return mr_check_wrong(check, "it works alone on slot %u, of %u", mr_handle_index(alone - 1),
                              check->domain->slot_count);
    return false;
}

static uint32_t count_places(const mr_check *check)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < MR_MAX_MEMBERS; i++)
        count += mr_check_place_taken(check, i);
    return count;
}

static void check_places(mr_check *check)
{
    for (uint32_t i = 0; i < MR_MAX_MEMBERS; i++)
        if (mr_check_persists(check, place_is_wrong, i))
            mr_check_tell(check, "place %u", i);
}

/* ---- marks, journal, ids ---- */

static uint64_t read_mark(const mr_check *check, int64_t mark[MR_MARK_WORDS])
{
    const mr_header *h = check->domain->header;

    return mr_twin_read(&h->mark_sequence, h->mark[0], MR_MARK_WORDS, mark, MR_MARK_WORDS);
}

/* Records are taken in one after the other: one at most is ahead of the mark. */
static bool mark_is_wrong(mr_check *check, uint32_t unused)
{
    uint64_t ahead = 0, ordinals[2] = {0, 0};
    int64_t mark[MR_MARK_WORDS];

    (void)unused;
    for (uint32_t i = 0; i < check->domain->slot_count; i++) {
        const mr_slot *slot = &check->domain->slots[i];
        uint64_t word = mr_slot_load(slot), ordinal = load(&slot->ordinal);

        if (mr_state_unpack(word).state == MR_STATE_FILLING || mr_slot_load(slot) != word)
            continue;
        if (ordinal > ordinals[0]) {
            ordinals[1] = ordinals[0];
            ordinals[0] = ordinal;
        } else if (ordinal < ordinals[0] && ordinal > ordinals[1]) {
            ordinals[1] = ordinal;
        }
    }
    read_mark(check, mark);
    if (mark[MR_MARK_FINISHED] != 0 && mark[MR_MARK_FINISHED] != 1)
        return mr_check_wrong(check, "the end of the input is neither there nor not");
    for (int i = 0; i < 2; i++)
        ahead += ordinals[i] > (uint64_t)mark[MR_MARK_ORDINAL];
    if (ahead == 2 || ordinals[0] > (uint64_t)mark[MR_MARK_ORDINAL] + 1)
        return mr_check_wrong(check, "it stands at record %llu, but record %llu was taken in",
                              (unsigned long long)mark[MR_MARK_ORDINAL],
                              (unsigned long long)ordinals[0]);
    return false;
}

static bool journal_is_wrong(mr_check *check, uint32_t unused)
{
    const mr_header *h = check->domain->header;
    int64_t journal[MR_JOURNAL_WORDS];

    (void)unused;
    mr_twin_read(&h->journal_sequence, h->journal[0], MR_JOURNAL_WORDS, journal, MR_JOURNAL_WORDS);
    if (journal[MR_JOURNAL_LENGTH] < 0)
        return mr_check_wrong(check, "an output of %lld bytes can't be",
                              (long long)journal[MR_JOURNAL_LENGTH]);
    if (journal[MR_JOURNAL_COUNT] < 0 || journal[MR_JOURNAL_COUNT] > MR_MAX_EMITTED)
        return mr_check_wrong(check, "a commit of %lld parts can't be",
                              (long long)journal[MR_JOURNAL_COUNT]);
    for (int64_t i = 0; i < journal[MR_JOURNAL_COUNT]; i++) {
        uint64_t handle = (uint64_t)journal[MR_JOURNAL_PARTS + i * MR_PART_WORDS];

        if (mr_handle_index(handle) >= check->domain->slot_count)
            return mr_check_wrong(check, "part %lld is of slot %u, of %u", (long long)i,
                                  mr_handle_index(handle), check->domain->slot_count);
    }
    return false;
}

static bool ids_are_wrong(mr_check *check, uint32_t unused)
{
    uint64_t largest = 0, count = check->domain->id_count;
    int64_t mark[MR_MARK_WORDS];

    (void)unused;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t ordinal = *(volatile const uint64_t *)&check->domain->ids[i].ordinal;

        largest = ordinal > largest ? ordinal : largest;
    }
    read_mark(check, mark);
    return largest > (uint64_t)mark[MR_MARK_ORDINAL] + 1 &&
           mr_check_wrong(check, "one is of record %llu, the input is at record %lld",
                          (unsigned long long)largest, (long long)mark[MR_MARK_ORDINAL]);
}

static void check_marks(mr_check *check)
{
    if (mr_check_persists(check, mark_is_wrong, 0))
        mr_check_tell(check, "intake mark");
    if (mr_check_persists(check, journal_is_wrong, 0))
        mr_check_tell(check, "journal");
    if (mr_check_persists(check, ids_are_wrong, 0))
        mr_check_tell(check, "custom ids");
}

/* ---- all of it ---- */

int mr_domain_check(mr_domain *domain, mr_check_report *report, void *self, mr_census *census)
{
    mr_census counted = {.size = sizeof(counted)};
    mr_check check = {.domain = domain, .report = report, .self = self, .census = &counted};
    int rc;

    counted.members = count_places(&check);
    check.at_rest = counted.members == 0;
    check_header(&check);
    check_places(&check);
    check_marks(&check);
    if ((rc = mr_check_slots(&check)) || (rc = mr_check_queues(&check)))
        return rc;
    mr_check_events(&check);
    if (census) {
        uint32_t size = census->size < sizeof(counted) ? census->size : sizeof(counted);

        memcpy(census, &counted, size);
        census->size = size;
    }
    return check.findings;
}
