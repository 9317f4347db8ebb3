"""Learning-rate schedules: each a closed formula in t, the number of epochs or steps so far.

Because a schedule looks at nothing but t, the learning rates of many steps are known in advance and
a training that goes on from a checkpoint finds its own again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
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

    def __init__(self, optimizer: Optimizer, *, unit: Unit = "epoch") -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"a schedule needs an optimiser, not {type(optimizer).__name__}")
        if unit not in ("epoch", "step"):
            raise ValueError(f"unit is 'epoch' or 'step', not {unit!r}")
        self.optimizer = optimizer
        self.unit = unit
        self.base_lrs: list[float] = [group["lr"] for group in optimizer.param_groups]
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
        self.step_size = _whole("step_size", step_size)
        self.gamma = _non_negative("gamma", gamma)
        super().__init__(optimizer, unit=unit)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * self.gamma ** (t // self.step_size)


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
        self.gamma = _non_negative("gamma", gamma)
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
        self.decay = _non_negative("decay", decay)
        super().__init__(optimizer, unit=unit)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr / (1 + self.decay * t)


class CosineAnnealingLR(Schedule):
    """Half a cosine down: lr(t) = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2.

    From t = T_max on it stays at eta_min. (PyTorch's climbs again, so that a training that is
    longer than planned ends with a high learning rate.)

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

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, *, unit: Unit = "epoch"
    ) -> None:
        self.T_max = _whole("T_max", T_max)
        self.eta_min = _non_negative("eta_min", eta_min)
        super().__init__(optimizer, unit=unit)

    def lr(self, base_lr: float, t: int) -> float:
        if t >= self.T_max:
            return self.eta_min
        return (
            self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2
        )


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
        self.steps = _whole("steps", steps)
        for group, base_lr in zip(schedule.optimizer.param_groups, schedule.base_lrs, strict=False):
            group["lr"] = base_lr
        super().__init__(schedule.optimizer, unit=schedule.unit)

    def lr(self, base_lr: float, t: int) -> float:
        if t < self.steps:
            return base_lr * (t + 1) / (self.steps + 1)
        return self.schedule.lr(base_lr, t - self.steps)


def _whole(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return value


def _non_negative(name: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number >= 0, got {value!r}")
    return float(value)
