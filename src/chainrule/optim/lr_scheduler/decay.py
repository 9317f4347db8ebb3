"""Schedules that fall in steps, by a power, or along a line."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from chainrule import checks
from chainrule.optim.lr_scheduler.base import Schedule, Unit
from chainrule.optim.optimizer import Optimizer


class ConstantLR(Schedule):
    """A constant factor for a while: lr(t) = base factor for t < total_iters, then base.

    With factor=1 it is the schedule that changes nothing, which `WarmupLR` can precede.

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        factor: from 0 to 1.
        total_iters: the number of epochs or steps that it holds for.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> [schedule.lrs(t)[0] for t in range(4)]
        [0.5, 0.5, 1.0, 1.0]
    """

    chainable = True

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        self.factor = checks.probability("factor", factor)
        self.total_iters = checks.integer("total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * self.factor if t < self.total_iters else base_lr


class StepLR(Schedule):
    """Times gamma after every `step_size` epochs: lr(t) = base gamma^floor(t / step_size).

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        step_size: the number of epochs or steps between two falls.
        gamma: the factor of each, not negative.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.5)
        >>> schedule = optim.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> [schedule.lrs(t)[0] for t in range(5)]
        [0.5, 0.5, 0.25, 0.25, 0.125]
    """

    chainable = True

    def __init__(
        self,
        optimizer: Optimizer,
        step_size: int,
        gamma: float = 0.1,
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        self.step_size = checks.count("step_size", step_size)
        self.gamma = checks.not_negative("gamma", gamma)
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    """Times gamma at every milestone: lr(t) = base gamma^(milestones up to t).

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        milestones: whole numbers, the epochs or steps after which it falls.
        gamma: the factor of each fall, not negative.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.5)
        >>> schedule = optim.MultiStepLR(optimizer, milestones=[2, 3], gamma=0.5)
        >>> [schedule.lrs(t)[0] for t in range(5)]
        [0.5, 0.5, 0.25, 0.125, 0.125]
    """

    chainable = True

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        if isinstance(milestones, str) or not isinstance(milestones, Iterable):
            raise TypeError(f"milestones are a list of whole numbers, got {milestones!r}")
        self.milestones = sorted(checks.count("a milestone", t) for t in milestones)
        if not self.milestones:
            raise ValueError("MultiStepLR needs at least one milestone")
        self.gamma = checks.not_negative("gamma", gamma)
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(Schedule):
    """Times gamma after every epoch: lr(t) = base gamma^t.

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        gamma: the factor, not negative.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule.step()
        >>> optimizer.param_groups[0]["lr"]
        0.5
    """

    chainable = True

    def __init__(
        self,
        optimizer: Optimizer,
        gamma: float,
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        self.gamma = checks.not_negative("gamma", gamma)
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * self.gamma**t


class InverseTimeLR(Schedule):
    """Falls with the inverse of time: lr(t) = base / (1 + decay t).

    Args:
        optimizer, unit, parameter: see `Schedule`.
        decay: not negative.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Source: Robbins and Monro, "A Stochastic Approximation Method" (1951): the sum of the rates
    diverges, that of their squares converges.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> optim.InverseTimeLR(optimizer, decay=1.0).lrs(3)
        [0.25]
    """

    chainable = True

    def __init__(
        self, optimizer: Optimizer, decay: float, *, unit: Unit = "epoch", parameter: str = "lr"
    ) -> None:
        self.decay = checks.not_negative("decay", decay)
        super().__init__(optimizer, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr / (1 + self.decay * t)


class LinearLR(Schedule):
    """A line from one factor to another.

    lr(t) = base (start_factor + (end_factor - start_factor) min(t / total_iters, 1))

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        start_factor, end_factor: the factors, not negative.
        total_iters: the length of the line in epochs or steps.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=4)
        >>> [schedule.lrs(t)[0] for t in range(6)]
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    chainable = True

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        self.start_factor = checks.not_negative("start_factor", start_factor)
        self.end_factor = checks.not_negative("end_factor", end_factor)
        self.total_iters = checks.count("total_iters", total_iters)
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        rise = self.end_factor - self.start_factor
        return base_lr * (self.start_factor + rise * min(t / self.total_iters, 1.0))


class PolynomialLR(Schedule):
    """A power of the remaining time: lr(t) = base (1 - min(t / total_iters, 1))^power.

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        total_iters: the number of epochs or steps until 0.
        power: positive; 1 is a line.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.PolynomialLR(optimizer, total_iters=4, power=2.0)
        >>> [schedule.lrs(t)[0] for t in range(6)]
        [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    chainable = True

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        self.total_iters = checks.count("total_iters", total_iters)
        self.power = checks.positive("power", power)
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * (1 - min(t / self.total_iters, 1.0)) ** self.power
