"""What fewer bits cost: a model's perplexity and choices against float32, on a fixed text.

``python -m benchmarks.quality [MODEL.gguf]`` runs the text through transformers' layers on the
file's unpacked weights in float32, and through the kernels: on the file's own bits, and rounded
further. The text is this project's decisions; perplexity is counted as ``llama-perplexity -c 512``
does it: over the second half of each piece of 512 tokens. ``--llama`` adds that program's figure.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.ceiling import CACHE, build_tools, smollm2
from farmesh import Span, load_tokenizer
from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.stem import Stem
from farmesh.node.attention import PackedBatch, Segment
from farmesh.node.stacks import Stack, Weights, make_stack

PIECE = 512  # tokens of context, as llama-perplexity's default
PIECES = 8
_CPU = torch.device("cpu")
_KINDS = {
    "float32": Weights("none"),
    "the file's own": Weights("int8", 8),
    "int4": Weights("int4", 4),
}


def text() -> str:
    folder = Path(__file__).resolve().parent.parent / "docs" / "decisions"
    return "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("00[012]*.md")))


def pieces(model: Path) -> list[list[int]]:
    ids = load_tokenizer(model).encode(text(), add_special_tokens=False)
    return [list(ids[start : start + PIECE]) for start in range(0, PIECES * PIECE, PIECE)]


class Whole:
    """All blocks and both ends in this process."""

    def __init__(self, checkpoint: Checkpoint, weights: Weights) -> None:
        self._span = Span(0, checkpoint.num_blocks)
        self._stack: Stack = make_stack(
            checkpoint, self._span, _CPU, torch.float32, weights=weights
        )
        self._stack.load()
        self._stem = Stem(checkpoint, quantize="auto" if weights.bits else "none")

    @torch.inference_mode()
    def logits(self, ids: list[int]) -> torch.Tensor:
        """``[tokens, vocabulary]``"""
        packed = PackedBatch([Segment(0, len(ids), 0, 0)], self._stack.make_cache(PIECE), _CPU)
        return self._stem.logits(self._stack.forward(self._stem.embed(ids), self._span, packed)[0])


def losses(logits: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """Of the second half's tokens, in nats."""
    half = PIECE // 2
    scores = logits[half - 1 : -1].double().log_softmax(dim=-1)
    return -scores.gather(1, torch.tensor(ids[half:])[:, None])[:, 0]


def rows(model: Path) -> Iterator[str]:
    checkpoint, parts = Checkpoint(model), pieces(model)
    reference: list[torch.Tensor] = []
    for name, weights in _KINDS.items():
        whole = Whole(checkpoint, weights)
        found = [whole.logits(ids) for ids in parts]
        reference = reference or found
        loss = torch.cat([losses(one, ids) for one, ids in zip(found, parts, strict=True)])
        pairs = list(zip(found, reference, strict=True))
        same = torch.cat([one.argmax(-1) == other.argmax(-1) for one, other in pairs])
        apart = max(float((one - other).abs().max()) for one, other in pairs)
        yield (
            f"| {name} | {loss.mean().exp():.4f} | {same.double().mean():.2%} of {len(same)} "
            f"| {apart:.2g} |"
        )


def llama_perplexity(model: Path) -> str:
    tools = build_tools(CACHE / "llama.cpp", "llama-perplexity")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "text"
        file.write_text(text(), "utf-8")
        command = [str(tools / "llama-perplexity"), "-m", str(model), "-f", str(file)]
        done = subprocess.run(
            [*command, "-c", str(PIECE), "--chunks", str(PIECES), "-t", "2"],
            check=True,
            capture_output=True,
            text=True,
        )
    found = re.search(r"PPL = ([\d.]+)", done.stdout + done.stderr)
    return f"| llama.cpp | {found[1] if found else '?'} | | |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="a GGUF file (the catalogue's smollm2)")
    parser.add_argument("--llama", action="store_true", help="llama.cpp too, built if need be")
    arguments = parser.parse_args()
    model = arguments.model or smollm2()
    print("| weights | perplexity | the same likeliest token | largest difference of a logit |")
    print("|---|---|---|---|", flush=True)
    for row in rows(model):
        print(row, flush=True)
    if arguments.llama:
        print(llama_perplexity(model))
    return 0


if __name__ == "__main__":
    sys.exit(main())
