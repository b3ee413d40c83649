#!/bin/sh
# trace_test.sh - trace tells the way of requests of a living group, of those that a death was in the
# way of too, and a run leaves all of it in a file
set -eu
. "$MILLRACE_TEST_DATA/monitor/live.sh"
trace_file=trace.json
live_start --trace "$trace_file"

"$millrace" trace "$name" secret-7 >text || fail "trace"
in_order='^request .secret-7., record 7: text, [0-9]* prompt tokens, [0-9]* generated|accepted$|queued$'
in_order="$in_order|leased by mr-worker-[01], stage .generate.|done by mr-worker-[01] after [0-9]* commits|emitted"
grep -oE "$in_order" text | sed 's/ .*//' | tr '\n' ' ' >way
[ "$(cat way)" = "request accepted queued leased done emitted " ] || { cat text; fail "the way of one"; }
[ "$("$millrace" trace secret-7 2>&1 | head -n 1)" = "$(head -n 1 text)" ] ||
    "$millrace" trace secret-7 2>&1 | grep -q 'there are [0-9]* domains' || fail "the only domain"

"$millrace" trace "$name" secret-7 --json >json
[ "$(wc -l <json)" = 1 ] || fail "JSON isn't one line"
grep -q '"custom_id":"secret-7","record":7,.*"state":"ended"' json || { cat json; fail "JSON"; }

# Whose worker is killed is told.
total=20
attempts=0
until "$millrace" trace "$name" --chrome all.json && grep -q '"end":"taken back"' all.json; do
    attempts=$((attempts + 1))
    [ $attempts -lt 15 ] || fail "no worker was killed while it held a request"
    worker=$("$millrace" stat "$name" | sed -n 's/^mr-worker-0 *worker *process \([0-9]*\) .*/\1/p')
    ask 100
    [ -z "$worker" ] || kill -9 "$worker" 2>/dev/null || true
    ask 100
    total=$((total + 200))
    wait_for answered $total
done
victim=$(grep '"end":"taken back"' all.json | head -n 1 | sed 's/.*"name":"\(secret-[0-9]*\)".*/\1/')
"$millrace" trace "$name" "$victim" >text
grep -qE 'taken back from mr-worker-0, which died, after [0-9]+ commits$' text || { cat text; fail "a death"; }
[ "$(grep -c 'leased by' text)" = 2 ] || { cat text; fail "who went on with it"; }

"$millrace" trace "$name" --chrome - | head -c 20 | grep -q '^{"displayTimeUnit"' || fail "--chrome -"

status=0
said=$("$millrace" trace "$name" nobody 2>&1) || status=$?
case $status,$said in
2,*"there is no request 'nobody' in domain '$name'"*) ;;
*) fail "an unknown id: $status, $said" ;;
esac
[ "$(echo "$said" | wc -l)" = 1 ] || fail "an unknown id has several errors"
for wrong in "trace" "trace no-such-domain x" "trace a b c" "trace x --no-such-option" "trace --chrome" \
    "trace $name x --json --chrome y" "trace $name --chrome /no/such/folder/x"; do
    status=0
    "$millrace" $wrong >/dev/null 2>error </dev/null || status=$?
    [ $status = 2 ] && [ -s error ] || fail "'$wrong' ends with $status"
done
"$millrace" trace --help | grep -q '^usage: millrace trace' || fail "trace --help"

# Ids are for the owner of the domain alone.
! grep -qa secret "/dev/shm/millrace.$name.stats" || fail "an id is public"
[ "$(stat -c %a "/dev/shm/millrace.$name.data")" = 600 ] || fail "the data can be read by others"

exec 9>&-
wait $run || { cat said; fail "the run failed"; }
grep -q "\"name\":\"secret-$total\"" "$trace_file" || fail "the run left no trace"
[ "$(grep -c '"name":"thread_name"' "$trace_file")" = $total ] || fail "not each request is in the file"
trap - EXIT
rm -rf "$folder"

# A file that can't be written is told before the run.
status=0
said=$("$millrace" run -m "$MILLRACE_TEST_DATA/../models/bundled/millrace-stories.gguf" \
    --trace /no/such/folder/x /dev/null 2>&1) || status=$?
case $status,$said in
2,*"cannot write the trace '/no/such/folder/x'"*) ;;
*) fail "a trace that can't be written: $status, $said" ;;
esac
