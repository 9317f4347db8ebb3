"""Learning-rate schedules: each a closed formula in t, the number of epochs or steps so far.

Because a schedule looks at nothing but t, the learning rates of many steps are known in advance and
a training that goes on from a checkpoint finds its own again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from chainrule.optim.optimizer import Optimizer

Unit = Literal["epoch", "step"]


class Schedule:
    """The base of all schedules: sets the learning rate of every group as a function of t.

    A schedule of your own is a subclass with `lr`. Construction sets the rates for t = 0.

    Args:
        optimizer: whose groups' "lr" it sets; their values at construction are the base.
        unit: what t counts. `Trainer` calls `step()` after every "epoch" or after every optimiser
            "step" accordingly; in a loop of your own you do.
        base_lrs: the base of each group, where it is another than its "lr".

    Attributes:
        t: how often `step()` was called.
        base_lrs: the learning rate of each group that the formula starts from.

    Raises:
        TypeError: if `optimizer` is none.
        ValueError: if an argument is out of its range.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> class HalfFromTen(optim.Schedule):
        ...     def lr(self, base_lr, t):
        ...         return base_lr if t < 10 else base_lr / 2
        >>> schedule = HalfFromTen(optim.SGD([cr.Parameter([1.0])], lr=0.5))
        >>> schedule.lrs(9), schedule.lrs(10)
        ([0.5], [0.25])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        unit: Unit = "epoch",
        base_lrs: Sequence[float] | None = None,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"a schedule needs an optimiser, not {type(optimizer).__name__}")
        if unit not in ("epoch", "step"):
            raise ValueError(f"unit is 'epoch' or 'step', not {unit!r}")
        self.optimizer = optimizer
        self.unit = unit
        lrs = [group["lr"] for group in optimizer.param_groups] if base_lrs is None else base_lrs
        if len(lrs) != len(optimizer.param_groups):
            raise ValueError(
                f"{len(lrs)} learning rates for {len(optimizer.param_groups)} parameter groups"
            )
        self.base_lrs: list[float] = list(lrs)
        self.t = 0
        self._set()

    def lr(self, base_lr: float, t: int) -> float:
        """The learning rate after `t` epochs or steps, of a group that begins with `base_lr`."""
        raise NotImplementedError(f"{type(self).__name__} has no formula for lr")

    def lrs(self, t: int) -> list[float]:
        """The learning rate of each group after `t` epochs or steps."""
        return [self.lr(base_lr, t) for base_lr in self.base_lrs]

    def step(self) -> None:
        """One epoch or step is over: set the learning rates for the next."""
        self.t += 1
        self._set()

    def _set(self) -> None:
        # A group that was added after construction is not the schedule's.
        for group, lr in zip(self.optimizer.param_groups, self.lrs(self.t), strict=False):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here."""
        return {"schedule": type(self).__name__, "t": self.t, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, and set the learning rates for there.

        Raises:
            ValueError: if it is of another schedule or number of groups; nothing has changed then.
        """
        if state_dict.get("schedule") != type(self).__name__:
            raise ValueError(
                f"the state is of {state_dict.get('schedule')}, this is {type(self).__name__}"
            )
        t, base_lrs = int(state_dict["t"]), [float(lr) for lr in state_dict["base_lrs"]]
        if len(base_lrs) != len(self.base_lrs):
            raise ValueError(
                f"the state has {len(base_lrs)} groups, this schedule {len(self.base_lrs)}"
            )
        self.t, self.base_lrs = t, base_lrs
        self._set()


class Constant(Schedule):
    """The learning rate as it is: lr(t) = base. For a warm-up with nothing after it."""

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr


class StepLR(Schedule):
    """Times gamma after every `step_size` epochs: lr(t) = base gamma^floor(t / step_size).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.5)
        >>> schedule = optim.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> [schedule.lrs(t)[0] for t in range(5)]
        [0.5, 0.5, 0.25, 0.25, 0.125]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, *, unit: Unit = "epoch"
    ) -> None:
        self.step_size = whole("step_size", step_size)
        self.gamma = non_negative("gamma", gamma)
        super().__init__(optimizer, unit=unit)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    """Times gamma at every milestone: lr(t) = base gamma^(milestones up to t).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.5)
        >>> schedule = optim.MultiStepLR(optimizer, milestones=[2, 3], gamma=0.5)
        >>> [schedule.lrs(t)[0] for t in range(5)]
        [0.5, 0.5, 0.25, 0.125, 0.125]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        *,
        unit: Unit = "epoch",
    ) -> None:
        if isinstance(milestones, (str, int)) or not milestones:
            raise ValueError(f"milestones are a list of whole numbers, got {milestones!r}")
        self.milestones = sorted(whole("a milestone", t) for t in milestones)
        self.gamma = non_negative("gamma", gamma)
        super().__init__(optimizer, unit=unit)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(Schedule):
    """Times gamma after every epoch: lr(t) = base gamma^t.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule.step()
        >>> optimizer.param_groups[0]["lr"]
        0.5
    """

    def __init__(self, optimizer: Optimizer, gamma: float, *, unit: Unit = "epoch") -> None:
        self.gamma = non_negative("gamma", gamma)
        super().__init__(optimizer, unit=unit)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * self.gamma**t


class InverseTimeLR(Schedule):
    """Falls with the inverse of time: lr(t) = base / (1 + decay t).

    Source: Robbins and Monro, "A Stochastic Approximation Method" (1951): the sum of the rates
    diverges, that of their squares converges.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> optim.InverseTimeLR(optimizer, decay=1.0).lrs(3)
        [0.25]
    """

    def __init__(self, optimizer: Optimizer, decay: float, *, unit: Unit = "epoch") -> None:
        self.decay = non_negative("decay", decay)
        super().__init__(optimizer, unit=unit)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr / (1 + self.decay * t)


class LinearLR(Schedule):
    """A line from one factor to another.

    lr(t) = base (start_factor + (end_factor - start_factor) min(t / total_iters, 1))

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=4)
        >>> [schedule.lrs(t)[0] for t in range(6)]
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        *,
        unit: Unit = "epoch",
    ) -> None:
        self.start_factor = non_negative("start_factor", start_factor)
        self.end_factor = non_negative("end_factor", end_factor)
        self.total_iters = whole("total_iters", total_iters)
        super().__init__(optimizer, unit=unit)

    def lr(self, base_lr: float, t: int) -> float:
        rise = self.end_factor - self.start_factor
        return base_lr * (self.start_factor + rise * min(t / self.total_iters, 1.0))


class PolynomialLR(Schedule):
    """A power of what is left: lr(t) = base (1 - min(t / total_iters, 1))^power.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.PolynomialLR(optimizer, total_iters=4, power=2.0)
        >>> [schedule.lrs(t)[0] for t in range(6)]
        [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        *,
        unit: Unit = "epoch",
    ) -> None:
        self.total_iters = whole("total_iters", total_iters)
        if not 0 < power < math.inf:
            raise ValueError(f"power must be a number > 0, got {power!r}")
        self.power = float(power)
        super().__init__(optimizer, unit=unit)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * (1 - min(t / self.total_iters, 1.0)) ** self.power


class WarmupLR(Schedule):
    """A linear rise before another schedule: lr(t) = base (t + 1) / (steps + 1) for t < steps.

    From t = steps on the other schedule runs, from its own beginning: schedule.lr(base, t - steps).
    The first rate is not 0, so no step is lost.

    Args:
        schedule: what follows; `Constant(optimizer)` where nothing shall. It gives the optimiser,
            the base and the unit. Call `step()` of the warm-up alone, not of this one.
        steps: how many epochs or steps (the schedule's unit) the rise takes.

    Raises:
        TypeError, ValueError: as for every `Schedule`.

    Source: Goyal et al., "Accurate, Large Minibatch SGD" (2017), section 2.2.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> cosine = optim.CosineAnnealingLR(optimizer, T_max=100, unit="step")
        >>> schedule = optim.WarmupLR(cosine, steps=3)
        >>> [schedule.lrs(t)[0] for t in range(4)]
        [0.25, 0.5, 0.75, 1.0]
    """

    def __init__(self, schedule: Schedule, steps: int) -> None:
        if not isinstance(schedule, Schedule):
            raise TypeError(
                f"WarmupLR precedes a schedule, not {type(schedule).__name__}; for an optimiser "
                "write WarmupLR(Constant(optimizer), steps)"
            )
        if schedule.t:
            raise ValueError(
                f"the schedule to warm up for has begun already: it is at t = {schedule.t}"
            )
        self.schedule = schedule
        self.steps = whole("steps", steps)
        for group, base_lr in zip(schedule.optimizer.param_groups, schedule.base_lrs, strict=False):
            group["lr"] = base_lr
        super().__init__(schedule.optimizer, unit=schedule.unit)

    def lr(self, base_lr: float, t: int) -> float:
        if t < self.steps:
            return base_lr * (t + 1) / (self.steps + 1)
        return self.schedule.lr(base_lr, t - self.steps)


def whole(name: str, value: int) -> int:
    """`value`, if it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return value


def non_negative(name: str, value: float) -> float:
    """`value` as a float, if it is a finite number of at least 0."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number >= 0, got {value!r}")
    return float(value)
