"""Datasets after PyTorch: what has a length and gives a sample for each index."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.data.arrays import as_arrays, check_same_rows, flatten
from chainrule.data.samplers import shuffled
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.random import Generator


class Dataset:
    """Samples by their index: a subclass gives `__getitem__` and `__len__`.

    A sample is what a model takes and is compared with, such as a pair (x, y) of arrays. A
    `DataLoader` makes batches of samples. Anything with the two methods will do, a list of pairs
    too. A dataset that reads many samples faster at once has `__getitems__` as well: it takes the
    list of a batch's indices, and returns the list of their samples.

    Example:
        >>> class Squares(Dataset):
        ...     def __len__(self):
        ...         return 4
        ...
        ...     def __getitem__(self, index):
        ...         return np.float32([index]), np.float32([index**2])
        >>> x, y = Squares()[3]
        >>> y
        array([9.], dtype=float32)
    """

    def __getitem__(self, index: Any) -> Any:
        """The sample of an index, 0 ... len - 1."""
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__: define it")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples that come one after the other: a subclass gives `__iter__`, as a stream does.

    Example:
        >>> class Lines(IterableDataset):
        ...     def __iter__(self):
        ...         return iter([[1.0], [2.0], [3.0]])
        >>> len(list(Lines()))
        3
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__: define it")

    def __add__(self, other: Any) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """The rows of arrays as samples: sample i is the tuple of their rows i.

    Args:
        tensors: arrays or Tensors with the same number of rows; memory-mapped ones stay on disk.

    Attributes:
        tensors: the arrays.

    Raises:
        TypeError, ValueError: for what is no array of numbers, or other numbers of rows.

    Example:
        >>> data = TensorDataset(np.float32([[1, 2], [3, 4]]), np.array([0, 1]))
        >>> len(data), data[1]
        (2, (tensor([3., 4.]), tensor(1)))
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ValueError("a TensorDataset takes one array or more")
        arrays = {f"tensors[{i}]": as_arrays(t, f"tensors[{i}]") for i, t in enumerate(tensors)}
        check_same_rows(**arrays)
        self.tensors: tuple[Array, ...] = tuple(
            [array for item in arrays.values() for array in flatten(item)[0]]
        )

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([Tensor(np.array(array[index])) for array in self.tensors])

    def take(self, indices: NDArray[np.intp]) -> tuple[Array, ...]:
        """The rows of many samples at once, copied: for each array one of shape (indices, ...)."""
        return tuple([np.asarray(array[indices]) for array in self.tensors])


class Subset(Dataset):
    """The samples of a dataset at the given indices.

    Args:
        dataset: with `__getitem__`.
        indices: whole numbers.

    Raises:
        TypeError: for other indices, as a mask.
        IndexError: for an index outside the dataset, if it has a length.

    Example:
        >>> Subset(["a", "b", "c"], [2, 0])[0]
        'c'
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        found = np.asarray(indices)
        if found.size and found.dtype.kind not in "iu":
            raise TypeError(
                f"the indices of a Subset are whole numbers, these are of dtype {found.dtype}; of "
                "a mask take np.flatnonzero(mask)"
            )
        if hasattr(dataset, "__len__") and found.size:
            rows, low, high = len(dataset), int(found.min()), int(found.max())
            if low < -rows or high >= rows:
                wrong = low if low < -rows else high
                raise IndexError(f"index {wrong} is outside a dataset of {rows} samples")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Any]:
        if type(self).__getitem__ is not Subset.__getitem__:  # a subclass's own
            return [self[index] for index in indices]
        return samples(self.dataset, [self.indices[index] for index in indices])


def samples(dataset: Any, indices: Sequence[int]) -> Sequence[Any]:
    """The samples of several indices, at once where the dataset's class has `__getitems__`."""
    # Python looks up methods of such names in the class: a wrapper may pass on other attributes.
    if getattr(type(dataset), "__getitems__", None) is None:
        return [dataset[index] for index in indices]
    found: Sequence[Any] = dataset.__getitems__(indices)
    return found


class ConcatDataset(Dataset):
    """The samples of several datasets, one after the other.

    Example:
        >>> joined = ConcatDataset([["a", "b"], ["c"]])
        >>> len(joined), joined[-1]
        (3, 'c')
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(checks.several("datasets", datasets, "datasets"))
        if not self.datasets:
            raise ValueError("a ConcatDataset takes one dataset or more")
        self._ends = list(accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Any:
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"index {index} is outside a dataset of {len(self)} samples")
        part = bisect_right(self._ends, place)
        before = self._ends[part - 1] if part else 0
        return self.datasets[part][place - before]


class ChainDataset(IterableDataset):
    """The samples of several `IterableDataset`, one after the other.

    Raises:
        TypeError: for a dataset of another kind; by ``len``, where a dataset has no length.

    Example:
        >>> class Lines(IterableDataset):
        ...     def __iter__(self):
        ...         return iter([1.0, 2.0])
        >>> list(ChainDataset([Lines(), Lines()]))
        [1.0, 2.0, 1.0, 2.0]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(checks.several("datasets", datasets, "IterableDatasets"))
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(
                    f"a ChainDataset takes IterableDatasets, not {type(dataset).__name__}: join "
                    "datasets with indices by ConcatDataset"
                )

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(map(len, self.datasets))


class StackDataset(Dataset):
    """The samples of several datasets side by side: tuples, or dicts of datasets that are named.

    Args:
        args: datasets of one length; sample i is the tuple of their samples i.
        kwargs: or these by name; sample i is a dict.

    Raises:
        ValueError: for datasets of different lengths, for none, or for both kinds.

    Example:
        >>> StackDataset([1, 2], ["a", "b"])[1], StackDataset(x=[1, 2], y=["a", "b"])[0]
        ((2, 'b'), {'x': 1, 'y': 'a'})
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                "a StackDataset takes one dataset at least, all by place or all by name: "
                "StackDataset(x, y) or StackDataset(x=x, y=y)"
            )
        self.datasets: Any = args or kwargs
        lengths = [len(dataset) for dataset in args or kwargs.values()]
        if len(set(lengths)) > 1:
            raise ValueError(f"the datasets of a StackDataset have one length, not {lengths}")

    def __len__(self) -> int:
        parts = self.datasets.values() if isinstance(self.datasets, dict) else self.datasets
        return len(next(iter(parts)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple([dataset[index] for dataset in self.datasets])


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset]:
    """Split a dataset at random into parts without a common sample.

    Args:
        dataset: with `__getitem__` and a length.
        lengths: of the parts; their sum is that of the dataset. Or shares, whose sum is 1: of n
            samples a part gets floor(share * n), and the rest is dealt out one by one, the first
            part first.
        generator: draws the order; by default the current one (`chainrule.manual_seed`).

    Raises:
        ValueError: if the lengths do not make up the dataset.

    Example:
        >>> train, test = random_split(range(10), [0.8, 0.2])
        >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
        (8, 2, True)
    """
    rows = len(dataset)
    lengths = checks.several("lengths", lengths, "lengths, or shares, of the parts")
    if not all(map(math.isfinite, lengths)) or any(length < 0 for length in lengths):
        raise ValueError(f"the lengths of the parts are not negative, got {list(lengths)}")
    if any(isinstance(length, (float, np.floating)) for length in lengths):
        if not math.isclose(sum(lengths), 1):
            raise ValueError(
                f"the shares {list(lengths)} of the parts make {sum(lengths):g}; give shares with "
                f"the sum 1, or whole numbers of samples with the sum {rows}"
            )
        counts = [math.floor(share * rows) for share in lengths]
        for number in range(rows - sum(counts)):
            counts[number % len(counts)] += 1
    else:
        counts = [checks.integer("a length", length, 0) for length in lengths]
    if sum(counts) != rows:
        raise ValueError(
            f"the lengths {counts} make {sum(counts)} samples, but the dataset has {rows}; give "
            "lengths with this sum, or shares with the sum 1"
        )
    order = shuffled(rows, generator).tolist()
    ends = list(accumulate(counts))
    return [
        Subset(dataset, order[end - count : end]) for end, count in zip(ends, counts, strict=True)
    ]
