"""Linear pieces of a ReLU network along a line, counted exactly.

Along the segment x(t) = start + t (end - start) every node of a piecewise linear network is linear
in t between breakpoints. The nodes are visited in order. On each interval between the breakpoints
known so far, a node is represented by its value at the interval's middle and its slope. Where the
argument of a kink changes its sign within an interval, the interval is split there, and the walk
starts again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from chainrule.compiler.capture import capture
from chainrule.compiler.elementwise import ELEMENTWISE
from chainrule.compiler.leftovers import nothing_left
from chainrule.errors import ShapeError
from chainrule.graph.context import no_grad
from chainrule.graph.operation import operation_name
from chainrule.graph.tensor import Array, Tensor, placeholder
from chainrule.nn.inputs import floating_dtype
from chainrule.nn.module import Module

_MIN_DISTANCE = 1e-10  # in t; breakpoints nearer to each other count as one
_SLOPE_TOLERANCE = 1e-9  # relative to the largest slope; smaller differences count as none
_KINKS = ("relu", "abs", "maximum", "minimum")
_LINEAR = (
    "add",
    "add_n",
    "broadcast_to",
    "concatenate",
    "gradient_hook",
    "negative",
    "pad",
    "reshape",
    "slice",
    "stop_gradient",
    "subtract",
    "sum",
    "transpose",
)


class LinearPieces:
    """The result of `linear_pieces`.

    Attributes:
        breakpoints: the t in (0, 1), ascending, at which one piece ends and the next begins.
    """

    def __init__(self, breakpoints: Array) -> None:
        self.breakpoints = breakpoints

    @property
    def count(self) -> int:
        """The number of linear pieces: one more than breakpoints."""
        return len(self.breakpoints) + 1

    def __repr__(self) -> str:
        return f"LinearPieces(count={self.count}, breakpoints={self.breakpoints!r})"


class _Line(NamedTuple):
    """A node on each interval: its values at the middles and its slopes, with axis 0 the intervals.

    A node that does not depend on the input has no slopes, and no axis of intervals.
    """

    value: Array
    slope: Array | None


def linear_pieces(model: Module, start: ArrayLike, end: ArrayLike) -> LinearPieces:
    """The linear pieces of a model's outputs along the segment from `start` to `end`.

    The count is exact up to rounding in float64: breakpoints nearer to each other than 1e-10 of the
    segment count as one, and slopes that differ by less than 1e-9 of the largest as equal. The kink
    of a hidden unit is no breakpoint if the slope of no output changes there.

    Args:
        model: composed of piecewise linear operations, as Linear, ReLU and LeakyReLU layers,
            maxima of two, absolute values, scaling, sums. It is called in evaluation mode, on one
            Tensor with rows first, and must compute each row independently.
        start, end: the input's rows at t = 0 and t = 1, without the axis of the batch.

    Raises:
        ShapeError: if `start` and `end` differ in shape, or do not fit the model.
        ValueError: if they are equal or not finite, or if the model has an operation that is not
            piecewise linear; the message names the operation and its layer.

    Source: Montúfar, Pascanu, Cho, Bengio, "On the number of linear regions of deep neural
    networks", NIPS 2014.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> class Tent(nn.Module):
        ...     def forward(self, x):
        ...         return 1.0 - abs(2.0 * x - 1.0)
        >>> cr.inspect.linear_pieces(nn.Sequential(Tent(), Tent()), [0.0], [1.0])
        LinearPieces(count=4, breakpoints=array([0.25, 0.5 , 0.75]))
    """
    first, last = np.asarray(start, np.float64), np.asarray(end, np.float64)
    if first.shape != last.shape:
        raise ShapeError(f"start has shape {first.shape}, end {last.shape}; they must be equal")
    if not (np.isfinite(first).all() and np.isfinite(last).all()):
        raise ValueError("start and end must be finite")
    if np.array_equal(first, last):
        raise ValueError("start and end are equal: there is no segment between them")
    with model.in_mode(False):
        walk = _Walk(model, first, last)
        while not walk.finished:
            walk.go()
    return LinearPieces(walk.breakpoints())


class _Walk:
    """A walk through the nodes of a model along a segment, which splits intervals at kinks."""

    def __init__(self, model: Module, start: Array, end: Array) -> None:
        self.model = model
        self.start, self.direction = start, end - start
        self.knots = np.array([0.0, 1.0])
        self.settled = 0
        """Number of first nodes that have no kinks within the intervals."""
        self.finished = False
        self.output = _Line(start, None)

    @property
    def middles(self) -> Array:
        return (self.knots[:-1] + self.knots[1:]) / 2

    def go(self) -> None:
        """Visit the nodes up to the first with a kink within an interval, and split there."""
        rows = len(self.middles)
        dtype = floating_dtype(self.model)
        with no_grad(), nothing_left(self.model.modules()):
            graph = capture(self.model, placeholder((rows, *self.start.shape), dtype))
        if not isinstance(graph.outputs, Tensor):
            raise TypeError("linear_pieces takes a model that returns one Tensor")
        lines: dict[Tensor, _Line] = {}
        for number, node in enumerate(graph.nodes):
            if node is graph.inputs[0]:
                t = self.middles.reshape(-1, *[1] * self.start.ndim)
                slope = np.broadcast_to(self.direction, (rows, *self.start.shape))
                lines[node] = _Line(self.start + t * self.direction, slope)
                continue
            if node.operation is None or node.value is not None:
                lines[node] = _Line(_constant(node), None)
                continue
            inputs = [lines[i] for i in node.inputs]
            if number >= self.settled:
                self.settled = number + 1
                if self._split(node, inputs, rows):
                    return
            lines[node] = _follow(node, inputs, rows)
        self.output = lines[graph.outputs]
        self.finished = True

    def _split(self, node: Tensor, inputs: list[_Line], rows: int) -> bool:
        """Split the intervals where the argument of the node's kink changes its sign."""
        argument = _kink(node, inputs)
        if argument is None or argument.slope is None:
            return False
        value = argument.value.reshape(rows, -1)
        slope = np.broadcast_to(argument.slope, argument.value.shape).reshape(rows, -1)
        interval, unit = np.nonzero(slope)
        with np.errstate(over="ignore"):
            t = self.middles[interval] - value[interval, unit] / slope[interval, unit]
        left, right = self.knots[interval], self.knots[interval + 1]
        t = np.sort(t[(left + _MIN_DISTANCE < t) & (t < right - _MIN_DISTANCE)])
        if not len(t):
            return False
        is_new = np.concatenate([[True], np.diff(t) > _MIN_DISTANCE])
        self.knots = np.sort(np.concatenate([self.knots, t[is_new]]))
        return True

    def breakpoints(self) -> Array:
        """The knots at which the output's slope changes, or its value jumps."""
        if self.output.slope is None:
            return np.empty(0)
        rows = len(self.middles)
        value, slope = (a.reshape(rows, -1) for a in self.output)  # type: ignore[union-attr]
        half = np.diff(self.knots)[:, None] / 2
        left, right = (value + half * slope)[:-1], (value - half * slope)[1:]
        bends = np.abs(np.diff(slope, axis=0)) > _SLOPE_TOLERANCE * np.abs(slope).max(initial=0)
        jumps = np.abs(right - left) > _SLOPE_TOLERANCE * np.abs(value).max(initial=0)
        return self.knots[1:-1][(bends | jumps).any(axis=1)]


def _constant(node: Tensor) -> Array:
    value = node.value if node.state is None else node.state.value
    assert value is not None
    return value.astype(np.float64) if value.dtype.kind == "f" else value


def _kink(node: Tensor, inputs: list[_Line]) -> _Line | None:
    """The line whose sign changes where the node has its kink; None without a kink."""
    if not (_is_constant_between_jumps(node) or operation_name(node) in _KINKS):
        return None
    if len(inputs) == 1:
        return inputs[0]
    a, b = inputs
    slope = None
    if a.slope is not None or b.slope is not None:
        slope = _slope(a) - _slope(b)
    return _Line(np.subtract(a.value, b.value, dtype=np.float64), slope)


def _is_constant_between_jumps(node: Tensor) -> bool:
    """Whether the node is a comparison or a sign: no gradient passes these alone."""
    operation = ELEMENTWISE.get(operation_name(node))
    return operation is not None and not any(operation.rules)


def _slope(line: _Line) -> Array:
    """The slopes; zeros for a constant."""
    return np.zeros(np.shape(line.value)) if line.slope is None else line.slope


def _follow(node: Tensor, inputs: list[_Line], rows: int) -> _Line:
    """The line of a node, computed from those of its inputs."""
    assert node.operation is not None
    values = [line.value for line in inputs]
    name, attributes = operation_name(node), node.attributes
    if name == "astype":
        kind = np.float64 if attributes["dtype"].kind == "f" else attributes["dtype"]
        value = values[0].astype(kind)
        if inputs[0].slope is not None and value.dtype.kind != "f" and inputs[0].slope.any():
            raise _refusal(node, "rounding to whole numbers is not piecewise linear")
        return _Line(value, inputs[0].slope)
    forward: Callable[..., Any] = node.operation.forward
    if all(line.slope is None for line in inputs):
        return _Line(np.asarray(forward(*values, **attributes)), None)
    _check_rows(node, rows)
    slopes = [_slope(line) for line in inputs]
    if _is_constant_between_jumps(node):
        value = forward(*values, **attributes)
        return _Line(value, np.zeros(value.shape))
    if name in _LINEAR:
        linear = {**attributes, "value": 0.0} if name == "pad" else attributes
        return _Line(forward(*values, **attributes), forward(*slopes, **linear))
    if name in ("relu", "abs"):
        ((value, slope),) = inputs
        sign = np.sign(value) if name == "abs" else value > 0
        return _Line(sign * value, sign * _slope(_Line(value, slope)))
    if name in ("maximum", "minimum"):
        (a, b), (da, db) = values, slopes
        first = a > b if name == "maximum" else a < b
        return _Line(np.where(first, a, b), np.where(first, da, db))
    if name == "where":
        condition, a, b = values
        return _Line(np.where(condition, a, b), np.where(condition, *slopes[1:]))
    if name == "multiply":
        (a, b), (da, db) = values, slopes
        if np.any((da != 0) & (db != 0)):
            raise _refusal(node, "a product of two values that both change is not piecewise linear")
        return _Line(a * b, a * db + da * b)
    if name == "divide" and inputs[1].slope is None:
        return _Line(values[0] / values[1], slopes[0] / values[1])
    if name == "matmul" and inputs[1].slope is None:
        return _Line(forward(*values, **attributes), forward(slopes[0], values[1], **attributes))
    raise _refusal(node, "it is not piecewise linear, or not an operation that can be followed")


def _check_rows(node: Tensor, rows: int) -> None:
    """Raise if the operation would mix rows: each row is an interval of its own."""
    name, attributes = operation_name(node), node.attributes
    mixes = (
        node.shape[:1] == ()
        or node.shape[0] % rows
        or (name == "sum" and 0 in attributes["axes"])
        or (name == "transpose" and attributes["axes"][0] != 0)
        or (name == "concatenate" and attributes["axis"] == 0)
        or (name in ("slice", "pad") and node.shape[0] != node.inputs[0].shape[0])
        or (name == "matmul" and attributes.get("transpose_a"))
    )
    if mixes:
        raise _refusal(node, "it computes across the rows of a batch")


def _refusal(node: Tensor, reason: str) -> ValueError:
    where = f" in layer {node.path}" if node.path else ""
    return ValueError(
        f"linear_pieces can't follow the operation {operation_name(node)}{where}: {reason}. Count "
        "the pieces of a part of the model without it."
    )
