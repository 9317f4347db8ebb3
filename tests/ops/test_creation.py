"""Making Tensors as NumPy and PyTorch do, and drawing them."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

SHAPED = ["zeros", "ones", "empty", "rand", "randn"]


@pytest.mark.parametrize("name", SHAPED)
def test_a_shape_is_given_in_one_piece_or_number_by_number(name):
    make = getattr(cr, name)
    for arguments in ((2, 3), ((2, 3),), ([2, 3],), (np.int64(2), 3), (np.array([2, 3]),)):
        made = make(*arguments)
        assert made.shape == (2, 3)
        assert made.dtype == np.float32
    assert make().shape == make(()).shape == ()
    assert make(4).shape == (4,)
    assert make(0, 3).shape == (0, 3)
    assert make(2, dtype="float64").dtype == np.float64
    leaf = make(2, 2, requires_grad=True)
    (leaf * leaf).sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), 2 * leaf.numpy())
    with pytest.raises(cr.ShapeError, match=rf"{name}: a shape has no negative lengths"):
        make(2, -1)
    with pytest.raises(TypeError, match=rf"{name}: a shape is whole numbers, .* got 2\.5"):
        make(2.5)


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_the_dtype_may_stand_second_as_in_numpy(name):
    make = getattr(cr, name)
    for dtype in ("int64", int, np.dtype("int64"), np.int64):
        assert make((2, 3), dtype).dtype == np.int64
        assert make(3, dtype).shape == (3,)
    assert make(3, dtype=None).dtype == np.float32
    assert make(2, dtype=bool).dtype == np.bool_


def test_values_of_zeros_and_ones():
    assert cr.zeros(2, 2).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert cr.ones(2).tolist() == [1.0, 1.0]
    assert cr.full((2,), 7).dtype == np.int64
    assert cr.full((2,), 7.5).dtype == np.float32
    assert cr.full((2,), True).dtype == np.bool_
    assert cr.full(2, 7, dtype="float32").tolist() == [7.0, 7.0]
    assert cr.full((2, 2), [1, 2]).tolist() == [[1, 2], [1, 2]]
    assert cr.full((2,), cr.tensor(3.0)).tolist() == [3.0, 3.0]
    assert cr.full((), 3.0, requires_grad=True).requires_grad
    with pytest.raises(cr.ShapeError, match=r"full: values of shape \(3,\) do not broadcast"):
        cr.full((2,), [1, 2, 3])


@pytest.mark.parametrize(
    "arguments",
    [(5,), (2, 7), (2, 7, 2), (7, 2, -2), (0.5,), (0, 1, 0.25), (5, 2), (-3.0, 3.0), (0,)],
)
def test_arange(arguments):
    found, expected = cr.arange(*arguments), np.arange(*arguments)
    assert found.dtype == (np.int64 if expected.dtype.kind == "i" else np.float32)
    np.testing.assert_array_equal(found.numpy(), expected.astype(found.dtype))
    assert cr.arange(3, dtype="float64").dtype == np.float64
    assert cr.arange(start=1, end=4, step=2).tolist() == [1, 3]
    with pytest.raises(ValueError, match="arange: the step is not 0"):
        cr.arange(1, 2, 0)


def test_linspace():
    for arguments in ((0, 1), (0, 1, 5), (3, -2, 7), (1, 2, 1), (1, 2, 0), (0, 1, 4, False)):
        expected = np.linspace(*arguments)
        found = cr.linspace(*arguments)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found.numpy(), expected.astype(np.float32))
        np.testing.assert_array_equal(cr.linspace(*arguments, dtype="float64").numpy(), expected)
    assert cr.linspace(0, 1, steps=3).tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="num is not negative"):
        cr.linspace(0, 1, -1)


@pytest.mark.parametrize(
    "arguments", [(3,), (2, 4), (4, 2), (3, 3, 1), (3, 4, -1), (0,), (2, None, 5)]
)
def test_triangles_and_diagonals(arguments):
    for name in ("eye", "tri"):
        found = getattr(cr, name)(*arguments)
        np.testing.assert_array_equal(found.numpy(), getattr(np, name)(*arguments))
        assert found.dtype == np.float32
        assert getattr(cr, name)(*arguments, dtype="int64").dtype == np.int64
    np.testing.assert_array_equal(cr.identity(3).numpy(), np.identity(3))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "uint8"])
@pytest.mark.parametrize("name", ["tril", "triu"])
def test_parts_of_matrices(name, dtype):
    for shape in ((3,), (3, 3), (2, 4), (4, 2), (2, 3, 4), (0, 3), (0,)):
        x = np.random.default_rng(0).integers(0, 5, shape).astype(dtype)
        for k in (-2, -1, 0, 1, 3):
            found, expected = getattr(cr, name)(x, k), getattr(np, name)(x, k)
            np.testing.assert_array_equal(found.numpy(), expected)
            assert found.dtype == expected.dtype
            assert getattr(cr.tensor(x), name)(diagonal=k).shape == expected.shape
    with pytest.raises(cr.ShapeError, match=rf"{name} takes a matrix, .*, not a number"):
        getattr(cr, name)(3)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_likes(dtype, symbolic):
    x = cr.placeholder((2, 3), dtype) if symbolic else cr.tensor(np.ones((2, 3), dtype))
    for name, value in (("zeros", 0), ("ones", 1), ("full", 1), ("empty", 0)):
        like = getattr(cr, f"{name}_like")
        more = (1,) if name == "full" else ()
        made = like(x, *more)
        assert (made.shape, made.dtype) == ((2, 3), dtype)
        assert (made.numpy() == value).all()
        assert like(x, *more, dtype="float64").dtype == np.float64
        assert like(x, *more, shape=(4,)).shape == (4,)
        assert like(input=x, **({"fill_value": 1} if more else {})).shape == (2, 3)
    for name in ("rand_like", "randn_like"):
        assert getattr(cr, name)(x, dtype="float64").shape == (2, 3)
        if dtype in ("float32", "float64"):
            assert getattr(cr, name)(x).dtype == dtype
    assert cr.zeros_like([1, 2]).tolist() == [0, 0]
    assert cr.ones_like(cr.Parameter([1.0, 2.0])).tolist() == [1.0, 1.0]


def test_asarray_shares_memory_where_it_can():
    array, made = np.array([1.0, 2.0]), cr.tensor([1.0])
    assert np.shares_memory(cr.asarray(array).numpy(), array)
    assert cr.asarray(made) is made
    assert cr.asarray(made, "float64").dtype == np.float64
    assert not np.shares_memory(cr.asarray(array, copy=True).numpy(), array)
    assert not np.shares_memory(cr.asarray(made, copy=True).numpy(), made.numpy())
    assert cr.asarray([1, 2]).dtype == np.int64
    assert cr.asarray(array, copy=False).shape == (2,)
    for data, dtype in (([1.0], None), (array, "float32"), (made, "float64")):
        with pytest.raises(ValueError, match="asarray: these data take a copy"):
            cr.asarray(data, dtype, copy=False)


def test_arrays_of_other_libraries():
    torch = pytest.importorskip("torch")
    theirs = torch.arange(6.0).reshape(2, 3)
    made = cr.from_dlpack(theirs)
    np.testing.assert_array_equal(made.numpy(), theirs.numpy())
    assert np.shares_memory(made.numpy(), theirs.numpy())


# Random numbers


@pytest.fixture(autouse=True)
def seeded():
    cr.manual_seed(3)


def test_whole_numbers_are_uniform():
    drawn = cr.randint(3, 9, (60_000,))
    assert drawn.dtype == np.int64
    values, counts = np.unique(drawn.numpy(), return_counts=True)
    assert values.tolist() == [3, 4, 5, 6, 7, 8]
    assert np.abs(counts - 10_000).max() < 500
    assert cr.randint(5).shape == ()
    assert cr.randint(5, size=3).shape == cr.randint(0, 5, size=(3,)).shape == (3,)
    assert cr.randint(5, (2, 3)).shape == (2, 3)  # PyTorch's order
    assert cr.randint(-4, -3, 5).tolist() == [-4] * 5
    assert cr.randint(2**53, size=100).max().item() < 2**53
    assert cr.randint(9, size=4, dtype="uint8").dtype == np.uint8
    for bounds in ((0,), (5, 5), (5, 2), (0, 2**53 + 1)):
        with pytest.raises(ValueError, match="there are no numbers, or more than"):
            cr.randint(*bounds)
    with pytest.raises(cr.DTypeError, match="integer dtype, not float32"):
        cr.randint(5, dtype="float32")
    assert cr.randint(256, size=1000, dtype="uint8").max().item() > 250
    for bounds in ((257,), (-1, 5)):
        with pytest.raises(ValueError, match="uint8 does not hold all numbers"):
            cr.randint(*bounds, dtype="uint8")
    for bounds in ((2.5,), (0, 2.5), (True,)):
        with pytest.raises(TypeError, match=r"(low|high) is a whole number"):
            cr.randint(*bounds)


def test_permutations():
    order = cr.permutation(100)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(100)) != order.tolist()
    x = np.arange(12).reshape(6, 2)
    rows = cr.permutation(x)
    assert sorted(rows.numpy()[:, 0].tolist()) == [0, 2, 4, 6, 8, 10]
    assert cr.permutation(0).tolist() == []
    first = [tuple(cr.permutation(3).tolist()) for _ in range(6000)]
    counts = [first.count(p) for p in set(first)]
    assert len(counts) == 6 and max(counts) < 1200
    with pytest.raises(cr.SymbolicError, match="permutation: in a captured function"):
        cr.capture(lambda: cr.permutation(3))


@pytest.mark.parametrize(
    "draw", [lambda: cr.rand(5), lambda: cr.randn(5), lambda: cr.randint(9, size=5)]
)
def test_draws_are_those_of_the_seed_eager_and_captured(draw):
    with cr.use_generator(cr.Generator(7)):
        eager = [draw().tolist() for _ in range(2)]
    assert eager[0] != eager[1]
    with cr.use_generator(cr.Generator(7)):
        again = [draw().tolist() for _ in range(2)]
    assert eager == again
    with cr.use_generator(cr.Generator(7)):
        graph = cr.capture(draw)
        assert [graph().tolist() for _ in range(2)] == eager


@pytest.mark.parametrize(
    "draw",
    [
        lambda: cr.rand(3, requires_grad=True),
        lambda: cr.randn(3, requires_grad=True),
        lambda: cr.normal(0, 0.01, (3,), requires_grad=True),
        lambda: cr.uniform(-1, 1, (3,), requires_grad=True),
        lambda: cr.rand_like(cr.zeros(3), requires_grad=True),
        lambda: cr.randn_like(cr.zeros(3), requires_grad=True),
    ],
)
def test_random_leaves(draw):
    x = draw()
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())
    with pytest.raises(cr.SymbolicError, match="in a captured function a draw has no value"):
        cr.capture(draw)


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like", "full_like"])
def test_leaves_like_another(name):
    more = (2.5,) if name == "full_like" else ()
    x = getattr(cr, name)(cr.tensor([3, 4]), *more, dtype="float32", requires_grad=True)
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())
    with pytest.raises(TypeError, match="int64"):
        getattr(cr, name)(cr.tensor([3, 4]), *more, dtype="int64", requires_grad=True)


MADE_IN = {
    "zeros": lambda dtype: cr.zeros(3, dtype=dtype),
    "ones": lambda dtype: cr.ones(3, dtype),
    "empty": lambda dtype: cr.empty(3, dtype=dtype),
    "full": lambda dtype: cr.full(3, 1, dtype=dtype),
    "zeros_like": lambda dtype: cr.zeros_like([1.0], dtype=dtype),
    "ones_like": lambda dtype: cr.ones_like([1.0], dtype=dtype),
    "full_like": lambda dtype: cr.full_like([1.0], 2, dtype=dtype),
    "arange": lambda dtype: cr.arange(3, dtype=dtype),
    "linspace": lambda dtype: cr.linspace(0, 1, 3, dtype=dtype),
    "eye": lambda dtype: cr.eye(2, dtype=dtype),
    "identity": lambda dtype: cr.identity(2, dtype=dtype),
    "tri": lambda dtype: cr.tri(2, dtype=dtype),
    "randint": lambda dtype: cr.randint(9, size=3, dtype=dtype),
}


@pytest.mark.parametrize("name", MADE_IN)
def test_dtypes_are_those_of_tensors_in_the_machines_order(name):
    for dtype in (">i8",) if name == "randint" else (">f4", ">f8", ">i8"):
        made = MADE_IN[name](dtype)
        assert made.dtype.isnative and made.numpy().dtype.isnative, dtype
        assert made.dtype == np.dtype(dtype).newbyteorder("=")
    for dtype in (complex, "datetime64[s]", "bfloat16", "text"):
        with pytest.raises(cr.DTypeError):
            MADE_IN[name](dtype)


@pytest.mark.parametrize(
    "make",
    [
        lambda w: cr.full((2,), w),
        lambda w: cr.full_like(cr.zeros(2), w * 2.0),
        lambda w: cr.full((2, 1), [w]),
        lambda w: np.full_like(cr.zeros(2), w),
        lambda w: cr.linspace(0, w, 3),
    ],
)
def test_what_is_made_of_a_parameter_passes_its_gradient_on(make):
    w = cr.Parameter(2.0)
    make(w).sum().backward()
    assert w.grad.item() > 0
    assert make(w.detach()).size > 1


def test_numbers_in_a_row_are_not_made_of_a_parameter():
    with pytest.raises(TypeError, match="would be lost"):
        cr.arange(cr.Parameter(2.0))


@pytest.mark.parametrize("name", SHAPED)
def test_a_shape_has_two_names(name):
    """PyTorch's functions call it size, NumPy's shape."""
    function = getattr(cr, name)
    for found in (function(size=(2, 3)), function(shape=(2, 3), dtype="float64")):
        assert found.shape == (2, 3)
    assert function(size=4).shape == (4,)
    for wrong in (lambda: function(2, 3, size=(2, 3)), lambda: function(size=2, shape=2)):
        with pytest.raises(TypeError, match=r"whole numbers|two names of one argument"):
            wrong()


X, W = cr.tensor([1.0, 2.0]), cr.Parameter(2.0)
ON_A_DEVICE = {
    **{name: lambda d, name=name: getattr(cr, name)(2, device=d) for name in SHAPED},
    **{
        name: lambda d, name=name: getattr(cr, name)(X, device=d)
        for name in ("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like")
    },
    "tensor": lambda d: cr.tensor([1.0], device=d),
    "as_tensor": lambda d: cr.as_tensor([1.0], device=d),
    "asarray": lambda d: cr.asarray([1.0], device=d),
    "full": lambda d: cr.full((2,), 1.0, device=d),
    "full of a Tensor": lambda d: cr.full((2,), W, device=d),
    "full_like": lambda d: cr.full_like(X, 1.0, device=d),
    "arange": lambda d: cr.arange(3, device=d),
    "linspace": lambda d: cr.linspace(0, 1, 3, device=d),
    "linspace of Tensors": lambda d: cr.linspace(W, 1, 3, device=d),
    "eye": lambda d: cr.eye(2, device=d),
    "randint": lambda d: cr.randint(2, (3,), device=d),
    "normal": lambda d: cr.normal(0, 1, 3, device=d),
    "Linear": lambda d: nn.Linear(2, 2, device=d).weight,
    "to": lambda d: X.to(d),
}


@pytest.mark.parametrize("made", ON_A_DEVICE)
def test_the_one_device_is_the_cpu(made):
    class Device:  # as PyTorch's and JAX's
        def __str__(self):
            return "cpu"

    make = ON_A_DEVICE[made]
    for device in (None, "cpu", "cpu:0", Device(), X.device):
        assert make(device).device == "cpu"
    for device in ("cuda", "cuda:1", "mps"):
        with pytest.raises(TypeError, match=f"no device '{device}' here: .*device='cpu'"):
            make(device)


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
def test_linspace_has_the_bits_of_numpys_eager_of_graphs_and_native(dtype):
    made = cr.compile(lambda start, stop: cr.linspace(start, stop, 101, dtype=dtype))
    for kind in (np.float32, np.float64):
        for start, stop in ((-5, -50), (0, 300), (-3, 97), (2, 2), (0.1, 7.3)):
            ends = np.array(start, kind), np.array(stop, kind)
            expected = np.linspace(*map(float, ends), 101)
            expected = (np.floor(expected) if dtype == "int64" else expected).astype(dtype)
            leaf = cr.tensor(ends[0], requires_grad=True)
            for found in (
                cr.linspace(*ends, 101, dtype=dtype),
                cr.linspace(leaf, ends[1], 101, dtype=dtype),
                made(*ends),
            ):
                np.testing.assert_array_equal(found.numpy(), expected, strict=True)


@pytest.mark.parametrize("endpoint", [True, False])
def test_linspace_of_arrays_of_which_some_do_not_move_has_the_bits_of_numpys(endpoint):
    ends = np.array([0.0, 2.0, 0.1]), np.array([300.0, 2.0, 7.0])
    expected = np.linspace(*ends, 50, endpoint=endpoint)
    leaf = cr.tensor(ends[0], requires_grad=True)
    found = cr.linspace(leaf, ends[1], 50, endpoint)
    np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    made = cr.compile(lambda start, stop: cr.linspace(start, stop, 50, endpoint))
    np.testing.assert_array_equal(made(*ends).numpy(), expected, strict=True)


@pytest.mark.parametrize("requires_grad", [True, False])
def test_linspace_keeps_the_digits_of_numbers_beside_float64(requires_grad):
    x = cr.tensor(0.1, "float64", requires_grad=requires_grad)
    np.testing.assert_array_equal(cr.linspace(x, 7.3, 5).numpy(), np.linspace(0.1, 7.3, 5))
    np.testing.assert_array_equal(cr.linspace(7.3, x, 5).numpy(), np.linspace(7.3, 0.1, 5))
    found, expected = cr.linspace([x, 1], [7.3, 2.2], 5), np.linspace([0.1, 1], [7.3, 2.2], 5)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_linspace_in_the_dtype_of_arrays_and_rounded_down():
    ends = np.array([0.1]), np.array([0.3])
    np.testing.assert_array_equal(cr.linspace(*ends, 4).numpy(), np.linspace(*ends, 4), strict=True)
    start = cr.tensor(0.1, "float64", requires_grad=True)
    assert cr.linspace(start, 1, 3).dtype == np.float64
    assert cr.linspace(0.1, 1, 3).dtype == np.float32
    assert cr.linspace(np.array(1), 2, 3).dtype == np.float32
    expected = np.linspace(-1, 1, 4, dtype=int)
    np.testing.assert_array_equal(cr.linspace(-1, 1, 4, dtype=int).numpy(), expected)
    start = cr.tensor(-1.0, requires_grad=True)
    np.testing.assert_array_equal(cr.linspace(start, 1, 4, dtype=int).numpy(), expected)
