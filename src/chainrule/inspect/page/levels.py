"""Which pictures a page has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.inspect.pictures import draw

_WIDEST = 16
"""Neurons of a layer that are drawn."""

_MOST_OPERATIONS = 60
"""Of a graph of more nodes there is no picture of each."""


def pictures_of(trace: Mapping[str, Any]) -> dict[str, str]:
    """SVG by level: neurons where all layers are fully connected and narrow, else layers; and the
    operations of a small graph.
    """
    found = {}
    widths = [max(layer["sizes"]) for layer in trace["layers"] if layer["sizes"] is not None]
    if widths and max(widths) <= _WIDEST:
        try:
            found["neurons"] = draw(trace, level="neurons").svg
        except ValueError:  # a layer of another kind, or one that does not follow the one before
            found["layers"] = draw(trace, level="layers").svg
    else:
        found["layers"] = draw(trace, level="layers").svg
    if len(trace["nodes"]) <= _MOST_OPERATIONS:
        found["operations"] = draw(trace, level="operations").svg
    return found
