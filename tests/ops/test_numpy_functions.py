"""Functions under NumPy's names: the same call with NumPy and with chainrule, of many dtypes.

Each case is a function of a library and an array. It is called with NumPy, eagerly, symbolically
and by a native plan; its gradient is checked against finite differences to second order.
"""

import numpy as np
import pytest
from native_calls import each, run_native

import chainrule as cr
from chainrule.testing import check_gradient

DTYPES = [np.float32, np.float64, np.int64, np.bool_]
S, V, M, T, E, E3 = (), (5,), (3, 4), (2, 3, 4), (0, 3), (2, 0, 3)

SHAPE = {
    "squeeze": (lambda xp, x: xp.squeeze(x), [S, V, (1, 3, 1), (1, 0)]),
    "squeeze axis": (lambda xp, x: xp.squeeze(x, -1), [(1, 3, 1), (0, 1)]),
    "squeeze axes": (lambda xp, x: xp.squeeze(x, (0, -1)), [(1, 3, 1)]),
    "x.squeeze": (lambda xp, x: x.squeeze(0), [(1, 3)]),
    "expand_dims": (lambda xp, x: xp.expand_dims(x, 0), [S, V, M, E]),
    "expand_dims -1": (lambda xp, x: xp.expand_dims(x, -1), [S, V, M, E]),
    "expand_dims several": (lambda xp, x: xp.expand_dims(x, (0, -1)), [S, V, M]),
    "moveaxis": (lambda xp, x: xp.moveaxis(x, 0, -1), [V, M, T, E3]),
    "moveaxis several": (lambda xp, x: xp.moveaxis(x, (0, 1), (-1, 0)), [M, T, E3]),
    "swapaxes": (lambda xp, x: xp.swapaxes(x, 0, -1), [V, M, T, E3]),
    "x.swapaxes": (lambda xp, x: x.swapaxes(-2, -1), [M, T]),
    "permute_dims": (lambda xp, x: xp.permute_dims(x, (1, 0)), [M, E]),
    "matrix_transpose": (lambda xp, x: xp.matrix_transpose(x), [M, T, E3]),
    "x.mT": (lambda xp, x: x.mT, [M, T]),
    "ravel": (lambda xp, x: xp.ravel(x), [S, V, T, E]),
    "x.flatten": (lambda xp, x: x.flatten(), [S, V, T, E]),
    "atleast_1d": (lambda xp, x: xp.atleast_1d(x), [S, V, M]),
    "atleast_2d": (lambda xp, x: xp.atleast_2d(x), [S, V, M, T]),
    "atleast_3d": (lambda xp, x: xp.atleast_3d(x), [S, V, M, T]),
    "flip": (lambda xp, x: xp.flip(x), [S, V, T, E]),
    "flip axis": (lambda xp, x: xp.flip(x, -1), [V, T, E]),
    "flip axes": (lambda xp, x: xp.flip(x, (0, -1)), [M, T, E]),
    "fliplr": (lambda xp, x: xp.fliplr(x), [M, T]),
    "flipud": (lambda xp, x: xp.flipud(x), [V, M, T]),
    "rot90": (lambda xp, x: [xp.rot90(x, k) for k in (-1, 0, 1, 2, 3, 7)], [M, T, E]),
    "rot90 axes": (lambda xp, x: xp.rot90(x, 1, (-1, 0)), [M, T]),
    "roll": (lambda xp, x: [xp.roll(x, k) for k in (-7, 0, 1, 2, 5)], [S, V, T, E]),
    "roll axis": (lambda xp, x: xp.roll(x, -1, -1), [V, M, T, E]),
    "roll axes": (lambda xp, x: xp.roll(x, (1, -2), (0, -1)), [M, T, E]),
    "roll one over axes": (lambda xp, x: xp.roll(x, 1, (0, -1)), [M, T]),
    "roll over no axis": (lambda xp, x: xp.roll(x, 1, ()), [M, T]),
    "roll twice along one": (lambda xp, x: xp.roll(x, (1, 1), 0), [V, M]),
    "meshgrid": (lambda xp, x: xp.meshgrid(x, x[:2]), [V, (0,)]),
    "meshgrid ij": (lambda xp, x: xp.meshgrid(x, x[:2], x[:3], indexing="ij"), [V]),
    "meshgrid of 3": (lambda xp, x: xp.meshgrid(x, x[:2], x[:3]), [V]),
    "meshgrid sparse": (lambda xp, x: xp.meshgrid(x, x[:2], sparse=True), [V]),
    "broadcast_arrays": (lambda xp, x: xp.broadcast_arrays(x, x[..., :1], x[0]), [M, T]),
}
JOINED = {
    "concatenate": (lambda xp, x: xp.concatenate([x, x[:1], x], 0), [V, M, E]),
    "concatenate flat": (lambda xp, x: xp.concatenate([x, x[0]], None), [M, T]),
    "concat": (lambda xp, x: xp.concat([x, x], axis=-1), [V, M, E]),
    "stack": (lambda xp, x: xp.stack([x, x], -1), [S, V, M, E]),
    "vstack": (lambda xp, x: xp.vstack([x, x]), [S, V, M, T]),
    "hstack": (lambda xp, x: xp.hstack([x, x]), [S, V, M, T]),
    "dstack": (lambda xp, x: xp.dstack([x, x]), [S, V, M, T]),
    "column_stack": (lambda xp, x: xp.column_stack([x, x]), [V, M]),
    "split": (lambda xp, x: xp.split(x, 2, -1), [M, T, (2, 0)]),
    "split at": (lambda xp, x: xp.split(x, [1, 3, -1], -1), [V, M, T]),
    "array_split": (lambda xp, x: xp.array_split(x, 3, -1), [V, M, T, E]),
    "hsplit": (lambda xp, x: xp.hsplit(x, [1]), [V, M, T]),
    "vsplit": (lambda xp, x: xp.vsplit(x, [1]), [M, T]),
    "dsplit": (lambda xp, x: xp.dsplit(x, 2), [T]),
    "unstack": (lambda xp, x: xp.unstack(x, axis=-1), [V, M]),
    "tile": (lambda xp, x: xp.tile(x, 3), [S, V, M, E]),
    "tile axes": (lambda xp, x: xp.tile(x, (2, 1, 3)), [S, V, M, T]),
    "tile none": (lambda xp, x: xp.tile(x, (0, 2)), [V, M]),
    "repeat": (lambda xp, x: xp.repeat(x, 2), [S, V, M, E]),
    "repeat axis": (lambda xp, x: xp.repeat(x, 3, -1), [V, M, T, E]),
    "repeat each": (lambda xp, x: xp.repeat(x, [2, 0, 1], 0), [(3,), M]),
    "repeat none": (lambda xp, x: xp.repeat(x, 0, 0), [V, M]),
    "x.repeat": (lambda xp, x: x.repeat(2, axis=0), [V, M]),
    "pad": (lambda xp, x: xp.pad(x, 1), [V, M, E]),
    "pad edge": (lambda xp, x: xp.pad(x, [(1, 2)], mode="edge"), [V, M]),
    "pad reflect": (lambda xp, x: xp.pad(x, 2, mode="reflect"), [V, M]),
}
SELECTED = {
    "take": (lambda xp, x: xp.take(x, [0, -1, 2]), [V, M, T]),
    "take axis": (lambda xp, x: xp.take(x, [[0, 1], [1, -1]], -1), [V, M, T]),
    "take one": (lambda xp, x: xp.take(x, 1, 0), [V, M]),
    "take none": (lambda xp, x: xp.take(x, np.zeros(0, int), 0), [V, M, E]),
    "x.take": (lambda xp, x: x.take([1, 1], 0), [V, M]),
    "take_along_axis": (
        lambda xp, x: xp.take_along_axis(x, np.array([[1, 0], [-1, 2], [0, 0]]), 1),
        [M, (3, 3)],
    ),
    "take_along_axis broadcast": (
        lambda xp, x: xp.take_along_axis(x, np.array([[[1]], [[0]]]), 1),
        [T],
    ),
    "take_along_axis flat": (
        lambda xp, x: xp.take_along_axis(x, np.array([3, 0, 0]), None),
        [V, M],
    ),
    "diagonal": (lambda xp, x: [xp.diagonal(x, k) for k in (-4, -1, 0, 1, 2, 5)], [M, (4, 3), E]),
    "diagonal of stacks": (lambda xp, x: xp.diagonal(x, 1, -1, 0), [T, E3]),
    "diag": (lambda xp, x: [xp.diag(x, k) for k in (-2, 0, 1)], [V, M, (0,), E]),
    "trace": (lambda xp, x: xp.trace(x), [M, T, E]),
    "trace offset": (lambda xp, x: xp.trace(x, -1, 1, 2), [T]),
    "index masks": (lambda xp, x: x[np.arange(x.shape[0]) % 2 == 0], [V, M, T, E]),
}
CASES = {**SHAPE, **JOINED, **SELECTED}


def draw(shape, dtype):
    values = np.random.default_rng(len(shape)).integers(-3, 4, shape) + 0.5
    return np.asarray(values).astype(dtype) if dtype is not np.bool_ else np.asarray(values > 0)


def parameters(cases):
    return [
        pytest.param(function, shape, id=f"{name}-{shape}")
        for name, (function, shapes) in cases.items()
        for shape in shapes
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "shape"), parameters(CASES))
def test_values_are_numpys(function, shape, dtype):
    x = draw(shape, dtype)
    expected = each(function(np, x))
    found = each(function(cr, cr.tensor(x)))
    native = run_native(lambda t: function(cr, t), x)
    symbolic = each(function(cr, cr.placeholder(shape, dtype)))
    for result, eager, plan, node in zip(expected, found, native, symbolic, strict=True):
        assert eager.shape == plan.shape == node.shape == result.shape
        assert eager.dtype == plan.dtype == node.dtype == result.dtype
        np.testing.assert_array_equal(eager.numpy(), result)
        np.testing.assert_array_equal(plan, result)


@pytest.mark.parametrize(("function", "shape"), parameters(CASES))
def test_gradients_are_those_of_finite_differences(function, shape):
    check_gradient(lambda x: [y * y for y in each(function(cr, x))], draw(shape, np.float64))


AXES = {
    "squeeze": lambda x: cr.squeeze(x, 2),
    "expand_dims": lambda x: cr.expand_dims(x, 4),
    "moveaxis": lambda x: cr.moveaxis(x, 0, 2),
    "swapaxes": lambda x: cr.swapaxes(x, 0, -3),
    "flatten": lambda x: cr.flatten(x, 2),
    "flip": lambda x: cr.flip(x, 2),
    "rot90": lambda x: cr.rot90(x, 1, (0, 2)),
    "roll": lambda x: cr.roll(x, 1, 2),
    "concatenate": lambda x: cr.concatenate([x, x], 2),
    "split": lambda x: cr.split(x, 1, -3),
    "array_split": lambda x: cr.array_split(x, 1, 2),
    "unstack": lambda x: cr.unstack(x, 2),
    "repeat": lambda x: cr.repeat(x, 2, 2),
    "take": lambda x: cr.take(x, [0], 2),
    "take_along_axis": lambda x: cr.take_along_axis(x, [[0]], 2),
    "put_along_axis": lambda x: cr.put_along_axis(x, [[0]], 1.0, -3),
    "add_along_axis": lambda x: cr.add_along_axis(x, [[0]], 1.0, 2),
    "diagonal": lambda x: cr.diagonal(x, 0, 0, 2),
    "argsort": lambda x: cr.argsort(x, 2),
    "sort": lambda x: cr.sort(x, 2),
    "topk": lambda x: cr.topk(x, 1, 2),
    "vecdot": lambda x: cr.vecdot(x, x, 2),
    "tensordot": lambda x: cr.tensordot(x, x, (2, 0)),
    "norm": lambda x: cr.linalg.norm(x, axis=2),
}


@pytest.mark.parametrize("name", AXES)
def test_an_axis_out_of_range_is_refused(name):
    for x in (cr.tensor(np.ones((2, 3))), cr.placeholder((2, 3))):
        with pytest.raises(cr.ShapeError, match=r"axis -?\d is out of range"):
            AXES[name](x)


REFUSED = {
    "squeeze axis 1 of shape": lambda x: cr.squeeze(x, 1),
    "expand_dims.* twice": lambda x: cr.expand_dims(x, (0, 0)),
    "moveaxis: axes .* each once": lambda x: cr.moveaxis(x, (0, 0), (0, 1)),
    "moveaxis: axes .* as many": lambda x: cr.moveaxis(x, (0, 1), 0),
    "matrix_transpose takes matrices": lambda x: cr.matrix_transpose(x[0]),
    "lies after": lambda x: cr.flatten(x, 1, 0),
    "rot90 takes two axes": lambda x: cr.rot90(x, 1, (0, -2)),
    "broadcast_arrays: shapes": lambda x: cr.broadcast_arrays(x, x[0, :2]),
    "meshgrid takes 1-d": lambda x: cr.meshgrid(x),
    "not as many shifts as axes": lambda x: cr.roll(x, (1, 2, 3), (0, 1)),
    "tile: the numbers": lambda x: cr.tile(x, -1),
    "repeat: .* is not one number": lambda x: cr.repeat(x, [1, 2, 3], 0),
    "repeat: -1 is not": lambda x: cr.repeat(x, -1),
    "hsplit takes a Tensor of at least 1": lambda x: cr.hsplit(x[0, 0], 1),
    "vsplit takes a Tensor of at least 2": lambda x: cr.vsplit(x[0], 1),
    "take_along_axis: indices of shape": lambda x: cr.take_along_axis(x, [0, 1], 0),
    "add_along_axis: indices": lambda x: cr.add_along_axis(x[:1], [[0], [1]], 1.0, 1),
    "diagonal takes two axes": lambda x: cr.diagonal(x, 0, 1, -1),
    "diag takes a matrix": lambda x: cr.diag(x[None]),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_does_not_fit_is_refused(words):
    for x in (cr.tensor(np.ones((2, 3))), cr.placeholder((2, 3))):
        with pytest.raises(cr.ShapeError, match=words.replace("squeeze axis", "squeeze: axis")):
            REFUSED[words](x)


def test_indices_are_integers():
    x = cr.tensor([[1.0, 2.0]])
    for function in (
        lambda: cr.take(x, [0.5]),
        lambda: cr.take(x, [True, False], 1),
        lambda: cr.take_along_axis(x, [[1.0]], 1),
        lambda: cr.put_along_axis(x, [[1.0]], 0.0, 1),
        lambda: cr.put(x, [True], 0.0),
        lambda: cr.repeat(x, 1.5),
    ):
        with pytest.raises(cr.DTypeError, match="integers, not"):
            function()
    assert cr.take(x, []).shape == (0,)


def test_flatten_from_an_axis_on():
    x = cr.placeholder((2, 3, 4, 5))
    assert cr.flatten(x, 1).shape == (2, 60)
    assert x.flatten(1, 2).shape == x.flatten(start_dim=1, end_dim=-2).shape == (2, 12, 5)


def test_axes_are_any_whole_numbers():
    x = np.arange(24.0).reshape(2, 3, 4)
    one, two = np.int64(1), np.int32(2)
    for function in (
        lambda xp, x: xp.moveaxis(x, one, two),
        lambda xp, x: xp.concatenate([x, x], axis=one),
        lambda xp, x: xp.take(x, [0], axis=one),
        lambda xp, x: xp.roll(x, one, axis=two),
        lambda xp, x: xp.expand_dims(x, [0, 2]) if xp is cr else np.expand_dims(x, (0, 2)),
        lambda xp, x: xp.flip(x, [0, 2] if xp is cr else (0, 2)),
        lambda xp, x: xp.squeeze(x[:1], [0] if xp is cr else (0,)),
        lambda xp, x: xp.tensordot(x, x, ([one], [one])),
        lambda xp, x: xp.sort(x, axis=one),
        lambda xp, x: xp.split(x, two, axis=two)[0],
        lambda xp, x: xp.repeat(x, two, axis=one),
    ):
        np.testing.assert_array_equal(function(cr, cr.tensor(x)).numpy(), function(np, x))
    with pytest.raises(TypeError):
        cr.take(x, [0], axis=1.0)


def test_arguments_under_pytorchs_names():
    x = cr.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    index = cr.tensor([[0], [2]])
    assert cr.squeeze(x[:1], dim=0).shape == (3,)
    assert cr.flip(x, dims=(1,)).tolist() == [[3, 2, 1], [6, 5, 4]]
    assert x.roll(shifts=1, dims=1).tolist() == [[3, 1, 2], [6, 4, 5]]
    assert cr.take_along_axis(x, dim=1, index=index).tolist() == [[1], [6]]
    assert cr.topk(x, 1, dim=1).indices.tolist() == [[2], [2]]
    assert cr.sort(input=x, dim=1, descending=True).tolist() == [[3, 2, 1], [6, 5, 4]]
    assert cr.concatenate(arrays=[x, x], dim=1).shape == (2, 6)
    assert cr.tensordot(x, x, dims=([0, 1], [0, 1])).item() == 91.0
