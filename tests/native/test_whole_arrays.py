"""The core's functions of whole arrays do what NumPy's do."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import _core
from chainrule.ops.random import random_uniform

SPECIAL = [0.0, -0.0, 1.0, "tiny", "-max", "max", "inf", "-inf", "nan", "-nan", "signalling nan"]


def special(name, dtype):
    info = np.finfo(dtype)
    if name == "signalling nan":
        bits = np.array(np.inf, dtype).view(f"u{info.dtype.itemsize}") + 1
        return bits.view(dtype)
    named = {"tiny": info.smallest_subnormal, "max": info.max, "-max": -info.max}
    return np.array(named.get(name, name), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 7, 300, 1 << 17])
def test_a_single_number_that_is_not_finite_is_found(dtype, size):
    array = np.random.default_rng(0).normal(size=size).astype(dtype)
    assert _core.are_finite(array)
    for name in SPECIAL:
        for place in {0, size // 2, size - 1}:
            changed = array.copy()
            changed[place] = special(name, dtype)
            changed.setflags(write=False)
            assert _core.are_finite(changed) == bool(np.isfinite(changed).all())


def test_arrays_without_numbers_and_whole_numbers_are_finite():
    assert _core.are_finite(np.zeros((0, 3), "float32"))
    assert _core.are_finite(np.full((2, 3), -1))
    assert not _core.are_finite(np.array(np.nan))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (1000, 300)])
def test_a_copy_has_the_bits_of_its_original(dtype, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    place = np.empty(shape, dtype)
    _core.copy(place, array)
    np.testing.assert_array_equal(place, array)


def test_what_is_no_copy_is_refused():
    array = np.zeros((4, 3), "float32")
    with pytest.raises(ValueError, match="dtype and the size"):
        _core.copy(array, array[:3])
    with pytest.raises(ValueError, match="dtype and the size"):
        _core.copy(array, array.view("int32"))
    for call in (lambda: _core.copy(array, array.T), lambda: _core.are_finite(array.T)):
        with pytest.raises(TypeError):
            call()
    array.setflags(write=False)
    with pytest.raises(TypeError):
        _core.copy(array, np.ones((4, 3), "float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3, 1001), (80_000,)])
def test_eager_draws_are_the_numbers_of_the_definition(shape, dtype):
    state = np.array([2**40 + 7, 2**33 + 3], np.uint64)
    generator = cr.Generator()
    generator.state.assign(state)
    drawn = generator.uniform(shape, dtype).numpy()
    expected = random_uniform.forward(state, shape=shape, dtype=np.dtype(dtype))
    np.testing.assert_array_equal(drawn, expected, strict=True)


def test_only_floats_are_drawn():
    with pytest.raises(ValueError, match="float32 or float64"):
        _core.fill_uniform(np.zeros(3, np.int64), 0, 0)
