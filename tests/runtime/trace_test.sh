#!/bin/sh
# trace_test.sh - after a request was tokenized, no byte of it passes through a socket or a pipe
#
# Two runs are traced, one of few requests and one of many. What goes through sockets and pipes in
# the group must be the same number of bytes in both (the members' joining and leaving), and the
# words of the requests must be seen in two calls only: the tokenizer's read of the input and the
# collector's write of the output. Plain calls are used, since strace doesn't see into io_uring.
set -eu

command -v strace >/dev/null || { echo "strace is not installed"; exit 77; }
strace -o /dev/null true 2>/dev/null || { echo "tracing is not allowed here"; exit 77; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

calls=read,write,readv,writev,pread64,pwrite64,preadv,pwritev,sendto,recvfrom,sendmsg,recvmsg
calls=$calls,sendmmsg,recvmmsg,splice,tee,vmsplice,sendfile

requests() { # COUNT
    i=0
    while [ $i -lt "$1" ]; do
        echo "{\"custom_id\": \"r$i\", \"method\": \"POST\", \"url\": \"/v1/completions\"," \
            "\"body\": {\"prompt\": \"zebra crossing\", \"max_tokens\": 8}}"
        i=$((i + 1))
    done
}

run() { # COUNT: traces a run with so many requests into trace.COUNT
    requests "$1" >in
    strace -ff -yy -s 100000 -o "trace.$1" \
        -e trace="$calls" \
        "$MILLRACE_BUILD/millrace" run -m "$MILLRACE_TEST_DATA/data/smollm2-16k.gguf" \
        --worker "$MILLRACE_BUILD/tests/runtime/echo_worker" -n 2 --no-io-uring -o out in \
        2>said || { cat said; exit 1; }
    [ "$(grep -c 'zebra crossing' out)" = "$1" ] || { echo "not all were answered"; exit 1; }
}

# bytes COUNT - that passed through sockets and pipes; stderr's are what the user is told
bytes() {
    cat "trace.$1".* | grep -E '\((0|1|[3-9]|[0-9][0-9]+)<(UNIX|TCP|UDP|socket:|pipe:)' |
        sed -n 's/.* = \([0-9][0-9]*\)$/\1/p' | awk '{ sum += $1 } END { print sum + 0 }'
}

run 10
run 300
few=$(bytes 10) many=$(bytes 300)
echo "$few bytes through sockets and pipes for 10 requests, $many for 300"
[ "$few" -gt 0 ] || { echo "the members' joining was not seen: the test sees too little"; exit 1; }
[ "$few" = "$many" ] || { echo "the requests pass through sockets or pipes"; exit 1; }

# Each call that carries the words: name and kind of descriptor.
seen=$(grep -h zebra trace.300.* | sed -E 's/^([a-z0-9]+)\([0-9]+<([^>]*)>.*/\1 \2/' | sort -u)
expected=$(printf 'pread64 %s/in\npwrite64 %s/out' "$folder" "$folder")
[ "$seen" = "$expected" ] || { echo "the words of the requests were seen in:"; echo "$seen"; exit 1; }
