"""TabularModel: the columns of a table, the networks trained on them, and what they predict."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.data.arrays import Form, check_same_rows
from chainrule.data.batches import in_few_sizes
from chainrule.errors import FileError
from chainrule.nn import RealMLP, from_description, to_description
from chainrule.tabular.columns import Columns
from chainrule.tabular.importances import gradient_times_input
from chainrule.tabular.intervals import interval
from chainrule.tabular.reading import rows_in, rows_of
from chainrule.tabular.targets import Classes, Numbers, Target, target_from_dict
from chainrule.train import save
from chainrule.train.metrics.outputs import softmax
from chainrule.train.model_file import read, values_of
from chainrule.train.predictor import NetworkPredictor

_FORMAT = 1
_ROWS = 16_384
"""Rows of a table that become arrays, and outputs, at once: they bound the memory."""

_WHOLE = 512
"""Rows that go through a network at once."""


class TabularModel:
    """Predicts a column of a table from the others; made by `fit`.

    It does not change, and any number of threads may predict with it at once.

    Attributes:
        columns: the `Columns`: what was decided for each, and how rows become arrays.
        target: the classes, or the mean, scale and range of the numbers that are predicted.
        members: the networks, whose predictions are averaged.
        temperatures: what the outputs of each are divided by, before they become probabilities; of
            a Gaussian by what its standard deviations are multiplied for an interval.
        weights: the weight of each in the average; they sum to 1.
        scores: of a regression, how far the targets of the rows held out lie from their
            predictions; None where none were held out. Of a Gaussian in its standard deviations
            times the temperature.
        score_weights: the weights of these rows, or None.
        report: what the training found: for each of the "members" its "best_epoch",
            "validation_error", "epochs" and "stop_reason"; how many "rows" there were, the
            "preset", and the "seconds" that all took.

    Example:
        >>> import numpy as np
        >>> from chainrule import tabular
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(200, 3))
        >>> model = tabular.fit(x, np.where(x[:, 0] > 0, "up", "down"), "classification", epochs=9)
        >>> model.predict([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]).tolist()
        ['up', 'down']
        >>> model.predict_proba([[2.0, 0.0, 0.0]]).shape
        (1, 2)
    """

    _fewest: ClassVar[int] = 16
    """What fewer rows are filled up to: products of fewer add up in another order, and small layers
    then give a row the same bits among any others. Wide ones may differ in the last digits."""

    def __init__(
        self,
        columns: Columns,
        target: Target,
        members: Sequence[RealMLP],
        temperatures: Sequence[float],
        weights: Sequence[float],
        report: Mapping[str, Any],
        scores: NDArray[np.float64] | None = None,
        score_weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.columns = columns
        self.target = target
        self.members = tuple(member.eval() for member in members)
        self.temperatures = tuple(temperatures)
        self.weights = tuple(weights)
        self.report = dict(report)
        self.scores = scores
        self.score_weights = score_weights
        self._networks = [NetworkPredictor(member) for member in self.members]
        self._form: Form | None = None

    def __reduce__(self) -> Any:
        return _from_state, (self.to_dict(),)

    @property
    def is_classification(self) -> bool:
        """Whether it predicts classes."""
        return isinstance(self.target, Classes)

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """The labels of a classification, in the order of its probabilities; else None."""
        return self.target.labels if isinstance(self.target, Classes) else None

    def predict(self, table: Any) -> NDArray[Any]:
        """The class with the highest probability, or the number, for each row of a table.

        The last digits of a number or a probability may depend on how many rows there are: products
        of other sizes add up in another order.

        Args:
            table: as in `Columns.transform`.

        Raises:
            ValueError, TypeError: as `Columns.transform`.
        """
        return self._decoded(self._mean_of(self._outputs(table)))

    def _decoded(self, predictions: NDArray[np.float64]) -> NDArray[Any]:
        """The classes of the highest probabilities, or numbers as they are."""
        if isinstance(self.target, Classes):
            return self.target.decode(predictions.argmax(axis=1))
        return predictions

    def predict_proba(self, table: Any) -> NDArray[np.float64]:
        """The probability of each class, in the order of `target.labels`: shape (rows, classes).

        Raises:
            ValueError, TypeError: as `Columns.transform`.
            AttributeError: for a regression.
        """
        if not self.is_classification:
            raise AttributeError("a regression has no probabilities: use predict")
        return self._mean_of(self._outputs(table))

    def predict_encoded(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """The probabilities of the classes, or the numbers, for rows that `columns.transform` made
        arrays of; such arrays of several tables may be joined.

        Raises:
            ValueError: for other arrays, or of different lengths; for numbers that are not finite,
                and codes that are out of range.
        """
        columns = self.columns
        widths = {"numbers": columns.numeric + columns.plain, "codes": len(columns.sizes)}
        expected = {name: width for name, width in widths.items() if width}
        found = {name: np.shape(array)[1:] for name, array in arrays.items()}
        if found != {name: (width,) for name, width in expected.items()}:
            raise ValueError(f"arrays have the widths {expected}, got the shapes of rows {found}")
        check_same_rows(**arrays)
        if "numbers" in arrays and not np.isfinite(arrays["numbers"]).all():
            raise ValueError("numbers are NaN or infinite: columns.transform fills in missing ones")
        codes = arrays.get("codes", np.zeros(1, np.int64))
        if ((codes < 0) | (codes >= max(sum(columns.sizes), 1))).any():
            raise ValueError(f"codes are in [0, {sum(columns.sizes)})")
        return self._mean_of(self._outputs_of({name: arrays[name] for name in expected}))

    def _mean_of(self, outputs: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """The probabilities of the classes, or the numbers, of the outputs of all members."""
        target = self.target
        if isinstance(target, Classes):
            pairs = zip(outputs, self.temperatures, strict=True)
            found = [softmax(o.astype(np.float64) / t) for o, t in pairs]
        else:
            found = [target.decode(o) for o in outputs]
        return found[0] if len(found) == 1 else self._average(found)

    def _average(self, found: Any) -> NDArray[np.float64]:
        """The weighted mean of what the members predict."""
        return np.asarray(np.average(found, axis=0, weights=self.weights))

    def predict_interval(
        self, table: Any, coverage: float = 0.9
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The bounds between which the target of a row lies with probability `coverage`.

        Their width is that which held this share of the rows held out, by their weights: the same
        for all rows, or with loss="gaussian" in proportion to the standard deviation, or with
        loss="quantile" what widens the outermost two quantiles. These rows have also chosen the
        best epoch, so a little fewer than this share may lie within. Of an ensemble they are of
        single members, and the mean of these errs less: after few epochs more may lie within.

        Returns:
            (low, high), each of the shape of `predict`.

        Raises:
            ValueError, TypeError: as `Columns.transform`; if no rows were held out.
            AttributeError: for a classification.

        Warns:
            UserWarning: if fewer rows were held out than tell this coverage.
        """
        target = self._regression()
        coverage = checks.Interval(0, 1).check("coverage", coverage)
        if self.scores is None:
            raise ValueError(
                "no rows were held out, which tell how wide an interval must be: fit with a "
                "validation_fraction above 0, or with validation, and five rows or more"
            )
        outputs = self._outputs(table)
        return interval(
            target, outputs, self.weights, self.temperatures, self.scores, self.score_weights,
            coverage,
        )  # fmt: skip

    def predict_quantiles(self, table: Any) -> NDArray[np.float64]:
        """The quantiles of `target.quantiles`, rising in each row: shape (rows, quantiles).

        Raises:
            AttributeError: unless it was trained with loss="quantile".
        """
        target = self._regression()
        if target.loss != "quantile":
            raise AttributeError('quantiles are predicted with loss="quantile"')
        return self._average([target.bounds(o) for o in self._outputs(table)])

    def predict_std(self, table: Any) -> NDArray[np.float64]:
        """The standard deviation of each row's target, shape (rows,).

        Raises:
            AttributeError: unless it was trained with loss="gaussian".
        """
        target = self._regression()
        if target.loss != "gaussian":
            raise AttributeError('a standard deviation is predicted with loss="gaussian"')
        outputs = self._outputs(table)
        scale = target.scale[0]  # all is divided by it, as squares of large numbers overflow
        means = np.stack([target.decode(o).reshape(-1) / scale for o in outputs])
        squares = np.stack([np.square(target.deviation(o) / scale) for o in outputs])
        apart = np.square(means - self._average(means))
        return np.sqrt(self._average(squares + apart)) * scale

    def importances(self, table: Any) -> dict[str, float]:
        """How much each column moves the outputs: the shares of gradient times input.

        For each row the change of an output by a column is the sum over the column's features of
        the output's derivative times the feature's distance from its mean over the rows. A column's
        share is the mean of its absolute values, over rows, outputs and members.

        Args:
            table: rows, as in `Columns.transform`; a few thousand are enough.

        Source: Shrikumar, Greenside, Shcherbina, Kundaje, "Not just a black box: learning important
        features through propagating activation differences", 2016.
        """
        return self.importances_encoded(self.columns.transform(table))

    def importances_encoded(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """The same for rows that `columns.transform` made arrays of."""
        _check_some_rows(arrays)
        found = self._average([gradient_times_input(self.columns, m, arrays) for m in self.members])
        shares = found / max(found.sum(), 1e-300)
        return dict(zip(self.columns.names, shares.tolist(), strict=True))

    def _regression(self) -> Numbers:
        if isinstance(self.target, Numbers):
            return self.target
        raise AttributeError("this is of numbers, and a classification has probabilities")

    def _outputs(self, table: Any) -> list[NDArray[Any]]:
        """The outputs of each member."""
        rows = rows_in(table)
        if rows <= _ROWS:
            return self._outputs_of(self.columns.transform(table))
        parts: list[list[NDArray[Any]]] = []
        for start in range(0, rows, _ROWS):
            try:
                arrays = self.columns.transform(rows_of(table, slice(start, start + _ROWS)))
            except (ValueError, TypeError):
                self.columns.transform(table)  # names the row among all
                raise
            parts.append(self._outputs_of(arrays))
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _outputs_of(self, arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        _check_some_rows(arrays)
        rows = len(next(iter(arrays.values())))
        if self._form is None:
            self._form = self._networks[0].form({n: a[:1] for n, a in arrays.items()})
        batches = list(in_few_sizes(rows, _WHOLE, self._fewest))
        parts = [[array[which] for array in arrays.values()] for which, _, _ in batches]
        found = []
        for network in self._networks:
            outputs = [network.outputs(self._form, part) for part in parts]
            found.append(outputs[0] if len(outputs) == 1 else np.concatenate(outputs))
        return [outputs[:rows] for outputs in found]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save all of it in a safetensors file, from which `load` makes it again.

        Raises:
            OSError: if the folder is missing or can't be written to, or the disk is full.
        """
        save(self.to_dict(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TabularModel:
        """The model of a file that `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            FileError: if it is truncated, damaged, or of something else.
        """
        found = values_of(path, *read(path))
        if not is_model(found):
            raise FileError(f"{path} holds no TabularModel: chainrule.load(path) says what it is")
        return model_of(path, found)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as plain values and arrays, as `chainrule.save` takes them."""
        return {
            "tabular": _FORMAT,
            "columns": self.columns.to_dict(),
            "target": asdict(self.target),
            "members": [
                {"network": to_description(m), "state": m.state_dict()} for m in self.members
            ],
            "temperatures": list(self.temperatures),
            "weights": list(self.weights),
            "scores": self.scores,
            "score_weights": self.score_weights,
            "report": self.report,
        }

    def __repr__(self) -> str:
        target = self.target
        what = f"{target.outputs} classes" if isinstance(target, Classes) else "numbers"
        return (
            f"<TabularModel of {what}, from {len(self.columns.columns)} columns, by "
            f"{len(self.members)} network{'s' * (len(self.members) > 1)}>"
        )


def _check_some_rows(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError for arrays without rows."""
    if not len(next(iter(arrays.values()))):
        raise ValueError("x has 0 sample(s); a minimum of 1 is required")


def is_model(found: Mapping[Any, Any]) -> bool:
    """Whether the dict of a file is what `TabularModel.to_dict` gives."""
    return found.get("tabular") == _FORMAT


def model_of(path: str | os.PathLike[str], found: Mapping[str, Any]) -> TabularModel:
    """The model in the dict of a file.

    Raises:
        FileError: if it is damaged.
    """
    try:
        return _from_state(found)
    except Exception as error:
        raise FileError(f"{path}: its TabularModel is damaged ({error!r:.200})") from None


def _from_state(found: Mapping[str, Any]) -> TabularModel:
    columns, target = Columns.from_dict(found["columns"]), target_from_dict(found["target"])
    members = _members_of(found["members"], columns, target)
    temperatures = [float(t) for t in found["temperatures"]]
    weights = [float(w) for w in found["weights"]]
    if not members or not len(temperatures) == len(weights) == len(members):
        counts = f"{len(temperatures)} temperatures, {len(weights)} weights"
        raise ValueError(f"{len(members)} networks, {counts}")
    if not all(t > 0 and math.isfinite(t) for t in temperatures):
        raise ValueError(f"temperatures are above 0, not {temperatures}")
    if not min(weights) >= 0 or not abs(sum(weights) - 1) < 1e-6:
        raise ValueError(f"weights {weights} of the networks do not sum to 1")
    scores, score_weights = found["scores"], found.get("score_weights")
    _check_scores(scores, score_weights, target)
    return TabularModel(
        columns, target, members, temperatures, weights, found["report"], scores, score_weights
    )


def _members_of(
    described: Sequence[Mapping[str, Any]], columns: Columns, target: Target
) -> list[RealMLP]:
    """The networks of a file, which fit these columns and this target."""
    members = []
    used: set[int] = set()  # a file could make many networks of the same tensors
    expected = columns.numeric, columns.plain, len(columns.sizes), sum(columns.sizes)
    for given in described:
        tensors = {id(array) for array in given["state"].values()}
        if used & tensors:
            raise ValueError("two networks share a tensor")
        used |= tensors
        held = sum(np.size(array) for array in given["state"].values())
        member = from_description(given["network"], max_elements=held)
        if not isinstance(member, RealMLP):
            raise ValueError(f"a member is a RealMLP, not {type(member).__name__}")
        made = member.numeric, member.plain, member.codes, member.num_codes
        if made != expected or member.outputs != target.outputs:
            raise ValueError("its networks do not fit its columns")
        member.load_state_dict(given["state"])
        members.append(member)
    return members


def _check_scores(scores: Any, weights: Any, target: Target) -> None:
    """Raise ValueError for scores of rows held out that fit no target, or have other weights."""
    if scores is not None:
        shape = (len(target.mean),) if isinstance(target, Numbers) else ()
        if scores.shape[1:] != shape or not scores.size or not np.isfinite(scores).all():
            raise ValueError(f"scores of shape {scores.shape}, or not finite, fit no target")
    if weights is not None and (
        scores is None
        or weights.shape != scores.shape[:1]
        or not np.isfinite(weights).all()
        or weights.min() <= 0
    ):
        raise ValueError("score_weights are no weights of its scores")
