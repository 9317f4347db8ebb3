"""Schedule: the base of all, a closed formula in t, the epochs or steps so far.

A schedule depends on t alone: the learning rates of many steps are known in advance, and a training
that is resumed from a checkpoint continues with the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from chainrule.errors import SymbolicError
from chainrule.graph.context import local
from chainrule.graph.state import HyperParameter
from chainrule.optim.hyperparameters import Term
from chainrule.optim.optimizer import Optimizer

Unit = Literal["epoch", "step"]


class Schedule:
    """The base of all schedules: sets the learning rate of every group as a function of t.

    A schedule of your own is a subclass with `lr`. Construction sets the rates for t = 0.

    With `parameter` it sets another hyper-parameter in place of the learning rate, such as
    "weight_decay". See `ChainedScheduler` for several at once.

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
        self._set()

    def lr(self, base_lr: float, t: int) -> float:
        """The learning rate after `t` epochs or steps, of a group that begins with `base_lr`."""
        raise NotImplementedError(f"{type(self).__name__} has no formula for lr")

    def lrs(self, t: int) -> list[float]:
        """The learning rate of each group after `t` epochs or steps."""
        return [self.lr(base_lr, t) for base_lr in self.base_lrs]

    def for_parameter(self, parameter: str) -> Schedule | None:
        """The schedule that sets this hyper-parameter: this one, if it does, else None."""
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
        """One epoch or step is over: set the learning rates for the next.

        Raises:
            SymbolicError: while a graph is captured, which would not count again.
        """
        if local.context.capture is not None:
            raise SymbolicError(
                "a schedule's step() counts in Python, which is no part of a captured graph: call "
                "it after the compiled function"
            )
        self.t += 1
        self._set()

    def _set(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.lrs(self.t), strict=False):
            group[self.parameter] = lr

    def state_dict(self) -> dict[str, Any]:
        """The schedule's time and base, from which `load_state_dict` goes on."""
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
        check_keys(state_dict, mine)
        groups = len(state_dict["base_lrs"])
        if groups != len(self.base_lrs):
            raise ValueError(f"the state has {groups} groups, this schedule {len(self.base_lrs)}")


def check_keys(state_dict: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Raise unless a state holds exactly the entries of this schedule's own."""
    if set(state_dict) != set(mine):
        raise ValueError(f"the state holds {', '.join(state_dict)}; it must be {', '.join(mine)}")
