#!/usr/bin/env bash
# tutorial_test.sh - docs/tutorial-worker.md, command by command
set -eu
# shellcheck source=tests/examples/install.sh
. "$MILLRACE_TEST_DATA/examples/install.sh"
# shellcheck source=tests/examples/page.sh
. "$MILLRACE_TEST_DATA/examples/page.sh"
[ -e "$MILLRACE_BUILD/ipc/.libs/libmillrace.so" ] || { echo 'skipped: this build has no shared library'; exit 77; }
install_package
run_page "$top/docs/tutorial-worker.md"
grep -q 'is batch-invariant$' "$work/page.log" || fail "the tutorial's worker isn't batch-invariant"
echo '1 passed, 0 failed'
