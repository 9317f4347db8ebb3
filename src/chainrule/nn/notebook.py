"""What a notebook shows of a module: its layers, with the shapes of their parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chainrule.markup import table

if TYPE_CHECKING:
    from chainrule.nn.module import Module


def html_of(module: Module) -> str:
    """A table of the layers: those that hold no others, or have parameters of their own."""
    rows: list[list[object]] = []
    for path, layer in module.named_modules():
        own = dict(layer.named_parameters(recurse=False))
        has_children = any(True for _ in layer.children())
        if own or not has_children:
            shapes = [
                f"{name} {' × '.join(map(str, p.shape)) or 'scalar'}" for name, p in own.items()
            ]
            what = type(layer).__name__ if has_children else repr(layer)
            count = sum(math.prod(p.shape) for p in own.values())
            rows.append([path, what, ", ".join(shapes), f"{count:,}" if count else ""])
    total = sum(math.prod(parameter.shape) for parameter in module.parameters())
    caption = f"{type(module).__name__}: {total:,} parameters"
    return table(caption, ["path", "layer", "shapes", "parameters"], rows)
