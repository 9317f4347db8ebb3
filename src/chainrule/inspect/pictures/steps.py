"""The nodes of a step's trace, for the pictures of operations and of layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.graph.operation import operations
from chainrule.inspect.pictures.families import family
from chainrule.inspect.pictures.found_nodes import GraphNode, attributes_text
from chainrule.inspect.pictures.numbers import numbers_of_trace

_ROLES = {
    "input": "input",
    "target": "input",
    "parameter": "parameter",
    "buffer": "input",
    "constant": "constant",
    "loss": "loss",
}
LOSS = "loss"
"""The path that stands for the operations of the loss, which belong to no layer."""


def nodes_of_trace(trace: Mapping[str, Any], *, by_layer: bool) -> list[GraphNode]:
    """The nodes of a trace; with `by_layer` the path of each names a layer of the trace.

    An activation then belongs to the layer before it, as in the trace, and what follows the last
    layer to the loss.
    """
    layers = trace["layers"]
    paths = _paths(layers)
    last_layer = max((n["id"] for n in trace["nodes"] if n["layer"] is not None), default=-1)
    new = {p["id"]: p["new"] for layer in layers for p in layer["parameters"]}
    found = []
    for node in trace["nodes"]:
        path = node["path"]
        updated = new.get(node["id"])
        if by_layer:
            path = "" if node["layer"] is None else paths[node["layer"]]
            if node["layer"] is None and node["id"] > last_layer:
                path = LOSS
        found.append(
            GraphNode(
                str(node["id"]),
                node["name"],
                node["operation"],
                _ROLES.get(node["role"]) or _family(node["operation"]),
                tuple(map(str, node["inputs"])),
                tuple(node["value"]["shape"]),
                path,
                attributes_text(node["attributes"]),
                value=numbers_of_trace(node["value"]),
                gradient=None if node["gradient"] is None else numbers_of_trace(node["gradient"]),
                is_given=node["role"] in ("input", "target"),
                updated=None if updated is None else numbers_of_trace(updated),
            )
        )
    return found


def kinds_of_trace(trace: Mapping[str, Any]) -> dict[str, str]:
    """By the path of each layer of a trace what its box is called, with its activation."""
    paths = _paths(trace["layers"])
    kinds = {LOSS: name_of_loss(trace)}
    for path, layer in zip(paths, trace["layers"], strict=True):
        kinds[path] = " · ".join(filter(None, (layer["kind"], layer["activation"])))
    return kinds


def name_of_loss(trace: Mapping[str, Any]) -> str:
    """The class or the function; empty where the trace has none, as of a lambda."""
    name: str = trace["loss_name"]
    return "" if name == "loss" else name


def _paths(layers: Any) -> list[str]:
    """The paths of the layers, of which one that is called twice has two."""
    calls: dict[str, int] = {}
    found = []
    for layer in layers:
        path = layer["path"] or layer["kind"]
        calls[path] = calls.get(path, 0) + 1
        found.append(path if calls[path] == 1 else f"{path} ({calls[path]})")
    return found


def _family(operation: str | None) -> str:
    return family(operations[operation]) if operation in operations else "other"
