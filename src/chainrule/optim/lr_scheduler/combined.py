"""Schedules made of others: a warm-up before one, several in turn, and several at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from chainrule import checks
from chainrule.graph.state import HyperParameter
from chainrule.optim.groups import ParameterGroup
from chainrule.optim.lr_scheduler.base import Schedule, as_time, refuse_capture, refuse_epoch
from chainrule.optim.lr_scheduler.plateau import Plateau
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.state_dicts import check_keys, check_mapping


class WarmupLR(Schedule):
    """A linear rise before another schedule: lr(t) = base (t + 1) / (steps + 1) for t < steps.

    From t = steps on the other schedule runs, from its own beginning: schedule.lr(base, t - steps).
    The first rate is not 0, so no step is lost.

    Args:
        schedule: the schedule after the rise; `ConstantLR(optimizer, factor=1)` for a constant
            rate. The warm-up takes its optimiser, base, unit and hyper-parameter. Call `step()`
            of the warm-up alone, not of this one.
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
                f"WarmupLR precedes one schedule, got {checks.described(schedule)}; for an "
                "optimiser write WarmupLR(ConstantLR(optimizer, factor=1), steps)"
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

    def group_lr(self, number: int, base_lr: float, t: int) -> float:
        if t < self.steps:
            return base_lr * (t + 1) / (self.steps + 1)
        return self.schedule.group_lr(number, base_lr, t - self.steps)

    def _is_chainable(self, t: int) -> bool:
        return t >= self.steps and self.schedule._is_chainable(t - self.steps)

    def _has_own_rates(self, t: int) -> bool:
        return self.schedule._has_own_rates(max(t - self.steps, 0))

    def others(self, number: int, t: int) -> Mapping[str, float]:
        return self.schedule.others(number, max(t - self.steps, 0))


class SequentialLR(Schedule):
    """Schedules one after the other, each from its own beginning and the same base.

    lr(t) = lr_i(t - m_i) for m_i <= t < m_(i+1), with the milestones m_1, m_2, ... and m_0 = 0.

    Args:
        optimizer: the schedules' own.
        schedulers: of one unit and hyper-parameter. Call `step()` of this one alone, not of these.
        milestones: where each schedule but the first begins, in rising order.
        last_epoch: see `Schedule`.

    Raises:
        TypeError: for what is no such schedule.
        ValueError: if they differ in optimiser, unit or hyper-parameter, if one has begun, or if
            the milestones do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> rise = optim.ConstantLR(optimizer, factor=0.1, total_iters=20)
        >>> fall = optim.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule = optim.SequentialLR(optimizer, [rise, fall], milestones=[2])
        >>> [schedule.lrs(t)[0] for t in range(5)]
        [0.1, 0.1, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Iterable[Schedule],
        milestones: Iterable[int],
        last_epoch: int = -1,
    ) -> None:
        self.schedulers = _checked(schedulers, "SequentialLR")
        first = self.schedulers[0]
        if any(s.optimizer is not optimizer for s in self.schedulers):
            raise ValueError("the schedules are of another optimiser than the one given")
        if any((s.unit, s.parameter) != (first.unit, first.parameter) for s in self.schedulers):
            raise ValueError(
                "schedules in sequence are of one unit and one hyper-parameter; say which: "
                "unit='step' or unit='epoch' of each"
            )
        self.milestones = [checks.count("a milestone", t) for t in milestones]
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"{len(self.schedulers)} schedules need {len(self.schedulers) - 1} milestones, "
                f"where each but the first begins; got {self.milestones}"
            )
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones rise from each to the next, got {self.milestones}")
        super().__init__(
            optimizer,
            last_epoch=last_epoch,
            unit=first.unit,
            parameter=first.parameter,
            base_lrs=[_unscheduled(g, first.parameter) for g in optimizer.param_groups],
        )

    def _current(self, t: int) -> tuple[Schedule, int]:
        """The schedule at t, and its own time."""
        number = bisect_right(self.milestones, t)
        return self.schedulers[number], t - (self.milestones[number - 1] if number else 0)

    def group_lr(self, number: int, base_lr: float, t: int) -> float:
        schedule, own = self._current(t)
        return schedule._lr_from(number, base_lr, own)

    def _is_chainable(self, t: int) -> bool:  # not before a milestone, where the rate may rise
        schedule, own = self._current(t)
        return schedule is self.schedulers[-1] and schedule._is_chainable(own)

    def _has_own_rates(self, t: int) -> bool:
        schedule, own = self._current(t)
        return schedule._has_own_rates(own)

    def others(self, number: int, t: int) -> Mapping[str, float]:
        schedule, own = self._current(t)
        return schedule.others(number, own)


class ChainedScheduler(Schedule):
    """Several schedules at once: those of one hyper-parameter multiply their factors.

    Each step is one of every schedule, in their order, from where the others have left the rate.

    Args:
        schedulers: of one optimiser and unit. Call `step()` of the chained one alone, not of
            these.
        optimizer: the schedules' own, which can be left out.

    Raises:
        TypeError: if `schedulers` holds anything but schedules.
        ValueError: if they differ in optimiser or unit, or if one has begun.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.AdamW([cr.Parameter([1.0])], lr=1.0, weight_decay=0.5)
        >>> schedule = optim.ChainedScheduler(
        ...     [
        ...         optim.ConstantLR(optimizer, factor=0.5, total_iters=2),
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

    def __init__(self, schedulers: Iterable[Schedule], optimizer: Optimizer | None = None) -> None:
        self.schedulers = _checked(schedulers, "ChainedScheduler")
        first = self.schedulers[0]
        if optimizer is not None and first.optimizer is not optimizer:
            raise ValueError("the schedules are of another optimiser than the one given")
        if any(s.optimizer is not first.optimizer or s.unit != first.unit for s in self.schedulers):
            raise ValueError("combined schedules are of one optimiser and one unit")
        self.optimizer = first.optimizer
        self.unit = first.unit
        self.parameter = "lr"
        self.base_lrs = [_unscheduled(group, "lr") for group in first._groups()]
        self._first_lrs = self.get_last_lr()
        self.t = 0

    def lrs(self, t: int) -> list[float]:
        of_lr = [schedule for schedule in self.schedulers if schedule.parameter == "lr"]
        lrs = list(self._first_lrs)
        for number in range(len(lrs)):
            for past in range(t):
                for schedule in of_lr:
                    lrs[number] = schedule.next_lr(number, lrs[number], past)
        return lrs

    def for_parameter(self, parameter: str) -> Schedule | None:
        found = [s for schedule in self.schedulers if (s := schedule.for_parameter(parameter))]
        return found[0] if len(found) == 1 else None

    def scalars(self, t: int) -> dict[HyperParameter, float]:
        values = [schedule.scalars(t) for schedule in self.schedulers]
        return {scalar: value for found in values for scalar, value in found.items()}

    def ahead(self, count: int) -> list[dict[HyperParameter, float]]:
        now = {scalar: float(scalar.item()) for scalar in self.scalars(self.t)}
        found = [now]
        for t in range(self.t, self.t + count - 1):
            values = dict(found[-1])
            for schedule in self.schedulers:
                name = schedule.parameter
                for number, group in enumerate(schedule._groups()):
                    scalar = group.scalars[name]
                    lr = schedule.next_lr(number, values[scalar], t)
                    values[scalar] = group.check(name, lr)[name]
                    for other, value in schedule.others(number, t + 1).items():
                        values[group.scalars[other]] = value
            found.append(values)
        return found

    def step(self, epoch: None = None) -> None:
        refuse_capture()
        refuse_epoch(epoch)
        self.advance(1, self.ahead(2)[1])

    def advance(self, steps: int, values: Mapping[HyperParameter, float]) -> None:
        super().advance(steps, values)
        for schedule in self.schedulers:
            schedule.t = self.t

    def state_dict(self) -> dict[str, Any]:
        return {
            "schedule": type(self).__name__,
            "t": self.t,
            "schedules": [schedule.state_dict() for schedule in self.schedulers],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        check_mapping(state_dict)
        mine = self.state_dict()
        states = checks.several("schedules", state_dict.get("schedules", ()), "states")
        if state_dict.get("schedule") != mine["schedule"] or len(states) != len(self.schedulers):
            raise ValueError(
                f"the state is of {state_dict.get('schedule')} of {len(states)} schedules, this is "
                f"of {mine['schedule']} of {len(self.schedulers)}"
            )
        check_keys(state_dict, mine, "this schedule")
        t = as_time(state_dict)
        for schedule, state in zip(self.schedulers, states, strict=True):
            schedule._check_state(state)
        for schedule, state in zip(self.schedulers, states, strict=True):
            schedule.load_state_dict(state)
        self.t = t


def _unscheduled(group: ParameterGroup, parameter: str) -> float:
    """A group's hyper-parameter as it was before all schedules."""
    return float(group.unscheduled.get(parameter, group[parameter]))


def _checked(given: Iterable[Schedule], name: str) -> list[Schedule]:
    """Schedules that can be combined, as a list."""
    found = list(given) if isinstance(given, Iterable) else [given]
    if not found:
        raise ValueError(f"{name} takes at least one schedule")
    for schedule in found:
        if isinstance(schedule, ChainedScheduler) or not isinstance(schedule, Schedule):
            raise TypeError(
                f"{name} is of single schedules, got {checks.described(schedule)}"
                + " Its step takes a metric: call both in turn." * isinstance(schedule, Plateau)
            )
        if schedule.t:
            raise ValueError(f"a schedule has begun already: it is at t = {schedule.t}")
    return found
