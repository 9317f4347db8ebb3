"""`draw`: a picture of a graph, a gradient, a model or a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

from chainrule import checks
from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.plan import Plan
from chainrule.drawing.diagram import Diagram
from chainrule.drawing.network import Network, network_diagram, network_svg
from chainrule.drawing.picture import Drawing
from chainrule.drawing.svg import Direction, graph_svg
from chainrule.graph.backprop import backprop, with_ancestors
from chainrule.graph.context import no_grad
from chainrule.graph.operation import operation_name
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.checked_trace import checked
from chainrule.inspect.contributions import local_derivative
from chainrule.inspect.pictures.folding import folded_diagram
from chainrule.inspect.pictures.found_nodes import GraphNode, nodes_of
from chainrule.inspect.pictures.modules import (
    batch_of,
    captured_module,
    is_of_shapes,
    kinds_of_module,
    trace_of_module,
    values_of,
)
from chainrule.inspect.pictures.neurons import neurons_network
from chainrule.inspect.pictures.numbers import number_text
from chainrule.inspect.pictures.operations import operations_diagram
from chainrule.inspect.pictures.plans import plan_diagram
from chainrule.inspect.pictures.steps import kinds_of_trace, nodes_of_trace
from chainrule.inspect.pictures.variables import variables_diagram
from chainrule.nn.module import Module
from chainrule.trees import leaves

MOST_OPERATIONS = 300
"""A picture of operations that would have more boxes is folded."""

Level = Literal["operations", "layers", "neurons", "variables"]


def draw(
    what: Any,
    data: Any = None,
    *,
    values: bool = False,
    gradients: bool = False,
    level: Level = "operations",
    open: str | Sequence[str] = (),
    derivatives: bool = False,
    direction: Direction = "down",
    row: int = 0,
) -> Drawing:
    """A picture of a graph, with its values and gradients where they are wanted.

    Boxes have the colour of their kind of operation, leaves round ends, and what belongs to a
    gradient a colour of its own: beside the forward pass, its arrows pointing back; what an
    optimiser does with it lies beside that. At the level of neurons lines are as thick as their
    weights are large, blue for positive and red for negative ones; neurons that dropout has turned
    off are crossed out, and an arrow shows what the next layer receives.

    Args:
        what: a Tensor, for the graph that computes it; several of them, as the gradients that
            `chainrule.grad` returns; a `CapturedGraph`; a `Module`, with `data`; what
            `chainrule.explain` returns, or its trace; or the `Plan` of a step, as
            `trainer.backend.last_step.plan`, with its instructions and buffers.
        data: of a Module the shape of a row, as of `chainrule.summary`, or a batch of data; of a
            CapturedGraph its inputs, for `values`. Several inputs are a tuple, of shapes as
            ((784,), (10,)) or of batches. Whole numbers in a tuple or a list are a shape, of
            floating data: a model of indices takes a batch, as an array.
        values: whether boxes show values: small arrays whole, of large ones the range and the mean.
            Parameters of a step show their new ones too, after an arrow.
        gradients: whether boxes show the gradient of the result, a scalar, with respect to them.
        level: "operations" draws a box for each operation, "layers" one for each layer, "neurons"
            circles for the neurons of fully connected layers, "variables" the Tensors that have a
            name, as the tree of the chain rule shows them. A graph of more than 300 operations
            is folded, and says so.
        open: paths of layers, as "encoder.*", whose operations or inner layers are drawn where
            layers are folded.
        derivatives: of Tensors, whether the derivative of each variable with respect to each of its
            inputs stands beside the arrow: the numbers that the chain rule multiplies, where all
            are scalars. At the level of variables it stands there as ∂y/∂x too.
        direction: where arrows point to: "down", "up" or "right".
        row: at the level of neurons the row of the data whose numbers are shown.

    Raises:
        TypeError: if there is no picture of such a thing, a Module has no data, or `open` or
            `row` is of another type.
        ShapeError: if the data do not fit.
        ValueError: if an argument is none of those named, `open` matches no layer, values or
            gradients are asked for that are not there, or a layer has no picture of neurons.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> x, y, z = (
        ...     cr.tensor(v, requires_grad=True, name=n)
        ...     for n, v in {"x": -2.0, "y": 5.0, "z": -4.0}.items()
        ... )
        >>> drawing = cr.draw((x + y) * z, values=True, gradients=True)
        >>> drawing
        <Drawing of the graph of multiply: 5 boxes, 4 arrows>
        >>> drawing.save("graph.svg")  # doctest: +SKIP
        >>> model = nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), nn.Linear(3, 3))
        >>> cr.draw(model, (3,), level="neurons")
        <Drawing of Sequential, neurons: 9 boxes, 18 arrows>
    """
    checks.one_of("level", level, get_args(Level))
    checks.one_of("direction", direction, get_args(Direction))
    patterns = _patterns(open)
    row = checks.integer("row", row, 0)
    trace = _trace(what)
    if data is not None and not isinstance(what, (Module, CapturedGraph)):
        raise TypeError(
            f"data are of a Module or a CapturedGraph, got {checks.described(data)} beside "
            f"{checks.described(what)}; several Tensors are a list, as cr.draw([z, w])"
        )
    if patterns and (level in ("neurons", "variables") or isinstance(what, Plan)):
        raise ValueError(
            'open=... opens layers where they are folded, as by level="layers": a plan, neurons '
            "and variables have none"
        )
    if level == "neurons":
        network = _neurons(what, data, trace, values, gradients, row)
        return Drawing(network_diagram(network), lambda _, plain=False: network_svg(network, plain))
    if isinstance(what, Plan):
        if level != "operations":
            raise ValueError(f'a plan has instructions, and level="operations"; got {level!r}')
        return Drawing(plan_diagram(what), partial(graph_svg, direction=direction))
    if level == "variables":
        return Drawing(
            _variables(_tensors(what), values, gradients, derivatives),
            partial(graph_svg, direction=direction),
        )
    by_layer = level == "layers"
    if trace is not None:
        found = _of_trace(trace, by_layer)
    elif isinstance(what, (CapturedGraph, Module)):
        found = _of_graph(what, data, values, gradients)
    else:
        found = _of_tensors(_tensors(what), values, gradients)
    _check_match(patterns, found)
    labels = _derivatives(found) if derivatives else {}
    if by_layer or len(found.nodes) > MOST_OPERATIONS:
        notes = []
        if not by_layer:
            notes.append(f"{len(found.nodes):,} nodes, folded; open=[...] opens layers by path")
        diagram = folded_diagram(
            found.nodes,
            found.title,
            kinds=found.kinds,
            values=values,
            gradients=gradients,
            opened=patterns,
            notes=notes,
        )
    else:
        diagram = operations_diagram(
            found.nodes, found.title, values=values, gradients=gradients, labels=labels
        )
    return Drawing(diagram, partial(graph_svg, direction=direction))


class _Found(NamedTuple):
    """What is drawn: nodes, what the picture is called, the kinds of layers by path."""

    nodes: list[GraphNode]
    title: str
    kinds: Mapping[str, str]
    tensors: Sequence[Tensor] = ()


def _patterns(given: str | Sequence[str]) -> list[str]:
    """The paths of the layers to open.

    Raises:
        TypeError: if they are no text.
    """
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, (list, tuple)) or not all(isinstance(part, str) for part in found):
        raise TypeError(
            f'open is the path of a layer, as "encoder.*", or a list of them; got {given!r}'
        )
    return list(found)


def _check_match(patterns: Sequence[str], found: _Found) -> None:
    """Raises ValueError where a pattern is the path of no layer."""
    paths = {path for path in found.kinds if path}
    for node in found.nodes:
        parts = node.path.split(".")
        paths |= {".".join(parts[: end + 1]) for end in range(len(parts)) if node.path}
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            listed = checks.listed(map(repr, sorted(paths)))
            raise ValueError(
                f"open={pattern!r} is the path of no layer; "
                + (f"there are {listed}" if paths else "the graph has no layers")
            )


def _trace(what: Any) -> Mapping[str, Any] | None:
    """The trace of a step, of an explanation or as it is; None of other things.

    Raises:
        ValueError: if it is a dict of something else.
    """
    if isinstance(what, Mapping) and "format" in what:
        return checked(what)
    if not isinstance(what, Tensor) and callable(getattr(what, "trace", None)):
        return what.trace()
    return None


def _neurons(
    what: Any,
    data: Any,
    trace: Mapping[str, Any] | None,
    values: bool,
    gradients: bool,
    row: int,
) -> Network:
    if trace is not None:
        return neurons_network(trace, values=values, gradients=gradients, row=row)
    if not isinstance(what, Module):
        raise TypeError(
            'level="neurons" draws a Module or what chainrule.explain(model, x, y, loss) returns, '
            f"not {type(what).__name__}"
        )
    _check_no_gradients(gradients)
    return neurons_network(
        trace_of_module(what, data),
        values=values,
        gradients=False,
        row=row,
        has_loss=False,
        has_data=not is_of_shapes(data),
    )


def _check_no_gradients(gradients: bool) -> None:
    if gradients:
        raise ValueError(
            "gradients=True needs a loss: draw what chainrule.explain(model, x, y, loss) returns, "
            "or a captured function that returns chainrule.grad(loss, ...), whose nodes are drawn"
        )


def _of_trace(trace: Mapping[str, Any], by_layer: bool) -> _Found:
    nodes = nodes_of_trace(trace, by_layer=by_layer)
    return _Found(nodes, trace["title"], kinds_of_trace(trace))


def _of_graph(what: CapturedGraph | Module, data: Any, values: bool, gradients: bool) -> _Found:
    _check_no_gradients(gradients)
    if values and (data is None or (isinstance(what, Module) and is_of_shapes(data))):
        raise ValueError("values=True needs data: pass the inputs as the second argument")
    graph = captured_module(what, data) if isinstance(what, Module) else what
    kinds = kinds_of_module(what) if isinstance(what, Module) else {}
    names = {}
    if isinstance(what, Module):
        names = {state: path for path, state in [*what.named_parameters(), *what.named_buffers()]}
    nodes = nodes_of(
        graph.nodes,
        inputs=graph.inputs,
        updates=graph.updates,
        outputs=leaves(graph.outputs),
        values=values_of(graph, batch_of(data)) if values else {},
        names=names,
    )
    title = type(what).__name__ if isinstance(what, Module) else "a captured graph"
    return _Found(nodes, title, kinds)


def _tensors(what: Any) -> list[Tensor]:
    """The Tensors that are drawn: one, or those of a list, a tuple or a dict.

    Raises:
        TypeError: if it is something else.
    """
    if isinstance(what, Mapping):
        what = list(what.values())
    found = list(what) if isinstance(what, (list, tuple)) else [what]
    if not found or not all(isinstance(part, Tensor) for part in found):
        raise TypeError(
            "draw takes a Tensor, several of them, a CapturedGraph, a Module, a Plan or "
            f"what chainrule.explain returns, not {type(what).__name__}"
        )
    return [tensor.node() for tensor in found]


def _of_tensors(roots: Sequence[Tensor], values: bool, gradients: bool) -> _Found:
    tensors = sorted(with_ancestors(roots), key=lambda t: t.serial)
    held = {t: t.value for t in tensors if t.value is not None} if values else {}
    if values and roots[0].value is None:
        raise ValueError(
            "values=True needs values, and the graph is built on placeholders: build it on "
            "Tensors, or draw it without values"
        )
    nodes = nodes_of(
        tensors,
        values=held,
        gradients=_gradients(roots) if gradients else {},
        outputs=roots,
    )
    title = f"the graph of {_named(roots)}"
    return _Found(nodes, title, {}, tensors)


def _variables(
    roots: Sequence[Tensor], values: bool, gradients: bool, derivatives: bool
) -> Diagram:
    tensors = sorted(with_ancestors(roots), key=lambda t: t.serial)
    return variables_diagram(
        tensors,
        roots,
        f"the variables of {_named(roots)}",
        values=values,
        gradients=_gradients(roots) if gradients else {},
        derivatives=derivatives,
    )


def _named(roots: Sequence[Tensor]) -> str:
    last = roots[0]
    if len(roots) > 1:
        return f"{len(roots)} tensors"
    return last.name or operation_name(last) or "a leaf"


def _gradients(roots: Sequence[Tensor]) -> dict[Tensor, Array]:
    """The gradient of the one root with respect to each variable before it."""
    if len(roots) > 1 or roots[0].shape or roots[0].value is None or not roots[0].requires_grad:
        raise ValueError(
            "gradients=True shows the gradient of one scalar that has a value and depends on "
            f"leaves that require gradients; got {roots!r}"
        )
    with no_grad():
        return {t: g.numpy() for t, g in backprop(roots[0]).items()}


def _derivatives(found: _Found) -> dict[tuple[str, int], str]:
    """The derivative of each scalar with respect to each of its inputs, as the arrows' labels."""
    labels = {}
    if not found.tensors or any(t.shape or t.value is None for t in found.tensors):
        raise ValueError(
            "derivatives=True writes numbers beside the arrows of a graph of scalars: pass a "
            "Tensor that has a value, all of whose ancestors are scalars"
        )
    for tensor, node in zip(found.tensors, found.nodes, strict=True):
        for index in range(len(node.inputs)):
            d = local_derivative(tensor, index)
            if d is not None:
                labels[node.key, index] = number_text(d)
    return labels
