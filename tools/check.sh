#!/bin/sh
# Runs every check, also when an earlier one has failed, and says which failed.
# Usage: VENV=.venv sh tools/check.sh
set -u
python=$VENV/bin/python
failed=

run() {
    title=$1
    shift
    printf '== %s\n' "$title"
    "$@" || failed="$failed $title;"
}

import_root=.build/import_root
mkdir -p "$import_root"
# mypy must see this folder under its package's name, whatever the clone is called.
ln -sfn "$PWD" "$import_root/thresher"

run 'ruff format' "$python" -m ruff format --check .
run 'ruff check' "$python" -m ruff check .
run 'mypy' env MYPYPATH="$import_root" "$python" -m mypy -p thresher
run 'layering' "$python" -m thresher.tools.layering
run 'BUILD files' "$python" -m thresher.tools.build_files --check

if [ -n "$failed" ]; then
    printf '\nFailed:%s\n' "$failed" >&2
    exit 1
fi
printf '\nAll checks passed.\n'
