/*
 * prepare_text.c - lengths, end tokens and image places of a request, from what its model allows
 */
#include <millrace/prepare.h>

int64_t mr_prepare_max_length(int64_t prompt_length, int64_t model_max, int64_t max_new_tokens)
{
    int64_t room = model_max > prompt_length ? model_max - prompt_length : 0;

    if (model_max < 0 && max_new_tokens < 0)
        return -1;
    if (model_max < 0 || (max_new_tokens >= 0 && max_new_tokens < room))
        room = max_new_tokens;
    return room > INT64_MAX - prompt_length ? INT64_MAX : prompt_length + room;
}

static bool contains(const int64_t *ids, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static size_t add_new(int64_t *ids, size_t count, const int64_t *more, size_t more_count)
{
    for (size_t i = 0; i < more_count; i++)
        if (!contains(ids, count, more[i]))
            ids[count++] = more[i];
    return count;
}

size_t mr_prepare_eos_ids(const int64_t *model, size_t model_count, const int64_t *stop,
                          size_t stop_count, bool ignore_eos, int64_t *ids)
{
    if (ignore_eos)
        return 0;
    return add_new(ids, add_new(ids, 0, model, model_count), stop, stop_count);
}

size_t mr_prepare_image_places(mr_tokens prompt, const int64_t *vision_token_ids, size_t count,
                               mr_image *images, size_t room)
{
    size_t found = 0, i = 0;

    while (i < prompt.count) {
        size_t start = i;

        while (i < prompt.count && contains(vision_token_ids, count, prompt.ids[i]))
            i++;
        if (i == start) {
            i++;
            continue;
        }
        if (found < room) {
            images[found].start_idx = (int64_t)start;
            images[found].end_idx = (int64_t)i;
        }
        found++;
    }
    return found;
}
