/*
 * reply_fuzz.c - any bytes as the notes that lie in shared memory: a request's and the run's
 *
 * A libFuzzer target. The first byte chooses. A reply that is read must lie inside of the bytes and
 * read the same once it was written again; a run's note that is read is whole.
 */
#include "runtime/note.h"
#include "runtime/reply.h"
#include "tests/fuzz/fuzz.h"
#include <millrace/domain.h>
#include <millrace/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mr_domain *domain;

static void remove_domain(void)
{
    mr_domain_remove(domain);
}

static void make_domain(void)
{
    const mr_domain_options options = {
        .size = sizeof(options), .slots = 1, .arena_bytes = 4096, .max_length = 8, .id_table = 8};
    char name[40];
    mr_domain_clean();
    snprintf(name, sizeof(name), "fuzz-reply-%d", (int)getpid());
    if (mr_domain_create(&domain, name, &options) < 0) {
        fprintf(stderr, "no domain to fuzz: %s\n", mr_error());
        abort();
    }
    atexit(remove_domain);
}

static void check_inside(mr_bytes part, mr_bytes note)
{
    if (part.length > 0 && (part.bytes < note.bytes || part.length > note.length ||
                            part.bytes - note.bytes > (ptrdiff_t)(note.length - part.length)))
        abort();
}

static void check_same(mr_bytes a, mr_bytes b)
{
    if (a.length != b.length || (a.length > 0 && memcmp(a.bytes, b.bytes, a.length) != 0))
        abort();
}

static void check_reply(const struct reply *reply, mr_bytes note)
{
    size_t size = reply_size(reply);
    char *again = malloc(size);
    struct reply copy;
    if (again == NULL)
        abort();
    check_inside(reply->custom_id, note);
    check_inside(reply->error_param, note);
    for (unsigned i = 0; i < reply->stop_count; i++)
        check_inside(reply->stops[i], note);
    reply_encode(reply, again);
    if (reply_decode(&copy, (mr_bytes){again, size}) < 0 || copy.line != reply->line ||
        copy.stop_count != reply->stop_count)
        abort();
    check_same(copy.custom_id, reply->custom_id);
    check_same(copy.error_message, reply->error_message);
    free(again);
}

static void read_as_note(const char *bytes, size_t size)
{
    struct note note;
    char text[MR_NOTE_MAX + 1];
    if (domain == NULL)
        make_domain();
    size = size < MR_NOTE_MAX ? size : MR_NOTE_MAX;
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (mr_domain_set_note(domain, text) < 0 || note_read(domain, &note) < 0)
        return;
    if (note.model == NULL || note.worker == NULL || note.output == NULL)
        abort();
    note_free(&note);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    const mr_bytes note = {(const char *)bytes + 1, size > 0 ? size - 1 : 0};
    struct reply reply;
    if (size == 0)
        return 0;
    if (bytes[0] & 1)
        read_as_note(note.bytes, note.length);
    else if (reply_decode(&reply, note) == 0)
        check_reply(&reply, note);
    return 0;
}
