"""A model that `chainrule train` saved: the network, and what its inputs and outputs mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule import nn
from chainrule.cli.tasks import Task
from chainrule.errors import FileError
from chainrule.train import Evaluator
from chainrule.train.model_file import build_model, read


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

    def evaluator(self) -> Evaluator:
        """An Evaluator by the task's final metrics."""
        return make_evaluator(self.model, self.task)


def make_evaluator(model: nn.Module, task: Task) -> Evaluator:
    """An Evaluator of a model by the task's final metrics."""
    loss = nn.MSELoss() if task.classes is None else nn.CrossEntropyLoss()
    return Evaluator(model, loss, task.final_metrics)


def read_saved(path: str) -> SavedModel:
    """Read what `chainrule train --out` or `--checkpoint` wrote.

    Raises:
        FileNotFoundError, FileError, ValueError: if it can't be read, or says too little.
    """
    tensors, description = read(path)
    model, metadata = build_model(path, tensors, description), description.get("metadata") or {}
    if "task" not in metadata:
        raise FileError(
            f"{path} was not saved by chainrule train: it does not say what the model's inputs and "
            "outputs mean. Use it from Python, with chainrule.load."
        )
    try:
        classes, trained_on = metadata["classes"], metadata["data"]
        columns = trained_on["columns"]
        sound = (
            (
                classes is None
                or (len(classes) > 1 and all(type(c) is int and abs(c) < 2**63 for c in classes))
            )
            and all(type(n) is int and n >= 0 for n in trained_on["shape"])
            and (columns is None or all(type(c) is str for c in columns))
            and (columns is None or len(columns) == trained_on["shape"][0])
            and type(trained_on["target_index"]) in (int, type(None))
            and type(trained_on["target"]) in (str, type(None))
            and [type(trained_on[n]) for n in ("kind", "name", "header")] == [str, str, bool]
        )
    except Exception:
        sound = False
    if not sound:
        raise FileError(f"{path}: what it says about its data is damaged. Train and save it anew.")
    return SavedModel(model, Task(None if classes is None else tuple(classes)), trained_on)
