"""A model of a table that `chainrule train --model realmlp` saved."""

from __future__ import annotations

import numbers
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.cli.tasks import classes_text
from chainrule.data.cells import is_missing, number
from chainrule.errors import FileError
from chainrule.graph.tensor import Array
from chainrule.tabular import TabularModel
from chainrule.tabular.cells import Meaning, as_text, canonical
from chainrule.tabular.model import is_model, model_of
from chainrule.train import save
from chainrule.train.model_file import metadata_of, values_of

_HASHES = "trained_rows"


@dataclass(frozen=True)
class SavedTable:
    """The content of a model's file.

    Attributes:
        model: the columns, the networks, the target.
        target: the name of the column that it predicts.
        hashes: of the rows that it was trained on; see `row_hashes`.
        metadata: of the file.
    """

    model: TabularModel
    target: str
    hashes: NDArray[np.uint32]
    metadata: Mapping[str, Any]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file."""
        content = {**self.model.to_dict(), _HASHES: self.hashes}
        save(content, path, {**self.metadata, "target": self.target})

    def inputs_of(self, table: Any) -> Any:
        """The columns that the model takes, of a table that was read."""
        columns = self.model.columns
        takes_names = columns.named and not columns.numbered
        return table if takes_names else table[list(columns.names)]

    def lacks_target(self, table: Any) -> Array:
        """Which rows of a table that was read have no target.

        Beside labels such as 01, which are text, a sign of a missing one as NA is one.
        """
        y = table[self.target]
        known = {as_text(label) for label in self.model.classes or ()}
        signs = [isinstance(v, str) and v not in known and is_missing(v) for v in y.tolist()]
        found: Array = y.isna().to_numpy() | np.array(signs, bool)
        return found

    def targets_of(self, table: Any, name: str) -> Array:
        """The targets of a table that was read from a file of this name.

        Raises:
            ValueError: for what is no number, or none of the classes.
        """
        y = table[self.target].infer_objects()
        labels = self.model.classes
        if labels is None:
            values = [] if y.dtype.kind in "iufb" else y.tolist()
            odd = next((value for value in values if not isinstance(value, numbers.Real)), None)
            if odd is not None:
                what = "are text" if isinstance(odd, str) else f"are no numbers, as {odd!r:.40}"
                raise ValueError(
                    f"{name}, column {self.target!r:.80}: the targets {what}, the model predicts "
                    "numbers."
                )
            return np.asarray(y.to_numpy(), np.float64)
        # The type of what is read depends on all rows: these may hold only some of the labels.
        known = {as_text(label): label for label in labels}
        texts = [as_text(value) for value in y.tolist()]
        known |= _of_same_value(set(texts).difference(known), known)
        wrong = next((row for row, text in enumerate(texts) if text not in known), None)
        if wrong is not None:
            raise ValueError(
                f"{name}: row {wrong} (counted from 0) has the label {texts[wrong]:.80}, which is "
                f"not a class of the model: {classes_text(labels)}."
            )
        return np.array([known[text] for text in texts])

    def rows_trained_on(self, table: Any, y: Any) -> int:
        """How many of these rows the model was trained on, up to about one in a million."""
        return int(np.isin(row_hashes(self.model, table, y), self.hashes).sum())


def table_of(
    path: str, tensors: Mapping[str, Array], description: Mapping[str, Any]
) -> SavedTable | None:
    """The model of a table of what `model_file.read` returned; None if it is another model.

    Raises:
        FileError: if the file is damaged.
    """
    content = values_of(path, tensors, description)
    if not is_model(content):
        return None
    hashes, metadata = content.get(_HASHES, np.empty(0, np.uint32)), metadata_of(path, description)
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint32:
        raise FileError(f"{path}: what it says of the rows it was trained on is damaged.")
    target = str(metadata.get("target") or "prediction")
    return SavedTable(model_of(path, content), target, hashes, metadata)


def _of_same_value(texts: Iterable[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """The labels that texts mean which are written in another way: 1 may mean 01, TRUE true.

    That is so where all labels are numbers, or all are True and False. A text whose value several
    labels have, as 1 beside 01 and 1.0, means none. Blanks around other labels mean nothing.

    Args:
        texts: those of a table.
        known: the labels of the model, by their texts.
    """
    are_truths = {canonical(label, "booleans") for label in known} <= {"True", "False"}
    if not are_truths and not all(number(label) is not None for label in known):
        return {text: known[text.strip()] for text in texts if text.strip() in known}
    meaning: Meaning = "booleans" if are_truths else "numbers"
    names = {label: canonical(label.strip(), meaning) for label in known}
    counts = Counter(names.values())
    of_value = {name: known[label] for label, name in names.items() if counts[name] == 1}
    found = {text: canonical(text.strip(), meaning) for text in texts}
    return {text: of_value[name] for text, name in found.items() if name in of_value}


def row_hashes(model: TabularModel, table: Any, y: Any) -> NDArray[np.uint32]:
    """A number for each row of a table with its target, by which it is known again."""
    arrays = model.columns.transform(table)
    columns: list[Array] = [a.T for a in arrays.values()]
    columns.append(np.asarray(model.target.encode(y), np.float64).reshape(1, -1))
    found = np.zeros(columns[-1].shape[1], np.uint64)
    for part in columns:
        for column in part:
            found ^= np.ascontiguousarray(column).view(np.uint64)
            found *= np.uint64(0x9E3779B97F4A7C15)  # odd, so that no bit is lost
            found ^= found >> np.uint64(29)
    return (found >> np.uint64(32)).astype(np.uint32)
