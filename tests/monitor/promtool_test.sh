#!/bin/sh
# promtool_test.sh - Prometheus' own checker has nothing against the metrics
set -eu
command -v promtool >/dev/null || { echo "promtool (Debian: prometheus) is not installed"; exit 77; }
. "$MILLRACE_TEST_DATA/monitor/live.sh"
live_start
"$millrace" metrics "$name" | promtool check metrics >found 2>&1 || { cat found; fail "promtool"; }
live_end
