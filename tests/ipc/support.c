/*
 * support.c - what the unit tests of libmillrace share
 */
#include "tests/ipc/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const int64_t prompt[] = {11, 12, 13};

mr_domain *support_domain_with(mr_domain_options options)
{
    static unsigned number;
    mr_domain *domain;
    char name[40];

    mr_domain_clean();
    snprintf(name, sizeof(name), "test-%d-%u", (int)getpid(), number++);
    ck_assert_msg(!mr_domain_create(&domain, name, &options), "%s", mr_error());
    return domain;
}

mr_domain *support_domain(uint32_t slots)
{
    return support_domain_with((mr_domain_options){.size = sizeof(mr_domain_options),
                                                   .slots = slots,
                                                   .arena_bytes = 1 << 20,
                                                   .max_length = 128,
                                                   .id_table = 64,
                                                   .finished = 64});
}

void support_close(mr_domain *domain)
{
    mr_domain_remove(domain);
}

const char *support_name(const mr_domain *domain)
{
    return domain->info.name;
}

mr_member *support_join(mr_domain *domain, enum mr_role role)
{
    mr_member_options options = {.size = sizeof(options), .role = role, .name = "test"};
    mr_member *member;

    ck_assert_msg(!mr_member_join(&member, domain, &options), "%s", mr_error());
    return member;
}

mr_worker *support_worker(mr_domain *domain, uint32_t capacity)
{
    mr_worker_options options = {
        .size = sizeof(options), .capacity = capacity, .fingerprint = "test"};
    mr_worker *worker;

    ck_assert_msg(!mr_worker_join(&worker, domain, &options), "%s", mr_error());
    return worker;
}

mr_intake *support_intake(mr_domain *domain, mr_member **member)
{
    mr_intake_mark mark;
    mr_intake *intake;

    *member = support_join(domain, MR_ROLE_TOKENIZER);
    ck_assert_msg(!mr_intake_open(&intake, *member, &mark, NULL), "%s", mr_error());
    return intake;
}

mr_emission *support_emission(mr_domain *domain, mr_member **member)
{
    mr_emission *emission;
    mr_handle suspect;
    unsigned deaths;

    *member = support_join(domain, MR_ROLE_COLLECTOR);
    ck_assert_msg(!mr_emission_open(&emission, *member, &suspect, &deaths), "%s", mr_error());
    return emission;
}

mr_request support_request(uint64_t ordinal, int64_t new_tokens)
{
    mr_request request = {
        .size = sizeof(request),
        .kind = MR_KIND_TEXT,
        .ordinal = ordinal,
        .input_end = ordinal * 100,
        .prompt = prompt,
        .prompt_length = 3,
        .max_length = 3 + new_tokens,
        .request_id = {"id", 2},
        .model_name = {"model", 5},
        .reply = {"note", 4},
    };

    mr_sampling_defaults(&request.sampling);
    request.sampling.choices = 1;
    return request;
}

void support_die(mr_domain *domain, int place)
{
    unsigned failed;

    ck_assert_int_ge(mr_supervisor_sweep(domain, place, &failed), 0);
}

uint32_t support_state(const mr_domain *domain, uint32_t index)
{
    return mr_state_unpack(mr_slot_load(&domain->slots[index])).state;
}

int support_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
