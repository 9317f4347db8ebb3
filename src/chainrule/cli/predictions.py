"""A model's outputs as CSV."""

from __future__ import annotations

import csv
import io

import numpy as np

from chainrule.cli.saved import SavedModel
from chainrule.graph.tensor import Array


def to_csv(outputs: Array, saved: SavedModel, *, proba: bool = False) -> str:
    """A header and a line for each row of the outputs.

    Classes: ``prediction``, the label; with `proba` also ``probability_LABEL`` for each class.
    Numbers: the target's name where there is one, else ``prediction``, or ``prediction_0`` ...
    for several.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    classes = saved.task.classes
    if classes is None:
        writer.writerow(_names(outputs.shape[1], saved.trained_on["target"]))
        writer.writerows([str(value) for value in row] for row in outputs)
        return text.getvalue()
    labels = np.array(classes)[outputs.argmax(axis=1)].tolist()
    if not proba:
        writer.writerow(["prediction"])
        writer.writerows([label] for label in labels)
        return text.getvalue()
    writer.writerow(["prediction", *(f"probability_{label}" for label in classes)])
    for label, row in zip(labels, _softmax(outputs), strict=True):
        writer.writerow([label, *(f"{value:.6g}" for value in row)])
    return text.getvalue()


def _names(values: int, target: str | None) -> list[str]:
    if values > 1:
        return [f"prediction_{i}" for i in range(values)]
    return ["prediction" if target is None else target]


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
