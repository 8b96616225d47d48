"""A span of blocks of Llama's shape on a CPU, as one call of compiled kernels.

Weights are kept in 8 or 4 bits, a GGUF file's own where it has them; activations are rounded to 16
bits before each product. A row's numbers never depend on the rows computed beside it. transformers'
layers (:mod:`farmesh.node.blocks`) are what this is held to by test, and what runs everything else.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from farmesh.checkpoint.reader import Checkpoint
from farmesh.core import Span
from farmesh.kernels.compiling import CBlock, CShape, kernels
from farmesh.kernels.groups import Grouped, can_be_grouped, grouped
from farmesh.kernels.matrix import PackedMatrix, Workspace
from farmesh.node.attention import PackedBatch
from farmesh.node.cache import KVCache
from farmesh.node.rotary import RotaryPositions

# Norm, attention over grouped heads with rotary positions, norm, SwiGLU, and nothing else.
MODEL_TYPES = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3"})
_LANE = 8  # numbers that the kernels take at once: of a head, and of a norm
_FIRST_POSITIONS = 512  # of the table of angles, which grows

Angles = npt.NDArray[np.float32]


def is_fast(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether these blocks can run here."""
    config, shape = checkpoint.config, checkpoint.family.kv_shape(checkpoint.config)
    if checkpoint.family.convert is not None or config.model_type not in MODEL_TYPES:
        return False
    if device.type != "cpu" or dtype != torch.float32:
        return False
    heads = config.num_attention_heads * shape.head_dim
    inputs = (config.hidden_size, config.intermediate_size, heads)
    silu = getattr(config, "hidden_act", "silu") in ("silu", "swish")
    fits = all(can_be_grouped(count) for count in inputs) and shape.head_dim % _LANE == 0
    return silu and fits and kernels() is not None


def block_matrices(checkpoint: Checkpoint) -> dict[str, tuple[int, int]]:
    """The matrices of the first block: names in the checkpoint, and shapes ``[outs, ins]``."""
    prefix = f"{checkpoint.family.blocks}.0"
    layer = checkpoint.family.skeleton(checkpoint.config).get_submodule(prefix)
    return {
        f"{prefix}.{name}": (weight.shape[0], weight.shape[1])
        for name, weight in layer.named_parameters()
        if weight.dim() == 2
    }


class FastStack:
    """The blocks of one span in packed weights; used as :class:`BlockStack` is."""

    adapters: tuple[str, ...] = ()

    def __init__(self, checkpoint: Checkpoint, span: Span, *, bits: int) -> None:
        """
        Args:
            bits: of matrices that the files do not have in as few.
        """
        library = kernels()
        if library is None:
            raise RuntimeError("there are no kernels")  # is_fast() was not asked
        self.span = span
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.hidden_size = checkpoint.hidden_size
        self._library = library
        self._bits = bits
        self._checkpoint = checkpoint
        self._kv_shape = checkpoint.family.kv_shape(checkpoint.config)
        skeleton = checkpoint.family.skeleton(checkpoint.config)
        rotary = checkpoint.family.rotary_embedding(skeleton, checkpoint.config)
        self._angles = _Angles(RotaryPositions(rotary, self.device), self._kv_shape.head_dim)
        self._blocks = [_Block(skeleton, checkpoint, block) for block in span]
        self._described = (CBlock * len(span))()
        self._shape = self._make_shape()
        self._bound: KVCache | None = None  # whose memory the descriptions point to
        self._workspace = Workspace()

    def __repr__(self) -> str:
        size = sum(block.nbytes for block in self._blocks)
        return f"<FastStack {self.span} {size >> 20} MiB>"

    @property
    def prefixes(self) -> list[str]:
        """Beginnings of the names of the tensors that this stack needs."""
        return [f"{self._checkpoint.family.blocks}.{block}." for block in self.span]

    def _make_shape(self) -> CShape:
        config, kv = self._checkpoint.config, self._kv_shape
        return CShape(
            hidden=config.hidden_size,
            inner=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=kv.heads,
            head_dim=kv.head_dim,
            rotary_dim=self._angles.size,
            epsilon=config.rms_norm_eps,
            scaling=kv.head_dim**-0.5,
        )

    def load(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read the weights, block by block; ``progress(done, total)`` after each."""
        for done, block in enumerate(self._blocks, start=1):
            block.load(self._library, self._bits)
            block.describe(self._described[done - 1])
            if progress is not None:
                progress(done, len(self._blocks))

    def make_cache(self, tokens: int) -> KVCache:
        """An empty KV cache for ``tokens`` tokens of context in every block."""
        return KVCache(
            self.span,
            tokens=tokens,
            kv_heads=self._kv_shape.heads,
            head_dim=self._kv_shape.head_dim,
            dtype=self.dtype,
            device=self.device,
        )

    @torch.inference_mode()
    def forward(self, hidden_states: torch.Tensor, span: Span, packed: PackedBatch) -> torch.Tensor:
        """Run ``span`` (within this stack) on packed tokens, with torch's number of threads.

        Shapes: ``[1, tokens, hidden]`` in and out, float32.
        """
        self._bind(packed.cache)
        rows = hidden_states[0].to(self.dtype, copy=True).contiguous()
        bases, positions = _places(packed)
        cosines, sines = self._angles.at(positions, hidden_states, packed)
        size = self._library.fm_blocks_workspace(ctypes.byref(self._shape), len(rows))
        first = span.start - self.span.start
        self._library.fm_blocks(
            ctypes.byref(self._shape),
            ctypes.byref(self._described, first * ctypes.sizeof(CBlock)),
            len(span),
            rows.data_ptr(),
            len(rows),
            bases.ctypes.data,
            positions.ctypes.data,
            cosines.ctypes.data,
            sines.ctypes.data,
            self._workspace.pointer(size),
            torch.get_num_threads(),
        )
        return rows[None]

    def _bind(self, cache: KVCache) -> None:
        """Point to this cache's memory."""
        if cache is self._bound:
            return
        for block, described in zip(self.span, self._described, strict=True):
            keys, values = cache.block(block)
            described.keys, described.values = keys.data_ptr(), values.data_ptr()
            self._shape.slots = keys.shape[1]
        self._bound = cache


def _places(packed: PackedBatch) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Of every packed row: its session's first slot in the cache, and its position."""
    sizes = packed.sizes
    bases = np.repeat(np.array([part.base for part in packed.segments], np.int32), sizes)
    if max(sizes) == 1:
        return bases, np.array([part.position for part in packed.segments], np.int32)
    parts = [np.arange(part.position, part.context, dtype=np.int32) for part in packed.segments]
    return bases, np.concatenate(parts)


class _Angles:
    """Cosines and sines of the rotary position embedding, kept by position where they stay."""

    def __init__(self, rotary: RotaryPositions, head_dim: int) -> None:
        self._rotary = rotary
        self._changing = rotary.by_session
        self._table: tuple[Angles, Angles] = self._halves(*rotary.at(torch.zeros(1, 1).long()))
        self.size = 2 * self._table[0].shape[1]  # of a head's numbers, those that are turned

    def at(
        self, positions: npt.NDArray[np.int32], hidden_states: torch.Tensor, packed: PackedBatch
    ) -> tuple[Angles, Angles]:
        """``[rows, size / 2]`` each."""
        if self._changing:
            found = self._rotary.compute(hidden_states, packed, None)
            return self._halves(*found) if found is not None else self._table
        longest = int(positions.max())
        if longest >= len(self._table[0]):
            count = max(_FIRST_POSITIONS, 2 ** (longest + 1).bit_length())
            self._table = self._halves(*self._rotary.at(torch.arange(count)[None]))
        cosines, sines = self._table
        return cosines[positions], sines[positions]

    @staticmethod
    def _halves(cosines: torch.Tensor, sines: torch.Tensor) -> tuple[Angles, Angles]:
        """Both halves of a head turn by the same angles."""
        half = cosines.shape[-1] // 2
        cos, sin = (part[0, :, :half].float().contiguous() for part in (cosines, sines))
        return cos.numpy(), sin.numpy()


class _Block:
    """One block's weights."""

    def __init__(self, skeleton: torch.nn.Module, checkpoint: Checkpoint, block: int) -> None:
        self._checkpoint = checkpoint
        self._prefix = f"{checkpoint.family.blocks}.{block}."
        self._layer = skeleton.get_submodule(self._prefix.removesuffix("."))
        self._matrices: dict[str, PackedMatrix] = {}
        self._vectors: dict[str, torch.Tensor] = {}

    @property
    def nbytes(self) -> int:
        return sum(matrix.nbytes for matrix in self._matrices.values())

    def load(self, library: ctypes.CDLL, bits: int) -> None:
        """Raises: CheckpointError."""
        parameters = dict(self._layer.named_parameters())
        for stored, parts in _LAYERS.items():
            if f"{stored}.weight" not in parameters:
                continue
            weights, start = self._weights(f"{stored}.weight", bits), 0
            bias = self._vector(f"{stored}.bias") if f"{stored}.bias" in parameters else None
            for part, outs in zip(parts, self._sizes(parts), strict=True):
                rows = slice(start, start + outs)
                self._matrices[part] = PackedMatrix(
                    library, weights.rows(rows), None if bias is None else bias[rows]
                )
                start += outs
        for field, name in _VECTORS.items():
            if f"{name}.weight" in parameters:
                self._vectors[field] = self._vector(f"{name}.weight")

    def describe(self, described: CBlock) -> None:
        """Write down where everything is."""
        for field, matrix in self._matrices.items():
            setattr(described, field, matrix.described)
        for field, vector in self._vectors.items():
            setattr(described, field, vector.data_ptr())
        described.window = self._window or 0
        described.rotary = int(getattr(self._layer.self_attn, "use_rope", True))

    @property
    def _window(self) -> int | None:
        """Keys that a token sees; None: all."""
        config = self._checkpoint.config
        if config.model_type in ("mistral", "phi3"):  # the others ask when they are made
            return getattr(config, "sliding_window", None)
        return getattr(self._layer.self_attn, "sliding_window", None)

    def _sizes(self, parts: Sequence[str]) -> list[int]:
        """Outputs of each."""
        config, kv = (
            self._checkpoint.config,
            self._checkpoint.family.kv_shape(self._checkpoint.config),
        )
        sizes = {
            "query": config.num_attention_heads * kv.head_dim,
            "key": kv.heads * kv.head_dim,
            "value": kv.heads * kv.head_dim,
            "gate": config.intermediate_size,
            "up": config.intermediate_size,
        }
        return [sizes.get(part, config.hidden_size) for part in parts]

    def _weights(self, name: str, bits: int) -> Grouped:
        """A matrix as its file has it, or rounded where that has more bits than wanted."""
        found = self._checkpoint.grouped(self._prefix + name)
        if found is None or found.bits > bits:
            found = grouped(self._read(name).numpy(), bits)
        self._check(name, found.shape)
        return found

    def _vector(self, name: str) -> torch.Tensor:
        vector = self._read(name)
        self._check(name, tuple(vector.shape))
        return vector.contiguous()

    def _read(self, name: str) -> torch.Tensor:
        name = self._prefix + name
        return self._checkpoint.read([name], torch.float32)[name]

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        wanted = tuple(self._layer.get_parameter(name).shape)
        self._checkpoint.check_shape(self._prefix + name, shape, wanted)


# A layer of the checkpoint, and the matrices of the kernels that lie in it one below the other.
_LAYERS = {
    "self_attn.q_proj": ("query",),
    "self_attn.k_proj": ("key",),
    "self_attn.v_proj": ("value",),
    "self_attn.qkv_proj": ("query", "key", "value"),
    "self_attn.o_proj": ("output",),
    "mlp.gate_proj": ("gate",),
    "mlp.up_proj": ("up",),
    "mlp.gate_up_proj": ("gate", "up"),
    "mlp.down_proj": ("down",),
}
_VECTORS = {
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
}
