"""Ties: parameters and buffers that a model has under several names, such as one shared weight.

A state dict has an entry for each name. A description says which names are the same: a layer's
entry ``same_as`` for all of a layer, its entry ``shared`` for single parameters and buffers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from chainrule.graph.state import State
from chainrule.graph.tensor import Array


def tied_names(states: Mapping[str, State]) -> dict[str, str]:
    """For each further name of a state its first name."""
    firsts: dict[State, str] = {}
    found = {name: firsts.setdefault(state, name) for name, state in states.items()}
    return {name: first for name, first in found.items() if name != first}


def contradictions(states: Mapping[str, State], values: Mapping[str, Array]) -> list[str]:
    """A text for each tie whose names have different values, of which one would be lost."""
    given = {name: state for name, state in states.items() if name in values}
    return [
        f"{first} and {name} are one and the same in the current model, but the state_dict has "
        "two different values for them."
        for name, first in tied_names(given).items()
        if not np.array_equal(values[first], values[name], equal_nan=True)
    ]


def described_ties(description: Any, names: Iterable[str]) -> dict[str, str]:
    """For each further name of a state its first name, as a description says.

    Args:
        description: that of the model.
        names: the names of its states.
    """
    targets: dict[str, str] = {}
    waiting = [("", description)]
    while waiting:
        path, layer = waiting.pop()
        start = f"{path}." if path else ""
        if "same_as" in layer:
            targets[path] = layer["same_as"]
        targets.update({start + n: target for n, target in layer.get("shared", {}).items()})
        waiting += [(start + n, child) for n, child in layer.get("children", {}).items()]
    found = {name: _followed(name, targets) for name in names}
    return {name: first for name, first in found.items() if name != first and first in found}


def _followed(name: str, targets: Mapping[str, str]) -> str:
    """The name that stands first for a state: that of a layer, or of the state itself."""
    end = len(name)
    while end > 0:
        if name[:end] in targets:
            return targets[name[:end]] + name[end:]
        end = name.rfind(".", 0, end)
    return name


def difference(saved: Mapping[str, str], mine: Mapping[str, str]) -> str | None:
    """How the ties of a file and of a model differ, as the end of "it was saved with"."""
    for name, first in saved.items():
        if mine.get(name) != first:
            return f"{first} and {name} as one; this model has two. {remedy(first, name)}"
    for name, first in mine.items():
        if name not in saved:
            return f"{first} and {name} apart; in this model they are one and the same"
    return None


def remedy(first: str, name: str) -> str:
    """What ties two names of a model, as a line of Python."""
    return f"Tie them in the model, too: {_in_python(name)} = {_in_python(first)}"


def _in_python(name: str) -> str:
    parts = (f"[{part}]" if part.isdigit() else f".{part}" for part in name.split("."))
    return "model" + "".join(parts)
