"""The minimum cut of a network, by augmenting paths.

Source: Edmonds, Karp, "Theoretical improvements in algorithmic efficiency for network flow
problems", Journal of the ACM 19, 1972.
"""

from __future__ import annotations

import math
from collections import deque


class Network:
    """A flow network: numbered nodes, of which `source` and `sink` are the first, and edges."""

    source, sink = 0, 1

    def __init__(self) -> None:
        self._residual: list[dict[int, float]] = [{}, {}]
        """For each node the residual capacities of its edges, by the node at their other end."""

    def node(self) -> int:
        """The number of a new node."""
        self._residual.append({})
        return len(self._residual) - 1

    def edge(self, start: int, end: int, capacity: float) -> None:
        """Add an edge, or more capacity to the one that there is."""
        self._residual[start][end] = self._residual[start].get(end, 0) + capacity
        self._residual[end].setdefault(start, 0)

    def sink_side(self) -> set[int]:
        """The sink's side of the cheapest cut; of several such cuts, that with the fewest nodes."""
        while (path := self._augmenting_path()) is not None:
            flow = min(self._residual[a][b] for a, b in path)
            if flow == math.inf:
                raise ValueError("no cut is finite")
            for a, b in path:
                self._residual[a][b] -= flow
                self._residual[b][a] += flow
        return set(self._reach_sink())

    def _augmenting_path(self) -> list[tuple[int, int]] | None:
        """The edges of a shortest path from the source to the sink on which more can flow."""
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
            for before in self._residual[node]:  # every edge is listed at both of its ends
                if before not in towards and self._residual[before][node] > 0:
                    towards[before] = node
                    waiting.append(before)
        return towards
