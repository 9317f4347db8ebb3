"""The check of a trace that comes from a file: it has the form that `trace_of` gives it."""

from __future__ import annotations

import sys
from typing import Any

from chainrule.inspect.arrays import from_json
from chainrule.inspect.letters import gradients_named, letters_of
from chainrule.inspect.trace import FORMAT, VERSION

_TEXT = (str,)
_TEXT_OR_NONE = (str, type(None))
_WHOLE = (int,)
_NUMBER = (int, float, str)
_NUMBER_OR_NONE = (int, float, str, type(None))
_ROLES = [
    "input", "target", "parameter", "buffer", "constant", "preactivation", "activation", "loss",
    "value",
]  # fmt: skip

_TRACE: dict[str, Any] = {
    "format": _TEXT, "version": _WHOLE, "title": _TEXT, "model": _TEXT, "loss_name": _TEXT,
    "optimizer": _TEXT_OR_NONE, "rows": _WHOLE, "dtype": _TEXT, "loss": _NUMBER,
    "loss_after": _NUMBER_OR_NONE, "nodes": (list,), "backward": (list,), "layers": (list,),
    "outputs": (list,), "letters": _TEXT, "form": _TEXT,
}  # fmt: skip
_NODE: dict[str, Any] = {
    "id": _WHOLE, "name": _TEXT_OR_NONE, "operation": _TEXT_OR_NONE, "role": _TEXT,
    "path": _TEXT, "layer": (int, type(None)), "inputs": (list,), "attributes": (dict,),
    "value": (dict,), "gradient": (dict, type(None)), "contributions": (list,),
    "formula": (dict,), "gradient_formula": (dict, type(None)),
}  # fmt: skip
_LAYER: dict[str, Any] = {
    "path": _TEXT, "kind": _TEXT, "activation": _TEXT_OR_NONE, "sizes": (list, type(None)),
    "input": (int, type(None)), "preactivation": _WHOLE, "output": _WHOLE,
    "delta": (dict, type(None)), "output_gradient": (dict, type(None)),
    "derivative": (dict, type(None)), "derivative_formula": (dict, type(None)),
    "parameters": (list,),
}  # fmt: skip
_PARAMETER: dict[str, Any] = {
    "path": _TEXT, "letter": _TEXT, "id": _WHOLE, "old": (dict,), "gradient": (dict, type(None)),
    "new": (dict, type(None)), "update": (dict, type(None)),
}  # fmt: skip
_CONTRIBUTION: dict[str, Any] = {"consumer": _WHOLE, "index": _WHOLE, "value": (dict,)}
_UPDATE: dict[str, Any] = {"formulas": (list,), "state": (list,)}
_STATE: dict[str, Any] = {"name": _TEXT, "before": (dict,)}
_FORMULA: dict[str, Any] = {"text": _TEXT, "latex": _TEXT}
_SUMMARY = ("minimum", "maximum", "mean", "norm")
_INFINITIES = ("NaN", "Infinity", "-Infinity")


def checked(trace: Any) -> dict[str, Any]:
    """`trace`, if it is one.

    Raises:
        ValueError: with the place of the first fault.
    """
    if not isinstance(trace, dict) or trace.get("format") != FORMAT:
        seen = trace.get("format") if isinstance(trace, dict) else type(trace).__name__
        raise ValueError(f"this is no trace: its format is {seen!r:.60}, and not {FORMAT!r}")
    if trace.get("version") != VERSION:
        raise ValueError(
            f"the trace has version {trace.get('version')!r:.20}; this chainrule reads {VERSION}"
        )
    if not _is_plain(trace):
        raise ValueError("the trace has a number too large for float64, or NaN without quotes")
    _check_keys(trace, _TRACE, "the trace")
    letters_of(trace["letters"], trace["form"])
    if trace["rows"] < 1 or not trace["nodes"]:
        raise ValueError("the trace has no rows, or no nodes")
    for key in ("loss", "loss_after"):
        if trace[key] is not None:
            _check_number(trace[key], f"the trace: {key!r}")
    count = len(trace["nodes"])
    for place, node in enumerate(trace["nodes"]):
        where = f"node {place}"
        _check_keys(node, _NODE, where)
        if node["id"] != place or node["role"] not in _ROLES:
            raise ValueError(f"{where}: its id or its role is not what it may be")
        _check_ids(node["inputs"], place, where)
        _check_array(node["value"], f"{where}: value")
        shape = node["value"]["shape"]
        _check_array(node["gradient"], f"{where}: gradient", shape)
        for formula in (node["formula"], node["gradient_formula"]):
            if formula is not None:
                _check_keys(formula, _FORMULA, f"{where}: formula")
        for part in node["contributions"]:
            _check_keys(part, _CONTRIBUTION, f"{where}: contribution")
            _check_ids([part["consumer"]], count, where)
            _check_array(part["value"], f"{where}: contribution", shape)
            if part.get("derivative") is not None:  # older traces have none
                _check_number(part["derivative"], f"{where}: 'derivative' of a contribution")
        if node["layer"] is not None:
            _check_ids([node["layer"]], len(trace["layers"]), where)
    _check_ids(trace["backward"], count, "backward")
    _check_gradients(trace)
    _check_ids(trace["outputs"], count, "outputs")
    for place, layer in enumerate(trace["layers"]):
        _check_layer(layer, place, trace["nodes"])
    return trace


def _check_gradients(trace: dict[str, Any]) -> None:
    """Raise ValueError where a gradient is used that no formula computes."""
    formulas = {n["id"]: n["gradient_formula"] for n in trace["nodes"] if n["gradient_formula"]}
    if not formulas.keys() >= {*trace["backward"]}:
        raise ValueError("backward: a node has no formula of its gradient")
    for place, formula in formulas.items():
        if not formulas.keys() >= gradients_named(formula["text"]):
            raise ValueError(f"node {place}: its formula names a gradient that is not there")
    nodes = trace["nodes"]
    for node in nodes:
        if any(nodes[part["consumer"]]["gradient"] is None for part in node["contributions"]):
            raise ValueError(f"node {node['id']}: a consumer that contributes has no gradient")


def _check_layer(layer: Any, number: int, nodes: list[Any]) -> None:
    count, where = len(nodes), f"layer {number}"
    _check_keys(layer, _LAYER, where)
    ids = [layer["preactivation"], layer["output"]]
    _check_ids(ids if layer["input"] is None else [*ids, layer["input"]], count, where)
    z, a = (nodes[place]["value"]["shape"] for place in ids)
    for key, shape in (("delta", z), ("output_gradient", a), ("derivative", z)):
        _check_array(layer[key], f"{where}: {key}", shape)
    if (layer["derivative_formula"] is None) != (layer["derivative"] is None):
        raise ValueError(f"{where} has 'derivative' and 'derivative_formula', or neither")
    if layer["derivative_formula"] is not None:
        _check_keys(layer["derivative_formula"], _FORMULA, f"{where}: derivative_formula")
    for parameter in layer["parameters"]:
        _check_keys(parameter, _PARAMETER, f"{where}: parameter")
        _check_ids([parameter["id"]], count, where)
        shape = nodes[parameter["id"]]["value"]["shape"]
        for key in ("old", "gradient", "new"):
            _check_array(parameter[key], f"{where}: {key} of a parameter", shape)
        if (parameter["update"] is None) != (parameter["new"] is None):
            raise ValueError(f"{where}: a parameter has 'update' and 'new', or neither")
        if parameter["update"] is not None:
            _check_update(parameter["update"], f"{where}: update of a parameter")
    if layer["sizes"] is not None:
        weight = next((p for p in layer["parameters"] if p["path"].endswith("weight")), None)
        if weight is None or weight["old"]["shape"] != layer["sizes"][::-1] or len(z) != 2:
            raise ValueError(f"{where}: its sizes are not those of its weight")
        if layer["input"] is None or nodes[layer["preactivation"]]["layer"] != number:
            raise ValueError(f"{where} has sizes, but no input, or another's pre-activation")


def _check_update(update: Any, where: str) -> None:
    _check_keys(update, _UPDATE, where)
    for formula in update["formulas"]:
        _check_keys(formula, _FORMULA, where)
    for state in update["state"]:
        _check_keys(state, _STATE, where)
        _check_array(state["before"], where)


def _check_keys(held: Any, kinds: dict[str, tuple[type, ...]], where: str) -> None:
    if not isinstance(held, dict):
        raise ValueError(f"{where} is no object")
    for key, allowed in kinds.items():
        if key not in held:
            raise ValueError(f"{where} lacks {key!r}")
        if not isinstance(held[key], allowed) or isinstance(held[key], bool):
            raise ValueError(f"{where}: {key!r} is {held[key]!r:.40}, which it can't be")


def _check_ids(ids: list[Any], count: int, where: str) -> None:
    for found in ids:
        if type(found) is not int or not 0 <= found < count:
            raise ValueError(f"{where} names {found!r:.20}, which there is not")


def _check_number(found: Any, where: str) -> None:
    is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
    if not is_number and found not in _INFINITIES:
        raise ValueError(f"{where} is {found!r:.40}, which is no number")


def _is_plain(value: Any) -> bool:
    """Whether a value is JSON of numbers that float64 has: without NaN, which JSON has not."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(held) for key, held in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, (int, float)):
        return -sys.float_info.max <= value <= sys.float_info.max
    return value is None or isinstance(value, str)


def _check_array(held: Any, where: str, expected: list[int] | None = None) -> None:
    """An array, or none; its shape is the `expected` one, if that is known."""
    if held is None:
        return
    shape = held.get("shape")
    is_shape = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if not is_shape or not isinstance(held.get("dtype"), str):
        raise ValueError(f"{where} is no array with a shape and a dtype")
    if not isinstance(held.get("summary"), dict) or "values" not in held or "corner" not in held:
        raise ValueError(f"{where} lacks 'values', 'summary' or 'corner'")
    if expected is not None and shape != expected:
        raise ValueError(f"{where} has the shape {shape}, and not {expected}")
    for key in _SUMMARY:
        found = held["summary"].get(key)
        if 0 not in shape or found is not None:
            _check_number(found, f"{where}: {key!r} of its summary")
    if held["values"] is None:
        if _shape_of(held["corner"]) is None:
            raise ValueError(f"{where} has no values, and no corner of numbers")
        return
    if _shape_of(held["values"]) != shape and 0 not in shape:
        raise ValueError(f"{where}: its values have not the shape {shape}")
    try:
        array = from_json(held)
    except (ValueError, TypeError, OverflowError):
        array = None
    if array is None or array.dtype.kind not in "biuf":
        raise ValueError(f"{where}: its values are not of the dtype {held['dtype']!r:.40}")


def _shape_of(values: Any) -> list[int] | None:
    """The shape of nested lists of numbers; None where they are ragged, or hold anything else."""
    if not isinstance(values, list):
        is_number = isinstance(values, (int, float)) or values in _INFINITIES
        return [] if is_number else None
    inner = [_shape_of(item) for item in values]
    if not inner:
        return [0]
    first = inner[0]
    return None if first is None or any(i != first for i in inner) else [len(values), *first]
