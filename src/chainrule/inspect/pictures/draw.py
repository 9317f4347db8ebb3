"""`draw`: a picture of a graph, a gradient or a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from chainrule.compiler.capture import CapturedGraph
from chainrule.drawing.diagram import Diagram
from chainrule.drawing.network import network_diagram, network_svg
from chainrule.drawing.picture import Drawing
from chainrule.drawing.svg import DIRECTIONS, Direction, graph_svg
from chainrule.graph.backprop import backprop, with_ancestors
from chainrule.graph.context import no_grad
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.pictures.found_nodes import nodes_of
from chainrule.inspect.pictures.neurons import neurons_network
from chainrule.inspect.pictures.operations import operations_diagram
from chainrule.trees import leaves

Level = Literal["operations", "layers", "neurons"]
LEVELS = ("operations", "layers", "neurons")


def draw(
    what: Any,
    *,
    values: bool = False,
    gradients: bool = False,
    level: Level = "operations",
    direction: Direction = "down",
    row: int = 0,
) -> Drawing:
    """A picture of a graph, with its values and gradients where they are wanted.

    Boxes have the colour of their kind of operation, leaves round ends, and what belongs to a
    gradient a colour of its own: beside the forward pass, its arrows pointing back. At the level
    of neurons lines are as thick as their weights are large, blue for positive and red for
    negative ones.

    Args:
        what: a Tensor, for the graph that computes it; several of them, as the gradients that
            `chainrule.grad` returns; a `CapturedGraph`; or what `chainrule.explain` returns, or its
            trace.
        values: whether boxes show values: small arrays whole, of large ones the range and the mean.
        gradients: whether boxes show the gradient of the Tensor, a scalar, with respect to them.
        level: "operations" draws a box for each operation; "neurons" circles for the neurons of
            fully connected layers, of an explanation.
        direction: where arrows point to: "down", "up" or "right".
        row: at the level of neurons the row of the data whose numbers are shown.

    Raises:
        TypeError: if there is no picture of such a thing.
        ValueError: if an argument is none of those named, the gradient of no scalar is asked for,
            or a layer has no picture of neurons.

    Example:
        >>> import chainrule as cr
        >>> x, y, z = (
        ...     cr.tensor(v, requires_grad=True, name=n)
        ...     for n, v in {"x": -2.0, "y": 5.0, "z": -4.0}.items()
        ... )
        >>> drawing = cr.draw((x + y) * z, values=True, gradients=True)
        >>> drawing
        <Drawing of the graph of multiply: 5 boxes, 4 arrows>
        >>> drawing.save("graph.svg")  # doctest: +SKIP
    """
    if level not in LEVELS:
        raise ValueError(f"level is one of {', '.join(map(repr, LEVELS))}, not {level!r}")
    if direction not in DIRECTIONS:
        raise ValueError(
            f"direction is one of {', '.join(map(repr, DIRECTIONS))}, not {direction!r}"
        )
    trace = _trace(what)
    if trace is not None and level == "neurons":
        network = neurons_network(trace, values=values, gradients=gradients, row=row)
        return Drawing(network_diagram(network), lambda _, plain=False: network_svg(network, plain))
    if isinstance(what, CapturedGraph):
        diagram = _of_captured(what)
    else:
        diagram = _of_tensors(_tensors(what), values, gradients)
    return Drawing(diagram, partial(graph_svg, direction=direction))


def _trace(what: Any) -> Mapping[str, Any] | None:
    """The trace of a step, of an explanation or as it is; None of other things."""
    takes_none = not isinstance(what, Tensor) and callable(getattr(what, "trace", None))
    found = what.trace() if takes_none else what
    if isinstance(found, Mapping) and found.get("format") == "chainrule trace":
        return found
    return None


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
            "draw takes a Tensor, several of them, a CapturedGraph, a Module or what "
            f"chainrule.explain returns, not {type(what).__name__}"
        )
    return [tensor.node() for tensor in found]


def _of_tensors(roots: Sequence[Tensor], values: bool, gradients: bool) -> Diagram:
    nodes = sorted(with_ancestors(roots), key=lambda t: t.serial)
    held = {t: t.value for t in nodes if t.value is not None} if values else {}
    if values and not held:
        raise ValueError(
            "values=True needs values, and the graph is built on placeholders: call it on "
            "Tensors, or draw it without values"
        )
    found = nodes_of(
        nodes,
        values=held,
        gradients=_gradients(roots) if gradients else {},
        outputs=roots,
    )
    last = roots[0]
    named = last.name or (last.operation.name if last.operation else "a leaf")
    title = f"the graph of {named}" if len(roots) == 1 else f"the graph of {len(roots)} tensors"
    return operations_diagram(found, title, values=values, gradients=gradients)


def _gradients(roots: Sequence[Tensor]) -> dict[Tensor, Array]:
    """The gradient of the one root with respect to each variable before it."""
    if len(roots) > 1 or roots[0].shape or roots[0].value is None or not roots[0].requires_grad:
        raise ValueError(
            "gradients=True shows the gradient of one scalar that has a value and depends on "
            f"leaves that require gradients; got {roots!r}"
        )
    with no_grad():
        return {t: g.numpy() for t, g in backprop(roots[0]).items()}


def _of_captured(graph: CapturedGraph) -> Diagram:
    found = nodes_of(
        graph.nodes,
        inputs=graph.inputs,
        updates=graph.updates,
        outputs=leaves(graph.outputs),
    )
    return operations_diagram(found, "a captured graph", values=False, gradients=False)
