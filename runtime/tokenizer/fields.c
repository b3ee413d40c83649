/*
 * fields.c - the fields of a JSON object, each of the type and in the range that it must have
 */
#include "runtime/tokenizer/fields.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct fields fields_of(const json_t *object, const char *path, struct refusal *refusal)
{
    return (struct fields){.object = object, .path = path, .refusal = refusal};
}

bool fields_ok(const struct fields *fields)
{
    return !fields->failed;
}

json_t *fields_get(struct fields *fields, const char *name)
{
    json_t *value = fields->failed ? NULL : json_object_get(fields->object, name);
    return json_is_null(value) ? NULL : value;
}

bool fields_refuse(struct fields *fields, const char *code, const char *name, const char *format,
                   ...)
{
    char param[REFUSAL_PARAM_MAX], why[REFUSAL_MESSAGE_MAX];
    va_list arguments;
    if (fields->failed)
        return false;
    fields->failed = true;
    snprintf(param, sizeof(param), "%s%s", fields->path, name);
    va_start(arguments, format);
    if (vsnprintf(why, sizeof(why), format, arguments) < 0)
        why[0] = '\0';
    va_end(arguments);
    return refuse(fields->refusal, code, param, "'%s' %s", param, why);
}

const char *json_type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static bool wrong_type(struct fields *fields, const char *name, const char *wanted,
                       const json_t *value)
{
    return fields_refuse(fields, REFUSAL_INVALID_PARAMETER, name, "must be %s, not %s", wanted,
                         json_type_name(value));
}

bool fields_integer(struct fields *fields, const char *name, int64_t low, int64_t high,
                    int64_t *value)
{
    const json_t *field = fields_get(fields, name);
    if (field == NULL)
        return false;
    if (!json_is_integer(field))
        return wrong_type(fields, name, "an integer", field);
    if (json_integer_value(field) < low || json_integer_value(field) > high)
        return fields_refuse(fields, REFUSAL_INVALID_PARAMETER, name,
                             "is %" PRId64 ", but must lie in [%" PRId64 ", %" PRId64 "]",
                             (int64_t)json_integer_value(field), low, high);
    *value = json_integer_value(field);
    return true;
}

bool fields_number(struct fields *fields, const char *name, double low, double high, double *value)
{
    const json_t *field = fields_get(fields, name);
    double number;
    if (field == NULL)
        return false;
    if (!json_is_number(field))
        return wrong_type(fields, name, "a number", field);
    number = json_number_value(field);
    if (!(number >= low && number <= high))
        return fields_refuse(fields, REFUSAL_INVALID_PARAMETER, name,
                             "is %g, but must lie in [%g, %g]", number, low, high);
    *value = number;
    return true;
}

bool fields_boolean(struct fields *fields, const char *name, bool *value)
{
    const json_t *field = fields_get(fields, name);
    if (field == NULL)
        return false;
    if (!json_is_boolean(field))
        return wrong_type(fields, name, "true or false", field);
    *value = json_is_true(field);
    return true;
}

bool fields_string(struct fields *fields, const char *name, const char **bytes, size_t *length)
{
    const json_t *field = fields_get(fields, name);
    if (field == NULL)
        return false;
    if (!json_is_string(field))
        return wrong_type(fields, name, "a string", field);
    *bytes = json_string_value(field);
    *length = json_string_length(field);
    return true;
}
