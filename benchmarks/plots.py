"""Small line charts as SVG, readable on light and dark pages; no library needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

COLOURS = ("#1f6f54", "#b4552d", "#3b5f9e", "#8a6d1d")
WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 56, 44
Points = Sequence[tuple[float, float]]


def line_chart(
    path: Path,
    title: str,
    series: Mapping[str, Points],
    x_label: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    y_ticks: Sequence[float],
    x_ticks: Sequence[float],
    unit: str = "",
) -> None:
    """Draw every series as a line with its name above the chart."""
    place_x = _scale(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT, log=log_x)
    place_y = _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP, log=log_y)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{title}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fffdf7"/>'
        f'<text x="{LEFT}" y="20" font-size="14" fill="#1d2420">{title}</text>'
    )
    parts = [head]
    for tick in y_ticks:
        y = place_y(tick)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#d9d3c3"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#556">'
            f"{tick:g}{unit}</text>"
        )
    parts += [
        f'<text x="{place_x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" '
        f'fill="#556">{tick:,g}</text>'
        for tick in x_ticks
    ]
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle" '
        f'fill="#556">{x_label}</text>'
    )
    at = LEFT
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        drawn = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
            f'<path d="M{at} 38h18" stroke="{colour}" stroke-width="3"/>'
            f'<text x="{at + 24}" y="42" fill="#1d2420">{name}</text>'
        )
        at += 44 + 7 * len(name)
    path.write_text("".join(parts) + "</svg>\n", encoding="utf-8")


def _scale(
    low: float, high: float, start: float, end: float, *, log: bool
) -> Callable[[float], float]:
    """From values to pixels; what lies outside is drawn at the edge."""
    map_to: Callable[[float], float] = math.log10 if log else float

    def place(value: float) -> float:
        share = (map_to(min(max(value, low), high)) - map_to(low)) / (map_to(high) - map_to(low))
        return start + share * (end - start)

    return place
