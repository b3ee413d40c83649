# page.sh - runs a page of docs/ as its reader would; install.sh comes first
#
# Of a page, a block that opens with ```sh is run, and a block of another language that follows a line
# ending in "`NAME`:" is the text of the file NAME. All blocks run in their order, in one shell and one
# folder, which holds what a checkout does: dev, build, models, examples, python. `./dev build`, which
# came before the test, does nothing there.

page_script() { # page_script PAGE - the page as a shell script, on stdout
    awk '
        /^```/ && inside == "sh" { inside = ""; next }
        /^```/ && inside == "file" { print "END_OF_FILE"; inside = ""; next }
        /^```sh$/ { inside = "sh"; next }
        /^```[a-z]/ {
            if (!match(last, /`[^`]*`:$/)) { print "echo: a block is of no file; exit 1"; exit }
            print "cat >" substr(last, RSTART + 1, RLENGTH - 3) " <<\047END_OF_FILE\047"
            inside = "file"
            next
        }
        inside { print; next }
        NF { last = $0 }' "$1"
}

run_page() { # run_page PAGE - in $work/page
    mkdir "$work/page"
    for entry in models examples python docs; do
        ln -s "$top/$entry" "$work/page/$entry"
    done
    ln -s "$MILLRACE_BUILD" "$work/page/build"
    printf '#!/bin/sh\n' >"$work/page/dev"
    chmod +x "$work/page/dev"
    { echo 'trap "kill \$(jobs -p) 2>/dev/null || :" EXIT'; page_script "$1"; } >"$work/page.sh"
    grep -q 'millrace' "$work/page.sh" || fail "$1 has no commands"
    (cd "$work/page" && PATH=$installed:$PATH DESTDIR=$work/root timeout 120 bash -eux "$work/page.sh") \
        >"$work/page.log" 2>&1 || { tail -n 40 "$work/page.log"; fail "a command of $1 fails"; }
}
