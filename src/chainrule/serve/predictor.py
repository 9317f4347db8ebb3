"""Predictor: a trained model of any kind that any number of threads ask for predictions."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from chainrule import checks
from chainrule.nn import Module
from chainrule.tabular import TabularModel
from chainrule.tabular.model import is_model, model_of
from chainrule.train import Trainer
from chainrule.train.model_file import build_model, read, values_of
from chainrule.train.network_copy import network_of
from chainrule.train.predictor import NetworkPredictor


class Predictions(ABC):
    """What a model predicts; it never changes.

    Attributes:
        classes: the labels of a classification, in the order of its probabilities; else None.
    """

    @property
    def classes(self) -> Any:
        return None

    @abstractmethod
    def predict(self, x: Any) -> Any:
        """The predictions for rows."""

    def predict_proba(self, x: Any) -> Any:
        """The probabilities of the classes for rows."""
        raise AttributeError("this model gives numbers, not probabilities of classes: use predict")


class Predictor:
    """The predictions of a trained model, which never changes: safe from any number of threads.

    It has a copy of the weights of its own. Each thread borrows a native plan with memory of its
    own, for 1, 2, 4, ... 512 rows; these make up any number of rows, and bound the memory.

    Args:
        model: a `nn.Module`; a `Trainer`, of which it takes the averaged weights where there are
            some; an `Ensemble`; a `tabular.TabularModel`; a fitted estimator of
            `chainrule.sklearn`; or the path of a file that `chainrule.save`, a Trainer, a
            TabularModel or `chainrule train` wrote.

    Attributes:
        classes: the labels of a table's or an estimator's classification, in the order of
            `predict_proba`; else None.

    Raises:
        FileNotFoundError, FileError: as `chainrule.load`.
        TypeError: if `model` is anything else.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> predictor = cr.Predictor(nn.Flatten())
        >>> predictor.predict([[1.0, 2.0], [3.0, 4.0]])
        array([[1., 2.],
               [3., 4.]], dtype=float32)
    """

    def __init__(self, model: Any) -> None:
        self._model = _predictions_of(model)
        self.classes: Any = self._model.classes

    def __reduce__(self) -> Any:
        return Predictor, (self._model,)

    def predict(self, x: Any) -> Any:
        """The model's predictions for `x`: of a network its outputs, in evaluation mode.

        Args:
            x: rows as `Trainer.predict`, `TabularModel.predict` or the estimator's `predict` takes
                them, of any number. The columns of a frame may be in any order.

        Returns:
            New arrays, with a row for each row of `x`. The last digits of a row may depend on how
            many rows there are: products of other sizes add up in another order.

        Raises:
            TypeError, ValueError: for what a model can't take: text, numbers that are not finite,
                columns that are missing.
            ShapeError: if the rows have another shape than the model takes.
            IndexError: for an index out of range.
        """
        return self._model.predict(x)

    def predict_proba(self, x: Any) -> Any:
        """The probability of each class for `x`, shape (rows, classes), in the order of `classes`.

        Args:
            x: as in `predict`.

        Raises:
            AttributeError: if the model gives numbers: of a network its outputs are what it gives.
            TypeError, ValueError: as `predict`.
        """
        return self._model.predict_proba(x)


class _OfNetwork(NetworkPredictor, Predictions):
    """A network's outputs."""


class _OfTable(TabularModel, Predictions):
    """A table's model that takes few rows as they are."""

    _fewest: ClassVar[int] = 1


def _predictions_of(model: Any) -> Predictions:
    """A copy of a model that predicts, and never changes."""
    if isinstance(model, (str, os.PathLike)):
        model = _from_file(model)
    if make := getattr(type(model), "_to_predictions", None):
        model = make(model)
    if isinstance(model, Trainer):
        model = network_of(model)
    if isinstance(model, Module):
        return _OfNetwork(model)
    if isinstance(model, Predictions):
        return model
    if isinstance(model, TabularModel):
        parts = model.columns, model.target, model.members, model.temperatures, model.weights
        return _OfTable(*parts, model.report, model.scores, model.score_weights)
    raise TypeError(
        "model is a nn.Module, a Trainer, an Ensemble, a TabularModel, a fitted estimator of "
        f"chainrule.sklearn or the path of a file, got {checks.described(model)}"
    )


def _from_file(path: str | os.PathLike[str]) -> Module | TabularModel:
    """The model of a file."""
    tensors, description = read(path)
    if is_model(found := values_of(path, tensors, description)):
        return model_of(path, found)
    if found:
        raise TypeError(f"{path} holds a dict, not a model: chainrule.load gives it")
    return build_model(path, tensors, description)
