"""ReduceLROnPlateau: the learning rate falls where a quantity no longer improves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chainrule import checks
from chainrule.graph.names import ForeignName
from chainrule.graph.tensor import Tensor
from chainrule.optim.lr_scheduler.base import Values, per_group, refuse_capture, refuse_epoch
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.state_dicts import check_keys, check_mapping


class Plateau:
    """Notices that a quantity no longer improves, and lowers rates.

    Args:
        factor, patience, threshold, threshold_mode, cooldown, eps: see `ReduceLROnPlateau`.

    Attributes:
        best: the best value so far; None before the first.
        waited: how many values in a row were no improvement.
        cooling: how many values more are not counted.
    """

    num_bad_epochs = ForeignName("num_bad_epochs", "waited")
    cooldown_counter = ForeignName("cooldown_counter", "cooling")
    in_cooldown = ForeignName("in_cooldown", "cooling > 0")

    def __init__(
        self,
        factor: float,
        patience: int,
        threshold: float,
        threshold_mode: str,
        cooldown: int,
        eps: float = 1e-8,
    ) -> None:
        if not 0 < checks.number("factor", factor) < 1:
            raise ValueError(f"factor lies between 0 and 1, got {factor}")
        self.threshold_mode = checks.one_of("threshold_mode", threshold_mode, ("rel", "abs"))
        self.factor = factor
        self.patience = checks.not_negative("patience", patience)
        self.threshold = checks.not_negative("threshold", threshold)
        self.cooldown = checks.not_negative("cooldown", cooldown)
        self.eps = checks.not_negative("eps", eps)
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self.best: float | None = None
        self.waited = 0
        self.cooling = 0

    def ends_with(self, value: float, mode: str) -> bool:
        """Note a value; whether the rates are to be lowered now.

        Args:
            value: of the quantity.
            mode: "min" or "max", whichever is better.
        """
        if self._improves(value, -1 if mode == "min" else 1):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.waited = 0
        if self.waited <= self.patience:
            return False
        self.cooling, self.waited = int(self.cooldown), 0
        return True

    def _improves(self, value: float, sign: int) -> bool:
        if self.best is None:
            return sign * value > -math.inf
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * (self.best + sign * self.threshold)

    def lowered(self, lr: float, min_lr: float) -> float:
        """What a rate becomes; a change by no more than eps is none."""
        lowered = max(lr * self.factor, min_lr)
        return lowered if lr - lowered > self.eps else lr


class ReduceLROnPlateau(Plateau):
    """Lower the learning rates when a quantity no longer improves: times `factor`, in every group.

    It is for a loop of your own: call `step(metric)` after every epoch. A `Trainer` takes the
    callback `chainrule.ReduceLROnPlateau` instead. It is no `Schedule`: the rates depend on the
    values, not on the time.

    Args:
        optimizer: whose groups' "lr" it lowers.
        mode: "min" or "max", whichever is better.
        factor: what a learning rate is multiplied with, in (0, 1).
        patience: how many values in a row may be no improvement; the rates are lowered after one
            more.
        threshold: by how much a value must be better than the best to be an improvement.
        threshold_mode: "rel": as a share of the best value; "abs": as it is.
        cooldown: for how many values after a lowering no bad one is counted.
        min_lr: no rate is lowered below this; a number, or one for each group.
        eps: a rate that would be lowered by no more than this stays.

    Attributes:
        best: the best value so far; None before the first.
        last_epoch: how often `step` was called.

    Raises:
        TypeError: if `optimizer` is none, or a value is no number.
        ValueError: for an argument out of its range, or another number of `min_lr` than groups.
        SymbolicError: if `step` is called while a graph is captured.

    Source: semantics of PyTorch's class of this name.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=1.0)
        >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     schedule.step(loss)
        >>> schedule.get_last_lr()
        [0.5]
    """

    _last_lr = ForeignName("_last_lr", "get_last_lr()")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Values = 0,
        eps: float = 1e-8,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"a schedule needs an optimiser, got {checks.described(optimizer)}")
        checks.one_of("mode", mode, ("min", "max"))
        self.min_lrs = per_group(optimizer, "min_lr", min_lr, checks.not_negative)
        super().__init__(factor, patience, threshold, threshold_mode, cooldown, eps)
        self.optimizer = optimizer
        self.mode = mode
        self.last_epoch = 0

    def step(self, metrics: Any, epoch: None = None) -> None:
        """Note the value of the quantity after an epoch; lower the rates if it has not improved.

        Args:
            metrics: a number, or a Tensor or an array of one element.
            epoch: left out; `step` counts by itself.
        """
        refuse_capture()
        refuse_epoch(epoch)
        if getattr(metrics, "size", None) == 1 and hasattr(metrics, "item"):
            metrics = metrics.item()
        if isinstance(metrics, Tensor):
            raise TypeError(f"metrics is one number, got a Tensor of shape {metrics.shape}")
        value = float(checks.any_number("metrics", metrics))
        self.last_epoch += 1
        if self.ends_with(value, self.mode):
            groups = self.optimizer.param_groups
            added = [self.min_lrs[-1]] * (len(groups) - len(self.min_lrs))
            for group, least in zip(groups, self.min_lrs + added, strict=True):
                group["lr"] = self.lowered(group["lr"], least)

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What was seen, from which `load_state_dict` goes on; the rates are the optimiser's."""
        return {
            "schedule": type(self).__name__,
            "last_epoch": self.last_epoch,
            "best": self.best,
            "waited": self.waited,
            "cooling": self.cooling,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            TypeError, ValueError: if it is of another schedule; nothing has changed then.
        """
        check_mapping(state_dict)
        check_keys(state_dict, self.state_dict(), "this schedule")
        if state_dict["schedule"] != type(self).__name__:
            raise ValueError(
                f"the state is of {state_dict['schedule']}, this is of {type(self).__name__}"
            )
        best = state_dict["best"]
        best = None if best is None else float(checks.any_number("best", best))
        counts = [
            checks.integer(name, state_dict[name], 0)
            for name in ("last_epoch", "waited", "cooling")
        ]
        self.best = best
        self.last_epoch, self.waited, self.cooling = counts
