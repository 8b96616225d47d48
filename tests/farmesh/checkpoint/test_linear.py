"""Packed linear layers and the choice of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from farmesh.checkpoint.linear import PackedLinear, TallLinear, pack_linears, packed_linear
from farmesh.node import threads
from farmesh.node.threads import ROWS, ThreadPlan, alone_on_this_machine, choices, plan_threads
from tests.support.waiting import PATIENCE, wait_until


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 16, 300])
@pytest.mark.parametrize("bias", [False, True])
@torch.inference_mode()
def test_a_packed_layer_computes_the_same(dtype: torch.dtype, rows: int, bias: bool) -> None:
    """Prevents other text from a faster kernel: only the order of summation may differ."""
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN has no bfloat16 on this CPU; layers stay as they are")
    torch.manual_seed(rows)
    linear = torch.nn.Linear(768, 1024, bias=bias, dtype=dtype)
    packed = packed_linear(linear)
    assert isinstance(packed, PackedLinear)  # this torch offers the operation
    given = torch.randn(1, rows, 768, dtype=dtype)
    wanted, found = linear(given).float(), packed(given).float()
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, atol=1e-5 if dtype == torch.float32 else 2e-2, rtol=0)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_tall_layer_computes_the_same(rows: int) -> None:
    """Prevents other text from a large vocabulary whose weight is not kept twice."""
    torch.manual_seed(rows)
    weight, given = torch.randn(4096, 64), torch.randn(rows, 64)
    found = TallLinear(weight)(given)
    assert found.is_contiguous()
    torch.testing.assert_close(found, given @ weight.T, atol=1e-4, rtol=0)


def test_only_what_gains_is_packed() -> None:
    """Prevents slower small layers, and subclasses that compute something else."""

    class Doubling(torch.nn.Linear):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(rows)

    module = torch.nn.Sequential(
        torch.nn.Linear(64, 64),
        Doubling(1024, 1024),
        torch.nn.Sequential(torch.nn.Linear(1024, 1024)),
    )
    pack_linears(module)
    assert type(module[0]) is torch.nn.Linear
    assert type(module[1]) is Doubling
    assert type(module[2][0]) is PackedLinear


def test_a_kernel_that_answers_wrongly_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents nonsense from an operation of torch's inside that changed its meaning."""
    monkeypatch.setattr(PackedLinear, "forward", lambda self, rows: torch.zeros(4, 1024))
    assert packed_linear(torch.nn.Linear(1024, 1024)) is None


def test_threads_are_few_where_waking_them_costs_more_than_they_do() -> None:
    """Prevents a small model's steps from waiting for threads at every operation."""
    small = plan_threads(2, lambda rows, count: 1e-4 if count == 1 else 1e-3)
    assert small == ThreadPlan((1, 1, 1))
    large = plan_threads(4, lambda rows, count: rows / count)
    assert large == ThreadPlan((4, 4, 4))
    assert large.for_rows(1) == large.for_rows(10_000) == 4


def test_each_number_of_rows_has_threads_of_its_own() -> None:
    """Prevents prompts from being computed on one core because single tokens are."""
    plan = plan_threads(2, lambda rows, count: rows / count if rows > 16 else float(rows))
    assert plan == ThreadPlan((1, 1, 2))
    assert [plan.for_rows(rows) for rows in (1, 2, 16, 17, 512)] == [1, 1, 1, 2, 2]


def test_nodes_of_one_machine_measure_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents nodes that start together from settling for one core each."""
    measured: list[str] = []
    tries: list[bool] = []
    try_to_lock = threads._locked

    def locked(file: int) -> bool:
        tries.append(try_to_lock(file))
        return tries[-1]

    def measure(name: str, patience: float = PATIENCE) -> None:
        with alone_on_this_machine(tmp_path, patience):
            measured.append(name)

    monkeypatch.setattr(threads, "_locked", locked)
    with ThreadPoolExecutor(1) as pool:
        with alone_on_this_machine(tmp_path):
            second = pool.submit(measure, "b")
            wait_until(lambda: tries.count(False) > 1)
            measured.append("a")
        second.result(PATIENCE)
    assert measured == ["a", "b"]
    with alone_on_this_machine(tmp_path):
        measure("c", 0.1)  # another's node that hangs must not keep this one from its start


def test_thread_counts_are_powers_of_two_and_all() -> None:
    """Prevents a node on many cores from measuring for minutes."""
    assert [choices(most) for most in (1, 2, 6, 8)] == [(1,), (1, 2), (1, 2, 4, 6), (1, 2, 4, 8)]
    assert ThreadPlan().for_rows(5) is None
    assert len(ROWS) == 3
