"""DataLoader after PyTorch: batches of the samples of a dataset, in this process or by workers."""

from __future__ import annotations

import itertools
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule import checks
from chainrule.data.batches import IndexedBatches
from chainrule.data.dataset import IterableDataset, Subset, TensorDataset, samples
from chainrule.data.mapped import mapped_files
from chainrule.data.samplers import BatchSampler, RandomSampler, SequentialSampler
from chainrule.dtypes import check_unmasked
from chainrule.graph.tensor import Array, Tensor, as_tensor
from chainrule.ops.random import Generator, current_generator
from chainrule.system.reading import reason
from chainrule.trees import map_leaves

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

_PREFETCHED = 2
"""The number of batches that each worker loads ahead, by default; PyTorch's number."""

_SETTLED = ("dataset", "batch_size", "sampler", "batch_sampler", "drop_last", "num_workers")
"""Attributes that others were made from: a new value would be taken in part."""


class DataLoader:
    """Batches of a dataset's samples, to loop over once an epoch; the arguments are PyTorch's.

    A pass over it yields the batches as Tensors: for samples (x, y) pairs (xb, yb). `Trainer.fit`
    takes it in place of x and y.

    Args:
        dataset: with `__getitem__` and `__len__`, such as a `TensorDataset` or a list of pairs; or
            an `IterableDataset`.
        batch_size: samples in a batch; None for the samples one by one, as they are.
        shuffle: draw a new order in every pass.
        sampler: an iterable of indices, in place of `shuffle`.
        batch_sampler: an iterable of lists of indices, in place of `batch_size`, `shuffle`,
            `sampler` and `drop_last`.
        num_workers: processes that load the samples; 0 to load in this one. Samples that are rows
            of arrays in memory load faster without.
        collate_fn: makes a batch of a list of samples; by default `default_collate`.
        drop_last: leave out a last batch that has fewer samples.
        timeout: seconds to wait for a worker's batch; 0 to wait for ever.
        worker_init_fn: is called with the worker's number in each worker at its start.
        multiprocessing_context: a context of `multiprocessing`, or the name of its start method.
        generator: draws the orders; by default the current one (`chainrule.manual_seed`).
        prefetch_factor: batches that each worker loads ahead, 2 by default.
        persistent_workers: keep the workers from pass to pass.
        pin_memory, pin_memory_device, in_order: accepted, and mean nothing: there is one memory,
            and batches come in order.

    Raises:
        TypeError, ValueError: for arguments that are wrong or exclude one another.
        RuntimeError: in a pass, if a worker died or its batch did not come in time.

    Example:
        >>> x, y = np.float32([[1], [2], [3]]), np.array([0, 1, 0])
        >>> loader = DataLoader(TensorDataset(x, y), batch_size=2)
        >>> len(loader)
        2
        >>> for xb, yb in loader:
        ...     print(xb.shape, yb.tolist())
        (2, 1) [0, 1]
        (1, 1) [0]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if batch_size is not None:
            batch_size = checks.count("batch_size", batch_size)
        self.num_workers = checks.integer("num_workers", num_workers, 0)
        self.timeout = checks.not_negative("timeout", timeout)
        if prefetch_factor is not None:
            prefetch_factor = checks.count("prefetch_factor", prefetch_factor)
        if not self.num_workers and (timeout or prefetch_factor or persistent_workers):
            raise ValueError(
                "timeout, prefetch_factor and persistent_workers are for workers: set num_workers"
            )
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        ):
            raise ValueError(
                "batch_sampler makes the batches: leave out batch_size, shuffle, sampler, drop_last"
            )
        if sampler is not None and shuffle:
            raise ValueError("the sampler gives the order: leave out shuffle")
        if batch_size is None and drop_last:
            raise ValueError("without batches (batch_size=None) there is no last one to drop")
        if generator is not None and not isinstance(generator, Generator):
            raise TypeError(
                f"generator is a chainrule.Generator, got {generator!r:.80}: write "
                "chainrule.Generator(seed)"
            )
        self.is_stream = isinstance(dataset, IterableDataset)
        _check_dataset(dataset)
        if self.is_stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "an IterableDataset gives its samples in its own order: leave out shuffle, sampler "
                "and batch_sampler"
            )
        if self.is_stream and self.num_workers:
            raise ValueError(
                "an IterableDataset is read in this process, or each worker would give all its "
                "samples again: leave out num_workers"
            )
        if collate_fn is not None:
            checks.function("collate_fn", collate_fn, "of a list of samples -> a batch")
        self.dataset = dataset
        self.batch_size = None if batch_sampler is not None else batch_size
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = prefetch_factor or _PREFETCHED
        self.persistent_workers = persistent_workers
        self.sampler: Iterable[int] | None = None
        self.batch_sampler = batch_sampler
        if not self.is_stream and batch_sampler is None:
            if sampler is not None:
                self.sampler = sampler
            elif shuffle:
                self.sampler = RandomSampler(dataset, generator=generator)
            else:
                self.sampler = SequentialSampler(dataset)
            if batch_size is not None:
                self.batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)
        self._executor: ProcessPoolExecutor | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SETTLED and "_executor" in vars(self):
            raise ValueError(
                f"the {name} of a DataLoader is settled when it is made: make another DataLoader"
            )
        super().__setattr__(name, value)

    def __len__(self) -> int:
        """The number of batches in a pass.

        Raises:
            TypeError: if the dataset or the sampler has no length.
        """
        if not self.is_stream:
            batches = self.sampler if self.batch_sampler is None else self.batch_sampler
            return len(batches)  # type: ignore[arg-type]
        samples = len(self.dataset)
        if self.batch_size is None:
            return samples
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        if self.is_stream:
            batches = self._streamed()
        elif self.num_workers:
            batches = self._from_workers()
        else:
            batches = map(self._loader().load, self._indices())
        return (map_leaves(_as_tensor, batch) for batch in batches)

    def indexed(self) -> IndexedBatches | None:
        """What the batches are rows of: of a `TensorDataset`, or a part of one, in memory.

        None if anything but its arrays, or an order that is not from here, has a part in them.
        """
        batches = self.batch_sampler
        if (
            type(self) is not DataLoader
            or type(batches) is not BatchSampler
            or type(self.sampler) not in (SequentialSampler, RandomSampler)
            or batches.sampler is not self.sampler
            or self.collate_fn is not None
            or self.num_workers
        ):
            return None
        dataset, indices = _without_subsets(self.dataset)
        if type(dataset) is not TensorDataset or len(dataset.tensors) not in (2, 3):
            return None
        if indices is not None and mapped_files(dataset.tensors):
            return None
        parts = dataset.tensors if indices is None else dataset.take(indices)
        sampler: Any = self.sampler
        size = batches.batch_size
        rows = len(batches) * size if self.drop_last else len(sampler)
        if not rows:
            return None

        def order(_: int) -> Array:
            return np.fromiter(sampler, np.int64)[:rows]

        return IndexedBatches(parts, min(size, rows), rows, order)

    def _indices(self) -> Iterator[Any]:
        """What each load takes: a list of indices, or one index if there are no batches."""
        return iter(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    def _loader(self) -> _Loader:
        return _Loader(self.dataset, self.collate_fn, self.batch_sampler is not None)

    def _streamed(self) -> Iterator[Any]:
        samples, collate = iter(self.dataset), self.collate_fn
        if self.batch_size is None:
            yield from samples if collate is None else map(collate, samples)
            return
        while batch := list(itertools.islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield (collate or default_collate)(batch)

    # Workers

    def _from_workers(self) -> Iterator[Any]:
        """The batches, in order; the workers are some batches ahead."""
        from concurrent.futures import BrokenExecutor
        from concurrent.futures import TimeoutError as NotReadyError

        executor = self._executor or self._started()
        if self.persistent_workers:
            self._executor = executor
        indices = self._indices()
        ahead = self.num_workers * self.prefetch_factor
        pending: deque[Future[Any]] = deque()
        try:
            for chosen in itertools.islice(indices, ahead):
                pending.append(_submitted(executor, chosen))
            while pending:
                future = pending.popleft()
                batch = future.result(self.timeout or None)
                for chosen in itertools.islice(indices, 1):
                    pending.append(_submitted(executor, chosen))
                yield batch
        except BrokenExecutor as error:
            self._executor = None
            raise RuntimeError(
                "a worker of the DataLoader died (it ran out of memory, its code ended the "
                "process, or it can't import the dataset's class, of the prompt or of a notebook); "
                "find the fault with num_workers=0"
            ) from error
        except NotReadyError as error:
            if future.done():  # the dataset itself raised it
                raise
            self._executor = None
            _terminate(executor)
            raise RuntimeError(
                f"no batch came from the workers in {self.timeout} s; give a longer timeout, or "
                "find the fault with num_workers=0"
            ) from error
        finally:
            for future in pending:
                future.cancel()
            if executor is not self._executor:
                executor.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        """The worker processes, each with a copy of the dataset."""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        context = self.multiprocessing_context
        if context is None or isinstance(context, str):
            context = multiprocessing.get_context(context)
        numbers = context.SimpleQueue()
        for number in range(self.num_workers):
            numbers.put(number)
        drawn = (self.generator or current_generator()).uniform((), np.float64).item()
        seed = int(drawn * 2**32)
        arguments = (self._loader(), numbers, self.num_workers, seed, self.worker_init_fn)
        return ProcessPoolExecutor(self.num_workers, context, _start_worker, arguments)

    def __getstate__(self) -> dict[str, Any]:
        """A copy has workers of its own."""
        return {**vars(self), "_executor": None}


def _check_dataset(dataset: Any) -> None:
    """Raise TypeError for what gives no samples."""
    if isinstance(dataset, IterableDataset):
        return
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise TypeError(
            f"a dataset has __getitem__ and __len__, {type(dataset).__name__} has not: make "
            "arrays a TensorDataset, a generator an IterableDataset"
        )
    if isinstance(dataset, Mapping):
        raise TypeError(
            f"a dataset gives samples for 0, 1, 2, ..., not for the keys of a "
            f"{type(dataset).__name__}: give chainrule.data.batches a dict of arrays"
        )


class WorkerInfo(NamedTuple):
    """A worker of a `DataLoader`, as `get_worker_info` gives it.

    Attributes:
        id: its number, 0 ... num_workers - 1.
        num_workers: how many there are.
        seed: of `random` and `numpy.random` in this worker; another in each.
        dataset: the worker's copy.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """The worker that this process is; None outside the workers of a `DataLoader`.

    Example:
        >>> get_worker_info() is None
        True
    """
    return _worker_info


_worker_info: WorkerInfo | None = None
_worker_loader: _Loader | None = None


class _Loader:
    """Makes batches of the samples of a dataset, in any process."""

    def __init__(
        self, dataset: Any, collate: Callable[[list[Any]], Any] | None, batched: bool
    ) -> None:
        self.dataset = dataset
        self.collate = collate
        self.batched = batched
        self._base, self._indices = _without_subsets(dataset)

    def load(self, chosen: Any) -> Any:
        """The batch of a list of indices; or the sample of an index."""
        if not self.batched:
            sample = self.dataset[chosen]
            return sample if self.collate is None else self.collate(sample)
        if self.collate is None and type(self._base) is TensorDataset:
            rows = np.asarray(chosen)
            return self._base.take(rows if self._indices is None else self._indices[rows])
        return (self.collate or default_collate)(list(samples(self.dataset, list(chosen))))


def _without_subsets(dataset: Any) -> tuple[Any, Array | None]:
    """The dataset that a `Subset`, perhaps of Subsets, is a part of, and the indices of its samples
    there; None for all."""
    indices = None
    while type(dataset) is Subset:
        found = np.asarray(dataset.indices, np.int64)
        indices = found if indices is None else found[indices]
        dataset = dataset.dataset
    return dataset, indices


def _submitted(executor: ProcessPoolExecutor, chosen: Any) -> Future[Any]:
    """The batch that a worker will load; the first ones start the workers."""
    try:
        return executor.submit(_load, chosen)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            "the workers of a DataLoader get dataset, collate_fn and worker_init_fn by pickle: "
            f"{reason(error)}. Define functions and classes at the top of a module, or take "
            "num_workers=0, or on Linux multiprocessing_context='fork'"
        ) from error


def _start_worker(
    loader: _Loader, numbers: Any, workers: int, seed: int, init: Callable[[int], Any] | None
) -> None:
    global _worker_info, _worker_loader
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that takes the batches
    number = numbers.get()
    _worker_loader = loader
    _worker_info = WorkerInfo(number, workers, seed + number, loader.dataset)
    import random  # with numpy.random, a tenth of the time of our import

    random.seed(seed + number)
    np.random.seed((seed + number) % 2**32)
    if init is not None:
        init(number)


def _terminate(executor: ProcessPoolExecutor) -> None:
    """End workers that may hang: a shutdown would wait for them."""
    for process in list((executor._processes or {}).values()):
        process.terminate()


def _load(chosen: Any) -> Any:
    """In a worker: the batch of these indices."""
    assert _worker_loader is not None
    return _worker_loader.load(chosen)


def default_collate(samples: list[Any]) -> Any:
    """A batch of samples of equal structure: their arrays are stacked along a new first axis.

    Args:
        samples: Tensors, arrays, numbers, strings (which stay a list), and tuples, lists and dicts
            of these. Python floats become float32, whole numbers int64.

    Returns:
        The structure of a sample, with an array in place of each leaf.

    Raises:
        ValueError: for samples of different structures or shapes.
        TypeError: for other objects.

    Example:
        >>> x, y = default_collate([(1.0, 0), (2.0, 1)])
        >>> x, y
        (array([1., 2.], dtype=float32), array([0, 1]))
    """
    first = samples[0]
    kinds = {type(sample) for sample in samples}
    if isinstance(first, (str, bytes)):
        return samples
    if isinstance(first, Mapping):
        if any(not isinstance(s, Mapping) or s.keys() != first.keys() for s in samples):
            raise ValueError("the samples of a batch are dicts of different keys")
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(not isinstance(s, (tuple, list)) or len(s) != len(first) for s in samples):
            raise ValueError("the samples of a batch are sequences of different lengths")
        parts = [default_collate(list(part)) for part in zip(*samples, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    check_unmasked("a sample", samples)
    try:
        arrays = [s.numpy() if isinstance(s, Tensor) else np.asarray(s) for s in samples]
    except ValueError:
        arrays = []
    if not arrays or any(array.dtype.kind not in "biuf" for array in arrays):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(
            f"samples of type {names} can't be made a batch: give numbers, arrays, or a collate_fn"
        )
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ValueError(
            f"the samples of a batch have different shapes, {shapes[0]} and {shapes[1]}: bring "
            "them to one length, or give a collate_fn that pads them"
        )
    stacked = np.stack(arrays)
    is_plain = float in kinds and kinds <= {float, int, bool}
    return stacked.astype(np.float32) if is_plain else stacked


def _as_tensor(leaf: Any) -> Any:
    """A Tensor of an array; anything else as it is."""
    return as_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf
