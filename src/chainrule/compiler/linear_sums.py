"""Sums over all but one axis of what is linear, from sums that the graph has already.

The gradient of batch normalisation takes the sum of each channel of k c + s g, where c = x - m has
had the mean taken away. The sums of x and of g are known, for m and for the bias:

    sum(k c + s g) = k (sum(x) - n m) + s sum(g)

So k c + s g is not computed before it is needed, and nothing waits for its sum. Only what takes a
mean away is summed up so: other sums keep their digits, and overflow only where they would.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from chainrule.compiler.values import Value, ValueGraph, constant

_MOST_DEPTH = 16
"""Of terms within terms: the gradient of batch normalisation has about five."""

_LINEAR = ("add_n", "negative", "multiply", "subtract")


def sum_linear(graph: ValueGraph) -> ValueGraph:
    """The graph with each such sum computed from those of its terms."""
    if not any([v.kind == "sum" and v.inputs[0].kind in _LINEAR for v in graph.values]):
        return graph
    uses = graph.uses()
    sums: dict[tuple[Value, int], Value] = {}
    order: list[Value] = []
    for value in graph.values:
        found = _summed(value, uses)
        if found is not None:
            made: list[Value] = []
            of_terms = _Terms(value, found[1], sums, made)
            total = of_terms.sum_of(found[0]) if found[0].kind in _LINEAR else None
            if total is not None and total in made and of_terms.takes_a_mean:
                order += made[:-1]
                value.become(total.kind, total.inputs)
            sums.setdefault(found, value)
        order.append(value)
    return graph.in_order(order)


def _summed(value: Value, uses: Counter[Value]) -> tuple[Value, int] | None:
    """What a sum, or the sum of a sum, is over, and the one axis that it leaves."""
    if value.kind != "sum" or len(value.shape) != 1 or value.dtype.kind != "f":
        return None
    x, axis = value, 0
    while x.kind == "sum" and not x.attributes["keepdims"] and (x is value or uses[x] == 1):
        left = [a for a in range(len(x.inputs[0].shape)) if a not in x.attributes["axes"]]
        x, axis = x.inputs[0], left[axis]
    return None if x is value else (x, axis)


class _Terms:
    """Sums over all axes but one of what is linear in values whose sums are known.

    Attributes:
        takes_a_mean: whether one of the terms has its mean taken away.
    """

    def __init__(
        self, value: Value, axis: int, sums: dict[tuple[Value, int], Value], made: list[Value]
    ) -> None:
        self.value, self.axis, self.sums, self.made = value, axis, sums, made
        self.takes_a_mean = False
        self._found: dict[Value, Value | None] = {}

    def sum_of(self, x: Value, depth: int = 0) -> Value | None:
        """The sum of a value, made of known ones; None where they do not tell it."""
        if x not in self._found:
            known = self.sums.get((x, self.axis))
            if known is None and depth < _MOST_DEPTH:
                known = self._made_of_terms(x, depth + 1)
            self._found[x] = known
        return self._found[x]

    def _made_of_terms(self, x: Value, depth: int) -> Value | None:
        along = self._along(x, self.axis)
        if along is not None:
            return self._make("multiply", along, self._count(x))
        if x.kind == "multiply":
            for factor, other in (x.inputs, x.inputs[::-1]):
                along = self._along(factor, self.axis)
                if along is not None:
                    total = self.sum_of(other, depth)
                    return None if total is None else self._make("multiply", along, total)
            return None
        # What x and a number near it differ by may be small, and is lost in the difference of sums.
        # That of x and its own mean is 0 but for rounding.
        if x.kind == "subtract":
            if not self._is_mean_of(x.inputs[0], x.inputs[1]):
                return None
            self.takes_a_mean = True
        elif x.kind not in ("add_n", "negative"):
            return None
        totals = []
        for i in x.inputs:
            total = self.sum_of(i, depth)
            if total is None:
                return None
            totals.append(total)
        return self._make(x.kind, *totals)

    def _is_mean_of(self, x: Value, mean: Value) -> bool:
        """Whether a value is the known sum of another one times a number."""
        known = self.sums.get((x, self.axis))
        along = self._along(mean, self.axis)
        if known is None or along is None:
            return False
        if along.kind in ("divide", "multiply") and along.inputs[1].fill is not None:
            along = along.inputs[0]
        return along is known

    def _count(self, x: Value) -> Value:
        """How many elements each sum has, as a constant."""
        value = self.value
        number = x.size // max(value.size, 1)
        count = constant(number, value.shape, value.dtype, value.node)
        self.made.append(count)
        return count

    def _make(self, kind: str, *inputs: Value) -> Value:
        value = self.value
        self.made.append(Value(kind, inputs, {}, value.shape, value.dtype, value.node))
        return self.made[-1]

    def _along(self, x: Value, axis: int) -> Value | None:
        """The numbers along an axis of a value that is the same along all others."""
        shape: Any = self.value.shape
        while x.shape != shape or axis:
            if x.kind == "broadcast_to":
                (source,) = x.inputs
                axis -= len(x.shape) - len(source.shape)
                if axis < 0 or source.shape[axis] != shape[0]:
                    return None
            elif x.kind == "reshape" and x.size == shape[0]:
                (source,) = x.inputs
                if source.shape != shape:
                    return None
                axis = 0
            elif x.kind == "reshape" and _without_ones(x.inputs[0].shape) == _without_ones(x.shape):
                (source,) = x.inputs
                axis -= len(x.shape) - len(source.shape)
                if x.shape[-len(source.shape) :] != source.shape or axis < 0:
                    return None
            else:
                return None
            x = source
        return x


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([n for n in shape if n != 1])
