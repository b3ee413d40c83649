#!/usr/bin/env bash
# slow_reader_test.sh - a collector killed while a slow reader takes the last answers loses none
#
# All is answered long before the reader begins; what the pipe doesn't hold waits in the spool.
set -eu
model=$(echo "$MILLRACE_TEST_DATA"/../models/bundled/*.gguf)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
requests=600

for i in $(seq $requests); do
    echo '{"custom_id": "r'"$i"'", "method": "POST", "url": "/v1/completions", "body": {"prompt": "Once upon a time there was a fox", "max_tokens": 20}}'
done >"$work/in.jsonl"
mkfifo "$work/pipe"
"$MILLRACE_BUILD/millrace" run -m "$model" --worker "$MILLRACE_BUILD/tests/runtime/echo_worker" \
    "$work/in.jsonl" >"$work/pipe" 2>"$work/err" &
run=$!
exec 3<"$work/pipe" # opened, not read
for _ in $(seq 100); do
    ! pgrep -P $run -x mr-collector >/dev/null || break
    sleep 0.1
done
kills=0
for _ in 1 2 3; do
    sleep 1
    collector=$(pgrep -P $run -x mr-collector) || continue
    kill -KILL "$collector" && kills=$((kills + 1))
done
sort <&3 | uniq | wc -l >"$work/lines" &
reader=$!
exec 3<&-
wait $reader
status=0
wait $run || status=$?
[ "$status" = 0 ] || { cat "$work/err"; echo "the run ended with $status"; exit 1; }
[ "$(cat "$work/lines")" = $requests ] || { echo "$(cat "$work/lines") of $requests answers, $kills kills"; exit 1; }
[ $kills -gt 0 ] || { echo 'nothing was killed'; exit 1; }
echo '1 passed, 0 failed'
