"""Summary of a model: its layers with shapes, parameters, connections, FLOPs and memory."""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.compiler.leftovers import nothing_left
from chainrule.compiler.passes import simplify
from chainrule.compiler.values import LEAVES, Value, ValueGraph, root
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.backprop import with_ancestors
from chainrule.graph.context import local
from chainrule.graph.gradients import grad
from chainrule.graph.tensor import Tensor, placeholder
from chainrule.markup import encodable, printed, shape_text, size_text
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
        input_shape: shape of a batch; of several inputs a tuple of theirs.
        parameters, trainable_parameters: number of parameter elements.
        edges, nodes: connections and neurons of all layers.
        forward_flops, backward_flops: floating-point operations for one row, without the loss and
            the update of the parameters.
        parameter_bytes: memory of all parameters and buffers.
        activation_bytes: memory of the values of a batch's forward pass that the backward pass
            reads, including the batch itself where it is read.
    """

    layers: tuple[LayerSummary, ...]
    input_shape: tuple[int, ...] | tuple[tuple[int, ...], ...]
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
            shape = "" if row.output_shape is None else shape_text(row.output_shape)
            counts = (row.parameters, row.edges, row.forward_flops, row.backward_flops)
            # As Text: in a str rich takes [brackets] and :colons: for signs of its own.
            named = (Text(encodable(text)) for text in (row.path, row.layer, shape or "-"))
            table.add_row(*named, *map(_count, counts))
        frozen = self.parameters - self.trainable_parameters
        notes = [
            f"input {_shapes_text(self.input_shape)}, {_count(self.nodes)} neurons; "
            "edges and FLOPs are those of one row",
            f"memory: parameters {size_text(self.parameter_bytes)}, activations that the backward "
            f"pass of a batch reads {size_text(self.activation_bytes)}",
        ]
        if frozen:
            notes.append(f"{frozen:,} parameters are frozen")
        return Group(table, Text(), *(Text(encodable(note)) for note in notes))

    def __str__(self) -> str:
        return printed(self)

    def __repr__(self) -> str:  # in a notebook and at the prompt
        return str(self)


def _shapes_text(shape: Sequence[Any]) -> str:
    if shape and isinstance(shape[0], tuple):
        return " and ".join(map(_shapes_text, shape))
    return shape_text(shape)


def _count(number: float) -> str:
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"


def summary(
    model: Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]],
    *,
    batch_size: int = 64,
    dtype: DTypeLike | Sequence[DTypeLike] | None = None,
) -> Summary:
    """The layers of a model: shapes, parameters, connections, FLOPs and memory.

    No values are computed: the training step, forward and backward, is captured as a graph on
    placeholders, and its operations are counted. So a user's own layer is counted like any other.
    The gradient of the first layer's input, which backpropagation leaves out, is not counted.

    Args:
        model: what it returns has a floating Tensor among its leaves; of several, as in a tuple or
            a dict, each has a gradient.
        input_shape: shape of one row, without the axis of the batch; of several inputs a tuple of
            such shapes.
        batch_size: rows in a batch, for shapes and memory.
        dtype: dtype of the input, or of each of several; by default that of the model's first
            floating parameter or buffer.

    Raises:
        ShapeError, DTypeError: if the input does not fit the model; the message begins with the
            path of the layer.
        TypeError: if the model takes another number of inputs, or returns no floating Tensor.
        ValueError: if `batch_size` is less than 1.

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
    shapes = batch_shapes("input_shape", input_shape, checks.count("batch_size", batch_size))
    inputs = placeholders_of(model, shapes, dtype)
    calls = _FirstCalls(model)
    with model.in_mode(True), intercepted(model, calls.around):
        try:
            with nothing_left(model.modules()):
                output = capture(model, *inputs).outputs
        except DTypeError as error:
            dtypes = " and ".join(str(x.dtype) for x in inputs)
            raise DTypeError(f"{error}. Here the input is {dtypes}: pass its dtype=") from None
        outputs = _floating(output)
        if not outputs:
            raise TypeError(
                "summary takes a model that returns a floating Tensor, or several, this one "
                f"returned {output!r}; wrap it in a Module that returns the output to train on"
            )
        graph = _training_graph(model, inputs, outputs)
    return _counted(
        model, calls, graph, len(outputs), shapes[0] if len(shapes) == 1 else tuple(shapes)
    )


def batch_shapes(name: str, given: Any, batch_size: int) -> list[tuple[int, ...]]:
    """The shapes of a batch, from the shape of a row, or from a tuple of those of several inputs.

    Raises:
        ShapeError: if they are none.
    """
    nested = (tuple, list)
    is_several = isinstance(given, nested) and any(isinstance(part, nested) for part in given)
    shapes = given if is_several else [given]
    for shape in shapes:
        lengths = list(shape) if isinstance(shape, nested) else [None]
        for n in lengths:
            if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
                raise ShapeError(
                    f"{name} is the shape of one row, a tuple of positive whole numbers as "
                    f"(784,), or a tuple of several inputs' shapes; got {given!r}"
                )
    return [(batch_size, *map(int, shape)) for shape in shapes]


def placeholders_of(model: Module, shapes: Sequence[tuple[int, ...]], dtype: Any) -> list[Tensor]:
    """The inputs of a model, of the dtypes that are given; else of that of its parameters.

    Raises:
        TypeError: if the model takes another number of them.
        ValueError: if there are not as many dtypes.
    """
    takes_inputs(model, len(shapes))
    dtypes = dtype if isinstance(dtype, (tuple, list)) else [dtype] * len(shapes)
    if len(dtypes) != len(shapes):
        raise ValueError(f"{len(shapes)} inputs have one dtype, or one each, got {dtype!r}")
    floating = floating_dtype(model)
    names = ["x"] if len(shapes) == 1 else [f"x{i}" for i in range(1, len(shapes) + 1)]
    return [
        placeholder(shape, floating if kind is None else kind, name=name)
        for shape, kind, name in zip(shapes, dtypes, names, strict=True)
    ]


def takes_inputs(model: Module, count: int) -> None:
    """Raise TypeError, with what to do, where a model does not take so many inputs."""
    try:
        inspect.signature(model.forward).bind(*[None] * count)
    except TypeError as error:
        raise TypeError(
            f"{type(model).__name__} does not take {count} input{'s' * (count > 1)}: {error}; give "
            "the shape of each, as ((784,), (10,)), or its data, or wrap it in a Module that knows "
            "the others"
        ) from None


def _floating(output: Any) -> list[Tensor]:
    """The Tensors of what a model returned that have gradients."""
    return [part for part in leaves(output) if isinstance(part, Tensor) and part.dtype.kind == "f"]


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


def _training_graph(
    model: Module, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> CapturedGraph:
    """(inputs, gradients of the outputs) -> (outputs, gradients of the parameters)."""

    def step(inputs: list[Tensor], grad_outputs: list[Tensor]) -> tuple[list[Tensor], Any]:
        found = _floating(model(*inputs))
        trained = [p for p in model.parameters() if p.requires_grad]
        pairs = [(y, g) for y, g in zip(found, grad_outputs, strict=True) if y.requires_grad]
        if not trained or not pairs:
            return found, []
        return found, grad([y for y, _ in pairs], trained, [g for _, g in pairs])

    with nothing_left(model.modules()):
        places = [placeholder(output.shape, output.dtype) for output in outputs]
        return capture(step, list(inputs), places)


def _counted(
    model: Module,
    calls: _FirstCalls,
    graph: CapturedGraph,
    outputs: int,
    shape: tuple[int, ...] | tuple[tuple[int, ...], ...],
) -> Summary:
    """The numbers of a step whose first `outputs` outputs are those of the model."""
    simplified = simplify(graph)
    # The forward pass computes the outputs, and updates such as those of running statistics.
    forward = with_ancestors([*simplified.outputs[:outputs], *simplified.updates.values()])
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
    rows = shape[0] if isinstance(shape[0], int) else shape[0][0]
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
