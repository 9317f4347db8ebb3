"""Memory-mapped files: which arrays are mapped, copies of rows, and releases without loss."""

import mmap
import sys

import numpy as np
import pytest

from chainrule.data import batches
from chainrule.data.mapped import Copier, MappedFiles, blocks, extremes

pytestmark = pytest.mark.skipif(
    not hasattr(mmap, "MADV_DONTNEED"), reason="this system can't release pages"
)


@pytest.fixture
def path(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(60, dtype="float32").reshape(20, 3))
    return tmp_path / "x.npy"


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_which_arrays_are_mapped_files(path, mode):
    """In mode "c" pages may hold changes that are not in the file: they are not released."""
    x = np.load(path, mmap_mode=mode)
    for array in (x, np.asarray(x), x[3:], np.asarray(x)[::2].T, x.reshape(3, 20)):
        assert bool(MappedFiles([np.zeros(2), array])) == (mode != "c")
    for array in (x.copy(), x + 1, x[[1, 2]], np.zeros(3), np.asarray(x)[x > 3]):
        assert not MappedFiles([array])


def test_a_release_loses_nothing(path):
    x = np.load(path, mmap_mode="r+")
    x[4] = -1.0
    MappedFiles([x]).release()
    assert (x[4] == -1.0).all()
    x.flush()
    assert (np.load(path)[4] == -1.0).all()
    private = np.load(path, mmap_mode="c")
    private[5] = -2.0
    MappedFiles([private]).release()
    assert (private[5] == -2.0).all() and (np.load(path)[5] != -2.0).all()


def test_copies_of_rows(path):
    x, y = np.load(path, mmap_mode="r"), np.arange(20)
    copier = Copier((x, y))
    assert copier.rows == 20
    for rows in (np.array([19, 0, 7]), np.arange(20)[::-1], np.array([5])):
        found, also = copier.read(rows)
        np.testing.assert_array_equal(found, x[rows])
        np.testing.assert_array_equal(also, y[rows])
        assert not np.shares_memory(found, x)
        assert found.flags.aligned and also.flags.aligned
    assert copier.read(np.array([7]))[0].all()
    copier.release()
    if sys.platform == "linux":  # whose released anonymous pages read as zeros
        assert not found.any()
    np.testing.assert_array_equal(copier.read(np.array([2]))[0], x[[2]])


def test_copies_of_any_number_of_bytes(tmp_path):
    """Rows of 7 bytes, more than are read between two releases."""
    values = np.random.default_rng(0).integers(0, 255, (3000, 7)).astype("uint8")
    np.save(tmp_path / "x.npy", values)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    order = np.random.default_rng(1).permutation(3000)
    found, y = Copier((x, values[:, 0].astype(float))).read(order)
    np.testing.assert_array_equal(found, values[order])
    np.testing.assert_array_equal(y, values[order, 0])


def test_blocks_are_all_rows_in_order():
    x = np.arange(3 * (1 << 17)).reshape(-1, 1 << 10).astype("float64")
    found = list(blocks(x))
    assert len(found) == 3
    assert [start for start, _ in found] == [0, 128, 256]
    np.testing.assert_array_equal(np.concatenate([block for _, block in found]), x)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_extremes_are_those_of_the_whole(dtype):
    x = np.random.default_rng(0).standard_normal((700, 1000)).astype(dtype)
    assert extremes(x) == (x.min(), x.max())
    assert extremes(x[:2]) == (x[:2].min(), x[:2].max())


def test_batches_of_a_mapped_file_are_those_of_an_array(path):
    x = np.load(path, mmap_mode="r")
    for mapped, plain in zip(batches(x, x, 7), batches(np.array(x), np.array(x), 7), strict=True):
        np.testing.assert_array_equal(mapped, plain)
