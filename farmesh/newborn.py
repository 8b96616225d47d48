"""Imported by the process that nodes are forked from, and by nobody else: all that a node imports.

It starts no thread and touches no GPU: neither outlives a fork. What is imported here is never
collected as garbage, so that the pages stay shared.
"""

import gc
import multiprocessing.connection  # noqa: F401 - hivemind leaves that to torch
import os
from importlib import import_module

from farmesh.lean import hollow, return_memory

_LATER = {  # as ``python -m farmesh serve`` has them, and for this process alone
    "OMP_WAIT_POLICY": "PASSIVE",
    "OMP_NUM_THREADS": "1",  # numpy's; torch's number is a node's setting
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # else to ask for a GPU opens it
}
_NEEDED = (
    *("uvloop", "torch", "transformers.modeling_utils", "transformers.models.auto.modeling_auto"),
    *("farmesh.cli.main", "farmesh.hub.progress", "farmesh.node", "farmesh.node.node"),
)

os.environ.update(_LATER)
os.environ.setdefault("HIVEMIND_LOGLEVEL", "WARNING")
hollow("hivemind")
for name in _NEEDED:
    import_module(name)
del os.environ["OMP_NUM_THREADS"]
gc.collect()
gc.freeze()
return_memory()
