"""Diagrams: boxes with lines of text, and arrows between them, before they have a place."""

from __future__ import annotations

from typing import Literal, NamedTuple

from chainrule.drawing.text_width import text_width

TextKind = Literal["name", "note", "number", "grad"]
_SIZES = {"name": 13.0, "note": 11.0, "number": 11.0, "grad": 11.0}
_HEIGHTS = {"name": 17.0, "note": 14.0, "number": 14.0, "grad": 14.0}
_PADDING, _LEAST_WIDTH = (11.0, 6.0), 40.0


class Line(NamedTuple):
    """A line of text in a box: its name, a note in grey, numbers, or numbers of a gradient."""

    text: str
    kind: TextKind = "note"

    @property
    def width(self) -> float:
        """In pixels; bold text is wider."""
        monospaced = self.kind in ("number", "grad")
        width = text_width(self.text, _SIZES[self.kind], monospaced)
        return width * 1.06 if self.kind == "name" else width

    @property
    def height(self) -> float:
        """From line to line, in pixels."""
        return _HEIGHTS[self.kind]


class Node(NamedTuple):
    """A box.

    Attributes:
        key: unique in the diagram.
        lines: what it says.
        family: a key of `palette.FAMILIES`, for its colour.
        description: one line for those who can't see it, and for the mouse.
        round: whether its ends are round: a variable, not an operation.
        level: the pass it belongs to: 0 forward, 1 its gradient, 2 what comes after.
        origin: of a box of a gradient the key of the box whose rule made it.
        holds: the keys of the nodes that are folded into it.
    """

    key: str
    lines: tuple[Line, ...]
    family: str = "other"
    description: str = ""
    round: bool = False
    level: int = 0
    origin: str | None = None
    holds: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels, to the text and some room around it."""
        across, down = _PADDING
        width = max((line.width for line in self.lines), default=0.0) + 2 * across
        height = sum(line.height for line in self.lines) + 2 * down
        return max(round(width), _LEAST_WIDTH), round(height)


class Edge(NamedTuple):
    """An arrow; those into one box are in the order of what it takes.

    Attributes:
        source, target: keys of boxes.
        label: text beside the arrow.
        gradient: whether a gradient flows along it.
        faint: whether it is dashed.
    """

    source: str
    target: str
    label: str = ""
    gradient: bool = False
    faint: bool = False


class Diagram(NamedTuple):
    """Boxes and arrows.

    Attributes:
        nodes, edges: in a fixed order.
        title: what the picture shows.
        notes: lines below the picture, such as what is left out.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    title: str
    notes: tuple[str, ...] = ()
