/*
 * fixture.c - makes the one slot and has the intake's code fill it
 */
#include "tests/ipc/fixture.h"
#include "ipc/intake.h"
#include "ipc/parts.h"
#include "ipc/text.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct fixture {
    mr_domain domain;
    mr_context context;
};

enum { SLOT_BYTES = (sizeof(mr_slot) + 4095) / 4096 * 4096 };

mr_request fixture_request(const int64_t *prompt, size_t count, int64_t max_length)
{
    mr_request request = {.size = sizeof(request),
                          .kind = MR_KIND_TEXT,
                          .prompt = prompt,
                          .prompt_length = count,
                          .max_length = max_length,
                          .request_id = {"r0", 2}};

    mr_sampling_defaults(&request.sampling);
    return request;
}

/* ---- life ---- */

static bool map(struct fixture *f, uint64_t arena_bytes)
{
    uint64_t bytes = SLOT_BYTES + arena_bytes;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return false;
    f->domain = (mr_domain){.data = memory,
                            .data_bytes = bytes,
                            .slots = memory,
                            .slot_count = 1,
                            .arena_offset = SLOT_BYTES,
                            .arena_bytes = arena_bytes};
    f->domain.slots->arena = (mr_range){SLOT_BYTES, arena_bytes};
    return true;
}

/* Draft tokens are what gives a context room beyond its max_length. */
static mr_request with_room(const mr_request *request, int64_t capacity)
{
    mr_request roomy = *request;
    int64_t longest = (int64_t)request->prompt_length + 1;

    if (longest < request->max_length)
        longest = request->max_length;
    roomy.draft_tokens = capacity > longest ? (uint32_t)(capacity - longest) : 0;
    return roomy;
}

struct fixture *fixture_new(const mr_request *request, int64_t capacity)
{
    mr_request roomy = with_room(request, capacity);
    struct fixture *f;

    if (mr_parts_check(request) < 0)
        return NULL;
    f = calloc(1, sizeof(*f));
    if (!f || !map(f, mr_request_size(&roomy)))
        abort();
    mr_request_fill(&f->domain, f->domain.slots, &roomy, 0);
    if (fixture_reload(f) < 0)
        abort();
    return f;
}

void fixture_free(struct fixture *fixture)
{
    munmap(fixture->domain.data, fixture->domain.data_bytes);
    free(fixture);
}

mr_context *fixture_context(struct fixture *fixture)
{
    return &fixture->context;
}

mr_text *fixture_text(struct fixture *fixture)
{
    return mr_context_text(&fixture->context);
}

int fixture_reload(struct fixture *fixture)
{
    return mr_context_load(&fixture->context, &fixture->domain, 0);
}
