"""The picture of operations: a box for each variable, arrows to what it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.drawing.diagram import Diagram, Edge, Node
from chainrule.inspect.pictures.found_nodes import GraphNode


def operations_diagram(
    nodes: Sequence[GraphNode],
    title: str,
    *,
    values: bool,
    gradients: bool,
    labels: Mapping[tuple[str, int], str],
) -> Diagram:
    """A box for each node.

    Args:
        nodes: of the graph, each after its inputs.
        title: of the picture.
        values, gradients: whether boxes show them.
        labels: text beside the arrow of an input, by (key, number of the input).
    """
    level = {node.key: node.level for node in nodes}
    boxes, arrows = [], []
    for node in nodes:
        boxes.append(
            Node(
                node.key,
                node.lines(values, gradients),
                node.family,
                node.description(),
                node.operation is None,
                node.level,
                node.origin,
            )
        )
        for number, source in enumerate(node.inputs):
            arrows.append(
                Edge(
                    source,
                    node.key,
                    labels.get((node.key, number), ""),
                    gradient=level[source] % 2 == 1,
                    faint=level[source] != node.level and level[source] % 2 == 0,
                )
            )
    return Diagram(tuple(boxes), tuple(arrows), title)
