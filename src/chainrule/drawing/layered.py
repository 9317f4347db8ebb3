"""A layered layout: boxes in rows, joined by lines that meet no box but their own two.

Long lines get a bend in each row that they pass, and the bends take part in the order of the row.
The same boxes and edges give the same picture: nothing is drawn by lot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chainrule.drawing.alignment import Apart, places
from chainrule.drawing.crossings import Segment, reduce_crossings
from chainrule.drawing.ranks import Edge, ranks

BOX_GAP, BEND_GAP, ROW_GAP = 22.0, 11.0, 30.0
_LEAST_ROW_GAP, _MOST_ROW_GAP = 8.0, 84.0
_SLOPE = 0.09  # of a gap's height, to how far its widest line goes across
_PORTS = 0.7  # the part of a box's side over which its lines are spread

MOST_PARTS = 200_000
"""Boxes and bends of a picture, which takes ten seconds then; more are not laid out.

A line through n rows has n bends: those from a weight to each step of a long sequence make more
bends than boxes, as the square of the length.
"""

Point = tuple[float, float]


class Layout(NamedTuple):
    """Where everything lies.

    Attributes:
        width, height: of the whole picture.
        boxes: the middle of each box.
        lines: of each edge the points that it passes: from its source's side, then the ends of the
            straight pieces through the rows between, to its target's side.
        rows: of each box the number of its row.
    """

    width: float
    height: float
    boxes: list[Point]
    lines: list[list[Point]]
    rows: list[int]


class _Line(NamedTuple):
    """An edge as it lies in the picture: from its upper to its lower end, by way of bends."""

    chain: list[int]
    upwards: bool
    at_upper: float
    at_lower: float


def layered(
    sizes: Sequence[tuple[float, float]],
    edges: Sequence[Edge],
    *,
    rows: Sequence[int] | None = None,
    groups: Sequence[int] | None = None,
    row_gap: float = ROW_GAP,
) -> Layout:
    """Boxes of the given sizes in rows, their sources above them.

    Args:
        sizes: width and height of each box.
        edges: as numbers of boxes; those into one box end side by side, in this order.
        rows: the row of each box, if they are not to be found; an edge to a lower row goes up.
        groups: boxes of a lower group lie to the left of those of a higher one.
        row_gap: the least distance of rows with an arrow between.

    Raises:
        ValueError: if the edges form a circle, an edge of `rows` would be level, or there are more
            than `MOST_PARTS` boxes and bends.

    Example:
        >>> found = layered([(40, 20), (40, 20)], [(0, 1)])
        >>> found.boxes, found.lines
        ([(20.0, 10.0), (20.0, 60.0)], [[(20.0, 20.0), (20.0, 50.0)]])
    """
    count = len(sizes)
    row_of = list(rows) if rows is not None else ranks(count, edges)
    if any(row_of[s] == row_of[t] for s, t in edges):
        raise ValueError("an edge joins two boxes of one row")
    parts = count + sum(abs(row_of[s] - row_of[t]) - 1 for s, t in edges)
    if parts > MOST_PARTS:
        raise ValueError(
            f"a picture of {count:,} boxes, whose lines have {parts - count:,} bends, is too large "
            f"to be laid out, with more than {MOST_PARTS:,} of both: open fewer layers, draw fewer "
            "steps of a sequence or a part of the graph; to_dot() has all of it, for Graphviz"
        )
    group_of = [float(g) for g in groups] if groups is not None else [0.0] * count
    lines = _lines(edges, row_of, group_of)
    segments = []
    for line in lines:
        last = len(line.chain) - 2
        for number, (upper, lower) in enumerate(zip(line.chain, line.chain[1:], strict=False)):
            at_upper = line.at_upper if number == 0 else 0.0
            segments.append(Segment(upper, lower, at_upper, line.at_lower if number == last else 0))
    first = _first_order(count, edges, row_of, group_of, lines)
    ordered = reduce_crossings(first, segments, group_of)
    bends = [False] * count + [True] * (len(row_of) - count)
    widths = [width for width, _ in sizes] + [0.0] * (len(row_of) - count)

    def apart(left: int, right: int) -> float:
        gap = BEND_GAP if bends[left] or bends[right] else BOX_GAP
        return (widths[left] + widths[right]) / 2 + gap

    x, width = _side_by_side(ordered, segments, bends, widths, group_of, apart)
    lines = _straightened(lines, x)
    tops, bottoms = _heights(ordered, segments, sizes, x, row_of, row_gap)
    middles = [(a + b) / 2 for a, b in zip(tops, bottoms, strict=True)]
    paths = [_path(line, sizes, x, row_of, middles, tops, bottoms) for line in lines]
    boxes = [(x[box], middles[row_of[box]]) for box in range(count)]
    return Layout(width, bottoms[-1] if bottoms else 0.0, boxes, paths, row_of[:count])


def _side_by_side(
    rows: list[list[int]],
    segments: list[Segment],
    bends: list[bool],
    widths: list[float],
    group_of: list[float],
    apart: Apart,
) -> tuple[list[float], float]:
    """The middle of each box, and the width of all: each group is a column of its own."""
    x = [0.0] * len(bends)
    end = 0.0
    for group in sorted(set(group_of)):
        own = [[box for box in row if group_of[box] == group] for row in rows]
        inner = [s for s in segments if group_of[s.upper] == group_of[s.lower] == group]
        found = places(own, inner, bends, apart)
        drawn = [box for row in own for box in row]
        left = min(found[box] - widths[box] / 2 for box in drawn)
        start = end + BOX_GAP if end else 0.0
        for box in drawn:
            x[box] = found[box] - left + start
        end = max(x[box] + widths[box] / 2 for box in drawn)
    return x, end


def _lines(edges: Sequence[Edge], row_of: list[int], group_of: list[float]) -> list[_Line]:
    """The edges with their bends, which are added to `row_of` and `group_of`."""
    into: dict[tuple[int, bool], int] = {}
    sides = [(target, row_of[source] > row_of[target]) for source, target in edges]
    for side in sides:
        into[side] = into.get(side, 0) + 1
    used: dict[tuple[int, bool], int] = {}
    lines = []
    for (source, target), side in zip(edges, sides, strict=True):
        used[side] = used.get(side, 0) + 1
        port = (used[side] / (into[side] + 1) - 0.5) * _PORTS
        upwards = side[1]
        upper, lower = (target, source) if upwards else (source, target)
        middle = (group_of[source] + group_of[target]) / 2
        chain = [upper]
        for row in range(row_of[upper] + 1, row_of[lower]):
            chain.append(len(row_of))
            row_of.append(row)
            group_of.append(middle)
        chain.append(lower)
        lines.append(_Line(chain, upwards, port if upwards else 0.0, 0.0 if upwards else port))
    return lines


def _straightened(lines: list[_Line], x: list[float]) -> list[_Line]:
    """The lines, where one of those into a box comes from straight above or below it: it ends in
    the middle, and the others to its left and right, in their order."""
    into: dict[tuple[int, bool], list[int]] = {}
    for number, line in enumerate(lines):
        target = line.chain[0] if line.upwards else line.chain[-1]
        into.setdefault((target, line.upwards), []).append(number)
    found = list(lines)
    for (target, upwards), numbers in into.items():
        ends = [lines[n].chain[1] if upwards else lines[n].chain[-2] for n in numbers]
        straight = [i for i, end in enumerate(ends) if abs(x[end] - x[target]) < 0.5]
        if len(straight) != 1 or len(numbers) == 1:
            continue
        for i, number in enumerate(numbers):
            steps = i - straight[0]
            port = steps / (max(straight[0], len(numbers) - 1 - straight[0]) + 1) * _PORTS * 0.75
            line = lines[number]
            found[number] = (
                line._replace(at_upper=port) if upwards else line._replace(at_lower=port)
            )
    return found


def _first_order(
    count: int,
    edges: Sequence[Edge],
    row_of: list[int],
    group_of: list[float],
    lines: list[_Line],
) -> list[list[int]]:
    """The boxes of each row in the order of a walk from the results back to their sources."""
    rows: list[list[int]] = [[] for _ in range(max(row_of, default=-1) + 1)]
    into: list[list[int]] = [[] for _ in range(count)]
    has_target = [False] * count
    for number, (source, target) in enumerate(edges):
        into[target].append(number)
        if group_of[source] == group_of[target]:
            has_target[source] = True
    seen = [False] * count
    results = sorted((b for b in range(count) if not has_target[b]), key=group_of.__getitem__)
    for start in results:
        stack = [start]
        while stack:
            box = stack.pop()
            if seen[box]:
                continue
            seen[box] = True
            rows[row_of[box]].append(box)
            for number in into[box]:
                for bend in lines[number].chain[1:-1]:
                    rows[row_of[bend]].append(bend)
            stack += [edges[number][0] for number in reversed(into[box])]
    return rows


def _heights(
    rows: list[list[int]],
    segments: list[Segment],
    sizes: Sequence[tuple[float, float]],
    x: list[float],
    row_of: list[int],
    row_gap: float,
) -> tuple[list[float], list[float]]:
    """(top, bottom) of each row: gaps are higher where lines go far across or meet boxes."""
    gaps = [0.0] * len(rows)
    for s in segments:
        row = row_of[s.upper]
        ends = (s.upper < len(sizes)) + (s.lower < len(sizes))
        slope = abs(x[s.upper] - x[s.lower]) * _SLOPE
        gaps[row] = max(gaps[row], ends * row_gap / 2, slope + row_gap / 2 if slope > 1 else 0.0)
    tops, bottoms, y = [], [], 0.0
    for boxes, gap in zip(rows, gaps, strict=True):
        tops.append(y)
        y += max((sizes[box][1] for box in boxes if box < len(sizes)), default=0.0)
        bottoms.append(y)
        y += min(max(gap, _LEAST_ROW_GAP), _MOST_ROW_GAP)
    return tops, bottoms


def _path(
    line: _Line,
    sizes: Sequence[tuple[float, float]],
    x: list[float],
    row_of: list[int],
    middles: list[float],
    tops: list[float],
    bottoms: list[float],
) -> list[Point]:
    upper, *bends, lower = line.chain
    width, height = sizes[upper]
    points = [(x[upper] + line.at_upper * width, middles[row_of[upper]] + height / 2)]
    if points[0][1] < bottoms[row_of[upper]]:
        points.append((points[0][0], bottoms[row_of[upper]]))
    for bend in bends:
        if points[-1][0] != x[bend]:
            points.append((x[bend], tops[row_of[bend]]))
        elif len(points) > 1 and points[-2][0] == x[bend]:
            points.pop()  # straight on
        points.append((x[bend], bottoms[row_of[bend]]))
    width, height = sizes[lower]
    end = (x[lower] + line.at_lower * width, middles[row_of[lower]] - height / 2)
    if end[1] > tops[row_of[lower]]:
        points.append((end[0], tops[row_of[lower]]))
    points.append(end)
    return points[::-1] if line.upwards else points
