"""Who is who: model, loss and optimiser, and what passes from one to the other."""

from __future__ import annotations

from typing import Any

from chainrule import checks
from chainrule.errors import ShapeError, SymbolicError
from chainrule.graph.tensor import Tensor
from chainrule.nn import Module
from chainrule.nn.losses.base import Loss
from chainrule.optim import Optimizer
from chainrule.optim.lr_scheduler import Schedule
from chainrule.optim.lr_scheduler.plateau import Plateau
from chainrule.trees import leaves

_ORDER = "The order is (model, loss, optimizer)."


def check_roles(model: Any, loss: Any, optimizer: Any, *, trained: bool) -> None:
    """Raise TypeError unless there are a model, a loss and, if it is trained, an optimizer."""
    if isinstance(model, Loss) and isinstance(loss, Module) and not isinstance(loss, Loss):
        raise TypeError(
            f"the model is a {type(model).__name__}, which is a loss, and the loss a "
            f"{type(loss).__name__}: they are swapped. {_ORDER}"
        )
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(
            "the loss is an object of nn or a function (outputs, targets), got "
            f"{checks.described(loss)}{_hint(loss, Optimizer)}"
        )
    if trained and not isinstance(optimizer, Optimizer):
        raise TypeError(
            "the optimizer is an object, as optim.SGD(model.parameters()), got "
            f"{checks.described(optimizer)}{_hint(optimizer, Module)}"
        )
    if trained:
        _check_step(optimizer, "trains by the optimizer's rule: write rule or coefficients")
    if not isinstance(model, Module):
        raise TypeError(
            f"model is a Module, got {checks.described(model)}{_hint(model, Optimizer)}"
        )


def _check_step(given: Any, way: str) -> None:
    """Raise TypeError for an optimizer or schedule whose step is the user's own."""
    owners = [vars(given), *map(vars, type(given).__mro__)]
    owner = next(owner for owner in owners if "step" in owner)
    if not owner.get("__module__", "").startswith("chainrule."):
        raise TypeError(
            f"a Trainer does not call step, which {type(given).__name__} has of its own. It {way}; "
            "or call step in a loop, which cr.compile makes as fast"
        )


def check_schedule(schedule: Any, optimizer: Any) -> None:
    """Raise unless a schedule, if there is one, is an object bound to this optimizer."""
    if schedule is None:
        return
    if isinstance(schedule, Plateau):
        raise TypeError(
            "schedule is of the time alone; a rate that falls where a column of the history rests "
            "is a callback: callbacks=[chainrule.ReduceLROnPlateau('validation_loss')]"
        )
    if not isinstance(schedule, Schedule):
        raise TypeError(
            "schedule is an object of optim made with the optimizer, as "
            f"optim.CosineAnnealingLR(optimizer, 10); got {checks.described(schedule)}"
        )
    _check_step(schedule, "takes the rates from the schedule's formula: write lr(base_lr, t)")
    if schedule.optimizer is not optimizer:
        raise ValueError("the schedule is bound to another optimizer than the Trainer's")


def _hint(given: Any, other: type) -> str:
    return f". {_ORDER}" if isinstance(given, other) else ""


def check_outputs(model: Module, output: Any) -> Any:
    """What a model returned, if it is one Tensor, or some in tuples, lists or dicts.

    Raises:
        TypeError: if it is anything else.
    """
    name = type(model).__name__
    if output is None:
        raise TypeError(f"the model's forward returned None: end {name}.forward with a return")
    found = list(leaves(output))
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise TypeError(
                f"the model's forward returned an object of type {type(leaf).__name__}, no Tensor: "
                f"compute what {name}.forward returns with operations on inputs and parameters"
            )
    if not found:
        raise TypeError(f"the model's forward returned an empty {type(output).__name__}")
    return output


def scalar(name: str, value: Any, remedy: str) -> Tensor:
    """`value`, if it is a scalar Tensor.

    Raises:
        ShapeError: if it is not.
    """
    if not isinstance(value, Tensor) or value.shape != ():
        seen = value.shape if isinstance(value, Tensor) else type(value).__name__
        raise ShapeError(f"{name} must be a scalar Tensor, got {seen}; {remedy}")
    return value


def loss_of_outputs(loss: Any, output: Any, target: Any, weights: dict[str, Tensor]) -> Tensor:
    """loss(output, target), a scalar; errors say so where there are several outputs or targets."""
    value = _called(loss, output, target, weights)
    return scalar("the loss", value, "take its mean or sum, as reduction='mean' does")


def _called(loss: Any, output: Any, target: Any, weights: dict[str, Tensor]) -> Any:
    if isinstance(output, Tensor):
        if isinstance(target, (tuple, list)) and type(loss).__module__.startswith("chainrule."):
            raise TypeError(
                f"{type(loss).__name__}: y is a {type(target).__name__} of {len(target)} arrays, "
                "of which this loss can't be taken. Weights of rows are the third of a batch (x, "
                "y, sample_weight), and an argument of fit; several targets take a loss that picks "
                "what it compares, as lambda output, y: nn.MSELoss()(output, y[0])"
            )
        return loss(output, target, **weights)
    try:
        return loss(output, target, **weights)
    except (SymbolicError, TypeError, AttributeError, ShapeError) as error:
        name = getattr(loss, "__name__", type(loss).__name__)
        said = (
            f"{name}: the model returns a {type(output).__name__} of {len(list(leaves(output)))} "
            "Tensors, of which this loss can't be taken. Return one Tensor, or give a loss that "
            "picks what it compares, as lambda outputs, targets: nn.MSELoss()(outputs[0], targets)"
        )
        kind = ShapeError if isinstance(error, ShapeError) else TypeError
        raise kind(f"{said}. It raised: {error}") from error
