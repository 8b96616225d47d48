"""Weights in 8 or 4 bits for transformers' layers, through bitsandbytes (the extra ``quant``).

Only the linear layers of blocks are quantised, as upstream does it: ``int8`` is LLM.int8's weights,
``nf4`` the normal float of QLoRA with double quantisation.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

import torch

from farmesh.checkpoint.reader import Checkpoint
from farmesh.errors import ConfigError, UnsupportedModel

# It recommends optional kernels whenever it is imported, by peft too.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

_BYTES = {"int8": 1.0, "nf4": 4.127 / 8}  # per weight, with the scales
_GROUP = 64  # weights of nf4 that share a scale; kernels want whole groups in a row
_OUTLIER = 6.0  # LLM.int8's threshold: larger activations are not rounded


def check_quantization(kind: str, checkpoint: Checkpoint) -> None:
    """
    Raises:
        ConfigError: the extra is not installed.
        UnsupportedModel: the model's weights are no linear layers.
    """
    _bitsandbytes()
    linear, other = _sizes(checkpoint)
    odd = [layer for layer in _linears(checkpoint) if layer.in_features % _GROUP]
    if kind == "nf4" and odd:
        raise UnsupportedModel(
            f"{checkpoint.name} cannot be kept in nf4: a layer with {odd[0].in_features} inputs "
            f"cannot be cut into groups of {_GROUP} weights; use int8, or leave --quantize out."
        )
    if other > linear:
        raise UnsupportedModel(
            f"{checkpoint.name} cannot be quantised here: most of its weights are not in linear "
            f"layers ({checkpoint.config.model_type}); leave --quantize out."
        )


def block_bytes(checkpoint: Checkpoint, kind: str, dtype: torch.dtype) -> int:
    """Memory for the weights of one block."""
    linear, other = _sizes(checkpoint)
    return int(linear * _BYTES.get(kind, dtype.itemsize) + other * dtype.itemsize)


def quantize_linears(
    module: torch.nn.Module, kind: str, dtype: torch.dtype, device: torch.device
) -> None:
    """Replace the linear layers inside ``module`` (on the CPU) by quantised ones on ``device``."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Linear):  # subclasses too: Falcon's computes the same
            setattr(module, name, _quantized(child, kind, dtype, device))
        else:
            quantize_linears(child, kind, dtype, device)


def _quantized(linear: Any, kind: str, dtype: torch.dtype, device: torch.device) -> torch.nn.Module:
    nn = _bitsandbytes().nn
    shape, weight = (linear.in_features, linear.out_features), linear.weight.detach()
    if kind == "int8":
        layer = nn.Linear8bitLt(
            *shape, bias=False, has_fp16_weights=False, threshold=_OUTLIER, device="meta"
        )
        layer.weight = nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    else:
        layer = nn.Linear4bit(
            *shape, bias=False, compute_dtype=dtype, quant_type="nf4", device="meta"
        )
        layer.weight = nn.Params4bit(weight, requires_grad=False, quant_type="nf4")
    layer.bias = linear.bias
    # The move rounds the weight. It must be the first one: a later move of the blocks around it
    # would leave int8's scales behind.
    quantized: torch.nn.Module = layer.to(device)
    # On CPUs int8 "in training" means: whole activations on rounded weights. Otherwise it rounds
    # activations too, but for columns in which any row of the batch has an outlier, and sessions
    # that are packed together would change one another's replies.
    return quantized.train(kind == "int8")


def _sizes(checkpoint: Checkpoint) -> tuple[int, int]:
    """Weights of one block inside linear layers, and all others."""
    linear = sum(layer.weight.numel() for layer in _linears(checkpoint))
    return linear, sum(weight.numel() for weight in _block(checkpoint).parameters()) - linear


def _linears(checkpoint: Checkpoint) -> list[torch.nn.Linear]:
    """The linear layers of one block, without memory."""
    return [part for part in _block(checkpoint).modules() if isinstance(part, torch.nn.Linear)]


def _block(checkpoint: Checkpoint) -> torch.nn.Module:
    skeleton = checkpoint.family.skeleton(checkpoint.config)
    return skeleton.get_submodule(f"{checkpoint.family.blocks}.0")


def _bitsandbytes() -> Any:
    try:
        return importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise ConfigError(
            "Quantised weights need bitsandbytes: pip install 'bitsandbytes>=0.49' (or this "
            "project with its extra: pip install '.[quant]')."
        ) from error
