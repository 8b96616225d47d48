#!/bin/sh
# Prove that this repository works as a Hugging Face Space, as far as that goes without one:
# an environment of what a Space's one solve gives, the fast tests on it, and the app as user 1000.
# usage: scripts/space_check.sh FOLDER   (of the environment; PYTHON=... chooses the interpreter)
set -eu
folder=$1
cd "$(dirname "$0")/.."
sdk=$(sed -n 's/^sdk_version: *//p' README.md)

# User 1000 has to be able to run it: a Python in somebody's home comes last.
PYTHON=${PYTHON:-"/usr/bin/python3.12 /usr/bin/python3.11 python3.11 python3.12"}
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
"$folder/bin/python" -m pytest -q -m "not swarm and not browser and not slow and not interop and not machines and not clients and not space"
