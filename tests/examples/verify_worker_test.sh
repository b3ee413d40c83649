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

expect 0 'is batch-invariant$' -m "$model" "$MILLRACE_BUILD/millrace-worker-llama"
expect 0 '^killed in the middle +ok, the same bytes$' -m "$model" --tokens 100 -- "$work/good/echo-worker" {}
expect 3 'many requests at once +ok, but other bytes: request .v[0-9]+. is the first' -m "$model" \
    "$work/varies/echo-worker" {}
expect 1 "doesn't leave when the group ends" -m "$model" "$work/deaf/echo-worker" {}
expect 1 'ended with status 1 while there was work' -m "$model" false
expect 1 'made no step for 1 seconds' -m "$model" --patience 1 sh -c 'exec sleep 1000'
expect 2 'a model and the worker' "$work/good/echo-worker"
expect 2 "'--tokens' is 'x'" -m "$model" --tokens x true
expect 2 "can't be started" -m "$work/no-model.gguf" true
expect 0 'usage: millrace verify-worker' --help
! ls /dev/shm | grep "^millrace.verify-" || fail "a domain was left behind"
echo "$passed passed, 0 failed"
