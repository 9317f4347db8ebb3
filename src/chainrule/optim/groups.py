"""Parameter groups: the hyper-parameters of an optimiser, as PyTorch's mappings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.graph.state import Buffer, HyperParameter, Parameter
from chainrule.graph.tensor import Tensor

TERMS = ("momentum", "dampening", "weight_decay", "lr_decay")
"""Hyper-parameters whose term is left out of a rule that is constructed with 0."""

PARTS = {"betas": ("beta1", "beta2"), "ns_coefficients": ("ns_a", "ns_b", "ns_c")}
"""Hyper-parameters of several numbers: the name of each number's HyperParameter."""


class Interval(NamedTuple):
    """The values that a hyper-parameter may take: low <= value < high."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"in [{self.low:g}, {self.high:g})" if self.high < math.inf else f">= {self.low:g}"


_NON_NEGATIVE = Interval(0, math.inf)
_INTERVALS = {
    "betas": Interval(0, 1),
    "alpha": Interval(0, 1),
    "decay": Interval(0, 1),
    "rho": Interval(0, 1),
    "ns_coefficients": Interval(-math.inf, math.inf),
}


def checked_number(key: str, value: Any) -> float:
    """`value` as a float, if it is a number that `key` may take."""
    number = float(checks.number(key, value))
    interval = _INTERVALS.get(key, _NON_NEGATIVE)
    if not interval.low <= number < interval.high:
        raise ValueError(f"{key} must be {interval}, got {value!r}")
    return number


def _numbers(key: str, value: Any) -> dict[str, float]:
    """The numbers that `key` stands for, by the names of their Scalars."""
    names = PARTS.get(key)
    if names is None:
        return {key: checked_number(key, value)}
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        count = {2: "two", 3: "three"}[len(names)]
        raise TypeError(f"{key} are {count} numbers, not {value!r}")
    return {name: checked_number(key, number) for name, number in zip(names, value, strict=True)}


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{key} is True or False, not {value!r}")
    return bool(value)


def _one_of(*choices: str | None) -> Callable[[str, Any], str | None]:
    def check(key: str, value: Any) -> str | None:
        if value not in choices:
            raise ValueError(f"{key} is {' or '.join(map(repr, choices))}, not {value!r}")
        return choices[choices.index(value)]

    return check


FORMS: dict[str, Callable[[str, Any], Any]] = {
    "nesterov": _flag,
    "amsgrad": _flag,
    "centered": _flag,
    "decoupled_weight_decay": _flag,
    "initial_accumulator_value": checked_number,
    "ns_steps": checks.count,
    "adjust_lr_fn": _one_of(None, "original", "match_rms_adamw"),
    "history_size": checks.count,
    "line_search_fn": _one_of(None, "armijo"),
}
"""Hyper-parameters that choose the form of a rule or its first state: (key, value) ->
the value as a group keeps it, or an error."""


class ParameterGroup(MutableMapping[str, Any]):
    """Parameters that share hyper-parameters: a mapping with PyTorch's keys.

    Numbers read as floats and can be set between steps. They live in `HyperParameter` states, so
    a captured graph takes their values at every run. What the graph's form depends on is
    fixed: those of `FORMS`, such as `nesterov`, and a `momentum` or another of `TERMS` that is 0,
    whose term is not in the graph.

    Attributes:
        params: the group's Parameters.
        scalars: the HyperParameter of each number; "betas" are "beta1" and "beta2" here.
        step: how many steps the group has taken, for the rules that need it; else None.
        state: the Buffers that the group's parameters share, by name.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.1, momentum=0.9)
        >>> group = optimizer.param_groups[0]
        >>> group["lr"] = 0.01
        >>> group["lr"], group["momentum"], group["nesterov"]
        (0.01, 0.9, False)
    """

    def __init__(self, parameters: list[Parameter], hyperparameters: Mapping[str, Any]) -> None:
        self.params = parameters
        self.scalars: dict[str, HyperParameter] = {}
        self.step: Buffer | None = None
        self.state: dict[str, Buffer] = {}
        self._fixed: dict[str, Any] = {}
        self._keys = ["params", *hyperparameters]
        for key, value in hyperparameters.items():
            if key in FORMS:
                self._fixed[key] = FORMS[key](key, value)
                continue
            numbers = _numbers(key, value)
            if key in TERMS and numbers[key] == 0:
                self._fixed[key] = 0.0
            else:
                for name, number in numbers.items():
                    self.scalars[name] = HyperParameter(number, name=name)

    def __getitem__(self, key: str) -> Any:
        if key == "params":
            return self.params
        if key in self._fixed:
            return self._fixed[key]
        if key in self._keys:
            if key in PARTS:
                return tuple(self.scalars[name].item() for name in PARTS[key])
            return self.scalars[key].item()
        raise KeyError(f"{key!r} is no hyper-parameter here; there are {', '.join(self._keys)}")

    def __setitem__(self, key: str, value: Any) -> None:
        for name, number in self.check(key, value).items():
            self.scalars[name].replace(np.array(number, np.float64))

    def __delitem__(self, key: str) -> None:
        raise TypeError("a hyper-parameter can be set, but not deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        lines = [f"    {key}: {self[key]}" for key in self._keys if key != "params"]
        return "\n".join(["ParameterGroup(", *lines, ")"])

    def check(self, key: str, value: Any) -> dict[str, float]:
        """The numbers to hold, by the HyperParameter's name, once `key` is set to `value`.

        Raises:
            KeyError, TypeError, ValueError: if `key` can't be set to that.
        """
        if key == "params":
            raise ValueError("a group's parameters are fixed; see Optimizer.add_param_group")
        before = self[key]
        after = FORMS[key](key, value) if key in FORMS else _numbers(key, value)
        if key not in self._fixed:
            return after
        if value != before:
            reason = (
                "chooses the form of the update's graph, or its first state"
                if key in FORMS
                else "was 0 at construction, so its term is not in the update's graph"
            )
            raise ValueError(
                f"{key} {reason}: it can't become {value!r} now. Construct a new optimiser with "
                f"{key}={value!r}."
            )
        return {}

    def numbers(self) -> dict[str, Any]:
        """The hyper-parameters as plain Python numbers, tuples and booleans."""
        return {key: self[key] for key in self._keys if key != "params"}

    def tensors(self) -> SimpleNamespace:
        """What a rule reads: numbers as 0-d Tensors, None for a missing term, what chooses the
        form as it is, and the Buffers of `state`."""
        fixed = {key: value if key in FORMS else None for key, value in self._fixed.items()}
        return SimpleNamespace(**self.scalars, **fixed, **self.state)


def cast(tensors: SimpleNamespace, dtype: DTypeLike) -> SimpleNamespace:
    """The same with every Tensor in `dtype`."""
    return SimpleNamespace(
        **{k: v.astype(dtype) if isinstance(v, Tensor) else v for k, v in vars(tensors).items()}
    )
