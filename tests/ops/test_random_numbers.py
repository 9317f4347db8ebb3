"""Random numbers by counter: known answers, moments, and the same draws in every way of running."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.execute.reference import Interpreter
from chainrule.ops.random import _stable_order, philox

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ONES] * 4, (ONES, ONES), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_known_answers(counter, key, expected):
    """The vectors of Random123's kat_vectors for philox4x32-10."""
    words = philox(np.array([counter, counter], np.uint64), key)
    assert words.tolist() == [expected, expected]


def test_the_numbers_of_a_seed_never_change():
    """Counter (block, position), key the seed; so a draw is known from Philox's known answer."""
    first = cr.Generator(0).uniform((4,))
    words = np.array([0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8], np.uint64)
    np.testing.assert_array_equal(first.numpy(), (words >> np.uint64(8)) / np.float32(2**24))
    wide = cr.Generator(0).uniform((2,), "float64").numpy()
    bits = [(int(high) >> 5 << 26) | (int(low) >> 6) for high, low in words.reshape(2, 2)]
    assert wide.tolist() == [b / 2**53 for b in bits]


def test_large_seeds_and_positions_fill_both_words():
    generator = cr.Generator(2**64 - 1)
    generator.state.assign(np.array([2**64 - 1, 2**33 + 5], np.uint64))
    words = philox(np.array([[0, 0, 5, 2]], np.uint64), (ONES, ONES))[0]
    expected = (words >> np.uint64(8)) / np.float32(2**24)
    np.testing.assert_array_equal(generator.uniform((4,)).numpy(), expected)
    assert generator.state.tolist() == [2**64 - 1, 2**33 + 6]


def test_a_draw_is_a_prefix_of_a_longer_draw():
    long = cr.Generator(3).uniform((1000,)).numpy()
    for n in (0, 1, 3, 4, 5, 999):
        np.testing.assert_array_equal(cr.Generator(3).uniform((n,)).numpy(), long[:n])
    np.testing.assert_array_equal(cr.Generator(3).uniform((10, 100)).numpy().ravel(), long)


def test_a_counter_gives_its_words_anywhere_in_a_long_draw():
    counters = np.arange(4 * 10_000, dtype=np.uint64).reshape(-1, 4)
    words = philox(counters, (1, 2))
    for at in (0, 1, 8191, 8192, 9999):
        np.testing.assert_array_equal(words[at], philox(counters[at : at + 1], (1, 2))[0])


@pytest.mark.parametrize("count", [5, 20_000])
def test_a_permutation_is_the_order_of_uniform_numbers(count):
    keys = cr.Generator(4).uniform((count,), "float64").numpy()
    with cr.use_generator(cr.Generator(4)):
        np.testing.assert_array_equal(cr.permutation(count), np.argsort(keys, kind="stable"))


@pytest.mark.parametrize("spread", [40, 2**20, 2**53])
def test_equal_and_near_keys_keep_their_order(spread):
    keys = np.random.default_rng(0).integers(spread, size=5000) * 2.0**-53
    np.testing.assert_array_equal(_stable_order(keys), np.argsort(keys, kind="stable"))


def test_draws_differ_by_seed_and_position():
    generator = cr.Generator(1)
    draws = [generator.uniform((8,)).tolist() for _ in range(4)]
    draws += [cr.Generator(seed).uniform((8,)).tolist() for seed in (0, 2, 2**32, 2**64 - 1)]
    assert len({tuple(d) for d in draws}) == 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_and_range(dtype):
    n = 100_000
    u = cr.Generator(7).uniform((n,), dtype).numpy()
    assert u.dtype == dtype
    assert u.min() >= 0
    assert u.max() < 1
    tolerance = 5 / np.sqrt(n)  # five standard errors of a unit variance
    assert abs(u.mean() - 0.5) < tolerance * np.sqrt(1 / 12)
    assert abs(u.var() - 1 / 12) < tolerance / 12
    counts = np.histogram(u, 10, (0, 1))[0]
    assert np.abs(counts - n / 10).max() < 5 * np.sqrt(n / 10)
    z = cr.Generator(7).normal((n,), dtype).numpy()
    assert z.dtype == dtype
    assert np.isfinite(z).all()
    assert abs(z.mean()) < tolerance
    assert abs(z.var() - 1) < tolerance * np.sqrt(2)
    assert abs((z**3).mean()) < tolerance * np.sqrt(15)
    assert abs((z**4).mean() - 3) < tolerance * np.sqrt(96)
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < tolerance
    b = cr.Generator(7).bernoulli(0.3, (n,), dtype).numpy()
    assert b.dtype == dtype
    assert set(np.unique(b)) == {0, 1}
    assert abs(b.mean() - 0.3) < tolerance


def test_bernoulli_of_certain_and_of_many_probabilities():
    generator = cr.Generator(0)
    assert generator.bernoulli(0.0, (100,)).numpy().sum() == 0
    assert generator.bernoulli(1.0, (100,)).numpy().sum() == 100
    assert generator.bernoulli(cr.tensor([0.0, 1.0]), (50, 2)).numpy().sum(0).tolist() == [0, 50]
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="lies in"):
            generator.bernoulli(p)


def test_eager_and_captured_draw_the_same_and_move_the_generator_alike():
    eager, captured = cr.Generator(11), cr.Generator(11)

    def draw(generator):
        with cr.use_generator(generator):
            return cr.uniform((3, 2)), cr.normal((5,), "float64"), cr.bernoulli(0.5, (7,))

    run = Interpreter(cr.capture(lambda: draw(captured)))
    assert captured.state.tolist() == [11, 0]
    for steps in (4, 8):
        expected, found = draw(eager), run()
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)
        assert captured.state.tolist() == eager.state.tolist() == [11, steps]


def test_manual_seed_starts_the_default_generator_anew():
    before = cr.default_generator.state.numpy().copy()
    try:
        cr.manual_seed(5)
        a = cr.uniform((3,)).tolist()
        cr.manual_seed(5)
        assert cr.uniform((3,)).tolist() == a == cr.Generator(5).uniform((3,)).tolist()
    finally:
        cr.default_generator.state.assign(before)


def test_use_generator_ends_with_its_block_even_by_an_error():
    outer = cr.current_generator()
    inner = cr.Generator(1)
    with pytest.raises(RuntimeError), cr.use_generator(inner):
        assert cr.current_generator() is inner
        raise RuntimeError
    assert cr.current_generator() is outer


class Quarter(cr.Generator):
    """Draws 1/4 always."""

    def uniform(self, shape, dtype="float32"):
        return cr.full(shape, 0.25, dtype)


class Two(cr.Generator):
    """Draws 2 in place of normal numbers."""

    def normal(self, shape, dtype="float32"):
        return cr.full(shape, 2.0, dtype)


def test_all_draws_are_made_of_what_a_generator_overrides():
    normal = np.sqrt(-2 * np.log(0.75)) * np.cos(np.pi / 2)
    x = cr.ones(3, dtype="float64")
    with cr.use_generator(Quarter()):
        for drawn in (cr.uniform((3,)), cr.uniform(size=3), cr.rand(3), cr.rand_like(x)):
            assert drawn.tolist() == [0.25] * 3
        assert cr.uniform(-1.0, 3.0, 3).tolist() == [0.0] * 3
        assert cr.randint(8, size=3).tolist() == [2] * 3
        assert cr.bernoulli(0.2, 2).tolist() == [0, 0]
        assert cr.bernoulli(0.3, 2).tolist() == [1, 1]
        np.testing.assert_allclose(cr.normal((3,), "float64"), normal, rtol=1e-15, atol=1e-15)
        assert (cr.nn.functional.dropout(x, 0.2) > 1.2).all()
        assert cr.nn.functional.dropout(x, 0.3).tolist() == [0.0] * 3
        assert cr.nn.Linear(1, 2).bias.tolist() == [-0.5, -0.5]
        run = cr.compile(lambda: cr.rand(3) + cr.uniform(1.0, 2.0, 3))
        assert run().tolist() == [1.5] * 3
    with cr.use_generator(Two()):
        assert cr.randn(2).tolist() == cr.normal((2,)).tolist() == [2.0, 2.0]
        assert cr.normal(1.0, 3.0, 2).tolist() == [7.0, 7.0]
    assert Quarter().bernoulli(0.3, 2).tolist() == [1, 1]


class Narrow(cr.Generator):
    """Draws other numbers by what it inherits."""

    def uniform(self, *arguments, **keywords):
        return super().uniform(*arguments, low=0.25, **keywords)

    def normal(self, shape, dtype="float32"):
        return super().normal(1.0, 0.0, shape, dtype=dtype)


def test_an_override_may_draw_from_an_interval_by_what_it_inherits():
    with cr.use_generator(Narrow(1)) as generator:
        drawn = cr.rand(1000)
        expected = cr.Generator(1).uniform(1000, low=0.25)
        assert (
            drawn.tolist() == expected.tolist() == generator.manual_seed(1).uniform(1000).tolist()
        )
        assert drawn.min().item() >= 0.25
        assert cr.randn(3).tolist() == [1.0] * 3


class Largest(cr.Generator):
    """Draws the largest number below 1 always."""

    def uniform(self, shape, dtype="float32"):
        return cr.full(shape, float(np.nextafter(np.dtype(dtype).type(1), 0)), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 3e-3), (-1, 1), (1000, 1001), (-1, 7e-8), (1e7, 1e7 + 1), (-5, -4), (3, 1)],
)
def test_rounding_does_not_bring_a_draw_to_the_end_of_its_interval(low, high, dtype):
    first, end = np.array([low, high], dtype)
    below = np.nextafter(end, first)
    ends = cr.tensor(first), cr.tensor(end)
    with cr.use_generator(Largest()):
        for run in (cr.compile(cr.uniform), cr.uniform):
            found = run(low=low, high=high, size=5, dtype=dtype).numpy()
            assert found.dtype == dtype
            assert ((first <= found) & (found < end) if low < high else found > end).all()
            assert np.abs(found - below).max() <= 3 * np.spacing(np.abs(end - first))
            given = run(low=ends[0], high=ends[1], size=5).numpy()
            assert ((first <= given) & (given < end) if low < high else given >= end).all()
        for fill in (cr.nn.init.uniform_, cr.Parameter.uniform_):
            drawn = cr.Parameter(cr.zeros(5, dtype=dtype))
            with cr.no_grad():
                fill(drawn, *sorted((low, high)))
            assert (drawn.numpy() < max(first, end)).all()


def test_an_interval_of_one_number_is_that_number():
    assert cr.uniform(2.0, 2.0, 3).tolist() == [2.0] * 3
    assert cr.uniform(cr.tensor(2.0), 2.0, 3).tolist() == [2.0] * 3
    assert cr.uniform(1.0, 1.0 + 1e-12, 2).tolist() == [1.0] * 2  # one number in float32


def test_an_interval_with_one_end_given_has_numpys_other():
    for ends, low, high in (({"low": 0.99}, 0.99, 1.0), ({"high": 0.01}, 0.0, 0.01)):
        drawn = cr.uniform(**ends, size=(1000,), dtype="float64").numpy()
        assert low <= drawn.min()
        assert drawn.max() < high


def test_a_refused_draw_does_not_move_the_generator():
    generator = cr.Generator(4)
    with cr.use_generator(generator):
        for wrong in (lambda: cr.normal(0.0, -1.0, 3), lambda: cr.uniform((3,), "int64")):
            with pytest.raises((TypeError, ValueError)):
                wrong()
    assert generator.state.tolist() == [4, 0]


@pytest.mark.parametrize(
    ("low", "high"),
    [(-3e38, 3e38), (0, np.inf), (-np.inf, 0), (np.nan, 1), (0, np.nan), (1e39, 1e39)],
)
def test_an_interval_whose_length_is_no_number_is_refused(low, high):
    p = cr.Parameter([1.0, 2.0])
    with cr.use_generator(cr.Generator(4)) as generator:
        for draw in (
            lambda: cr.uniform(low, high, 3),
            lambda: generator.uniform(low, high, 3),
            lambda: cr.nn.init.uniform_(p, low, high),
            lambda: p.uniform_(low, high),
        ):
            with pytest.raises(ValueError, match=r"finite|at most"), cr.no_grad():
                draw()
    assert generator.state.tolist() == [4, 0]
    assert p.tolist() == [1.0, 2.0]
    if np.isfinite([low, high]).all():
        assert np.isfinite(cr.uniform(low, high, 3, dtype="float64").numpy()).all()


@pytest.mark.parametrize("seed", [1.0, True, np.float64(1), np.float32(1), np.bool_(True)])
def test_a_whole_seed_is_taken_in_any_form_as_in_pytorch(seed):
    before = cr.default_generator.state.numpy().copy()
    try:
        assert cr.manual_seed(seed).state.tolist() == [1, 0]
    finally:
        cr.default_generator.state.assign(before)
    assert cr.Generator(seed).state.tolist() == [1, 0]
    assert cr.Generator(5).manual_seed(seed).state.tolist() == [1, 0]
    model = cr.nn.Linear(1, 1)
    trainer = cr.Trainer(model, cr.nn.MSELoss(), cr.optim.SGD(model.parameters()), seed=seed)
    assert trainer.seed == 1
    assert cr.Evaluator(model, cr.nn.MSELoss(), seed=seed) is not None
    assert cr.data.permutation(5, seed, 0).tolist() == cr.data.permutation(5, 1, 0).tolist()


@pytest.mark.parametrize("seed", [0.5, float("nan"), float("inf"), np.float32(0.5)])
def test_a_seed_that_is_no_whole_number_is_refused_with_the_remedy(seed):
    for take in (cr.manual_seed, cr.Generator, lambda seed: cr.data.permutation(5, seed, 0)):
        with pytest.raises(TypeError, match=r"a seed is a whole number.*: round it"):
            take(seed)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    for take in (cr.manual_seed, cr.Generator, lambda seed: cr.data.permutation(5, seed, 0)):
        with pytest.raises(ValueError, match="a seed is a whole number in 0"):
            take(seed)


def test_only_floats_are_drawn():
    generator = cr.Generator()
    with pytest.raises(cr.DTypeError, match="float32 or float64, not int64"):
        generator.uniform((2,), "int64")
    with pytest.raises(cr.ShapeError, match="negative"):
        generator.uniform((-1,))
    assert generator.state.tolist() == [0, 0]


def test_a_mask_stops_no_gradient():
    x = cr.tensor(np.ones(100), requires_grad=True)
    mask = cr.Generator(2).bernoulli(0.5, (100,), "float64")
    np.testing.assert_array_equal(cr.grad((x * mask).sum(), x).numpy(), mask.numpy())


FORMS = {  # of draws of shape (2, 4) in [-1, 3) or of mean 5 and standard deviation 2
    "NumPy": lambda f, a, b: f(*a, (2, 4)),
    "size by name": lambda f, a, b: f(*a, size=(2, 4)),
    "all by name": lambda f, a, b: f(**b, size=(2, 4)),
    "shape first": lambda f, a, b: f((2, 4), **b),
    "shape and dtype first": lambda f, a, b: f((2, 4), "float32", **b),
    "shape by name": lambda f, a, b: f(**b, shape=(2, 4)),
    "first number and size": lambda f, a, b: f(a[0], size=(2, 4), **dict(list(b.items())[1:])),
    "dtype by name": lambda f, a, b: f(*a, (2, 4), dtype="float32"),
    "of arrays": lambda f, a, b: f(cr.full((2, 1), a[0] + 0.0), cr.full((4,), a[1] + 0.0)),
}


@pytest.mark.parametrize("form", FORMS)
def test_draws_in_our_order_and_in_numpys(form):
    unit, normal = cr.Generator(3).uniform((2, 4)), cr.Generator(3).normal((2, 4))

    def by_generator(name):
        return getattr(cr.Generator(3), name)

    def by_function(name):
        def draw(*arguments, **keywords):
            with cr.use_generator(cr.Generator(3)):
                return getattr(cr, name)(*arguments, **keywords)

        return draw

    for drawing in (by_generator, by_function):
        found = FORMS[form](drawing("uniform"), (-1, 3), {"low": -1, "high": 3})
        np.testing.assert_array_equal(found, unit * 4 - 1, strict=True)
        for names in (("loc", "scale"), ("mean", "std")):
            found = FORMS[form](drawing("normal"), (5, 2), dict(zip(names, (5, 2), strict=True)))
            np.testing.assert_array_equal(found, normal * 2 + 5, strict=True)


def test_a_whole_number_is_a_shape():
    for shape in (3, np.int64(3), cr.tensor(3), np.array(3), [3], (3,)):
        assert cr.uniform(shape).shape == cr.normal(shape).shape == (3,)
        assert cr.uniform(0, 1, shape).shape == cr.normal(size=shape).shape == (3,)
        assert cr.bernoulli(0.5, shape).shape == cr.rand(shape).shape == (3,)
    assert cr.uniform(-1, 1).shape == cr.normal(0, 1).shape == cr.normal().shape == ()


def test_the_dtype_of_a_draw():
    assert cr.normal(0, 1, 2).dtype == cr.normal(np.int8([1, 2]), 1).dtype == np.float32
    assert (
        cr.normal(np.zeros(2), 1.0).dtype == cr.uniform(0, 1, dtype="float64").dtype == np.float64
    )
    assert cr.normal(np.zeros(2), 1.0, dtype="float32").dtype == np.float32


def test_gradients_pass_the_numbers_of_a_distribution():
    loc, scale = cr.Parameter([1.0, 2.0]), cr.Parameter(3.0)
    x = cr.normal(loc, scale)
    of_loc, of_scale = cr.grad(x.sum(), [loc, scale])
    assert of_loc.tolist() == [1.0, 1.0]
    assert of_scale.item() == pytest.approx(((x - loc) / scale).sum().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: cr.normal(5.0), TypeError, "the shape, whole numbers, and not 5.0: name"),
        (lambda: cr.normal([0.5, 1.5]), TypeError, r"normal\(loc=..., scale=..., size=...\)"),
        (lambda: cr.normal(0, scale=2), TypeError, "0 may be the shape or loc: name"),
        (lambda: cr.uniform(3, high=2), TypeError, r"uniform\(low=..., high=..., size=...\)"),
        (lambda: cr.normal(0, 1, loc=2), TypeError, "each once"),
        (lambda: cr.normal(0, 1, 2, size=3), TypeError, "each once"),
        (lambda: cr.normal(0, 1, 2, "float64"), TypeError, "the others by name"),
        (lambda: cr.uniform(3, "float64", dtype="float32"), TypeError, "each once"),
        (lambda: cr.uniform(0, size=3, low=1), TypeError, "each once"),
        (lambda: cr.uniform(size=3, shape=3), TypeError, "two names of one argument"),
        (lambda: cr.normal(0, -1), ValueError, "deviation is not negative, got -1"),
        (lambda: cr.normal(0, [1.0, 2.0], 3), cr.ShapeError, "do not broadcast"),
        (lambda: cr.normal(0, [1.0, 2.0], ()), cr.ShapeError, "do not broadcast"),
        (lambda: cr.manual_seed("a"), TypeError, "a seed is a whole number; got 'a'"),
        (lambda: cr.manual_seed(1.5), TypeError, "a seed is a whole number; got 1.5"),
    ],
)
def test_draws_that_can_not_be_meant(draw, error, message):
    before = cr.default_generator.state.tolist()
    with pytest.raises(error, match=message):
        draw()
    assert cr.default_generator.state.tolist() == before


def test_each_probability_has_a_draw_of_its_own():
    drawn = cr.Generator(0).bernoulli(cr.full((1000,), 0.5))
    assert 400 < drawn.sum().item() < 600
