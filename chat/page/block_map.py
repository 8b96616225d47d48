"""The swarm drawn in HTML: who serves which blocks, where there are gaps, which way a reply goes.

Everything that a node says of itself is a stranger's text and is escaped here.
"""

from __future__ import annotations

from collections.abc import Collection

from markupsafe import Markup

from chat import words
from chat.models.health import NAME_LENGTH
from farmesh.core import NodeInfo, NodeState, Route, Span, SwarmSnapshot

MAX_NODES = 24  # drawn; the rest are counted
MAX_CELLS = 64  # a model with more blocks gets several blocks per cell


def block_map(
    snapshot: SwarmSnapshot,
    routes: Collection[Route] = (),
    *,
    join: str = "",
    trouble: bool = False,
) -> Markup:
    """The model's blocks as a row of cells, and a bar per node below it.

    Args:
        routes: of the viewer's running replies; the nodes they use are marked.
        join: the command that adds a node to this swarm, to copy.
        trouble: a node is known to have gone that the swarm has not noticed yet.
    """
    if not snapshot.num_blocks:
        return Markup('<p class="fm-quiet">No model is known yet.</p>')
    used = {hop.peer_id for route in routes for hop in route.hops}
    nodes = sorted(snapshot.nodes, key=lambda node: (node.span, node.peer_id))
    rows = Markup("").join(
        _node(node, snapshot, node.peer_id in used) for node in nodes[:MAX_NODES]
    )
    more = len(nodes) - MAX_NODES
    if more > 0:
        rows += Markup('<li class="fm-quiet">and {} more</li>').format(words.count(more, "node"))
    rows = Markup('<ul class="fm-nodes">{}</ul>').format(rows)
    spare = Markup("") if trouble else _spare(snapshot)
    return _cells(snapshot) + spare + rows + _wanted(snapshot, join) + _join(join)


def _cells(snapshot: SwarmSnapshot) -> Markup:
    replicas = snapshot.replicas
    per_cell = -(-len(replicas) // MAX_CELLS)
    cells = Markup("")
    for start in range(0, len(replicas), per_cell):
        span = Span(start, min(start + per_cell, len(replicas)))
        fewest = min(replicas[block] for block in span)
        kind = "gap" if fewest == 0 else "one" if fewest == 1 else "many"
        served = "nobody" if not fewest else words.count(fewest, "node")
        title = f"{words.blocks(span)}: {served}"
        cells += Markup('<i class="{}" title="{}"></i>').format(kind, title)
    label = _spoken(snapshot)
    return Markup('<div class="fm-cells" role="img" aria-label="{}">{}</div>').format(label, cells)


def _spare(snapshot: SwarmSnapshot) -> Markup:
    """In words, what would be missing if a node left."""
    replicas = snapshot.replicas
    fewest = min(replicas)
    if fewest == 0:
        return Markup("")  # the gaps are said already
    if fewest > 1:
        text = f"Every block is served at least {fewest} times: any node can be spared."
    elif max(replicas) == 1:
        text = "Every block is served once: no node can be spared."
    else:
        start = replicas.index(1)
        end = next((b for b in range(start, len(replicas)) if replicas[b] > 1), len(replicas))
        text = f"Only one node serves {words.blocks(Span(start, end))}."
    return Markup('<p class="fm-spare">{}</p>').format(text)


def _wanted(snapshot: SwarmSnapshot, join: str) -> Markup:
    """What would serve the blocks that nobody serves."""
    if snapshot.is_complete or not join:
        return Markup("")
    gap = snapshot.gaps[0]
    return Markup(
        '<div class="fm-wanted"><p>Nobody serves {}. A node that is started so would:</p>'
        '<pre><code>{} --blocks {}</code></pre><button type="button" data-copy>Copy</button></div>'
    ).format(words.blocks(gap), join, gap)


def _spoken(snapshot: SwarmSnapshot) -> str:
    """The map in one sentence, for those who do not see it."""
    total = words.count(snapshot.num_blocks, "block")
    if snapshot.is_complete:
        return f"{total}, all served"
    missing = ", ".join(words.blocks(gap) for gap in snapshot.gaps)
    return f"{total}; nobody serves {missing}"


def _node(node: NodeInfo, snapshot: SwarmSnapshot, used: bool) -> Markup:
    span = node.span.clip(Span(0, snapshot.num_blocks))
    left = 100 * span.start / snapshot.num_blocks
    width = 100 * len(span) / snapshot.num_blocks
    name = (node.public_name or "").strip()[:NAME_LENGTH] or f"node …{node.peer_id[-4:]}"
    facts = [f"{words.blocks(span)}" if len(span) else "no blocks"]
    if node.state is not NodeState.ONLINE:
        facts.append(node.state.name.lower())
    if (rtt := snapshot.rtts.get(node.peer_id)) is not None:
        facts.append(f"{rtt * 1000:.0f} ms")
    if node.inference_rps and len(span):
        facts.append(f"{node.inference_rps / len(span):.0f} tokens/s")
    if node.context_tokens_left is not None:
        facts.append(f"room for {words.count(node.context_tokens_left, 'token')}")
    if node.version:
        facts.append(f"v{' '.join(node.version.split())[:NAME_LENGTH]}")
    state = node.state.name.lower() + (" used" if used else "")
    return Markup(
        '<li class="{}"><b>{}</b><span>{}</span>'
        '<div class="fm-bar"><i style="left:{:.2f}%;width:{:.2f}%"></i></div></li>'
    ).format(state, name, " · ".join(facts), left, width)


def _join(command: str) -> Markup:
    if not command:
        return Markup("")
    if "/ip4/127." in command or "/ip6/::1/" in command:
        where = (
            "This swarm listens on this machine only, so a node must run here too. "
            "In the folder of this app, run:"
        )
        open_up = Markup(
            "<p>To let other machines join, start the app with <code>host = "
            "&quot;0.0.0.0&quot;</code> under <code>[swarm]</code>.</p>"
        )
    else:
        where = (
            "On a machine with this project and the model's files, in the project's folder, run:"
        )
        open_up = Markup("")
    return Markup(
        "<details class='fm-join'><summary>Add a node</summary><p>{}</p>"
        '<pre><code>{}</code></pre><button type="button" data-copy>Copy</button>{}</details>'
    ).format(where, command, open_up)
