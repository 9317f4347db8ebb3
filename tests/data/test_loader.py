"""DataLoader, datasets and samplers, against PyTorch's where it is installed."""

import os
import pickle
import random
import time
from collections import Counter, namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
    random_split,
)


def rows(count=10):
    return np.arange(2 * count, dtype=np.float32).reshape(count, 2), np.arange(count) % 3


class Numbers(Dataset):
    """Samples with what tells which worker made them."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        info = get_worker_info()
        return index, -1 if info is None else info.id, np.random.rand(), random.random()


class Failing(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 2:
            raise KeyError("sample 2 is missing")
        return index


class Dying(Failing):
    def __getitem__(self, index):
        os._exit(3)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(float(i), i) for i in range(5)])


def mark_worker(number):
    assert get_worker_info().id == number


Pair = namedtuple("Pair", "a b")

SAMPLES = [
    ("pairs of numbers", [(1.0, 2), (3.0, 4), (5.0, 6)]),
    ("numbers", [1, 2, 3]),
    ("strings", ["a", "b", "c"]),
    ("dicts", [{"a": i, "b": np.full(2, i, np.float32)} for i in range(3)]),
    ("named tuples", [Pair(i, [np.float64(i), True]) for i in range(3)]),
    ("nested", [((np.zeros((2, 3)), i), {"c": (i,)}) for i in range(3)]),
]


def plain(batch):
    """Nested lists and dicts of a batch of either library."""
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [plain(item) for item in batch]
    return batch.tolist() if hasattr(batch, "tolist") else batch


@pytest.mark.parametrize(("name", "samples"), SAMPLES, ids=[name for name, _ in SAMPLES])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_those_of_pytorch(name, samples, drop_last):
    torch = pytest.importorskip("torch")
    ours = DataLoader(samples, 2, drop_last=drop_last)
    theirs = torch.utils.data.DataLoader(samples, 2, drop_last=drop_last)
    assert len(ours) == len(theirs)
    assert [plain(batch) for batch in ours] == [plain(batch) for batch in theirs]


def test_a_batch_has_tensors_of_the_arrays_dtypes():
    x, y = rows()
    xb, yb = next(iter(DataLoader(TensorDataset(x, y), batch_size=4)))
    assert isinstance(xb, cr.Tensor) and xb.dtype == np.float32 and yb.dtype == np.int64
    np.testing.assert_array_equal(xb.numpy(), x[:4])
    assert default_collate([1, 2.5]).dtype == default_collate([False, 0.5]).dtype == np.float32
    floats = default_collate([1.0, 2.0])
    assert floats.dtype == np.float32


@pytest.mark.parametrize("count", [1, 7, 64])
def test_rows_at_once_are_the_samples_one_by_one(count):
    x, y = rows(100)
    data = TensorDataset(x, y)
    part = Subset(Subset(data, range(0, 100, 2)), [3, 1, 4, 1, 5])
    for dataset in (data, part):
        fast = [plain(batch) for batch in DataLoader(dataset, count)]
        slow = [plain(batch) for batch in DataLoader(dataset, count, collate_fn=default_collate)]
        assert fast == slow


class Looks(list):
    """Indices that count how often all of them are looked at."""

    count = 0

    def __array__(self, dtype=None, copy=None):
        self.count += 1
        return np.array([*self], dtype)


def test_the_indices_of_a_part_are_looked_at_once_a_pass():
    x, y = rows(100)
    indices = Looks(range(0, 100, 2))
    loader = DataLoader(Subset(TensorDataset(x, y), indices), 5)
    before = indices.count
    batches = [plain(batch) for batch in loader]
    assert len(batches) == 10 and indices.count == before + 1
    chosen = DataLoader(TensorDataset(x, y), batch_sampler=[(0, 2), (4, 6)])
    assert [yb.tolist() for _, yb in chosen] == [y[:4:2].tolist(), y[4:8:2].tolist()]


class AtOnce(Dataset):
    """Its samples of a batch are marked, and it notes which are asked for."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return index

    def __getitems__(self, indices):
        self.asked.append(indices)
        return [index + 100 for index in indices]


@pytest.mark.parametrize("part", [None, [6, 2, 4]])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_a_dataset_may_give_the_samples_of_a_batch_at_once(part, batch_size):
    torch = pytest.importorskip("torch")
    results, asked = [], []
    for library in (torch.utils.data, cr.data):
        dataset = AtOnce()
        given = dataset if part is None else library.Subset(library.Subset(dataset, part), [2, 0])
        results.append([plain(batch) for batch in library.DataLoader(given, batch_size)])
        asked.append(dataset.asked)
    assert results[0] == results[1] and asked[0] == asked[1]


class Tenfold(Subset):
    """A part of a dataset, with a sample of its own making."""

    def __getitem__(self, index):
        return 10 * super().__getitem__(index)


class Wrapped(Dataset):
    """Another dataset's samples, times 10, and its other attributes as they are."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return 10 * self.dataset[index]

    def __getattr__(self, name):
        return getattr(self.dataset, name)


@pytest.mark.parametrize(
    "part", [Tenfold(range(9), [6, 2, 4]), Wrapped(Subset(range(9), [6, 2, 4]))]
)
def test_a_batch_holds_the_samples_that_its_dataset_gives_one_by_one(part):
    assert [plain(batch) for batch in DataLoader(part, 2)] == [[60, 20], [40]]
    assert [plain(batch) for batch in DataLoader(Subset(part, [2, 0]), 2)] == [[40, 60]]


@pytest.mark.parametrize("indices", [[True, False, True], np.array([0.0, 1.5]), ["a"]])
def test_the_indices_of_a_part_are_whole_numbers(indices):
    with pytest.raises(TypeError, match=r"whole numbers, these are of dtype .*flatnonzero\(mask\)"):
        Subset(range(3), indices)


def test_shuffling_gives_each_row_once_and_depends_on_the_generator():
    data = TensorDataset(np.arange(100))

    def passes(loader):
        return [[i for (xb,) in loader for i in xb.tolist()] for _ in range(2)]

    first, second = passes(DataLoader(data, 8, shuffle=True, generator=cr.Generator(1)))
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second and first != list(range(100))
    assert passes(DataLoader(data, 8, shuffle=True, generator=cr.Generator(1))) == [first, second]
    assert passes(DataLoader(data, 8, shuffle=True, generator=cr.Generator(2)))[0] != first
    cr.manual_seed(5)
    from_seed = passes(DataLoader(data, 8, shuffle=True))
    cr.manual_seed(5)
    assert passes(DataLoader(data, 8, shuffle=True)) == from_seed


def test_samplers_give_what_their_names_say():
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    assert sorted(RandomSampler(range(5))) == list(range(5))
    assert len(list(RandomSampler(range(5), num_samples=12))) == 12
    twice = list(RandomSampler(range(5), num_samples=10))
    assert Counter(twice) == {i: 2 for i in range(5)}
    drawn = Counter(RandomSampler(range(4), True, 4000, cr.Generator(0)))
    assert all(900 < drawn[i] < 1100 for i in range(4))
    assert sorted(SubsetRandomSampler([7, 5, 9])) == [5, 7, 9]
    batches = list(BatchSampler(range(5), 2, True))
    assert batches == [[0, 1], [2, 3]] and len(BatchSampler(range(5), 2, True)) == 2


def test_weighted_samples_come_as_often_as_their_weights_say():
    weights = [0.0, 1.0, 3.0, 0.0]
    drawn = Counter(WeightedRandomSampler(weights, 8000, generator=cr.Generator(3)))
    assert set(drawn) == {1, 2} and abs(drawn[2] / 8000 - 0.75) < 0.02
    # Without replacement the first draw has these probabilities too.
    first = Counter(
        next(iter(WeightedRandomSampler(weights, 2, False, cr.Generator(seed))))
        for seed in range(1000)
    )
    assert set(first) == {1, 2} and abs(first[2] / 1000 - 0.75) < 0.05


def test_a_loader_takes_samplers():
    data = TensorDataset(np.arange(6))
    by_sampler = DataLoader(data, 2, sampler=[5, 3, 1])
    assert [plain(batch) for batch in by_sampler] == [[[5, 3]], [[1]]]
    by_batches = DataLoader(data, batch_sampler=[[0], [4, 5, 1]])
    assert [plain(batch) for batch in by_batches] == [[[0]], [[4, 5, 1]]] and len(by_batches) == 2
    one_by_one = DataLoader([(1, "a"), (2, "b")], batch_size=None)
    assert list(one_by_one) == [(1, "a"), (2, "b")]


def test_a_stream_has_batches_but_no_length():
    loader = DataLoader(Stream(), 2)
    assert [plain(batch) for batch in loader] == [
        [[0.0, 1.0], [0, 1]],
        [[2.0, 3.0], [2, 3]],
        [[4.0], [4]],
    ]
    assert len(list(DataLoader(Stream(), 2, drop_last=True))) == 2
    with pytest.raises(TypeError, match="len"):
        len(loader)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_load_the_same_batches_in_order(persistent):
    loader = DataLoader(
        Numbers(), 3, num_workers=2, worker_init_fn=mark_worker, persistent_workers=persistent
    )
    for _ in range(2):
        batches = list(loader)
        assert [i for batch in batches for i in batch[0].tolist()] == list(range(12))
        workers = {worker for batch in batches for worker in batch[1].tolist()}
        assert workers <= {0, 1} and workers
        # Each worker has random numbers of its own.
        for drawn in (2, 3):
            numbers = [value for batch in batches for value in batch[drawn].tolist()]
            assert len(set(numbers)) == len(numbers)
    assert len(list(pickle.loads(pickle.dumps(loader)))) == 4


def test_a_fault_of_a_worker_reaches_the_loop():
    with pytest.raises(KeyError, match="sample 2 is missing"):
        list(DataLoader(Failing(), 1, num_workers=2))
    with pytest.raises(RuntimeError, match="a worker of the DataLoader died"):
        list(DataLoader(Dying(), 1, num_workers=1))


class Hanging(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        time.sleep(600 * index)
        return index


class Unanswered(Hanging):
    def __getitem__(self, index):
        raise TimeoutError("the server did not answer")


def test_what_workers_can_not_get_is_refused():
    class Local(Numbers):
        pass

    for given in ({"dataset": Local()}, {"dataset": Numbers(), "collate_fn": lambda rows: rows}):
        loader = DataLoader(**given, num_workers=1, multiprocessing_context="spawn")
        with pytest.raises(TypeError, match=r"pickle: .*(Local|lambda).* at the top of a module"):
            list(loader)


@pytest.mark.parametrize("persistent", [False, True])
def test_a_worker_that_hangs_is_ended(persistent):
    import multiprocessing

    loader = DataLoader(Hanging(), 1, num_workers=1, timeout=0.5, persistent_workers=persistent)
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match=r"no batch came from the workers in 0\.5 s"):
        list(loader)
    assert time.monotonic() - begin < 300
    assert not multiprocessing.active_children()


def test_a_time_limit_of_the_dataset_is_not_the_loaders():
    with pytest.raises(TimeoutError, match="the server did not answer"):
        list(DataLoader(Unanswered(), 1, num_workers=1, timeout=100))


def test_a_pass_that_is_left_early_leaves_no_worker():
    import multiprocessing

    for _ in DataLoader(Numbers(), 1, num_workers=2):
        break
    assert not multiprocessing.active_children()


def test_random_split_parts_the_dataset():
    parts = random_split(range(11), [0.5, 0.3, 0.2], cr.Generator(0))
    assert [len(part) for part in parts] == [6, 3, 2]
    assert sorted(sample for part in parts for sample in part) == list(range(11))
    assert [len(part) for part in random_split(range(11), [0.0, 1.0])] == [0, 11]
    assert [len(part) for part in random_split(range(1), [0, 1])] == [0, 1]
    again = random_split(range(11), [6, 3, 2], cr.Generator(0))
    assert [list(part) for part in again] == [list(part) for part in parts]
    with pytest.raises(ValueError, match="make 9 samples, but the dataset has 11"):
        random_split(range(11), [6, 3])


def test_datasets_join_and_refuse_indices_outside():
    joined = TensorDataset(np.arange(2)) + Subset([("x",), ("y",)], [0, 1])
    assert isinstance(joined, ConcatDataset) and len(joined) == 4
    assert joined[-1] == ("y",) and joined[1][0].item() == 1
    for index in (4, -5):
        with pytest.raises(IndexError, match="outside a dataset of 4 samples"):
            joined[index]
    with pytest.raises(IndexError, match="index 9 is outside a dataset of 3 samples"):
        Subset("abc", [0, 9])


class Floats(IterableDataset):
    def __init__(self, numbers):
        self.numbers = numbers

    def __iter__(self):
        return iter(np.float32(self.numbers))


class Counted(Floats):
    def __len__(self):
        return len(self.numbers)


def test_streams_are_chained_as_in_pytorch():
    chained = Floats([1, 2]) + Floats([3])
    assert isinstance(chained, ChainDataset)
    for _ in range(2):  # passes
        assert [b.tolist() for b in DataLoader(chained, 2)] == [[1, 2], [3]]
    assert len(ChainDataset([Counted([1]), Counted([2, 3])])) == 3
    with pytest.raises(TypeError, match="collate_fn is a function of a list of samples -> a batch"):
        DataLoader([1, 2], collate_fn="default")
    with pytest.raises(TypeError, match="has no len"):
        len(chained)
    with pytest.raises(TypeError, match="not list: join datasets with indices by ConcatDataset"):
        ChainDataset([Floats([1]), [1]])


def test_a_trainer_takes_chained_streams_and_stacked_datasets():
    x, y = np.ones((6, 2), np.float32), np.ones((6, 1), np.float32)

    class Rows(IterableDataset):
        def __iter__(self):
            return iter(zip(x[:3], y[:3], strict=True))

    losses = []
    for dataset in (TensorDataset(x, y), Rows() + Rows(), StackDataset(x, y)):
        layer = cr.nn.Linear(2, 1)
        cr.nn.init.zeros_(layer.weight), cr.nn.init.zeros_(layer.bias)
        trainer = cr.Trainer(layer, cr.nn.MSELoss(), cr.optim.SGD(layer.parameters(), lr=0.1))
        losses.append(trainer.fit(DataLoader(dataset, 2), epochs=2)["loss"])
    assert losses[0] == losses[1] == losses[2]


def test_datasets_are_stacked_as_in_pytorch():
    stacked = StackDataset(np.float32([1, 2, 3]), TensorDataset(np.arange(3)))
    (x, (y,)) = next(iter(DataLoader(stacked, 3)))
    assert len(stacked) == 3 and x.tolist() == [1, 2, 3] and y.tolist() == [0, 1, 2]
    named = StackDataset(image=[1.0, 2.0], text=[5, 6])
    assert named[1] == {"image": 2.0, "text": 6} and len(named) == 2
    for arguments, names in (((), {}), (([1],), {"x": [1]})):
        with pytest.raises(ValueError, match="all by place or all by name: StackDataset"):
            StackDataset(*arguments, **names)
    with pytest.raises(ValueError, match=r"have one length, not \[1, 2\]"):
        StackDataset([1], [1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is at least 1"),
        ({"batch_size": 2.0}, "whole number"),
        ({"num_workers": -1}, "num_workers"),
        ({"timeout": 3}, "set num_workers"),
        ({"prefetch_factor": 3}, "set num_workers"),
        ({"sampler": [0], "shuffle": True}, "leave out shuffle"),
        ({"persistent_workers": True}, "set num_workers"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler makes the batches"),
        ({"batch_sampler": [[0]], "shuffle": True}, "batch_sampler makes the batches"),
        ({"batch_sampler": [[0]], "sampler": [0]}, "batch_sampler makes the batches"),
        ({"batch_sampler": [[0]], "drop_last": True}, "batch_sampler makes the batches"),
        ({"batch_size": None, "drop_last": True}, "no last one to drop"),
        ({"generator": 3}, "chainrule.Generator"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        DataLoader([1, 2, 3], **arguments)


@pytest.mark.parametrize(
    ("dataset", "arguments", "message"),
    [
        (iter([1, 2]), {}, "generator an IterableDataset"),
        ({"a": 1}, {}, "chainrule.data.batches a dict"),
        (Stream(), {"shuffle": True}, "in its own order"),
        (Stream(), {"sampler": [0]}, "in its own order"),
        (Stream(), {"batch_sampler": [[0]]}, "in its own order"),
        (Stream(), {"num_workers": 2}, "each worker would give all"),
    ],
)
def test_datasets_that_do_not_fit_are_refused(dataset, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        DataLoader(dataset, **arguments)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([np.zeros(2), np.zeros(3)], r"different shapes, \(2,\) and \(3,\)"),
        ([{"a": 1}, {"b": 1}], "dicts of different keys"),
        ([(1, 2), (1,)], "sequences of different lengths"),
        ([object(), object()], "samples of type object"),
        ([None, None], "samples of type NoneType"),
    ],
)
def test_samples_that_make_no_batch_are_refused(samples, message):
    with pytest.raises((TypeError, ValueError), match=message):
        list(DataLoader(samples, 2))


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [-1.0, 2.0], [np.nan, 1.0], [[1.0]]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="one finite number a sample"):
        WeightedRandomSampler(weights, 2)
    with pytest.raises(ValueError, match="weights has masked values"):
        WeightedRandomSampler(np.ma.masked_less([1.0, 2.0], 2), 2)


def test_random_split_by_shares():
    torch = pytest.importorskip("torch")
    for shares in ([0.6, 0.4], [0.33, 0.33, 0.34], [np.float64(0.5), 0.5], [1.0]):
        theirs = torch.utils.data.random_split(range(11), shares)
        assert [len(part) for part in random_split(range(11), shares)] == list(map(len, theirs))
    assert list(map(len, random_split(range(11), [1.0, 0.0]))) == [11, 0]
    for shares in ([0.6, 0.6], [0.5, 0.3], [2.0, 9.0]):
        with pytest.raises(ValueError, match="shares with the sum 1, or whole numbers"):
            random_split(range(11), shares)
