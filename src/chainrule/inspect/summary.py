"""Summary of a model: its layers with shapes, parameters, connections, FLOPs and memory."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.compiler.leftovers import nothing_left
from chainrule.compiler.passes import simplify
from chainrule.compiler.values import LEAVES, Value, ValueGraph, root
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.backprop import backprop, with_ancestors
from chainrule.graph.context import local
from chainrule.graph.tensor import Tensor, placeholder
from chainrule.markup import printed, size_text
from chainrule.nn import arguments
from chainrule.nn.inputs import floating_dtype
from chainrule.nn.interception import intercepted
from chainrule.nn.module import Module
from chainrule.trees import leaves


class LayerSummary(NamedTuple):
    """One layer of a `Summary`: its own numbers, without those of its inner layers.

    Attributes:
        path: as in ``net.0``; empty for the model itself.
        layer: the name of its class.
        output_shape: shape of the output for a batch, at the layer's first call; None if the model
            does not call it.
        parameters: number of parameter elements, frozen ones included; shared ones count once.
        edges: connections: the multiply-adds of its matrix products for one row.
        nodes: neurons: the outputs for one row, of a layer with edges.
        forward_flops, backward_flops: floating-point operations for one row.
        activation_bytes: memory of the values that it computes for a batch and that the backward
            pass reads.
    """

    path: str
    layer: str
    output_shape: tuple[int, ...] | None
    parameters: int
    edges: float
    nodes: float
    forward_flops: float
    backward_flops: float
    activation_bytes: int


class Summary(NamedTuple):
    """The result of `summary`; it prints as a table.

    Attributes:
        layers: the layers that have parameters or compute something, in the order of their calls.
        input_shape: shape of a batch.
        parameters, trainable_parameters: number of parameter elements.
        edges, nodes: connections and neurons of all layers.
        forward_flops, backward_flops: floating-point operations for one row, without the loss and
            the update of the parameters.
        parameter_bytes: memory of all parameters and buffers.
        activation_bytes: memory of the values of a batch's forward pass that the backward pass
            reads, including the batch itself where it is read.
    """

    layers: tuple[LayerSummary, ...]
    input_shape: tuple[int, ...]
    parameters: int
    trainable_parameters: int
    edges: float
    nodes: float
    forward_flops: float
    backward_flops: float
    parameter_bytes: int
    activation_bytes: int

    def __rich__(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=True)
        totals = ["total", "", "", *map(_count, (self.parameters, self.edges))]
        totals += map(_count, (self.forward_flops, self.backward_flops))
        headings = ["path", "layer", "output", "parameters", "edges", "forward", "backward"]
        for i, (heading, total) in enumerate(zip(headings, totals, strict=True)):
            justify: Any = "left" if i < 2 else "right"
            table.add_column(heading, footer=total, justify=justify, overflow="fold")
        for row in self.layers:
            shape = "" if row.output_shape is None else " × ".join(map(str, row.output_shape))
            counts = (row.parameters, row.edges, row.forward_flops, row.backward_flops)
            table.add_row(row.path, row.layer, shape or "-", *map(_count, counts))
        frozen = self.parameters - self.trainable_parameters
        notes = [
            f"input {' × '.join(map(str, self.input_shape))}, {_count(self.nodes)} neurons; "
            "edges and FLOPs are those of one row",
            f"memory: parameters {size_text(self.parameter_bytes)}, activations that the backward "
            f"pass of a batch reads {size_text(self.activation_bytes)}",
        ]
        if frozen:
            notes.append(f"{frozen:,} parameters are frozen")
        return Group(table, Text(), *map(Text, notes))

    def __str__(self) -> str:
        return printed(self)

    def __repr__(self) -> str:  # in a notebook and at the prompt
        return str(self)


def _count(number: float) -> str:
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"


def summary(
    model: Module,
    input_shape: Sequence[int],
    *,
    batch_size: int = 64,
    dtype: DTypeLike | None = None,
) -> Summary:
    """The layers of a model: shapes, parameters, connections, FLOPs and memory.

    No values are computed: the training step, forward and backward, is captured as a graph on
    placeholders, and its operations are counted. So a user's own layer is counted like any other.
    The gradient of the first layer's input, which backpropagation leaves out, is not counted.

    Args:
        model: takes one Tensor and returns one.
        input_shape: shape of one row, without the axis of the batch.
        batch_size: rows in a batch, for shapes and memory.
        dtype: dtype of the input; by default that of the model's first floating parameter or
            buffer.

    Raises:
        ShapeError, DTypeError: if the input does not fit the model; the message begins with the
            path of the layer.
        TypeError: if the model does not return one floating Tensor.

    One FLOP is one multiplication, addition or other function of numbers, so the product of an
    (m, k) and a (k, n) matrix costs 2 m n k.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> found = cr.summary(model, (4,))
        >>> found.parameters, found.edges, found.layers[0].forward_flops
        (67, 56, 72)
        >>> print(found)
        path    layer    output   parameters   edges   forward   backward
        ─────────────────────────────────────────────────────────────────
        0       Linear   64 × 8           40      32        72         72
        1       ReLU     64 × 8            0       0         8         16
        2       Linear   64 × 3           27      24        51         99
        <BLANKLINE>
        total                             67      56       131        187
        <BLANKLINE>
        input 64 × 4, 11 neurons; edges and FLOPs are those of one row
        memory: parameters 268 bytes, activations that the backward pass of a batch reads 3.07 kB
    """
    arguments.module("model", model)
    shape = _checked_shape(input_shape, batch_size)
    if dtype is None:
        dtype = floating_dtype(model)
    calls = _FirstCalls(model)
    x = placeholder(shape, dtype, name="x")
    with model.in_mode(True), intercepted(model, calls.around):
        try:
            with nothing_left(model.modules()):
                output = capture(model, x).outputs
        except DTypeError as error:
            raise DTypeError(f"{error}. Here the input is {x.dtype}: pass its dtype=") from None
        if not isinstance(output, Tensor) or output.dtype.kind != "f":
            raise TypeError(
                "summary takes a model that returns one floating Tensor, this one returned "
                f"{output!r}; wrap it in a Module that returns the output to train on"
            )
        graph = _training_graph(model, x, output)
    return _counted(model, calls, graph, shape)


def _checked_shape(input_shape: Sequence[int], batch_size: int) -> tuple[int, ...]:
    lengths = list(input_shape) if isinstance(input_shape, (tuple, list)) else [None]
    for length in [*lengths, batch_size]:
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)) or length < 1:
            raise ShapeError(
                "input_shape is the shape of one row, a tuple of positive whole numbers as "
                f"(784,), and batch_size another; got {input_shape!r} and {batch_size!r}"
            )
    return (int(batch_size), *map(int, input_shape))


class _FirstCalls:
    """The modules in the order of their first calls; the nodes of each carry its own path."""

    def __init__(self, model: Module) -> None:
        self.paths = {module: path for path, module in model.named_modules()}
        self.outputs: dict[Module, tuple[int, ...] | None] = {}

    def around(
        self, module: Module, forward: Callable[..., Any], *inputs: Any, **keywords: Any
    ) -> Any:
        # A layer that is shared under several paths: all its nodes carry the first path.
        local.context.path = self.paths[module]
        self.outputs.setdefault(module, None)
        output = forward(*inputs, **keywords)
        if self.outputs[module] is None:
            first = next((leaf for leaf in leaves(output) if isinstance(leaf, Tensor)), None)
            self.outputs[module] = None if first is None else first.shape
        return output


def _training_graph(model: Module, x: Tensor, output: Tensor) -> CapturedGraph:
    """(x, gradient of the output) -> (output, gradients of the parameters)."""

    def step(x: Tensor, grad_output: Tensor) -> tuple[Tensor, list[Tensor]]:
        y = model(x)
        trained = [p for p in model.parameters() if p.requires_grad]
        if not trained or not y.requires_grad:
            return y, []
        grad_table = backprop(y, trained, grad_output)
        return y, [grad_table[p.node()] for p in trained if p.node() in grad_table]

    with nothing_left(model.modules()):
        return capture(step, x, placeholder(output.shape, output.dtype))


def _counted(
    model: Module, calls: _FirstCalls, graph: CapturedGraph, shape: tuple[int, ...]
) -> Summary:
    simplified = simplify(graph)
    # The forward pass computes the output, and updates such as those of running statistics.
    forward = with_ancestors([simplified.outputs[0], *simplified.updates.values()])
    forward_flops: dict[str, int] = defaultdict(int)
    backward_flops: dict[str, int] = defaultdict(int)
    edges: dict[str, int] = defaultdict(int)
    for value in simplified.values:
        path = value.node.path
        if value in forward:
            forward_flops[path] += value.flops
            edges[path] += _connections(value)
        else:
            backward_flops[path] += value.flops
    activation_bytes: dict[str, int] = defaultdict(int)
    for value in _read_backward(simplified, forward):
        activation_bytes[value.node.path] += value.nbytes
    rows = shape[0]
    counted: set[Any] = set()
    layers = []
    for module, path in _in_order(calls):
        own = [p for p in module._parameters.values() if p is not None and p not in counted]
        counted.update(own)
        computes = forward_flops[path] or backward_flops[path]
        if module._modules and not own and not computes:
            continue  # a container
        output_shape = calls.outputs.get(module)
        neurons = math.prod(output_shape) if output_shape and edges[path] else 0
        layers.append(
            LayerSummary(
                path,
                type(module).__name__,
                output_shape,
                sum(p.size for p in own),
                _per_row(edges[path], rows),
                _per_row(neurons, rows),
                _per_row(forward_flops[path], rows),
                _per_row(backward_flops[path], rows),
                activation_bytes[path],
            )
        )
    parameters = list(model.parameters())
    return Summary(
        tuple(layers),
        shape,
        sum(p.size for p in parameters),
        sum(p.size for p in parameters if p.requires_grad),
        _per_row(sum(edges.values()), rows),
        sum(layer.nodes for layer in layers),
        _per_row(sum(forward_flops.values()), rows),
        _per_row(sum(backward_flops.values()), rows),
        sum(s.size * s.dtype.itemsize for s in (*parameters, *model.buffers())),
        sum(activation_bytes.values()),
    )


def _connections(value: Value) -> int:
    """The multiply-adds of a product of matrices: one for each connection and row."""
    return value.flops // 2 if value.kind == "matmul" else 0


def _in_order(calls: _FirstCalls) -> Iterable[tuple[Module, str]]:
    """The modules that were called, in the order of the calls, then those that were not."""
    not_called = [module for module in calls.paths if module not in calls.outputs]
    return ((module, calls.paths[module]) for module in (*calls.outputs, *not_called))


def _read_backward(simplified: ValueGraph, forward: set[Value]) -> set[Value]:
    """The inputs and the values of the forward pass that the backward pass reads."""
    read = set()
    for value in simplified.values:
        if value not in forward:
            read |= {root(i) for i in value.inputs}
    return {v for v in read & forward if v.kind == "input" or v.kind not in LEAVES}


def _per_row(number: int, rows: int) -> float:
    """number / rows, as an int where it is a whole number: all rows then cost the same."""
    return number // rows if number % rows == 0 else number / rows
