"""The library of kernels: compiled at first use, kept in the user's cache.

The compiler is clang, out of the wheel ``ziglang``; the library is made for this very processor.
Nodes that start together make it once.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernels.c")
_FLAGS = (
    *("-O3", "-march=native", "-shared", "-fPIC"),
    "-ffp-contract=off",  # sums are rounded as written, whatever the compiler could fuse
    "-fno-math-errno",
    "-fno-sanitize=all",
    "-nostdlib",  # this process has the C library already
)
_COMPILE_SECONDS = 120.0  # it takes two


class CannotCompile(Exception):
    """Why there is no library here; a whole sentence."""


def kernels() -> ctypes.CDLL | None:
    """The library; None where it cannot be made, which is said once in the log."""
    found = _found()
    return found if isinstance(found, ctypes.CDLL) else None


def why_not() -> str:
    """The sentence that says why there is no library; empty when there is one."""
    found = _found()
    return found if isinstance(found, str) else ""


@cache
def _found() -> ctypes.CDLL | str:
    try:
        return _described(ctypes.CDLL(str(compiled())))
    except (CannotCompile, OSError) as error:
        sentence = f"The fast kernels are not used: {error}"
        logger.warning("%s", sentence)
        return sentence


def compiled(folder: Path | None = None) -> Path:
    """The library's file in ``folder`` (the user's cache), made if it is not there.

    Raises:
        CannotCompile: there is no compiler, it does not work here, or nowhere to keep the library.
    """
    with _compiler_names() as names, _kept_in(folder or _cache()) as kept:
        path = kept / f"kernels-{_key(names)}.so"
        if not path.is_file():
            _compile(path)
        return path


@contextlib.contextmanager
def _compiler_names() -> Iterator[str]:
    try:
        yield importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        raise CannotCompile(
            "the package ziglang, which brings the compiler, is not installed."
        ) from None


@contextlib.contextmanager
def _kept_in(folder: Path) -> Iterator[Path]:
    """The folder, for this process alone.

    Raises: CannotCompile.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():  # somebody else's code would run here
            raise CannotCompile(f"{folder} belongs to somebody else.")
        file = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotCompile(f"{folder} cannot be written ({error.strerror}).") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(file)


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "farmesh-chat" / "kernels"


def _key(compiler: str) -> str:
    """Changes with the source, the compiler, its flags and the processor."""
    parts = (compiler, " ".join(_FLAGS), _processor(), SOURCE.read_text("utf-8"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _processor() -> str:
    """What the compiler goes by: architecture, model and features."""
    told = {"model name", "flags", "Features", "CPU part"}
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    first = {line for line in lines if line.partition("\t")[0].strip() in told}
    return "\n".join([platform.machine(), *sorted(first)])


def _compile(path: Path) -> None:
    """Raises: CannotCompile."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        command = [sys.executable, "-m", "ziglang", "cc", *_FLAGS, "-o", str(made), str(SOURCE)]
        own = {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}
        try:
            done = subprocess.run(
                command,
                env=os.environ | own,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_COMPILE_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotCompile(f"the compiler does not run here ({error}).") from error
        if done.returncode:
            first = (done.stderr.strip() or "no reason given").splitlines()[0]
            raise CannotCompile(f"they do not compile here ({first}).")
        made.replace(path)


class CMatrix(ctypes.Structure):
    """``Matrix`` of kernels.c."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("outs", ctypes.c_int32),
        ("ins", ctypes.c_int32),
        ("flags", ctypes.c_int32),
    ]


class CBlock(ctypes.Structure):
    """``Block`` of kernels.c."""

    _fields_ = [
        *((name, CMatrix) for name in ("query", "key", "value", "output", "gate", "up", "down")),
        *((name, ctypes.c_void_p) for name in ("attention_norm", "mlp_norm")),
        *((name, ctypes.c_void_p) for name in ("query_norm", "key_norm", "keys", "values")),
        ("window", ctypes.c_int32),
        ("rotary", ctypes.c_int32),
    ]


class CShape(ctypes.Structure):
    """``Shape`` of kernels.c."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("hidden", "inner", "heads", "kv_heads", "head_dim")),
        *((name, ctypes.c_int32) for name in ("rotary_dim", "slots")),
        *((name, ctypes.c_float) for name in ("epsilon", "scaling")),
    ]


def _described(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library, with the types of its functions.

    Raises: CannotCompile when C and Python see different structures.
    """
    number, size, pointer = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p
    matrix, shape = ctypes.POINTER(CMatrix), ctypes.POINTER(CShape)
    for name, result, arguments in (
        ("fm_sizes", size, ()),
        ("fm_matrix_bytes", size, (number, number, number)),
        ("fm_pack", None, (number, number, number, pointer, pointer, pointer, pointer)),
        ("fm_rows", None, (matrix, pointer, number, pointer)),
        ("fm_linear", None, (matrix, pointer, number, pointer, pointer, number)),
        ("fm_linear_workspace", size, (matrix, number)),
        ("fm_blocks_workspace", size, (shape, number)),
        (
            "fm_blocks",
            None,
            (shape, pointer, number, pointer, number, *(pointer,) * 4, pointer, number),
        ),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    sizes = [ctypes.sizeof(kind) for kind in (CMatrix, CBlock, CShape)]
    if library.fm_sizes() != sizes[0] + 1000 * sizes[1] + 1000000 * sizes[2]:
        raise CannotCompile("the compiler lays out structures otherwise than Python expects.")
    return library
