"""What the outputs of a model are, as its loss says or a user."""

from __future__ import annotations

from typing import Any, get_args

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
    if outputs not in (None, *get_args(Outputs)):
        kinds = ", ".join(map(repr, get_args(Outputs)))
        raise ValueError(f"outputs is one of {kinds}; got {outputs!r}")
    return outputs


def loss_outputs(loss: Any) -> str | None:
    """What a loss says that the outputs are; None if it does not say."""
    said = getattr(loss, "outputs", None)
    return check_outputs(said) if isinstance(said, str) else None
