"""Places across: chains of boxes are straight, and no two boxes of a row overlap.

The method is that of Brandes and Köpf, *Fast and simple horizontal coordinate assignment* (2001):
each box is lined up with its middle neighbour in the row before, from all four corners of the
picture; the place is the mean of the two middle ones of the four.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from chainrule.drawing.crossings import Rows, Segment

Apart = Callable[[int, int], float]
"""(left, right) -> how far the middles of two neighbours in a row must be from each other."""


def places(
    rows: Rows, segments: Sequence[Segment], bends: Sequence[bool], apart: Apart
) -> list[float]:
    """The middle of each box of the rows, from left to right; 0 of other boxes.

    Args:
        rows: the boxes of each row in order.
        segments: the lines between rows that follow each other.
        bends: whether a box is only a bend of a long line: these are made straight first.
        apart: as `Apart` says.
    """
    count = len(bends)
    drawn = [box for row in rows for box in row]
    if not drawn:
        return [0.0] * count
    up: list[list[int]] = [[] for _ in range(count)]
    down: list[list[int]] = [[] for _ in range(count)]
    for s in segments:
        up[s.lower].append(s.upper)
        down[s.upper].append(s.lower)
    crossed = _crossed_by_long_lines(rows, up, bends)
    found = []
    for upwards in (False, True):
        ordered = rows[::-1] if upwards else rows
        beside = down if upwards else up
        for from_right in (False, True):
            sides = [row[::-1] for row in ordered] if from_right else ordered
            roots = _aligned(sides, beside, crossed)
            gap = (lambda a, b: apart(b, a)) if from_right else apart
            x = _compact(sides, roots, gap)
            found.append([-v for v in x] if from_right else x)
    ends = [(min(x[b] for b in drawn), max(x[b] for b in drawn)) for x in found]
    low, high = min(ends, key=lambda end: end[1] - end[0])
    for number, (x, (least, most)) in enumerate(zip(found, ends, strict=True)):
        shift = high - most if number % 2 else low - least
        found[number] = [v + shift for v in x]
    middles = [0.0] * count
    for box in drawn:
        four = sorted([x[box] for x in found])
        middles[box] = (four[1] + four[2]) / 2
    return middles


def _crossed_by_long_lines(
    rows: Rows, up: list[list[int]], bends: Sequence[bool]
) -> set[tuple[int, int]]:
    """The segments that cross a segment between two bends: they give way."""
    crossed = set()
    place = [0] * len(bends)
    for row in rows:
        for number, box in enumerate(row):
            place[box] = number
    for before, row in itertools.pairwise(rows):
        left, first = -1, 0
        for number, box in enumerate(row):
            inner = next((u for u in up[box] if bends[box] and bends[u]), None)
            if inner is None and number < len(row) - 1:
                continue
            right = len(before) if inner is None else place[inner]
            for other in row[first : number + 1]:
                for above in up[other]:
                    if not left <= place[above] <= right and not (bends[other] and bends[above]):
                        crossed.add((above, other))
            left, first = right, number + 1
    return crossed


def _aligned(rows: Rows, beside: list[list[int]], crossed: set[tuple[int, int]]) -> list[int]:
    """The first box of the straight chain that each box belongs to."""
    count = len(beside)
    root = list(range(count))
    taken = [False] * count
    place = [0] * count
    for row in rows:
        for number, box in enumerate(row):
            place[box] = number
    for row in rows:
        last = -1
        for box in row:
            others = sorted(beside[box], key=place.__getitem__)
            middle = len(others) // 2
            for other in others[(len(others) - 1) // 2 : middle + 1]:
                free = not taken[other] and place[other] > last
                if free and (other, box) not in crossed and (box, other) not in crossed:
                    taken[other] = True
                    root[box] = root[other]
                    last = place[other]
                    break
    return root


def _compact(rows: Rows, root: list[int], apart: Apart) -> list[float]:
    """Places from left to right: each chain as far left as it can be, then pulled to the right
    where nothing holds it on the left."""
    after: dict[int, dict[int, float]] = {}
    before: dict[int, dict[int, float]] = {}
    for row in rows:
        for box in row:
            after.setdefault(root[box], {})
            before.setdefault(root[box], {})
        for left, right in itertools.pairwise(row):
            a, b = root[left], root[right]
            distance = max(apart(left, right), after[a].get(b, 0.0))
            after[a][b] = before[b][a] = distance
    missing = {chain: len(lefts) for chain, lefts in before.items()}
    order = [chain for chain, number in missing.items() if not number]
    for chain in order:  # it grows
        for other in after[chain]:
            missing[other] -= 1
            if not missing[other]:
                order.append(other)
    x: dict[int, float] = {}
    for chain in order:
        x[chain] = max((x[left] + d for left, d in before[chain].items()), default=0.0)
    for chain in reversed(order):
        room = min((x[right] - d for right, d in after[chain].items()), default=x[chain])
        x[chain] = max(x[chain], room)
    return [x.get(chain, 0.0) for chain in root]
