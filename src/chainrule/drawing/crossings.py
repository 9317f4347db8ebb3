"""The order of boxes in their rows, so that few lines cross.

Sweeps down and up the rows sort each row by the mean place of its boxes' neighbours in the row
before (Sugiyama, Tagawa and Toda, 1981); the best order seen is kept. In small pictures neighbours
then change places as long as that removes crossings.
"""

from __future__ import annotations

from collections.abc import Sequence

SWEEPS = 12
_SMALL = 600  # boxes and bends in pictures whose neighbours change places

Rows = list[list[int]]


class Segment:
    """A line between two rows that follow each other, from `upper` to `lower`.

    `at_upper` and `at_lower` are where it touches them, from -0.5, the left end, to 0.5.
    """

    __slots__ = ("at_lower", "at_upper", "lower", "upper")

    def __init__(self, upper: int, lower: int, at_upper: float, at_lower: float) -> None:
        self.upper = upper
        self.lower = lower
        self.at_upper = at_upper
        self.at_lower = at_lower


def reduce_crossings(rows: Rows, segments: Sequence[Segment], groups: Sequence[float]) -> Rows:
    """The rows in an order with few crossings.

    Args:
        rows: the boxes of each row, from left to right, as a first order.
        segments: the lines.
        groups: of each box; in a row all boxes of a lower group come before those of a higher one.
    """
    count = sum(map(len, rows))
    up: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    down: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for s in segments:
        if groups[s.upper] == groups[s.lower]:  # others say little of the order within a group
            up[s.lower].append((s.upper, s.at_upper))
            down[s.upper].append((s.lower, s.at_lower))
    row_of = [0] * count
    for number, row in enumerate(rows):
        row.sort(key=groups.__getitem__)
        for box in row:
            row_of[box] = number
    by_row: list[list[Segment]] = [[] for _ in rows]
    for s in segments:
        by_row[row_of[s.upper]].append(s)
    place = [0] * count
    _number(rows, place)
    best, fewest = [list(row) for row in rows], _crossings(by_row, place)
    stale = 0
    for sweep in range(SWEEPS):
        if not fewest or stale == 4:
            break
        downwards = sweep % 2 == 0
        for row in rows[1:] if downwards else rows[-2::-1]:
            _sort(row, up if downwards else down, place, groups)
        found = _crossings(by_row, place)
        stale += 1
        if found < fewest:
            best, fewest, stale = [list(row) for row in rows], found, 0
    if fewest and count <= _SMALL:
        _swap_neighbours(best, up, down, groups)
    return best


def _number(rows: Rows, place: list[int]) -> None:
    for row in rows:
        for number, box in enumerate(row):
            place[box] = number


def _sort(
    row: list[int],
    beside: list[list[tuple[int, float]]],
    place: list[int],
    groups: Sequence[float],
) -> None:
    keys = {}
    for box in row:
        others = beside[box]
        mean = sum([place[o] + at for o, at in others]) / len(others) if others else place[box]
        keys[box] = (groups[box], mean)
    row.sort(key=keys.__getitem__)
    for number, box in enumerate(row):
        place[box] = number


def _crossings(by_row: list[list[Segment]], place: list[int]) -> int:
    """The number of inversions between the orders of upper and of lower ends, by a binary tree."""
    total = 0
    for segments in by_row:
        ends = sorted((place[s.upper] + s.at_upper, place[s.lower] + s.at_lower) for s in segments)
        lower = {end: number for number, end in enumerate(sorted({end for _, end in ends}))}
        tree = [0] * (len(lower) + 1)
        seen = 0
        waiting: list[int] = []  # those of one upper end do not cross each other
        last: float | None = None
        for upper_end, lower_end in ends:
            if upper_end != last:
                for number in waiting:
                    while number < len(tree):
                        tree[number] += 1
                        number += number & -number
                seen += len(waiting)
                waiting, last = [], upper_end
            number = lower[lower_end] + 1
            waiting.append(number)
            not_beyond = 0
            while number:
                not_beyond += tree[number]
                number -= number & -number
            total += seen - not_beyond
    return total


def _swap_neighbours(
    rows: Rows,
    up: list[list[tuple[int, float]]],
    down: list[list[tuple[int, float]]],
    groups: Sequence[float],
) -> None:
    place = [0] * len(up)
    _number(rows, place)

    def crossings(left: int, right: int) -> int:
        found = 0
        for beside in (up, down):
            ends = [place[o] + at for o, at in beside[right]]
            for other, at in beside[left]:
                end = place[other] + at
                found += sum([end > e for e in ends])
        return found

    improved, rounds = True, 0
    while improved and rounds < SWEEPS:
        improved, rounds = False, rounds + 1
        for row in rows:
            for i in range(len(row) - 1):
                left, right = row[i], row[i + 1]
                if groups[left] == groups[right] and crossings(left, right) > crossings(
                    right, left
                ):
                    row[i], row[i + 1] = right, left
                    place[right], place[left] = i, i + 1
                    improved = True
