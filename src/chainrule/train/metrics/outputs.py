"""What the outputs of a model are, as its loss says or a user."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.nn.losses.base import Outputs

CLASS_OUTPUTS = ("class logits", "class log-probabilities", "class probabilities", "class scores")
"""Outputs of which the largest of a row is the prediction."""

THRESHOLDS = {"logits": 0.0, "probabilities": 0.5, "margins": 0.0}
"""Where outputs begin that mean label 1, of those that are decisions of their own."""


def check_outputs(outputs: str | None) -> str | None:
    """`outputs`, if it is one of the kinds of outputs or None.

    Raises:
        ValueError: if it is not.
    """
    return None if outputs is None else checks.one_of("outputs", outputs, get_args(Outputs))


def loss_outputs(loss: Any) -> str | None:
    """What a loss says that the outputs are; None if it does not say."""
    said = getattr(loss, "outputs", None)
    return check_outputs(said) if isinstance(said, str) else None


def softmax(outputs: NDArray[Any], axis: int = 1) -> NDArray[Any]:
    """The probabilities of class logits; the axis is that of the classes."""
    powers = np.exp(outputs - outputs.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def probabilities_of(outputs: NDArray[Any], kind: str | None, axis: int = 1) -> NDArray[Any]:
    """Logits and log-probabilities as probabilities; outputs of other kinds as they are.

    Args:
        outputs: those of a model.
        kind: which of `Outputs` they are.
        axis: of the classes.
    """
    if kind in ("class logits", "class log-probabilities"):
        return softmax(outputs, axis)
    if kind == "logits":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * outputs)))
    return outputs
