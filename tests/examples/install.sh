# install.sh - for tests that act as a stranger: the package, installed afresh below $work/root, and
# how programs and pkg-config find it. The test includes this file first.
#
# A group of strangers: start_group, wait_answers, stop_group.
top=$MILLRACE_TEST_DATA/..
model=$(echo "$top"/models/bundled/*.gguf)
work=$(mktemp -d)
name=stranger-$$
run=
strangers=
trap 'kill -9 $run $strangers 2>/dev/null || :; "$MILLRACE_BUILD/millrace" run --discard "$name" 2>/dev/null || :; rm -rf "$work"' EXIT

fail() {
    echo "not ok: $*"
    [ ! -s "$work/err" ] || cat "$work/err"
    exit 1
}

# A build with a sanitizer or with coverage needs their runtime in whatever it is linked into; one
# without shared libraries says so by what it installs.
install_package() {
    local extra lib
    make -s -C "$MILLRACE_BUILD" MAKEFLAGS= DESTDIR="$work/root" install >"$work/install.log" 2>&1 ||
        { cat "$work/install.log"; fail "make install failed"; }
    lib=$(dirname "$(find "$work/root" -name libmillrace.a)")
    PKG_CONFIG_PATH=$lib/pkgconfig
    PKG_CONFIG_SYSROOT_DIR=$work/root
    LD_LIBRARY_PATH=$lib
    extra=$(grep -oE -- '-fsanitize=[a-z,]+|--coverage' "$MILLRACE_BUILD/Makefile" | sort -u | tr '\n' ' ')
    LDFLAGS=$extra
    CFLAGS="-O2 -Wall -Wextra -Werror"
    PKG_CONFIG=pkg-config
    [ -e "$lib/libmillrace.so" ] || PKG_CONFIG="pkg-config --static"
    installed=$(dirname "$(find "$work/root" -name millrace -type f -perm -u+x)")
    export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR LD_LIBRARY_PATH LDFLAGS CFLAGS PKG_CONFIG
}

# until_true SECONDS COMMAND... - waits until it succeeds
until_true() {
    local left=$(($1 * 20))
    shift
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.05
    done
}

# start_group REQUESTS [OPTION...] - a group without workers of its own
start_group() {
    local requests=$1
    shift
    : >"$work/out"
    "$installed/millrace" run -m "$model" --workers 0 --name "$name" -o "$work/out" \
        --log-level info "$@" "$requests" 2>"$work/err" 3>&- &
    run=$!
    until_true 20 test -S "/dev/shm/millrace.$name.sock" || fail "the group didn't start"
}

answered() { # answered N - whether there are so many answers
    [ "$(wc -l <"$work/out")" -ge "$1" ]
}

end_group() { # the run's own end: all answered
    wait $run || fail "the run ended with $?"
    run=
}

# each_once N PATTERN - the answers are those of a1 to aN, once each, and all have PATTERN
each_once() {
    grep -o '"custom_id":"[^"]*"' "$work/out" | sort >"$work/ids"
    seq "$1" | sed 's/.*/"custom_id":"a&"/' | sort | cmp - "$work/ids" || fail "not each request was answered once"
    [ "$(grep -c "$2" "$work/out")" = "$1" ] || { head -c 600 "$work/out"; fail "an answer is not right"; }
}

# requests FROM TO TOKENS - completions a$FROM to a$TO
requests() {
    seq "$1" "$2" | sed 's|.*|{"custom_id": "a&", "method": "POST", "url": "/v1/completions", "body": {"prompt": "Once upon a time", "max_tokens": '"$3"', "ignore_eos": true}}|'
}
