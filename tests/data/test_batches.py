"""Minibatches: every row once, in an order that depends on seed and epoch alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule import data
from chainrule.data.batches import check_batch_size


@given(st.data())
def test_every_row_comes_exactly_once(draw):
    rows = draw.draw(st.integers(1, 200))
    batch_size = draw.draw(st.integers(1, rows))
    drop_last = draw.draw(st.booleans())
    x, y = np.arange(rows * 2).reshape(rows, 2), np.arange(rows)
    found = list(
        data.batches(
            x,
            y,
            batch_size,
            shuffle=draw.draw(st.booleans()),
            seed=draw.draw(st.integers(0, 2**64 - 1)),
            epoch=draw.draw(st.integers(0, 1000)),
            drop_last=drop_last,
        )
    )
    sizes = [len(yb) for _, yb in found]
    rest = rows % batch_size
    assert sizes == [batch_size] * (rows // batch_size) + [rest] * (rest > 0 and not drop_last)
    seen = np.concatenate([yb for _, yb in found])
    assert len(set(seen.tolist())) == sum(sizes)
    for xb, yb in found:
        np.testing.assert_array_equal(xb, x[yb])


def test_same_seed_and_epoch_same_order():
    def order(**arguments):
        return np.concatenate(list(data.batches(np.arange(100), None, 32, **arguments))).tolist()

    assert order() == order() == order(seed=0, epoch=0)
    assert order() != order(epoch=1) != order(epoch=2)
    assert order() != order(seed=1)
    assert order(seed=1) != order(epoch=1)
    assert order(shuffle=False) == list(range(100))


def test_every_pass_shuffles_anew():
    batches = data.batches(np.arange(100), None, 32, seed=3)
    assert len(batches) == 4 and batches.passes == 0
    for epoch in range(3):
        assert np.concatenate(list(batches)).tolist() == data.permutation(100, 3, epoch).tolist()
    assert batches.passes == 3
    other = data.batches(np.arange(100), None, 32, seed=3)
    for _ in other:  # a pass that is left counts, too
        break
    assert np.concatenate(list(other)).tolist() == data.permutation(100, 3, 1).tolist()


def test_an_explicit_epoch_and_no_shuffling_give_equal_passes():
    for options in ({"epoch": 4}, {"shuffle": False}):
        batches = data.batches(np.arange(50), None, 8, drop_last=True, **options)
        first, second = np.concatenate(list(batches)), np.concatenate(list(batches))
        assert first.tolist() == second.tolist()
        assert len(batches) == 6 and len(first) == 48
        assert repr(batches) == "<6 minibatches of 8 of 50 rows>"


def test_passes_may_be_nested():
    batches = data.batches(np.arange(6), None, 2)
    pairs = [(a.tolist(), b.tolist()) for a in batches for b in batches]
    assert len(pairs) == 9 and batches.passes == 4


def test_order_is_that_of_permutation():
    got = np.concatenate(list(data.batches(np.arange(50), None, 8, seed=3, epoch=4)))
    np.testing.assert_array_equal(got, data.permutation(50, 3, 4))


def test_permutation_is_the_same_on_every_machine():
    assert data.permutation(8, seed=1, epoch=2).tolist() == [7, 0, 5, 4, 6, 2, 3, 1]
    assert data.permutation(8, 1, 2).dtype == np.int64
    assert data.permutation(0, 1, 2).shape == (0,)


@pytest.mark.parametrize("n", [1, 2, 7, 1000, 10_240])
@pytest.mark.parametrize("key", [(0, 0), (3, 4), (2**64 - 1, 2**63)])
def test_permutation_is_numpys(n, key):
    generator = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
    np.testing.assert_array_equal(data.permutation(n, *key), generator.permutation(n))


def test_permutation_leaves_the_global_generator_alone():
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    data.permutation(100, 0, 0)
    assert np.random.random() == expected


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((5, -1, 0), ValueError, "a seed is a whole number in 0"),
        ((5, 0, -1), ValueError, "epoch is at least 0, got -1"),
        ((-5, 0, 0), ValueError, "n is at least 0, got -5"),
        ((5, 2**64, 0), ValueError, "a seed is a whole number in 0"),
        ((5, None, 0), TypeError, "a seed is a whole number; got None"),
        ((5, 0, 1.0), TypeError, "epoch is a whole number, at least 0; got 1.0"),
    ],
)
def test_permutation_refuses(arguments, error, words):
    with pytest.raises(error, match=words):
        data.permutation(*arguments)


def test_structures_of_several_arrays():
    x = {"image": np.arange(24).reshape(6, 2, 2), "age": np.arange(6)}
    y = (np.arange(6) * 10, np.arange(6) * 100)
    for xb, yb in data.batches(x, y, 2):
        np.testing.assert_array_equal(xb["image"][:, 0, 0], xb["age"] * 4)
        np.testing.assert_array_equal(yb[0], xb["age"] * 10)
        np.testing.assert_array_equal(yb[1], xb["age"] * 100)


def test_batches_are_copies_with_the_dtype_given():
    x = np.zeros((4, 2), dtype=np.uint8)
    for xb in data.batches(x, batch_size=2, shuffle=False):
        assert type(xb) is np.ndarray
        assert xb.dtype == np.uint8
        xb += 1
    assert not x.any()


def test_memory_mapped_file(tmp_path):
    mapped = np.memmap(tmp_path / "x.bin", dtype=np.int32, mode="w+", shape=(10, 3))
    mapped[:] = np.arange(30).reshape(10, 3)
    read_only = np.memmap(tmp_path / "x.bin", dtype=np.int32, mode="r", shape=(10, 3))
    for xb, yb in data.batches(read_only, np.arange(10), 4):
        np.testing.assert_array_equal(xb[:, 0], yb * 3)
        xb += 1  # a copy in memory, not the file
    assert mapped[9, 2] == 29


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"batch_size": 11, "drop_last": True},
            ValueError,
            "11 but the data has 10 rows, so drop_",
        ),
        ({"batch_size": 0}, ValueError, "batch_size is at least 1, got 0"),
        ({"batch_size": -3}, ValueError, "batch_size is at least 1, got -3"),
        ({"batch_size": 2.0}, TypeError, "batch_size is a whole number, at least 1; got 2.0"),
        ({"batch_size": True}, TypeError, "batch_size is a whole number, at least 1; got True"),
        ({"y": np.zeros(9)}, ValueError, r"x \(10,\), y \(9,\)"),
        ({"y": ["a"] * 10}, TypeError, "y holds text"),
        ({"seed": -1}, ValueError, "a seed is a whole number in 0"),
        ({"epoch": 2**64}, ValueError, "epoch .* must be below 2"),
    ],
)
def test_faults_are_told_at_the_call(arguments, error, words):
    with pytest.raises(error, match=words):
        data.batches(np.arange(10), **{"batch_size": 5, **arguments})  # never iterated


def test_batch_size_may_be_a_numpy_integer():
    assert type(check_batch_size(np.int64(10), rows=10)) is int
