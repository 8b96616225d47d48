#!/bin/sh
# Prove that this repository works as a Hugging Face Space, as far as that goes without one:
# an environment of what a Space's one solve gives, the app as user 1000, the fast tests.
# usage: scripts/space_check.sh FOLDER TESTS   (of the environment; which tests are the fast ones)
set -eu
folder=$1 tests=$2
cd "$(dirname "$0")/.."
told() { sed -n "s/^$1: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" README.md; }  # by the front matter
sdk=$(told sdk_version) python=python$(told python_version)

# User 1000 has to be able to run it: a Python in somebody's home comes last.
PYTHON=${PYTHON:-"/usr/bin/$python /usr/local/bin/$python $python"}
[ -x "$folder/bin/python" ] || PYTHON=$PYTHON scripts/make_venv.sh "$folder"
pip() { "$folder/bin/python" -m pip --disable-pip-version-check "$@"; }

if ! [ "$folder/.installed" -nt requirements.txt ] || ! [ "$folder/.installed" -nt requirements-dev.txt ]; then
    echo "Installing as a Space does (a few minutes)."
    pip install -q --prefer-binary -r requirements.txt "gradio[oauth,mcp]==$sdk" \
        "uvicorn>=0.14.0" "websockets>=10.4" spaces
    pip freeze > "$folder/space.txt"
    # What the tests need comes on top and changes nothing of it.
    pip install -q --prefer-binary -r requirements-dev.txt -c "$folder/space.txt"
    touch "$folder/.installed"
fi
"$folder/bin/python" -m pytest -q -m space tests/space
OMP_NUM_THREADS=1 "$folder/bin/python" -m pytest -q -n 2 --dist worksteal -m "$tests"
