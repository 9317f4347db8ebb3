"""SVG text of a diagram: boxes in rows, arrows that end at them."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from chainrule.drawing.diagram import Diagram, Edge, Node
from chainrule.drawing.layered import ROW_GAP, Point, layered
from chainrule.drawing.palette import plain_style, style
from chainrule.drawing.ranks import mirrored
from chainrule.drawing.text_width import text_width

MARGIN = 12.0
_HEAD = 7.0  # length of an arrow's head
_LABEL_HEIGHT, _LABEL_GAP = 14.0, 22.0  # of a label, and from it to a box
_NOTE_HEIGHT = 17.0
_SMALLEST = 0.85  # a picture that is too wide shrinks to this, and then it scrolls

Direction = Literal["down", "up", "right"]


class Arrangement(NamedTuple):
    """Where the boxes, arrows and labels of a diagram lie.

    Attributes:
        width, height: of the whole picture.
        boxes: the middle of each box.
        lines: of each arrow its pieces, before and after its label, as `Layout` has lines.
        labels: the middle of each arrow's label; None where it has none.
    """

    width: float
    height: float
    boxes: list[Point]
    lines: list[list[list[Point]]]
    labels: list[Point | None]


def arrange(diagram: Diagram, direction: Direction) -> Arrangement:
    """Where the boxes, arrows and labels of a diagram lie: labels keep apart as boxes do.

    Args:
        diagram: what is drawn.
        direction: where arrows point to, those of a gradient the other way.

    Raises:
        ValueError: if the arrows form a circle.
    """
    numbers = {node.key: number for number, node in enumerate(diagram.nodes)}
    sizes = [node.size for node in diagram.nodes]
    levels = [node.level for node in diagram.nodes]
    edges: list[tuple[int, int]] = []
    label_of: list[int | None] = []
    for edge in diagram.edges:
        source, target = numbers[edge.source], numbers[edge.target]
        label_of.append(len(sizes) if edge.label else None)
        if edge.label:
            edges += [(source, len(sizes)), (len(sizes), target)]
            sizes.append((text_width(edge.label, 11, True) + 6, _LABEL_HEIGHT))
            levels.append(levels[target])
        else:
            edges.append((source, target))
    rows = None
    if any(levels):
        origins = [None if n.origin is None else numbers.get(n.origin) for n in diagram.nodes]
        origins += [None] * (len(sizes) - len(origins))
        rows = mirrored(len(sizes), edges, levels, origins)
    groups = None if rows is None else levels
    gap = ROW_GAP if len(sizes) == len(diagram.nodes) else _LABEL_GAP
    if direction == "right":
        sizes = [(height, width) for width, height in sizes]
    found = layered(sizes, edges, rows=rows, groups=groups, row_gap=gap)

    def turned(point: Point) -> Point:
        x, y = point
        return (y, x) if direction == "right" else (x, found.height - y if direction == "up" else y)

    boxes = [turned(box) for box in found.boxes]
    pieces = iter([turned(point) for point in line] for line in found.lines)
    lines = [[next(pieces) for _ in range(1 if n is None else 2)] for n in label_of]
    width, height = found.width, found.height
    if direction == "right":
        width, height = height, width
    labels = [None if n is None else boxes[n] for n in label_of]
    return Arrangement(width, height, boxes[: len(numbers)], lines, labels)


def graph_svg(diagram: Diagram, *, direction: Direction = "down", plain: bool = False) -> str:
    """The picture of a diagram.

    Args:
        diagram, direction: as of `arrange`.
        plain: without CSS variables, for programs that know none.
    """
    found = arrange(diagram, direction)
    parts = []
    for edge, pieces, label in zip(diagram.edges, found.lines, found.labels, strict=True):
        parts.append(_edge(edge, pieces, label, direction == "right"))
    for node, place in zip(diagram.nodes, found.boxes, strict=True):
        parts.append(_box(node, place))
    return page(parts, found.width, found.height, diagram, plain)


def page(parts: Sequence[str], width: float, height: float, diagram: Diagram, plain: bool) -> str:
    """A whole picture of the given size: its parts, the notes below them, its title and style."""
    wide = max([width, *(text_width(note, 11) for note in diagram.notes)])
    notes = []
    for number, note in enumerate(diagram.notes):
        y = height + _NOTE_HEIGHT * (number + 1)
        notes.append(f'<text class="cr-note" x="{wide / 2:.1f}" y="{y:.1f}">{escaped(note)}</text>')
    whole_width = wide + 2 * MARGIN
    whole_height = height + _NOTE_HEIGHT * len(notes) + 2 * MARGIN
    shift = (wide - width) / 2
    background = ""
    if plain:
        background = f'<rect width="{whole_width:g}" height="{whole_height:g}" fill="#ffffff"/>'
    count = f"{len(diagram.nodes)} boxes, {len(diagram.edges)} arrows"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cr-drawing" '
        f'viewBox="0 0 {whole_width:.0f} {whole_height:.0f}" '
        f'width="{whole_width:.0f}" height="{whole_height:.0f}" '
        f'style="width:100%;height:auto;min-width:{whole_width * _SMALLEST:.0f}px;'
        f'max-width:{whole_width:.0f}px" '
        f'role="graphics-document document" aria-label="{escaped(diagram.title)}">'
        f"<title>{escaped(diagram.title)}</title>"
        f"<desc>{escaped('. '.join([count, *diagram.notes]))}</desc>"
        f"<style>{plain_style() if plain else style()}</style>{background}"
        f'<g transform="translate({MARGIN:g} {MARGIN:g})">'
        + (f'<g transform="translate({shift:.1f} 0)">' if shift else "")
        + "".join(parts)
        + ("</g>" if shift else "")
        + "".join(notes)
        + "</g></svg>"
    )


def escaped(text: str) -> str:
    """As text or as an attribute of XML, without characters that XML can't hold."""
    allowed = "".join(c if c in "\t\n" or c.isprintable() else "\ufffd" for c in text)
    return html.escape(allowed)


def _box(node: Node, place: Point) -> str:
    x, y = place
    width, height = node.size
    corner = min(height / 2, 15) if node.round else 5
    holds = f'data-holds="{escaped(" ".join(node.holds))}" ' if node.holds else ""
    parts = [
        f'<g data-node="{escaped(node.key)}" '
        f'{holds}class="cr-node cr-{node.family}" role="graphics-symbol img" '
        f'aria-label="{escaped(node.description)}"><title>{escaped(node.description)}</title>'
        f'<rect class="cr-box" x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" '
        f'width="{width:g}" height="{height:g}" rx="{corner:g}"/>'
    ]
    used = sum(line.height for line in node.lines)
    baseline = y - used / 2
    for line in node.lines:
        baseline += line.height
        drop = 4.0 if line.kind == "name" else 3.4
        parts.append(
            f'<text class="cr-{line.kind}" x="{x:.1f}" y="{baseline - drop:.1f}">'
            f"{escaped(line.text)}</text>"
        )
    return "".join(parts) + "</g>"


def _edge(edge: Edge, pieces: list[list[Point]], label_at: Point | None, sideways: bool) -> str:
    """An arrow, whose head lies at the last point."""
    points = pieces[-1]
    along = 0 if sideways else 1
    (x, y), before = points[-1], points[-2]
    back = math.copysign(_HEAD, before[along] - points[-1][along])
    half = _HEAD * 0.45
    if sideways:
        base = (x + back, y)
        corners = ((x + back, y - half), (x + back, y + half))
    else:
        base = (x, y + back)
        corners = ((x - half, y + back), (x + half, y + back))
    path = "".join(smooth(p, sideways) for p in [*pieces[:-1], [*points[:-1], base]])
    head = "".join(f"L{a:.1f} {b:.1f}" for a, b in corners)
    kind = "cr-edge" + " cr-gradient" * edge.gradient + " cr-faint" * edge.faint
    label = ""
    if label_at is not None:
        label = (
            f'<text class="cr-number" x="{label_at[0]:.1f}" y="{label_at[1] + 4:.1f}">'
            f"{escaped(edge.label)}</text>"
        )
    return (
        f'<g class="{kind}" data-from="{escaped(edge.source)}" data-to="{escaped(edge.target)}">'
        f'<path d="{path}"/><path class="cr-head" d="M{x:.1f} {y:.1f}{head}Z"/>{label}</g>'
    )


def smooth(points: Sequence[Point], sideways: bool = False) -> str:
    """A path through the points that leaves and enters each one vertically, or sideways."""
    (x, y), *rest = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        if math.isclose(y if sideways else x, to_y if sideways else to_x, abs_tol=0.05):
            parts.append(f"L{to_x:.1f} {to_y:.1f}")
        else:
            half_x, half_y = (x + to_x) / 2, (y + to_y) / 2
            first, second = (
                ((half_x, y), (half_x, to_y))
                if sideways
                else (
                    (x, half_y),
                    (to_x, half_y),
                )
            )
            parts.append(
                f"C{first[0]:.1f} {first[1]:.1f} {second[0]:.1f} {second[1]:.1f} "
                f"{to_x:.1f} {to_y:.1f}"
            )
        x, y = to_x, to_y
    return "".join(parts)
