"""Charts as SVG: lines, points and bars between two labelled axes.

Colours are CSS variables with defaults, `--ink`, `--grid` and `--series-0` ..., so that a page can
have a light and a dark form. The same numbers give the same text.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.drawing.text_width import text_width

WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 28, 48
_BESIDE_TICKS = 28
"""The room beside the numbers on the upright axis: of its label and of gaps."""

COLOURS = ("#2a6fdb", "#d9822b", "#3a9a5b", "#b3446c", "#7a5cc4", "#6b7280")


class Axis(NamedTuple):
    """A range of numbers, and the ends of its line in the picture."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a number lies in the picture."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, x: str, y: str
) -> str:
    """Lines through points.

    Args:
        series: for each line its name, and the points' places on both axes; points that are not
            finite interrupt it.
        title: what the chart shows; also for those who can't see it.
        x, y: the labels of the axes.

    Raises:
        ValueError: if there is no finite point, or the numbers of places on the axes differ.

    Example:
        >>> picture = line_chart(
        ...     {"loss": ([1, 2, 3], [0.9, 0.4, 0.3])}, title="Loss", x="epoch", y="loss"
        ... )
        >>> picture.startswith("<svg "), picture.count("<polyline")
        (True, 1)
    """
    found = {name: _points(*given) for name, given in series.items()}
    axes = _axes(np.concatenate(list(found.values())))
    parts = _frame(axes, title, x, y, list(found))
    for number, points in enumerate(found.values()):
        gaps = np.flatnonzero(~np.isfinite(points).all(axis=1))
        for part in np.split(points, gaps):
            shown = _shown(part[np.isfinite(part).all(axis=1)], axes)
            if shown:
                parts.append(
                    f'<polyline points="{" ".join(shown)}" fill="none" stroke="{_colour(number)}" '
                    'stroke-width="2"/>'
                )
    return _svg(parts, title)


def scatter_chart(
    a: ArrayLike, b: ArrayLike, *, title: str, x: str, y: str, diagonal: bool = False
) -> str:
    """Points; with `diagonal` both axes have one range, and a line shows where they are equal.

    Args:
        a, b: the points' places on both axes.
        title, x, y: as of `line_chart`.
        diagonal: whether both axes are of the same kind.

    Raises:
        ValueError: if there is no finite point, or the numbers of places on the axes differ.

    Example:
        >>> scatter_chart([1, 2], [1, 3], title="y", x="actual", y="predicted").count("<circle")
        2
    """
    points = _points(a, b)
    axes = _axes(np.stack([points.ravel()] * 2, axis=1) if diagonal else points)
    parts = _frame(axes, title, x, y, [])
    if diagonal:
        ends = [(low, low) for low in (axes[0].low, axes[0].high)]
        (ax, ay), (bx, by) = [(axes[0].place(p), axes[1].place(q)) for p, q in ends]
        parts.append(
            f'<line x1="{ax:.1f}" y1="{ay:.1f}" x2="{bx:.1f}" y2="{by:.1f}" '
            'stroke="var(--ink, #333)" stroke-dasharray="4 3"/>'
        )
    radius, opacity = (2.5, 0.55) if len(points) > 50 else (4, 0.9)  # many points overlap
    for place in _shown(points[np.isfinite(points).all(axis=1)], axes):
        cx, cy = place.split(",")
        dot = f'<circle cx="{cx}" cy="{cy}" r="{radius}" fill="{_colour(0)}" opacity="{opacity}"/>'
        parts.append(dot)
    return _svg(parts, title)


def bar_chart(edges: ArrayLike, heights: ArrayLike, *, title: str, x: str, y: str) -> str:
    """Bars side by side, as of a histogram.

    Args:
        edges: where the bars begin and end, one more than there are bars.
        heights: how high they are, from 0.
        title, x, y: as of `line_chart`.

    Raises:
        ValueError: if there is no bar, or the numbers of edges and heights do not fit.

    Example:
        >>> bar_chart([0, 1, 2], [5, 3], title="ages", x="age", y="rows").count("<rect")
        2
    """
    ends, tops = np.asarray(edges, float), np.asarray(heights, float)
    if not len(tops) or len(ends) != len(tops) + 1:
        raise ValueError(f"{len(tops)} bars have {len(tops) + 1} edges, got {len(ends)}")
    axes = _axes(np.stack([ends, np.append(tops, 0.0)], axis=1))
    parts = _frame(axes, title, x, y, [])
    floor = axes[1].place(0.0)
    for low, high, top in zip(ends, ends[1:], tops, strict=False):
        left, right, end = axes[0].place(low), axes[0].place(high), axes[1].place(top)
        parts.append(
            f'<rect x="{left + 0.5:.1f}" y="{min(end, floor):.1f}" '
            f'width="{max(right - left - 1, 0.5):.1f}" height="{abs(floor - end):.1f}" '
            f'fill="{_colour(0)}"/>'
        )
    return _svg(parts, title)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten.

    >>> ticks(0.0, 0.93)
    [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _tick(value: float) -> str:
    """A number on an axis."""
    return f"{value:.10g}" if abs(value) < 1e7 else f"{value:g}"


def _points(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    places = [np.asarray(given, np.float64).ravel() for given in (a, b)]
    if len(places[0]) != len(places[1]):
        raise ValueError(
            f"a point has a place on both axes, got {len(places[0])} on the one and "
            f"{len(places[1])} on the other"
        )
    return np.stack(places, axis=1)


def _axes(points: NDArray[np.float64]) -> tuple[Axis, Axis]:
    """The ranges of all finite points, a little wider where they would be empty."""
    finite = points[np.isfinite(points).all(axis=1)]
    if not len(finite):
        raise ValueError("there is no finite point to draw")
    ranges = []
    for low, high in zip(finite.min(axis=0).tolist(), finite.max(axis=0).tolist(), strict=True):
        room = (high - low) * 0.02 or max(abs(high), 1.0) * 0.5
        ranges.append((low - room if low else 0.0, high + room))
    (left, right), (low, high) = ranges
    widest = max((text_width(_tick(value), 12) for value in ticks(low, high)), default=0.0)
    start = max(_LEFT, math.ceil(widest) + _BESIDE_TICKS)
    return Axis(left, right, start, WIDTH - _RIGHT), Axis(low, high, HEIGHT - _BOTTOM, _TOP)


def _frame(axes: tuple[Axis, Axis], title: str, x: str, y: str, names: Sequence[str]) -> list[str]:
    """The axes with their ticks and labels, and what the lines are."""
    across, up = axes
    parts = []
    for value in ticks(across.low, across.high):
        at = across.place(value)
        parts.append(
            f'<line x1="{at:.1f}" y1="{up.start}" x2="{at:.1f}" y2="{up.end}" '
            f'stroke="var(--grid, #ddd)"/>{_text(at, up.start + 16, _tick(value), "middle")}'
        )
    for value in ticks(up.low, up.high):
        at = up.place(value)
        parts.append(
            f'<line x1="{across.start}" y1="{at:.1f}" x2="{across.end}" y2="{at:.1f}" '
            f'stroke="var(--grid, #ddd)"/>{_text(across.start - 6, at + 4, _tick(value), "end")}'
        )
    parts.append(_text(WIDTH / 2, HEIGHT - 10, x, "middle"))
    parts.append(
        f'<g transform="rotate(-90 14 {HEIGHT / 2:g})">{_text(14, HEIGHT / 2, y, "middle")}</g>'
    )
    if len(names) > 1:
        step = (across.end - across.start) / len(names)
        for number, name in enumerate(names):
            at = across.start + number * step
            parts.append(
                f'<line x1="{at:.1f}" y1="14" x2="{at + 18:.1f}" y2="14" stroke-width="3" '
                f'stroke="{_colour(number)}"/>{_text(at + 24, 18, name, "start")}'
            )
    else:
        parts.append(_text(across.start, 18, title, "start"))
    return parts


def _shown(points: NDArray[np.float64], axes: tuple[Axis, Axis]) -> list[str]:
    return [f"{axes[0].place(p):.1f},{axes[1].place(q):.1f}" for p, q in points.tolist()]


def _colour(number: int) -> str:
    return f"var(--series-{number % len(COLOURS)}, {COLOURS[number % len(COLOURS)]})"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="var(--ink, #333)" '
        f'font-size="12">{html.escape(text)}</text>'
    )


def _svg(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif"><title>{html.escape(title)}</title>'
        + "".join(parts)
        + "</svg>"
    )
