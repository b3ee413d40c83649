#!/usr/bin/env bash
# readme_worker_test.sh - the README's worker, taken from its text, compiles with the public headers
# alone, attaches to a running group and answers
set -eu
top=$MILLRACE_TEST_DATA/..
model=$(echo "$top"/models/bundled/*.gguf)
work=$(mktemp -d)
name=readme-$$
run=
trap '[ -z "$run" ] || kill "$run" 2>/dev/null || :; rm -rf "$work"' EXIT

sed -n '/^```c$/,/^```$/p' "$top/README.md" | grep -v '^```' >"$work/echo.c"
[ -s "$work/echo.c" ] || { echo 'README.md has no C block'; exit 1; }
lib=$(find "$MILLRACE_BUILD/ipc/.libs" -name libmillrace.a | head -1)
# shellcheck disable=SC2046 # flags are words; a sanitized library needs the sanitizer's runtime
${CC:-cc} -std=c17 -Wall -Wextra -Werror -I "$top/ipc/include" -o "$work/echo" "$work/echo.c" "$lib" \
    $(grep -oE -- '-fsanitize=[a-z,]+|--coverage' "$MILLRACE_BUILD/Makefile" | sort -u) -lxxhash

echo '{"custom_id": "a", "method": "POST", "url": "/v1/completions",
       "body": {"prompt": "Once upon a time", "max_tokens": 4, "ignore_eos": true}}' | tr -d '\n' >"$work/in.jsonl"
"$MILLRACE_BUILD/millrace" run -m "$model" --workers 0 --name "$name" -o "$work/out.jsonl" "$work/in.jsonl" &
run=$!
for _ in $(seq 100); do
    [ ! -S "/dev/shm/millrace.$name.sock" ] || break
    sleep 0.1
done
"$work/echo" "$name" || { echo "the worker ended with $?"; exit 1; }
wait $run || { echo "the run ended with $?"; exit 1; }
run=
grep -q '"text":"Once upon a time"' "$work/out.jsonl" || { cat "$work/out.jsonl"; exit 1; }
echo '1 passed, 0 failed'
