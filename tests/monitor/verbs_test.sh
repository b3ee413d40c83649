#!/bin/sh
# verbs_test.sh - ls, stat and metrics tell the truth about a living group, and then about its end
set -eu
. "$MILLRACE_TEST_DATA/monitor/live.sh"
live_start

"$millrace" ls >list
grep -qE "^$name +living +$run +4 +0/64 +0:0[0-9]|^$name +living" list || { cat list; fail "ls"; }

"$millrace" stat "$name" >text
grep -qE '^requests_finished +20 requests' text || { cat text; fail "stat counts wrongly"; }
grep -qE '^time_to_first_token +20 times; mean ' text || { cat text; fail "no first tokens"; }
grep -qE '^end_to_end +20 times; ' text || { cat text; fail "no whole latencies"; }
grep -qE '^inter_token_latency +[1-9]' text || { cat text; fail "no latencies between tokens"; }
grep -qE "^mr-worker-1 +worker +process [0-9]+" text || { cat text; fail "no members"; }

"$millrace" stat "$name" --json >json
[ "$(wc -l <json)" = 1 ] || fail "JSON isn't one line"
: >lines
"$millrace" stat "$name" --json --watch 100ms >>lines &
watcher=$!
several() { [ "$(wc -l <lines)" -ge 3 ]; }
wait_for several
kill $watcher

"$millrace" metrics "$name" >metrics
grep -q "^millrace_requests_finished_total{domain=\"$name\"} 20\$" metrics || fail "metrics"
grep -q "^millrace_time_to_first_token_seconds_count{domain=\"$name\"} 20\$" metrics || fail "first"
grep -q "^millrace_e2e_request_latency_seconds_bucket{domain=\"$name\",le=\"+Inf\"} 20\$" metrics ||
    fail "buckets"
grep -q "^millrace_stage_waiting{domain=\"$name\",stage=\"generate\"} 0\$" metrics || fail "stage"
grep -q "^millrace_members{domain=\"$name\",role=\"worker\"} 2\$" metrics || fail "members"

# Anybody may read these: no id and no text of a request.
cat text json metrics list "/dev/shm/millrace.$name.stats" >public
! grep -qaE 'secret|zebra' public || fail "a request's id or text is public"

# A worker is killed: no counter goes back.
kill -9 "$(sed -n 's/^mr-worker-0 *worker *process \([0-9]*\) .*/\1/p' text)"
ask 20
wait_for answered 40
restarted() { "$millrace" stat "$name" | grep -qE '^restarts +1 '; }
wait_for restarted
"$millrace" metrics "$name" >later
awk '/_total|_count|_bucket/ && $1 !~ /^#/ {
    if (FNR == NR) before[$1] = $2
    else if ($2 < before[$1]) { print "back:", $1, before[$1], $2; bad = 1 } }
    END { exit bad }' metrics later || fail "a counter went backwards"

for wrong in "stat no-such-domain" "stat a b" "stat --watch 1y" "metrics no-such-domain" \
    "metrics $name --listen nowhere" "top $name" "ls more" "stat --no-such-option"; do
    status=0
    "$millrace" $wrong >/dev/null 2>error </dev/null || status=$?
    [ $status = 2 ] && [ -s error ] || fail "'$wrong' ends with $status"
done
for verb in ls stat metrics top; do
    "$millrace" $verb --help | grep -q "^usage: millrace $verb" || fail "$verb --help"
done

live_end
status=0
said=$("$millrace" stat "$name" 2>&1) || status=$?
case $status,$said in
*"no domain of that name") ;;
*) fail "the end isn't seen: $status, $said" ;;
esac
[ $status = 2 ]
