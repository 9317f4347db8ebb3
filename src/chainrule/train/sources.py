"""Sources of batches: arrays, cut into batches here, or any iterable of batches."""

from __future__ import annotations

import itertools
import warnings
import zlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from chainrule import checks
from chainrule.data.arrays import Data, Form, checked_data, checked_inputs
from chainrule.data.batches import Batches, Window, check_batch_size, permutation, windows
from chainrule.data.dataset import Dataset
from chainrule.data.splitting import hold_out
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Array
from chainrule.train.backends import MOST_STEPS, Backend
from chainrule.train.training_step import check_takes_weights

ROWS = 256
"""The default number of rows in a batch of an evaluation or a prediction."""

_TRAINED_ROWS = 64
"""The default number of rows in a batch of a training."""

_Purpose = Literal["training", "evaluation", "prediction"]


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
        shuffle: whether each pass has an order of its own, which depends on `seed`.
    """

    def __init__(self, data: Data, size: int, *, shuffle: bool = False, seed: int = 0) -> None:
        self.data = data
        self.form = data.form
        self.size = size
        self.batches = -(-data.rows // size)
        self.arrays = data.arrays
        self._shuffle = shuffle
        self._seed = seed

    @property
    def key(self) -> dict[str, Any]:  # type: ignore[override]
        return {
            "rows": self.data.rows,
            "batch_size": self.size,
            "shuffle": self._shuffle,
            "fingerprint": self.data.fingerprint(),
        }

    def windows(self, epoch: int = 0, start: int = 0) -> Generator[Window, None, None]:
        order = permutation(self.data.rows, self._seed, epoch) if self._shuffle else None
        return windows(self.data, self.size, order=order, start=start)

    def full_windows(self, epoch: int, most: int) -> Generator[Window, None, None]:
        count = min(self.data.rows // self.size, most) * self.size
        order = permutation(self.data.rows, self._seed, epoch)[:count]
        return windows(self.data, self.size, order=order)


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
        purpose: _Purpose,
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
                f"{name}x, {_described(batches)}, gives no batches. If it was passed through "
                "before, make it anew; a DataLoader with drop_last=True drops a last batch that "
                "is not full"
            )
        data = self._checked(first, 0, epoch)
        self.form, self.size, self.arrays = data.form, data.rows, data.arrays
        self._begun: tuple[int, Iterator[Any]] | None = epoch, itertools.chain([first], rest)
        axes = [len(shape) for shape in data.form.shapes]
        dtypes = [str(dtype) for dtype in data.form.dtypes]
        form = repr((data.form.structures, dtypes, axes))
        self.key = {
            "rows": None,
            "batch_size": None,
            "shuffle": None,
            "fingerprint": f"{zlib.crc32(form.encode()):08x}",
        }

    def _pass(self, epoch: int) -> Iterator[Any]:
        if self._has_epochs:
            self._iterable.set_epoch(epoch)  # type: ignore[attr-defined]
        return iter(self._iterable)

    def windows(self, epoch: int = 0, start: int = 0) -> Generator[Window, None, None]:
        begun, self._begun = self._begun, None
        if begun is None or (self._has_epochs and begun[0] != epoch):
            begun = epoch, self._pass(epoch)
        # Whether a batch is the last is known when the next has been asked for. That may lie in
        # the memory of the one before, so training takes copies.
        waiting: Window | None = None
        count = 0
        for count, batch in enumerate(begun[1], 1):
            if count <= start:
                continue
            if waiting is not None:
                yield waiting
            data = self._checked(batch, count - 1, epoch)
            if self._purpose == "training":
                waiting = Window(count - 1, _one(data.map(_copied)), is_last=False)
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
        given = f"{self._name}x, {_described(self._iterable)}, gives"
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
            return checked_inputs(batch, graphs.dtype)
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise TypeError(
                f"a batch is a pair (x, y) or a triple (x, y, sample_weight), this is "
                f"{_described(batch)}. Make pairs by a generator in the __iter__ of a class, or by "
                "the collate_fn of the DataLoader"
            )
        x, y, weight = (*batch, None)[:3]
        if weight is not None:
            check_takes_weights(graphs.loss)
        return checked_data(x, y, weight, graphs.dtype, all_rows=False)

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
                warnings.warn(
                    f"the batches have more than {MOST_STEPS} different shapes, and each is a plan "
                    "of its own: making plans again and again is slow. Bring the batches to a few "
                    "sizes",
                    stacklevel=2,
                )


_NOTHING = object()


def _one(data: Data) -> Batches:
    return Batches(data, np.arange(data.rows), data.rows)


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


def _described(thing: Any) -> str:
    if isinstance(thing, (tuple, list)):
        return f"a {type(thing).__name__} of length {len(thing)}"
    return f"a {type(thing).__name__}" if thing is not None else "None"


# What is given to `fit`, `evaluate` and so on


def is_stream(x: Any) -> bool:
    """Whether inputs are an iterable of batches, not arrays.

    Lists, tuples and dicts are arrays, as is what NumPy makes an array.
    """
    return (
        hasattr(type(x), "__iter__")
        and not isinstance(x, (Sequence, Mapping, Dataset))
        and not any(hasattr(x, name) for name in ("__array__", "__array_interface__", "shape"))
    )


def holds_batches(x: Any, y: Any, name: str = "", **for_arrays: Any) -> bool:
    """Whether x is an iterable of batches (x, y), where y is left out.

    Args:
        x, y: what was given.
        name: the beginning of the names in error messages.
        for_arrays: arguments that have a meaning for arrays alone.

    Raises:
        TypeError: for a dataset, which gives samples; for y left out, or given where it must not.
        ValueError: for an argument that is for arrays alone.
    """
    is_dataset = isinstance(x, Dataset) or (
        hasattr(type(x), "__getitem__")
        and hasattr(type(x), "__len__")
        and not hasattr(type(x), "__iter__")
        and not hasattr(x, "__array__")
    )
    if is_dataset:
        raise TypeError(
            f"{name}x is a dataset ({type(x).__name__}), which gives samples one by one. Give "
            "data.DataLoader(dataset, batch_size=64, shuffle=True), which makes batches of them"
        )
    if y is not None:
        if is_stream(x):
            raise TypeError(
                f"{name}x is an iterable of batches ({type(x).__name__}), which has its targets "
                "in it: pairs (x, y). Leave out y; or give arrays"
            )
        return False
    if not is_stream(x) and not _is_list_of_batches(x):
        raise TypeError(
            f"{name}y is missing: {name}x is {_described(x)}. Give arrays x and y; or one iterable "
            "of batches (x, y), as a DataLoader"
        )
    for argument, value in for_arrays.items():
        if value is not None:
            raise ValueError(
                f"{argument} is for arrays; an iterable of batches has its own rows, order and "
                f"weights. Leave out {argument}, and make the batches as they are to be"
            )
    return True


def _is_list_of_batches(x: Any) -> bool:
    """Whether x is a list, or a tuple, of pairs and triples of arrays."""
    return isinstance(x, (list, tuple)) and all(
        isinstance(batch, (tuple, list))
        and (isinstance(batch, tuple) or any(hasattr(part, "shape") for part in batch))
        for batch in x
    )


def evaluation_source(
    backend: Backend[Any], x: Any, y: Any, sample_weight: Any, batch_size: int | None
) -> Source:
    """The batches to evaluate on; checked."""
    if holds_batches(x, y, sample_weight=sample_weight, batch_size=batch_size):
        return StreamSource(x, backend, "evaluation")
    if sample_weight is not None:
        check_takes_weights(backend.graphs.loss)
    data = checked_data(x, y, sample_weight, backend.graphs.dtype)
    size = checks.integer("batch_size", ROWS if batch_size is None else batch_size, 1)
    backend.check(data, size, training=False)
    return ArraySource(data, size)


def prediction_source(backend: Backend[Any], x: Any, batch_size: int | None) -> Source:
    """The batches of inputs to predict for; checked."""
    if is_stream(x):
        if batch_size is not None:
            raise ValueError("batch_size is for arrays; an iterable of batches has its own sizes")
        return StreamSource(x, backend, "prediction")
    data = checked_inputs(x, backend.graphs.dtype)
    size = checks.integer("batch_size", ROWS if batch_size is None else batch_size, 1)
    return ArraySource(data, size)


def training_source(
    backend: Backend[Any],
    x: Any,
    y: Any,
    sample_weight: Any,
    batch_size: int | None,
    seed: int,
) -> Source:
    """The batches to train on, without validation; checked."""
    found, _ = training_sources(backend, x, y, sample_weight, batch_size=batch_size, seed=seed)
    return found


def training_sources(
    backend: Backend[Any],
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    validation_data: Any = None,
    validation_fraction: float = 0.0,
    batch_size: int | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
    epoch: int = 0,
    epochs: int = 1,
) -> tuple[Source, Source | None]:
    """The batches to train on, and those to validate on; checked.

    Args:
        epoch: the number of the epoch that comes.
        epochs: how many may come; for more than one nothing may be an iterator.
        backend, x, y, sample_weight, validation_data, validation_fraction, batch_size, shuffle,
            seed: as in `Trainer`.
    """
    if validation_data is not None and validation_fraction:
        raise ValueError("give validation_data or validation_fraction, not both")
    is_iterable = holds_batches(
        x, y, sample_weight=sample_weight, batch_size=batch_size, shuffle=shuffle,
        validation_fraction=validation_fraction or None,
    )  # fmt: skip
    graphs = backend.graphs
    data: Data | None = None
    held_out: Data | None = None
    if is_iterable:
        _check_passes(x, epochs)
    else:
        if sample_weight is not None:
            check_takes_weights(graphs.loss)
        data = checked_data(x, y, sample_weight, graphs.dtype)
        if validation_fraction:
            data, held_out = hold_out(data, validation_fraction, seed)
        batch_size = check_batch_size(
            _TRAINED_ROWS if batch_size is None else batch_size, data.rows
        )
        backend.check(data, batch_size, training=True, prefix="training ")
    validation: Source | None = None
    if held_out is not None:
        backend.check(held_out, ROWS, training=False, prefix="validation ")
        validation = ArraySource(held_out, ROWS)
    elif validation_data is not None:
        validation = _validation(backend, validation_data, epoch, epochs)
    if data is None:  # last, as it takes the first batch of an iterator
        return StreamSource(x, backend, "training", epoch=epoch), validation
    assert batch_size is not None
    shuffled = shuffle is None or bool(shuffle)
    return ArraySource(data, batch_size, shuffle=shuffled, seed=seed), validation


def _validation(backend: Backend[Any], validation_data: Any, epoch: int, epochs: int) -> Source:
    is_list = isinstance(validation_data, list) and _is_list_of_batches(validation_data)
    if is_stream(validation_data) or is_list or isinstance(validation_data, Dataset):
        holds_batches(validation_data, None, "validation ")
        _check_passes(validation_data, epochs, "validation ")
        return StreamSource(validation_data, backend, "evaluation", "validation ", epoch)
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise ValueError(
            "validation_data is a pair (x, y), a triple (x, y, sample_weight), or an iterable of "
            "batches"
        )
    x, y, sample_weight = (*validation_data, None)[:3]
    if sample_weight is not None:
        check_takes_weights(backend.graphs.loss)
    data = checked_data(x, y, sample_weight, backend.graphs.dtype, prefix="validation ")
    backend.check(data, ROWS, training=False, prefix="validation ")
    return ArraySource(data, ROWS)


def _check_passes(batches: Any, epochs: int, name: str = "") -> None:
    if epochs > 1 and isinstance(batches, Iterator):
        raise ValueError(
            f"{name}x is an iterator ({type(batches).__name__}): it ends after one pass, and "
            f"{epochs} epochs are asked for. Give what begins anew in each epoch: a list of the "
            "batches, a DataLoader, or a class whose __iter__ is a generator; or epochs=1"
        )
