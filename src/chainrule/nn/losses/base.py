"""The base of all losses: reduction, sample weights, and checks of inputs and targets."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import NOT_TAKEN
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn.module import Module

if TYPE_CHECKING:
    from typing_extensions import Self

Outputs: TypeAlias = Literal[
    "class logits",
    "class log-probabilities",
    "class probabilities",
    "class scores",
    "logits",
    "probabilities",
    "margins",
    "values",
]
"""What the outputs of a model are. Of those of classes the largest of a row is the prediction. The
others are decisions of their own: a logit is of label 1 above 0, a probability above 1/2, a margin
is of label 1 above 0 and else of -1; a value is to be what the target is."""


class _ConstructorSignature:
    """Descriptor: the signature of a class's constructor, which `Loss.__new__` would hide."""

    def __get__(self, loss: Loss | None, kind: type[Loss]) -> inspect.Signature:
        own = inspect.signature(kind.__init__)
        return own.replace(parameters=list(own.parameters.values())[1:])


class Loss(Module):
    """The base of all losses; see `chainrule.nn.losses` for reduction and sample weights."""

    _reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")

    outputs: ClassVar[Outputs | None] = None
    """What the model's outputs are; None where the loss does not say. Metrics such as accuracy
    read it."""

    __signature__ = _ConstructorSignature()

    def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
        if len(arguments) > 1 and isinstance(arguments[0], Tensor):
            raise TypeError(
                f"{cls.__name__} is made first and called then: loss = nn.{cls.__name__}(); "
                "loss(outputs, targets)"
            )
        for name in {"size_average", "reduce"} & keywords.keys():
            if name not in cls.__signature__.parameters:
                raise TypeError(f"{cls.__name__} has no argument {name!r}: {NOT_TAKEN[name][1]}")
        return super().__new__(cls)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = checks.one_of("reduction", reduction, self._reductions)

    def target_fault(self, target: Array) -> str | None:
        """The fault of the targets' values, as the end of a sentence; None if there is none."""
        return None

    def _check_target(self, target: Tensor) -> None:
        """Raise ValueError where the target's values are known and wrong."""
        values = known(target)
        fault = None if values is None else self.target_fault(values)
        if fault is not None:
            raise ValueError(f"{type(self).__name__}: {fault}")

    def _check_input(
        self, what: str, input: Tensor, low: float, high: float = np.inf, *, remedy: str
    ) -> None:
        """Raise ValueError where the model's output is known and not in low ... high."""
        values = known(input)
        fault = None if values is None else range_fault(what, values, low, high)
        if fault is not None:
            raise ValueError(f"{type(self).__name__}: {fault}. {remedy}")

    def _weighted(self, losses: Tensor, sample_weight: TensorLike | None) -> Tensor:
        """The losses of each row, axis 0, times the row's weight.

        Raises:
            ShapeError: if there is not one weight for each row.
            ValueError: if one is known to be negative, or not finite.
        """
        if sample_weight is None:
            return losses
        weight = as_tensor(sample_weight)
        if not losses.ndim:
            raise ShapeError(
                "sample_weight has one number per row, but there is one example without an axis "
                "of rows: give it as a batch of one row, or multiply the loss itself"
            )
        if weight.shape != losses.shape[:1]:
            raise ShapeError(
                f"sample_weight has one number for each of {losses.shape[0]} rows, so its shape is "
                f"({losses.shape[0]},), not {weight.shape}"
            )
        values = known(weight)
        if values is not None and values.size and not (0 <= values.min() <= values.max() < np.inf):
            row = int(np.argmin((values >= 0) & (values < np.inf)))
            raise ValueError(
                f"{type(self).__name__}: sample weights are finite and not negative; that of row "
                f"{row} is {values[row]}"
            )
        return losses * weight.astype(losses.dtype).reshape(-1, *[1] * (losses.ndim - 1))

    def _reduce(self, losses: Tensor, sample_weight: TensorLike | None) -> Tensor:
        """The losses of rows, or of their elements, weighted and then as `reduction` says."""
        losses = self._weighted(losses, sample_weight)
        if self.reduction == "none":
            return losses
        if self.reduction == "batchmean":
            return losses.sum() / float(losses.shape[0])
        return losses.mean() if self.reduction == "mean" else losses.sum()


class ElementLoss(Loss):
    """A loss for each element of an input and a target of one shape."""

    _may_train_target: ClassVar[bool] = False
    """Whether the target alone may be what is trained. Labels and counts are not."""

    def _pair(self, input: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
        """Both as Tensors of the input's dtype, checked."""
        input, target = floating("input", input), as_tensor(target)
        if not self._may_train_target and target.requires_grad and not input.requires_grad:
            raise TypeError(
                f"{type(self).__name__} is called as loss(input, target), with the model's output "
                "first; here only the target depends on what requires a gradient: swap them"
            )
        require_same_shape(input, target)
        self._check_target(target)
        return input, target.astype(input.dtype)


def known(tensor: Tensor) -> Array | None:
    """The Tensor's value, or None where it has none yet."""
    return tensor.node().value


def floating(name: str, data: TensorLike) -> Tensor:
    """`data` as a Tensor, if it is floating.

    Raises:
        DTypeError: if it is not.
    """
    tensor = as_tensor(data)
    if tensor.dtype.kind != "f":
        raise DTypeError(f"the {name} must be floating, not {tensor.dtype}; cast it first")
    return tensor


def require_same_shape(input: Tensor, target: Tensor) -> None:
    """Raise ShapeError unless input and target have one shape."""
    if input.shape != target.shape:
        remedy = "They must be equal, because broadcasting would pair each with all."
        if input.size == target.size:
            remedy += f" Use target.reshape({', '.join(map(str, input.shape)) or '()'})."
        raise ShapeError(f"the input has shape {input.shape}, the target {target.shape}. {remedy}")


def pair_and_target(
    loss: Loss,
    input1: TensorLike | tuple[TensorLike, TensorLike],
    input2: TensorLike,
    target: TensorLike | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Two inputs of one shape and the target, given one by one, or as ((input1, input2), target).

    Raises:
        TypeError: if there is no target.
        DTypeError, ShapeError: if the inputs are not floating, or of different shapes.
    """
    if target is None:
        if not isinstance(input1, tuple) or len(input1) != 2:
            raise TypeError(
                f"{type(loss).__name__} is called as loss(input1, input2, target) or "
                "loss((input1, input2), target): the model returns two Tensors"
            )
        (input1, input2), target = input1, input2
    x1, x2, y = floating("input1", input1), floating("input2", input2), as_tensor(target)
    require_same_shape(x1, x2)
    return x1, x2, y


def range_fault(what: str, values: Array, low: float, high: float = np.inf) -> str | None:
    """The fault of values that do not all lie in low ... high; None if they do."""
    if not values.size or (values.min() >= low and values.max() <= high):  # NaN is in no interval
        return None
    wanted = f"lie in {low:g} ... {high:g}" if high < np.inf else f"be at least {low:g}"
    return f"{what} must {wanted}; they run from {values.min()} to {values.max()}"


def sign_fault(values: Array) -> str | None:
    """The fault of targets that are not all -1 or 1; None if they are."""
    wrong = values[(values != 1) & (values != -1)]
    if not wrong.size:
        return None
    return (
        f"targets must be -1 or 1; there is {wrong.flat[0]}. Of labels 0 and 1 take "
        "2.0 * target - 1.0"
    )


def weights(name: str, data: ArrayLike | None) -> Buffer | None:
    """Weights as a Buffer, if there are any.

    Raises:
        ValueError: if one is negative, or not finite.
    """
    if data is None:
        return None
    checked_weights(name, data)
    return data if isinstance(data, Buffer) else Buffer(data)


def checked_weights(name: str, data: TensorLike) -> Tensor:
    """Weights as a Tensor.

    Raises:
        ValueError: if one is known to be negative, or not finite.
    """
    given = as_tensor(data)
    values = known(given)
    if values is not None and not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(f"{name} is finite and not negative, got {values.tolist()}")
    return given
