#!/bin/sh
# What chooses the fuzzer's inputs by the lines that they reach; for x86-64 Linux.
set -eu
"$1" -c 'import atheris' 2> /dev/null || "$1" -m pip install --disable-pip-version-check -q atheris==3.0.0
