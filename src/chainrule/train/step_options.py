"""The parts of a training step besides loss and optimiser: penalties, averages, clipping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from inspect import signature
from typing import Any, Literal, Protocol

from chainrule import checks
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Tensor
from chainrule.nn import Module

Penalty = Callable[[], Tensor]
"""A term of the objective that depends on parameters alone: () -> a scalar Tensor."""


Augmentation = Callable[[Any, Any], tuple[Any, Any]]
"""Changes a batch in training: (inputs, targets) -> (inputs, targets), as `nn.MixUp` does."""


class Constraint(Protocol):
    """Brings parameters back to where they may be, as a largest norm."""

    def apply(self) -> None:
        """Assign parameters, by operations on Tensors: it is part of the captured step."""


class Average(Protocol):
    """An average of the parameters over the updates."""

    def update(self) -> None:
        """Take in the parameters as they are now, by operations: part of the captured step."""

    def states(self) -> Mapping[str, Buffer]:
        """The states that `update` changes, by name."""

    def applied(self) -> AbstractContextManager[Any]:
        """Within it the parameters hold their averages."""

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: arrays, numbers, strings, flat."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Go on where a snapshot was taken."""


class StepOptions:
    """The parts of a training step besides loss and optimiser; `Trainer` describes them.

    Raises:
        TypeError, ValueError: for what is no such part.
    """

    def __init__(
        self,
        *,
        augmentation: Augmentation | None = None,
        penalties: Sequence[Penalty] = (),
        constraints: Sequence[Constraint] = (),
        ema: Average | None = None,
        accumulate: int | Literal["epoch"] = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        if isinstance(accumulate, str):
            if accumulate != "epoch":
                raise ValueError(
                    f"accumulate is a number of batches or 'epoch', got {accumulate!r}"
                )
        else:
            accumulate = checks.count("accumulate", accumulate)
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and not checks.any_number(name, limit) > 0:
                raise ValueError(f"{name} is positive, got {limit}")
        for name, given in (("penalties", penalties), ("constraints", constraints)):
            if not isinstance(given, (list, tuple)):
                raise TypeError(f"{name} are a list, got {given!r}: write {name}=[...]")
        if augmentation is not None:
            _check_augmentation(augmentation)
        for penalty in penalties:
            if not callable(penalty) or isinstance(penalty, type):
                raise TypeError(
                    "a penalty is a function () -> a scalar Tensor, as lambda: 1e-4 * "
                    f"(layer.weight ** 2).sum(); got {checks.described(penalty)}"
                )
        for constraint in constraints:
            _check_methods("a constraint", constraint, "apply")
        check_average(ema)
        self.augmentation = augmentation
        self.penalties = list(penalties)
        self.constraints = list(constraints)
        self.ema = ema
        self.accumulate = accumulate
        self.clip_norm = clip_norm
        self.clip_value = clip_value

    def augmented(self, x: Any, y: Any) -> tuple[Any, Any]:
        """The inputs and targets of a batch as it is trained on.

        Raises:
            TypeError: if the augmentation returns anything but these two.
        """
        if self.augmentation is None:
            return x, y
        found = self.augmentation(x, y)
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(
                "augmentation returns inputs and targets, (x, y); got "
                f"{type(found).__name__}. What changes the inputs alone stands at the head of the "
                "model, or is lambda x, y: (change(x), y)"
            )
        return found

    def equal_steps(self, position: int, batches: int) -> tuple[int, bool]:
        """How many batches from `position` on have the same kind of step, and whether it updates.

        Args:
            position: the number of a batch in an epoch.
            batches: batches in the epoch.
        """
        if self.accumulate == 1:
            return batches - position, True
        group = batches if self.accumulate == "epoch" else self.accumulate
        last = min(position - position % group + group, batches) - 1
        return (1, True) if position == last else (last - position, False)


def _check_augmentation(augmentation: Any) -> None:
    """Raise TypeError unless it can be called with inputs and targets."""
    if not callable(augmentation) or isinstance(augmentation, type):
        raise TypeError(
            "augmentation is a function (inputs, targets) -> (inputs, targets), as "
            f"nn.MixUp(num_classes=10); got {checks.described(augmentation)}"
        )
    if not _takes_two(augmentation):
        name = getattr(augmentation, "__name__", type(augmentation).__name__)
        raise TypeError(
            "augmentation is called with inputs and targets, and returns both, as "
            f"nn.MixUp(num_classes=10); {name} does not take two. A layer that changes the "
            "inputs alone stands at the head of the model: nn.Sequential(layer, model)"
        )


def _takes_two(function: Any) -> bool:
    """Whether a function, or a module, can be called with two arguments."""
    try:
        parameters = signature(function.forward if isinstance(function, Module) else function)
    except (TypeError, ValueError):  # of a function in C nobody knows
        return True
    try:
        parameters.bind(None, None)
    except TypeError:
        return False
    return True


def check_average(ema: Average | None) -> None:
    """Raise TypeError for what is neither None nor an average of parameters."""
    if ema is not None:
        _check_methods("ema", ema, "update", "states", "applied", "state_dict", "load_state_dict")


def _check_methods(name: str, given: Any, *methods: str) -> None:
    missing = [method for method in methods if not callable(getattr(given, method, None))]
    if missing or isinstance(given, type):
        remedy = ": give an object, not its class" if isinstance(given, type) else ""
        raise TypeError(f"{name} has the methods {', '.join(methods)}; got {given!r:.80}{remedy}")
