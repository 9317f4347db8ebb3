"""Networks as lectures draw them: a column of circles for each layer, a line for each weight.

A line is thick where its weight is large, and its colour says the sign. Of a wide layer the first
neurons are drawn, and dots stand for the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from chainrule.drawing.diagram import Diagram, Edge, Line, Node
from chainrule.drawing.svg import escaped, page
from chainrule.drawing.text_width import text_width

RADIUS = 26.0
_LEAST_PITCH, _ROOM = 78.0, 16.0  # from neuron to neuron, and between their texts
_LINE = 13.0  # of text at a neuron
_THINNEST, _THICKEST = 0.9, 4.2
MOST_LABELS = 16
"""Lines between two columns that have numbers beside them; of more, none has room."""

_MANY = 40  # lines between two columns that are thinner, for there are so many
_HEADING = 44.0
_CLEAR = 17.0  # a distance at which texts do not disturb each other

Place = tuple[float, float]


class Neuron(NamedTuple):
    """A circle.

    Attributes:
        inside: what it says, as its activation.
        below: lines under it, each with its kind, as its gradient.
        above: a line over it, as its bias.
        description: one line for those who can't see it, and for the mouse.
        off: whether a mask has turned it off: it is crossed out.
        square: whether it is no neuron, but a result, as the loss.
    """

    inside: str
    below: tuple[Line, ...] = ()
    above: tuple[Line, ...] = ()
    description: str = ""
    off: bool = False
    square: bool = False


class Weight(NamedTuple):
    """A line from a neuron to one of the next column.

    Attributes:
        source, target: numbers of the neurons in their columns.
        value: of the weight; None where it has none.
        label, gradient: text beside the line; the gradient's is under it.
    """

    source: int
    target: int
    value: float | None
    label: str = ""
    gradient: str = ""

    @property
    def texts(self) -> tuple[str, str]:
        """What stands over the line, and what under it."""
        return self.label, self.gradient


class Column(NamedTuple):
    """A layer.

    Attributes:
        heading: lines over it.
        neurons: from above; those that are drawn.
        more: how many others there are.
        weights: from the column before to this one.
    """

    heading: tuple[str, ...]
    neurons: tuple[Neuron, ...]
    more: int = 0
    weights: tuple[Weight, ...] = ()


class Network(NamedTuple):
    """Columns from the input to the result, with a title and notes."""

    columns: tuple[Column, ...]
    title: str
    notes: tuple[str, ...] = ()


def network_diagram(network: Network) -> Diagram:
    """The network as boxes and arrows, for DOT and Mermaid."""
    nodes, edges = [], []
    for number, column in enumerate(network.columns):
        for index, neuron in enumerate(column.neurons):
            lines = (Line(neuron.inside, "name"), *neuron.above, *neuron.below)
            nodes.append(
                Node(_key(number, index), lines, _family(number, neuron), neuron.description, True)
            )
        for weight in column.weights:
            label = " ".join(filter(None, (weight.label, weight.gradient)))
            source, target = _key(number - 1, weight.source), _key(number, weight.target)
            edges.append(Edge(source, target, label))
    return Diagram(tuple(nodes), tuple(edges), network.title, network.notes)


def network_svg(network: Network, plain: bool = False) -> str:
    """The picture of a network; `plain` as of `graph_svg`."""
    neurons = [neuron for column in network.columns for neuron in column.neurons]
    above = _LINE * max(len(neuron.above) for neuron in neurons)
    below = _LINE * max(len(neuron.below) for neuron in neurons)
    pitch = max(_LEAST_PITCH, 2 * RADIUS + above + below + _ROOM)
    tallest = max(_slots(column) for column in network.columns)
    height = _HEADING + above + (tallest - 1) * pitch + 2 * RADIUS + below + _ROOM
    x = _columns_at(network.columns, pitch)
    width = x[-1] + _half_width(network.columns[-1])
    places = []
    for number, column in enumerate(network.columns):
        top = _HEADING + above + RADIUS + (tallest - _slots(column)) * pitch / 2
        places.append([(x[number], top + i * pitch) for i in range(_slots(column))])
    lines, texts, circles = [], [], []
    for number, column in enumerate(network.columns):
        if number:
            drawn, labels = _weights(network.columns, number, places)
            lines += drawn
            texts += labels
        for index, neuron in enumerate(column.neurons):
            circles.append(_neuron(number, index, neuron, places[number][index]))
        if column.more:
            circles.append(_dots(column.more, places[number][-1]))
        for line, text in enumerate(column.heading):
            kind = "cr-name" if line == 0 else "cr-note"
            circles.append(
                f'<text class="{kind}" x="{x[number]:.1f}" y="{13 + 16 * line}">'
                f"{escaped(text)}</text>"
            )
    parts = [*lines, *texts, *circles]
    return page(parts, width, height, network_diagram(network), plain)


def _key(column: int, index: int) -> str:
    return f"{column}.{index}"


def _family(column: int, neuron: Neuron) -> str:
    return "loss" if neuron.square else "activation" if column else "input"


def _slots(column: Column) -> int:
    return len(column.neurons) + (1 if column.more else 0)


def _half_width(column: Column) -> float:
    """Half of what the circles and texts of a column need."""
    widths = [line.width / 2 for n in column.neurons for line in (*n.below, *n.above)]
    heading = [text_width(text, 13.5) / 2 for text in column.heading]
    return max([RADIUS, *widths, *heading, *map(_square_half, column.neurons)])


def _square_half(neuron: Neuron) -> float:
    """Half of the width of a result's box."""
    return text_width(neuron.inside, 11, True) / 2 + 9 if neuron.square else 0.0


def _columns_at(columns: Sequence[Column], pitch: float) -> list[float]:
    """The middle of each column: far enough from the one before for the lines' numbers.

    Where circles have texts over or under them, lines must not be so steep that they cross these.
    """
    x = [_half_width(columns[0])]
    for before, column in itertools.pairwise(columns):
        most = max(_slots(before), _slots(column))
        across = 120.0 + 10.0 * most
        if any(neuron.above or neuron.below for neuron in (*before.neurons, *column.neurons)):
            across = max(across, 0.45 * pitch * (most - 1))
        if all(neuron.square for neuron in column.neurons):
            across = 105.0
        elif _labelled(column):
            widest = max(text_width(t, 11, True) for w in column.weights for t in w.texts)
            across = 2 * RADIUS + (widest + 12) * (most if most > 1 else 1.6) + 30
        x.append(x[-1] + max(across, _half_width(before) + _half_width(column) + 24))
    return x


def _labelled(column: Column) -> bool:
    shown = [w for w in column.weights if w.label or w.gradient]
    return 0 < len(shown) == len(column.weights) <= MOST_LABELS


def _weights(
    columns: Sequence[Column], number: int, places: Sequence[Sequence[Place]]
) -> tuple[list[str], list[str]]:
    """The lines into a column, and the texts beside them, which lie above all lines."""
    column = columns[number]
    sizes = [abs(w.value) for w in column.weights if w.value is not None and math.isfinite(w.value)]
    largest = max(sizes, default=0.0) or 1.0
    labelled = _labelled(column)
    thickest = _THICKEST if len(column.weights) <= _MANY else _THICKEST / 2
    lines: list[str] = []
    texts: list[str] = []
    taken = [
        spot
        for n in (number - 1, number)
        for neuron, place in zip(columns[n].neurons, places[n], strict=False)
        for spot in _text_spots(neuron, place)
    ]
    for w in column.weights:
        target = column.neurons[w.target]
        start, end = _between(places[number - 1][w.source], places[number][w.target], target)
        sign, thick = "", 1.0
        if w.value is not None and math.isfinite(w.value):
            sign = " cr-plus" if w.value > 0 else " cr-minus" if w.value < 0 else ""
            thick = _THINNEST + (thickest - _THINNEST) * abs(w.value) / largest
        off = columns[number - 1].neurons[w.source].off or target.off
        faint = " cr-off" if off else ""
        said = f"weight from {w.source + 1} to {w.target + 1}"
        said = ", ".join(filter(None, (said, w.label, w.gradient)))
        where = f'data-layer="{number}" data-from="{w.source}" data-to="{w.target}"'
        lines.append(
            f'<g class="cr-line{sign}{faint}" {where} role="graphics-symbol img" '
            f'aria-label="{escaped(said)}"><title>{escaped(said)}</title>'
            f'<path class="cr-weight" style="stroke-width:{thick:.2f}" '
            f'd="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"/></g>'
        )
        if labelled:
            texts.append(_beside(w, start, end, f'class="cr-beside{faint}" {where}', thick, taken))
    return lines, texts


def _text_spots(neuron: Neuron, place: Place) -> list[Place]:
    """Points of the texts over and under a circle."""
    x, y = place
    spots = []
    for lines, side in ((neuron.above, -1), (neuron.below, 1)):
        for number, line in enumerate(lines):
            height = y + side * (RADIUS + 9 + _LINE * number)
            spots += [(x + line.width * part, height) for part in (-0.5, -0.25, 0.0, 0.25, 0.5)]
    return spots


def _between(start: Place, end: Place, target: Neuron) -> tuple[Place, Place]:
    """The ends of a line from a circle to another, or to a result's box, at their edges."""
    (x0, y0), (x1, y1) = start, end
    if target.square:
        x1 -= _square_half(target)
    length = math.hypot(x1 - x0, y1 - y0)
    across, down = (x1 - x0) / length * RADIUS, (y1 - y0) / length * RADIUS
    if target.square:
        return (x0 + RADIUS, y0), (x1, y1)
    return (x0 + across, y0 + down), (x1 - across, y1 - down)


def _beside(
    w: Weight, start: Place, end: Place, attributes: str, thick: float, taken: list[Place]
) -> str:
    """The weight over its line and the gradient under it, turned as the line is.

    They take the part of the line where they are furthest from the texts before, whose places
    `taken` holds.
    """
    (x0, y0), (x1, y1) = start, end
    length = math.hypot(x1 - x0, y1 - y0)
    across, down = (x1 - x0) / length, (y1 - y0) / length
    half = max(text_width(text, 11, True) for text in w.texts) / 2

    first = half + 6
    middles = first + (length - 2 * first) * np.arange(13) / 12
    # points of the two texts, five of each, for each place of their middle
    along = (middles[:, None] + np.linspace(-half, half, 5))[:, :, None]
    side = np.array([8.0, -7.0])
    spots = np.stack([x0 + across * along + down * side, y0 + down * along - across * side], -1)
    spots = spots.reshape(len(middles), -1, 2)
    others = np.reshape(taken, (-1, 2))
    x_apart, y_apart = (spots[:, :, None, axis] - others[:, axis] for axis in (0, 1))
    squares = x_apart * x_apart + y_apart * y_apart
    distances = np.sqrt(squares.min((1, 2), initial=_CLEAR**2))
    place, nearest = 0, -1.0
    for number, distance in enumerate(distances.tolist()):
        if distance > nearest + 0.5:
            place, nearest = number, distance
    best = float(middles[place])
    taken += map(tuple, spots[place].tolist())
    angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
    texts = []
    if w.label:
        y = -3 - thick / 2
        texts.append(f'<text class="cr-number cr-halo" y="{y:.1f}">{escaped(w.label)}</text>')
    if w.gradient:
        y = 10.5 + thick / 2
        texts.append(f'<text class="cr-grad cr-halo" y="{y:.1f}">{escaped(w.gradient)}</text>')
    x, y = x0 + across * best, y0 + down * best
    return (
        f'<g {attributes} aria-hidden="true" '
        f'transform="translate({x:.1f} {y:.1f}) rotate({angle:.1f})">{"".join(texts)}</g>'
    )


def _neuron(number: int, index: int, neuron: Neuron, place: Place) -> str:
    x, y = place
    where = f'data-layer="{number}" data-neuron="{index}"'
    off = " cr-off" if neuron.off else ""
    parts = [
        f'<g class="cr-{_family(number, neuron)}" {where} role="graphics-symbol img" '
        f'aria-label="{escaped(neuron.description)}"><title>{escaped(neuron.description)}</title>'
        f'<g class="cr-inner{off}">'
    ]
    if neuron.square:
        half = _square_half(neuron)
        parts.append(
            f'<rect class="cr-box" x="{x - half:.1f}" y="{y - 15:.1f}" width="{2 * half:.1f}" '
            f'height="30" rx="5" {where}/>'
        )
    else:
        parts.append(f'<circle class="cr-box" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS:g}" {where}/>')
    parts.append(
        f'<text class="cr-number" x="{x:.1f}" y="{y + 4:.1f}">{escaped(neuron.inside)}</text>'
    )
    edge = 15.0 if neuron.square else RADIUS
    for line, text in enumerate(neuron.below):
        parts.append(
            f'<text class="cr-{text.kind} cr-halo" x="{x:.1f}" '
            f'y="{y + edge + 13 + 13 * line:.1f}">{escaped(text.text)}</text>'
        )
    for line, text in enumerate(reversed(neuron.above)):
        parts.append(
            f'<text class="cr-{text.kind} cr-halo" x="{x:.1f}" '
            f'y="{y - edge - 6 - 13 * line:.1f}">{escaped(text.text)}</text>'
        )
    parts.append("</g>")
    if neuron.off:
        # A cross whose middle is the number.
        outer, inner = RADIUS * 0.71, RADIUS * 0.3
        for slope in (1, -1):
            ends = "".join(
                f"M{x + side * outer:.1f} {y + side * slope * outer:.1f}"
                f"L{x + side * inner:.1f} {y + side * slope * inner:.1f}"
                for side in (-1, 1)
            )
            parts.append(f'<path class="cr-cross" d="{ends}"/>')
    return "".join(parts) + "</g>"


def _dots(more: int, place: Place) -> str:
    """Three dots in the place of the neurons that are not drawn, and how many they are."""
    x, y = place
    dots = "".join(
        f'<circle class="cr-dot" cx="{x:.1f}" cy="{y - 16 + 8 * i:.1f}" r="2"/>' for i in range(3)
    )
    return f'{dots}<text class="cr-note" x="{x:.1f}" y="{y + 20:.1f}">{more:,} more</text>'
