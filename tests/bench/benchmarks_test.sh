#!/usr/bin/env bash
# benchmarks_test.sh - the benchmarks still run to their end, if only for a moment
#
# Nothing is timed here; but a benchmark that nobody runs rots, and hop's flow is as hard on
# tokenizer, worker and collector as no test is: all slots turn over a thousand times a second.
set -eu
bench=$MILLRACE_BUILD/bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$MILLRACE_TEST_DATA/.."
passed=0

# runs NAME ROWS PROGRAM [OPTION...] - it ends well and prints at least so many rows with a figure
runs() {
    local name=$1 rows=$2 found
    "${@:3}" >"$work/out" 2>&1 || { cat "$work/out"; echo "$name: ended with an error"; exit 1; }
    found=$(grep -c '[0-9]\.[0-9]' "$work/out")
    [ "$found" -ge "$rows" ] || { cat "$work/out"; echo "$name: $found rows of $rows"; exit 1; }
    passed=$((passed + 1))
}

runs hop 12 "$bench/hop/hop" -r 1 -s 0.02 throughput trip safety
runs hop-serve 8 "$bench/hop/hop" -r 5 -s 0.1 serve
runs llama 4 "$bench/llama" models/bundled/millrace-stories.gguf
runs stats 4 "$bench/stats/stats"
runs recovery 3 "$bench/recovery/recovery" -r 1 -m models/bundled/millrace-stories.gguf
echo "$passed passed, 0 failed"
