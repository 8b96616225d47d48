"""docs/images/rooms.svg: the rooms on their floors, drawn from the imports themselves.

The same source gives the same bytes, so scripts/check_docs.py can compare the file.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from scripts.rooms import FLOORS, PURE, path_of, room_imports, said, taken_by_name

WIDTH, MARGIN = 1120, 20  # pixels, as all lengths here
ROOM_WIDTH, ROOM_HEIGHT, FLOOR_HEIGHT = 158, 50, 72
TOWER_WIDTH = (WIDTH - 3 * MARGIN) // 2
TOP = 44  # from a tower's roof to its first room
ENGINE_FLOORS_LOWER = 4  # the engine stands lower than what uses it
ROOMS_BESIDE = 3  # of one floor; more are drawn below them
CHARACTERS = 25  # of a line in a room
LEGEND = (
    "Rooms are folders and modules. An arrow is an import, and all arrows go down:",
    "no room knows one that is above it or beside it. {count} imports between rooms;",
    "an arrow is left out where others lead the same way.",
)

STYLE = """
svg { color-scheme: light dark }
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.name { font-weight: 600; font-family: ui-monospace, monospace }
.what { font-size: 10.5px; fill: #57606a }
.paper { fill: #ffffff }
.tower { fill: #f6f8fa; stroke: #d0d7de }
.room { fill: #ffffff; stroke: #8c959f }
.pure { fill: #e6f4ea; stroke: #4c9a67 }
.way { fill: none; stroke: #6e7781; stroke-width: 1.2; marker-end: url(#tip) }
.between { stroke: #0969da; marker-end: url(#tip-between) }
.named { stroke-dasharray: 5 4 }
#tip path { fill: #6e7781 }
#tip-between path { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.what { fill: #9198a1 }
.paper { fill: #0d1117 }
.tower { fill: #151b23; stroke: #3d444d }
.room { fill: #212830; stroke: #656c76 }
.pure { fill: #12301f; stroke: #3f8f5b }
.way { stroke: #9198a1 }
.between { stroke: #4493f8 }
#tip path { fill: #9198a1 }
#tip-between path { fill: #4493f8 }
}
"""


@dataclass(frozen=True)
class Room:
    """A box, by its upper left corner."""

    name: str
    x: float
    y: float

    @property
    def middle(self) -> float:
        return self.x + ROOM_WIDTH / 2


def rooms_svg() -> str:
    """The picture as a file's text."""
    rooms = {room.name: room for room in _placed()}
    height = max(room.y for room in rooms.values()) + ROOM_HEIGHT + 2 * MARGIN
    ways = room_imports()
    named = set(taken_by_name())
    shown = {(source, target) for source, target in _shortest(ways) if source in rooms}
    count = sum(map(len, ways.values()))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">',
        "<title>The rooms of FarMesh Chat and the imports between them</title>",
        f"<style>{STYLE}</style>",
        _tip("tip"),
        _tip("tip-between"),
        f'<rect class="paper" width="{WIDTH}" height="{height:g}"/>',
        *_towers(rooms.values()),
        *_legend(count),
        *_arrows(rooms, shown | named, named),
        *(part for room in rooms.values() for part in _box(room)),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _placed() -> Iterator[Room]:
    """Every room on its floor, in the tower of the product or of the engine."""
    rows = [f[i : i + ROOMS_BESIDE] for f in FLOORS for i in range(0, len(f), ROOMS_BESIDE)]
    product = [row for row in rows if not _in_engine(row[0])]
    engine = [row for row in rows if _in_engine(row[0])]
    for left, lowest, tower in (
        (MARGIN, 0, product),
        (2 * MARGIN + TOWER_WIDTH, ENGINE_FLOORS_LOWER, engine),
    ):
        for number, floor in enumerate(tower, lowest):
            gap = (TOWER_WIDTH - len(floor) * ROOM_WIDTH) / (len(floor) + 1)
            for place, name in enumerate(floor):
                x = left + gap + place * (ROOM_WIDTH + gap)
                yield Room(name, round(x), MARGIN + TOP + number * FLOOR_HEIGHT)


def _in_engine(name: str) -> bool:
    return name.startswith("farmesh")


def _shortest(ways: dict[str, set[str]]) -> set[tuple[str, str]]:
    """The ways that no others make up for (there are no circles)."""

    def reached(room: str) -> set[str]:
        return ways[room].union(*map(reached, ways[room]))

    return {
        (room, target)
        for room, targets in ways.items()
        for target in targets
        if not any(target in reached(other) for other in targets)
    }


def _towers(rooms: Iterable[Room]) -> Iterator[str]:
    for title, left, inside in (
        ("chat/ — the product", MARGIN, [r for r in rooms if not _in_engine(r.name)]),
        (
            "farmesh/ — the engine: token ids in, typed events out",
            2 * MARGIN + TOWER_WIDTH,
            [r for r in rooms if _in_engine(r.name)],
        ),
    ):
        top = min(room.y for room in inside) - TOP
        height = max(room.y for room in inside) + ROOM_HEIGHT + MARGIN - top
        yield (
            f'<rect class="tower" x="{left}" y="{top:g}" width="{TOWER_WIDTH}" '
            f'height="{height:g}" rx="10"/>'
        )
        yield f'<text class="title" x="{left + 16}" y="{top + 26:g}">{title}</text>'


def _legend(count: int) -> Iterator[str]:
    x, y = 2 * MARGIN + TOWER_WIDTH, MARGIN + 26
    yield f'<text class="title" x="{x}" y="{y}">Who imports whom</text>'
    for line in LEGEND:
        y += 20
        yield f'<text x="{x}" y="{y}">{escape(line.format(count=count))}</text>'
    for sample, text in (
        ('<path class="way" d="M{x},{y} h34"/>', "within a tower"),
        ('<path class="way between" d="M{x},{y} h34"/>', "from the product to the engine"),
        (
            '<path class="way between named" d="M{x},{y} h34"/>',
            "the same, by its public name, when a model is opened",
        ),
        (
            '<rect class="room pure" x="{x}" y="{above}" width="34" height="16" rx="4"/>',
            "values and decisions: no I/O, no clock",
        ),
    ):
        y += 26
        yield sample.format(x=x, y=y - 4, above=y - 12)
        yield f'<text x="{x + 44}" y="{y}">{text}</text>'


def _tip(name: str) -> str:
    """The head of an arrow."""
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0.8 L8,4 L0,7.2 z"/></marker>'
    )


def _arrows(
    rooms: dict[str, Room], ways: set[tuple[str, str]], named: set[tuple[str, str]]
) -> Iterator[str]:
    """Curves from below a room to above another; those of one room side by side."""
    for source, target in sorted(ways):
        down = sorted((rooms[t].middle, t) for s, t in ways if s == source)
        up = sorted((rooms[s].middle, s) for s, t in ways if t == target)
        start = _port(rooms[source], [t for _, t in down].index(target), len(down))
        end = _port(rooms[target], [s for _, s in up].index(source), len(up))
        y, to = rooms[source].y + ROOM_HEIGHT, rooms[target].y
        bend = min(70.0, max(18.0, (to - y) * 0.5))
        kind = "way" + " between" * (_in_engine(source) != _in_engine(target))
        kind += " named" * ((source, target) in named)
        yield (
            f'<path class="{kind}" d="M{start:g},{y:g} C{start:g},{y + bend:g} '
            f'{end:g},{to - bend:g} {end:g},{to:g}"/>'
        )


def _port(room: Room, number: int, of: int) -> float:
    """Where the arrow of this number meets a room's edge."""
    step = min(22.0, (ROOM_WIDTH - 40) / of)
    return round(room.middle + (number - (of - 1) / 2) * step, 1)


def _box(room: Room) -> Iterator[str]:
    kind = "room pure" if room.name in PURE else "room"
    yield (
        f'<rect class="{kind}" x="{room.x:g}" y="{room.y:g}" width="{ROOM_WIDTH}" '
        f'height="{ROOM_HEIGHT}" rx="6"/>'
    )
    title = path_of(room.name).removeprefix("chat/").removeprefix("farmesh/")
    lines = textwrap.wrap(_what(room.name), CHARACTERS)
    y = room.y + (20 if len(lines) > 1 else 23)
    yield f'<text class="name" x="{room.middle:g}" y="{y:g}" text-anchor="middle">{title}</text>'
    for number, line in enumerate(lines):
        below = y + 13 + 12 * number
        yield (
            f'<text class="what" x="{room.middle:g}" y="{below:g}" text-anchor="middle">'
            f"{escape(line)}</text>"
        )


def _what(name: str) -> str:
    """The first clause of what a room says of itself."""
    return re.split(r"[:;,(]|\.\s|\.$", said(name).replace("`", ""))[0].strip()
