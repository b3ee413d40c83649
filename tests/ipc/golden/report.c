/*
 * report.c - says what differed, for the first failures
 */
#include "tests/ipc/golden/golden.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 20 };

static unsigned reported;

bool report_text(const struct place *place, const char *what, const char *expected,
                 const char *actual)
{
    if (reported++ >= SHOWN)
        return false;
    printf("%s:%zu: %s, step %zu (%s): %s\n", place->file, place->line, place->id, place->step,
           place->op, what);
    printf("    expected %s\n    actual   %s\n", expected, actual);
    return false;
}

bool report_json(const struct place *place, const char *what, const json_t *expected,
                 const json_t *actual)
{
    char *left = expected ? json_dumps(expected, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    char *right = actual ? json_dumps(actual, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

    report_text(place, what, left ? left : "nothing", right ? right : "nothing");
    free(left);
    free(right);
    return false;
}

static bool same_lists(const json_t *a, const json_t *b)
{
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!json_same(json_array_get(a, i), json_array_get(b, i)))
            return false;
    return true;
}

static bool same_objects(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;

    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach((json_t *)(uintptr_t)a, key, value)
    {
        if (!json_same(value, json_object_get(b, key)))
            return false;
    }
    return true;
}

static bool same_numbers(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

bool json_same(const json_t *a, const json_t *b)
{
    if (!a || !b)
        return a == b;
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    if (json_is_number(a) && json_is_number(b))
        return same_numbers(json_number_value(a), json_number_value(b));
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_array(a))
        return same_lists(a, b);
    if (json_is_object(a))
        return same_objects(a, b);
    return json_equal(a, b);
}

bool report_compare(const struct place *place, const char *what, const json_t *expected,
                    const json_t *actual)
{
    return json_same(expected, actual) || report_json(place, what, expected, actual);
}
