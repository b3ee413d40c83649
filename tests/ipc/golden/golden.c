/*
 * golden.c - replays golden vectors: golden FILE...
 *
 * Prints the first differences, and "N passed, N failed" (lines of the files) as the last line.
 * Exit status: 0 all passed, 1 some failed, 2 a file can't be read or isn't what it should be.
 */
#include "tests/ipc/golden/golden.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *kind;
    bool (*replay)(struct place *place, const json_t *line);
} kinds[] = {
    {"text", replay_text},
    {"vision", replay_text},
    {"tts", replay_text},
    {"validators", replay_text},
    {"token_buffer", replay_text},
    {"reserve", replay_reserve},
    {"sampling", sampling_kind},
    {"output_merge", merge_kind},
    {"pixel", pixel_kind},
    {"text_tokenizer", text_tokenizer_kind},
    {"image_hash", image_hash_kind},
    {"pixel_tokenizer", pixel_tokenizer_kind},
};

struct tally {
    size_t passed;
    size_t failed;
    bool broken;
};

static bool replay_line(struct place *place, const json_t *line)
{
    const char *kind = json_string_value(json_object_get(line, "kind"));
    const char *id = json_string_value(json_object_get(line, "id"));

    place->id = id ? id : "(no id)";
    place->step = 0;
    place->op = "new";
    for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(*kinds); i++)
        if (!strcmp(kinds[i].kind, kind))
            return kinds[i].replay(place, line);
    return report_text(place, "kind", "one that is known", kind ? kind : "none");
}

static void replay_text_of(struct place *place, const char *text, size_t length,
                           struct tally *tally)
{
    json_error_t error;
    json_t *line = json_loadb(text, length, 0, &error);

    if (!line) {
        fprintf(stderr, "golden: %s:%zu: %s\n", place->file, place->line, error.text);
        tally->broken = true;
        return;
    }
    if (replay_line(place, line))
        tally->passed++;
    else
        tally->failed++;
    json_decref(line);
}

static void replay_file(const char *path, struct tally *tally)
{
    FILE *file = fopen(path, "r");
    struct place place = {.file = path};
    char *text = NULL;
    size_t room = 0;
    ssize_t length;

    if (!file) {
        fprintf(stderr, "golden: cannot open '%s': %s\n", path, strerror(errno));
        tally->broken = true;
        return;
    }
    while ((length = getline(&text, &room, file)) > 0) {
        place.line++;
        if (length > 1)
            replay_text_of(&place, text, (size_t)length, tally);
    }
    free(text);
    fclose(file);
}

int main(int argc, char **argv)
{
    struct tally tally = {0};

    if (argc < 2) {
        fprintf(stderr, "usage: golden FILE...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        replay_file(argv[i], &tally);
    printf("%zu passed, %zu failed\n", tally.passed, tally.failed);
    return tally.broken ? 2 : tally.failed > 0;
}
