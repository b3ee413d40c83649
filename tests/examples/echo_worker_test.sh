#!/usr/bin/env bash
# echo_worker_test.sh - a stranger's worker, built against the installed package alone, serves a group that
# has no worker of its own; strangers come, go and are killed under load, and nothing is lost
#
# It is the README's worker: their texts are compared.
set -eu
# shellcheck source=tests/examples/install.sh
. "$MILLRACE_TEST_DATA/examples/install.sh"

sed -n '/^```c$/,/^```$/p' "$top/README.md" | grep -v '^```' |
    cmp - "$top/examples/echo-worker/echo-worker.c" || fail "README.md shows another worker than examples/echo-worker"
install_package
cp -r "$top/examples/echo-worker" "$work/echo-worker"
make -s -C "$work/echo-worker" || fail "the example doesn't build against the installed package"
cp -r "$work/echo-worker" "$work/slow-worker"
make -s -B -C "$work/slow-worker" CFLAGS="$CFLAGS -include $top/tests/examples/slow.h" ||
    fail "the slow example doesn't build"

attach() { # attach echo|slow: starts a stranger; its process is $stranger
    "$work/$1-worker/echo-worker" "$name" 3>&- &
    stranger=$!
    strangers="$strangers $stranger"
}

joined() { # joined PID
    grep -q "process $1 joined as member" "$work/err"
}

# ---- a hundred requests, by one stranger
mkfifo "$work/in"
exec 3<>"$work/in"
start_group "$work/in" --slots 64
attach echo
requests 1 100 4 >&3
until_true 60 answered 100 || fail "a stranger didn't answer a hundred requests"
"$installed/millrace" drain "$name" $stranger >/dev/null || fail "a stranger can't be drained"

# ---- coming and going under load
attach slow
first=$stranger
requests 101 400 20 >&3 &
feeder=$!
for _ in 1 2 3 4 5; do
    attach slow
    until_true 20 joined $stranger || fail "a second stranger can't attach"
    "$installed/millrace" drain "$name" $stranger >/dev/null || fail "a stranger can't be drained"
    wait $stranger || fail "a drained stranger ended with $?"
done
wait $feeder
until_true 60 answered 400 || fail "requests were lost while strangers came and went"

# ---- killed in the middle: what it held is done by its successor
for i in 1 2 3 4 5; do
    requests $((381 + i * 20)) $((400 + i * 20)) 200 >&3
    until_true 20 answered $((381 + i * 20)) || fail "no answer came"
    kill -9 "$first"
    wait "$first" 2>/dev/null || :
    attach slow
    first=$stranger
    until_true 60 answered $((400 + i * 20)) || fail "requests were lost with a killed stranger"
done
exec 3>&-
end_group
[ "$(grep -c 'requests of a dead member were taken back' "$work/err")" = 5 ] ||
    fail "a stranger held no request when it was killed"
each_once 500 '"finish_reason":"length"'
[ "$(sed -n 's/.*"text":"\([^"]*\)".*/\1/p' "$work/out" | head -n 100 | sort -u)" = "Once upon a time" ] ||
    fail "an echo is another text"
echo '1 passed, 0 failed'
