#!/bin/sh
# python_test.sh - the reader of docs/stats.md, in 60 lines of another language, reads a living group
set -eu
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
reader=$MILLRACE_TEST_DATA/../docs/read_stats.py
. "$MILLRACE_TEST_DATA/monitor/live.sh"
[ "$(wc -l <"$reader")" -le 60 ] || fail "the reader has grown"
live_start
python3 -W error "$reader" "$name" >text || fail "the reader fails"
grep -qx 'requests_finished 20 requests' text || { cat text; fail "it counts wrongly"; }
grep -qx 'stage_waiting{stage=generate} 0 contexts' text || { cat text; fail "no stage"; }

# Its buckets are those of the library: the same ends, the same counts.
"$millrace" stat "$name" --json >json
python3 - json text <<'END' || fail "the buckets differ"
import json, re, sys
totals = json.load(open(sys.argv[1]))["totals"]
seen, row = {}, None
for line in open(sys.argv[2]):
    if match := re.match(r"  below (\d+): (\d+)$", line):
        seen[row].append([int(match[1]), int(match[2])])
    else:
        row = line.split()[0]
        seen[row] = []
for name in ("time_to_first_token", "end_to_end", "prompt_length", "queue_wait"):
    assert seen[name] and seen[name] == totals[name]["buckets"], (name, seen[name], totals[name])
END
live_end
