#!/bin/sh
# probes_test.sh - the probes that docs/trace.md lists are in the programs, with as many arguments as
# it says, and no others
set -eu
page=$MILLRACE_TEST_DATA/../docs/trace.md
programs="$MILLRACE_BUILD/millrace $MILLRACE_BUILD/millrace-worker-llama"

command -v readelf >/dev/null || { echo "readelf is not installed"; exit 77; }
grep -q '^#define HAVE_SYS_SDT_H 1' "$MILLRACE_BUILD/config.h" ||
    { echo "this build has no probes: systemtap-sdt-dev is missing"; exit 77; }

# "lease 3": a row of the page's table, `lease` | `ordinal`, `slot`, `member` | ...
documented=$(sed -n 's/^| `\([a-z_]*\)` | \(`ordinal`[^|]*\) |.*/\1 \2/p' "$page" |
    awk '{ print $1, NF - 1 }' | sort)
# shellcheck disable=SC2086 # it is two words
present=$(readelf -n $programs | awk '
    $1 == "Provider:" { ours = $2 == "millrace" }
    ours && $1 == "Name:" { name = $2 }
    ours && $1 == "Arguments:" { print name, NF - 1 }' | sort -u)
[ -n "$documented" ] || { echo "docs/trace.md lists no probes"; exit 1; }
[ "$documented" = "$present" ] || { printf 'documented:\n%s\nin the programs:\n%s\n' "$documented" "$present"; exit 1; }
