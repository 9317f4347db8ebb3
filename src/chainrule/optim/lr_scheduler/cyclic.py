"""Schedules that rise and fall, once or again and again, with the momentum against the rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from chainrule import checks
from chainrule.optim.groups import ParameterGroup
from chainrule.optim.lr_scheduler.base import Schedule, Unit, Values, per_group
from chainrule.optim.lr_scheduler.cosine import half_cosine
from chainrule.optim.optimizer import Optimizer


class Cycle(Schedule):
    """The base of schedules that can move the momentum as well: down while the rate goes up.

    Their rates are those of their arguments: one that something else sets is overwritten by the
    next step, as in PyTorch.

    Attributes:
        momentums: (base, max) of each group; none where the momentum stays as it is.
    """

    momentums: list[tuple[float, float]]

    def _begin(
        self,
        optimizer: Optimizer,
        last_epoch: int,
        unit: Unit,
        base_lrs: Sequence[float],
        momentums: tuple[Values, Values] | None,
    ) -> None:
        """Construct as a `Schedule` does, once the arguments are known to fit."""
        self.momentums = []
        if momentums is not None and isinstance(optimizer, Optimizer):
            base, highest = (
                per_group(optimizer, name, values, checks.Interval(0, 1).check)
                for name, values in zip(("base_momentum", "max_momentum"), momentums, strict=True)
            )
            self.momentums = list(zip(base, highest, strict=True))
            for group in optimizer.param_groups:
                _momentum_name(group, type(optimizer).__name__)
        super().__init__(optimizer, last_epoch=last_epoch, unit=unit, base_lrs=base_lrs)

    def _has_own_rates(self, t: int) -> bool:
        return True

    def others(self, number: int, t: int) -> Mapping[str, float]:
        if number >= len(self.momentums):  # it stays as it is, or the group was added later
            return {}
        base, highest = self.momentums[number]
        name = _momentum_name(self.optimizer.param_groups[number], "")
        return {name: self.momentum(base, highest, t)}

    def momentum(self, base: float, highest: float, t: int) -> float:
        """The momentum after t steps."""
        raise NotImplementedError


def _momentum_name(group: ParameterGroup, optimizer: str) -> str:
    """The HyperParameter that is a group's momentum: "momentum", or Adam's "beta1"."""
    for name in ("momentum", "beta1"):
        if name in group.scalars:
            return name
    remedy = "construct it with momentum above 0, or " if "momentum" in group else ""
    raise ValueError(f"{optimizer} has no momentum to cycle: {remedy}pass cycle_momentum=False")


class OneCycleLR(Cycle):
    """One rise to max_lr and one fall to far below where it began.

    The rate goes from max_lr / div_factor up to max_lr in the first pct_start of total_steps, and
    down to max_lr / (div_factor final_div_factor) in the rest; with `three_phase` first down to
    max_lr / div_factor as fast as it rose. Afterwards the rate stays constant. The momentum falls
    from max_momentum to base_momentum while the rate rises, and rises again while that falls to
    where it began.

    Args:
        optimizer, last_epoch: see `Schedule`; the groups' "lr" does not count.
        max_lr: the highest rate, or one for each group.
        total_steps: the length of the cycle; or `epochs` and `steps_per_epoch`, whose product it
            is.
        pct_start: the rise's share of it.
        anneal_strategy: "cos" for half cosines, "linear" for lines.
        cycle_momentum: whether the momentum (Adam's beta1) moves against the rate.
        base_momentum, max_momentum: its lowest and highest value, or one for each group.
        div_factor: how far below max_lr it begins.
        final_div_factor: how far below its beginning it ends.
        three_phase: whether a fall as steep as the rise comes before the last.
        unit: see `Schedule`; here "step" by default.

    Raises:
        TypeError, ValueError: as for every `Schedule`; if a phase has less than one step, or if
            there is no momentum to cycle.

    Source: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
    Learning Rates" (2019), in PyTorch's form.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], momentum=0.9)
        >>> schedule = optim.OneCycleLR(optimizer, 1.0, total_steps=10, anneal_strategy="linear")
        >>> [round(schedule.lrs(t)[0], 3) for t in range(10)]
        [0.04, 0.52, 1.0, 0.857, 0.714, 0.571, 0.429, 0.286, 0.143, 0.0]
        >>> [round(schedule.others(0, t)["momentum"], 3) for t in (0, 2, 9)]
        [0.95, 0.85, 0.95]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Values,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: Values = 0.85,
        max_momentum: Values = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
        *,
        unit: Unit = "step",
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR takes total_steps, or epochs and steps_per_epoch")
            total_steps = checks.count("epochs", epochs) * checks.count(
                "steps_per_epoch", steps_per_epoch
            )
        self.total_steps = checks.count("total_steps", total_steps)
        checks.probability("pct_start", pct_start)
        checks.one_of("anneal_strategy", anneal_strategy, ("cos", "linear"))
        checks.positive("div_factor", div_factor)
        checks.positive("final_div_factor", final_div_factor)
        self.anneal_strategy = anneal_strategy
        peak = pct_start * self.total_steps - 1
        start, end = 1 / div_factor, 1 / (div_factor * final_div_factor)
        # (the last step of a phase; there the rate as a share of max_lr, and how far down the
        # momentum is)
        self.phases = [(peak, 1.0, 1.0), (self.total_steps - 1.0, end, 0.0)]
        if three_phase:
            self.phases.insert(1, (2 * peak, start, 0.0))
        self.start = start
        ends = [0.0, *(phase[0] for phase in self.phases)]
        if any(ends[i] >= ends[i + 1] for i in range(len(self.phases))):
            raise ValueError(
                f"the phases would end at steps {', '.join(f'{last:g}' for last in ends[1:])}: "
                "take more total_steps, or another pct_start"
            )
        peaks = per_group(optimizer, "max_lr", max_lr, checks.not_negative)
        momentums = (base_momentum, max_momentum) if cycle_momentum else None
        self._begin(optimizer, last_epoch, unit, peaks, momentums)

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * self._anneal(t, self.start, [share for _, share, _ in self.phases])

    def momentum(self, base: float, highest: float, t: int) -> float:
        ends = [highest + (base - highest) * down for _, _, down in self.phases]
        return self._anneal(t, highest, ends)

    def _anneal(self, t: int, before: float, ends: Sequence[float]) -> float:
        """From `before` to the end of each phase; afterwards the last one's."""
        begin = 0.0
        for (last, _, _), after in zip(self.phases, ends, strict=True):
            if t <= last:
                progress = (t - begin) / (last - begin)
                if self.anneal_strategy == "cos":
                    return half_cosine(before, after, progress)
                return before + (after - before) * progress
            begin, before = last, after
        return before


class CyclicLR(Cycle):
    """Up and down between two rates, again and again.

    lr(t) = base_lr + (max_lr - base_lr) h s, with the height h of a triangle that rises from 0 to 1
    in step_size_up steps and falls in step_size_down, and a scale s: 1 for "triangular"; halved
    after each cycle for "triangular2"; gamma^t for "exp_range".

    The momentum goes the other way: max_momentum - (max_momentum - base_momentum) h s.

    Args:
        optimizer, last_epoch: see `Schedule`; the groups' "lr" does not count.
        base_lr: the lowest rate, or one for each group.
        max_lr: the highest rate, or one for each group.
        step_size_up: steps of a rise.
        step_size_down: steps of a fall; by default as many.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: of "exp_range".
        scale_fn: s as a function of its own, in place of `mode`.
        scale_mode: whether scale_fn is given the number of the "cycle", from 1, or t
            ("iterations").
        cycle_momentum: whether the momentum (Adam's beta1) moves against the rate.
        base_momentum, max_momentum: its lowest and highest value, or one for each group.
        unit: see `Schedule`; here "step" by default.

    Raises:
        TypeError, ValueError: as for every `Schedule`; if there is no momentum to cycle.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks" (2017), in PyTorch's form.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], momentum=0.9)
        >>> schedule = optim.CyclicLR(optimizer, base_lr=0.25, max_lr=0.75, step_size_up=2)
        >>> [schedule.lrs(t)[0] for t in range(6)]
        [0.25, 0.5, 0.75, 0.5, 0.25, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Values,
        max_lr: Values,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Values = 0.8,
        max_momentum: Values = 0.9,
        last_epoch: int = -1,
        *,
        unit: Unit = "step",
    ) -> None:
        bases = per_group(optimizer, "base_lr", base_lr, checks.not_negative)
        peaks = per_group(optimizer, "max_lr", max_lr, checks.not_negative)
        self.rises = [peak - base for base, peak in zip(bases, peaks, strict=True)]
        self.step_size_up = checks.count("step_size_up", step_size_up)
        self.step_size_down = (
            self.step_size_up
            if step_size_down is None
            else checks.count("step_size_down", step_size_down)
        )
        self.mode = checks.one_of("mode", mode, ("triangular", "triangular2", "exp_range"))
        self.scale_mode = checks.one_of("scale_mode", scale_mode, ("cycle", "iterations"))
        self.gamma = checks.not_negative("gamma", gamma)
        self.scale_fn = scale_fn
        momentums = (base_momentum, max_momentum) if cycle_momentum else None
        self._begin(optimizer, last_epoch, unit, bases, momentums)

    def height(self, t: int) -> float:
        """How far the rate is from base_lr to max_lr after t steps: h s."""
        length = self.step_size_up + self.step_size_down
        cycle, place = divmod(t, length)
        if place <= self.step_size_up:
            h = place / self.step_size_up
        else:
            h = (length - place) / self.step_size_down
        if self.scale_fn is not None:
            scale = self.scale_fn(cycle + 1 if self.scale_mode == "cycle" else t)
            return h * checks.number("the value of scale_fn", scale)
        if self.mode == "triangular2":
            return h * 0.5**cycle
        return h * self.gamma**t if self.mode == "exp_range" else h

    def group_lr(self, number: int, base_lr: float, t: int) -> float:
        return base_lr + self.rises[number] * self.height(t)

    def momentum(self, base: float, highest: float, t: int) -> float:
        return highest - (highest - base) * self.height(t)
