"""The signature of a captured graph: graphs with equal ones have the same plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.compiler.capture import CapturedGraph
from chainrule.graph.state import HyperParameter, State
from chainrule.graph.tensor import Array, Tensor
from chainrule.trees import leaves

_LARGEST_CONSTANT = 1 << 16  # bytes


class _NotHashableError(Exception):
    """A graph holds what has no value to compare by."""


def signature(
    graph: CapturedGraph, place: Callable[[State], Any], *, is_whole: bool = False
) -> Any:
    """All of a graph that its plan depends on; None for a graph that has no signature.

    Those are its operations with their attributes, shapes and dtypes, its constants, the place of
    each state, and the names that a plan prints. Tensors stand for themselves by their numbers, so
    models that are built alike, and whose states lie alike, have equal ones.

    Args:
        place: what a state is told by, as its offset in the block of all states.
        is_whole: whether large constants count, too, and attributes without a value to compare by
            count by their class, so that every graph has a signature.
    """
    if graph.template is not None:
        return (
            graph.template,
            tuple(map(place, graph.reads)),
            tuple(map(place, graph.updates)),
        )
    numbers: dict[Tensor, int] = {leaf: -1 - i for i, leaf in enumerate(graph.inputs)}
    read = {leaf: state for state, leaf in graph.reads.items()}
    described: list[Any] = []
    try:
        for number, node in enumerate(graph.nodes):
            operation = node.operation
            if operation is None or node.value is not None:
                if node.value is not None:
                    leaf = _constant(node.value, is_whole)
                elif node in numbers:
                    leaf = "input", numbers[node], node.shape, node.dtype
                else:
                    state = read[node]
                    kind = "number" if isinstance(state, HyperParameter) else "state"
                    leaf = kind, place(state), node.shape, node.dtype
                described.append((leaf, node.path, node.name))
            else:
                attributes = node.attributes
                described.append(
                    (
                        operation,
                        tuple([numbers[i] for i in node.inputs]),
                        frozen(attributes, is_whole) if attributes else None,
                        node.shape,
                        node.dtype,
                        node.path,
                        node.origin is None,
                    )
                )
            numbers[node] = number
    except _NotHashableError:
        return None
    return (
        tuple(described),
        tuple([numbers[node] for node in leaves(graph.outputs)]),
        tuple([(place(state), numbers[node]) for state, node in graph.updates.items()]),
        tuple([place(state) for state in graph.reads]),
    )


def is_plain(graph: CapturedGraph) -> bool:
    """Whether values alone, and no large ones, make up the graph besides its states."""
    try:
        for node in graph.nodes:
            if node.value is None:
                for attribute in node.attributes.values():
                    frozen(attribute)
            elif node.value.nbytes > _LARGEST_CONSTANT:
                return False
    except _NotHashableError:
        return False
    return True


def _constant(value: Array, is_whole: bool) -> Any:
    if value.nbytes > _LARGEST_CONSTANT and not is_whole:
        raise _NotHashableError
    return value.shape, value.strides, value.dtype, value.tobytes()


def frozen(value: Any, is_whole: bool = False) -> Any:
    """A hashable value that equals another's if both mean the same: 1, 1.0 and True do not.

    Args:
        is_whole: as of `signature`.
    """
    if type(value) is tuple and all([type(v) is int for v in value]):  # most are shapes and axes
        return value
    if isinstance(value, dict):
        return tuple([(key, frozen(v, is_whole)) for key, v in value.items()])
    if isinstance(value, (tuple, list)):
        return type(value), tuple([frozen(v, is_whole) for v in value])
    if isinstance(value, slice):
        return slice, *[frozen(v, is_whole) for v in (value.start, value.stop, value.step)]
    if isinstance(value, np.ndarray):
        return _constant(value, is_whole)
    if (
        value is None
        or value is Ellipsis
        or isinstance(value, (int, float, complex, str, bytes, np.dtype, np.generic))
    ):
        # A float by its digits: 0.0 equals -0.0, and NaN not itself.
        by_digits = isinstance(value, (float, complex, np.generic))
        return type(value), repr(value) if by_digits else value
    if is_whole:
        return type(value)
    raise _NotHashableError
