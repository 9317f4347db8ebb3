"""Which pictures a page has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.inspect.pictures import draw
from chainrule.inspect.pictures.neurons import MOST_NEURONS, fully_connected, widest

_MOST_OPERATIONS = 60
"""Of a graph of more nodes there is no picture of each."""


def pictures_of(trace: Mapping[str, Any]) -> dict[str, str]:
    """SVG by level: neurons where all layers are fully connected and narrow, else layers; and the
    operations of a small graph.
    """
    found = {}
    if fully_connected(trace) and widest(trace) <= MOST_NEURONS:
        found["neurons"] = draw(trace, level="neurons").svg
    else:
        found["layers"] = draw(trace, level="layers").svg
    if len(trace["nodes"]) <= _MOST_OPERATIONS:
        found["operations"] = draw(trace, level="operations").svg
    return found
