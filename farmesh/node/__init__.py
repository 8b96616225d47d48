"""The node side: FarNode serves a span of blocks.

node        FarNode: its lifetime, from joining to the last goodbye
announcing  its record in the swarm; balancing: which blocks it takes
loading     from settings to blocks in memory; speed, threads: how fast they are
machine     clock, threads, memory: what it takes from where it runs
switch      other peers' calls go to the service of the moment
service     what it answers: streams, pushes, questions
sessions    who has which session here; session: one of them; quota: what one peer may have
steps       the steps of one stream, computed in order; pushing: outputs go to the next hop
scheduler   one packed forward per tick over all sessions that have work
tick        what a tick runs, and eviction who gives way (both pure); packing: one tensor of many
cache       pages of the KV cache
stacks      which stack runs the blocks, in how many bits: one of the two that follow
blocks      transformers' decoder layers of a span; runners: how a family's are run
fast        blocks of Llama's shape on a CPU, through the compiled kernels
attention   attention of packed tokens over each session's own KV cache; rotary: their positions
lora        adapters beside the plain model; quantize: their layers in 8 or 4 bits
"""

from farmesh.node.machine import Machine
from farmesh.node.node import FarNode

__all__ = ["FarNode", "Machine"]
