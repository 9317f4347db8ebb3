"""Which loss an estimator trains with, and what its network gives for it."""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.checks import described
from chainrule.sklearn.objective import (
    BinaryLogLoss,
    HalfPoissonDeviance,
    HalfSquaredError,
    LogLoss,
)

REGRESSION = {
    "squared_error": HalfSquaredError,
    "poisson": HalfPoissonDeviance,
    "absolute_error": nn.L1Loss,
    "huber": nn.HuberLoss,
}
"""The losses of numbers by their names."""


def regression_loss(given: Any) -> Any:
    """The loss of a regression: by its name, or as it was given.

    Raises:
        TypeError: for the class of one.
    """
    return REGRESSION[given]() if isinstance(given, str) else _no_class(given)


def quantiles_of(given: Any) -> int:
    """The number of quantiles that a loss is of; 1 for any other loss."""
    return len(given.quantiles) if isinstance(given, nn.PinballLoss) else 1


def regression_link(given: Any) -> str:
    """The function that makes numbers of a network's outputs: "identity", or what a loss has built
    in: "exp", "logistic" or "softmax".
    """
    if given == "poisson" or (isinstance(given, nn.PoissonNLLLoss) and given.log_input):
        return "exp"
    outputs = str(getattr(given, "outputs", None))
    return {"logits": "logistic", "class logits": "softmax"}.get(outputs, "identity")


def takes_classes(given: Any, kind: str) -> bool:
    """Whether the loss of a classification takes a logit for each class, and labels.

    Args:
        given: "log_loss" or a loss.
        kind: of the labels: "binary", "multiclass" or "multilabel".

    Raises:
        ValueError: for a loss that does not fit the labels.
    """
    outputs = getattr(given, "outputs", None)
    name = type(given).__name__
    if outputs in ("class logits", "class scores"):
        if kind == "multilabel":
            raise ValueError(
                f"{name} is of one class in a row, and y has several labels: give "
                "nn.BCEWithLogitsLoss(), or 'log_loss'"
            )
        return True
    if outputs == "logits":
        if kind == "multiclass":
            raise ValueError(
                f"{name} is of two classes, and y has more: give nn.CrossEntropyLoss(), or "
                "'log_loss'"
            )
        return False
    if outputs is not None:
        raise ValueError(
            f"{name} takes {outputs}, and the network gives logits: give a loss of those, as "
            "nn.CrossEntropyLoss or nn.BCEWithLogitsLoss, or a function (logits, targets)"
        )
    return kind == "multiclass"


def classification_loss(given: Any, classes: bool) -> Any:
    """The loss of a classification: by its name, or as it was given.

    Args:
        given: "log_loss" or a loss.
        classes: whether there is a logit for each class.

    Raises:
        TypeError: for the class of a loss.
    """
    if isinstance(given, str):
        return LogLoss() if classes else BinaryLogLoss()
    return _no_class(given)


def _no_class(given: Any) -> Any:
    """A loss, if it is no class."""
    if isinstance(given, type):
        raise TypeError(f"loss is {described(given)}")
    return given
