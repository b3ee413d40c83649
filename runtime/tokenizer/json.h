/*
 * json.h - JSON out of a line, within a budget of memory
 *
 * jansson takes up to forty times a line's size for a line of nothing but small numbers, so its
 * memory is counted, and a line that wants more than the budget is refused as too large.
 * For one thread.
 */
#ifndef RUNTIME_TOKENIZER_JSON_H
#define RUNTIME_TOKENIZER_JSON_H

#include "runtime/tokenizer/refusal.h"
#include <jansson.h>

enum { JSON_BUDGET = 128 << 20 };

/* json_install_budget - count jansson's memory from now on; before its first use in the process */
void json_install_budget(void);

/*
 * json_parse - the value that a line is
 *
 * Refused are duplicate keys, broken UTF-8, bytes behind the value and nesting beyond 2,048 levels;
 * NUL, written as \u0000, is a character like any other. Returns NULL with *refusal filled.
 */
json_t *json_parse(const char *line, size_t length, struct refusal *refusal);

#endif
