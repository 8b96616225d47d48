#!/bin/sh
# Make a virtual environment with Petals 2.2.0.post1, from the package index alone.
# usage: scripts/make_petals_env.sh FOLDER   (PYTHON=... chooses the interpreter)
#
# All of Petals' own pins are met and no file of it is edited. What it takes to run it today:
#   - hivemind 1.1.10.post2 is a source distribution whose setup.py downloads a libp2p daemon from
#     GitHub; the daemon of hivemind 1.1.12's wheel speaks the same protocol and takes its place.
#     It also needs pkg_resources, which setuptools dropped.
#   - multiaddr 0.2 breaks every stream of that hivemind; 0.0.9 does not.
#   - hivemind imports two names that torch no longer exports; sitecustomize.py brings them back.
#   - tokenizers 0.13 has wheels up to Python 3.11: hence that very version of Python.
set -eu
folder=$1
python=${PYTHON:-python3.11}

if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; then
    echo "Petals 2.2 needs Python 3.11, and $python is none. Name one: make interop PYTHON=/path/to/python3.11" >&2
    exit 1
fi
PYTHON=$python "$(dirname "$0")/make_venv.sh" "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip() { "$folder/bin/python" -m pip "$@"; }
export PIP_DISABLE_PIP_VERSION_CHECK=1

cat >"$work/constraints.txt" <<'PINS'
bitsandbytes==0.41.1
hivemind==1.1.10.post2
multiaddr==0.0.9
numpy<2
peft==0.5.0
pydantic>=1.10,<2
torch==2.13.0
transformers==4.33.3
PINS

echo "Installing what builds hivemind 1.1.10.post2."
pip install -q 'setuptools<70' wheel grpcio-tools

echo "Building hivemind 1.1.10.post2 with the libp2p daemon of hivemind 1.1.12."
cd "$work"
pip download -q --no-deps --no-binary hivemind --no-build-isolation hivemind==1.1.10.post2
pip download -q --no-deps --only-binary :all: hivemind==1.1.12
"$folder/bin/python" - <<'MEND'
"""Unpack both; the daemon gets its place in the source, and its hash the one of the download."""

import hashlib
import re
import tarfile
import zipfile
from pathlib import Path

(sdist,) = Path().glob("hivemind-*.tar.gz")
(wheel,) = Path().glob("hivemind-*.whl")
with tarfile.open(sdist) as archive:
    archive.extractall("source", filter="data")
(source,) = Path("source").iterdir()
daemon = zipfile.ZipFile(wheel).read("hivemind/hivemind_cli/p2pd")
target = source / "hivemind" / "hivemind_cli" / "p2pd"
target.write_bytes(daemon)
target.chmod(0o755)
setup = source / "setup.py"
digest = hashlib.sha256(daemon).hexdigest()
setup.write_text(re.sub(r'"[0-9a-f]{64}"', f'"{digest}"', setup.read_text()))
MEND
pip wheel -q --no-deps --no-build-isolation -w wheels source/hivemind-*

echo "Installing Petals 2.2.0.post1 (a few minutes)."
pip install -q --prefer-binary --find-links wheels -c "$work/constraints.txt" petals==2.2.0.post1

site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cat >"$site/sitecustomize.py" <<'MEND'
"""Two names that hivemind 1.1.10 imports from torch.cuda.amp.grad_scaler, for torch that moved them.

Put in by scripts/make_petals_env.sh. Done on import, so that other programs do not pay for torch.
"""

import importlib.util
import sys

_NAME = "torch.cuda.amp.grad_scaler"


class _Mend:
    """Executes the module as its own loader does, then adds what is missing."""

    def find_spec(self, name, path=None, target=None):
        if name != _NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            from torch.amp import grad_scaler

            for missing in ("OptState", "_refresh_per_optimizer_state"):
                if not hasattr(module, missing):
                    setattr(module, missing, getattr(grad_scaler, missing))

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Mend())
MEND
"$folder/bin/python" -c 'import petals' >/dev/null 2>"$work/import.log" || {
    cat "$work/import.log" >&2
    echo "Petals was installed but cannot be imported (see above)." >&2
    exit 1
}
