/*
 * segment_fuzz.c - a domain whose memory somebody spoiled: attached to, and used by every role
 *
 * A libFuzzer target. The memory of a real domain, with contexts of several kinds in all states,
 * is copied to the heap, so that a sanitizer sees a read behind its end. The input is a list of
 * changes of it: {how 1, where 4, what 8} bytes. Whatever they are, nobody may crash, hang or look
 * elsewhere.
 */
#include "ipc/domain_view.h"
#include "ipc/queue.h"
#include "ipc/slot.h"
#include "ipc/stats.h"
#include "tests/fuzz/fuzz.h"
#include <millrace/check.h>
#include <millrace/millrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 8, CHANGES_MAX = 64, CHANGE_BYTES = 13, TURNS_MAX = 64, ENTRIES = 8, TOPS = 64 };

static struct {
    unsigned char *data, *stats;
    uint64_t data_bytes, stats_bytes;
    uint64_t rings_offset; /* of the entries of all of them */
} whole;

/* ---- a domain at work ---- */

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "the domain to be spoiled can't be made: %s\n", mr_error());
        abort();
    }
}

static mr_request text_request(uint64_t ordinal)
{
    static const int64_t prompt[] = {11, 12, 13}, eos[] = {99, 98};
    static const int64_t stop[] = {5, 6};
    static const mr_tokens sequences[] = {{stop, 2}};
    static const mr_logit_bias bias = {.token = 7, .bias = 0.5f};
    mr_request request = {.size = sizeof(request),
                          .kind = MR_KIND_TEXT,
                          .ordinal = ordinal,
                          .input_end = ordinal * 100,
                          .prompt = prompt,
                          .prompt_length = 3,
                          .max_length = 20,
                          .eos_token_ids = eos,
                          .eos_token_count = 2,
                          .eos_sequences = sequences,
                          .eos_sequence_count = 1,
                          .logit_bias = &bias,
                          .logit_bias_count = 1,
                          .log_probabilities = 2,
                          .want_log_probabilities = 1,
                          .request_id = {"id", 2},
                          .model_name = {"model", 5},
                          .reply = {"note", 4}};

    mr_sampling_defaults(&request.sampling);
    request.sampling.choices = 1;
    return request;
}

static void admit_image(mr_intake *intake, uint64_t ordinal)
{
    static const int64_t vision_tokens[] = {12};
    static float values[] = {0.25f, 0.5f};
    mr_image image = {.start_idx = 1,
                      .end_idx = 2,
                      .has_hash = true,
                      .pixel_values = {.dtype = MR_F32, .rank = 1, .shape = {2}, .data = values}};
    mr_vision_request vision = {.vision_token_ids = vision_tokens,
                                .vision_token_count = 1,
                                .images = &image,
                                .image_count = 1};
    mr_request request = text_request(ordinal);

    mr_array_make_contiguous(&image.pixel_values);
    request.kind = MR_KIND_VISION;
    request.vision = &vision;
    must(mr_intake_admit(intake, &request));
}

static void admit_speech(mr_intake *intake, uint64_t ordinal)
{
    static int16_t voice[] = {7, -7};
    mr_tts_request tts = {
        .audio_prompt_tokens = {.dtype = MR_I16, .rank = 1, .shape = {2}, .data = voice},
        .speech_capacity = 4};
    mr_request request = text_request(ordinal);

    mr_array_make_contiguous(&tts.audio_prompt_tokens);
    request.kind = MR_KIND_TTS;
    request.tts = &tts;
    must(mr_intake_admit(intake, &request));
}

static void admit_all(mr_domain *domain)
{
    const mr_member_options options = {
        .size = sizeof(options), .role = MR_ROLE_TOKENIZER, .name = "tokenizer"};
    mr_request request = text_request(1);
    mr_intake_mark mark;
    mr_intake *intake;
    mr_member *member;

    must(mr_member_join(&member, domain, &options));
    must(mr_intake_open(&intake, member, &mark, NULL));
    must(mr_intake_admit(intake, &request));
    request = text_request(2);
    must(mr_intake_admit(intake, &request));
    admit_image(intake, 3);
    admit_speech(intake, 4);
    request = text_request(5);
    request.kind = MR_KIND_REFUSAL;
    must(mr_intake_refuse(intake, &request));
    request = text_request(6);
    request.sampling.choices = 2;
    must(mr_intake_admit(intake, &request));
    mr_intake_close(intake);
    mr_member_leave(member);
}

static void step(mr_text *text)
{
    const mr_top_logprob tops[] = {{.token = 5, .logprob = -0.5}, {.token = 6, .logprob = -1}};
    const mr_logprob entry = {.chosen = -0.5, .top = tops, .top_count = 2};
    const mr_logprobs logprobs = {.entries = &entry, .count = 1};

    mr_text_update(text, 5, mr_text_wants_log_probabilities(text) ? &logprobs : NULL);
}

static mr_worker *join_worker(mr_domain *domain)
{
    const mr_worker_options options = {.size = sizeof(options),
                                       .capacity = SLOTS,
                                       .fingerprint = "worker",
                                       .name = "worker",
                                       .kinds = MR_TAKES_ALL};
    mr_worker *worker = NULL;

    return mr_worker_join(&worker, domain, &options) < 0 ? NULL : worker;
}

/* Some stay with their worker, one is done, the others go on. */
static void work_a_little(mr_domain *domain)
{
    mr_worker *worker = join_worker(domain);
    mr_context *batch[SLOTS];
    int count;

    must(worker ? 0 : -1);
    must(count = mr_worker_batch(worker, batch, 0));
    for (int i = 0; i < count; i++)
        if (mr_context_text(batch[i]))
            step(mr_context_text(batch[i]));
    must(count < 3 ? -1 : 0);
    mr_text_set_status(mr_context_text(batch[0]), MR_CANCELLED);
    must(mr_worker_hand_on(worker, batch[0]));
    must(mr_worker_put_back(worker, batch[1]));
    must(mr_worker_put_back(worker, batch[2]));
    mr_worker_leave(worker);
}

static void keep_copy(const mr_domain *domain)
{
    whole.data_bytes = domain->data_bytes;
    whole.stats_bytes = domain->stats_bytes;
    whole.data = malloc(whole.data_bytes);
    whole.stats = malloc(whole.stats_bytes);
    if (!whole.data || !whole.stats)
        abort();
    memcpy(whole.data, domain->data, whole.data_bytes);
    memcpy(whole.stats, domain->stats, whole.stats_bytes);
    whole.rings_offset = domain->queues[0].ring.entries;
}

static void make_whole(void)
{
    const mr_domain_options options = {.size = sizeof(options),
                                       .slots = SLOTS,
                                       .arena_bytes = 1 << 15,
                                       .max_length = 64,
                                       .id_table = 64,
                                       .finished = 8,
                                       .kinds = MR_TAKES_ALL};
    mr_domain *domain;
    char name[40];

    snprintf(name, sizeof(name), "fuzz-%d", (int)getpid());
    must(mr_domain_create(&domain, name, &options));
    admit_all(domain);
    work_a_little(domain);
    keep_copy(domain);
    mr_domain_remove(domain);
}

/* ---- spoiling it ---- */

/* Where a change goes: anywhere, or into one of the parts that tell where others lie. */
static uint64_t place_of(unsigned how, uint64_t where)
{
    const mr_header *h = (const mr_header *)(const void *)whole.data;

    switch (how % 6) {
    case 0:
        return where % whole.data_bytes;
    case 1:
        return where % sizeof(mr_header);
    case 2:
        return h->queues_offset + where % (MR_QUEUES * sizeof(mr_queue));
    case 3:
        return whole.rings_offset + where % (MR_QUEUES * SLOTS * 8);
    case 4:
        return h->slots_offset + where % (SLOTS * sizeof(mr_slot));
    default:
        return h->arena_offset + where % 8192;
    }
}

static void change(unsigned char *data, const unsigned char *how)
{
    uint32_t where;
    uint64_t what, place, size = how[0] & 0x40 ? 8 : 4;

    memcpy(&where, how + 1, sizeof(where));
    memcpy(&what, how + 5, sizeof(what));
    place = place_of(how[0] & 0x3f, where) & ~(size - 1);
    if (place + size > whole.data_bytes)
        return;
    if (how[0] & 0x80) {
        uint64_t before = 0;

        memcpy(&before, data + place, size);
        what ^= before;
    }
    memcpy(data + place, &what, size);
}

static unsigned char *copy_of(const unsigned char *bytes, uint64_t size)
{
    unsigned char *copy = aligned_alloc(4096, (size + 4095) & ~UINT64_C(4095));

    if (!copy)
        abort();
    memcpy(copy, bytes, size);
    return copy;
}

/* ---- using it ---- */

static volatile uint64_t seen; /* what is looked at must not be optimised away */

static void look_at(mr_bytes bytes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < bytes.length; i++)
        sum += (unsigned char)bytes.bytes[i];
    seen += sum;
}

static void look_at_tokens(const int64_t *ids, int64_t count)
{
    uint64_t sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += (uint64_t)ids[i];
    seen += sum;
}

static void look_at_arrays(mr_context *context)
{
    for (size_t i = 0; i < mr_context_array_count(context) && i < TURNS_MAX; i++) {
        mr_array_info info;
        mr_array array;

        if (!mr_context_array_at(context, i, &info, &array) && mr_array_bytes(&array) > 0)
            look_at((mr_bytes){array.data, (size_t)mr_array_bytes(&array)});
    }
}

static void look_at_text(mr_text *text)
{
    size_t count;
    const int64_t *ids = mr_text_eos_token_ids(text, &count);

    look_at_tokens(ids, (int64_t)count);
    for (size_t i = 0; i < mr_text_eos_sequence_count(text) && i < TURNS_MAX; i++) {
        mr_tokens sequence = mr_text_eos_sequence(text, i);

        look_at_tokens(sequence.ids, (int64_t)sequence.count);
    }
    look_at_tokens(mr_text_all(text).ids, mr_text_length(text));
    look_at_tokens(mr_text_active(text).ids, mr_text_active_length(text));
    look_at(mr_text_json_schema(text));
    look_at(mr_text_target_endpoint(text));
}

static void use_worker(mr_domain *domain)
{
    mr_worker *worker = join_worker(domain);
    mr_context *batch[SLOTS];
    int count = 0;

    for (int turn = 0; worker && turn < 3 && (count = mr_worker_batch(worker, batch, 0)) > 0;
         turn++)
        for (int i = 0; i < count; i++) {
            mr_text *text = mr_context_text(batch[i]);
            size_t biases;

            look_at_arrays(batch[i]);
            mr_context_logit_bias(batch[i], &biases);
            look_at(mr_context_request_id(batch[i]));
            if (text) {
                look_at_text(text);
                step(text);
                mr_text_reset(text);
                step(text);
            }
            if (turn == 1 && mr_worker_hand_on(worker, batch[i]))
                mr_worker_put_back(worker, batch[i]);
        }
    mr_worker_leave(worker);
}

static void look_at_view(mr_emission *emission, mr_handle handle, const mr_view *view)
{
    mr_logprob entries[ENTRIES];
    mr_top_logprob tops[TOPS];
    mr_logprobs logprobs;
    mr_context *context;
    mr_handle choice;

    look_at(view->request_id);
    look_at(view->model_name);
    look_at(view->reply);
    look_at(view->failure);
    if (view->kind != MR_KIND_REFUSAL && view->tokens.count > 0)
        look_at_tokens(view->tokens.ids, (int64_t)view->tokens.count - 1);
    for (int64_t at = 0; at < TURNS_MAX; at++)
        mr_emission_logprobs(emission, handle, at, &logprobs, entries, ENTRIES, tops, TOPS);
    mr_emission_choice(emission, handle, 1, &choice);
    if (!mr_emission_context(emission, handle, &context))
        look_at_arrays(context);
}

static void use_emission(mr_domain *domain)
{
    const mr_member_options options = {
        .size = sizeof(options), .role = MR_ROLE_COLLECTOR, .name = "collector"};
    mr_emission *emission = NULL;
    mr_member *member = NULL;
    mr_handle handle, suspect;
    unsigned deaths;

    if (!mr_member_join(&member, domain, &options) &&
        !mr_emission_open(&emission, member, &suspect, &deaths))
        for (int turn = 0; turn < TURNS_MAX && !mr_emission_next(emission, &handle, 0); turn++) {
            mr_view view;

            if (mr_emission_view(emission, handle, &view))
                continue;
            look_at_view(emission, handle, &view);
            if (view.done) {
                const mr_emitted part = {.handle = handle, .final = 1};

                mr_emission_commit(emission, 1, &part, 1);
            }
        }
    mr_emission_close(emission);
    mr_member_leave(member);
}

static void use_intake(mr_domain *domain)
{
    const mr_member_options options = {
        .size = sizeof(options), .role = MR_ROLE_TOKENIZER, .name = "tokenizer"};
    const uint64_t hash[2] = {1, 2};
    mr_intake *intake = NULL;
    mr_member *member = NULL;
    mr_intake_mark mark;

    if (!mr_member_join(&member, domain, &options) &&
        !mr_intake_open(&intake, member, &mark, NULL)) {
        mr_request request = text_request(mark.ordinal + 1);

        mr_intake_seen(intake, hash, request.ordinal);
        mr_intake_admit(intake, &request);
        request.ordinal++;
        mr_intake_admit(intake, &request);
    }
    mr_intake_close(intake);
    mr_member_leave(member);
}

static void supervise(mr_domain *domain)
{
    const mr_bytes id = {"id", 2};
    uint64_t handles[SLOTS];
    mr_domain_progress progress;

    mr_supervisor_audit(domain);
    mr_supervisor_expire(domain);
    if (mr_supervisor_find(domain, id, handles, SLOTS) > 0)
        mr_supervisor_cancel(domain, handles[0], MR_CANCEL_CLIENT);
    mr_domain_get_progress(domain, &progress);
    look_at((mr_bytes){mr_domain_note(domain), strlen(mr_domain_note(domain))});
    for (int i = 0; i < MR_MAX_MEMBERS; i++)
        mr_supervisor_sweep(domain, i, NULL);
}

static int see(void *self, const mr_trace *trace)
{
    unsigned *ends = self;

    for (uint32_t i = 0; i < trace->leases; i++)
        ends[trace->lease[i].end]++;
    return 0;
}

static void use(mr_domain *domain)
{
    unsigned ends[MR_TRACE_FAILED + 1] = {0};

    mr_trace_each(domain, see, ends);
    mr_domain_check(domain, NULL, NULL, NULL);
    use_emission(domain);
    use_worker(domain);
    use_intake(domain);
    supervise(domain);
    use_emission(domain);
    mr_trace_each(domain, see, ends);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    mr_domain *domain;

    if (!whole.data)
        make_whole();
    domain = mr_view_new();
    if (!domain)
        abort();
    domain->data = copy_of(whole.data, whole.data_bytes);
    domain->data_bytes = whole.data_bytes;
    domain->stats = copy_of(whole.stats, whole.stats_bytes);
    domain->stats_bytes = whole.stats_bytes;
    domain->stats_writable = true;
    for (size_t i = 0; i < CHANGES_MAX && (i + 1) * CHANGE_BYTES <= size; i++)
        change(domain->data, bytes + i * CHANGE_BYTES);
    if (!mr_view_bind(domain))
        use(domain);
    free(domain->data);
    free(domain->stats);
    domain->data = domain->stats = NULL;
    mr_view_close(domain);
    return 0;
}
