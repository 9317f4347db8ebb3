"""Sources of batches: arrays, cut into batches here, or any iterable of batches."""

from __future__ import annotations

import itertools
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from chainrule.data.arrays import Data, Form
from chainrule.data.batches import Batches, Window, windows
from chainrule.errors import DTypeError, ShapeError, warn
from chainrule.graph.tensor import Array
from chainrule.train.backends import MOST_STEPS, Backend
from chainrule.train.checked_rows import checked_rows, checked_rows_of_inputs

Purpose = Literal["training", "evaluation", "prediction"]


class Source(ABC):
    """Gives the batches of every pass over some data.

    Attributes:
        form: the form of the first batch.
        size: the number of its rows.
        batches: how many there are in a pass; None where that is not known. Of an iterable it is
            what it says of itself, until a pass has been counted: for the display alone.
        arrays: arrays of the data, among them those that lie in files as far as they are known.
        key: what fixes which rows come when in a training; see `TrainingState`.
    """

    form: Form
    size: int
    batches: int | None
    arrays: tuple[Array, ...]
    key: dict[str, Any]

    @abstractmethod
    def windows(self, epoch: int = 0, start: int = 0) -> Generator[Window, None, None]:
        """Yield the batches of a pass, those from number `start` on."""

    @abstractmethod
    def full_windows(self, epoch: int, most: int) -> Generator[Window, None, None]:
        """Yield at most `most` batches of a pass, without a last one that is cut short here."""


class ArraySource(Source):
    """Batches of arrays, which have been checked.

    Args:
        data: the arrays.
        size: rows in a batch; the last may have fewer.
        order: epoch -> the row numbers of its pass, in order; None for all as they are.
        rows: in a pass; by default all.
        key: what fixes which rows come when; by default the data and these settings do.
    """

    def __init__(
        self,
        data: Data,
        size: int,
        *,
        order: Callable[[int], Array] | None = None,
        rows: int | None = None,
        key: dict[str, Any] | None = None,
    ) -> None:
        self.data = data
        self.form = data.form
        self.size = size
        self.batches = -(-(data.rows if rows is None else rows) // size)
        self.arrays = data.arrays
        self._order = order
        self._key = key

    @property
    def key(self) -> dict[str, Any]:  # type: ignore[override]
        return self._key or {
            "rows": self.data.rows,
            "batch_size": self.size,
            "shuffle": self._order is not None,
            "fingerprint": self.data.fingerprint(),
        }

    def windows(self, epoch: int = 0, start: int = 0) -> Generator[Window, None, None]:
        order = None if self._order is None else self._order(epoch)
        return windows(self.data, self.size, order=order, start=start)

    def full_windows(self, epoch: int, most: int) -> Generator[Window, None, None]:
        order = np.arange(self.data.rows) if self._order is None else self._order(epoch)
        count = min(len(order) // self.size, most)
        return windows(self.data, self.size, order=order[: count * self.size])


class StreamSource(Source):
    """Batches of an iterable, each checked when it comes; the first one at once.

    Args:
        batches: the iterable. A method `set_epoch` of it is called with the number of the epoch
            before each pass.
        backend: takes the batches.
        purpose: what for.
        name: what to call them in error messages.
        epoch: the number of the first pass.

    Raises:
        ValueError, TypeError, ShapeError, DTypeError: for no batch, or a first one that does not
            fit.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        backend: Backend[Any],
        purpose: Purpose,
        name: str = "",
        epoch: int = 0,
    ) -> None:
        self._iterable = batches
        self._backend = backend
        self._purpose = purpose
        self._name = name
        self._has_epochs = hasattr(batches, "set_epoch") and not isinstance(batches, Iterator)
        self._signatures: set[tuple[Form, int]] = set()
        self._kind: Any = None
        try:
            self.batches = len(batches)  # type: ignore[arg-type]
        except (TypeError, NotImplementedError, AttributeError):
            self.batches = None
        rest = self._pass(epoch)
        first = next(rest, _NOTHING)
        if first is _NOTHING:
            raise ValueError(
                f"{name}x, {in_words(batches)}, gives no batches. If it was passed through "
                "before, make it anew; a DataLoader with drop_last=True drops a last batch that "
                "is not full"
            )
        data = self._checked(first, 0, epoch)
        self.form, self.size, self.arrays = data.form, data.rows, data.arrays
        self._begun: tuple[int, Iterator[Any]] | None = epoch, itertools.chain([first], rest)
        self.key = stream_key(data.form)

    def _pass(self, epoch: int) -> Iterator[Any]:
        if self._has_epochs:
            self._iterable.set_epoch(epoch)  # type: ignore[attr-defined]
        return iter(self._iterable)

    def _taken(self, epoch: int) -> Iterator[Any]:
        """A pass: the one that has begun with the first batch, or a new one."""
        begun, self._begun = self._begun, None
        if begun is None or (self._has_epochs and begun[0] != epoch):
            return self._pass(epoch)
        return begun[1]

    def windows(self, epoch: int = 0, start: int = 0) -> Generator[Window, None, None]:
        # Whether a batch is the last is known when the next has been asked for. That may lie in
        # the memory of the one before, so training takes copies.
        waiting: Window | None = None
        count = 0
        for count, batch in enumerate(self._taken(epoch), 1):  # no local: an error keeps those
            if count <= start:
                continue
            if waiting is not None:
                yield waiting
            data = self._checked(batch, count - 1, epoch)
            if self._purpose == "training":
                copied = _one(data.map(_copied), is_copied=True)
                waiting = Window(count - 1, copied, is_last=False)
            else:
                yield Window(count - 1, _one(data))
        if count < max(start, 1):
            raise ValueError(self._too_few(count, start, epoch))
        self.batches = count
        if waiting is not None:
            yield waiting._replace(is_last=True)

    def full_windows(self, epoch: int, most: int) -> Generator[Window, None, None]:
        return self.windows(epoch)

    def _too_few(self, count: int, start: int, epoch: int) -> str:
        given = f"{self._name}x, {in_words(self._iterable)}, gives"
        if start > count:
            return (
                f"{given} {count} batches in epoch {epoch + 1}, of which {start} were done when "
                "the training was saved. Resume with the same batches"
            )
        return (
            f"{given} no batches in pass {epoch + 1}: it can be passed through only once. Give an "
            "iterable whose __iter__ begins anew, such as a DataLoader or a list"
        )

    def _checked(self, batch: Any, number: int, epoch: int) -> Data:
        """The batch as data that fit the model, or an error that says which batch it was."""
        try:
            data = self._read(batch)
            self._check_form(data)
            if self._purpose == "prediction":
                self._check_prediction(data)
            else:
                training = self._purpose == "training"
                self._backend.check(data, data.rows, training=training)
        except (ValueError, TypeError, ShapeError, DTypeError) as error:
            if type(error) not in (ValueError, TypeError, ShapeError, DTypeError):
                raise
            where = f"{self._name}batch {number + 1}"
            if self._purpose == "training" or self._name:
                where += f" of epoch {epoch + 1}"
            raise type(error)(f"{where}: {error}") from error
        return data

    def _read(self, batch: Any) -> Data:
        graphs = self._backend.graphs
        if self._purpose == "prediction":
            return checked_rows_of_inputs(graphs, batch)
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise TypeError(
                f"a batch is a pair (x, y) or a triple (x, y, sample_weight), this is "
                f"{in_words(batch)}. Make pairs by a generator in the __iter__ of a class, or by "
                "the collate_fn of the DataLoader"
            )
        x, y, weight = (*batch, None)[:3]
        names = graphs.model._column_names
        return checked_rows(graphs, x, y, weight, names, all_rows=False)

    def _check_prediction(self, data: Data) -> None:
        try:
            self._backend.graph("prediction", data.form, data.rows)
        except TypeError as error:
            raise TypeError(
                f"{error}. A tuple is as many inputs; of batches (x, y) give x alone, as in "
                "predict(x for x, y in batches)"
            ) from error

    def _check_form(self, data: Data) -> None:
        """Raise ValueError for a batch made up otherwise than the first; warn of many sizes."""
        kind = data.form.structures, data.form.dtypes
        self._kind = self._kind or kind
        if kind != self._kind:
            raise ValueError(
                f"it is made up of {_form(*kind)}, the first batch was of {_form(*self._kind)}: "
                "all must be alike but for the number of rows and the shapes"
            )
        signature = data.form, data.rows
        if signature not in self._signatures and len(self._signatures) <= MOST_STEPS:
            self._signatures.add(signature)
            if len(self._signatures) > MOST_STEPS:
                warn(
                    f"the batches have more than {MOST_STEPS} different shapes, and each is a plan "
                    "of its own: making plans again and again is slow. Bring the batches to a few "
                    "sizes",
                )


_NOTHING = object()


def stream_key(form: Form) -> dict[str, Any]:
    """The key of batches of a form, of which nobody knows which rows come when."""
    dtypes, axes = [str(dtype) for dtype in form.dtypes], [len(shape) for shape in form.shapes]
    text = repr((form.structures, dtypes, axes))
    fingerprint = f"{zlib.crc32(text.encode()):08x}"
    return {"rows": None, "batch_size": None, "shuffle": None, "fingerprint": fingerprint}


def _one(data: Data, *, is_copied: bool = False) -> Batches:
    return Batches(data, np.arange(data.rows), data.rows, is_copied=is_copied)


def _copied(array: Array) -> Array:
    return np.array(array, order="C")


def _form(structures: Sequence[Any], dtypes: Sequence[Any]) -> str:
    """What a batch is made up of, in words."""
    found, rest = [], iter(dtypes)
    for name, structure in zip(("x", "y", "sample_weight"), structures, strict=False):
        count = 1 if structure is None else structure if isinstance(structure, int) else None
        names = structure if count is None else [""] * count
        parts = [f"{key} {next(rest)}".strip() for key in names]
        found.append(f"{name} ({', '.join(parts)})")
    return ", ".join(found)


def in_words(thing: Any) -> str:
    """A thing's type, and the length of a sequence, in words."""
    if thing is None:
        return "None"
    name = type(thing).__name__
    text = f"an {name}" if name[0] in "aeiouAEIOU" or name == "ndarray" else f"a {name}"
    return f"{text} of length {len(thing)}" if isinstance(thing, (tuple, list)) else text
