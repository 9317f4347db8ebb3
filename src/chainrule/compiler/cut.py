"""The minimum cut of a network, by augmenting paths.

Source: Edmonds, Karp, "Theoretical improvements in algorithmic efficiency for network flow
problems", Journal of the ACM 19, 1972.
"""

from __future__ import annotations

import math
from collections import deque


class Network:
    """Nodes, numbered, and pipes between them. `source` and `sink` are its first two nodes."""

    source, sink = 0, 1

    def __init__(self) -> None:
        self._room: list[dict[int, float]] = [{}, {}]
        """For each node how much more can flow from it to others."""

    def node(self) -> int:
        """The number of a new node."""
        self._room.append({})
        return len(self._room) - 1

    def pipe(self, start: int, end: int, capacity: float) -> None:
        """Let `capacity` more flow from one node to another."""
        self._room[start][end] = self._room[start].get(end, 0) + capacity
        self._room[end].setdefault(start, 0)

    def sink_side(self) -> set[int]:
        """The sink's side of the cheapest cut; of several such cuts, that with the fewest nodes."""
        while (path := self._path()) is not None:
            flow = min(self._room[a][b] for a, b in path)
            if flow == math.inf:
                raise ValueError("no cut is finite")
            for a, b in path:
                self._room[a][b] -= flow
                self._room[b][a] += flow
        return set(self._reach_sink())

    def _path(self) -> list[tuple[int, int]] | None:
        """The pipes of a shortest way from the source to the sink on which more can flow."""
        towards = self._reach_sink()
        if self.source not in towards:
            return None
        path, node = [], self.source
        while node != self.sink:
            path.append((node, towards[node]))
            node = towards[node]
        return path

    def _reach_sink(self) -> dict[int, int]:
        """The nodes from which more can flow to the sink, each with the next one on the way."""
        towards = {self.sink: self.sink}
        waiting = deque([self.sink])
        while waiting:
            node = waiting.popleft()
            for before in self._room[node]:  # a pipe has room noted at both of its ends
                if before not in towards and self._room[before][node] > 0:
                    towards[before] = node
                    waiting.append(before)
        return towards
