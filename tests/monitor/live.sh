# live.sh - a running group for the shell tests of this folder, sourced by them
#
# After `live_start [OPTION...]` the domain $name has answered 20 requests with the bundled model and
# waits for more on descriptor 9; `live_end` ends it. The folder is the current one.

millrace=$MILLRACE_BUILD/millrace
name=monitor-$$

fail() {
    echo "$*"
    exit 1
}

# wait_for COMMAND... - until it succeeds, for a bounded time
wait_for() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || fail "in vain: $*"
        sleep 0.1
    done
}

ask() { # COUNT
    i=0
    while [ $i -lt "$1" ]; do
        asked=$((${asked:-0} + 1)) i=$((i + 1))
        echo "{\"custom_id\": \"secret-$asked\", \"method\": \"POST\", \"url\":" \
            "\"/v1/completions\", \"body\": {\"prompt\": \"One day a zebra\", \"max_tokens\": 20}}" >&9
    done
}

answered() { # COUNT
    [ -f out ] && [ "$(grep -c secret out)" -ge "$1" ]
}

live_start() { # [OPTION OF RUN...]
    folder=$(mktemp -d)
    cd "$folder"
    mkfifo in
    "$millrace" run -m "$MILLRACE_TEST_DATA/../models/bundled/millrace-stories.gguf" --name "$name" \
        -n 2 --threads 1 -o out "$@" in 2>said &
    run=$!
    exec 9>in
    trap 'kill -9 $run 2>/dev/null || true; rm -rf "$folder" /dev/shm/millrace.$name.*' EXIT
    ask 20
    wait_for answered 20
    sleep 1 # the supervisor looks four times a second
}

live_end() {
    exec 9>&-
    wait $run || { cat said; fail "the run failed"; }
    trap - EXIT
    rm -rf "$folder"
}
