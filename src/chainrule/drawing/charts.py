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

from chainrule.drawing.text_width import shortened, text_width

WIDTH, HEIGHT = 480, 300
"""Of a picture; the names of many lines make it higher."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 28, 48
_KEY, _KEY_GAP, _KEY_HEIGHT = 24, 16, 16
"""Of the names of lines: the sample before each, the gap after it, a row of them."""
_BESIDE_TICKS = 28
"""The room beside the numbers on the upright axis: of its label and of gaps."""
_MARGIN = 4
"""Between a text and the picture's edge."""

COLOURS = ("#2a6fdb", "#d9822b", "#3a9a5b", "#b3446c", "#7a5cc4", "#6b7280")
DASHES = ("", ' stroke-dasharray="7 3"', ' stroke-dasharray="2 3"')
"""Of lines beyond those that have a colour of their own."""
_NARROWEST = 1e-12
"""The least range of an axis, as a part of its largest number: float64 has 16 digits."""


class Axis(NamedTuple):
    """A range of numbers, and the ends of its line in the picture."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a number lies in the picture."""
        share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # halves don't overflow
        return self.start + share * (self.end - self.start)


def line_chart(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, x: str, y: str
) -> str:
    """Lines through points.

    Args:
        series: for each line its name, and the points' places on both axes; points that are not
            finite interrupt it, and one between them is a dot. Colours and dashes tell 18 lines
            apart; from the 19th on they come again.
        title: what the chart shows; also for those who can't see it.
        x, y: the labels of the axes.

    A text that is too long for the picture ends in an ellipsis, and is whole in its tooltip.

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
    keys, height = _keys(list(found))
    axes = _axes(np.concatenate([np.empty((0, 2)), *found.values()]), height)
    parts = [*_frame(axes, title if len(found) < 2 else "", x, y), *keys]
    for number, points in enumerate(found.values()):
        gaps = np.flatnonzero(~np.isfinite(points).all(axis=1))
        for part in np.split(points, gaps):
            shown = _shown(part[np.isfinite(part).all(axis=1)], axes)
            if len(shown) == 1:
                parts.append(_dot(shown[0], 3, number))
            elif shown:
                parts.append(
                    f'<polyline points="{" ".join(shown)}" fill="none" stroke-width="2" '
                    f"{_stroke(number)}/>"
                )
    return _svg(parts, title, height)


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
    parts = _frame(axes, title, x, y)
    if diagonal:
        ends = [(low, low) for low in (axes[0].low, axes[0].high)]
        (ax, ay), (bx, by) = [(axes[0].place(p), axes[1].place(q)) for p, q in ends]
        parts.append(
            f'<line x1="{ax:.1f}" y1="{ay:.1f}" x2="{bx:.1f}" y2="{by:.1f}" '
            'stroke="var(--ink, #333)" stroke-dasharray="4 3"/>'
        )
    radius, opacity = (2.5, 0.55) if len(points) > 50 else (4, 0.9)  # many points overlap
    for place in _shown(points[np.isfinite(points).all(axis=1)], axes):
        parts.append(_dot(place, radius, 0, f' opacity="{opacity}"'))
    return _svg(parts, title)


def bar_chart(edges: ArrayLike, heights: ArrayLike, *, title: str, x: str, y: str) -> str:
    """Bars side by side, as of a histogram.

    Args:
        edges: where the bars begin and end, one more than there are bars.
        heights: how high they are, from 0; where one is not finite there is no bar.
        title, x, y: as of `line_chart`.

    Raises:
        ValueError: if there is no bar, the edges are not finite or do not rise, or the numbers of
            edges and heights do not fit.

    Example:
        >>> bar_chart([0, 1, 2], [5, 3], title="ages", x="age", y="rows").count("<rect")
        2
    """
    ends, tops = np.asarray(edges, float), np.asarray(heights, float)
    if not len(tops) or len(ends) != len(tops) + 1:
        raise ValueError(f"{len(tops)} bars have {len(tops) + 1} edges, got {len(ends)}")
    if not np.isfinite(ends).all():
        raise ValueError(f"bars begin and end at finite numbers, got the edges {ends}")
    if not (ends[:-1] < ends[1:]).all():
        raise ValueError(f"the edges of bars rise from one to the next, got {ends}: sort them")
    if not np.isfinite(tops).any():
        raise ValueError("there is no bar of a finite height to draw")
    shown = np.append(np.where(np.isfinite(tops), tops, 0.0), 0.0)
    axes = _axes(np.stack([ends, shown], axis=1))
    parts = _frame(axes, title, x, y)
    floor = axes[1].place(0.0)
    for low, high, top in zip(ends, ends[1:], tops, strict=False):
        if not math.isfinite(top):
            continue
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
    rough = high / most - low / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{number * step:.15g}") for number in range(first, last + 1)]


def _ticks(low: float, high: float, room: float = math.inf) -> list[tuple[float, str]]:
    """The ticks of an axis with their texts: as many as have room beside each other."""
    found: list[tuple[float, str]] = []
    for most in range(6, 0, -1):
        values = ticks(low, high, most)
        found = list(zip(values, _tick_texts(values), strict=True))
        if sum(text_width(text, 12) + 8 for _, text in found) <= room:
            break
    return found


def _tick_texts(values: Sequence[float]) -> list[str]:
    """Numbers on an axis: with as many digits as tell them apart."""
    texts = [f"{value:.10g}" if abs(value) < 1e7 else f"{value:g}" for value in values]
    for digits in range(7, 18):
        if len(set(texts)) == len(texts):
            break
        texts = [f"{value:.{digits}g}" for value in values]
    return texts


def _points(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    places = [np.asarray(given, np.float64).ravel() for given in (a, b)]
    if len(places[0]) != len(places[1]):
        raise ValueError(
            f"a point has a place on both axes, got {len(places[0])} on the one and "
            f"{len(places[1])} on the other"
        )
    return np.stack(places, axis=1)


def _axes(points: NDArray[np.float64], height: int = HEIGHT) -> tuple[Axis, Axis]:
    """The ranges of all finite points, a little wider where they would be empty."""
    finite = points[np.isfinite(points).all(axis=1)]
    if not len(finite):
        raise ValueError("there is no finite point to draw")
    ranges = []
    most = np.finfo(np.float64).max
    for low, high in zip(finite.min(axis=0).tolist(), finite.max(axis=0).tolist(), strict=True):
        room = high * 0.02 - low * 0.02 or max(abs(high), 1.0) * 0.5
        room = max(room, max(abs(low), abs(high)) * _NARROWEST)
        ranges.append((max(low - room, -most) if low else 0.0, min(high + room, most)))
    (left, right), (low, high) = ranges
    widest = max((text_width(text, 12) for _, text in _ticks(low, high)), default=0.0)
    start = max(_LEFT, math.ceil(widest) + _BESIDE_TICKS)
    below = _ticks(left, right, WIDTH - _RIGHT - start)
    half = math.ceil(max((text_width(text, 12) for _, text in below), default=0.0) / 2)
    start, end = max(start, half + _MARGIN), WIDTH - max(_RIGHT, half + _MARGIN)
    top = _TOP + height - HEIGHT
    return Axis(left, right, start, end), Axis(low, high, height - _BOTTOM, top)


def _frame(axes: tuple[Axis, Axis], title: str, x: str, y: str) -> list[str]:
    """The axes with their ticks and labels, and the title."""
    across, up = axes
    parts = []
    for value, text in _ticks(across.low, across.high, across.end - across.start):
        at = across.place(value)
        parts.append(
            f'<line x1="{at:.1f}" y1="{up.start}" x2="{at:.1f}" y2="{up.end}" '
            f'stroke="var(--grid, #ddd)"/>{_text(at, up.start + 16, text, "middle")}'
        )
    for value, text in _ticks(up.low, up.high):
        at = up.place(value)
        parts.append(
            f'<line x1="{across.start}" y1="{at:.1f}" x2="{across.end}" y2="{at:.1f}" '
            f'stroke="var(--grid, #ddd)"/>{_text(across.start - 6, at + 4, text, "end")}'
        )
    middle = (up.start + up.end) / 2
    parts.append(_text(WIDTH / 2, up.start + _BOTTOM - 10, x, "middle", WIDTH - 2 * _MARGIN))
    beside = _text(14, middle, y, "middle", up.start - up.end)
    parts.append(f'<g transform="rotate(-90 14 {middle:g})">{beside}</g>')
    if title:
        room = WIDTH - across.start - _MARGIN
        parts.append(_text(across.start, 18, title, "start", room))
    return parts


def _keys(names: Sequence[str]) -> tuple[list[str], int]:
    """What the lines are, in rows above them, and the height of the picture with these rows."""
    parts: list[str] = []
    if len(names) < 2:
        return parts, HEIGHT
    at, row = float(_KEY_GAP), 0
    for number, name in enumerate(names):
        room = WIDTH - 2 * _KEY_GAP - _KEY
        width = _KEY + min(text_width(name, 12), room) + _KEY_GAP
        if at + width > WIDTH:  # never at the start of a row: `room` is what it has
            at, row = _KEY_GAP, row + 1
        y = 14 + row * _KEY_HEIGHT
        parts.append(
            f'<line x1="{at:.1f}" y1="{y}" x2="{at + 18:.1f}" y2="{y}" stroke-width="3" '
            f"{_stroke(number)}/>{_text(at + _KEY, y + 4, name, 'start', room)}"
        )
        at += width
    return parts, HEIGHT + row * _KEY_HEIGHT


def _shown(points: NDArray[np.float64], axes: tuple[Axis, Axis]) -> list[str]:
    return [f"{axes[0].place(p):.1f},{axes[1].place(q):.1f}" for p, q in points.tolist()]


def _colour(number: int) -> str:
    return f"var(--series-{number % len(COLOURS)}, {COLOURS[number % len(COLOURS)]})"


def _stroke(number: int) -> str:
    dashes = DASHES[number // len(COLOURS) % len(DASHES)]
    return f'stroke="{_colour(number)}"{dashes}'


def _dot(place: str, radius: float, number: int, more: str = "") -> str:
    cx, cy = place.split(",")
    return f'<circle cx="{cx}" cy="{cy}" r="{radius}" fill="{_colour(number)}"{more}/>'


def _text(x: float, y: float, text: str, anchor: str, room: float = math.inf) -> str:
    """A line of text; one that is wider than the room is shortened, and whole in its tooltip."""
    short = shortened(text, 12, room)
    whole = "" if short == text else f"<title>{html.escape(text)}</title>"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="var(--ink, #333)" '
        f'font-size="12">{html.escape(short)}{whole}</text>'
    )


def _svg(parts: Sequence[str], title: str, height: int = HEIGHT) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif"><title>{html.escape(title)}</title>'
        + "".join(parts)
        + "</svg>"
    )
