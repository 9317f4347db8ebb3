"""Activations that are called as functions, found in a graph: gelu is x times normal_cdf(x)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from chainrule import ops
from chainrule.graph.tensor import Tensor
from chainrule.nn import functional

_MOST_NODES = 12  # of an activation

_FUNCTIONS: dict[str, list[Callable[[Tensor], Tensor]]] = {
    "ReLU": [functional.relu],
    "Sigmoid": [functional.sigmoid],
    "Tanh": [functional.tanh],
    "Softplus": [ops.softplus],
    "Sin": [ops.sin],
    "Softmax": [lambda x: functional.softmax(x, -1)],
    "LogSoftmax": [lambda x: functional.log_softmax(x, -1)],
    "GELU": [functional.gelu, lambda x: functional.gelu(x, "tanh")],
    "SiLU": [functional.silu],
    "Mish": [functional.mish],
    "SELU": [functional.selu],
    "ELU": [functional.elu],
    "CELU": [functional.celu],
    "LeakyReLU": [functional.leaky_relu],
    "Softsign": [functional.softsign],
    "LogSigmoid": [functional.logsigmoid],
    "Tanhshrink": [functional.tanhshrink],
}

NOT_ELEMENTWISE = ("Softmax", "LogSoftmax", "Softmin", "GLU")


class Called(NamedTuple):
    """An activation of z.

    Attributes:
        kind: the name of its module.
        output: a.
        nodes: those between z and a, and a.
    """

    kind: str
    output: Tensor
    nodes: list[Tensor]


def activation_of(z: Tensor, consumers: dict[Tensor, list[Tensor]]) -> Called | None:
    """The activation that alone takes z; None where other things take z, or what is inside it.

    Args:
        z: has a value.
        consumers: of each node of the graph.
    """
    following = _following(z, consumers)
    for kind, pattern in _patterns(z.ndim, z.dtype):
        for a in following:
            found: dict[Tensor, Tensor] = {}
            if a.shape == z.shape and _matches(pattern, a, z, found):
                inside = {node for node in found.values() if node.operation is not None} - {z}
                if all(set(consumers[node]) <= inside for node in {z} | (inside - {a})):
                    return Called(kind, a, sorted(inside, key=lambda node: node.serial))
    return None


def _following(z: Tensor, consumers: dict[Tensor, list[Tensor]]) -> list[Tensor]:
    """The first nodes that are computed of z, among others."""
    found: list[Tensor] = []
    new = [z]
    while new and len(found) < _MOST_NODES:
        new = [node for parent in new for node in consumers.get(parent, ())]
        new = [node for node in dict.fromkeys(new) if node not in set(found)]
        found += new
    return found


class _Pattern(NamedTuple):
    """The graph of a function of x."""

    x: Tensor
    y: Tensor


@cache
def _patterns(ndim: int, dtype: np.dtype[Any]) -> list[tuple[str, _Pattern]]:
    """The functions, by their names, for arrays of so many axes."""
    found = []
    for kind, functions in _FUNCTIONS.items():
        for function in functions:
            x = Tensor(np.ones((2,) * ndim, dtype), requires_grad=True)
            found.append((kind, _Pattern(x, function(x).node())))
    return found


def _matches(pattern: _Pattern, node: Tensor, z: Tensor, found: dict[Tensor, Tensor]) -> bool:
    """Whether a graph is that of the pattern, with z as x and constants of any value."""

    def same(known: Tensor, seen: Tensor) -> bool:
        if known in found:
            return found[known] is seen
        found[known] = seen
        if known is pattern.x or seen is z:
            return known is pattern.x and seen is z
        if known.operation is None:
            is_mask = known.dtype.kind == "b"
            return (
                seen.operation is None
                and seen.state is None
                and (seen.dtype.kind == "b") == is_mask
                and not (is_mask and not np.array_equal(seen.numpy(), z.numpy() > 0.0))
            )
        return (
            known.operation is seen.operation
            and len(known.inputs) == len(seen.inputs)
            and _attributes(known) == _attributes(seen)
            and all(map(same, known.inputs, seen.inputs))
        )

    return same(pattern.y, node)


def _attributes(node: Tensor) -> dict[str, Any]:
    """The attributes that do not depend on a shape."""
    return {key: value for key, value in node.attributes.items() if key not in ("shape", "axis")}
