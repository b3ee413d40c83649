#!/usr/bin/env bash
# man_test.sh - the manual: each page is sound roff, each public function has one, and what they
# show is true
set -eu
top=$MILLRACE_TEST_DATA/..
man3=$MILLRACE_BUILD/docs/man/man3
passed=0 failed=0 skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { # say passed|failed|skipped NAME [WHY]
    echo "$1: $2${3:+: $3}"
    eval "$1=\$(($1 + 1))"
}

pages() { # the pages that have text of their own
    ls "$top"/docs/man/*.[1-9] "$man3"/millrace-*.3
}

groff_finds_nothing_to_warn_of() {
    command -v groff >/dev/null || return 77
    local page said=""
    for page in $(pages); do
        said+=$(groff -man -ww -z -Tutf8 "$page" 2>&1 | sed "s,^,${page##*/}: ,")
    done
    [ -z "$said" ] || { echo "$said"; return 1; }
}

man_shows_each_page_without_a_warning() {
    command -v man >/dev/null && command -v groff >/dev/null || return 77
    local page said=""
    for page in $(pages); do
        said+=$(man --warnings -l "$page" 2>&1 >/dev/null | sed "s,^,${page##*/}: ,")
    done
    [ -z "$said" ] || { echo "$said"; return 1; }
}

mandoc_finds_nothing_to_warn_of() {
    command -v mandoc >/dev/null || return 77
    # shellcheck disable=SC2046 # pages have no blanks in their names
    mandoc -T lint -W warning $(pages)
}

functions() { # the public functions, as the library's symbol map has them
    grep -oE '^mr_[a-z0-9_]+' "$MILLRACE_BUILD/ipc/libmillrace.map"
}

man_finds_a_function_by_its_name() {
    command -v man >/dev/null && command -v groff >/dev/null || return 77
    man -M "$MILLRACE_BUILD/docs/man" 3 mr_worker_batch 2>&1 | tr -s ' \n' ' ' |
        grep -q 'All contexts that this worker now holds'
}

each_public_function_has_a_page_that_shows_it() {
    local name page status=0
    [ "$(functions | wc -l)" -gt 100 ] || { echo 'the symbol map is empty'; return 1; }
    for name in $(functions); do
        page=$(sed -n 's,^\.so man3/,,p' "$man3/$name.3") || page=
        grep -q "[ *]$name(" "$man3/${page:-none}" || { echo "no page shows $name()"; status=1; }
    done 2>/dev/null
    return $status
}

each_function_is_explained() { # below the heading of some and their declarations stands a text
    local page said
    said=$(for page in "$man3"/millrace-*.3; do
        awk '
            /^\.S[SH]/ { if (title != "" && !text) print FILENAME ": nothing explains " title
                         title = /\(\)/ ? substr($0, 5) : ""; text = code = 0; next }
            /^\.EX/ { code = 1 }
            /^\.EE/ { code = 0; next }
            !code && !/^\./ { text = 1 }' "$page"
    done)
    [ -z "$said" ] || { echo "$said"; return 1; }
}

each_header_has_a_page_that_the_overview_names() {
    local header name status=0
    for header in "$top"/ipc/include/millrace/*.h; do
        name=$(basename "$header" .h)
        [ "$name" != millrace ] || continue
        [ -s "$man3/millrace-$name.3" ] || { echo "$name.h has no page"; status=1; }
        grep -q "^millrace.-$name(3) " "$top/docs/man/millrace.7" ||
            { echo "millrace(7) doesn't name $name.h"; status=1; }
    done
    return $status
}

the_worker_of_the_overview_is_the_readme_s() {
    diff <(sed -n '/^```c$/,/^```$/p' "$top/README.md" | grep -v '^```') \
        <(sed -n '/^#include <errno.h>$/,/^\.EE$/p' "$top/docs/man/millrace.7" |
            sed -e '/^\.EE$/d' -e 's/\\-/-/g' -e 's/\\e/\\/g')
}

each_option_that_the_program_tells_of_is_in_its_page() {
    local verb option status=0
    sed 's/\\-/-/g' "$top/docs/man/millrace.1" >"$work/page"
    for verb in $("$MILLRACE_BUILD/millrace" help | sed -n '/^verbs/,$s/^  \([a-z-]*\) .*/\1/p'); do
        grep -qw "millrace $verb" "$work/page" ||
            { echo "millrace(1) doesn't name the verb $verb" >&2; status=1; }
        "$MILLRACE_BUILD/millrace" "$verb" --help
    done >"$work/help" || status=1
    for option in $(grep -ohE -- '--[a-z-]+' "$work/help" | sort -u); do
        grep -qwF -- "$option" "$work/page" ||
            { echo "millrace(1) doesn't name $option"; status=1; }
    done
    return $status
}

for name in groff_finds_nothing_to_warn_of man_shows_each_page_without_a_warning \
    mandoc_finds_nothing_to_warn_of man_finds_a_function_by_its_name \
    each_public_function_has_a_page_that_shows_it each_function_is_explained \
    each_header_has_a_page_that_the_overview_names the_worker_of_the_overview_is_the_readme_s \
    each_option_that_the_program_tells_of_is_in_its_page; do
    status=0
    $name || status=$?
    case $status in
    0) say passed $name ;;
    77) say skipped $name 'the program that judges it is not installed' ;;
    *) say failed $name ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
