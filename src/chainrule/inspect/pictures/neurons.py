"""The picture of neurons: circles with activations and deltas, lines with weights, of a trace.

It reads the trace of `chainrule.explain` alone, as JSON gives it back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chainrule.drawing.diagram import Line
from chainrule.drawing.network import MOST_LABELS, Column, Network, Neuron, Weight
from chainrule.graph.tensor import Array
from chainrule.inspect.arrays import corner_from_json, from_json
from chainrule.inspect.letters import SIGNS, Letters, letters_of
from chainrule.inspect.pictures.numbers import number_text
from chainrule.inspect.pictures.steps import name_of_loss
from chainrule.nn.layers import activations

MOST_NEURONS = 16
"""Of a wider layer the first neurons are drawn, and dots stand for the others."""

_FIRST = 4  # neurons of a wide layer; a trace holds that many of the rows of a large array
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_MASKS = ("Dropout", "AlphaDropout")
_SCALES = ("Standardize", "Unstandardize", "MinMaxScale", "Center")
_ACTIVATIONS = frozenset(
    kind for kind, found in vars(activations).items() if isinstance(found, type)
)
_PASSED = ("Flatten", "Identity", "Unflatten", *_SCALES, *_MASKS)


class _Held:
    """What a trace has of one array: all of it, its first rows and columns, or nothing."""

    def __init__(self, held: dict[str, Any] | None) -> None:
        self._array: Array | None = None
        if held is not None:
            whole = from_json(held)
            self._array = corner_from_json(held) if whole is None else whole

    def row(self, number: int, index: int) -> float | None:
        """The element of a neuron in one row of the data; None where it is not held."""
        if self._array is None:
            return None
        rows = self._array.reshape(-1, self._array.shape[-1]) if self._array.ndim else None
        if rows is None or number >= len(rows) or index >= rows.shape[1]:
            return None
        return float(rows[number, index])

    def at(self, *place: int) -> float | None:
        """One element; None where it is not held."""
        if self._array is None or self._array.ndim != len(place):
            return None
        if any(i >= n for i, n in zip(place, self._array.shape, strict=True)):
            return None
        return float(self._array[place])


def fully_connected(trace: Mapping[str, Any]) -> bool:
    """Whether all layers of a trace are columns of neurons, each of which takes the one before."""
    return _fault(_without_hooks(trace)) is None


def widest(trace: Mapping[str, Any]) -> int:
    """The number of neurons of the widest fully connected layer, the input included."""
    return max(max(layer["sizes"]) for layer in trace["layers"] if layer["sizes"])


def neurons_network(
    trace: Mapping[str, Any],
    *,
    values: bool,
    gradients: bool,
    row: int,
    has_loss: bool = True,
    has_data: bool = True,
) -> Network:
    """The columns of a network of fully connected layers, with the numbers of a trace.

    Args:
        trace: what `chainrule.explain(...).trace()` returns.
        values: whether circles and lines show activations and weights.
        gradients: whether they show deltas and the gradients of the weights.
        row: the row of the data whose activations and deltas are shown.
        has_loss: whether the trace is that of a step; else it has neither loss nor gradients.
        has_data: whether its activations mean something.

    Raises:
        ValueError: if a layer is not fully connected, or the row does not exist.
    """
    trace = _without_hooks(trace)
    fault = _fault(trace)
    if fault is not None:
        raise ValueError(f'level="neurons" {fault}; draw it with level="layers"')
    rows = trace["rows"]
    if not 0 <= row < rows:
        raise ValueError(f"the step has rows 0 to {rows - 1}, there is no row {row}")
    letters, _ = letters_of(trace["letters"], None)
    delta, loss = (SIGNS.get(letter, letter) for letter in (letters.delta, letters.loss))
    nodes = {node["id"]: node if has_data else _without_value(node) for node in trace["nodes"]}
    layers = [layer for layer in trace["layers"] if layer["sizes"]]
    start = nodes[layers[0]["input"]]
    passed = _passed(trace, nodes, layers[0]["input"], row)
    any_dropped = bool(passed)
    columns = [_input_column(start, layers[0]["sizes"][0], passed, values, gradients, row)]
    for number, layer in enumerate(layers, 1):
        passed = _passed(trace, nodes, layer["output"], row)
        any_dropped = any_dropped or bool(passed)
        neurons = _neurons(number, layer, nodes, passed, values, gradients, row, letters)
        width = layer["sizes"][1]
        weights = _weights(layer, len(columns[-1].neurons), len(neurons), values, gradients)
        kind = layer["activation"] or layer["kind"]
        columns.append(Column((f"layer {number}", kind), neurons, width - len(neurons), weights))
    if has_loss:
        columns.append(_loss_column(trace, len(columns[-1].neurons), values, loss))
    notes = []
    if rows > 1 and has_data and (values or gradients):
        sums = "; gradients of weights are sums over all rows" if gradients else ""
        notes.append(f"row {row} of {rows}{sums}")
    if gradients:
        notes.append(
            f"{delta} = ∂{loss}/∂{letters.preactivation}; under each line and at each bias b its "
            f"gradient ∂{loss}/∂w, ∂{loss}/∂b"
        )
    if any_dropped and values and has_data:
        notes.append("→ what dropout passes on to the next layer")
    crowded = [column for column in columns if len(column.weights) > MOST_LABELS]
    if crowded and (values or gradients):
        layers_named = ", ".join(column.heading[0] for column in crowded)
        notes.append(
            f"{layers_named}: no numbers beside more than {MOST_LABELS} lines; each line's are its "
            'tooltip, level="layers" shows the matrices'
        )
    title = trace["title"] if has_loss else f"{trace['model']}, neurons"
    return Network(tuple(columns), title, tuple(notes))


def _without_hooks(trace: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trace in which nothing stands for the hooks of gradients: they pass values on as they are.

    An activation after a hook belongs to the layer before it.
    """
    passed: dict[int, int] = {}
    for node in trace["nodes"]:
        if node["operation"] == "gradient_hook":
            (source,) = node["inputs"]
            passed[node["id"]] = passed.get(source, source)
    if not passed:
        return trace

    def source_of(number: Any) -> Any:
        return passed.get(number, number)

    letters, _ = letters_of(trace["letters"], None)
    names: dict[int, str] = {}
    layers: list[dict[str, Any]] = []
    for layer in trace["layers"]:
        layer = {**layer, "output": source_of(layer["output"]), "input": source_of(layer["input"])}
        before = layers[-1] if layers else {"sizes": None, "activation": None}
        is_alone = before["sizes"] is not None and before["activation"] is None
        is_plain = layer["kind"] in _ACTIVATIONS and not layer["parameters"]
        if is_alone and is_plain and layer["input"] == before["output"]:
            layers[-1] = {**before, "activation": layer["kind"], "output": layer["output"]}
            number = sum(layer["sizes"] is not None for layer in layers)
            names[layer["output"]] = letters.at(letters.activation, number).text
        else:
            layers.append(layer)
    nodes = [
        {**n, "inputs": list(map(source_of, n["inputs"])), "name": names.get(n["id"], n["name"])}
        for n in trace["nodes"]
    ]
    outputs = list(map(source_of, trace["outputs"]))
    return {**trace, "layers": layers, "nodes": nodes, "outputs": outputs}


def _without_value(node: Mapping[str, Any]) -> dict[str, Any]:
    return {**node, "value": {**node["value"], "values": None, "corner": None}}


def _fault(trace: Mapping[str, Any]) -> str | None:
    """Why a trace has no picture of neurons; None where it has one."""
    output = None
    for layer in trace["layers"]:
        if layer["kind"] in _PASSED and layer["activation"] is None:
            if layer["input"] == output:
                output = layer["output"]
            continue
        if layer["sizes"] is None:
            return f"draws fully connected layers, {_other(layer)}"
        if _parameter(layer, "weight", layer["sizes"][::-1]) is None:
            return f"draws the weights of a layer, and layer {layer['path']!r} has none of its own"
        if output is not None and layer["input"] != output:
            return (
                f"draws layers that follow each other, and layer {layer['path']!r} takes "
                "something else than the output of the layer before"
            )
        output = layer["output"]
    if output is None or not any(layer["sizes"] for layer in trace["layers"]):
        return "draws fully connected layers, and the model has none"
    if [_reshaped(trace, number) for number in trace["outputs"]] != [_reshaped(trace, output)]:
        return "draws layers alone, and the model computes more from the output of its last layer"
    return None


def _other(layer: Mapping[str, Any]) -> str:
    """What a layer that is not fully connected is instead."""
    path, kind = layer["path"], layer["kind"]
    if not path:
        return f"as nn.Linear, and the model, of the class {kind}, computes its output by itself"
    own = [parameter["path"] for parameter in layer["parameters"]]
    computed = [name for name in own if name.rpartition(".")[2].startswith("weight_")]
    if kind == "Linear" and computed:
        return f"and the weights of layer {path!r} are computed, from {' and '.join(computed)}"
    return f"and layer {path!r} is of the class {kind}"


def _reshaped(trace: Mapping[str, Any], number: int) -> int:
    """The node of another shape that has the elements of this one."""
    node = trace["nodes"][number]
    while node["operation"] == "reshape":
        node = trace["nodes"][node["inputs"][0]]
    found: int = node["id"]
    return found


class _Passed(NamedTuple):
    """What dropout makes of one neuron.

    Attributes:
        is_off: whether its mask turns the neuron off.
        value: what the next layer receives; None where it is not held.
    """

    is_off: bool
    value: float | None


def _passed(
    trace: Mapping[str, Any], nodes: Mapping[int, Mapping[str, Any]], output: int, row: int
) -> list[_Passed]:
    """What dropout makes of an output, element by element; empty without one."""
    for layer in trace["layers"]:
        if layer["kind"] in _MASKS and layer["input"] == output != layer["output"]:
            dropped = nodes[layer["output"]]
            shape = dropped["value"]["shape"]
            for number in dropped["inputs"]:
                value = nodes[number]["value"]
                if number != output and value["shape"] == shape:
                    mask, after = _Held(value), _Held(dropped["value"])
                    return [
                        _Passed(mask.row(row, i) == 0, after.row(row, i))
                        for i in range(_shown(shape[-1]))
                    ]
    return []


def _shown(width: int) -> int:
    return width if width <= MOST_NEURONS else _FIRST


def _input_column(
    node: Mapping[str, Any],
    width: int,
    passed: list[_Passed],
    values: bool,
    gradients: bool,
    row: int,
) -> Column:
    held, gradient = _Held(node["value"]), _Held(node["gradient"])
    neurons = []
    for index in range(_shown(width)):
        value, g = held.row(row, index), gradient.row(row, index)
        said = [f"input {index + 1}"] + ([] if value is None else [f"value {number_text(value)}"])
        inside = _name(node["name"] or "x", index)
        if values and value is not None:
            inside = _short(value)
        below = [Line(f"∂ {_short(g)}", "grad")] if gradients and g is not None else []
        off = _add_passed(passed, index, below, said, values)
        neurons.append(Neuron(inside, tuple(below), (), ", ".join(said), off))
    return Column(("input", node["name"] or ""), tuple(neurons), width - len(neurons))


def _neurons(
    number: int,
    layer: Mapping[str, Any],
    nodes: Mapping[int, Mapping[str, Any]],
    passed: list[_Passed],
    values: bool,
    gradients: bool,
    row: int,
    letters: Letters,
) -> tuple[Neuron, ...]:
    node = nodes[layer["output"]]
    z, a = _Held(nodes[layer["preactivation"]]["value"]), _Held(node["value"])
    delta = _Held(layer["delta"])
    biases = _parameter(layer, "bias", layer["sizes"][1:])
    found = []
    for index in range(_shown(layer["sizes"][1])):
        before, after, d = z.row(row, index), a.row(row, index), delta.row(row, index)
        said, below, above = [f"layer {number}, neuron {index + 1}"], [], []
        inside = _name(node["name"] or "a", index)
        names = letters.preactivation, letters.activation, letters.delta
        for name, value in zip(names, (before, after, d), strict=True):
            if value is not None:
                said.append(f"{name} {number_text(value)}")
        if values and after is not None:
            inside = _short(after)
        if values and before is not None and layer["activation"]:
            below.append(Line(f"{letters.preactivation} {_short(before)}", "number"))
        if gradients and d is not None:
            below.append(Line(f"{SIGNS.get(letters.delta, letters.delta)} {_short(d)}", "grad"))
        if biases is not None:
            b, db = _Held(biases["old"]).at(index), _Held(biases["gradient"]).at(index)
            if b is not None:
                said.append(f"bias {number_text(b)}")
                if values:
                    above.append(Line(f"b {_short(b)}", "number"))
            if db is not None:
                said.append(f"gradient of the bias {number_text(db)}")
                if gradients:
                    above.append(Line(f"∂ {_short(db)}", "grad"))
        off = _add_passed(passed, index, below, said, values)
        found.append(Neuron(inside, tuple(below), tuple(above), ", ".join(said), off))
    return tuple(found)


def _add_passed(
    passed: list[_Passed], index: int, below: list[Line], said: list[str], values: bool
) -> bool:
    """Add to a neuron's texts what dropout makes of it; whether it is off."""
    if index >= len(passed):
        return False
    neuron = passed[index]
    if neuron.is_off:
        said.append("off")
    if neuron.value is not None:
        said.append(f"after dropout {number_text(neuron.value)}")
        if values:
            below.insert(0, Line(f"→ {_short(neuron.value)}", "number"))
    return neuron.is_off


def _weights(
    layer: Mapping[str, Any], sources: int, targets: int, values: bool, gradients: bool
) -> tuple[Weight, ...]:
    """A line for each weight between neurons that are drawn."""
    held = _parameter(layer, "weight", layer["sizes"][::-1])
    assert held is not None  # else there is no picture
    w, dw = _Held(held["old"]), _Held(held["gradient"])
    found = []
    for source in range(sources):
        for target in range(targets):
            value, g = w.at(target, source), dw.at(target, source)
            label = _short(value) if values and value is not None else ""
            gradient = _short(g) if gradients and g is not None else ""
            found.append(Weight(source, target, value, label, gradient))
    return tuple(found)


def _loss_column(trace: Mapping[str, Any], outputs: int, values: bool, letter: str) -> Column:
    inside = f"{letter} {_short(float(trace['loss']))}" if values else letter
    name = name_of_loss(trace)
    said = ", ".join(filter(None, ("loss", name, number_text(float(trace["loss"])))))
    weights = tuple(Weight(source, 0, None) for source in range(outputs))
    return Column(("loss", name), (Neuron(inside, (), (), said, False, True),), 0, weights)


def _parameter(
    layer: Mapping[str, Any], name: str, shape: Sequence[int]
) -> Mapping[str, Any] | None:
    """The first parameter of a layer with this name and shape.

    Its path may be that of another layer that has it, too.
    """
    for parameter in layer["parameters"]:
        if parameter["path"].rpartition(".")[2] == name and parameter["old"]["shape"] == shape:
            found: Mapping[str, Any] = parameter
            return found
    return None


def _short(value: float) -> str:
    """A number for a small place: four digits, without a zero before the point's exponent."""
    return number_text(value).replace("e-0", "e-").replace("e+0", "e+")


def _name(name: str, index: int) -> str:
    """The name of one neuron: of a1 the second is a¹₂."""
    found = re.fullmatch(r"([^\W\d_]+)(\d*)", name)
    if found is None:
        return f"{name}.{index + 1}" if len(name) < 4 else str(index + 1)
    letters, layer = found.groups()
    if len(letters) > 4:  # than the circle is wide
        return str(index + 1)
    return letters + layer.translate(_SUPERSCRIPTS) + str(index + 1).translate(_SUBSCRIPTS)
