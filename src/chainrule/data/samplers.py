"""Samplers after PyTorch: iterables of the indices that a `DataLoader` loads, pass after pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.data.batches import permutation
from chainrule.dtypes import check_unmasked
from chainrule.errors import SymbolicError
from chainrule.graph.context import local
from chainrule.ops.random import Generator, current_generator


class Sampler:
    """Gives indices, a new series in every pass: a subclass gives `__iter__` and `__len__`.

    Example:
        >>> class Backwards(Sampler):
        ...     def __iter__(self):
        ...         return iter([2, 1, 0])
        >>> list(Backwards())
        [2, 1, 0]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__: define it")


class SequentialSampler(Sampler):
    """The indices 0, 1, 2, ... of a dataset.

    Example:
        >>> list(SequentialSampler("abc"))
        [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))


class RandomSampler(Sampler):
    """The indices of a dataset in random order.

    Args:
        data_source: the dataset.
        replacement: draw each index anew from all, so that one can come twice.
        num_samples: how many to draw in a pass; by default as many as there are. Without
            replacement more than these come from several orders, one after the other.
        generator: by default the current one in each pass (`chainrule.manual_seed`).

    Example:
        >>> sorted(RandomSampler(range(4)))
        [0, 1, 2, 3]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = (
            None if num_samples is None else checks.count("num_samples", num_samples)
        )
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many indices a pass gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        rows, count = len(self.data_source), self.num_samples
        if self.replacement:
            yield from (_uniform(count, self.generator) * rows).astype(np.int64).tolist()
            return
        for begin in range(0, count, max(rows, 1)):
            yield from shuffled(rows, self.generator)[: count - begin].tolist()


class SubsetRandomSampler(Sampler):
    """The given indices in random order, without replacement.

    Example:
        >>> sorted(SubsetRandomSampler([4, 7]))
        [4, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return (self.indices[i] for i in shuffled(len(self.indices), self.generator).tolist())


class WeightedRandomSampler(Sampler):
    """Indices drawn with probabilities in proportion to weights: rare classes more often, say.

    Args:
        weights: one for each sample, not negative, not all 0.
        num_samples: how many to draw in a pass.
        replacement: whether an index can come twice. Without, each is drawn among those left.
        generator: by default the current one in each pass (`chainrule.manual_seed`).

    Raises:
        ValueError: for other weights, or masked ones; if there are fewer positive ones than are to
            be drawn without replacement.

    Source: without replacement, Efraimidis and Spirakis, "Weighted random sampling with a
    reservoir" (2006): the largest u^(1/w), u uniform in (0, 1).

    Example:
        >>> list(WeightedRandomSampler([0.0, 1.0, 0.0], 3))
        [1, 1, 1]
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        check_unmasked("weights", weights)
        self.weights: NDArray[np.float64] = np.array(weights, np.float64)
        self.num_samples = checks.count("num_samples", num_samples)
        self.replacement = replacement
        self.generator = generator
        valid = np.isfinite(self.weights).all() and (self.weights >= 0).all()
        if self.weights.ndim != 1 or not valid or not self.weights.any():
            raise ValueError("weights are one finite number a sample, not negative and not all 0")
        positive = np.count_nonzero(self.weights)
        if not replacement and self.num_samples > positive:
            raise ValueError(
                f"{self.num_samples} samples can't be drawn without replacement from {positive} "
                "of a positive weight"
            )

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        if self.replacement:
            sums = np.cumsum(self.weights)
            drawn = _uniform(self.num_samples, self.generator) * sums[-1]
            found = np.searchsorted(sums, drawn, side="right")
            # Rounding can give the last sum itself.
            last = int(np.flatnonzero(self.weights)[-1])
            return iter(np.minimum(found, last).tolist())
        drawn = 1.0 - _uniform(len(self.weights), self.generator)  # in (0, 1]
        with np.errstate(divide="ignore"):
            keys = np.log(drawn) / self.weights
        keys[self.weights == 0] = -np.inf
        return iter(np.argsort(-keys, kind="stable")[: self.num_samples].tolist())


class BatchSampler(Sampler):
    """The indices of a sampler in lists of `batch_size`.

    Args:
        sampler: any iterable of indices.
        batch_size: how many make a batch.
        drop_last: leave out a last batch that has fewer.

    Example:
        >>> list(BatchSampler(range(5), 2, False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = checks.count("batch_size", batch_size)
        self.drop_last = drop_last

    def __len__(self) -> int:
        samples = len(self.sampler)  # type: ignore[arg-type]
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch


def shuffled(rows: int, generator: Generator | None) -> NDArray[np.int64]:
    """0 ... rows - 1 in an order drawn by a generator, by default the current one."""
    generator = _outside_of_captures(generator)
    seed, position = generator.state.numpy().tolist()
    generator.skip()
    return permutation(rows, seed, position)


def _uniform(count: int, generator: Generator | None) -> NDArray[np.float64]:
    """Numbers in [0, 1) drawn by a generator, by default the current one."""
    return _outside_of_captures(generator).uniform((count,), np.float64).numpy()


def _outside_of_captures(generator: Generator | None) -> Generator:
    """The generator, or the current one, where no graph is captured."""
    if local.context.capture is not None:
        raise SymbolicError(
            "an order of rows is drawn while a graph is captured, which would keep it for good. "
            "Iterate over the data outside, and pass each batch as an argument"
        )
    return generator or current_generator()
