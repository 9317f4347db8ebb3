"""Convolutions and poolings of every instruction set against NumPy, for all widths of an element.

The kernels take vectors that may be wider than the filters or channels of a place, in tiles that
may be taller than the places that are left.
"""

import itertools

import numpy as np
import pytest
from bench import ARENA, Bench, tolerance

from chainrule import _core

FILTERS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 24, 30, 33, 48, 64, 70]
SHAPES = {  # images, channels, lengths, kernel, stride, border
    "5x5 of one channel": (3, 1, (11, 9), (5, 5), (1, 1), 2),
    "places that fill no tile": (1, 2, (4, 5), (2, 3), (1, 1), 0),
    "strides": (2, 3, (9, 8), (3, 2), (2, 3), 1),
    "over a wide border": (19, 16, (6, 6), (5, 5), (1, 1), 4),
}


def window_and_frame(shape, filters):
    images, channels, lengths, kernel, stride, border = shape
    window = {
        "images": images,
        "groups": 1,
        "channels": channels,
        "filters": filters,
        "lengths": [1, *(n + 2 * border for n in lengths)],
        "kernel": [1, *kernel],
        "stride": [1, *stride],
        "dilation": [1, 1, 1],
    }
    return window, {"lengths": [1, *lengths], "before": [0, border, border], "step": [1, 1, 1]}


def places_of(shape):
    _, _, lengths, kernel, stride, border = shape
    return tuple(
        (n + 2 * border - k) // s + 1 for n, k, s in zip(lengths, kernel, stride, strict=True)
    )


def under_windows(x, shape):
    """x (images, *lengths, channels) as (images, *places, *kernel, channels)."""
    _, _, _, kernel, stride, border = shape
    padded = np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    return np.moveaxis(windows[:, :: stride[0], :: stride[1]], 3, -1)


def after(bench, ref, view):
    """The bytes behind an array, which nobody may write."""
    end = ref[1] + view.nbytes
    return bench.spaces[ARENA][end : end + 64]


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_convolutions(rng, shape, dtype, instruction_set):
    images, channels, lengths, kernel, *_ = shape
    x = rng.normal(size=(images, *lengths, channels)).astype(dtype)
    for filters in FILTERS:
        w = rng.normal(size=(*kernel, channels, filters)).astype(dtype)
        window, frame = window_and_frame(shape, filters)
        bench = Bench(1 << 21, instruction_set=instruction_set)
        places = {"x": bench.put(x), "w": bench.put(w)}
        y, view = bench.room((images, *places_of(shape), filters), dtype)
        bench.plan.add("conv", "it", dtype=dtype, window=window, frame=frame, **places, y=y)
        bench.run()
        expected = np.einsum("nhwijc,ijcf->nhwf", under_windows(x, shape), w)
        near = tolerance(dtype)
        np.testing.assert_allclose(view, expected, near["rtol"], 10 * near["atol"], err_msg=filters)
        assert (after(bench, y, view) == 0xFF).all()


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("groups", [1, 21])
def test_places_that_lie_apart(rng, groups, accumulate, dtype, instruction_set):
    """Their results go to where a frame has them; what lies between is left as it is."""
    shape = images, channels, lengths, kernel, _, _ = SHAPES["strides"]
    places = places_of(shape)
    lines, columns = slice(1, None, 2), slice(2, None, 3)
    x = rng.normal(size=(images, *lengths, groups, channels if groups == 1 else 1)).astype(dtype)
    for filters in FILTERS if groups == 1 else [1, 2, 3]:
        w = rng.normal(size=(groups, *kernel, x.shape[-1], filters)).astype(dtype)
        window, frame = window_and_frame(shape, filters)
        window |= {"groups": groups, "channels": x.shape[-1]}
        y_lengths = [2 * places[0] + 1, 3 * places[1] + 1]
        y_frame = {"lengths": [1, *y_lengths], "before": [0, 1, 2], "step": [1, 2, 3]}
        bench = Bench(1 << 21, instruction_set=instruction_set)
        given = {"x": bench.put(x), "w": bench.put(w)}
        y, view = bench.room((images, *y_lengths, groups, filters), dtype)
        view[...] = rng.normal(size=view.shape)
        expected = view.copy()
        given |= {"y_frame": y_frame, "accumulate": accumulate, "y": y}
        bench.plan.add("conv", "it", dtype=dtype, window=window, frame=frame, **given)
        bench.run()
        for group in range(groups):
            under = under_windows(x[..., group, :], shape)
            result = np.einsum("nhwijc,ijcf->nhwf", under, w[group])
            at = expected[:, lines, columns, group][:, : places[0], : places[1]]
            at[...] = at + result if accumulate else result
        near = tolerance(dtype)
        np.testing.assert_allclose(view, expected, near["rtol"], 10 * near["atol"], err_msg=filters)
        assert (after(bench, y, view) == 0xFF).all()


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_gradients_of_weights(rng, shape, dtype, instruction_set):
    images, channels, lengths, kernel, *_ = shape
    x = rng.normal(size=(images, *lengths, channels)).astype(dtype)
    for filters in FILTERS:
        g = rng.normal(size=(images, *places_of(shape), filters)).astype(dtype)
        window, frame = window_and_frame(shape, filters)
        bench = Bench(1 << 21, instruction_set=instruction_set)
        places = {"x": bench.put(x), "g": bench.put(g)}
        w, view = bench.room((*kernel, channels, filters), dtype)
        bench.plan.add(
            "conv_weight_grad", "it", dtype=dtype, window=window, frame=frame, **places, w=w
        )
        bench.run()
        expected = np.einsum("nhwijc,nhwf->ijcf", under_windows(x, shape), g)
        near = tolerance(dtype)
        np.testing.assert_allclose(view, expected, near["rtol"], 50 * near["atol"], err_msg=filters)
        assert (after(bench, w, view) == 0xFF).all()


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("inner", [1, 2, 3, 4, 6, 8, 9, 16, 20])
@pytest.mark.parametrize(("kernel", "stride"), [((2, 2), (2, 2)), ((3, 2), (1, 2))])
def test_poolings(rng, kernel, stride, inner, dtype, instruction_set):
    """Of equal elements the first counts, and of those that are no number the last."""
    outer, lengths = 2, (6, 10)
    x = rng.integers(-2, 3, (outer, *lengths, inner)).astype(dtype)
    x[rng.random(x.shape) < 0.1] = np.nan
    shape = (outer, inner, lengths, kernel, stride, 0)
    elements = np.moveaxis(under_windows(x, shape), -1, 3)
    elements = elements.reshape(*elements.shape[:4], -1)
    taps = np.zeros(elements.shape[:-1], np.int32)
    for place in itertools.product(*map(range, taps.shape)):
        of_window = elements[place]
        wrong = np.flatnonzero(np.isnan(of_window))
        taps[place] = wrong[-1] if wrong.size else np.argmax(of_window)
    largest = np.take_along_axis(elements, taps[..., None], -1)[..., 0]

    window = {
        "outer": outer,
        "inner": inner,
        "lengths": [1, *lengths],
        "before": [0, 0, 0],
        "after": [0, 0, 0],
        "kernel": [1, *kernel],
        "stride": [1, *stride],
        "dilation": [1, 1, 1],
    }
    g = rng.integers(1, 9, taps.shape).astype(dtype)
    expected = np.zeros_like(x)
    for n, i, j, c in itertools.product(*map(range, taps.shape)):
        line, column = divmod(taps[n, i, j, c], kernel[1])
        expected[n, i * stride[0] + line, j * stride[1] + column, c] += g[n, i, j, c]

    bench = Bench(1 << 21, instruction_set=instruction_set)
    x_at, g_at = bench.put(x), bench.put(g)
    common = {"dtype": dtype, "window": window}
    rooms = {
        "y": bench.room(taps.shape, dtype),
        "taps": bench.room(taps.shape, np.int32),
        "taken": bench.room(taps.shape, dtype),
        "sums": bench.room(taps.shape, dtype),
        "spread": bench.room(x.shape, dtype),
    }
    at = {name: ref for name, (ref, _) in rooms.items()}
    bench.plan.add("max_pool", "max", **common, x=x_at, y=at["y"], taps=at["taps"])
    bench.plan.add("sum_pool", "take", **common, x=x_at, y=at["taken"], taps=at["taps"])
    bench.plan.add("sum_pool", "sum", **common, x=x_at, y=at["sums"])
    bench.plan.add(
        "sum_pool_input_grad", "spread", **common, g=g_at, taps=at["taps"], x=at["spread"]
    )
    bench.run()
    np.testing.assert_array_equal(rooms["y"][1], largest)
    np.testing.assert_array_equal(rooms["taps"][1], taps)
    np.testing.assert_array_equal(rooms["taken"][1], largest)
    np.testing.assert_array_equal(rooms["sums"][1], elements.sum(-1))
    np.testing.assert_array_equal(rooms["spread"][1], expected)
    for ref, view in rooms.values():
        assert (after(bench, ref, view) == 0xFF).all()
