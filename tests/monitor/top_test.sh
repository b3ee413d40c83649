#!/bin/sh
# top_test.sh - millrace top on a terminal of 80x24, on smaller ones, and by its keys
set -eu
command -v tmux >/dev/null || { echo "tmux is not installed"; exit 77; }
. "$MILLRACE_TEST_DATA/monitor/live.sh"
live_start
server=$name
tmux="tmux -L $server"
show() { $tmux capture-pane -p -t top >screen; }
shows() { show && grep -qE "$1" screen; }
stop_tmux() { $tmux kill-server 2>/dev/null || true; }
trap 'stop_tmux; kill -9 $run 2>/dev/null || true; rm -rf "$folder" /dev/shm/millrace.$name.*' EXIT

TERM=screen $tmux -f /dev/null new-session -d -s top -x 80 -y 24 \
    "$millrace top $name --every 200ms 2>error; echo \$? >status"
wait_for shows "domain '$name', living"
show
for line in '^requests  running 0, waiting 0, to emit 0; finished 20 ' '^memory    slots 0/64' \
    '^tokens/s  generated' '^stage=generate' '^time_to_first_token .* [um]?s .* 20$' \
    '^mr-worker-1 +[0-9]+ worker' '^millrace +[0-9]+ supervisor' '^q quit .*\[pid\]$'; do
    grep -qE "$line" screen || { cat screen; fail "'$line' is not shown"; }
done
[ "$(awk 'length > 80' screen | wc -l)" = 0 ] || fail "lines are too long"

order() { grep -oE '^(millrace|mr-[a-z]+(-[0-9])?) ' screen | tr -d '\n'; }
$tmux send-keys -t top n
wait_for shows '\[name\]$'
show
[ "$(order)" = "millrace mr-collector mr-tokenizer mr-worker-0 mr-worker-1 " ] ||
    { cat screen; fail "sorted by name: $(order)"; }
$tmux send-keys -t top r
wait_for shows '\[name, back\]$'
show
[ "$(order)" = "mr-worker-1 mr-worker-0 mr-tokenizer mr-collector millrace " ] ||
    { cat screen; fail "reversed: $(order)"; }

for size in "40 8" "10 2" "200 50" "1 1" "80 24"; do
    set -- $size
    $tmux resize-window -t top -x "$1" -y "$2"
    sleep 0.5
    [ ! -f status ] || { cat error; fail "top has ended at $size"; }
done
wait_for shows '^q quit'

ask 10
wait_for shows 'finished 30 '
kill -9 $run
wait_for shows "domain '$name', DEAD"
$tmux send-keys -t top q
wait_for test -f status
[ "$(cat status)" = 0 ] || { cat error; fail "top ends with $(cat status)"; }
