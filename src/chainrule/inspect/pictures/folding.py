"""Folding: the operations of a layer become one box, and so do long runs of operations.

Boxes are runs of nodes that follow each other in the order in which the graph was built, so that
folding never makes a circle of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby
from math import ceil, prod
from typing import NamedTuple

from chainrule.drawing.diagram import Diagram, Edge, Line, Node
from chainrule.inspect.pictures.found_nodes import GraphNode
from chainrule.markup import shape_text

MOST_BOXES = 100
"""A picture of layers that would have more is folded further."""

UPDATE = "update"
"""The path, and the box, of what a step does after its gradients are known."""

_FEW = 2  # operations of a container's own, beside its inner layers, that are drawn one by one
_MOST_LOOSE = 40  # operations of no layer that are drawn one by one
_NAMED = 3  # operations that a box of many names


class Run(NamedTuple):
    """Nodes that are one box.

    Attributes:
        nodes: in their order.
        path: of the layer; empty where they belong to none.
        folded: whether they are one box even if there is but one of them.
    """

    nodes: list[GraphNode]
    path: str
    folded: bool


def folded_diagram(
    nodes: Sequence[GraphNode],
    title: str,
    *,
    kinds: Mapping[str, str],
    values: bool,
    gradients: bool,
    opened: Sequence[str],
    notes: Sequence[str],
) -> Diagram:
    """The diagram of a graph with one box for each layer.

    Args:
        nodes: of the graph, each after its inputs.
        title: of the picture.
        kinds: by the path of a layer, what it is called.
        values, gradients: whether boxes show those of the layers' outputs.
        opened: patterns of the paths of layers whose parts are drawn.
        notes: below the picture.
    """
    runs = _runs(nodes, opened)
    counters = {node.key for node in nodes if node.is_counter}
    boxes: list[Node] = []
    box_of: dict[str, str] = {}
    layers: set[str] = set()
    owners: dict[str, tuple[str, str]] = {}
    for number, run in enumerate(runs):
        if run.folded:
            key = f"layer-{number}" if run.path else f"operations-{number}"
            key = UPDATE if run.path == UPDATE else key
            last = run.nodes[-1]
            box_of |= {node.key: key for node in run.nodes}
            boxes.append(_box(key, run, kinds, nodes, values, gradients, owners))
            if run.path:
                layers.add(key)
        else:
            for last in run.nodes:
                box_of[last.key] = last.key
                boxes.append(_single(last, values, gradients))
    boxes = _with_leaves(nodes, boxes, box_of, values, gradients)
    level = {box.key: box.level for box in boxes}
    origins = _origins(nodes, box_of)
    arrows: dict[tuple[str, str, int], Edge] = {}
    # A layer's parameters are inside of it: what else reads them gets no arrow.
    inside = {node.key for node in nodes if node.operation is None and node.key != box_of[node.key]}
    for node in nodes:
        target = box_of[node.key]
        for number, i in enumerate(node.inputs):
            source = box_of[i]
            # Layers are not joined by the counter of random numbers that one hands to the next.
            is_counted = i in counters and source in layers and target in layers
            if source != target and i not in inside and not is_counted:
                # Each input of an operation that is drawn alone has an arrow.
                arrows[source, target, number if target == node.key else 0] = Edge(
                    source,
                    target,
                    gradient=level[source] % 2 == 1,
                    faint=level[source] != level[target] and level[source] % 2 == 0,
                )
    held: dict[str, list[str]] = {}
    for key, box_key in box_of.items():
        if key != box_key:
            held.setdefault(box_key, []).append(key)
    # Dropout that drops nothing counts its random numbers alone.
    idle = {key for key in layers if all(k in counters or k in inside for k in held[key])}
    idle.difference_update(key for ends in arrows for key in ends[:2])
    boxes = [
        box._replace(origin=origins.get(box.key), holds=tuple(held.get(box.key, ())))
        for box in boxes
        if box.key not in idle
    ]
    return Diagram(tuple(boxes), tuple(arrows.values()), title, tuple(notes))


def _runs(nodes: Sequence[GraphNode], opened: Sequence[str]) -> list[Run]:
    """The boxes: as deep in the layers as there is room for."""
    computed = [node for node in nodes if node.operation is not None]
    updates = [node for node in computed if node.family == "update"]
    computed = [node for node in computed if node.family != "update"]
    last = [Run(updates, UPDATE, True)] if updates else []
    containers = {node.path.rpartition(".")[0] for node in computed}
    deepest = max((node.path.count(".") + 1 for node in computed if node.path), default=1)
    for depth in range(deepest, 0, -1):
        runs = _runs_at(computed, partial(_folded_path, depth=depth, opened=opened))
        runs = [part for run in runs for part in _split(run, opened, containers)]
        if sum(1 if run.folded else len(run.nodes) for run in runs) <= MOST_BOXES or opened:
            return runs + last
    return _packed(runs) + last


def _folded_path(path: str, depth: int, opened: Sequence[str]) -> str:
    """The path of the box that a node of a layer lies in."""
    parts = path.split(".")
    for end in range(depth, len(parts)):
        prefix = ".".join(parts[:end])
        if not any(fnmatchcase(prefix, pattern) for pattern in opened):
            return prefix
    return path


def _runs_at(nodes: Sequence[GraphNode], fold: Callable[[str], str]) -> list[Run]:
    keyed = groupby(nodes, lambda node: (node.level, fold(node.path)))
    return [Run(list(run), path, bool(path)) for (_, path), run in keyed]


def _split(run: Run, opened: Sequence[str], containers: set[str]) -> list[Run]:
    """A run without a layer, or of one that is open, as its operations, or as pieces."""
    own = all(node.path == run.path for node in run.nodes)
    if run.path in containers and own and len(run.nodes) <= _FEW:
        return [run._replace(folded=False)]
    if run.path and not any(fnmatchcase(run.path, pattern) for pattern in opened):
        return [run]
    if len(run.nodes) <= _MOST_LOOSE or (opened and run.path):
        return [run._replace(folded=False)]
    return _pieces(run)


def _pieces(run: Run) -> list[Run]:
    size = ceil(len(run.nodes) / _MOST_LOOSE)
    starts = range(0, len(run.nodes), size)
    return [Run(run.nodes[i : i + size], run.path, True) for i in starts]


def _packed(runs: list[Run]) -> list[Run]:
    """Fewer boxes: runs of one pass that follow each other are put together."""
    packed = []
    for _, group in groupby(runs, lambda run: run.nodes[0].level):
        members = list(group)
        size = ceil(len(members) / MOST_BOXES)
        for start in range(0, len(members), size):
            part = members[start : start + size]
            together = [node for run in part for node in run.nodes]
            path = part[0].path if len({run.path for run in part}) == 1 else ""
            packed.append(Run(together, path, len(together) > 1 or part[0].folded))
    return packed


def _box(
    key: str,
    run: Run,
    kinds: Mapping[str, str],
    nodes: Sequence[GraphNode],
    values: bool,
    gradients: bool,
    owners: dict[str, tuple[str, str]],
) -> Node:
    """The box of a layer, or of some operations.

    `owners` gets, by the key of a parameter, the key and the path of the first box that counts it.
    """
    last = run.nodes[-1]
    kind = kinds.get(run.path, "")
    names = [f"∂ {kind or run.path}" if last.level == 1 else kind or run.path]
    if not run.path:
        names = [f"{len(run.nodes):,} operations"]
    if run.path == UPDATE:
        names = [UPDATE]
    lines = [Line(names[0], "name")]
    shape = "" if run.path == UPDATE else shape_text(last.shape)
    notes = [run.path if kind else "", shape] if run.path else [shape]
    if any(notes):
        lines.append(Line(" · ".join(filter(None, notes))))
    if not kind:
        counts = Counter(node.operation for node in run.nodes).most_common()
        listed = ", ".join(f"{name} {n}" if n > 1 else f"{name}" for name, n in counts[:_NAMED])
        lines.append(Line(listed + ", …" * (len(counts) > _NAMED)))
    elif last.level == 0 and (text := _parameters_text(key, run, nodes, owners)):
        lines.append(Line(text))
    lines += last.number_lines(values, gradients)
    families = Counter(node.family for node in run.nodes if node.family != "shape")
    colour = families.most_common(1)[0][0] if families else "shape"
    if "product" in families:
        colour = "product"
    if last.family == "loss":
        colour = "loss"
    said = ", ".join(line.text.strip() for line in lines)
    return Node(key, tuple(lines), colour, said, False, last.level)


def _parameters_text(
    key: str, run: Run, nodes: Sequence[GraphNode], owners: dict[str, tuple[str, str]]
) -> str:
    """How many parameters a layer has, and how many of them a box before it has counted."""
    read = {i for node in run.nodes for i in node.inputs}
    counts: Counter[str] = Counter()
    for node in nodes:
        if node.key in read and node.family == "parameter":
            owner, path = owners.setdefault(node.key, (key, run.path))
            where = f" of {path}" if path != run.path else " as before"
            counts["" if owner == key else where] += prod(node.shape)
    found = sorted(counts.items())  # its own first
    return ", ".join(
        f"{count:,}{where if number else f' parameters{where}'}"
        for number, (where, count) in enumerate(found)
    )


def _single(node: GraphNode, values: bool, gradients: bool) -> Node:
    return Node(
        node.key,
        node.lines(values, gradients),
        node.family,
        node.description(),
        node.operation is None,
        node.level,
    )


def _with_leaves(
    nodes: Sequence[GraphNode],
    boxes: list[Node],
    box_of: dict[str, str],
    values: bool,
    gradients: bool,
) -> list[Node]:
    """The boxes with those of the leaves: a layer's box holds its parameters and constants."""
    readers: dict[str, list[str]] = {}
    for node in nodes:
        for source in node.inputs:
            if node.key in box_of:
                readers.setdefault(source, []).append(box_of[node.key])
    folded = {box for key, box in box_of.items() if key != box}
    alone = set(box_of.values()) - folded
    leaves = []
    for node in nodes:
        if node.operation is not None:
            continue
        # A State that is updated lies with what computes its new value.
        computed = [box_of[i] for i in node.inputs]
        first = next(iter(readers.get(node.key) or computed), None)
        is_read_alone = any(box in alone for box in readers.get(node.key, ()))
        if not node.is_given and not is_read_alone and first in folded and first is not None:
            box_of[node.key] = first
        else:
            box_of[node.key] = node.key
            leaves.append(_single(node, values, gradients))
    return leaves + boxes


def _origins(nodes: Sequence[GraphNode], box_of: Mapping[str, str]) -> dict[str, str]:
    """Of each box of a gradient the box that its first node's origin lies in."""
    origins: dict[str, str] = {}
    for node in nodes:
        if node.origin is not None and node.level % 2 == 1:
            origins.setdefault(box_of[node.key], box_of[node.origin])
    return origins
