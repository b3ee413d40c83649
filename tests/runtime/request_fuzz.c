/*
 * request_fuzz.c - any bytes as a record of the input
 *
 * A libFuzzer target. Whatever a record is, it becomes a request within the limits or a refusal
 * with a code and a message of valid UTF-8.
 */
#include "runtime/tokenizer/json.h"
#include "runtime/tokenizer/request.h"
#include "runtime/tokenizer/utf8.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 1000 };

static void check_refusal(const struct refusal *refusal)
{
    size_t length = strlen(refusal->message);
    if (refusal->code == NULL || length == 0 || utf8_valid(refusal->message, length) != length)
        abort();
}

static void check_request(const struct request *request)
{
    if (request->custom_id.length == 0 || request->endpoint == ENDPOINT_UNKNOWN ||
        request->stop_count > REPLY_MAX_STOPS || request->sampling.choices < 1 ||
        request->sampling.choices > MR_MAX_CHOICES)
        abort();
    for (size_t i = 0; i < request->token_count; i++)
        if (request->tokens[i] < 0 || request->tokens[i] >= TOKENS)
            abort();
    for (size_t i = 0; i < request->bias_count; i++)
        if (request->biases[i].token < 0 || request->biases[i].token >= TOKENS)
            abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    static const struct served served = {TOKENS, MR_TAKES_ALL};
    static bool installed;
    struct request request;
    struct refusal refusal = {0};
    if (!installed)
        json_install_budget();
    installed = true;
    if (request_open(&request, (const char *)bytes, size, &refusal) &&
        request_read(&request, &served, &refusal))
        check_request(&request);
    else
        check_refusal(&refusal);
    request_free(&request);
    return 0;
}
