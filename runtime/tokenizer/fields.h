/*
 * fields.h - the fields of a JSON object, each of the type and in the range that it must have
 *
 * Each call looks for one field. It is absent when it isn't there or is null; then *value stays as
 * it was. The first field that is wrong fills the refusal, and every call after it does nothing,
 * so a caller asks for all that it wants and looks at fields_ok() once.
 */
#ifndef RUNTIME_TOKENIZER_FIELDS_H
#define RUNTIME_TOKENIZER_FIELDS_H

#include "runtime/tokenizer/refusal.h"
#include <jansson.h>
#include <stdint.h>

struct fields {
    const json_t *object;
    const char *path; /* before a name in messages: "body." or "" */
    struct refusal *refusal;
    bool failed;
};

struct fields fields_of(const json_t *object, const char *path, struct refusal *refusal);
bool fields_ok(const struct fields *fields);

/* The field, or NULL when it is absent. */
json_t *fields_get(struct fields *fields, const char *name);

/* Each returns whether the field is there and good. Ranges are inclusive. */
bool fields_integer(struct fields *fields, const char *name, int64_t low, int64_t high,
                    int64_t *value);
bool fields_number(struct fields *fields, const char *name, double low, double high, double *value);
bool fields_boolean(struct fields *fields, const char *name, bool *value);
bool fields_string(struct fields *fields, const char *name, const char **bytes, size_t *length);

/* fields_refuse - what only the caller can judge is wrong with a field; always false */
bool fields_refuse(struct fields *fields, const char *code, const char *name, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/* Name of a value's type for messages: "a string", "an integer" ... */
const char *json_type_name(const json_t *value);

#endif
