"""From a checkpoint's tensors to those of transformers' model, by transformers' own conversions.

Published files and transformers' modules differ in names and in shape: single experts are joined,
fused projections cut apart. transformers has rules for that, by model type; here they say for each
tensor of the model which stored ones make it, so that a node reads those of its blocks and no
others.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
)

from farmesh.errors import CheckpointError

Read = Callable[[str], torch.Tensor]  # a stored tensor by its stored name


@dataclass(eq=False)
class Recipe:
    """How one tensor of the model, or the few that are stored as one, are made."""

    name: str  # of the first of them
    converter: Any = None  # transformers'; None: the stored tensor as it is
    sources: list[tuple[str, str]] = field(default_factory=list)  # stored name, converter's pattern

    @property
    def stored(self) -> Iterator[str]:
        return (name for name, _ in self.sources)

    def make(self, read: Read, model: Any) -> dict[str, torch.Tensor]:
        """The tensors by their names in the model.

        Raises: CheckpointError: what is stored does not fit together.
        """
        if self.converter is None:
            return {self.name: read(self.sources[0][0])}
        converter = copy.deepcopy(self.converter)
        for stored, pattern in self.sources:
            converter.add_tensor(self.name, stored, pattern, lambda stored=stored: read(stored))
        try:
            made = converter.convert(self.name, model=model, config=model.config)
        except CheckpointError:
            raise
        except Exception as error:
            raise CheckpointError(
                f"The tensors that make up {self.name} do not fit together: "
                f"{next(iter(self.stored))} and those beside it."
            ) from error
        return {
            name: tensor[0] if isinstance(tensor, list) else tensor for name, tensor in made.items()
        }


def recipes(
    model: Any, stored: Iterable[str], rename: Callable[[str], str] = str
) -> dict[str, Recipe]:
    """By the names of the model's tensors; what no part of the model needs is left out.

    Args:
        model: without memory.
        rename: from the names in ``model`` to those wanted.
    """
    transforms = get_model_conversion_mapping(model)
    renamings = [entry for entry in transforms if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in transforms if isinstance(entry, WeightConverter)]
    by_pattern = {
        pattern: converter for converter in converters for pattern in converter.source_patterns
    }
    wanted = model.state_dict()
    prefix = model.base_model_prefix
    found: dict[str, Recipe] = {}
    for name in sorted(stored, key=dot_natural_key):
        target, pattern = rename_source_key(name, renamings, converters, prefix, wanted)
        if target not in wanted and name in wanted:
            target, pattern = name, None
        if target not in wanted:
            continue
        if pattern is None:
            found.setdefault(rename(target), Recipe(target, None, [(name, name)]))
            continue
        converter = by_pattern[pattern]
        recipe = found.get(rename(target)) or Recipe(target, converter)
        recipe.sources.append((name, pattern))
        for other in converter.target_patterns:
            found.setdefault(rename(target.replace(converter.target_patterns[0], other)), recipe)
    return found
