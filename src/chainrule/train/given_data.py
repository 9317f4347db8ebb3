"""What is given to `fit`, `evaluate` and so on, as a checked source of batches."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chainrule import checks
from chainrule.data import DataLoader, Dataset, Minibatches
from chainrule.data.arrays import Data
from chainrule.data.batches import check_batch_size, permutation
from chainrule.data.splitting import hold_out
from chainrule.tables import Names
from chainrule.train.backends import Backend
from chainrule.train.checked_rows import checked_rows, checked_rows_of_inputs
from chainrule.train.sources import (
    ArraySource,
    Purpose,
    Source,
    StreamSource,
    in_words,
    stream_key,
)

ROWS = 256
"""The default number of rows in a batch of an evaluation or a prediction."""

_TRAINED_ROWS = 64
"""The default number of rows in a batch of a training."""


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
            f"{name}y is missing: {name}x is {in_words(x)}. Give arrays x and y; or one iterable "
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


def _is_list_of_pairs(x: Any) -> bool:
    """Whether x is a list of tuples of arrays of different shapes, which make up no array."""
    return isinstance(x, list) and any(
        isinstance(pair, tuple)
        and all(hasattr(part, "shape") for part in pair)
        and len({part.shape for part in pair}) > 1
        for pair in x[:1]
    )


def evaluation_source(
    backend: Backend[Any], x: Any, y: Any, sample_weight: Any, batch_size: int | None
) -> Source:
    """The batches to evaluate on; checked."""
    if holds_batches(x, y, sample_weight=sample_weight, batch_size=batch_size):
        return _batches(x, backend, "evaluation")
    names = backend.graphs.model._column_names
    data = checked_rows(backend.graphs, x, y, sample_weight, names)
    size = checks.count("batch_size", ROWS if batch_size is None else batch_size)
    backend.check(data, size, training=False)
    return ArraySource(data, size)


def prediction_source(backend: Backend[Any], x: Any, batch_size: int | None) -> Source:
    """The batches of inputs to predict for; checked."""
    if is_stream(x):
        if batch_size is not None:
            raise ValueError("batch_size is for arrays; an iterable of batches has its own sizes")
        return StreamSource(x, backend, "prediction")
    if _is_list_of_pairs(x):
        raise TypeError(
            "x is a list of batches (x, y), and a list is arrays: give the inputs of the batches "
            "alone, by predict(x for x, y in batches)"
        )
    data = checked_rows_of_inputs(backend.graphs, x)
    size = checks.count("batch_size", ROWS if batch_size is None else batch_size)
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
    names = backend.graphs.model._column_names
    found, _ = training_sources(
        backend, x, y, sample_weight, names=names, batch_size=batch_size, seed=seed
    )
    return found


def training_sources(
    backend: Backend[Any],
    x: Any,
    y: Any,
    sample_weight: Any,
    *,
    names: Names | None,
    validation_data: Any = None,
    validation_fraction: float = 0.0,
    batch_size: int | None,
    shuffle: bool | None = None,
    seed: int,
    epoch: int = 0,
    epochs: int = 1,
) -> tuple[Source, Source | None]:
    """The batches to train on, and those to validate on; checked.

    Args:
        names: the names of the columns of the inputs in their order; None if they have none.
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
        data = checked_rows(graphs, x, y, sample_weight, names)
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
        validation = _validation(backend, validation_data, names, epoch, epochs)
    if data is None:  # last, as it takes the first batch of an iterator
        return _batches(x, backend, "training", epoch=epoch), validation
    assert batch_size is not None
    if shuffle is not None and not shuffle:
        return ArraySource(data, batch_size), validation
    order = functools.partial(permutation, data.rows, seed)
    return ArraySource(data, batch_size, order=order), validation


def _validation(
    backend: Backend[Any], validation_data: Any, names: Names | None, epoch: int, epochs: int
) -> Source:
    is_list = isinstance(validation_data, list) and _is_list_of_batches(validation_data)
    if is_stream(validation_data) or is_list or isinstance(validation_data, Dataset):
        holds_batches(validation_data, None, "validation ")
        _check_passes(validation_data, epochs, "validation ")
        return _batches(validation_data, backend, "evaluation", "validation ", epoch)
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise ValueError(
            "validation_data is a pair (x, y), a triple (x, y, sample_weight), or an iterable of "
            "batches"
        )
    x, y, sample_weight = (*validation_data, None)[:3]
    data = checked_rows(backend.graphs, x, y, sample_weight, names, prefix="validation ")
    backend.check(data, ROWS, training=False, prefix="validation ")
    return ArraySource(data, ROWS)


def _check_passes(batches: Any, epochs: int, name: str = "") -> None:
    if epochs > 1 and isinstance(batches, Iterator):
        raise ValueError(
            f"{name}x is an iterator ({type(batches).__name__}): it ends after one pass, and "
            f"{epochs} epochs are asked for. Give what begins anew in each epoch: a list of the "
            "batches, a DataLoader, or a class whose __iter__ is a generator; or epochs=1"
        )


def _batches(
    x: Any, backend: Backend[Any], purpose: Purpose, name: str = "", epoch: int = 0
) -> Source:
    """The source for an iterable of batches.

    Where it cuts batches from arrays the steps take the rows themselves, many batches at a time.
    """
    indexed = x.indexed() if isinstance(x, (DataLoader, Minibatches)) else None
    if indexed is None:
        return StreamSource(x, backend, purpose, name, epoch)
    inputs, targets, weights = (*indexed.parts, None)[:3]
    data = checked_rows(backend.graphs, inputs, targets, weights, None, prefix=name)
    training = purpose == "training"
    backend.check(data, indexed.size, training=training, prefix=name or f"{purpose} ")
    return ArraySource(
        data, indexed.size, order=indexed.order, rows=indexed.rows, key=stream_key(data.form)
    )
