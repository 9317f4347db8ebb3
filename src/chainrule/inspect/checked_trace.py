"""The check of a trace that comes from a file: it has the form that `trace_of` gives it."""

from __future__ import annotations

from typing import Any

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
    "derivative": (dict, type(None)), "parameters": (list,),
}  # fmt: skip
_PARAMETER: dict[str, Any] = {
    "path": _TEXT, "letter": _TEXT, "id": _WHOLE, "old": (dict,), "gradient": (dict, type(None)),
    "new": (dict, type(None)),
}  # fmt: skip
_CONTRIBUTION: dict[str, Any] = {"consumer": _WHOLE, "index": _WHOLE, "value": (dict,)}
_FORMULA: dict[str, Any] = {"text": _TEXT, "latex": _TEXT}


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
    _check_keys(trace, _TRACE, "the trace")
    count = len(trace["nodes"])
    for place, node in enumerate(trace["nodes"]):
        where = f"node {place}"
        _check_keys(node, _NODE, where)
        if node["id"] != place or node["role"] not in _ROLES:
            raise ValueError(f"{where}: its id or its role is not what it may be")
        _check_ids(node["inputs"], place, where)
        _check_array(node["value"], f"{where}: value")
        _check_array(node["gradient"], f"{where}: gradient")
        for formula in (node["formula"], node["gradient_formula"]):
            if formula is not None:
                _check_keys(formula, _FORMULA, f"{where}: formula")
        for part in node["contributions"]:
            _check_keys(part, _CONTRIBUTION, f"{where}: contribution")
            _check_ids([part["consumer"]], count, where)
            _check_array(part["value"], f"{where}: contribution")
        if node["layer"] is not None:
            _check_ids([node["layer"]], len(trace["layers"]), where)
    _check_ids(trace["backward"], count, "backward")
    _check_ids(trace["outputs"], count, "outputs")
    for place, layer in enumerate(trace["layers"]):
        _check_layer(layer, count, f"layer {place}")
    return trace


def _check_layer(layer: Any, count: int, where: str) -> None:
    _check_keys(layer, _LAYER, where)
    ids = [layer["preactivation"], layer["output"]]
    _check_ids(ids if layer["input"] is None else [*ids, layer["input"]], count, where)
    for key in ("delta", "output_gradient", "derivative"):
        _check_array(layer[key], f"{where}: {key}")
    for parameter in layer["parameters"]:
        _check_keys(parameter, _PARAMETER, f"{where}: parameter")
        _check_ids([parameter["id"]], count, where)
        for key in ("old", "gradient", "new"):
            _check_array(parameter[key], f"{where}: {key} of a parameter")


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


def _check_array(held: Any, where: str) -> None:
    if held is None:
        return
    shape = held.get("shape")
    is_shape = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if not is_shape or not isinstance(held.get("dtype"), str):
        raise ValueError(f"{where} is no array with a shape and a dtype")
    if not isinstance(held.get("summary"), dict) or "values" not in held or "corner" not in held:
        raise ValueError(f"{where} lacks 'values', 'summary' or 'corner'")
    values = held["values"]
    if values is None:
        return
    if _shape_of(values) != shape and 0 not in shape:
        raise ValueError(f"{where}: its values have not the shape {shape}")


def _shape_of(values: Any) -> list[int] | None:
    """The shape of nested lists of numbers; None where they are ragged, or hold anything else."""
    if not isinstance(values, list):
        is_number = isinstance(values, (int, float)) or values in ("NaN", "Infinity", "-Infinity")
        return [] if is_number else None
    inner = [_shape_of(item) for item in values]
    if not inner:
        return [0]
    first = inner[0]
    return None if first is None or any(i != first for i in inner) else [len(values), *first]
