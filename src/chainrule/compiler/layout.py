"""The layout pass: images lie with the channels last, where that saves copies.

A user's image is (N, C, *spatial). The core's convolutions take and give (N, *spatial, C), so each
would copy its images into that layout and back. What stands between two convolutions can mostly be
computed in either layout. So the pass

1. finds the channel axis of each image: axis 1 of what convolutions take and give, and what becomes
   of that axis in the operations before and after;
2. chooses the layout of each image, so that as few bytes as possible are copied from one layout to
   the other: a minimum cut between the convolutions and what needs the user's layout;
3. writes the graph anew, with its transposes where the layouts meet.

       conv -> add -> relu -> max -> reshape -> matmul          conv needs the channels last,
                    last           |  user's layout             reshape the user's layout
                                transpose
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from chainrule.compiler.cut import Network
from chainrule.compiler.elementwise import ELEMENTWISE
from chainrule.compiler.values import (
    Users,
    Value,
    ValueGraph,
    ValueWriter,
    constant_array,
    transposed,
)
from chainrule.graph.tensor import Tensor
from chainrule.ops.reduce import reduced_shape

_IMAGES = {"conv": (0,), "conv_input_grad": (0,), "conv_weight_grad": (0, 1)}
"""Which inputs of a convolution are images."""
_SAME_AXES = {
    "concatenate",
    "cumsum",
    "log_softmax",
    "pad",
    "reverse_cumsum",
    "slice",
    "softmax",
    "unslice",
}
"""Operations of several axes whose result has the axes of their inputs."""
_POOLINGS = {
    "max_pool",
    "max_pool_taps",
    "put_taps",
    "sum_pool",
    "sum_pool_input_grad",
    "take_taps",
}
"""Operations whose result has the axes of their inputs, and that pool those from `axis` on."""
_REDUCTIONS = {"sum", "max", "min"}

Shape = tuple[int, ...]


def channels_last(graph: ValueGraph) -> ValueGraph:
    """The graph with each image in the layout that saves copies, and copies where layouts meet."""
    if not any(value.kind in _IMAGES for value in graph.values):
        return graph
    users = graph.users()
    axes = _channel_axes(graph.values, users)
    last = _choose(graph.values, users, axes, set(graph.roots))
    rewriting = _Rewriting(axes, last, graph.uses())
    for value in graph.values:
        rewriting.write(value)
    outputs = [rewriting.get(value, None) for value in graph.outputs]
    updates = {state: rewriting.get(value, None) for state, value in graph.updates.items()}
    return ValueGraph([], outputs, updates, graph.loss_gradients).in_order(rewriting.order)


# The channel axis


def _channel_axes(values: Iterable[Value], users: Users) -> dict[Value, int]:
    """The channel axis of each image, and of what has one that need not be moved."""
    axes: dict[Value, int] = {}
    waiting: list[Value] = []

    def note(value: Value, axis: int | None) -> None:
        if axis is None or value in axes:
            return
        axes[value] = axis
        if not _is_moved_by_reshape(value.shape, axis):
            waiting.append(value)

    for value in values:
        for image in _images_of(value):
            note(image, 1)
    while waiting:
        value = waiting.pop()
        for i in value.inputs:
            note(i, _axis_in_input(value, i, axes[value]))
        for user in users[value]:
            note(user, _axis_in_result(user, value, axes[value]))
    return axes


def _images_of(value: Value) -> Iterator[Value]:
    """The images that a convolution takes and gives; nothing for other operations."""
    for number in _IMAGES.get(value.kind, ()):
        yield value.inputs[number]
    if value.kind in ("conv", "conv_input_grad"):
        yield value


def _axis_in_input(value: Value, given: Value, axis: int) -> int | None:
    """Which axis of an input an axis of a value is; None where the operation does not say."""
    if _has_axis_of_inputs(value, axis):
        return axis
    if value.kind == "broadcast_to":
        axis -= len(value.shape) - len(given.shape)
        return axis if axis >= 0 else None
    if value.kind in _REDUCTIONS:
        return axis if value.attributes["keepdims"] else _kept(value, given)[axis]
    return _axis_after_reshape(value.shape, given.shape, axis) if value.kind == "reshape" else None


def _has_axis_of_inputs(value: Value, axis: int) -> bool:
    """Whether an axis is the same of a value and its inputs, and can be moved in all of them."""
    if value.kind in _POOLINGS:
        first = value.attributes["axis"]
        return not first <= axis < first + len(value.attributes["kernel"])
    return value.kind in ELEMENTWISE or value.kind in _SAME_AXES


def _axis_in_result(value: Value, given: Value, axis: int) -> int | None:
    """Which axis of a value an axis of an input is; None where it is gone, or not known."""
    if _has_axis_of_inputs(value, axis):
        return axis
    if value.kind == "broadcast_to":
        return axis + len(value.shape) - len(given.shape)
    if value.kind in _REDUCTIONS:
        if value.attributes["keepdims"]:
            return axis
        kept = _kept(value, given)
        return kept.index(axis) if axis in kept else None
    return _axis_after_reshape(given.shape, value.shape, axis) if value.kind == "reshape" else None


def _kept(reduction: Value, given: Value) -> list[int]:
    """The axes that are left of a reduction's input."""
    return [a for a in range(len(given.shape)) if a not in reduction.attributes["axes"]]


def _axis_after_reshape(before: Shape, after: Shape, axis: int) -> int | None:
    """The axis that has the same elements before it, in it and behind it; None if there is none."""
    outer, inner = math.prod(before[:axis]), math.prod(before[axis + 1 :])
    for a, length in enumerate(after):
        if (math.prod(after[:a]), length, math.prod(after[a + 1 :])) == (
            outer,
            before[axis],
            inner,
        ):
            return a
    return None


def _is_moved_by_reshape(shape: Shape, axis: int) -> bool:
    """Whether an axis moves to the end and leaves all elements where they lie in memory."""
    return shape[axis] == 1 or math.prod(shape[axis + 1 :]) == 1 or 0 in shape


# The choice


def _choose(
    values: Iterable[Value], users: Users, axes: dict[Value, int], roots: set[Value]
) -> set[Value]:
    """The images that lie with the channels last.

    On the source's side of the cut they do, on the sink's they lie as the user has them. The
    capacity of an edge is the bytes that are copied where it is cut. Constants and broadcasts are
    there in both layouts.
    """
    network = Network()
    nodes: dict[Value, int] = {}
    for value in values:
        axis = axes.get(value)
        if value.kind in _IMAGES:
            nodes[value] = network.source
        elif axis is None or _is_moved_by_reshape(value.shape, axis):
            continue
        elif value.kind not in ("constant", "broadcast_to"):
            follows = any(_follows(value, i, axes) for i in value.inputs)
            nodes[value] = network.node() if follows else network.sink
    for value, node in nodes.items():
        if value in axes:  # not the gradient of weights, which is no image
            readers = set(_readers(value, users, axes, nodes))
            if value in roots:
                readers.add(network.sink)
            _connect(network, node, readers - {node}, value.nbytes)
    theirs = network.sink_side()
    return {v for v, node in nodes.items() if node not in theirs and v in axes}


def _follows(value: Value, given: Value, axes: dict[Value, int]) -> bool:
    """Whether an operation can be computed in the layout of this input."""
    if given not in axes:
        return False
    axis = _axis_in_result(value, given, axes[given])
    if axis is None:  # a reduction over the channels has any layout of what is left
        return value.kind in _REDUCTIONS
    return axis == axes.get(value)


def _readers(
    value: Value, users: Users, axes: dict[Value, int], nodes: dict[Value, int]
) -> Iterator[int]:
    """The nodes of the layouts in which a value is read."""
    for user in users[value]:
        if user.kind in _IMAGES:
            numbers = [n for n, i in enumerate(user.inputs) if i is value]
            for number in numbers:
                yield Network.source if number in _IMAGES[user.kind] else Network.sink
        elif not _follows(user, value, axes):
            yield Network.sink
        elif user.kind == "broadcast_to":
            yield from _readers(user, users, axes, nodes)
        elif user in nodes:
            yield nodes[user]


def _connect(network: Network, node: int, readers: set[int], nbytes: int) -> None:
    """Let it cost `nbytes`, once, if any reader is not on the side of the value that it reads."""
    theirs, ours = network.node(), network.node()
    network.edge(node, theirs, nbytes)
    network.edge(ours, node, nbytes)
    for reader in readers:
        network.edge(theirs, reader, math.inf)
        network.edge(reader, ours, math.inf)


# The new graph


class _Rewriting(ValueWriter):
    """Writes the values anew, each in its layout."""

    def __init__(self, axes: dict[Value, int], last: set[Value], uses: Counter[Value]) -> None:
        super().__init__()
        self._axes = axes
        self._last = last
        self._uses = uses
        self._made: dict[tuple[Value, int | None], Value] = {}
        """By old value, and by its axis that is moved to the end; None for the user's layout."""

    def get(self, value: Value, axis: int | None) -> Value:
        """A value with an axis moved to the end, or in the user's layout."""
        if axis == len(value.shape) - 1:
            axis = None
        if (value, axis) not in self._made:
            self._made[value, axis] = self._in_other_layout(value, axis)
        return self._made[value, axis]

    def _in_other_layout(self, value: Value, axis: int | None) -> Value:
        if value.kind == "broadcast_to":
            return self._broadcast(value, axis)
        if axis is None:
            end = len(value.shape) - 1
            back = (*range(self._axes[value]), end, *range(self._axes[value], end))
            return self._transposed(self.get(value, self._axes[value]), back, value.node)
        if value.kind == "constant":
            assert value.array is not None
            return self.put(constant_array(np.moveaxis(value.array, axis, -1), value.node))
        return self._transposed(self.get(value, None), _order(len(value.shape), axis), value.node)

    def write(self, value: Value) -> None:
        """Write a value whose inputs have been written."""
        axis = self._axes.get(value)
        if value.kind == "broadcast_to":
            return  # where it is read
        if value.kind in _IMAGES:
            self._write_convolution(value)
        elif value in self._last or self._comes_from_last(value, axis):
            end = None if axis == len(value.shape) - 1 else axis
            self._made[value, end] = self._with_channels_last(value, axis)
        else:
            self._made[value, None] = self._in_users_layout(value)

    def _comes_from_last(self, value: Value, axis: int | None) -> bool:
        """Whether a value that a reshape moves is computed from one with the channels last."""
        if axis is not None and not _is_moved_by_reshape(value.shape, axis):
            return False
        return any(i in self._last and _follows(value, i, self._axes) for i in value.inputs)

    def _write_convolution(self, value: Value) -> None:
        images = _IMAGES[value.kind]
        inputs = tuple(
            [self.get(i, 1 if n in images else None) for n, i in enumerate(value.inputs)]
        )
        if value.kind == "conv_weight_grad":
            value.inputs = inputs
            self._made[value, None] = self.put(value)
        else:
            shape = _moved(value.shape, 1)
            self._made[value, 1] = self.new(value.kind, inputs, value.attributes, shape, value)

    def _in_users_layout(self, value: Value) -> Value:
        if value.kind == "transpose":
            x = self.get(value.inputs[0], None)
            return self._transposed(x, value.attributes["axes"], value.node)
        if value.kind == "reshape":
            return self.reshaped(self.get(value.inputs[0], None), value.shape, value)
        value.inputs = tuple([self.get(i, None) for i in value.inputs])
        return self.put(value)

    def _with_channels_last(self, value: Value, axis: int | None) -> Value:
        """The value computed from inputs with the channels last."""
        shape = value.shape if axis is None else _moved(value.shape, axis)
        if value.kind in _REDUCTIONS:
            return self._reduced(value, value.inputs[0], shape)
        assert axis is not None
        inputs = tuple([self.get(i, _axis_in_input(value, i, axis)) for i in value.inputs])
        if value.kind == "reshape":
            return self.reshaped(inputs[0], shape, value)
        attributes = value.attributes
        if value.kind not in ELEMENTWISE:
            attributes = _moved_attributes(value, axis)
        return self.new(value.kind, inputs, attributes, shape, value)

    def _reduced(self, value: Value, given: Value, shape: Shape) -> Value:
        """A reduction; the sum of a sum that nothing else reads is one sum."""
        axis = self._axes[given]
        x, single = self.get(given, axis), self._uses[given] == 1
        order = _order(len(given.shape), axis)
        axes = {order.index(a) for a in value.attributes["axes"]}
        keepdims = value.attributes["keepdims"]
        if value.kind == "sum" and single and x.kind == "sum" and not x.attributes["keepdims"]:
            (source,) = x.inputs
            left = _kept(x, source)
            axes = {*x.attributes["axes"], *(left[a] for a in axes)}
            x, keepdims = source, False
        over = {"axes": tuple(sorted(axes)), "keepdims": keepdims}
        reduced = self.new(
            value.kind, (x,), over, reduced_shape(x.shape, over["axes"], keepdims), value
        )
        return self.reshaped(reduced, shape, value)

    def _broadcast(self, value: Value, axis: int | None) -> Value:
        """A broadcast, of what a broadcast among its inputs repeats."""
        (given,) = value.inputs
        shape = value.shape if axis is None else _moved(value.shape, axis)
        if axis is None or given.size == 1:
            x = self.get(given, None)
        else:
            its_axis = _axis_in_input(value, given, axis)
            x = self.get(given, its_axis)
            if its_axis is None:  # the channels are an axis that it is repeated along
                x = self.reshaped(x, (*x.shape, 1), given)
        while x.kind == "broadcast_to" or (x.kind == "reshape" and _adds_leading_axes(x)):
            (x,) = x.inputs
        if x.shape == shape:
            return x
        return self.new("broadcast_to", (x,), {"shape": shape}, shape, value)

    def _transposed(self, x: Value, axes: Shape, node: Tensor) -> Value:
        return self.put(transposed(x, axes, node))


def _order(ndim: int, axis: int) -> Shape:
    """The order of axes with `axis` at the end."""
    return (*[a for a in range(ndim) if a != axis], axis)


def _moved(numbers: tuple[Any, ...], axis: int) -> tuple[Any, ...]:
    """What belongs to the axes, with that of `axis` at the end."""
    return (*numbers[:axis], *numbers[axis + 1 :], numbers[axis])


def _moved_attributes(value: Value, axis: int) -> dict[str, Any]:
    """The attributes of an operation for axes of which `axis` is moved to the end."""
    moved = dict(value.attributes)
    for name in ("runs", "shape", "widths"):
        if name in moved:
            moved[name] = _moved(moved[name], axis)
    if "axis" in moved:
        moved["axis"] = _order(len(value.shape), axis).index(moved["axis"])
    return moved


def _adds_leading_axes(reshape: Value) -> bool:
    """Whether a reshape does nothing but add axes of length 1 before the others."""
    before, after = reshape.inputs[0].shape, reshape.shape
    lead = len(after) - len(before)
    return lead >= 0 and after == (1,) * lead + before
