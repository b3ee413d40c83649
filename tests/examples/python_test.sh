#!/usr/bin/env bash
# python_test.sh - the package for Python, installed by pip where that is possible without a network: its own
# tests, and docs/python.md command by command
set -eu
# shellcheck source=tests/examples/install.sh
. "$MILLRACE_TEST_DATA/examples/install.sh"
# shellcheck source=tests/examples/page.sh
. "$MILLRACE_TEST_DATA/examples/page.sh"

# The first that has NumPy, else the first.
python=
for candidate in python3 /usr/bin/python3; do
    command -v $candidate >/dev/null && $candidate -c 'import sys; sys.exit(sys.version_info < (3, 9))' || continue
    python=${python:-$candidate}
    ! $candidate -c 'import numpy' 2>/dev/null || { python=$candidate; break; }
done
[ -n "$python" ] || { echo 'skipped: python3 is missing: apt-get install python3'; exit 77; }
[ -e "$MILLRACE_BUILD/ipc/.libs/libmillrace.so" ] || { echo 'skipped: this build has no shared library'; exit 77; }
install_package
MILLRACE_LIBRARY=$LD_LIBRARY_PATH/libmillrace.so.0
cp -r "$top/python" "$work/python"
chmod -R u+w "$work/python"
if $python -c 'import setuptools as s, pip, wheel; assert int(s.__version__.split(".")[0]) >= 61' 2>/dev/null; then
    $python -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-index \
        --no-build-isolation --no-deps --target "$work/site" "$work/python" || fail "pip can't install the package"
    [ -e "$work/site/millrace/py.typed" ] || fail "the installed package has no types"
    PYTHONPATH=$work/site
else
    echo 'pip, wheel or setuptools is missing: the package is tested uninstalled'
    PYTHONPATH=$work/python/src
fi
MILLRACE_PROGRAM=$installed/millrace
MILLRACE_MODEL=$model
export MILLRACE_LIBRARY MILLRACE_PROGRAM MILLRACE_MODEL PYTHONPATH PYTHONDONTWRITEBYTECODE=1
(cd "$work/python/tests" && $python -m unittest test_worker test_kinds 2>"$work/unittest") ||
    { cat "$work/unittest"; fail "a test of the package"; }
tail -n 3 "$work/unittest"
$python -c 'import numpy' 2>/dev/null || { echo 'skipped in part: numpy is missing: apt-get install python3-numpy'; exit 77; }
mkdir "$work/bin"
ln -s "$(command -v $python)" "$work/bin/python3"
PATH=$work/bin:$PATH run_page "$top/docs/python.md"
echo '2 passed, 0 failed'
