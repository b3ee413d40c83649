#!/usr/bin/env bash
# verify_worker_test.sh - `millrace verify-worker` tells good workers from those that vary with the batch and from
# those that break the protocol
set -eu
# shellcheck source=tests/examples/install.sh
. "$MILLRACE_TEST_DATA/examples/install.sh"
export TMPDIR=$work
passed=0

# expect STATUS PATTERN COMMAND... - what is said of a worker
expect() {
    local wanted=$1 pattern=$2 status=0
    shift 2
    "$MILLRACE_BUILD/millrace" verify-worker "$@" >"$work/said" 2>"$work/err" || status=$?
    [ $status = "$wanted" ] || { cat "$work/said"; fail "'$*' ended with $status, not $wanted"; }
    grep -qE -- "$pattern" "$work/said" "$work/err" || { cat "$work/said"; fail "nothing like '$pattern' was said"; }
    passed=$((passed + 1))
}

# build NAME FLAG... - the echo example, changed
build() {
    cp -r "$top/examples/echo-worker" "$work/$1"
    make -s -C "$work/$1" CFLAGS="$CFLAGS ${*:2}" || fail "the worker '$1' doesn't build"
}

install_package
build good -include "$top/tests/examples/slow.h"
build varies -DVARIES -include "$top/tests/examples/bad_worker.h"
build deaf -DDEAF -include "$top/tests/examples/bad_worker.h"
build stays -DSTAYS -include "$top/tests/examples/bad_worker.h"

expect 0 'is batch-invariant$' -m "$model" "$MILLRACE_BUILD/millrace-worker-llama"
expect 0 '^killed in the middle +ok, the same bytes$' -m "$model" --tokens 100 -- "$work/good/echo-worker" {}
expect 3 'many requests at once +ok, but other bytes: request .v[0-9]+. is the first' -m "$model" \
    "$work/varies/echo-worker" {}
expect 1 "doesn't leave when the group ends" -m "$model" "$work/deaf/echo-worker" {}
expect 1 "told to leave in the middle +FAILED: the worker doesn't leave when it is drained" -m "$model" --patience 1 \
    --tokens 100 "$work/stays/echo-worker" {}
expect 1 'ended with status 1 while there was work' -m "$model" false
expect 1 'made no step for 1 seconds' -m "$model" --patience 1 sh -c 'exec sleep 1000'
expect 2 'a model and the worker' "$work/good/echo-worker"
expect 2 "'--tokens' is 'x'" -m "$model" --tokens x true
# shellcheck disable=SC2046 # a word each
expect 2 'has 257 words, but may have at most 256' -m "$model" true $(seq 256)
expect 2 "can't be started" -m "$work/no-model.gguf" true
expect 0 'usage: millrace verify-worker' --help

# members_of PID - the processes of a verification, none of which need be its child any more
members_of() {
    grep -lzxs "VERIFICATION=$1" /proc/[0-9]*/environ | grep -oE '[0-9]+' || :
}

nobody_left() { # nobody_left ID
    [ -z "$(members_of "$1")" ]
}

# begin ID - a verification in a process group of its own, as a shell has its jobs, until its worker is at work
begin() {
    mkdir "$work/$1"
    set -m
    TMPDIR=$work/$1 VERIFICATION=$1 "$MILLRACE_BUILD/millrace" verify-worker -m "$model" --requests 1000 \
        --tokens 1000 "$work/good/echo-worker" {} >"$work/said" 2>"$work/err" &
    run=$!
    set +m
    until_true 20 worker_works "$1" || fail "no worker of '$1' is at work"
    domain=run-$(id -u)-$(pgrep -P $run -f ' run -m ')
}

worker_works() {
    [ -s "$work/$1"/*/alone.jsonl ]
}

for signal in INT TERM HUP; do
    begin "$signal"
    kill -$signal -- -$run
    status=0
    wait $run || status=$?
    [ $status = $((128 + $(kill -l $signal))) ] || fail "SIG$signal ended it with $status"
    nobody_left "$signal" || fail "SIG$signal left processes"
    [ ! -e "/dev/shm/millrace.$domain.data" ] || fail "SIG$signal left the domain '$domain'"
    rmdir "$work/$signal" || fail "SIG$signal left a folder"
    passed=$((passed + 1))
done

begin KILL
kill -KILL $run
wait $run 2>/dev/null || :
until_true 5 nobody_left KILL || fail "the kill of the verification left processes"
expect 1 'ended with status 1' -m "$model" false
[ ! -e "/dev/shm/millrace.$domain.data" ] || fail "what a kill left is not removed by the next start"
passed=$((passed + 1))
run=
echo "$passed passed, 0 failed"
