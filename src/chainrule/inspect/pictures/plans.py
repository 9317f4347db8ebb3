"""The picture of a plan: a box for each instruction, an arrow where one reads what one wrote."""

from __future__ import annotations

from chainrule.compiler.plan import Call, Place, Plan
from chainrule.drawing.diagram import Diagram, Edge, Line, Node
from chainrule.graph.operation import operations
from chainrule.inspect.pictures.families import family

_LONGEST = 34  # of a label, in characters
_SPACES = {"state": "parameter", "constants": "constant"}


def plan_diagram(plan: Plan) -> Diagram:
    """The instructions of a plan in their order, with the buffers that none of them writes first.

    Buffers that the same instructions read are one box.
    """
    nodes: list[Node] = []
    edges: dict[tuple[str, str], Edge] = {}
    readers: dict[Place, dict[str, None]] = {}
    written: list[tuple[Place, str]] = []
    for number, call in enumerate(plan.calls):
        key = str(number)
        nodes.append(_instruction(key, call))
        for place in call.reads:
            sources = _writers(place, written)
            for source in sources:
                edges.setdefault((source, key), Edge(source, key))
            if not sources:
                readers.setdefault(place, {})[key] = None
        written += [(place, key) for place in call.writes]
    together: dict[tuple[str, tuple[str, ...]], list[Place]] = {}
    for place, keys in readers.items():
        together.setdefault((place[0], tuple(keys)), []).append(place)
    for number, ((space, keys_of), places) in enumerate(together.items()):
        buffer = f"buffer-{number}"
        nodes.append(_buffer(buffer, space, places))
        for key in keys_of:
            edges[buffer, key] = Edge(buffer, key)
    notes = (
        f"arena {plan.arena_size:,} bytes, constants {plan.constants_size:,} bytes, "
        f"{plan.flops:,} FLOPs a step",
    )
    return Diagram(tuple(nodes), tuple(edges.values()), "a plan", notes)


def _writers(place: Place, written: list[tuple[Place, str]]) -> list[str]:
    """The last instructions that wrote what lies at a place now, the latest first."""
    space, start, size = place
    missing = [(start, start + size)]
    found: list[str] = []
    for (other, first, length), key in reversed(written):
        if other != space:
            continue
        rest = []
        for low, high in missing:
            left, right = max(low, first), min(high, first + length)
            if left >= right:
                rest.append((low, high))
                continue
            found.append(key)
            rest += [part for part in ((low, left), (right, high)) if part[0] < part[1]]
        missing = rest
        if not missing:
            break
    return list(dict.fromkeys(found))


def _instruction(key: str, call: Call) -> Node:
    label = call.label if len(call.label) <= _LONGEST else call.label[: _LONGEST - 1] + "…"
    costs = f"{call.flops:,} FLOPs · {call.nbytes:,} bytes"
    lines = (Line(call.kind, "name"), Line(label), Line(costs))
    first = call.label.split()[0] if call.label else ""
    colour = family(operations[first]) if first in operations else "other"
    if "backward" in call.label:
        colour = "gradient"
    elif any(space == "state" for space, _, _ in call.writes):
        colour = "update"
    said = f"instruction {key}, {call.kind}, {call.label}, {costs}"
    return Node(key, lines, colour, said)


def _buffer(key: str, space: str, places: list[Place]) -> Node:
    """The box of parts of memory that hold something before the step begins."""
    size = sum(place[2] for place in places)
    name = space if len(places) == 1 else f"{len(places)} × {space}"
    lines = (Line(name, "name"), Line(f"{size:,} bytes"))
    return Node(key, lines, _SPACES.get(space, "input"), f"{name}, {size:,} bytes", round=True)
