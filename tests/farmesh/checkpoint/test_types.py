"""Every model type that the table says can be served, by a trial of each (tests/support/trials)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from farmesh.checkpoint.reader import Checkpoint
from farmesh.checkpoint.tried import REFUSED, WORKS
from farmesh.errors import UnsupportedModel
from tests.support import trials

# Those whose trials run with every test: the families that people ask for, each with something
# that others do not have. All others run with make slow.
NAMED = (
    *("qwen2_moe", "qwen3_moe", "gpt_oss", "deepseek_v2", "deepseek_v3", "glm4_moe"),
    *("glm4_moe_lite", "minimax_m2", "llama4_text", "gemma", "gemma4_text", "glm", "glm4"),
    *("granite", "granitemoe", "olmo2", "olmo3", "olmoe", "exaone4", "hunyuan_v1_dense"),
    *("hunyuan_v1_moe", "ernie4_5", "ernie4_5_moe", "smollm3", "phimoe", "seed_oss", "cohere2"),
    *("starcoder2", "stablelm", "apertus", "dots1", "mimo_v2_flash", "afmoe", "minicpm3"),
    *("nemotron", "gemma3", "gemma4", "mistral3", "qwen3_vl", "llama4", "kimi_k25"),
)


@pytest.mark.parametrize(
    "model_type",
    [
        name if name in NAMED else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(WORKS)
    ],
)
def test_a_type_is_exact(model_type: str, tmp_path: Path) -> None:
    """Bug prevented: a family's sinks, windows, chunks, scales, biases or positions are left out
    and its replies go wrong without a word, perhaps only beyond a window, in a second turn, after
    an edit, or beside other chats."""
    assert trials.outcome(model_type, tmp_path) is None


def test_the_table_is_complete() -> None:
    """Bug prevented: a type of a newer transformers is neither served nor refused with a reason;
    one of those promised is gone from the list."""
    assert set(trials.types()) == WORKS | REFUSED.keys()
    assert not WORKS & REFUSED.keys()
    assert set(NAMED) <= WORKS


def test_an_ignored_weight_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: the trial passes whatever happens, as it did for gpt-oss when its sinks were
    near zero and nobody used them."""
    from farmesh.node import attention

    plain = attention._plain_attention
    monkeypatch.setattr(attention, "_plain_attention", lambda *a: plain(*a[:-1], None))
    assert "differ" in str(trials.outcome("gpt_oss", tmp_path))


def test_a_refused_type_says_why(tmp_path: Path) -> None:
    """Bug prevented: somebody who cannot be served learns it after gigabytes, without a reason."""
    name, reason = next(iter(REFUSED.items()))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": name}))
    with pytest.raises(UnsupportedModel) as refused:
        Checkpoint(tmp_path)
    assert reason in str(refused.value)


def test_the_command_lists_them() -> None:
    """Bug prevented: the list on the command line is another one than what is served."""
    command = [sys.executable, "-m", "farmesh", "families"]
    said = subprocess.run([*command, "--json"], capture_output=True, check=True, text=True).stdout
    assert json.loads(said) == {"works": sorted(WORKS), "refused": REFUSED}
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert all(name in said for name in (*WORKS, *REFUSED))
