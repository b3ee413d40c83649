#!/usr/bin/env bash
# same_answers.sh - the answers are the same bytes whatever the group looks like and whoever is killed
#
# Usage: same_answers.sh [REQUESTS]     (20 by default; 1000 for the whole measure)
# One file of mixed requests (lengths, stop strings, log-probabilities, seeds, choices, penalties,
# echo) is answered with 1, 2 and 4 workers and batches of 1, 4 and 32, with and without --stream, and
# with a worker, the tokenizer and the collector killed by SIGKILL in the middle. After `sort` all
# outputs must be equal by cmp; of streams, the pieces joined must be the texts.
set -eu
requests=${1-20}
build=${MILLRACE_BUILD-build}
top=${MILLRACE_TEST_DATA:+$MILLRACE_TEST_DATA/..}
model=$(echo "${top:-.}"/models/bundled/*.gguf)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v jq >/dev/null || { echo "jq is missing: apt-get install jq"; exit 77; }

# make_requests N - N records, each of another mixture
make_requests() {
    jq -nc --argjson n "$1" '
        ["a fox", "two small boats", "the moon and a hat", "a very long winter in the old mill by the river"] as $of |
        range($n) as $i | ($of[$i % 4]) as $what |
        if $i % 5 == 4 then
            {url: "/v1/completions", body: {prompt: ("Once upon a time there was " + $what),
                max_tokens: (1 + $i % 37), echo: ($i % 2 == 0), logprobs: ($i % 3)}}
        else
            {url: "/v1/chat/completions", body: {messages: [{role: "user",
                content: ("Tell me a story about " + $what + "." + (" Please." * ($i % 23)))}],
                max_tokens: (1 + $i * 7 % 90)}}
        end |
 . as $r | .body += (
            {temperature: ([0, 0.7, 1, 1.3][$i % 4])} +
            (if $i % 3 == 0 then {seed: $i} else {} end) +
            (if $i % 4 == 1 then {stop: ["the end", ". ", "and"]} else {} end) +
            (if $i % 5 == 1 then {logprobs: true, top_logprobs: ($i % 4)} else {} end) +
            (if $i % 6 == 2 then {n: 3} else {} end) +
            (if $i % 7 == 3 then {frequency_penalty: 0.5, presence_penalty: 0.2} else {} end) +
            (if $i % 7 == 5 then {top_p: 0.8, top_k: 40, min_p: 0.02, repetition_penalty: 1.1} else {} end) +
            (if $i % 8 == 6 then {min_tokens: ([20, $r.body.max_tokens] | min)} else {} end)) |
        {custom_id: "r\($i)", method: "POST", url, body}'
}

# answer NAME OPTION... - runs and leaves the sorted finals in NAME.sorted
answer() {
    local name=$1 status=0
    shift
    SOURCE_DATE_EPOCH=1700000000 "$build/millrace" run -m "$model" -o "$work/$name.out" --seed 7 "$@" "$work/in.jsonl" \
        2>"$work/$name.err" || status=$?
    [ $status = 0 ] || { cat "$work/$name.err" "$work/$name.out" | head -c 3000; echo "not ok: run $name ended with $status"; exit 1; }
    finals "$name"
}

finals() {
    grep -v '"delta":' "$work/$1.out" | sort >"$work/$1.sorted"
}

passed=0
same() {
    cmp "$work/first.sorted" "$work/$1.sorted" || { echo "not ok: $1 differs"; exit 1; }
    passed=$((passed + 1))
}

# killed NAME PROCESS TIMES OPTION... - the same with a process killed while it runs
killed() {
    local name=$1 victim=$2 times=$3 pid status=0
    shift 3
    SOURCE_DATE_EPOCH=1700000000 "$build/millrace" run -m "$model" -o "$work/$name.out" --seed 7 "$@" "$work/in.jsonl" \
        2>"$work/$name.err" &
    local run=$!
    while [ "$times" -gt 0 ] && kill -0 $run 2>/dev/null; do
        sleep 0.2
        pid=$(pgrep -P $run -x "$victim" | head -1) || continue
        kill -KILL "$pid" 2>/dev/null && kills=$((kills + 1))
        times=$((times - 1))
    done
    wait $run || status=$?
    [ $status = 0 ] || { cat "$work/$name.err"; echo "not ok: run $name ended with $status"; exit 1; }
    finals "$name"
}

# The pieces of a stream, joined in the order of the file, are the texts of the finals.
joined_is_whole() {
    jq -S -s '[.[] | select(has("delta"))] | group_by([.custom_id, .choice]) |
        map({key: "\(.[0].custom_id) \(.[0].choice)", value: (map(.delta) | add)}) | from_entries' \
        "$work/$1.out" >"$work/joined"
    jq -S -s '[.[] | select(has("delta") | not) | .custom_id as $id | .response.body.choices[] |
        {key: "\($id) \(.index)", value: (.message.content // .text)} | select(.value != "")] |
        from_entries' "$work/$1.out" >"$work/whole"
    cmp "$work/joined" "$work/whole" || { echo "not ok: pieces of $1 are not its texts"; exit 1; }
    passed=$((passed + 1))
}

kills=0
make_requests "$requests" >"$work/in.jsonl"
answer first -n 1 --max-batch 1
[ "$(wc -l <"$work/first.sorted")" = "$requests" ] || { echo "not ok: answers are missing"; exit 1; }
for workers in 1 2 4; do
    for batch in 1 4 32; do
        answer "w$workers-b$batch" -n $workers --max-batch $batch
        same "w$workers-b$batch"
    done
done
answer stream -n 2 --max-batch 8 --stream
same stream
joined_is_whole stream
killed worker mr-worker-0 3 -n 2 --max-batch 8
same worker
killed worker-stream mr-worker-1 3 -n 2 --max-batch 8 --stream
same worker-stream
joined_is_whole worker-stream
killed tokenizer mr-tokenizer 2 -n 2 --max-batch 8
same tokenizer
killed collector mr-collector 3 -n 2 --max-batch 8 --stream
same collector
joined_is_whole collector
echo "$requests requests, $kills kills, all equal"
echo "$passed passed, 0 failed"
