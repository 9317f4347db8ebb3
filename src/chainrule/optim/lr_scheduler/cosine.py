"""Schedules along a cosine."""

from __future__ import annotations

import math

from chainrule import checks
from chainrule.optim.lr_scheduler.base import Schedule, Unit
from chainrule.optim.optimizer import Optimizer


def half_cosine(start: float, end: float, progress: float) -> float:
    """From `start` to `end` along half a cosine, as progress goes from 0 to 1; then `end`."""
    if progress >= 1:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


class CosineAnnealingLR(Schedule):
    """Half a cosine down: lr(t) = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2.

    From t = T_max on it stays at eta_min. (PyTorch's climbs again, so that a training that is
    longer than planned ends with a high learning rate.)

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        T_max: the number of epochs or steps until it ends.
        eta_min: where it ends, not negative.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017),
    equation 5, without restarts.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.CosineAnnealingLR(optimizer, T_max=10)
        >>> [round(schedule.lrs(t)[0], 3) for t in (0, 5, 10, 11)]
        [1.0, 0.5, 0.0, 0.0]
    """

    chainable = True

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        self.T_max = checks.count("T_max", T_max)
        self.eta_min = float(checks.not_negative("eta_min", eta_min))
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        return half_cosine(base_lr, self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(Schedule):
    """Half a cosine down, again and again, each time T_mult times as long.

    lr(t) = eta_min + (base - eta_min) (1 + cos(pi T_cur / T_i)) / 2

    with T_cur epochs since the last restart, and lengths T_i of T_0, T_0 T_mult, T_0 T_mult^2 ...

    Args:
        optimizer, last_epoch, unit, parameter: see `Schedule`.
        T_0: the length of the first fall.
        T_mult: the factor from each length to the next.
        eta_min: where each fall ends. A rate below it that something else sets holds for one step.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017),
    equation 5.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
        >>> [round(schedule.lrs(t)[0], 3) for t in range(7)]
        [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        self.T_0 = checks.count("T_0", T_0)
        self.T_mult = checks.count("T_mult", T_mult)
        self.eta_min = float(checks.not_negative("eta_min", eta_min))
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        length = self.T_0
        if self.T_mult == 1:
            t %= length
        while t >= length:
            t -= length
            length *= self.T_mult
        return half_cosine(base_lr, self.eta_min, t / length)

    def _base(self, number: int, lr: float, t: int) -> float | None:
        if lr < self.eta_min:  # it says nothing of the base
            return self.base_lrs[number]
        return super()._base(number, lr, t)


class FlatCosineLR(Schedule):
    """Flat for the first half, then half a cosine down to 0.

    lr(t) = base (1 + cos(pi (max(1, 2 p) - 1))) / 2 with p = min(t / total_iters, 1)

    Args:
        optimizer, unit, parameter: see `Schedule`.
        total_iters: the number of epochs or steps until it ends.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Source: Holzmüller, Grinsztajn and Steinwart, "Better by Default: Strong Pre-Tuned MLPs and
    Boosted Trees on Tabular Data" (2024): flat_cos.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.FlatCosineLR(optimizer, total_iters=8)
        >>> [round(schedule.lrs(t)[0], 3) for t in (0, 4, 5, 6, 7, 8, 9)]
        [1.0, 1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    chainable = True

    def __init__(
        self, optimizer: Optimizer, total_iters: int, *, unit: Unit = "epoch", parameter: str = "lr"
    ) -> None:
        self.total_iters = checks.count("total_iters", total_iters)
        super().__init__(optimizer, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        return half_cosine(base_lr, 0.0, max(1.0, 2 * t / self.total_iters) - 1)


class Coslog4LR(Schedule):
    """Four cosine waves, each about twice as long as the one before, from 0 to base and back to 0.

    lr(t) = base (1 - cos(2 pi log2(1 + 15 p))) / 2 with p = min(t / total_iters, 1)

    The waves end at p = 1/15, 3/15, 7/15 and 1. The first rate is 0.

    Args:
        optimizer, unit, parameter: see `Schedule`.
        total_iters: the number of epochs or steps until it ends.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Source: Holzmüller, Grinsztajn and Steinwart, "Better by Default: Strong Pre-Tuned MLPs and
    Boosted Trees on Tabular Data" (2024): coslog4.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.Coslog4LR(optimizer, total_iters=15)
        >>> [round(schedule.lrs(t)[0], 3) for t in range(8)]
        [0.0, 0.0, 0.93, 0.0, 0.718, 0.93, 0.324, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int, *, unit: Unit = "epoch", parameter: str = "lr"
    ) -> None:
        self.total_iters = checks.count("total_iters", total_iters)
        super().__init__(optimizer, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        waves = math.log2(1 + 15 * min(t / self.total_iters, 1.0))
        return base_lr * (1 - math.cos(2 * math.pi * waves)) / 2
