/*
 * json.c - JSON out of a line, within a budget of memory
 */
#include "runtime/tokenizer/json.h"
#include <malloc.h>
#include <stdlib.h>

static size_t used;
static bool
    refused; /* some memory, since the last json_parse() began; jansson doesn't always tell */

static void *budget_malloc(size_t size)
{
    void *memory = used + size > JSON_BUDGET ? NULL : malloc(size);
    if (memory != NULL)
        used += malloc_usable_size(memory);
    refused = refused || memory == NULL;
    return memory;
}

static void budget_free(void *memory)
{
    used -= malloc_usable_size(memory);
    free(memory);
}

void json_install_budget(void)
{
    json_set_alloc_funcs(budget_malloc, budget_free);
}

json_t *json_parse(const char *line, size_t length, struct refusal *refusal)
{
    json_error_t error;
    json_t *value;
    refused = false;
    value = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (value != NULL)
        return value;
    if (refused)
        refuse(refusal, REFUSAL_TOO_LARGE, "", "the record takes more than %d MiB of memory",
               JSON_BUDGET >> 20);
    else
        refuse(refusal, REFUSAL_INVALID_JSON, "", "the line is not valid JSON: %s (at byte %d)",
               error.text, error.position);
    return NULL;
}
