"""Ranks: in which row of a layered picture each box lies.

Rows come from the longest path that leads to a box. Then leaves move down to what reads them, and
so do other boxes where that makes lines shorter. Of a picture with a backward pass, `mirrored`
gives rows in which the gradient of a variable lies beside the variable, and its arrows point up.
"""

from __future__ import annotations

from collections.abc import Sequence

Edge = tuple[int, int]
"""(source, target), as numbers of boxes."""


def neighbours(count: int, edges: Sequence[Edge]) -> tuple[list[list[int]], list[list[int]]]:
    """(sources, targets): for each box those of its edges."""
    sources: list[list[int]] = [[] for _ in range(count)]
    targets: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        sources[target].append(source)
        targets[source].append(target)
    return sources, targets


def topological(count: int, edges: Sequence[Edge]) -> list[int]:
    """The boxes, each after its sources; of those that could come next the lowest number first.

    Raises:
        ValueError: if the edges form a circle.

    Example:
        >>> topological(3, [(2, 0), (0, 1)])
        [2, 0, 1]
    """
    sources, targets = neighbours(count, edges)
    missing = [len(s) for s in sources]
    ready = [box for box in range(count) if not missing[box]]
    order: list[int] = []
    for box in ready:  # it grows
        order.append(box)
        for target in targets[box]:
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    if len(order) < count:
        raise ValueError(
            f"the edges of {count - len(order)} boxes form a circle: a layered picture needs a "
            "graph without circles"
        )
    return order


def ranks(count: int, edges: Sequence[Edge]) -> list[int]:
    """The row of each box, from 0 on: edges point from lower to higher rows.

    Raises:
        ValueError: if the edges form a circle.

    Example:
        >>> ranks(4, [(0, 1), (1, 2), (3, 2)])  # box 3 lies just above box 2, which reads it
        [0, 1, 2, 1]
    """
    order = topological(count, edges)
    sources, targets = neighbours(count, edges)
    rank = [0] * count
    for box in order:
        rank[box] = max((rank[s] + 1 for s in sources[box]), default=0)
    for box in reversed(order):
        if targets[box] and len(targets[box]) >= len(sources[box]):  # no longer lines further down
            rank[box] = min(rank[t] for t in targets[box]) - 1
    lowest = min(rank, default=0)
    return [r - lowest for r in rank]


def mirrored(
    count: int,
    edges: Sequence[Edge],
    levels: Sequence[int],
    origins: Sequence[int | None],
) -> list[int] | None:
    """Rows in which passes lie side by side, the boxes of a gradient beside those of its origin.

    Args:
        count: of boxes.
        edges: as of `ranks`.
        levels: of each box its pass: 0 forward, 1 its gradient, 2 the gradient of that or the
            updates. Arrows point down in even passes, up in odd ones.
        origins: of a box of a gradient the box whose rule made it; else None.

    Returns:
        The rows; None where no rows satisfy this, so that `ranks` is the way. Rows of two passes
        are never the same, so that no arrow is level.
    """
    sources, targets = neighbours(count, edges)
    below: list[Edge] = []  # (upper, lower): lower must not lie above upper
    step = [0] * count
    apart: set[int] = set()

    def order(upper: int, lower: int, distance: int) -> None:
        if distance:
            apart.add(len(below))
        below.append((upper, lower))

    for source, target in edges:
        if levels[source] == levels[target]:
            pair = (source, target) if levels[source] % 2 == 0 else (target, source)
            order(*pair, 1)
        elif levels[target] > levels[source] and levels[target] % 2 == 0:
            order(source, target, 0)
    for box, origin in enumerate(origins):
        if origin is None or levels[box] != levels[origin] + 1 or levels[box] % 2 == 0:
            continue
        read = [s for s in sources[origin] if levels[s] == levels[origin]]
        for variable in read:
            order(variable, box, 0)
        order(box, origin, 0)
    try:
        found = topological(count, below)
    except ValueError:
        return None
    above: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for number, (upper, lower) in enumerate(below):
        above[lower].append((upper, int(number in apart)))
    for box in found:
        step[box] = max((step[u] + d for u, d in above[box]), default=0)
    under: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for lower, pairs in enumerate(above):
        for upper, distance in pairs:
            under[upper].append((lower, distance))
    for box in reversed(found):
        own = [t for t in targets[box] if levels[t] == levels[box]]
        read = [s for s in sources[box] if levels[s] == levels[box]]
        lower_boxes, upper_boxes = (own, read) if levels[box] % 2 == 0 else (read, own)
        if lower_boxes and len(lower_boxes) >= len(upper_boxes):
            step[box] = min(step[lower] - distance for lower, distance in under[box])
    passes = max(levels) + 1
    rows = [passes * s + level for s, level in zip(step, levels, strict=True)]
    used = {row: number for number, row in enumerate(sorted(set(rows)))}
    return [used[row] for row in rows]
