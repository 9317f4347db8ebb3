"""Schedule: the base of all, a closed formula in t, the epochs or steps so far.

A schedule depends on t alone: the learning rates of many steps are known in advance, and a training
that is resumed from a checkpoint continues with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from chainrule import checks
from chainrule.errors import SymbolicError
from chainrule.graph.context import local
from chainrule.graph.names import ForeignName
from chainrule.graph.state import HyperParameter
from chainrule.markup import Constructed
from chainrule.optim.groups import ParameterGroup
from chainrule.optim.hyperparameters import Term
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.state_dicts import check_keys, check_mapping

Unit = Literal["epoch", "step"]

Values = float | Iterable[float]
"""One number for all groups, or one for each."""


class Schedule(Constructed):
    """The base of all schedules: sets the learning rate of every group as a function of t.

    A schedule of your own is a subclass with `lr`, a straight line in `base_lr`. Construction sets
    the rates for t = 0.

    With `parameter` it sets another hyper-parameter in place of the learning rate, such as
    "weight_decay".

    A rate that something else sets between steps is kept: the schedule goes on from it, with the
    base from which its formula gives that rate at that t. So two schedules whose `step()` are
    called in turn multiply their factors, as PyTorch's. `ChainedScheduler` is that for a `Trainer`.
    `CyclicLR` and `OneCycleLR`, whose rates are their arguments, set these again. A group that is
    added later keeps its own rate.

    Where the formula is near 0 a small rate may belong to a huge base. So the base rises no higher
    than it was, or than the rate that the group had before all schedules, except in a `chainable`
    schedule: a rate above that holds for one step, and so does one that belongs to a base below 0.

    Args:
        optimizer: whose groups' "lr" it sets; their values at construction are the base.
        last_epoch: -1, as in PyTorch: it begins at t = 0. `load_state_dict` goes on.
        unit: what t counts. `Trainer` calls `step()` after every "epoch" or after every optimiser
            "step" accordingly; in a loop of your own you do.
        parameter: the hyper-parameter that it sets.
        base_lrs: the base of each group, where it is another than its "lr".

    Attributes:
        t: how often `step()` was called.
        base_lrs: the learning rate of each group that the formula starts from.
        chainable: of the class: whether it goes on from every rate, to whatever base, as those do
            which PyTorch calls chainable. For a formula that falls, or with which a warm-up ends.

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

    chainable: ClassVar[bool] = False

    def __init__(
        self,
        optimizer: Optimizer,
        last_epoch: int = -1,
        *,
        unit: Unit = "epoch",
        parameter: str = "lr",
        base_lrs: Sequence[float] | None = None,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"a schedule needs an optimiser, got {checks.described(optimizer)}")
        if checks.integer("last_epoch", last_epoch) != -1:
            raise ValueError(
                f"a schedule begins at t = 0, got last_epoch={last_epoch}: to go on with one, save "
                "its state_dict(), and give it to load_state_dict() of the new one"
            )
        checks.one_of("unit", unit, ("epoch", "step"))
        for group in optimizer.param_groups:
            numbers = list(group.check(parameter, group[parameter]))
            if not numbers:
                fixed = getattr(type(optimizer), parameter)
                remedy = ". Construct the optimiser with one above 0" * isinstance(fixed, Term)
                raise ValueError(f"a schedule can't set {parameter}: it {fixed.reason}{remedy}")
            if numbers != [parameter]:
                raise ValueError(
                    f"a schedule sets one number: it can't set {parameter}, {len(numbers)} numbers"
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
        values = self.scalars(0)
        for group in optimizer.param_groups:
            group.unscheduled.setdefault(parameter, group[parameter])
        for scalar, value in values.items():
            scalar.set(value)

    def lr(self, base_lr: float, t: int) -> float:
        """The learning rate after `t` epochs or steps, of a group that begins with `base_lr`."""
        raise NotImplementedError(
            f"{type(self).__name__} has no formula for lr: define lr(self, base_lr, t)"
        )

    get_lr = ForeignName("get_lr", "get_last_lr(), or lrs(t) for any t")
    _last_lr = ForeignName("_last_lr", "get_last_lr()")

    def group_lr(self, number: int, base_lr: float, t: int) -> float:
        """As `lr`, for the group of that number, where groups have formulas of their own."""
        return self.lr(base_lr, t)

    def others(self, number: int, t: int) -> Mapping[str, float]:
        """What else it sets in a group after `t` epochs or steps, by the HyperParameter's name."""
        return {}

    def lrs(self, t: int) -> list[float]:
        """The learning rate of each group after `t` epochs or steps."""
        return [self.group_lr(i, base_lr, t) for i, base_lr in enumerate(self.base_lrs)]

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [group[self.parameter] for group in self._groups()]

    def for_parameter(self, parameter: str) -> Schedule | None:
        """The one schedule that sets this hyper-parameter: this one, if it does, else None."""
        return self if self.parameter == parameter else None

    def scalars(self, t: int) -> dict[HyperParameter, float]:
        """The HyperParameters that it sets, and their values after `t` epochs or steps.

        Raises:
            ValueError: if a value is out of the hyper-parameter's range.
        """
        found: dict[HyperParameter, float] = {}
        name = self.parameter
        for number, (group, lr) in enumerate(zip(self._groups(), self.lrs(t), strict=True)):
            found[group.scalars[name]] = group.check(name, lr)[name]
            for other, value in self.others(number, t).items():
                found[group.scalars[other]] = value
        return found

    def ahead(self, count: int) -> list[dict[HyperParameter, float]]:
        """What holds in each of the next `count` steps; in the first what holds now."""
        held = self._follow()
        found = [{scalar: float(scalar.item()) for scalar in self.scalars(self.t)}]
        for t in range(self.t, self.t + count - 1):
            found.append(self.scalars(t + 1))
            for number in held:
                scalar = self._groups()[number].scalars[self.parameter]
                found[-1][scalar] = self.next_lr(number, found[-2][scalar], t)
        return found

    @property
    def last_epoch(self) -> int:
        """t, by PyTorch's name."""
        return self.t

    def step(self, epoch: None = None) -> None:
        """One epoch or step is over: set the learning rates for the next.

        Args:
            epoch: left out; `step` counts by itself.

        Raises:
            TypeError: if it is given an epoch.
            SymbolicError: while a graph is captured, which would not count again.
        """
        refuse_capture()
        refuse_epoch(epoch)
        held = [self._groups()[number] for number in self._follow()]
        kept = {group.scalars[self.parameter] for group in held}
        values = self.scalars(self.t + 1)
        self.t += 1
        for scalar, value in values.items():
            if scalar not in kept:
                scalar.set(value)

    def advance(self, steps: int, values: Mapping[HyperParameter, float]) -> None:
        """Several steps are over, for which `ahead` gave the values: set those of the next."""
        self.t += steps
        for scalar, value in values.items():
            scalar.set(value)

    def next_lr(self, number: int, lr: float, t: int) -> float:
        """The rate of a group after t + 1 epochs or steps, where after t it is `lr`."""
        base_lr = self._base(number, lr, t)
        return lr if base_lr is None else self.group_lr(number, base_lr, t + 1)

    def _groups(self) -> Sequence[ParameterGroup]:
        """The groups whose learning rate it sets; one that was added later keeps its own."""
        return self.optimizer.param_groups[: len(self.base_lrs)]

    def _follow(self) -> list[int]:
        """Go on from the rates that something else has set since the last step.

        Returns:
            The numbers of the groups that keep such a rate, because the formula is flat here.
        """
        held = []
        for number, lr in enumerate(self.get_last_lr()):
            base_lr = self._base(number, lr, self.t)
            if base_lr is None:
                held.append(number)
            else:
                self.base_lrs[number] = base_lr
        return held

    def _base(self, number: int, lr: float, t: int) -> float | None:
        """The base from which a group's rate at t is `lr`; None if the rate no longer depends on
        it, as after the end of a fall to 0."""
        base_lr = self.base_lrs[number]
        if self._has_own_rates(t) or lr == self.group_lr(number, base_lr, t):
            return base_lr
        for when in (t, t + 1):  # a rate that passes 0 says nothing of the base
            at_0, at_1 = (self.group_lr(number, base, when) for base in (0.0, 1.0))
            if at_1 != at_0:
                if when != t:
                    return base_lr
                found = (lr - at_0) / (at_1 - at_0)
                return found if self._is_chainable(t) else self._bounded(number, found)
        return None

    def _is_chainable(self, t: int) -> bool:
        """Whether it is `chainable` from t on."""
        return self.chainable

    def _has_own_rates(self, t: int) -> bool:
        """Whether the rates at t are those of its arguments, and not the optimiser's: then one that
        something else has set holds for one step."""
        return False

    def _lr_from(self, number: int, base_lr: float, t: int) -> float:
        """As `group_lr`, from the base of a combination, if the rates are not its own; a group that
        was added later has none of these, and keeps that base."""
        if self._has_own_rates(t):
            if number >= len(self.base_lrs):
                return base_lr
            base_lr = self.base_lrs[number]
        return self.group_lr(number, base_lr, t)

    def _bounded(self, number: int, base_lr: float) -> float:
        """The base to go on with, where a rate that something else has set belongs to this one."""
        own = self.base_lrs[number]
        unscheduled = self._groups()[number].unscheduled[self.parameter]
        return own if base_lr < 0 else min(base_lr, max(own, unscheduled))

    def state_dict(self) -> dict[str, Any]:
        """The schedule's time, base and rates, from which `load_state_dict` goes on."""
        return {
            "schedule": type(self).__name__,
            "parameter": self.parameter,
            "t": self.t,
            "base_lrs": list(self.base_lrs),
            "lrs": self.get_last_lr(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, and set the learning rates that held there.

        Raises:
            TypeError, ValueError: if it is of another schedule, hyper-parameter or number of
                groups; nothing has changed then.
        """
        self._check_state(state_dict)
        self.t = as_time(state_dict)
        self.base_lrs = [float(lr) for lr in state_dict["base_lrs"]]
        values = self.scalars(self.t)
        for group, lr in zip(self._groups(), state_dict["lrs"], strict=True):
            values[group.scalars[self.parameter]] = float(lr)  # perhaps not that of the formula
        for scalar, value in values.items():
            scalar.set(value)

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        check_mapping(state_dict)
        mine = self.state_dict()
        for key in ("schedule", "parameter"):
            if state_dict.get(key) != mine[key]:
                raise ValueError(f"the state is of {state_dict.get(key)}, this is of {mine[key]}")
        check_keys(state_dict, mine, "this schedule")
        for key in ("base_lrs", "lrs"):
            groups = len(checks.several(key, state_dict[key], "numbers"))
            if groups != len(self.base_lrs):
                raise ValueError(
                    f"the state has {groups} groups, this schedule {len(self.base_lrs)}"
                )
        for group, lr in zip(self._groups(), state_dict["lrs"], strict=True):
            group.check(self.parameter, lr)
        before = self.t, self.base_lrs
        try:
            self.t = as_time(state_dict)
            self.base_lrs = [float(lr) for lr in state_dict["base_lrs"]]
            self.scalars(self.t)
        finally:
            self.t, self.base_lrs = before


def as_time(state_dict: Mapping[str, Any]) -> int:
    """The t of a state: how often `step` had been called."""
    return checks.integer("t", state_dict["t"], 0)


def refuse_capture() -> None:
    """Raise SymbolicError while a graph is captured."""
    if local.context.capture is not None:
        raise SymbolicError(
            "a schedule's step() counts in Python, which is no part of a captured graph: call "
            "it after the compiled function"
        )


def refuse_epoch(epoch: Any) -> None:
    """Raise TypeError for an argument of a schedule's `step`."""
    if epoch is not None:
        raise TypeError(
            f"step() counts by itself, got {checks.described(epoch)}: leave it out, and for parts "
            "of epochs count in steps, with unit='step'. The rates that depend on a metric are of "
            "lr_scheduler.ReduceLROnPlateau"
        )


def per_group(
    optimizer: Optimizer, name: str, given: Values, check: Callable[[str, float], float]
) -> list[float]:
    """The number of each group."""
    groups = len(getattr(optimizer, "param_groups", [()]))
    # Text, and arrays without axes, are Iterable by their type: `check` says what is wrong.
    is_one = isinstance(given, str) or getattr(given, "ndim", 1) == 0
    values: list[Any] = [given] * groups
    if isinstance(given, Iterable) and not is_one:
        values = list(given)
    if len(values) != groups:
        raise ValueError(f"{name}: {len(values)} numbers for {groups} parameter groups")
    return [float(check(name, value)) for value in values]
