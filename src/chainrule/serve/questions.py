"""What a served model is asked and what it answers: rows as JSON has them, and back."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule.serve.predictor import Predictor
from chainrule.tabular import Columns, TabularModel
from chainrule.tabular.cells import EXACT
from chainrule.train.metrics.outputs import softmax

Rows: TypeAlias = dict[str, NDArray[Any]]
"""Rows as a model takes them; the first axis of each array counts them. The arrays of several
requests may be joined."""


class Field(NamedTuple):
    """A value of each row.

    Attributes:
        name: its name.
        kind: "number", "category" or "date"; "time" or "duration" of numbers of hours or days.
        values: those of a category that the model knows; else empty.
    """

    name: str
    kind: str
    values: tuple[str, ...] = ()


class Served(ABC):
    """A model to be served: it makes arrays of rows, and answers of arrays.

    Attributes:
        fields: what a row holds, in order; None for rows of a shape of their own.
        shape: the shape of a row.
        target: the name of what is predicted.
        classes: the labels of a classification; None of a regression.
        takes_missing: whether values of a row may be missing: null in JSON.
    """

    fields: tuple[Field, ...] | None
    shape: tuple[int, ...]
    target: str
    classes: tuple[Any, ...] | None
    takes_missing: bool = True

    @property
    def form(self) -> str:
        """What a row is, in words, where it is no object."""
        return f"a list of numbers of shape {self.shape}" if self.shape else "a number"

    @abstractmethod
    def rows(self, given: Sequence[Any]) -> Rows:
        """Rows as JSON has them, as arrays.

        Raises:
            ValueError: if one of them does not fit; it is named by its number, from 0.
        """

    @abstractmethod
    def outputs(self, rows: Rows) -> NDArray[Any]:
        """The predictions for such arrays: probabilities of classes, or numbers."""

    def answer(self, outputs: NDArray[Any]) -> dict[str, Any]:
        """The predictions as JSON has them.

        Raises:
            ValueError: if one of them is not finite, for which JSON has no number.
        """
        finite = np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"the prediction of row {int(finite.argmin())} is not finite: its numbers are too "
                "large for this model"
            )
        if self.classes is None:
            return {"predictions": outputs.tolist()}
        return {
            "predictions": [self.classes[number] for number in outputs.argmax(axis=1)],
            "classes": list(self.classes),
            "probabilities": outputs.tolist(),
        }


class ServedTable(Served):
    """A `TabularModel`: rows are objects by the names of the columns, or lists in their order."""

    def __init__(self, model: TabularModel, target: str = "prediction") -> None:
        self.model = model
        self.target = target
        columns = model.columns
        self.fields = tuple(_fields(columns))
        self.shape = (len(columns.columns),)
        self.classes = None if model.classes is None else _labels(model.classes)
        self._used = [field.name for field in self.fields]

    @property
    def form(self) -> str:
        names, text = self.model.columns.names, f"a list of {self.shape[0]} values"
        if len(self._used) == len(names):
            return text
        return f"{text}, also of what is not used: {', '.join(map(repr, names))}"

    def rows(self, given: Sequence[Any]) -> Rows:
        rows = [self._row(row, number) for number, row in enumerate(given)]
        used = map(list, zip(*rows, strict=True))
        columns = dict(zip(self._used, used, strict=True))
        missing = [None] * len(given)
        names = self.model.columns.names
        return self.model.columns.transform({name: columns.get(name, missing) for name in names})

    def _row(self, row: Any, number: int) -> list[Any]:
        """The values of the columns that are used."""
        names = self.model.columns.names
        if isinstance(row, list) and len(row) == len(names):
            row = dict(zip(names, row, strict=True))
        elif not isinstance(row, dict):
            raise ValueError(
                f"row {number} is an object with the names of the columns, or a list of "
                f"{len(names)} values"
            )
        values = _by_name(row, self._used, number)
        for name, value in zip(self._used, values, strict=True):
            if isinstance(value, (dict, list)):
                raise ValueError(f"row {number}: {name!r} is a number, text, true, false or null")
        return values

    def outputs(self, rows: Rows) -> NDArray[Any]:
        return self.model.predict_encoded(rows)


_KINDS = {"times": "time", "durations": "duration"}


def _fields(columns: Columns) -> list[Field]:
    """The columns that are used."""
    return [
        Field(
            column.name, _KINDS.get(str(column.wanted), said["kind"]), getattr(column, "values", ())
        )
        for column, said in zip(columns.columns, columns.describe(), strict=True)
        if said["kind"] != "unused"
    ]


class ServedArray(Served):
    """A network: rows are lists of numbers, or objects by the names of the columns it has them of.

    Args:
        predictor: the network's.
        shape: the shape of a row.
        names: the names of the numbers of a row, if they have any.
        classes: the labels, of a classification; the outputs are logits.
        target: the name of what is predicted.

    Raises:
        ValueError: if the network has other outputs than one for each class; if JSON can't hold
            the classes; if a row has not as many numbers as there are names.
    """

    takes_missing = False

    def __init__(
        self,
        predictor: Predictor,
        shape: tuple[int, ...],
        names: Sequence[str] | None = None,
        classes: Sequence[Any] | None = None,
        target: str = "prediction",
    ) -> None:
        self.predictor = predictor
        self.shape = tuple(shape)
        if names is not None and self.shape != (len(names),):
            raise ValueError(
                f"names are of each number of a row, got {len(names)} for shape {self.shape}"
            )
        self.fields = None if names is None else tuple(Field(name, "number") for name in names)
        self.classes = None if classes is None else _labels(classes)
        self.target = target
        found = predictor.predict(np.zeros((1, *shape)))
        if self.classes is not None and found.shape != (1, len(self.classes)):
            raise ValueError(
                f"the network has outputs of shape {found.shape[1:]} for {len(self.classes)} "
                "classes: it needs one logit for each class. Leave classes out to serve its numbers"
            )

    def rows(self, given: Sequence[Any]) -> Rows:
        if self.fields is not None:
            names = [field.name for field in self.fields]
            given = [_by_name(row, names, n) if isinstance(row, dict) else row
                     for n, row in enumerate(given)]  # fmt: skip
        rows = [self._row(row, number) for number, row in enumerate(given)]
        # Layers such as Standardize use all digits; the predictor rounds for others.
        return {"x": np.array(rows, np.float64)}

    def _row(self, row: Any, number: int) -> NDArray[Any]:
        what = f"row {number} is {self.form}"
        if self.fields is not None:
            what += ", or an object with a number for each column; none may be missing"
        try:
            values = np.array(row)
        except (ValueError, TypeError):
            raise ValueError(what) from None
        if values.shape != self.shape or values.dtype.kind not in "iuf":
            seen = "" if values.dtype.kind not in "iuf" else f", got shape {values.shape}"
            raise ValueError(what + seen)
        if not (np.abs(values) <= np.finfo(np.float32).max).all():
            raise ValueError(f"row {number} holds a number that is too large, or not finite")
        return values

    def outputs(self, rows: Rows) -> NDArray[Any]:
        outputs: NDArray[Any] = self.predictor.predict(rows["x"])
        if self.classes is None:
            return outputs
        return softmax(outputs.astype(np.float64))


def _labels(classes: Sequence[Any]) -> tuple[Any, ...]:
    """The labels of classes as JSON has them: NumPy's as those of Python, and integers of more than
    53 bits, which browsers round, as text.
    """
    labels = tuple(c.item() if isinstance(c, np.generic) else c for c in classes)
    if any(isinstance(label, int) and abs(label) >= EXACT for label in labels):
        labels = tuple(map(str, labels))
    try:
        json.dumps(labels, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"classes are labels that JSON can hold, got {classes!r:.80} ({error}). Give texts, "
            "whole numbers or booleans"
        ) from None
    return labels


def _by_name(row: dict[str, Any], names: Sequence[str], number: int) -> list[Any]:
    lacking = [name for name in names if name not in row]
    if lacking:
        raise ValueError(f"row {number} lacks {', '.join(map(repr, lacking[:8]))}")
    return [row[name] for name in names]
