"""A span of decoder layers, loaded from a checkpoint and run on packed tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from farmesh.checkpoint.anatomy import fill_computed
from farmesh.checkpoint.linear import pack_linears
from farmesh.checkpoint.reader import Checkpoint
from farmesh.core import Span
from farmesh.errors import UnsupportedModel
from farmesh.node.attention import CacheAsked, PackedBatch, Segment
from farmesh.node.cache import KVCache, KVShape
from farmesh.node.calls import SAMPLE, Call
from farmesh.node.experts import split_experts
from farmesh.node.latent import keep_latents
from farmesh.node.lora import LoraAdapter, LoraRows
from farmesh.node.quantize import quantize_linears
from farmesh.node.recurrent import PackedCache, keep_states, state_bytes
from farmesh.node.runners import RUNNERS, BlockRunner, Calls


class BlockStack:
    """The blocks of one span: transformers' own decoder layers with packed attention."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        span: Span,
        device: torch.device,
        dtype: torch.dtype,
        *,
        quantize: str = "none",
        adapters: Sequence[LoraAdapter] = (),
    ) -> None:
        self.span = span
        self.device = device
        self.dtype = dtype
        self.hidden_size = checkpoint.hidden_size
        self._runner = RUNNERS[checkpoint.family.runner]
        self._quantize = quantize
        self._loras = adapters
        self._lora_rows = LoraRows()
        self._checkpoint = checkpoint
        self._model = checkpoint.anatomy.skeleton(self._runner.attention, dtype)
        self._layers = blocks_of(checkpoint, self._model, span)
        self._calls = calls_of(checkpoint, self._model, self._runner, device)
        self._shapes: dict[int, KVShape] = {}  # of the layers that are loaded
        self._stateful: set[int] = set()  # blocks with states

    def __repr__(self) -> str:
        return f"<BlockStack {self.span} {self.dtype} on {self.device}>"

    @property
    def adapters(self) -> tuple[str, ...]:
        """LoRAs that a session may ask for, by name."""
        return tuple(adapter.name for adapter in self._loras)

    @property
    def keeps_states(self) -> bool:
        """Whether sessions have states here, and go back to snapshots only."""
        return bool(self._stateful)

    @property
    def prefixes(self) -> list[str]:
        """Beginnings of the names of the tensors that this stack needs."""
        return [f"{self._checkpoint.anatomy.blocks}.{block}." for block in self.span]

    def load(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read the weights, block by block; ``progress(done, total)`` after each."""
        prefix = self._checkpoint.anatomy.blocks
        sample = sample_batch(self.device)
        samples = sample_calls(self._calls, sample, self.hidden_size, self.dtype)
        for done, (block, layer) in enumerate(self._layers.items(), start=1):
            self._runner.prepare(layer)
            self._checkpoint.load_module(self._model, layer, f"{prefix}.{block}", self.dtype)
            keep_latents(layer)
            split_experts(layer)
            if keep_states(layer, block):
                self._stateful.add(block)
            if self._quantize != "none":
                quantize_linears(layer, self._quantize, self.dtype, self.device)
            layer.to(self.device)
            pack_linears(layer)
            for adapter in self._loras:
                adapter.attach(layer, block, self._lora_rows, self.dtype, self.device)
            if block in self._stateful:
                samples[block][1].put_cache(PackedCache(sample))
            self._shapes[block] = cache_shape(samples[block], layer)
            if progress is not None:
                progress(done, len(self._layers))

    def make_cache(self, tokens: int) -> KVCache:
        """An empty KV cache for ``tokens`` tokens of context in every block."""
        return KVCache(
            self.span,
            tokens=tokens,
            shapes=[self._shapes[block] for block in self.span],
            dtype=self.dtype,
            device=self.device,
        )

    @torch.inference_mode()
    def forward(self, hidden_states: torch.Tensor, span: Span, packed: PackedBatch) -> torch.Tensor:
        """Run ``span`` (within this stack) on packed tokens.

        Shapes: ``[1, tokens, hidden]`` in and out, in this stack's dtype and on the CPU.
        """
        hidden_states = hidden_states.to(self.device, self.dtype)
        self._lora_rows.groups = packed.adapters
        calls = self._calls.of(hidden_states, packed)
        for block in self._stateful & set(span):
            calls[block].put_cache(PackedCache(packed))
        for block in span:
            hidden_states = calls[block].run(self._layers[block], hidden_states)
        return hidden_states.cpu()


def blocks_of(
    checkpoint: Checkpoint, model: torch.nn.Module, span: Span
) -> dict[int, torch.nn.Module]:
    """The layers of a span, by the blocks' numbers."""
    blocks = checkpoint.anatomy.blocks
    return {block: model.get_submodule(f"{blocks}.{block}") for block in span}


def calls_of(
    checkpoint: Checkpoint, model: torch.nn.Module, runner: BlockRunner, device: torch.device
) -> Calls:
    """What the blocks of a model without memory are called with; they are taken out of it."""
    path, _, blocks = checkpoint.anatomy.blocks.rpartition(".")
    trunk = model.get_submodule(path)
    outside = [child for name, child in trunk.named_children() if name != blocks]
    for child in outside:
        fill_computed(model, child)
        child.to(device) if not any(p.is_meta for p in child.parameters()) else None
    return runner.calls(trunk, blocks, checkpoint.hidden_size, device)


def sample_batch(device: torch.device) -> PackedBatch:
    """A batch that has no cache: whoever gets it says what it would have to hold."""
    return PackedBatch([Segment(0, SAMPLE, 0, 0)], None, device)


@torch.inference_mode()
def sample_calls(
    calls: Calls, packed: PackedBatch, hidden_size: int, dtype: torch.dtype
) -> list[tuple[torch.Tensor, Call]]:
    """For each block the hidden states of a few tokens, and a call that asks for its cache."""
    hidden_states = torch.zeros(1, SAMPLE, hidden_size, device=packed.device, dtype=dtype)
    return [(hidden_states, call) for call in calls.of(hidden_states, packed)]


@torch.inference_mode()
def cache_shape(sample: tuple[torch.Tensor, Call], layer: torch.nn.Module) -> KVShape:
    """What a layer keeps of a token, told by its own attention; it may be without memory.

    Raises: UnsupportedModel: it has no attention, or one that does not use the interface.
    """
    hidden_states, call = sample
    if any(parameter.is_meta for parameter in layer.parameters()):
        hidden_states, call = hidden_states.to("meta"), call.without_memory()
    try:
        call.run(layer, hidden_states)
    except CacheAsked as answer:
        return replace(answer.shape, state=state_bytes(layer))
    except Exception:  # behind its states a layer may need memory for what it does
        if _attends(layer) and not state_bytes(layer):
            raise
    if state_bytes(layer) or not _attends(layer):
        return KVShape(0, 0, 0, state_bytes(layer))
    raise UnsupportedModel(
        f"{type(layer).__name__} has no attention of the kind that can be served here."
    )


def _attends(layer: torch.nn.Module) -> bool:
    """Whether there is an attention in a layer, of whatever kind."""
    return any("attention" in type(module).__name__.lower() for module in layer.modules())


def cache_shapes(checkpoint: Checkpoint) -> list[KVShape]:
    """What each block of a model keeps of a token, found without any memory for weights.

    Raises: UnsupportedModel.
    """
    runner = RUNNERS[checkpoint.family.runner]
    model = checkpoint.anatomy.skeleton(runner.attention)
    layers = blocks_of(checkpoint, model, Span(0, checkpoint.num_blocks))
    sample = sample_batch(torch.device("cpu"))
    calls = calls_of(checkpoint, model, runner, sample.device)
    samples = sample_calls(calls, sample, checkpoint.hidden_size, torch.float32)
    for block, layer in layers.items():
        runner.prepare(layer)
        keep_latents(layer)
        if keep_states(layer, block):
            samples[block][1].put_cache(PackedCache(sample))
    return [cache_shape(samples[block], layer) for block, layer in layers.items()]
