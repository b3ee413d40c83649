#!/usr/bin/env bash
# contexts_test.sh - docs/contexts.md has each name of the original, and each function, word of the
# headers and test that it names is there
set -eu
tests=$MILLRACE_TEST_DATA
page=$tests/../docs/contexts.md
headers=$tests/../ipc/include/millrace
failed=0

complain() {
    echo "$*"
    failed=$((failed + 1))
}

# The names of Modular MAX's contexts, as a user of it knows them.
ORIGINAL="
tokens request_id model_name mask tokens_2 negative_tokens negative_tokens_2 extra_params timesteps
sigmas latents latent_image_ids height width num_inference_steps guidance_scale guidance
true_cfg_scale num_warmup_steps num_images_per_prompt status compute_num_available_steps is_done reset
to_generation_output update PixelGenerationTokenizer.new_context
audio_prompt_tokens buffer_speech_tokens audio_buffer prev_samples_beyond_offset streaming
speech_tokens decoded_index block_counter audio_generation_status next_speech_tokens
update_speech_tokens
vision_token_ids images ImageMetadata pixel_values image_hash extra_model_args
compute_image_aligned_idx image_idx next_images needs_vision_encoding
max_length eos_token_ids eos_sequences log_probabilities log_probabilities_echo ignore_eos
json_schema sampling_params matcher set_matcher target_endpoint apply_processing_offset
get_min_token_logit_mask is_initial_prompt jump_ahead min_tokens realize_future_token
update_with_future_token
reserve_token_space_for_batch validate_aspect_ratio_args validate_image_grid_thw_args
validate_image_shape_5d validate_initial_prompt_has_image validate_only_one_image
validate_requires_vision_context validate_vision_position_ids
TokenBuffer SamplingParams GenerationStatus LogProbabilities TextGenerationOutput RequestID
TextContext TextAndVisionContext TTSContext PixelContext"

names() { # the tables of names alone, without their heads
    sed -n '/^## Names/,/^## Surprising/p' "$page" | grep '^|' | grep -vE '^\| (original|---) '
}

for name in $ORIGINAL; do
    { names | cut -d'|' -f2; grep '^###' "$page"; } | grep -qwF -- "$name" ||
        complain "docs/contexts.md doesn't name '$name'"
done

for name in $(grep -oE '`mr_[a-z0-9_]+\(' "$page" | tr -d '`(' | sort -u); do
    grep -qE "^$name;" "$MILLRACE_BUILD/ipc/libmillrace.map" || complain "there is no $name()"
done
for name in $(grep -oE '`(mr|MR)_[A-Za-z0-9_]+`' "$page" | tr -d '`' | sort -u); do
    grep -qwE "$name" "$headers"/*.h || complain "no header has '$name'"
done

# is_test FILE NAME - a case of a Check program, a function of a test, a vector or an operation
is_test() {
    case $1 in
    *.jsonl)
        grep -qE "\"(id|op)\":\"(tokens\.)?$2\"" "$tests/ipc/golden/vectors/$1"
        ;;
    *_model_test.c | *_kill_test.c) grep -qwF "$2" "$tests"/ipc/*/"$1" ;;
    *) grep -qF "START_TEST($2)" "$tests/ipc/$1" && grep -qE "tcase_add[a-z_]*test\(.*[^(]$2\)|^ *$2\)" "$tests/ipc/$1" ;;
    esac
}

while read -r file name; do
    is_test "$file" "$name" 2>/dev/null || complain "there is no test '$name' in '$file'"
done < <(grep -oE '`[a-z_0-9]+\.(c|jsonl): [^`]+`' "$page" | tr -d '`' | sed 's/: / /' | sort -u)

while IFS='|' read -r _ original _ covered _; do
    case $original,$covered in
    ' tokens ', | ' tokens ,'*) ;; # its own table
    *': '*) ;;
    *) complain "docs/contexts.md names no test for '$original'" ;;
    esac
done < <(names)

[ "$(names | wc -l)" -gt 70 ] || complain 'the tables of names were not found'
[ "$failed" = 0 ] && echo '1 passed, 0 failed' || { echo '0 passed, 1 failed'; exit 1; }
