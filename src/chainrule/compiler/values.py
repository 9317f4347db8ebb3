"""Values: the variables of a captured graph as the compiler sees them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from chainrule.graph.custom_operation import CustomOperation
from chainrule.graph.operation import operations
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor

LEAVES = ("input", "state", "constant")

READ_ELSEWHERE = ("reshape", "broadcast_to", "slice")
"""The operations whose values may need no memory of their own."""

Uses = Mapping[Tensor, int]
"""How often each node of a graph is used."""


class Value:
    """A variable of the graph as the compiler sees it.

    Attributes:
        kind: the operation's name; "input", "state" or "constant" for a leaf.
        inputs, attributes: of the operation.
        shape, size, dtype: of the value.
        node: the Tensor it stands for, for names and paths.
        array: the value of a constant.
        fill: the number that a constant holds at every element, if it is one and the same.
        state: the State of a "state".
        number: of an "input", among the graph's inputs.
        beside: an elementwise value with which this one is best computed, if any.
    """

    __slots__ = (
        "array",
        "attributes",
        "beside",
        "dtype",
        "fill",
        "inputs",
        "kind",
        "node",
        "number",
        "shape",
        "size",
        "state",
    )

    def __init__(
        self,
        kind: str,
        inputs: tuple[Value, ...],
        attributes: dict[str, Any],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        node: Tensor,
    ) -> None:
        self.kind = kind
        self.inputs = inputs
        self.attributes = attributes
        self.shape = shape
        self.size = math.prod(shape)
        self.dtype = dtype
        self.node = node
        self.array: Array | None = None
        self.fill: float | None = None
        self.state: State | None = None
        self.number = -1
        self.beside: Value | None = None

    def become(
        self, kind: str, inputs: tuple[Value, ...], attributes: dict[str, Any] | None = None
    ) -> None:
        """Be computed by another operation, or of other inputs, from now on."""
        self.kind, self.inputs, self.attributes = kind, inputs, attributes or {}

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def flops(self) -> int:
        """The floating-point operations that the operation's block states; 0 for a leaf."""
        if self.kind in LEAVES:
            return 0
        operation = operations.get(self.kind, self.node.operation)  # one of a user's own is in none
        assert operation is not None
        return operation.flops(self, *self.inputs, **self.attributes)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.dtype} {self.shape}>"


def root(value: Value) -> Value:
    """The value whose memory a value shares or reads."""
    while is_read_elsewhere(value):
        value = value.inputs[0]
    return value


def without_reshapes(value: Value) -> Value:
    """The value that others are reshapes of."""
    while value.kind == "reshape":
        value = value.inputs[0]
    return value


def is_read_elsewhere(value: Value) -> bool:
    """Whether a value is a way of reading its input, and no memory of its own is needed for it."""
    return value.kind in ("reshape", "broadcast_to") or is_part(value)


def is_part(value: Value) -> bool:
    """Whether a value is a slice that is read where its input lies, rather than copied.

    Its elements have to lie at growing addresses, those of the last axis side by side.
    """
    if value.kind != "slice" or not value.size:
        return False
    runs = value.attributes["runs"]
    return all([step > 0 for _, step, _ in runs]) and (runs[-1][1] == 1 or runs[-1][2] == 1)


def constant(number: float, shape: tuple[int, ...], dtype: np.dtype[Any], node: Tensor) -> Value:
    """A constant with one number at every element, which stands for a node."""
    return constant_array(np.broadcast_to(np.asarray(number, dtype), shape), node)


def constant_array(array: Array, node: Tensor) -> Value:
    """A constant that holds an array, which stands for a node."""
    value = Value("constant", (), {}, array.shape, array.dtype, node)
    value.array = array
    if array.size and not any(array.strides):
        number = array.reshape(-1)[0].item()
        # A whole number that float64 does not hold exactly is left in the array.
        if isinstance(number, float) or abs(number) <= 2**53:
            value.fill = float(number)
    return value


def reshaped(x: Value, shape: tuple[int, ...], node: Tensor) -> Value:
    """x in another shape, for a node: a reshape of a reshape is one, or none."""
    x = without_reshapes(x)
    return x if x.shape == shape else Value("reshape", (x,), {}, shape, x.dtype, node)


def transposed(x: Value, axes: tuple[int, ...], node: Tensor) -> Value:
    """x with its axes in another order, for a node: a transpose of a transpose is one, or none.

    A transpose that moves axes of length 1 alone is a reshape: elements keep their order.
    """
    shape = tuple([x.shape[a] for a in axes])
    moved = [a for a in axes if x.shape[a] != 1]
    if moved == sorted(moved) or 0 in shape:
        return reshaped(x, shape, node)
    if x.kind == "transpose":
        (source,) = x.inputs
        return transposed(source, tuple([x.attributes["axes"][a] for a in axes]), node)
    return Value("transpose", (x,), {"axes": axes}, shape, x.dtype, node)


def shared(value: Value, known: dict[Any, Value]) -> Value:
    """A known value that is equal, or this one, which is known from now on."""
    key: Any
    if value.fill is not None:
        key = ("fill", value.fill, np.signbit(value.fill), value.shape, value.dtype)
    elif value.kind in LEAVES or isinstance(value.node.operation, CustomOperation):
        return value  # operations of a user's own may share their names
    else:
        key = (
            value.kind,
            value.inputs,  # each equal to itself alone
            _by_digits(value.attributes) if value.attributes else (),
            value.shape,
            value.dtype,
        )
    return known.setdefault(key, value)


def _by_digits(attributes: dict[str, Any]) -> tuple[Any, ...]:
    """Attributes as a key: floats by their digits, because 0.0 equals -0.0."""
    return tuple(
        [(name, repr(a) if a.__class__ is float else a) for name, a in sorted(attributes.items())]
    )


def pruned(order: Iterable[Value], roots: Iterable[Value]) -> list[Value]:
    """The values that the roots need, each once, in their order."""
    order = list(dict.fromkeys(order))
    needed = set(roots)
    for value in reversed(order):  # whose users come after it
        if value in needed:
            needed.update(value.inputs)
    return [value for value in order if value in needed]


class ValueWriter:
    """Writes values one after another, each after its inputs.

    Attributes:
        order: the values, in an order in which they can be computed.
    """

    def __init__(self) -> None:
        self.order: dict[Value, None] = {}

    def put(self, value: Value) -> Value:
        """A value after all others, unless it is among them."""
        self.order.setdefault(value)
        return value

    def new(
        self,
        kind: str,
        inputs: tuple[Value, ...],
        attributes: dict[str, Any],
        shape: tuple[int, ...],
        of: Value,
        dtype: np.dtype[Any] | None = None,
    ) -> Value:
        """A new value, with the node and, but for another one given, the dtype of an old value."""
        return self.put(Value(kind, inputs, attributes, shape, dtype or of.dtype, of.node))

    def reshaped(self, x: Value, shape: tuple[int, ...], of: Value) -> Value:
        """x in another shape, with the node of an old value."""
        return self.put(reshaped(x, shape, of.node))


Users = dict[Value, list[Value]]
"""The values that each one is an input of, twice where it is two of their inputs."""


class ValueGraph:
    """The values of a captured graph in an order in which they can be computed.

    Attributes:
        values: without those that nothing needs.
        outputs: the values of the graph's outputs' leaves.
        updates: for each updated State its new value.
        loss_gradients: for losses of rows their gradient, where one instruction computes both.
    """

    def __init__(
        self,
        values: list[Value],
        outputs: list[Value],
        updates: dict[State, Value],
        loss_gradients: dict[Value, Value],
    ) -> None:
        self.values = values
        self.outputs = outputs
        self.updates = updates
        self.loss_gradients = loss_gradients

    @property
    def roots(self) -> list[Value]:
        """What all values are computed for."""
        return [*self.outputs, *self.updates.values(), *self.loss_gradients.values()]

    def uses(self) -> Counter[Value]:
        """How often each value is an input of others, or a root."""
        return Counter([i for value in self.values for i in value.inputs] + self.roots)

    def users(self) -> Users:
        """The users of each value."""
        users: Users = {value: [] for value in self.values}
        for value in self.values:
            for i in value.inputs:
                users[i].append(value)
        return users

    def in_order(self, order: Iterable[Value]) -> ValueGraph:
        """The graph after changes of its values, and new ones, which are put into an order."""
        values = pruned(order, self.roots)
        return ValueGraph(values, self.outputs, self.updates, self.loss_gradients)
