"""Numbers of layers, penalties, constraints and averages that can be set between steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.graph.state import HyperParameter


class RunTime:
    """An argument that every step reads anew: setting it needs no new graph and no new plan.

    It reads as a float; its owner keeps it as a `HyperParameter` under the same name after an
    underscore.

    Args:
        check: (name, value) -> the value as a number, or an error.
    """

    def __init__(self, check: Callable[[str, Any], float]) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any | None, kind: type) -> Any:
        return self if owner is None else float(vars(owner)["_" + self.name].value)

    def __set__(self, owner: Any, value: float) -> None:
        value = float(self.check(self.name, value))
        held = vars(owner).setdefault("_" + self.name, HyperParameter(value, name=self.name))
        held.replace(np.array(value))
