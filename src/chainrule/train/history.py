"""History: the records of all epochs."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from chainrule.graph.names import ForeignName
from chainrule.graph.tensor import Tensor
from chainrule.markup import aligned
from chainrule.system.atomic_files import write_atomically
from chainrule.train.notebook import html_of_history


class History:
    """One record per epoch: its number, loss and metrics, on training and validation data.

    Attributes:
        epochs: the records; each a dict with ``epoch``, ``loss``, the metrics, the same names with
            ``validation_`` before them where there is validation data, ``lr`` and ``seconds``.
        stop_reason: why training ended before the last epoch, or None.

    Example:
        >>> history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
        >>> print(history)
        epoch  loss
            1   0.5
            2  0.25
        >>> history["loss"]
        [0.5, 0.25]
    """

    history = ForeignName("history", "history[name], or history.to_dict() of all columns")
    plot = ForeignName("plot", "plt.plot(history['loss']), or history.to_dict() for a table")

    def __init__(self, epochs: list[dict[str, float]] | None = None) -> None:
        self.epochs: list[dict[str, float]] = list(epochs or [])
        self.stop_reason: str | None = None

    def append(self, record: Mapping[str, float]) -> None:
        """Add the record of an epoch."""
        self.epochs.append(dict(record))

    def update_last(self, record: Mapping[str, Any], source: str) -> None:
        """Take over what was put into the record of the last epoch.

        Args:
            record: names with numbers.
            source: who put it there, for the error message.

        Raises:
            TypeError: for a name that is no string, or a value that is no number.
        """
        found = {}
        for name, value in record.items():
            array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
            if not isinstance(name, str) or array.shape != () or array.dtype.kind not in "biuf":
                raise TypeError(
                    f"{source} put {name!r}: {value!r:.80} into the record of an epoch, but a "
                    "record holds numbers by name"
                )
            found[name] = value if isinstance(value, (int, float)) else array.item()
        self.epochs[-1].update(found)

    @property
    def names(self) -> list[str]:
        """The columns, in the order in which they first came."""
        return list(dict.fromkeys(name for record in self.epochs for name in record))

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.epochs)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.names) or 'none yet'}")
        return [record.get(name, float("nan")) for record in self.epochs]

    def to_dict(self) -> dict[str, list[float]]:
        """The columns as lists, one entry per epoch."""
        return {name: self[name] for name in self.names}

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """Write a CSV file, or return its text where no path is given.

        The file is written whole or not at all, as `Trainer.save` does.
        """
        import csv  # here, because it slows down `import chainrule`

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.names)
        for record in self.epochs:
            writer.writerow([record.get(name, "") for name in self.names])
        if path is None:
            return text.getvalue()
        write_atomically(path, text.getvalue().encode())
        return None

    def __str__(self) -> str:
        names = self.names
        return aligned([names, *([record.get(n, "") for n in names] for record in self.epochs)])

    def __repr__(self) -> str:
        return f"<History of {len(self)} epochs>"

    def _repr_html_(self) -> str:
        return html_of_history(self)
