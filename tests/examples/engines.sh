#!/usr/bin/env bash
# engines.sh - the examples that host an engine, each built against the installed package, serve a hundred
# requests by themselves and beside a worker of the group's own
#
# Usage: engines.sh [llamacpp] [torch]     (both by default; called by ./dev check-engines)
# What they need lies below build/engines, and is fetched on the first run. An engine that can't be had is
# skipped, visibly.
set -eu
cd "$(dirname "$0")/../.."
MILLRACE_TEST_DATA=$PWD/tests MILLRACE_BUILD=$PWD/build
engines=$MILLRACE_BUILD/engines
# shellcheck source=tests/examples/install.sh
. tests/examples/install.sh
mkdir -p "$engines"
passed=0 skipped=0

pass() {
    echo "ok: $*"
    passed=$((passed + 1))
}

skip() {
    echo "skipped: $*"
    skipped=$((skipped + 1))
}

mixed_requests() { # every second one is drawn, the others are greedy
    jq -nc 'range(1; 101) as $i | {custom_id: "a\($i)", method: "POST", url: "/v1/completions",
        body: {prompt: (["Once upon a time", "Tom was a shy boy.", "The moon is"][$i % 3]),
               max_tokens: (4 + $i % 13), ignore_eos: true,
               temperature: (if $i % 2 == 0 then 0.8 else 0 end), seed: $i}}'
}

texts() { # texts FILE - custom id and text, sorted
    jq -r '[.custom_id, .response.body.choices[0].text] | @tsv' "$1" | sort
}

# serve COMMAND... - a hundred requests by the stranger alone, then beside an own worker
serve() {
    start_group "$work/requests"
    "$@" --attach "$name" --model "$model" &
    strangers="$strangers $!"
    end_group
    each_once 100 '"finish_reason":"length"'
    cp "$work/out" "$work/alone"
    : >"$work/out"
    "$MILLRACE_BUILD/millrace" run -m "$model" --workers 1 --max-batch 1 --name "$name" -o "$work/out" \
        --log-level info "$work/requests" 2>"$work/err" &
    run=$!
    until_true 20 test -S "/dev/shm/millrace.$name.sock" || fail "the group didn't start"
    "$@" --attach "$name" --model "$model" 2>/dev/null &
    strangers="$strangers $!"
    end_group
    each_once 100 '"finish_reason":"length"'
}

check_llamacpp() {
    local llama=$engines/llama
    if ! pkg-config --exists llama; then
        "$top/examples/llamacpp-worker/get-llama" "$llama" >"$engines/llama.log" 2>&1 ||
            { skip "llama.cpp's library can't be built here; see build/engines/llama.log"; return 0; }
        export PKG_CONFIG_PATH=$PKG_CONFIG_PATH:$llama/lib/pkgconfig
    fi
    cp -r "$top/examples/llamacpp-worker" "$work/llamacpp-worker"
    make -s -C "$work/llamacpp-worker" ||
        fail "llamacpp-worker doesn't build against the installed packages"
    serve "$work/llamacpp-worker/llamacpp-worker"
    pass "llamacpp-worker answered a hundred requests, alone and beside an own worker"
    [ -x "$llama/bin/llama-simple" ] || return 0
    same_as_llamacpp "$llama/bin/llama-simple"
}

# Greedy, one at a time: the text is that of llama.cpp's own program.
same_as_llamacpp() {
    local prompt
    for prompt in "Once upon a time" "Tom was a shy boy." "The moon is"; do
        jq -nc --arg prompt "$prompt" '{custom_id: "a1", method: "POST", url: "/v1/completions",
            body: {prompt: $prompt, max_tokens: 24, temperature: 0, echo: true}}' >"$work/one"
        start_group "$work/one"
        "$work/llamacpp-worker/llamacpp-worker" --attach "$name" --model "$model" --max-batch 1 &
        strangers="$strangers $!"
        end_group
        "$1" -m "$model" -n 24 "$prompt" 2>/dev/null | sed 's/<s>//; s/<\/s>//' | tr -d '\n ' >"$work/theirs"
        jq -rj '.response.body.choices[0].text' "$work/out" | tr -d '\n ' >"$work/ours"
        [ -s "$work/ours" ] && cmp -s "$work/ours" "$work/theirs" ||
            { cat "$work/ours"; echo; cat "$work/theirs"; echo; fail "llama.cpp's own program says something else"; }
    done
    pass "its greedy texts are those of llama.cpp's own program"
}

check_torch() {
    local venv=$engines/torch
    /usr/bin/python3 -c 'import torch, numpy' 2>/dev/null ||
        { skip "python3 has no torch or no numpy"; return 0; }
    if [ ! -e "$venv/ready" ]; then
        { /usr/bin/python3 -m venv --system-site-packages "$venv" &&
            "$venv/bin/pip" install -q --disable-pip-version-check \
                -r "$top/examples/torch-worker/requirements.txt" && touch "$venv/ready"; } \
            >"$engines/torch.log" 2>&1 ||
            { skip "transformers can't be installed here; see build/engines/torch.log"; return 0; }
    fi
    export MILLRACE_LIBRARY=$LD_LIBRARY_PATH/libmillrace.so.0 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$top/python/src
    printf '#!/bin/sh\nexec "%s" "%s" "$@" 2>>"%s"\n' "$venv/bin/python" \
        "$top/examples/torch-worker/torch_worker.py" "$engines/torch-worker.log" >"$work/torch-worker"
    chmod +x "$work/torch-worker"
    serve "$work/torch-worker"
    pass "torch-worker answered a hundred requests, alone and beside an own worker"
    # the arithmetic differs in the last bits only: the texts are the own worker's
    "$MILLRACE_BUILD/millrace" run -m "$model" -n 1 -o "$work/own" "$work/requests" 2>/dev/null
    [ "$(comm -12 <(texts "$work/alone") <(texts "$work/own") | wc -l)" -ge 95 ] ||
        fail "torch-worker's texts aren't those of the own worker"
    pass "its texts, greedy and drawn, are those of the own worker"
}

install_package
mixed_requests >"$work/requests"
for engine in ${@:-llamacpp torch}; do
    declare -F "check_$engine" >/dev/null || fail "no engine '$engine'; there are llamacpp and torch"
    "check_$engine"
done
echo "$passed passed, 0 failed, $skipped skipped"
