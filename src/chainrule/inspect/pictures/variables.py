"""The picture of variables: the named Tensors of a graph, as the tree of the chain rule has them.

What lies between two named variables is one arrow, and its derivative is that of the one with
respect to the other, where all other variables that it is computed from are held.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.drawing.diagram import Diagram, Edge, Line, Node
from chainrule.graph.backprop import PrunedGraph, build_grad
from chainrule.graph.context import no_grad
from chainrule.graph.operation import operation_name
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.pictures.numbers import number_text, numbers_of
from chainrule.markup import shape_text
from chainrule.ops import ones_like


def variables_diagram(
    tensors: Sequence[Tensor],
    roots: Sequence[Tensor],
    title: str,
    *,
    values: bool,
    gradients: dict[Tensor, Array],
    derivatives: bool,
) -> Diagram:
    """A round box for each variable that has a name, and for the results.

    Args:
        tensors: of the graph, each after its inputs.
        roots: the results.
        title: of the picture.
        values: whether the boxes show values.
        gradients: of the variables, as far as boxes show them.
        derivatives: whether arrows show the derivative, with its number where all are scalars with
            values.

    Raises:
        ValueError: if no variable before the results has a name.
    """
    results = set(roots)
    shown = [t for t in tensors if t.name or t in results]
    if results.issuperset(shown):
        raise ValueError(
            'level="variables" draws the Tensors that have a name, and none has one: give it, as '
            'in cr.tensor(2.0, name="x"), or later by y.name = "y"'
        )
    keys = {tensor: str(number) for number, tensor in enumerate(shown)}
    nodes, edges = [], []
    for tensor in shown:
        name = _name(tensor)
        lines = [Line(name, "name")]
        if tensor.shape:
            lines.append(Line(shape_text(tensor.shape)))
        if values and tensor.value is not None:
            lines += [Line(text, "number") for text in numbers_of(tensor.value).lines()]
        if tensor in gradients:
            first, *others = numbers_of(gradients[tensor]).lines()
            lines.append(Line(f"∂ {first}", "grad"))
            lines += [Line(f"  {text}", "grad") for text in others]
        said = ", ".join(line.text.strip() for line in lines)
        family = "activation" if tensor.inputs else "input"
        family = "parameter" if tensor.requires_grad and not tensor.inputs else family
        family = "loss" if tensor in results else family
        nodes.append(Node(keys[tensor], tuple(lines), family, said, round=True))
        for source, d in _derivatives(tensor, keys).items():
            label = ""
            if derivatives:
                label = f"∂{name}/∂{_name(source)}"
                label += f" = {number_text(d.item())}" if d is not None else ""
            edges.append(Edge(keys[source], keys[tensor], label))
    return Diagram(tuple(nodes), tuple(edges), title)


def _name(tensor: Tensor) -> str:
    return tensor.name or operation_name(tensor) or "constant"


def _derivatives(variable: Tensor, shown: dict[Tensor, str]) -> dict[Tensor, Tensor | None]:
    """The variables that it is computed from, in the order of its formula, with its derivatives.

    They are what backpropagation makes of the graph between them. A derivative is None where a
    value on the way is missing or no scalar.
    """
    edges: PrunedGraph = {variable: []}
    between = [variable]
    for node in between:  # which grows
        for index, source in enumerate(node.inputs):
            if source not in edges:
                edges[source] = []
                if source not in shown:
                    between.append(source)
            edges[source].append((node, index))
    found = [source for source in shown if source in edges and source is not variable]
    grad_table: dict[Tensor, Tensor] = {}
    if all(not t.shape and t.value is not None for t in between):
        with no_grad():
            grad_table[variable] = ones_like(variable)
            for source in sorted(edges, key=lambda t: t.serial, reverse=True)[1:]:
                build_grad(source, edges, grad_table)
    return {source: None if source.shape else grad_table.get(source) for source in found}
