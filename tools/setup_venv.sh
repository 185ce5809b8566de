#!/bin/sh
# Makes the virtual environment that every other `make` target runs in.
# Usage: tools/setup_venv.sh VENV [PYTHON]
set -eu
venv=$1
named=${2-}

# Preflight itself runs on any Python 3 that runs at all; a pyenv shim may not.
any=
for candidate in python3 "$named" python3.11 python3.10 python3.9 python; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 6))' \
        >/dev/null 2>&1; then
        any=$candidate
        break
    fi
done
if [ -z "$any" ]; then
    echo 'No Python found. Thresher needs CPython 3.9, 3.10 or 3.11' >&2
    echo '(Debian 12: apt-get install python3.11-venv; pyenv: pyenv install 3.11).' >&2
    exit 1
fi
python=$("$any" tools/preflight.py "$venv" "$named")

version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
wanted=$(version "$python")
if [ "$(version "$venv/bin/python" || true)" != "$wanted" ]; then
    echo "Creating $venv with $python (Python $wanted) …"
    "$python" -m venv --clear "$venv"
fi
echo "Installing Thresher and what it needs into $venv: about 3 minutes the first time …"
"$venv/bin/python" -m pip install --disable-pip-version-check --use-pep517 \
    -c constraints.txt -e '.[dev,logs]'
