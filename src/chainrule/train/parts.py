"""What a training step may have besides loss and optimiser: penalties, constraints, an average."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Tensor

Penalty = Callable[[], Tensor]
"""A term of the objective that depends on parameters alone: () -> a scalar Tensor."""


class Constraint(Protocol):
    """Brings parameters back to where they may be, as a largest norm."""

    def apply(self) -> None:
        """Assign parameters, by operations on Tensors: it is part of the captured step."""


class Average(Protocol):
    """An average of the parameters over the updates."""

    def update(self) -> None:
        """Take in the parameters as they are now, by operations: part of the captured step."""

    def states(self) -> Mapping[str, Buffer]:
        """What `update` changes, by name."""

    def applied(self) -> AbstractContextManager[Any]:
        """Within it the parameters hold their averages."""

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: arrays, numbers, strings, flat."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Go on where a snapshot was taken."""


def check_parts(
    penalties: Sequence[Penalty], constraints: Sequence[Constraint], ema: Average | None
) -> tuple[list[Penalty], list[Constraint], Average | None]:
    """The same, as lists.

    Raises:
        TypeError: for what is none of these.
    """
    for kind, given in (("penalties", penalties), ("constraints", constraints)):
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"{kind} are a list, got {given!r}: write {kind}=[...]")
    for penalty in penalties:
        if not callable(penalty):
            raise TypeError(
                f"a penalty is a function () -> a scalar Tensor, got {penalty!r}: write "
                "lambda: 1e-4 * (layer.weight ** 2).sum(), for example"
            )
    for constraint in constraints:
        _check_methods("a constraint", constraint, "apply")
    if ema is not None:
        _check_methods("ema", ema, "update", "states", "applied", "state_dict", "load_state_dict")
    return list(penalties), list(constraints), ema


def _check_methods(what: str, given: Any, *names: str) -> None:
    missing = [name for name in names if not callable(getattr(given, name, None))]
    if missing or isinstance(given, type):
        remedy = (
            "an object, not its class" if isinstance(given, type) else "made by its constructor"
        )
        raise TypeError(
            f"{what} has the methods {', '.join(names)}; {given!r} is none: give {remedy}"
        )
