"""Schedules made of others: a warm-up before one, and several at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chainrule import checks
from chainrule.graph.state import HyperParameter
from chainrule.optim.schedules.base import Schedule, check_keys


class WarmupLR(Schedule):
    """A linear rise before another schedule: lr(t) = base (t + 1) / (steps + 1) for t < steps.

    From t = steps on the other schedule runs, from its own beginning: schedule.lr(base, t - steps).
    The first rate is not 0, so no step is lost.

    Args:
        schedule: the schedule after the rise; `ConstantLR(optimizer)` for a constant rate. The
            warm-up takes its optimiser, base, unit and hyper-parameter. Call `step()` of the
            warm-up alone, not of this one.
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

    (PyTorch's may set the learning rate by several, whose factors it multiplies; here each
    hyper-parameter has one schedule.)

    Args:
        schedules: of one unit, each with another `parameter`. Call `step()` of the chained one
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
        schedule = self.for_parameter("lr")
        return (
            [g["lr"] for g in self.optimizer.param_groups] if schedule is None else schedule.lrs(t)
        )

    def for_parameter(self, parameter: str) -> Schedule | None:
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
        check_keys(state_dict, self.state_dict())
        for schedule, state in zip(self.schedules, states, strict=True):
            schedule._check_state(state)
        for schedule, state in zip(self.schedules, states, strict=True):
            schedule.load_state_dict(state)
        self.t = int(state_dict["t"])
