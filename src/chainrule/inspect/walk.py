"""A walk back through a graph, variable by variable, as algorithm 6.6 fills the grad_table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from chainrule.checks import described
from chainrule.graph.backprop import ancestors, backprop, build_grad, prune
from chainrule.graph.context import no_grad
from chainrule.graph.operation import operation_name
from chainrule.graph.printing import as_text
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.arrays import from_json
from chainrule.inspect.contributions import contributions, local_derivative
from chainrule.inspect.explanation import Explanation
from chainrule.markup import encodable


class Part(NamedTuple):
    """What one consumer adds to the gradient of a variable.

    Attributes:
        consumer: the consumer's name, or %7 for one without.
        operation: the operation that computes the consumer.
        input: which input of the consumer the variable is, from 0.
        above: the gradient of the consumer; None for a large array of a trace.
        value: that times the local derivative, as `Operation.bprop` gives it; likewise.
        derivative: the local derivative, where the variable and the consumer are one number each.
    """

    consumer: str
    operation: str
    input: int
    above: Array | None
    value: Array | None
    derivative: float | None = None


class Visit(NamedTuple):
    """One variable, and how its gradient comes about. It prints as a line, or as a few.

    Attributes:
        name: the variable's name, or %7 for one without.
        operation: the operation that computes it; "" for a leaf.
        parts: what its consumers add; none for the last variable, whose gradient is 1.
        gradient: their sum; None for a large array of a trace.
        variable: the Tensor; None in the walk of an `Explanation`.
    """

    name: str
    operation: str
    parts: tuple[Part, ...]
    gradient: Array | None
    variable: Tensor | None

    def __str__(self) -> str:
        label = f"{self.name} ({self.operation})" if self.operation else self.name
        arrays = [self.gradient, *(a for part in self.parts for a in (part.above, part.value))]
        if all(array is not None and array.size == 1 for array in arrays):
            return encodable(f"{label}: {self._line()}")
        lines = [encodable(label)]
        for part in self.parts:
            source = f"from {part.consumer} ({part.operation})"
            lines += _block(source, part.value)
        if len(self.parts) != 1:
            lines += _block("sum", self.gradient)
        return "\n".join(lines)

    def _line(self) -> str:
        """The gradient of a number: 24 = 12·1 from y + 6·2 from z."""
        terms = []
        for part in self.parts:
            term = _short(_number(part.value))
            if part.derivative is not None:
                term = f"{_short(_number(part.above))}·{_factor(part.derivative)}"
            terms.append(f"{term} from {part.consumer}")
        total = _short(_number(self.gradient))
        return f"{total} = {' + '.join(terms)}" if terms else total


class Walk:
    """The visits of a walk back, made one after the other; it prints them all.

    Args:
        what: a scalar Tensor, or an `Explanation`.
    """

    def __init__(self, what: Tensor | Explanation) -> None:
        self._what = what

    def __iter__(self) -> Iterator[Visit]:
        if isinstance(self._what, Explanation):
            return _visits_of_trace(self._what.trace())
        return _visits_of_graph(self._what.node())

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def __repr__(self) -> str:
        return str(self)


def walk(what: Tensor | Explanation) -> Walk:
    """Back through the graph of a scalar, from it to the leaves: each variable with its gradient.

    Variables come in the order in which `backprop` fills its table (algorithms 6.5 and 6.6), each
    with what every consumer adds: the consumer's gradient times the local derivative.

    Args:
        what: a scalar Tensor that depends on leaves that require a gradient, or an `Explanation`.

    Returns:
        A `Walk`: an iterable of `Visit`, which prints as a whole, too.

    Raises:
        TypeError: for anything else.
        ValueError: for a Tensor that depends on no leaf that requires a gradient, or is symbolic.
        ShapeError: for one that is no scalar.

    Example:
        >>> import chainrule as cr
        >>> r, s = (cr.tensor(v, requires_grad=True, name=n) for v, n in ((2.0, "r"), (3.0, "s")))
        >>> y = r * s
        >>> y.name = "y"
        >>> f = r * y
        >>> f.name = "f"
        >>> print(cr.walk(f))
        f (multiply): 1
        y (multiply): 2 = 1·2 from f
        s: 4 = 2·2 from y
        r: 12 = 1·6 from f + 2·3 from y
    """
    if isinstance(what, Explanation):
        return Walk(what)
    if not isinstance(what, Tensor):
        raise TypeError(f"walk takes a scalar Tensor or an Explanation, got {described(what)}")
    if what.is_symbolic:
        raise ValueError(f"{what!r} has no value yet: walk through a graph that has values")
    if not what.requires_grad:
        raise ValueError(
            f"{what!r} depends on no leaf that requires a gradient: pass requires_grad=True to the "
            "leaves, and build the graph outside no_grad()"
        )
    backprop(what, [what])  # which checks that it is a scalar
    return Walk(what)


def _visits_of_graph(z: Tensor) -> Iterator[Visit]:
    numbers = {node: number for number, node in enumerate(ancestors(z))}

    def name(node: Tensor) -> str:
        return node.name or f"%{numbers[node]}"

    pruned = prune(z)
    grad_table: dict[Tensor, Tensor] = {z: Tensor(np.ones((), z.dtype))}
    for variable in reversed(pruned):
        with no_grad():
            if variable is not z:
                build_grad(variable, pruned, grad_table)
            found = contributions(variable, pruned[variable], grad_table)
        if variable not in grad_table:
            continue
        parts = [
            Part(
                name(consumer),
                operation_name(consumer),
                index,
                grad_table[consumer].numpy(),
                part.numpy(),
                local_derivative(consumer, index),
            )
            for consumer, index, part in found
        ]
        operation = operation_name(variable)
        gradient = grad_table[variable].numpy()
        yield Visit(name(variable), operation, tuple(parts), gradient, variable)


def _visits_of_trace(trace: dict[str, Any]) -> Iterator[Visit]:
    nodes = trace["nodes"]

    def name(node: dict[str, Any]) -> str:
        return node["name"] or f"%{node['id']}"

    for place in trace["backward"]:
        node = nodes[place]
        parts = []
        for part in node["contributions"]:
            consumer = nodes[part["consumer"]]
            above = from_json(consumer["gradient"])
            value = from_json(part["value"])
            derivative = part.get("derivative")
            local = None if derivative is None else float(derivative)  # of "NaN" and "Infinity" too
            found = name(consumer), consumer["operation"], part["index"], above, value, local
            parts.append(Part(*found))
        gradient = from_json(node["gradient"])
        yield Visit(name(node), node["operation"] or "", tuple(parts), gradient, None)


def _number(array: Array | None) -> float:
    return float("nan") if array is None else float(array.reshape(()))


def _short(number: float) -> str:
    return f"{number + 0.0:.6g}"  # of -0.0 that is 0


def _factor(number: float) -> str:
    return f"({_short(number)})" if number < 0 else _short(number)


def _block(source: str, array: Array | None) -> list[str]:
    """Lines of a source and its numbers beside it."""
    text = "a large array" if array is None else as_text(array)
    first, *rest = text.split("\n")
    head = encodable(f"  {source}:  ")
    return [head + first, *(" " * len(head) + line for line in rest)]
