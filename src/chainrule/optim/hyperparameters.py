"""Declarations of hyper-parameters: which values each may take, and whether a step reads it anew.

An optimiser declares its hyper-parameters as attributes of its class. Construction, `param_groups`,
`load_state_dict` and schedules all check values by that declaration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from chainrule import checks
from chainrule.graph.state import HyperParameter
from chainrule.graph.tensor import Array, Tensor

D = TypeVar("D", bound="Declaration")

LIBRARY_NAMES: set[str] = set()
"""The hyper-parameters of all optimisers of the library."""


class Declaration:
    """The base of all declarations: a hyper-parameter that is fixed at construction.

    A rule finds its value in `h` as it is, so it may choose the operations of the update's graph.
    `Number` and `Numbers` are read at every step instead.
    """

    name: str
    reason = "chooses the operations of the update's graph, or its first state"
    """Why the value can't change after construction, as the end of a sentence."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        if owner.__module__.startswith("chainrule.optim."):
            LIBRARY_NAMES.add(name)

    def __get__(self: D, optimizer: Any | None, kind: type) -> D:
        if optimizer is None:
            return self
        raise AttributeError(self._remedy(kind))

    def __set__(self, optimizer: Any, value: Any) -> None:
        raise AttributeError(self._remedy(type(optimizer)))

    def _remedy(self, kind: type) -> str:
        return (
            f"each parameter group of {kind.__name__} has its own {self.name}: "
            f"use optimizer.param_groups[0][{self.name!r}]"
        )

    def check(self, value: Any) -> Any:
        """`value` as a group keeps it.

        Raises:
            TypeError, ValueError: if the hyper-parameter can't take it.
        """
        raise NotImplementedError

    def is_fixed(self, value: Any) -> bool:
        """Whether a group that is constructed with this checked value keeps it for good."""
        return True

    def scalars(self, value: Any) -> dict[str, float]:
        """The run-time scalars for a checked value, by name; none where it is always fixed."""
        return {}

    def read(self, scalars: Mapping[str, HyperParameter | Array]) -> Any:
        """The value that a group's run-time scalars stand for."""
        raise NotImplementedError

    def in_rule(self, value: Any) -> Any:
        """The entry of `h` for a fixed value."""
        return value


class Number(Declaration):
    """A number, low <= value < high, that every step reads anew: it can be set between steps.

    Args:
        low, high: the bounds; by default any finite number will do.
        fixed: whether it is read at construction alone, such as a moment's first value.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> class Shrink(optim.Optimizer):
        ...     share = optim.Number(low=0, high=1)
        ...
        ...     def __init__(self, params, share=0.5):
        ...         super().__init__(params, share=share)
        ...
        ...     def rule(self, W, grad, moments, h):
        ...         W.assign(W - h.share * W)
        >>> Shrink([cr.Parameter([1.0])], share=1.5)
        Traceback (most recent call last):
        ValueError: share must be in [0, 1), got 1.5
    """

    def __init__(
        self,
        low: float = -math.inf,
        high: float = math.inf,
        *,
        fixed: bool = False,
    ) -> None:
        self.interval = checks.Interval(low, high)
        self.fixed = fixed

    def check(self, value: Any) -> float:
        return self.interval.check(self.name, _plain(self.name, value))

    def is_fixed(self, value: float) -> bool:
        return self.fixed

    def scalars(self, value: float) -> dict[str, float]:
        return {} if self.fixed else {self.name: value}

    def read(self, scalars: Mapping[str, HyperParameter | Array]) -> float:
        return float(scalars[self.name].item())


class Term(Number):
    """A number, at least 0, whose term is left out of the update's graph where it begins as 0.

    A rule finds None in `h` then, and the number can't be set later: `momentum`, `weight_decay`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optim.SGD([cr.Parameter([1.0])]).param_groups[0]["momentum"] = 0.9
        Traceback (most recent call last):
        ValueError: momentum was 0 at construction, so its term is not in the update's graph: it \
can't become 0.9 now. Construct a new optimiser with momentum=0.9.
    """

    reason = "was 0 at construction, so its term is not in the update's graph"

    def __init__(self) -> None:
        super().__init__(low=0)

    def is_fixed(self, value: float) -> bool:
        return value == 0

    def in_rule(self, value: float) -> None:
        return None


class Numbers(Declaration):
    """Several numbers, each low <= value < high, that every step reads anew.

    Args:
        parts: the name of each number in `h`, as "beta1" and "beta2" of `betas`.
        low, high: the bounds; by default any finite numbers will do.

    Example:
        >>> from chainrule import optim
        >>> class Mine(optim.Optimizer):
        ...     betas = optim.Numbers("beta1", "beta2", low=0, high=1)
        >>> Mine.betas.check([0.9, 0.99])
        (0.9, 0.99)
    """

    def __init__(self, *parts: str, low: float = -math.inf, high: float = math.inf) -> None:
        self.parts = parts
        self.interval = checks.Interval(low, high)

    def check(self, value: Any) -> tuple[float, ...]:
        if not isinstance(value, (tuple, list)) or len(value) != len(self.parts):
            count = {2: "two", 3: "three"}.get(len(self.parts), len(self.parts))
            raise TypeError(f"{self.name} are {count} numbers, not {value!r}")
        return tuple([self.interval.check(self.name, _plain(self.name, n)) for n in value])

    def is_fixed(self, value: tuple[float, ...]) -> bool:
        return False

    def scalars(self, value: tuple[float, ...]) -> dict[str, float]:
        return dict(zip(self.parts, value, strict=True))

    def read(self, scalars: Mapping[str, HyperParameter | Array]) -> tuple[float, ...]:
        return tuple([float(scalars[part].item()) for part in self.parts])


class Flag(Declaration):
    """True or False, fixed at construction."""

    def check(self, value: Any) -> bool:
        return checks.flag(self.name, value)


class OneOf(Declaration):
    """One of the given choices, each a string or None, fixed at construction."""

    def __init__(self, *choices: str | None) -> None:
        self.choices = choices

    def check(self, value: Any) -> str | None:
        for choice in self.choices:
            if value is choice or (isinstance(value, str) and value == choice):
                return choice
        raise ValueError(f"{self.name} is {' or '.join(map(repr, self.choices))}, not {value!r}")


class Count(Declaration):
    """A whole number of at least 1, fixed at construction."""

    def check(self, value: Any) -> int:
        return checks.count(self.name, value)


def declarations_of(cls: type) -> dict[str, Declaration]:
    """A class's hyper-parameters by name, those that it inherits included.

    Raises:
        TypeError: if one object declares two of them.
    """
    attributes: dict[str, Any] = {}
    for kind in reversed(cls.__mro__):
        attributes.update(vars(kind))
    declared = {name: d for name, d in attributes.items() if isinstance(d, Declaration)}
    for name, declaration in declared.items():
        if declaration.name != name:
            raise TypeError(
                f"{cls.__name__} declares {name} and {declaration.name} by one object: give "
                f"each its own, as in {name} = optim.{type(declaration).__name__}(...)"
            )
    return declared


def check_names(
    kind: str, declarations: Mapping[str, Declaration], defaults: Mapping[str, Any]
) -> None:
    """Raise TypeError unless each declared hyper-parameter has a value, and no other."""
    for name in defaults:
        if name not in declarations:
            raise TypeError(
                f"{kind} does not declare its hyper-parameter {name}: say in the class which "
                f"values it may take, as in {name} = optim.Number(low=0)"
            )
    for name in declarations:
        if name not in defaults:
            raise TypeError(
                f"{kind} declares the hyper-parameter {name}, but got no value: pass it to "
                "super().__init__"
            )


def _plain(name: str, value: Any) -> Any:
    """A Tensor or an array of one element as its number; anything else as it is."""
    if not isinstance(value, (Tensor, np.ndarray)):
        return value
    if value.size != 1:
        raise ValueError(f"{name} is one number, got {value.size} in shape {value.shape}")
    if isinstance(value, Tensor) and value.is_symbolic:
        raise TypeError(f"{name} is a number, and {value!r} has no value yet")
    return value.item()
