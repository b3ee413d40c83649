#!/usr/bin/env bash
# older_worker_test.sh - a worker that was built with an older header, whose options end sooner, serves with this
# library
set -eu
# shellcheck source=tests/examples/install.sh
. "$MILLRACE_TEST_DATA/examples/install.sh"

install_package
include=$(find "$work/root" -name worker.h -path '*/millrace/*')
sed -i '/^    uint64_t token_capacity;/,/^    uint32_t kinds;/d' "$include"
grep -q '^    uint64_t model_fingerprint;' "$include" && ! grep -q '^    uint32_t kinds;' "$include" ||
    fail "the header was not made older"
cp -r "$top/examples/echo-worker" "$work/older"
printf '%s\n' '#include <millrace/worker.h>' \
    '_Static_assert(sizeof(mr_worker_options) == 40, "it has fewer options");' >"$work/older.h"
make -s -C "$work/older" CFLAGS="$CFLAGS -include $work/older.h" || fail "the older worker doesn't build"
requests 1 100 4 >"$work/in"
start_group "$work/in"
"$work/older/echo-worker" "$name" || fail "the older worker ended with $?"
end_group
each_once 100 '"finish_reason":"length"'
echo '1 passed, 0 failed'
