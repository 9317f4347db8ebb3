"""Parameter groups: the hyper-parameters of an optimiser, as PyTorch's mappings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from chainrule.graph.state import Buffer, Parameter, Scalar
from chainrule.graph.tensor import Tensor

FLAGS = ("nesterov", "amsgrad", "centered")
"""Hyper-parameters that choose the form of a rule."""

TERMS = ("momentum", "dampening", "weight_decay")
"""Hyper-parameters whose term is left out of a rule that is constructed with 0."""


class Interval(NamedTuple):
    """The values that a hyper-parameter may take: low <= value < high."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"in [{self.low:g}, {self.high:g})" if self.high < math.inf else f">= {self.low:g}"


_NON_NEGATIVE = Interval(0, math.inf)
_INTERVALS = {"betas": Interval(0, 1), "alpha": Interval(0, 1)}


class ParameterGroup(MutableMapping[str, Any]):
    """Parameters that share hyper-parameters: a mapping with PyTorch's keys.

    Numbers read as floats and can be set between steps. They live in `Scalar` states, so a captured
    graph takes their values at every run. What the graph's form depends on is fixed: the flags
    `nesterov`, `amsgrad`, `centered`, and a `momentum`, `dampening` or `weight_decay` of 0, whose
    term is not in the graph.

    Attributes:
        parameters: the group's Parameters.
        scalars: the Scalar of each number; "betas" are "beta1" and "beta2" here.
        step: how many steps the group has taken, for the rules that need it; else None.

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
        self.parameters = parameters
        self.scalars: dict[str, Scalar] = {}
        self.step: Buffer | None = None
        self._fixed: dict[str, bool | float] = {}
        self._keys = ["params", *hyperparameters]
        for key, value in hyperparameters.items():
            numbers = self._checked(key, value)
            if key in FLAGS:
                self._fixed[key] = value
            elif key in TERMS and value == 0:
                self._fixed[key] = 0.0
            else:
                for name, number in numbers.items():
                    self.scalars[name] = Scalar(number, name=name)

    def __getitem__(self, key: str) -> Any:
        if key == "params":
            return self.parameters
        if key == "betas":
            return (self.scalars["beta1"].item(), self.scalars["beta2"].item())
        if key in self._fixed:
            return self._fixed[key]
        if key in self._keys:
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
        """The numbers to hold, by the Scalar's name, once `key` is set to `value`.

        Raises:
            KeyError, TypeError, ValueError: if `key` can't be set to that.
        """
        if key == "params":
            raise ValueError("a group's parameters are fixed; see Optimizer.add_param_group")
        before = self[key]
        numbers = self._checked(key, value)
        if key not in self._fixed:
            return numbers
        if value != before:
            reason = (
                "chooses the form of the update's graph"
                if key in FLAGS
                else "was 0 at construction, so its term is not in the update's graph"
            )
            raise ValueError(
                f"{key} {reason}: it can't become {value!r} now. Construct a new optimiser with "
                f"{key}={value!r}."
            )
        return {}

    def _checked(self, key: str, value: Any) -> dict[str, float]:
        if key in FLAGS:
            if not isinstance(value, bool):
                raise TypeError(f"{key} is True or False, not {value!r}")
            return {}
        if key == "betas":
            if not isinstance(value, (tuple, list)) or len(value) != 2:
                raise TypeError(f"betas are two numbers, not {value!r}")
            return {f"beta{i}": _number(key, beta) for i, beta in enumerate(value, 1)}
        return {key: _number(key, value)}

    def numbers(self) -> dict[str, Any]:
        """The hyper-parameters as plain Python numbers, tuples and booleans."""
        return {key: self[key] for key in self._keys if key != "params"}

    def tensors(self) -> SimpleNamespace:
        """What a rule reads: numbers as 0-d Tensors, flags as booleans, None for a missing term."""
        fixed = {key: value if key in FLAGS else None for key, value in self._fixed.items()}
        return SimpleNamespace(**self.scalars, **fixed)


def cast(tensors: SimpleNamespace, dtype: DTypeLike) -> SimpleNamespace:
    """The same with every Tensor in `dtype`."""
    return SimpleNamespace(
        **{k: v.cast(dtype) if isinstance(v, Tensor) else v for k, v in vars(tensors).items()}
    )


def _number(key: str, value: Any) -> float:
    """`value` as a float, if it is a number that `key` may take."""
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
        raise TypeError(f"{key} is a number, not {value!r}")
    number = float(value)
    interval = _INTERVALS.get(key, _NON_NEGATIVE)
    if not interval.low <= number < interval.high:  # NaN is in no interval
        raise ValueError(f"{key} must be {interval}, got {value!r}")
    return number
