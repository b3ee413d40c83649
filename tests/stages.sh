# stages.sh - the stages of ./dev check, each a function stage_NAME
#
# `dev` reads this file and runs each stage in a process of its own: 0 is passed, 77 skipped
# (what it checks isn't there), anything else failed. A stage that runs tests prints their
# tally as its last line.

# tally DIR - sums the results of the tests that ran in DIR; a Check program counts as its cases
tally() {
    find "$1/tests" -name '*.trs' | while read -r trs; do
        grep -hE '^[0-9]+%: Checks: ' "${trs%.trs}.log" || true
        grep -hE '^:global-test-result: ' "$trs" || true
    done | awk '
        /Checks:/ { gsub(/[^0-9 ]/, ""); cases += $2; bad += $3 + $4; next }
        { if ($2 == "SKIP") skipped++
          else if (!cases) $2 == "PASS" ? passed++ : failed++
          else { passed += cases - bad; failed += bad + ($2 != "PASS" && !bad) }
          cases = bad = 0 }
        END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }'
}

# test_in DIR TARGET [WRAPPER] - runs the tests of TARGET in DIR and prints their tally last.
# Where most of a test's time is waiting, TEST_JOBS is more than there are cores.
test_in() {
    local status=0
    mkdir -p "$1/tests"
    find "$1/tests" -name '*.trs' -delete
    ${3-} make -C "$1" -s -j "${TEST_JOBS-$JOBS}" "$2" VERBOSE=1 || status=$?
    tally "$1"
    return $status
}

sources() { # sources - all C files of the project
    find ipc runtime workers models bench tests -name '*.[ch]'
}

INSTALLED="ipc runtime workers models" # the linters' field: what users run

stage_format() { # clang-format agrees with each file
    need lint
    sources | xargs clang-format-14 --dry-run -Werror
}

stage_house() { # the rules of the house: layers, flags, no path of one's own machine
    local status=0 folder may
    while read -r folder may; do
        ! grep -rnE --include='*.[ch]' '^ *# *include "' "$folder" | grep -vE "include \"(($may)/|config\.h\")" ||
            { echo "$folder/ may include only $may/ and <millrace/...>"; status=1; }
    done <<'END'
ipc ipc
models models
workers workers|models
runtime runtime|models
END
    ! grep -rnE --include=local.am '_CFLAGS *=' . | grep -vE 'AM_CFLAGS|= \$\([A-Za-z_]+\)$' ||
        { echo 'a target with CFLAGS of its own must repeat $(AM_CFLAGS)'; status=1; }
    ! git grep -nIE '/(home|root|work|Users)/[a-z]' ||
        { echo "a path of somebody's own machine is no use to others"; status=1; }
    return $status
}

stage_gcc() { # gcc: all tests
    local TEST_JOBS=$((JOBS * 2))
    need build bench
    build_in build all
    test_in build check
}

stage_clang() { # clang: all programs, and the tests that take no time; gcc runs the others
    need build check
    build_in build/check/clang all CC=clang-14 --disable-shared
    test_in build/check/clang check-quick
}

# Warnings are stage_gcc's and stage_clang's: in the builds below none is an error, as a compiler
# guesses wildly about code that a sanitizer filled up.

stage_sanitize() { # address and undefined-behaviour sanitizers: all tests
    local TEST_JOBS=$((JOBS * 2))
    need build
    # Watching scopes too would take minutes on the kernels, which are written out in full.
    build_in build/check/sanitize all --enable-sanitizer=address,undefined --disable-shared \
        --disable-werror CFLAGS='-g -O1 -fno-sanitize-address-use-after-scope'
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
    export UBSAN_OPTIONS=print_stacktrace=1 CK_TIMEOUT_MULTIPLIER=10
    export MILLRACE_SECCOMP=off # the leak sanitizer traces its own process
    test_in build/check/sanitize check
}

# The thread sanitizer knows no fences; all that ours order is atomic, which it never calls a race.
# It is silent in a forked child, and knows only the older, smaller range of random addresses.
with_threads() {
    local fixed=""
    ! setarch -R true 2>/dev/null || fixed="setarch -R"
    CK_FORK=no CK_TIMEOUT_MULTIPLIER=20 $fixed "$@"
}

stage_threads() { # thread sanitizer: the tests whose members are threads
    local dir=build/check/threads
    need build check
    build_in $dir config.h CC=clang-14 --enable-sanitizer=thread --disable-shared \
        --disable-werror CFLAGS='-g -O1'
    test_in $dir check-threads with_threads
}

stage_mutant() { # planted mistakes: each must be found, by the thread sanitizer or by a kill
    local dir=build/check/mutant
    need build check
    build_in $dir tests/ipc/commit_race_test CC=clang-14 --enable-sanitizer=thread --disable-shared \
        --disable-werror CFLAGS='-g -O1 -DMR_COMMIT_ORDER=memory_order_relaxed'
    ! with_threads $dir/tests/ipc/commit_race_test >$dir/out 2>&1 &&
        grep -q 'ThreadSanitizer: data race' $dir/out &&
        build_in build all && tests/ipc/kill/try_mutants build $dir/kills
}

stage_valgrind() { # valgrind: the quick tests
    need build check
    build_in build all
    export CK_TIMEOUT_MULTIPLIER=50
    test_in build check-valgrind
}

stage_abi() { # what programs that were built with the interface on record may count on is still there
    local so=build/ipc/.libs/libmillrace.so
    need build check
    command -v abidiff >/dev/null && [ "$(uname -m)" = x86_64 ] || return 77
    build_in build all
    tests/abi/compare $so
    # and it does find what is gone
    sed 's/mr_version/mr_gone/g' tests/abi/libmillrace.abi >build/check/gone.abi
    ! tests/abi/compare $so build/check/gone.abi >build/check/gone.out && grep -q 'D.*mr_gone' build/check/gone.out
}

stage_cppcheck() { # cppcheck, on what is installed; its guesses at unset variables are too wild
    need lint
    cppcheck -q -j "$JOBS" --std=c11 --enable=warning,performance,portability \
        --suppress=uninitvar --error-exitcode=1 -I . -I ipc/include -D_GNU_SOURCE $INSTALLED
}

stage_tidy() { # clang-tidy, on what is installed; its findings at the end, without the reasons
    local out=build/check/tidy.out flags
    need build lint
    build_in build config.h
    flags='-std=c17 -D_GNU_SOURCE -DPKGLIBEXECDIR="" -I. -Iipc/include -Ibuild'
    find $INSTALLED -name '*.c' | xargs -P "$JOBS" -n 4 \
        sh -c 'clang-tidy-14 --quiet "$@" -- $0 2>/dev/null' "$flags" >$out ||
        { cat $out; grep -F ': error: ' $out | sort -u; return 1; }
}

stage_spin() { # Spin: the protocols' models, small sizes
    need build check
    [ -x tests/model/run ] || return 77
    tests/model/run quick
}

stage_fuzz() { # a few seconds of each fuzzer
    need build check
    do_fuzz all 10
}

stage_dist() { # the tarball holds all that a build needs, and installs
    need build check
    build_in build all
    make -C build -s -j "$JOBS" distcheck TESTS= DISTCHECK_CONFIGURE_FLAGS=--enable-werror
}

STAGES="format house gcc clang sanitize threads mutant valgrind abi cppcheck tidy spin fuzz dist"

