#!/usr/bin/env bash
# formats_test.sh - docs/formats.md names each field, url, error code and kind that the program knows
set -eu
top=$MILLRACE_TEST_DATA/..
failed=0

words() { # words FILE REGULAR EXPRESSION - what stands in quotes on the lines that match
    grep -E "$2" "$top/$1" | grep -oE '"[^" ]+"' | tr -d '"' | sort -u
}

named() { # named WHAT WORD... - each must stand in backquotes, perhaps in quotes
    local what=$1 word
    shift
    [ $# -gt 3 ] || { echo "no ${what}s were found in the sources"; failed=$((failed + 1)); }
    for word; do
        grep -qE "\`\"?$word\"?\`" "$top/docs/formats.md" ||
            { echo "docs/formats.md doesn't name the $what '$word'"; failed=$((failed + 1)); }
    done
}

# shellcheck disable=SC2046 # none of these has a blank in it
{
    named field $(words runtime/tokenizer/parameter_names.c '^    \{"[a-z_]+", [A-Z |]+, [A-Z]+\},')
    named url $(words runtime/tokenizer/request.c '"/v1/[a-z/]+", ENDPOINT')
    named 'error code' $(words runtime/tokenizer/refusal.h '^#define REFUSAL_[A-Z_]+ +"')
    named kind $(words runtime/tokenizer/request.c '\[MR_KIND_[A-Z]+\] = "')
}
[ "$failed" = 0 ] && echo '1 passed, 0 failed' || { echo "0 passed, 1 failed"; exit 1; }
