"""The compiled kernels: nothing of a file is lost, products are right, rows keep to themselves."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from farmesh.checkpoint.gguf_groups import groups_in, has_groups
from farmesh.kernels import compiling
from farmesh.kernels.compiling import CannotCompile, compiled, kernels
from farmesh.kernels.groups import Grouped, grouped
from farmesh.kernels.matrix import PackedMatrix, Workspace

OUTS, INS = 75, 160  # no whole number of tiles; five groups
CLOSE = 1e-4  # of a row's length: what 16 bits of an activation may lose


def weights(flavour: str, outs: int = OUTS, ins: int = INS) -> Grouped:
    """Random weights of each kind that the kernels know."""
    draw = np.random.default_rng(7)
    four = flavour.startswith("4")
    numbers = draw.integers(0 if four else -127, 16 if four else 128, (outs, ins)).astype(np.int8)
    wide = "wide" in flavour
    scales, minima = (
        draw.normal(0, 0.02, (outs, ins // 32)).astype(np.float32 if wide else np.float16)
        for _ in range(2)
    )
    return Grouped(
        numbers,
        scales.astype(np.float32),
        minima.astype(np.float32) if "minima" in flavour else None,
        bits=4 if four else 8,
        centered="centered" in flavour,
        wide=wide,
    )


FLAVOURS = ("8", "8 minima", "8 minima wide", "8 wide", "4 centered", "4 minima", "4 minima wide")


def library() -> Any:
    found = kernels()
    assert found is not None, compiling.why_not()
    return found


@pytest.mark.parametrize("kind", [kind for kind in Kind if has_groups(kind)])
def test_nothing_of_a_file_is_lost(kind: Kind) -> None:
    """Bug prevented: a nibble, a fifth bit or a scale of a GGUF format in the wrong place."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    draw = np.random.default_rng(3)
    # Small bytes, so that no float16 among them is NaN.
    raw = draw.integers(0, 60, (6, 2 * 256 // values * size), dtype=np.uint8)
    half = raw.reshape(-1, size)
    body = slice(16 if kind in (Kind.Q4_K, Kind.Q5_K) else 4, size)
    half[:, body] = draw.integers(0, 256, half[:, body].shape, dtype=np.uint8)
    found = groups_in(kind, raw, (6, 512))
    assert found is not None
    wanted = gguf.dequantize(raw, kind).reshape(6, 512)
    assert np.array_equal(found.floats(), wanted)
    packed = PackedMatrix(library(), found)
    assert np.array_equal(packed.rows(torch.arange(6)).numpy(), wanted)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_products(flavour: str) -> None:
    """Bug prevented: a tile, a remainder or a bias is left out; a row that others join changes."""
    torch.manual_seed(0)
    chosen, bias = weights(flavour), torch.randn(OUTS)
    matrix = PackedMatrix(library(), chosen, bias)
    x = torch.randn(70, INS) * torch.logspace(-3, 3, 70)[:, None]
    found = matrix.linear(x, Workspace(), 1)
    exact = x.double() @ torch.from_numpy(chosen.floats()).double().T + bias
    lengths = x.norm(dim=1) * np.linalg.norm(chosen.floats(), axis=1).max()
    assert ((found - exact).abs().max(dim=1).values / lengths).max() < CLOSE
    assert torch.equal(
        matrix.rows(torch.tensor([74, 0, 74])), torch.from_numpy(chosen.floats()[[74, 0, 74]])
    )
    with pytest.raises(IndexError):
        matrix.rows(torch.tensor([OUTS]))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_rows_keep_to_themselves(flavour: str, threads: int) -> None:
    """Bug prevented: somebody's outlier, infinity or mere presence changes another one's bits."""
    torch.manual_seed(1)
    matrix, workspace = PackedMatrix(library(), weights(flavour)), Workspace()
    row = torch.randn(1, INS)
    alone = matrix.linear(row, workspace, 1)
    bad = torch.randn(40, INS)
    bad[::3] *= 1e30
    bad[1::5, 7] = float("nan")
    bad[2::7, 9] = float("inf")
    for count in (2, 3, 4, 5, 8, 17, 32, 33, 40):
        for place in {0, count // 2, count - 1}:
            rows = bad[:count].clone()
            rows[place] = row
            assert torch.equal(matrix.linear(rows, workspace, threads)[place : place + 1], alone)


def test_zeros_and_what_is_no_number() -> None:
    """Bugs prevented: a division by zero in a group of zeros; NaN that comes out as a number, so
    that nobody notices a broken activation."""
    matrix = PackedMatrix(library(), weights("4 minima"))
    x = torch.zeros(4, INS)
    x[1, 3], x[2, 3] = float("nan"), float("-inf")
    found = matrix.linear(x, Workspace(), 1)
    assert torch.equal(found[0], torch.zeros(OUTS))
    assert torch.equal(found[3], torch.zeros(OUTS))
    assert not torch.isfinite(found[1]).any()
    assert not torch.isfinite(found[2]).any()


@pytest.mark.parametrize(("bits", "error"), [(8, 0.006), (4, 0.09)])
def test_rounding(bits: int, error: float) -> None:
    """Bug prevented: groups that are rounded worse than their bits allow."""
    draw = np.random.default_rng(5)
    floats = draw.normal(0, 1, (300, 64)).astype(np.float32)
    floats[17, 32:] = 0
    made = grouped(floats, bits)
    found = made.floats()
    assert np.linalg.norm(found - floats) < error * np.linalg.norm(floats)
    assert not found[17, 32:].any()
    if bits == 8:  # what was rounded once stays
        assert np.array_equal(grouped(found, 8).floats(), found)


def test_the_library_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: every process compiles, or one loads what was made for another source."""
    first = compiled(tmp_path)
    made = first.stat().st_mtime_ns
    assert compiled(tmp_path) == first
    assert first.stat().st_mtime_ns == made
    changed = tmp_path / "kernels.c"
    changed.write_text(compiling.SOURCE.read_text() + "\n")
    monkeypatch.setattr(compiling, "SOURCE", changed)
    assert compiled(tmp_path) != first


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: a machine without the compiler, or with a broken one, starts no node."""
    broken = tmp_path / "kernels.c"
    broken.write_text("this is no C")
    monkeypatch.setattr(compiling, "SOURCE", broken)
    with pytest.raises(CannotCompile, match="do not compile here"):
        compiled(tmp_path)

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(CannotCompile, match="ziglang"):
        compiled(tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.undo()
    with pytest.raises(CannotCompile, match="cannot be written"):
        compiled(tmp_path / "file" / "folder")
