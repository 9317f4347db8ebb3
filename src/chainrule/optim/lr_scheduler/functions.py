"""Schedules by a function of t that the user gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from chainrule import checks
from chainrule.optim.lr_scheduler.base import Schedule, Unit
from chainrule.optim.optimizer import Optimizer

Factor = Callable[[int], float]


class FunctionSchedule(Schedule):
    """The base of schedules by a function t -> factor, or one such function for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Factor | Sequence[Factor],
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        self.lr_lambdas = _of_groups(optimizer, lr_lambda)
        self._for_all = lr_lambda if callable(lr_lambda) else _unchanged
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, parameter=parameter)

    def _factor(self, number: int, t: int) -> float:
        """What the function of a group gives at t, also of one that was added later."""
        is_known = number < len(self.lr_lambdas)
        function = self.lr_lambdas[number] if is_known else self._for_all
        return checks.number("the factor of lr_lambda", function(t))


class LambdaLR(FunctionSchedule):
    """A factor that a function gives: lr(t) = base lr_lambda(t).

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        lr_lambda: t -> the factor, or one such function for each group.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.LambdaLR(optimizer, lambda t: 1 / (1 + t))
        >>> [schedule.lrs(t)[0] for t in range(4)]
        [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    def group_lr(self, number: int, base_lr: float, t: int) -> float:
        return base_lr * self._factor(number, t)


class MultiplicativeLR(FunctionSchedule):
    """A factor from each t to the next: lr(t) = lr(t - 1) lr_lambda(t).

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        lr_lambda: t -> the factor, for t = 1, 2, ..., or one such function for each group.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.MultiplicativeLR(optimizer, lambda t: 0.5)
        >>> [schedule.lrs(t)[0] for t in range(4)]
        [1.0, 0.5, 0.25, 0.125]
    """

    chainable = True

    @cached_property
    def _products(self) -> dict[int, list[float]]:
        """For each group the products of its factors up to each t so far."""
        return {}

    def group_lr(self, number: int, base_lr: float, t: int) -> float:
        products = self._products.setdefault(number, [1.0])
        while len(products) <= t:
            products.append(products[-1] * self._factor(number, len(products)))
        return base_lr * products[t]


def _unchanged(t: int) -> float:
    return 1.0


def _of_groups(optimizer: Optimizer, given: Factor | Sequence[Factor]) -> list[Factor]:
    """The function of each group."""
    groups = len(getattr(optimizer, "param_groups", [()]))
    of = "functions t -> factor, or one of them"
    functions = [given] * groups if callable(given) else [*checks.several("lr_lambda", given, of)]
    if len(functions) != groups:
        raise ValueError(f"{len(functions)} functions for {groups} parameter groups")
    if not all(map(callable, functions)):
        raise TypeError(f"lr_lambda is a function t -> factor, or a list of them, got {given!r}")
    return functions
