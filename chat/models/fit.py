"""What a model takes, and whether this machine has it: said before anything is fetched."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from chat.settings.catalogue import ModelEntry
from chat.settings.schema import SwarmSettings

GB = 1e9  # bytes
_BASE = 1.5 * GB  # for the app, the bootstrap peer and two nodes, before any weights
_BESIDE = 1.1  # of the weights: KV caches, and what the client holds twice
_WEIGHT_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "int8": 1.1}
_WEIGHT_BYTES |= {"int4": 0.7, "nf4": 0.6}


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory in bytes, as far as this process may have it."""

    total: float
    free: float
    has_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """What a model needs of a machine, in bytes of main memory; with a GPU nobody knows."""

    needed: float | None
    machine: Machine

    @property
    def is_too_large(self) -> bool:
        return self.needed is not None and self.needed > self.machine.total

    @property
    def is_short(self) -> bool:
        """Whether it would not fit beside what runs now."""
        return self.needed is not None and self.needed > self.machine.free

    @property
    def sentence(self) -> str:
        if self.needed is None:
            return ""
        needed, total = (max(1, round(number / GB)) for number in (self.needed, self.machine.total))
        return f"needs about {needed} GB; this machine has {total}"


def fit(entry: ModelEntry, swarm: SwarmSettings, machine: Machine) -> Fit:
    """What nodes that the app starts would need for all of a model's blocks."""
    device = entry.device or swarm.device
    on_gpu = device.startswith("cuda") or (device == "auto" and machine.has_gpu)
    if entry.parameters is None or on_gpu or swarm.mode != "embedded":
        return Fit(None, machine)
    dtype, quantize = entry.dtype or swarm.dtype, entry.quantize or swarm.quantize
    # auto: what a GGUF file has is not known before it is here, and takes less.
    kind = quantize if quantize not in ("none", "auto") else "float32" if dtype == "auto" else dtype
    return Fit(_BASE + _BESIDE * entry.parameters * 1e9 * _WEIGHT_BYTES[kind], machine)


def label(entry: ModelEntry, fits: Fit, served: str = "") -> str:
    """A model's name in the menu, with what stands in its way, or what a joined swarm has of it."""
    ways = [fits.sentence] if fits.is_too_large else []
    ways += ["needs signing in at the hub"] if entry.gated else []
    ways += [served] if served else []
    return " · ".join([entry.name, *ways])


def about(entry: ModelEntry, fits: Fit, served: str = "") -> str:
    """What the menu says of a model when it is pointed at."""
    facts = [f"Licence: {entry.licence}", f"Context: {entry.context} tokens"]
    facts += [f"{entry.disk:g} GB on disk"] if entry.disk else []
    facts += [said[0].upper() + said[1:] for said in (fits.sentence, served) if said]
    return " ".join([entry.description, *(f"{fact}." for fact in facts)]).strip()


def this_machine() -> Machine:
    """As it is now, a container's limit included."""
    total = free = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):  # Linux
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        sizes = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines)}
        free = int(sizes["MemAvailable"]) * 1024.0
    with contextlib.suppress(OSError, ValueError):  # no cgroup, or no limit ("max")
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text("ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text("ascii"))
        total, free = min(total, limit), min(free, limit - used)
    return Machine(total, free, Path("/dev/nvidia0").exists())
