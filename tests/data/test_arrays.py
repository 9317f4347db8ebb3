"""Checks of the data given to training: structures, dtypes, rows, finite values."""

import tracemalloc

import numpy as np
import pytest

from chainrule.data.arrays import as_arrays, check_finite, check_same_rows, take


class Frame:
    """A stand-in for a pandas table: a shape, ``__array__``, and a method ``mask``."""

    def __init__(self, values):
        self._values = np.asarray(values)
        self.shape = self._values.shape

    def __array__(self, dtype=None, copy=None):
        return self._values

    def mask(self):
        raise AssertionError("must not be called")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
def test_one_array_keeps_dtype_and_is_not_copied(dtype):
    array = np.ones((3, 2), dtype=dtype)
    assert as_arrays(array, "x") is array


def test_structures():
    a, b = np.zeros((4, 2)), np.ones(4)
    for given in ((a, b), [a, b], (a, b.tolist())):
        arrays = as_arrays(given, "x")
        assert isinstance(arrays, tuple)
        assert [part.shape for part in arrays] == [(4, 2), (4,)]
    named = as_arrays({"a": a, "b": b.tolist()}, "x")
    assert list(named) == ["a", "b"]
    assert named["b"].shape == (4,)


@pytest.mark.parametrize("numbers", [[[1, 2], [3, 4]], ([1, 2], [3, 4]), [(1, 2), (3, 4)]])
def test_plain_numbers_in_lists_are_one_array(numbers):
    assert as_arrays(numbers, "x").tolist() == [[1, 2], [3, 4]]
    assert as_arrays([np.float32(1), np.float32(2)], "y").shape == (2,)


def test_table_like_objects_are_converted():
    frame = Frame([[1.0, 2.0], [3.0, 4.0]])
    assert as_arrays(frame, "x").tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert len(as_arrays([frame, Frame([1, 2])], "x")) == 2


def test_foreign_byte_order_becomes_native():
    array = as_arrays(np.arange(3, dtype=">f4"), "x")
    assert array.dtype.isnative
    assert array.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (["cat", "dog"], TypeError, ["y holds text", "np.unique"]),
        (np.array([b"cat"]), TypeError, ["y holds text"]),
        (np.array([1, None]), TypeError, ["dtype object", "astype('float32')"]),
        (Frame(np.array([[1, "a"]], dtype=object)), TypeError, ["a Frame of dtype object"]),
        (None, TypeError, ["y is None"]),
        (np.array([1j]), TypeError, ["complex128", "real numbers"]),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), TypeError, ["datetime64"]),
        (np.zeros((0, 4)), ValueError, ["no rows", "(0, 4)"]),
        ([], ValueError, ["no rows"]),
        ((), ValueError, ["no rows"]),
        ({}, ValueError, ["empty dict"]),
        (3.0, ValueError, ["single value 3.0", "np.atleast_1d"]),
        ([[1, 2], [3]], ValueError, ["y is not an array", "same length"]),
        (np.ma.masked_array([1, 2], [0, 1]), ValueError, ["masked", "filled"]),
        ({"a": [1, 2], "b": ["u", "v"]}, TypeError, ["y['b'] holds text"]),
        ((np.zeros(2), np.zeros((0, 2))), ValueError, ["y[1] has no rows"]),
        ((np.zeros((2, 3)), np.zeros(4)), ValueError, ["y[0] (2, 3)", "y[1] (4,)"]),
    ],
)
def test_refused(data, error, words):
    with pytest.raises(error) as caught:
        as_arrays(data, "y")
    for word in words:
        assert word in str(caught.value)


def test_masked_array_without_masked_values_passes():
    assert as_arrays(np.ma.masked_array([1, 2], [0, 0]), "x").tolist() == [1, 2]


def test_same_rows():
    x = {"a": np.zeros((3, 2)), "b": np.zeros(3)}
    assert check_same_rows(x=x, y=np.zeros(3)) == 3
    with pytest.raises(ValueError, match=r"x\['a'\] \(3, 2\), x\['b'\] \(3,\), y \(4,\)"):
        check_same_rows(x=x, y=np.zeros(4))


def test_list_of_single_images_is_told_to_stack():
    images = [np.zeros((28, 28))] * 100
    with pytest.raises(ValueError, match=r"and 97 more.*np\.stack"):
        check_same_rows(x=as_arrays(images, "x"), y=np.zeros(100))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_first_non_finite_value_is_found(bad, dtype):
    array = np.zeros((500_000, 3), dtype=dtype)  # several blocks
    check_finite(array, "x")
    array[450_001, 2] = bad
    array[460_000, 0] = bad
    with pytest.raises(ValueError, match=f"x holds {bad} at row 450001, column 2"):
        check_finite(array, "x")


def test_place_of_non_finite_values_in_other_shapes():
    with pytest.raises(ValueError, match=r"y holds nan at row 1\. Fill"):
        check_finite(np.array([0, np.nan]), "y")
    images = np.zeros((3, 4, 5))
    images[2, 1, 3] = np.inf
    with pytest.raises(ValueError, match=r"x\[1\] holds inf at row 2, position \(1, 3\)"):
        check_finite((np.zeros(3), images), "x")


def test_integers_and_empty_features_are_finite():
    check_finite({"a": np.arange(4), "b": np.zeros((4, 0)), "c": np.ones(4, dtype=bool)}, "x")


def test_large_finite_values_are_finite():
    check_finite(np.full(10_000, np.finfo(np.float32).max, dtype=np.float32), "x")


def test_memory_mapped_file_is_not_loaded(tmp_path):
    shape = (40_000, 100)  # 16 MB
    mapped = np.memmap(tmp_path / "x.bin", dtype=np.float32, mode="w+", shape=shape)
    tracemalloc.start()
    arrays = as_arrays(mapped, "x")
    check_finite(arrays, "x")
    part = take(arrays, np.array([39_999, 0]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    assert np.shares_memory(arrays, mapped)
    assert part.shape == (2, 100)
    mapped[20_001, 7] = np.nan
    with pytest.raises(ValueError, match="row 20001, column 7"):
        check_finite(arrays, "x")


def test_take_keeps_structure_and_copies():
    a, b = np.arange(8).reshape(4, 2), np.arange(4.0)
    indices = np.array([3, 1])
    assert take(a, indices).tolist() == [[6, 7], [2, 3]]
    first, second = take((a, b), indices)
    assert (first.tolist(), second.tolist()) == ([[6, 7], [2, 3]], [3.0, 1.0])
    named = take({"b": b}, indices)
    named["b"][:] = -1
    assert b.tolist() == [0, 1, 2, 3]
    with pytest.raises(IndexError):
        take(b, np.array([4]))
