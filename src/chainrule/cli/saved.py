"""A model that `chainrule train` saved: the network, and what its inputs and outputs mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.cli.saved_text import is_text
from chainrule.cli.tasks import Task
from chainrule.errors import FileError
from chainrule.graph.tensor import Array
from chainrule.train import Evaluator
from chainrule.train.model_file import WORD_VECTORS, build_model, metadata_of


@dataclass(frozen=True)
class SavedModel:
    """The content of a model's file, for predictions.

    Attributes:
        model: the network.
        task: its task, with the labels of the classes.
        trained_on: the form of its data; see `sources.read_to_use`.
    """

    model: nn.Module
    task: Task
    trained_on: dict[str, Any]

    def predict(self, x: Array) -> Array:
        """The outputs of the model."""
        loss = nn.MSELoss() if self.task.classes is None else nn.CrossEntropyLoss()
        return np.asarray(Evaluator(self.model, loss).predict(x))


def evaluate(model: nn.Module, task: Task, x: Array, y: Array) -> dict[str, float]:
    """The task's final metrics.

    They compare outputs and targets less the targets' mean: the variance of targets that are large
    beside their spread would be lost in the squares of the whole.
    """
    if task.classes is not None:
        return Evaluator(model, nn.CrossEntropyLoss(), task.final_metrics).evaluate(x, y)
    centre = nn.Center(y.shape[1], dtype="float64").fit(y)
    evaluator = Evaluator(nn.Sequential(model, centre), nn.MSELoss(), task.final_metrics)
    return evaluator.evaluate(x, y - centre.mean.numpy())


def saved_of(path: str, tensors: Mapping[str, Array], description: Mapping[str, Any]) -> SavedModel:
    """What `model_file.read` returned of a file of `chainrule train --out` or `--checkpoint`.

    Raises:
        FileError, ValueError: if the file is damaged, holds another model or says too little.
    """
    if WORD_VECTORS in description:
        raise ValueError(f"{path} holds vectors of words: chainrule neighbours {path} WORD")
    metadata = metadata_of(path, description)
    if is_text(metadata):
        raise ValueError(f"{path} is a model of text, which writes: chainrule generate {path}")
    model = build_model(path, tensors, description)
    if "task" not in metadata:
        raise FileError(
            f"{path} was not saved by chainrule train: it does not say what the model's inputs and "
            "outputs mean. Use it from Python, with chainrule.load."
        )
    try:
        classes, trained_on = metadata["classes"], metadata["data"]
        columns = trained_on["columns"]
        sound = (
            _are_classes(classes)
            and all(type(n) is int and n >= 0 for n in trained_on["shape"])
            and (columns is None or all(type(c) is str for c in columns))
            and (columns is None or len(columns) == trained_on["shape"][0])
            and type(trained_on["target_index"]) in (int, type(None))
            and type(trained_on["target"]) in (str, type(None))
            and [type(trained_on[n]) for n in ("kind", "name", "header")] == [str, str, bool]
            and type(trained_on.setdefault("resized", False)) is bool
        )
    except Exception:
        sound = False
    if not sound:
        raise FileError(f"{path}: what it says about its data is damaged. Train and save it anew.")
    return SavedModel(model, Task(None if classes is None else tuple(classes)), trained_on)


def _are_classes(classes: Any) -> bool:
    """Whether these are the labels of a task: whole numbers or names, or None of a regression."""
    if classes is None:
        return True
    if type(classes) is not list or len(classes) < 2:
        return False
    return all(type(c) is str for c in classes) or all(
        type(c) is int and abs(c) < 2**63 for c in classes
    )
