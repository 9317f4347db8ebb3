"""Which pictures a page has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.inspect.pictures import draw

_WIDEST = 16
"""Neurons of a layer that are drawn."""


def pictures_of(trace: Mapping[str, Any]) -> dict[str, str]:
    """The neurons where all layers are fully connected and narrow, as SVG by its level."""
    widths = [max(layer["sizes"]) for layer in trace["layers"] if layer["sizes"] is not None]
    if not widths or max(widths) > _WIDEST:
        return {}
    try:
        return {"neurons": draw(trace, level="neurons").svg}
    except ValueError:  # a layer of another kind, or one that does not follow the one before
        return {}
