"""Schedules, of the learning rate above all: each a closed formula in t, epochs or steps so far.

Because a schedule looks at nothing but t, the learning rates of many steps are known in advance and
a training that goes on from a checkpoint finds its own again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from chainrule import checks
from chainrule.graph.state import HyperParameter
from chainrule.optim.optimizer import Optimizer

Unit = Literal["epoch", "step"]


class Schedule:
    """The base of all schedules: sets the learning rate of every group as a function of t.

    A schedule of your own is a subclass with `lr`. Construction sets the rates for t = 0.

    With `parameter` it sets another hyper-parameter, such as "weight_decay": then all that is said
    of the learning rate here is of that. See `ChainedScheduler` for several at once.

    Args:
        optimizer: whose groups' "lr" it sets; their values at construction are the base.
        unit: what t counts. `Trainer` calls `step()` after every "epoch" or after every optimiser
            "step" accordingly; in a loop of your own you do.
        parameter: the hyper-parameter that it sets.
        base_lrs: the base of each group, where it is another than its "lr".

    Attributes:
        t: how often `step()` was called.
        base_lrs: the learning rate of each group that the formula starts from.

    Raises:
        TypeError: if `optimizer` is none.
        KeyError: if it has no such hyper-parameter.
        ValueError: if an argument is out of its range, or the hyper-parameter can't be set.

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
        parameter: str = "lr",
        base_lrs: Sequence[float] | None = None,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"a schedule needs an optimiser, not {type(optimizer).__name__}")
        if unit not in ("epoch", "step"):
            raise ValueError(f"unit is 'epoch' or 'step', not {unit!r}")
        for group in optimizer.param_groups:
            if set(group.check(parameter, group[parameter])) != {parameter}:
                raise ValueError(
                    f"a schedule can't set {parameter}: it is no single number, or its term is not "
                    "in the update's graph. Construct the optimiser with one above 0"
                )
        self.optimizer = optimizer
        self.unit = unit
        self.parameter = parameter
        lrs = [g[parameter] for g in optimizer.param_groups] if base_lrs is None else base_lrs
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

    def of(self, parameter: str) -> Schedule | None:
        """The schedule that sets this hyper-parameter: this one, if it does, or None."""
        return self if self.parameter == parameter else None

    def scalars(self, t: int) -> dict[HyperParameter, float]:
        """The HyperParameters that it sets, and their values after `t` epochs or steps.

        Raises:
            ValueError: if a value is out of the hyper-parameter's range.
        """
        name = self.parameter
        # A group that was added after construction is not the schedule's.
        pairs = zip(self.optimizer.param_groups, self.lrs(t), strict=False)
        return {group.scalars[name]: group.check(name, lr)[name] for group, lr in pairs}

    def step(self) -> None:
        """One epoch or step is over: set the learning rates for the next."""
        self.t += 1
        self._set()

    def _set(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.lrs(self.t), strict=False):
            group[self.parameter] = lr

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here."""
        return {
            "schedule": type(self).__name__,
            "parameter": self.parameter,
            "t": self.t,
            "base_lrs": list(self.base_lrs),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, and set the learning rates for there.

        Raises:
            ValueError: if it is of another schedule, hyper-parameter or number of groups; nothing
                has changed then.
        """
        self._check_state(state_dict)
        self.t = int(state_dict["t"])
        self.base_lrs = [float(lr) for lr in state_dict["base_lrs"]]
        self._set()

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        mine = self.state_dict()
        for key in ("schedule", "parameter"):
            if state_dict.get(key) != mine[key]:
                raise ValueError(f"the state is of {state_dict.get(key)}, this is of {mine[key]}")
        _check_keys(state_dict, mine)
        groups = len(state_dict["base_lrs"])
        if groups != len(self.base_lrs):
            raise ValueError(f"the state has {groups} groups, this schedule {len(self.base_lrs)}")


class ConstantLR(Schedule):
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
        self,
        optimizer: Optimizer,
        step_size: int,
        gamma: float = 0.1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
    ) -> None:
        self.step_size = checks.count("step_size", step_size)
        self.gamma = checks.not_negative("gamma", gamma)
        super().__init__(optimizer, unit=unit, parameter=parameter)

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
        milestones: Iterable[int],
        gamma: float = 0.1,
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
        super().__init__(optimizer, unit=unit, parameter=parameter)

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

    def __init__(
        self, optimizer: Optimizer, gamma: float, *, unit: Unit = "epoch", parameter: str = "lr"
    ) -> None:
        self.gamma = checks.not_negative("gamma", gamma)
        super().__init__(optimizer, unit=unit, parameter=parameter)

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
        parameter: str = "lr",
    ) -> None:
        self.start_factor = checks.not_negative("start_factor", start_factor)
        self.end_factor = checks.not_negative("end_factor", end_factor)
        self.total_iters = checks.count("total_iters", total_iters)
        super().__init__(optimizer, unit=unit, parameter=parameter)

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
        parameter: str = "lr",
    ) -> None:
        self.total_iters = checks.count("total_iters", total_iters)
        self.power = checks.positive("power", power)
        super().__init__(optimizer, unit=unit, parameter=parameter)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * (1 - min(t / self.total_iters, 1.0)) ** self.power


class WarmupLR(Schedule):
    """A linear rise before another schedule: lr(t) = base (t + 1) / (steps + 1) for t < steps.

    From t = steps on the other schedule runs, from its own beginning: schedule.lr(base, t - steps).
    The first rate is not 0, so no step is lost.

    Args:
        schedule: what follows; `ConstantLR(optimizer)` where nothing shall. It gives the optimiser,
            the base, the unit and the hyper-parameter. Call `step()` of the warm-up alone, not of
            this one.
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
        if isinstance(schedule, ChainedScheduler) or not isinstance(schedule, Schedule):
            raise TypeError(
                f"WarmupLR precedes one schedule, not {type(schedule).__name__}; for an optimiser "
                "write WarmupLR(ConstantLR(optimizer), steps)"
            )
        if schedule.t:
            raise ValueError(
                f"the schedule to warm up for has begun already: it is at t = {schedule.t}"
            )
        self.schedule = schedule
        self.steps = checks.count("steps", steps)
        for group, base_lr in zip(schedule.optimizer.param_groups, schedule.base_lrs, strict=False):
            group[schedule.parameter] = base_lr
        super().__init__(schedule.optimizer, unit=schedule.unit, parameter=schedule.parameter)

    def lr(self, base_lr: float, t: int) -> float:
        if t < self.steps:
            return base_lr * (t + 1) / (self.steps + 1)
        return self.schedule.lr(base_lr, t - self.steps)


class ChainedScheduler(Schedule):
    """Several schedules at once, each of another hyper-parameter of the same optimiser.

    Args:
        schedules: of one unit, each with another `parameter`. Call `step()` of the combination
            alone, not of these.

    Raises:
        TypeError: if `schedules` holds anything but schedules.
        ValueError: if they differ in optimiser or unit, if two set the same, or if one has begun.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.AdamW([cr.Parameter([1.0])], lr=1.0, weight_decay=0.5)
        >>> schedule = optim.ChainedScheduler(
        ...     [
        ...         optim.ExponentialLR(optimizer, gamma=0.5),
        ...         optim.FlatCosineLR(optimizer, total_iters=4, parameter="weight_decay"),
        ...     ]
        ... )
        >>> for _ in range(3):
        ...     schedule.step()
        >>> group = optimizer.param_groups[0]
        >>> group["lr"], round(group["weight_decay"], 3)
        (0.125, 0.25)
    """

    def __init__(self, schedules: Iterable[Schedule]) -> None:
        self.schedules = list(schedules)
        if not self.schedules:
            raise ValueError("a combination of schedules needs at least one")
        for schedule in self.schedules:
            if isinstance(schedule, ChainedScheduler) or not isinstance(schedule, Schedule):
                raise TypeError(f"a combination is of schedules, not {type(schedule).__name__}")
            if schedule.t:
                raise ValueError(f"a schedule has begun already: it is at t = {schedule.t}")
        first = self.schedules[0]
        if any(s.optimizer is not first.optimizer or s.unit != first.unit for s in self.schedules):
            raise ValueError("combined schedules are of one optimiser and one unit")
        parameters = [schedule.parameter for schedule in self.schedules]
        if len(set(parameters)) != len(parameters):
            raise ValueError(
                f"combined schedules set different hyper-parameters, got {', '.join(parameters)}"
            )
        self.optimizer = first.optimizer
        self.unit = first.unit
        self.t = 0

    def lrs(self, t: int) -> list[float]:
        schedule = self.of("lr")
        return (
            [g["lr"] for g in self.optimizer.param_groups] if schedule is None else schedule.lrs(t)
        )

    def of(self, parameter: str) -> Schedule | None:
        return next((s for s in self.schedules if s.parameter == parameter), None)

    def scalars(self, t: int) -> dict[HyperParameter, float]:
        return {k: v for schedule in self.schedules for k, v in schedule.scalars(t).items()}

    def _set(self) -> None:
        for schedule in self.schedules:
            schedule.t = self.t
            schedule._set()

    def state_dict(self) -> dict[str, Any]:
        return {
            "schedule": type(self).__name__,
            "t": self.t,
            "schedules": [schedule.state_dict() for schedule in self.schedules],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        states = list(state_dict.get("schedules", ()))
        if state_dict.get("schedule") != type(self).__name__ or len(states) != len(self.schedules):
            raise ValueError(
                f"the state is of {state_dict.get('schedule')} of {len(states)} schedules, this is "
                f"of {type(self).__name__} of {len(self.schedules)}"
            )
        _check_keys(state_dict, self.state_dict())
        for schedule, state in zip(self.schedules, states, strict=True):
            schedule._check_state(state)
        for schedule, state in zip(self.schedules, states, strict=True):
            schedule.load_state_dict(state)
        self.t = int(state_dict["t"])


def _check_keys(state_dict: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    if set(state_dict) != set(mine):
        raise ValueError(f"the state holds {', '.join(state_dict)}; it must be {', '.join(mine)}")
