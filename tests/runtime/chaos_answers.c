/*
 * chaos_answers.c - the requests of the chaos campaign, and its answers against an undisturbed run
 */
#include "tests/runtime/chaos.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *expected; /* line by custom_id */

/* ---- requests ---- */

static void put_body(FILE *file, int i)
{
    static const char *const whats[] = {"a fox", "two small boats", "the moon and a hat",
                                        "a very long winter in the old mill by the river"};
    fprintf(file,
            "\"prompt\": \"Once upon a time there was %s, number %d.\", \"max_tokens\": %d, "
            "\"temperature\": %s",
            whats[i % 4], i, 1 + i * 7 % 90, i % 3 ? "0.8" : "0");
    if (i % 4 == 1)
        fputs(", \"stop\": [\"the end\", \". \", \"and\"]", file);
    if (i % 5 == 1)
        fputs(", \"logprobs\": 2", file);
    if (i % 6 == 2)
        fputs(i % 4 ? ", \"n\": 3" : ", \"n\": 0", file); /* 0 is refused */
    if (i % 7 == 3)
        fputs(", \"frequency_penalty\": 0.5, \"presence_penalty\": 0.2", file);
    if (i % 7 == 5)
        fputs(", \"echo\": true", file);
}

void answers_write_requests(const char *path)
{
    FILE *file = fopen(path, "we");
    for (int i = 0; file != NULL && i < REQUESTS; i++) {
        fprintf(file,
                "{\"custom_id\": \"%s%d\", \"method\": \"POST\", \"url\": \"/v1/completions\", "
                "\"body\": {",
                i == POISON ? "poison" : "r", i);
        if (i == POISON)
            fputs("\"prompt\": \"Die\", \"max_tokens\": 20, \"seed\": 666", file);
        else
            put_body(file, i);
        fputs("}}\n", file);
    }
    if (file == NULL || fclose(file) != 0)
        give_up("cannot write the requests");
}

/* ---- answers ---- */

char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    if (file == NULL || getdelim(&text, &room, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    if (file != NULL)
        fclose(file);
    return text;
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* A piece goes on where the one before it ended. */
static void take_piece(json_t *joined, json_t *record)
{
    char key[64], *whole = NULL;
    snprintf(key, sizeof(key), "%s/%lld", text_of(record, "custom_id"),
             (long long)json_integer_value(json_object_get(record, "choice")));
    if (json_integer_value(json_object_get(record, "offset")) !=
        (json_int_t)strlen(text_of(joined, key)))
        chaos.differing++;
    if (asprintf(&whole, "%s%s", text_of(joined, key), text_of(record, "delta")) < 0)
        abort();
    json_object_set_new(joined, key, json_string(whole));
    free(whole);
}

/* The pieces together are the text. */
static void check_pieces(json_t *joined, json_t *record)
{
    json_t *body = json_object_get(json_object_get(record, "response"), "body"), *choice;
    size_t i;
    json_array_foreach(json_object_get(body, "choices"), i, choice)
    {
        char key[64];
        snprintf(key, sizeof(key), "%s/%zu", text_of(record, "custom_id"), i);
        chaos.differing += strcmp(text_of(joined, key), text_of(choice, "text")) != 0;
    }
}

static bool is_as_expected(const char *id, const char *line, json_t *record)
{
    json_t *error = json_object_get(record, "error");
    if (strncmp(id, "poison", 6) != 0)
        return strcmp(line, text_of(expected, id)) == 0;
    return strcmp(text_of(error, "code"), "worker_failed") == 0 &&
           strstr(text_of(error, "message"), "workers in a row died") != NULL;
}

static void take_answer(json_t *seen, json_t *joined, const char *line, json_t *record)
{
    const char *id = text_of(record, "custom_id");
    if (json_object_get(seen, id) != NULL) {
        chaos.doubled++;
    } else if (!is_as_expected(id, line, record)) {
        printf("  differs: %s\n", line);
        chaos.differing++;
    }
    if (chaos.plan.way == STREAMED && strncmp(id, "poison", 6) != 0)
        check_pieces(joined, record);
    json_object_set_new(seen, id, json_true());
}

/* All lines of an output; keeps the finals by id when `keep` is given. */
static void read_answers(const char *path, json_t *keep)
{
    json_t *seen = json_object(), *joined = json_object();
    char *text = read_file(path), *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        json_t *record = json_loads(line, 0, NULL);
        if (record == NULL)
            chaos.differing++;
        else if (json_object_get(record, "delta") != NULL)
            take_piece(joined, record);
        else if (keep != NULL)
            json_object_set_new(keep, text_of(record, "custom_id"), json_string(line));
        else
            take_answer(seen, joined, line, record);
        json_decref(record);
    }
    if (keep == NULL) {
        chaos.requests += REQUESTS;
        chaos.lost += REQUESTS - (unsigned)json_object_size(seen);
    }
    json_decref(joined);
    json_decref(seen);
    free(text);
}

void answers_expect(const char *path)
{
    expected = json_object();
    read_answers(path, expected);
    if (json_object_size(expected) != REQUESTS)
        give_up("the undisturbed run doesn't answer everything");
}

void answers_check(const char *path)
{
    read_answers(path, NULL);
    if (chaos.lost + chaos.doubled + chaos.differing > 0)
        give_up("the answers aren't those of an undisturbed run");
}

void answers_free(void)
{
    json_decref(expected);
}
