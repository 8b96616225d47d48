#!/bin/sh
# Make a virtual environment with the first Python on PATH that is new enough.
# usage: scripts/make_venv.sh FOLDER   (PYTHON=... chooses the interpreter)
set -eu
folder=$1

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

for python in ${PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
    if new_enough "$python"; then
        if ! "$python" -m venv "$folder"; then
            rm -rf "$folder"
            echo "$python cannot make a virtual environment (see above). On Debian and Ubuntu:" \
                "apt-get install python3-venv" >&2
            exit 1
        fi
        exit 0
    fi
done
echo "FarMesh Chat needs Python 3.11 or newer, and none of these is one: ${PYTHON:-python3.11" \
    "python3.12 python3.13 python3 python}. Install it, or name it: make run PYTHON=/path/to/python3.11" >&2
exit 1
