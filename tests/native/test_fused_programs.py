"""Programs that do more at once: chains with a kernel of their own, sums of rows, random numbers
drawn where they are read, values computed again instead of kept."""

import numpy as np
import pytest
from bench import ARENA, Bench, column_sum, constant, load, op, store, tolerance
from plans import assert_same

import chainrule as cr
from chainrule import _core, nn, optim
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock

ADAM = [  # registers 0 ... 3: W, m, v, g; 4 ... 9: beta1, rest1, beta2, rest2, step size, eps
    op("multiply", 10, 5, 3),
    op("multiply_add", 11, 4, 1, 10),
    op("multiply", 13, 3, 3),
    op("multiply", 13, 7, 13),
    op("multiply_add", 14, 6, 2, 13),
    op("multiply", 12, 8, 11),
    op("sqrt", 15, 14),
    op("add", 15, 15, 9),
    op("divide", 15, 12, 15),
    op("subtract", 15, 0, 15),
]
MOMENTUM = [  # 0 ... 2: W, v, g; 3, 4: momentum, lr
    op("multiply_add", 5, 3, 1, 2),
    op("multiply", 6, 4, 5),
    op("subtract", 7, 0, 6),
]
BIAS_RELU = [op("add", 2, 0, 1), op("relu", 3, 2)]
RELU_GRADIENT = [op("heaviside", 2, 0), op("multiply", 3, 1, 2)]
GELU = [  # 0: x; 1: where the derivative goes
    op("normal_cdf", 2, 0),
    op("multiply", 3, 0, 2),
    op("normal_pdf", 4, 0),
    op("multiply", 5, 0, 4),
    op("add", 6, 5, 2),
]
SILU = [  # 0: x; 1: where the derivative goes; 2: 1
    op("sigmoid", 3, 0),
    op("multiply", 4, 0, 3),
    op("subtract", 5, 2, 3),
    op("multiply", 6, 0, 3),
    op("multiply", 7, 6, 5),
    op("add", 8, 7, 3),
]
LSTM_GRADIENT = [  # 0, 1: parts of h's; 2 ... 8: o, tanh(c'), part of c's, i, g, c, f; 9: 1
    op("add", 10, 0, 1),
    op("multiply", 11, 10, 2),
    op("multiply", 12, 10, 3),
    op("multiply", 13, 3, 3),
    op("subtract", 13, 9, 13),
    op("multiply", 13, 11, 13),
    op("add", 14, 13, 4),
    op("multiply", 15, 14, 5),
    op("multiply", 16, 14, 6),
    op("multiply", 17, 14, 7),
    op("subtract", 18, 9, 2),
    op("multiply", 18, 2, 18),
    op("multiply", 18, 12, 18),
    op("multiply", 19, 6, 6),
    op("subtract", 19, 9, 19),
    op("multiply", 19, 15, 19),
    op("subtract", 11, 9, 8),
    op("multiply", 11, 8, 11),
    op("multiply", 11, 17, 11),
    op("subtract", 12, 9, 5),
    op("multiply", 12, 5, 12),
    op("multiply", 12, 16, 12),
    op("multiply", 14, 14, 8),
]
PARAMETRIC_MISH = [  # 0 ... 3: z, b, a, u; 4 ... 7: p, 0, 1 / (1 - p), 1
    op("add", 8, 0, 1),
    op("tanh_softplus", 9, 8),
    op("multiply", 10, 8, 9),
    op("subtract", 11, 10, 8),
    op("multiply_add", 12, 2, 11, 8),
    op("less", 13, 3, 4),
    op("where", 14, 13, 5, 6),
    op("multiply", 15, 12, 14),
    op("multiply", 16, 14, 11),
    op("multiply", 17, 9, 9),
    op("subtract", 18, 7, 17),
    op("sigmoid", 19, 8),
    op("multiply", 20, 18, 19),
    op("multiply", 21, 14, 2),
    op("negative", 22, 21),
    op("multiply", 23, 21, 9),
    op("multiply", 24, 21, 8),
    op("multiply", 25, 24, 20),
    op("add", 26, 25, 23),
    op("add", 27, 26, 22),
    op("add", 28, 27, 14),
]
PARAMETRIC_SELU = [  # the same; 8, 9: alpha, scale
    op("add", 10, 0, 1),
    op("relu", 11, 10),
    op("minimum", 12, 10, 5),
    op("expm1", 13, 12),
    op("multiply_add", 14, 8, 13, 11),
    op("multiply", 15, 9, 14),
    op("subtract", 16, 15, 10),
    op("multiply_add", 17, 2, 16, 10),
    op("less", 18, 3, 4),
    op("where", 19, 18, 5, 6),
    op("multiply", 20, 17, 19),
    op("multiply", 21, 19, 16),
    op("exp", 22, 12),
    op("heaviside", 23, 11),
    op("greater", 24, 10, 5),
    op("multiply", 25, 19, 2),
    op("negative", 26, 25),
    op("multiply", 27, 25, 9),
    op("multiply", 28, 27, 8),
    op("multiply", 29, 28, 22),
    op("where", 30, 24, 5, 29),
    op("multiply", 31, 27, 23),
    op("add", 32, 31, 30),
    op("add", 33, 32, 26),
    op("add", 34, 33, 19),
]
ELU = [  # 0: min(z, 0); 1: relu(z); 2: alpha
    op("expm1", 4, 0),
    op("multiply_add", 5, 2, 4, 1),
    op("exp", 6, 0),
]
SELU = [  # the same; 3: scale
    op("expm1", 4, 0),
    op("multiply_add", 5, 2, 4, 1),
    op("multiply", 6, 3, 5),
    op("exp", 7, 0),
]
CHAINS = {  # operations, arrays, scalars, registers of the results, and where each lies in place
    "adam": (ADAM, 4, [0.9, 0.1, 0.99, 0.01, 1e-3, 1e-8], {15: 0, 11: 1, 14: 2}),
    "momentum": (MOMENTUM, 3, [0.9, 0.1], {7: 0, 5: 1}),
    "bias and relu": (BIAS_RELU, 2, [], {3: 0}),
    "gradient of relu": (RELU_GRADIENT, 2, [], {3: 1}),
    "gelu": (GELU, 2, [], {3: 0, 6: 1}),
    "silu": (SILU, 2, [1.0], {4: 0, 8: 1}),
    "elu": (ELU, 2, [1.5], {5: 1, 6: 0}),
    "selu": (SELU, 2, [1.7, 1.1], {6: 1, 7: 0}),
    "gradient of an LSTM": (LSTM_GRADIENT, 9, [1.0], {18: 2, 19: 6, 11: 7, 12: 5, 14: 4}),
    "parametric mish": (PARAMETRIC_MISH, 4, [0.3, 0.0, 1.25, 1.0], {15: 0, 16: 1, 28: 2}),
    "parametric selu": (
        PARAMETRIC_SELU,
        4,
        [0.3, 0.0, 1.25, 1.0, 1.7, 1.1],
        {20: 0, 21: 1, 34: 2},
    ),
}


def run_chain(operations, arrays, scalars, results, dtype, instruction_set, *, extra=()):
    """The result arrays, which lie in the place of inputs, and how many chains were found."""
    bench = Bench(instruction_set=instruction_set)
    places = [bench.put(a) for a in arrays]
    columns = arrays[0].size
    loads = [load(place, dtype, 0, 1, i) for i, place in enumerate(places)]
    constants = [constant(float(value), len(arrays) + i) for i, value in enumerate(scalars)]
    stores = [store(places[at], dtype, 0, register) for register, at in results.items()]
    views = []
    for register in extra:
        place, view = bench.room(columns, dtype)
        stores.append(store(place, dtype, 0, register))
        views.append(view)
    bench.plan.add(
        "program",
        "chain",
        dtype=dtype,
        rows=1,
        columns=columns,
        registers=40,
        loads=loads,
        constants=constants,
        ops=operations,
        stores=stores,
    )
    bench.run()
    found = [
        bench.spaces[ARENA][begin : begin + arrays[0].nbytes].view(dtype).copy()
        for _, begin in (places[at] for at in results.values())
    ]
    return [*found, *(view.copy() for view in views)], bench.plan.fused_chains()


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [1, 15, 1000])
@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_gives_the_bits_of_its_operations(rng, name, columns, dtype, instruction_set):
    operations, count, scalars, results = CHAINS[name]
    arrays = [
        np.abs(rng.standard_normal(columns)).astype(dtype) - 0.1 * (i < 2) for i in range(count)
    ]
    arrays = [a.astype(dtype) for a in arrays]
    fused, chains = run_chain(operations, arrays, scalars, results, dtype, instruction_set)
    assert chains == 1
    # Where what lies between is stored as well, it is no chain: operation by operation.
    written = [operation["out"] for operation in operations]
    once = [register for register in written if written.count(register) == 1]
    between = [register for register in once if register not in results][:1]
    plain, chains = run_chain(
        operations, arrays, scalars, results, dtype, instruction_set, extra=between
    )
    assert chains == 0
    for a, b in zip(fused, plain, strict=False):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("bias_dtype", ["float32", "float64"])
@pytest.mark.parametrize("stride", [0, 1])
@pytest.mark.parametrize("unread", [False, True])
def test_a_chain_reads_what_is_not_memory_block_by_block(rng, unread, stride, bias_dtype):
    columns = 1700  # of a block there are 512
    x, bias = (rng.standard_normal(columns).astype("float32") for _ in range(2))
    bench = Bench()
    at, added = bench.put(x), bench.put(bias.astype(bias_dtype))
    extra = [load(bench.put(np.zeros(columns)), "float64", 0, 1, 4)] if unread else []
    out, result = bench.room(columns, "float32")
    bench.plan.add(
        "program",
        "bias and relu",
        dtype="float32",
        rows=1,
        columns=columns,
        registers=5,
        loads=[
            load(at, "float32", 0, 1, 0),
            load(added, bias_dtype, 0, stride, 1),
            *extra,
        ],
        ops=BIAS_RELU,
        stores=[store(out, "float32", 0, 3)],
    )
    bench.run()
    assert bench.plan.fused_chains() == 1
    np.testing.assert_array_equal(result, np.maximum(x + (bias if stride else bias[0]), 0))


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cosine_and_sine_together_have_the_bits_that_they_have_alone(rng, dtype, instruction_set):
    x = np.concatenate([rng.uniform(-50, 50, 200), [0.0, 1e7, -3e9, np.inf, np.nan]]).astype(dtype)
    both = [op("cos", 2, 0), op("sin", 3, 0)]
    arrays = [x, x]
    found, chains = run_chain(both, arrays, [], {2: 0, 3: 1}, dtype, instruction_set)
    assert chains == 1
    for one, operation, result in zip(found, both, (2, 3), strict=True):
        (alone,), chains = run_chain([operation], [x], [], {result: 0}, dtype, instruction_set)
        assert chains == 0 and one.tobytes() == alone.tobytes()
    limit = 2e-7 if dtype == "float32" else 1e-15
    with np.errstate(invalid="ignore"):
        expected = np.cos(x.astype("float64")), np.sin(x.astype("float64"))
    np.testing.assert_allclose(found, expected, limit, 1e-12)


def test_what_is_no_scalar_makes_no_chain(rng):
    arrays = [rng.standard_normal(100).astype("float32") for _ in range(5)]
    operations = [op("multiply_add", 5, 3, 1, 2), op("multiply", 6, 4, 5), op("subtract", 7, 0, 6)]
    (w, v), chains = run_chain(operations, arrays, [], {7: 0, 5: 1}, "float32", "")
    assert chains == 0
    expected = arrays[3] * arrays[1] + arrays[2]
    np.testing.assert_allclose(v, expected, **tolerance("float32"))
    np.testing.assert_allclose(w, arrays[0] - arrays[4] * expected, **tolerance("float32"))


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (lambda p: optim.Adam(p), True),
        (lambda p: optim.Adam(p, weight_decay=0.1), True),
        (lambda p: optim.AdamW(p), True),
        (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), True),
        (lambda p: optim.Adam(p, amsgrad=True), False),
    ],
)
def test_rules_of_optimisers_are_chains(optimizer, expected):
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = optimizer(model.parameters())
    grads = [cr.Buffer(np.ones(p.shape, p.dtype)) for p in optimizer.params]
    graph = cr.capture(lambda: optimizer.update([g.node() for g in grads]))
    step = NativeStep(graph, StateBlock([*graph.reads, *graph.updates]))
    assert (step.fused_chains() > 0) == expected


def test_the_gradient_of_each_step_of_an_lstm_is_a_chain():
    """Of all but the last step, after which there is none, and the first, before which c is 0."""
    steps = 6
    model, x = nn.LSTM(8, 16), cr.Buffer(np.ones((steps, 4, 8), np.float32))
    parameters = list(model.parameters())
    graph = cr.capture(lambda: cr.grad((model(x)[0] ** 2).sum(), parameters))
    step = NativeStep(graph, StateBlock([*graph.reads, *graph.updates]))
    assert step.fused_chains() == steps - 2


# --- Sums of rows ---


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (31, 5), (32, 20), (33, 300), (256, 256), (257, 700), (1000, 64), (2500, 9)]
)
def test_sums_of_rows(rng, shape, dtype, instruction_set):
    """However the rows are shared out, the bits are the same."""
    rows, columns = shape
    x, row = rng.standard_normal(shape).astype(dtype), rng.standard_normal(columns).astype(dtype)
    found = []
    for threads, chunks in ((1, 1), (1, 5), (2, 5), (3, 8)):
        bench = Bench(8 << 20, instruction_set=instruction_set, chunks=chunks)
        at, scale = bench.put(x), bench.put(row)
        (out, product), (first, sums), (second, squares) = (
            bench.room(n, dtype) for n in (shape, columns, columns)
        )
        bench.plan.add(
            "program",
            "sums",
            dtype=dtype,
            rows=rows,
            columns=columns,
            registers=4,
            loads=[load(at, dtype, columns, 1, 0), load(scale, dtype, 0, 1, 1)],
            ops=[op("multiply", 2, 0, 1), op("multiply", 3, 2, 2)],
            stores=[store(out, dtype, columns, 2)],
            sums=[column_sum(first, 0), column_sum(second, 3)],
        )
        bench.run(steps=2, threads=threads)
        found.append(product.tobytes() + sums.tobytes() + squares.tobytes())
    np.testing.assert_allclose(product, x * row, **tolerance(dtype))
    limit = {"rtol": 2e-6, "atol": 2e-6 * rows**0.5} if dtype == "float32" else tolerance(dtype)
    np.testing.assert_allclose(sums, x.sum(axis=0, dtype="float64"), **limit)
    np.testing.assert_allclose(squares, ((x * row) ** 2.0).sum(axis=0, dtype="float64"), **limit)
    assert len(set(found)) == 1


def test_sums_of_many_rows_are_precise(bench):
    rows = 40_000
    x = np.full((rows, 1), 0.1, "float32")
    (at, _), (out, total) = bench.room((1, 1), "float32"), bench.room(1, "float32")
    at = bench.put(x)
    bench.plan.add(
        "program",
        "sum",
        dtype="float32",
        rows=rows,
        columns=1,
        registers=1,
        loads=[load(at, "float32", 1, 0, 0)],
        sums=[column_sum(out, 0)],
    )
    bench.run()
    assert total[0] == pytest.approx(rows * float(np.float32(0.1)), rel=1e-6)


@pytest.mark.parametrize(
    "shape",
    [
        (6, 40, 16),
        (3, 1, 20),
        (64, 33, 3),
        (2, 100, 600),
        (2, 300, 64),
        (4, 10, 64),
        (7, 20, 64),
        (4, 10, 1000),
    ],
)
def test_sums_of_parts_of_the_rows(rng, shape):
    parts, rows, columns = shape
    x = rng.standard_normal((parts * rows, columns))
    found = []
    for threads, chunks in ((1, 1), (1, 3), (2, 3), (2, 8)):
        bench = Bench(2 << 20, chunks=chunks)
        at = bench.put(x)
        out, sums = bench.room((parts, columns), "float64")
        bench.plan.add(
            "program",
            "sums",
            dtype="float64",
            rows=parts * rows,
            columns=columns,
            registers=2,
            loads=[load(at, "float64", columns, 1, 0)],
            ops=[op("multiply", 1, 0, 0)],
            sums=[column_sum(out, 1)],
            sum_rows=rows,
        )
        bench.run(threads=threads)
        found.append(sums.tobytes())
        expected = (x**2).reshape(shape).sum(axis=1)
        np.testing.assert_allclose(sums, expected, 1e-12)
    assert len(set(found)) == 1


@pytest.mark.parametrize("shape", [(3, 3, 200), (3, 33, 64), (2, 49, 64), (4, 5, 100)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_products_with_a_row(rng, shape, dtype):
    parts, rows, columns = shape
    x = rng.standard_normal((parts * rows, columns)).astype(dtype)
    row = rng.standard_normal(columns).astype(dtype)
    bench = Bench(2 << 20, chunks=3)
    whole, repeated = bench.put(x), bench.put(row)
    out, sums = bench.room((parts, columns), dtype)
    bench.plan.add(
        "program",
        "sums",
        dtype=dtype,
        rows=parts * rows,
        columns=columns,
        registers=3,
        loads=[load(whole, dtype, columns, 1, 0), load(repeated, dtype, 0, 1, 1)],
        ops=[op("multiply", 2, 0, 1)],
        sums=[column_sum(out, 2)],
        sum_rows=rows,
    )
    bench.run()
    expected = (x * row).reshape(shape).sum(axis=1)
    np.testing.assert_allclose(sums, expected, 1e-4 if dtype == "float32" else 1e-12, 1e-5)


@pytest.mark.parametrize(
    ("sums", "rows", "dtype", "words"),
    [
        ([column_sum((ARENA, 64), 0)], 4, "float32", "overlaps"),
        ([column_sum((ARENA, 1 << 30), 0)], 4, "float32", "a sum"),
        ([column_sum((ARENA, 4096), 9)], 4, "float32", "register"),
        ([column_sum((ARENA, 4096), 0)], 0, "float32", "no rows"),
        ([column_sum((ARENA, 4096), 0)], 4, "int64", "float32 or float64"),
    ],
)
def test_sums_that_are_refused(bench, sums, rows, dtype, words):
    loads = [load((ARENA, 64), dtype, 8, 1, 0)]
    with pytest.raises(ValueError, match=words):
        bench.plan.add(
            "program", "sum", dtype=dtype, rows=rows, columns=8, registers=1, loads=loads, sums=sums
        )


# --- Random numbers ---


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (1, 900), (5, 33), (40, 300)])
def test_numbers_are_drawn_where_they_are_read(rng, shape, dtype):
    state = np.array([7, 3], np.uint64)
    generator = cr.Generator(7)
    for _ in range(4):
        expected = generator.uniform(shape, dtype).numpy()
    x = rng.standard_normal(shape).astype(dtype)
    rows, columns = shape
    for threads in (1, 2):
        bench = Bench(chunks=3)
        at, seed = bench.put(x), bench.put(state)
        out, product = bench.room(shape, dtype)
        bench.plan.add(
            "program",
            "draw",
            dtype=dtype,
            rows=rows,
            columns=columns,
            registers=3,
            loads=[
                load(at, dtype, columns, 1, 0),
                load(seed, "uint64", columns, 1, 1, random=True),
            ],
            ops=[op("multiply", 2, 0, 1)],
            stores=[store(out, dtype, columns, 2)],
        )
        bench.run(threads=threads)
        np.testing.assert_array_equal(product, x * expected)


def test_random_states_are_not_written(bench):
    loads = [load((ARENA, 64), "uint64", 0, 1, 0, random=True)]
    with pytest.raises(ValueError, match="overlaps"):
        bench.plan.add(
            "program",
            "draw",
            dtype="float64",
            rows=1,
            columns=2,
            registers=1,
            loads=loads,
            stores=[store((ARENA, 64), "float64", 0, 0)],
        )


# --- Whole steps ---


def buffers(*shapes):
    random = np.random.default_rng(1)
    return [cr.Buffer(random.standard_normal(shape)) for shape in shapes]


def test_a_mask_is_drawn_in_the_step_and_used_again():
    x, w = states = buffers((40, 30), (30, 50))
    generator = cr.Generator(3)

    def function():
        with cr.use_generator(generator):
            z = x @ w
            mask = (cr.uniform(z.shape, z.dtype) >= 0.3).astype(z.dtype) * 2.0
            y = cr.relu(z * 1.5) * mask
            g = cr.tanh(y @ w.T) @ w * mask * cr.heaviside(z * 1.5)
            x.assign(x - 0.01 * (g @ w.T))
        return y, g

    assert_same(function, [*states, generator.state])


def test_every_draw_has_its_own_place_in_the_stream():
    (x,) = states = buffers((40, 30))
    generator = cr.Generator(3)

    def function():
        with cr.use_generator(generator):
            first, second, third = (cr.uniform(x.shape, x.dtype) * x for _ in range(3))
        x.assign(second)
        return first, second, third

    assert_same(function, [*states, generator.state])


def test_normalisation_over_the_batch():
    x, gain, shift, g = states = buffers((64, 40), 40, 40, (64, 40))

    def function():
        z = x * 1.5
        mean = z.mean(axis=0)
        centred = z - mean
        variance = (centred * centred).mean(axis=0)
        normal = centred * (1.0 / cr.sqrt(variance + 1e-5))
        y = normal * gain + shift
        gain.assign(gain - 0.1 * (g * normal).sum(axis=0))
        shift.assign(shift - 0.1 * g.sum(axis=0))
        return y, (g * centred).sum(axis=0), mean

    assert_same(function, states)


def test_a_coefficient_in_float64_is_converted_as_it_is_read():
    w = cr.Buffer(np.linspace(-1, 1, 50, dtype=np.float32))
    lr, old = cr.graph.state.HyperParameter(1 / 3), w.numpy()

    def function():
        w.assign(w - lr.astype("float32") * w)

    graph = cr.capture(function)
    step = NativeStep(graph, StateBlock([w, lr]))
    step.run(None, 0, 1)
    np.testing.assert_array_equal(w.numpy(), old - np.float32(1 / 3) * old)
    assert len(step.plan.calls) == 1


def test_a_cast_number_that_a_wider_program_reads_is_rounded_first():
    x, number = states = buffers(30, ())

    def function():
        rounded = number.astype("float32").broadcast_to((30,))
        return x * rounded.astype("float64"), rounded * cr.tensor(2.0)

    assert_same(function, states)


class Network(nn.Module):
    """Normalised over the batch, with a dropped part, as compositions of operations."""

    def __init__(self, width):
        super().__init__()
        self.first, self.last = nn.Linear(40, width), nn.Linear(width, 6)
        self.gain = cr.Parameter(np.ones(width, np.float32))
        self.register_buffer("mean", cr.Buffer(np.zeros(width, np.float32)))

    def forward(self, x):
        z = self.first(x)
        mean = z.mean(axis=0)
        centred = z - mean
        y = centred / cr.sqrt((centred * centred).mean(axis=0) + 1e-5) * self.gain
        with cr.no_grad():
            self.mean.assign(0.9 * self.mean + 0.1 * mean)
        return self.last(self.dropped(cr.relu(self.dropped(y))))

    def dropped(self, x):
        return x * ((cr.uniform(x.shape, x.dtype) >= 0.2).astype(x.dtype) * 1.25)


def trained(optimizer, backend="native", threads=1):
    random = np.random.default_rng(0)
    x, y = random.standard_normal((192, 40), np.float32), random.integers(0, 6, 192)
    cr.manual_seed(0)
    before = cr.get_num_threads()
    cr.set_num_threads(threads)
    try:
        model = Network(700)
        trainer = cr.Trainer(
            model, nn.CrossEntropyLoss(), optimizer(model.parameters()), backend=backend
        )
        trainer.fit(x, y, epochs=3, batch_size=96, progress=False)
    finally:
        cr.set_num_threads(before)
    return {name: array.copy() for name, array in model.state_dict().items()}


def test_a_normalised_network_has_the_same_bits_for_any_number_of_threads():
    one = trained(optim.Adam)
    for threads in (2, 3):
        for name, array in trained(optim.Adam, threads=threads).items():
            assert array.tobytes() == one[name].tobytes(), name


def test_a_normalised_network_trains_as_the_reference_does():
    def optimizer(parameters):  # Adam would make much of rounding errors in gradients that are 0
        return optim.SGD(parameters, lr=0.1, momentum=0.9)

    reference = trained(optimizer, "reference")
    for name, array in trained(optimizer).items():
        np.testing.assert_allclose(array, reference[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("shape", [(8, 3, 2), (64, 3, 2), (64, 17, 16), (5, 64, 3, 2)])
def test_what_is_computed_twice_is_read_in_two_axes_too(rng, shape):
    """u, of a vector, is computed again beside a matrix; both can't be read in two axes."""
    x, y, a = (rng.standard_normal(shape[i:]) for i in (0, len(shape) - 1, len(shape) - 2))
    lead = tuple(range(len(shape) - 1))

    def function(x, y, a):
        u = x * y
        return (u * x).sum(axis=lead), a + u * y, (a - cr.tanh(u) * y) * a

    want = function(*map(cr.tensor, (x, y, a)))
    for expected, found in zip(want, cr.compile(function)(x, y, a), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-11)


def test_a_position_and_a_scale_beside_centred_rows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(128, 3, 2)).astype("f"), rng.normal(size=(128, 1)).astype("f")

    class Centred(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = cr.Parameter(np.ones((3, 2), "f"))
            self.scale = cr.Parameter(np.ones(2, "f"))
            self.last = nn.Linear(6, 1)

        def forward(self, x):
            x = cr.relu(x + self.position)
            return self.last(((x - x.mean(axis=0)) * self.scale).reshape((-1, 6)))

    losses = []
    for backend in ("reference", "native"):
        cr.manual_seed(0)
        model = Centred()
        trainer = cr.Trainer(
            model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), backend=backend
        )
        losses.append(trainer.fit(x, y, epochs=3, batch_size=64, progress=False)["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
