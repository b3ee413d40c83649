/*
 * geometry.c - how large a domain is made for a model
 *
 * The arena has room for every slot at its longest, and besides for log-probabilities with all
 * alternatives in one slot of eight, and in as many for what a kind has besides: an image of
 * 1024 x 1024, 30 seconds of sound. Requests that want more wait for each other; one that could
 * never fit is refused at admission.
 */
#include "runtime/supervisor/geometry.h"
#include "runtime/log.h"
#include <errno.h>
#include <inttypes.h>
#include <sys/statvfs.h>

enum {
    DEFAULT_SLOTS = 64,
    DEFAULT_MAX_LEN = 8192,
    SLOT_BYTES = 16 << 10, /* of a context besides its tokens: ids, stop strings, echoed prompt */
    TOKEN_BYTES = 16,      /* a token's, with what is kept of the step that made it */
    LOGPROB_BYTES = 416,   /* a token's record with 20 alternatives */
    LARGE_SLOTS_OF = 8,
    VISION_BYTES = 13 << 20, /* the pixel values of an image */
    TTS_BYTES = 6 << 20,     /* two places for the audio buffer */
    PIXEL_BYTES = 34 << 20   /* two places for the picture, the noise, prompts */
};

/* kind_bytes - of the largest kind that is served */
static uint64_t kind_bytes(uint32_t kinds)
{
    if (kinds & MR_TAKES_PIXEL)
        return PIXEL_BYTES;
    if (kinds & MR_TAKES_VISION)
        return VISION_BYTES;
    return kinds & MR_TAKES_TTS ? TTS_BYTES : 0;
}

static uint64_t arena_for(uint64_t slots, uint64_t max_len, uint32_t kinds)
{
    uint64_t large = (slots + LARGE_SLOTS_OF - 1) / LARGE_SLOTS_OF;
    return slots * (SLOT_BYTES + max_len * TOKEN_BYTES) +
           large * (max_len * LOGPROB_BYTES + kind_bytes(kinds));
}

static uint32_t length_for(const struct run_options *options, const struct model_file *model)
{
    uint64_t of_model = model->context_length > 0 ? model->context_length : DEFAULT_MAX_LEN;
    if (options->max_len > 0)
        return options->max_len;
    return (uint32_t)(of_model < DEFAULT_MAX_LEN ? of_model : DEFAULT_MAX_LEN);
}

static uint64_t size_with(mr_domain_options *domain, uint64_t slots)
{
    domain->slots = (uint32_t)slots;
    domain->arena_bytes = arena_for(slots, domain->max_length, domain->kinds);
    return mr_domain_size(domain);
}

/* choose_slots - fewer than the default where /dev/shm is small, so that half of it stays free */
static void choose_slots(mr_domain_options *domain, uint64_t free_bytes)
{
    uint64_t slots = DEFAULT_SLOTS;
    while (slots > 1 && free_bytes > 0 && size_with(domain, slots) > free_bytes / 2)
        slots /= 2;
    size_with(domain, slots);
}

/* use_memory - the size that the user gave, all of it */
static int use_memory(mr_domain_options *domain, uint64_t memory)
{
    uint64_t rest = mr_domain_size(domain) - domain->arena_bytes;
    if (memory < rest + SLOT_BYTES + (uint64_t)domain->max_length * TOKEN_BYTES) {
        log_error("option '--memory' gives %" PRIu64 " bytes, but %" PRIu64
                  " are needed for %u slots and one context of %u tokens; give more, or ask for "
                  "fewer slots or shorter contexts",
                  memory, rest + SLOT_BYTES + (uint64_t)domain->max_length * TOKEN_BYTES,
                  domain->slots, domain->max_length);
        return -EINVAL;
    }
    domain->arena_bytes = memory - rest;
    return 0;
}

int geometry_choose(mr_domain_options *domain, const struct run_options *options,
                    const struct model_file *model, uint64_t free_bytes)
{
    domain->max_length = length_for(options, model);
    if (model->context_length > 0 && domain->max_length > model->context_length) {
        log_error(
            "option '--max-len' is %u, but the model was made for contexts of at most %" PRIu64
            " tokens",
            domain->max_length, model->context_length);
        return -EINVAL;
    }
    domain->vocabulary = (uint32_t)model->vocabulary;
    domain->model_fingerprint = model->fingerprint;
    if (options->slots > 0)
        size_with(domain, options->slots);
    else
        choose_slots(domain, options->memory > 0 ? options->memory * 2 : free_bytes);
    return options->memory > 0 ? use_memory(domain, options->memory) : 0;
}

uint64_t geometry_free_bytes(void)
{
    struct statvfs status;
    if (statvfs("/dev/shm", &status) < 0)
        return 0;
    return (uint64_t)status.f_bavail * status.f_frsize;
}
