"""Lowering: the values of a step become instructions of the core.

Elementwise values go into programs (see `schedule`); each other operation has a function in one of
these files.
"""

from __future__ import annotations

from chainrule.compiler.elementwise import ELEMENTWISE, UnsupportedError
from chainrule.compiler.instructions import Schedule
from chainrule.compiler.lowering import (  # noqa: F401
    attention,
    convolutions,
    movement,
    pooling,
    products,
    reductions,
    sparse,
    tables,
)
from chainrule.compiler.lowering.base import LOWERINGS
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import LEAVES, ValueGraph, is_part

__all__ = ["LOWERINGS", "lower"]


def lower(graph: ValueGraph) -> Schedule:
    """The instructions of a graph, in the order of its values; programs are not finished yet.

    Raises:
        UnsupportedError: if an operation has no native kernel.
    """
    scheduler = Scheduler(graph)
    for value in graph.values:
        if value.dtype.char == "e":
            raise UnsupportedError(
                f"{value.kind} of float16: the native core computes in float32 and float64; cast it"
            )
        if is_part(value):  # a way of reading
            continue
        if value.kind in LOWERINGS:
            if value not in scheduler.drawn_by_programs and not scheduler.is_computed(value):
                LOWERINGS[value.kind](scheduler, value)
        elif value.kind in ELEMENTWISE:
            scheduler.elementwise(value)
        elif value.kind not in (*LEAVES, "reshape", "broadcast_to"):
            reason = getattr(value.node.operation, "only_numpy", "")
            raise UnsupportedError(
                f"operation {value.kind} has no native kernel{reason and ': ' + reason}"
            )
    return scheduler.finish()
