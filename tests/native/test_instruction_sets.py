"""Kernels of every instruction set: elementwise ones at the edges of their domains, and layers."""

import functools

import numpy as np
import pytest
from bench import Bench, load, op, store
from plans import assert_same

import chainrule as cr
from chainrule import _core, nn
from chainrule.graph.operation import operations

EDGES = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -2.5, 3.0, 7.25, 100.0, -8388609.0, 1e20, -1e-20]
EDGES += [np.inf, -np.inf, np.nan]
EXACT = ["floor", "ceil", "rint", "trunc", "fmod", "remainder", "floor_divide", "copysign"]
CLOSE = ["exp2", "log2", "log10", "cbrt", "tan", "asin", "acos", "atan", "sinh", "cosh", "acosh"]
CLOSE += ["atanh", "erfc", "atan2", "hypot", "logaddexp", "normal_cdf", "normal_pdf"]
CLOSE += ["tanh", "sigmoid", "tanh_softplus"]
TOLERANCE = {"float32": 4e-7, "float64": 2e-15}


def run(name, arrays, dtype, instruction_set):
    bench = Bench(instruction_set=instruction_set)
    places = [bench.put(a) for a in arrays]
    out, view = bench.room(arrays[0].size, dtype)
    bench.plan.add(
        "program",
        name,
        dtype=dtype,
        rows=1,
        columns=arrays[0].size,
        registers=len(arrays) + 1,
        loads=[load(place, dtype, 0, 1, i) for i, place in enumerate(places)],
        constants=[],
        ops=[op(name, len(arrays), *range(len(arrays)))],
        stores=[store(out, dtype, 0, len(arrays))],
    )
    bench.run()
    return view.copy()


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*EXACT, *CLOSE])
def test_kernels_of_floats(rng, name, dtype, instruction_set):
    inputs = dict(_core.opcodes())[name]
    if inputs == 1:
        arrays = [np.array([*EDGES, *rng.uniform(-3, 3, 50), *rng.uniform(0, 90, 20)], dtype)]
    else:
        arrays = [m.ravel().astype(dtype) for m in np.meshgrid(EDGES, EDGES)]
    with np.errstate(all="ignore"):
        expected = operations[name].forward(*arrays)
    tolerance = 0 if name in EXACT else TOLERANCE[dtype]
    found = run(name, arrays, dtype, instruction_set)
    tiny = np.finfo(dtype).tiny  # smaller numbers are 0 in a program
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tiny)


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide", "left_shift", "right_shift"])
def test_kernels_of_integers(name, instruction_set):
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    values = [0, 1, -1, 3, -3, 7, 63, 64, 2**40, least, most]
    a, b = (m.ravel() for m in np.meshgrid(values, values))
    if "shift" in name:
        a, b = a[b >= 0], b[b >= 0]
    with np.errstate(all="ignore"):
        expected = operations[name].forward(a, b)
    np.testing.assert_array_equal(run(name, [a, b], "int64", instruction_set), expected)


@pytest.mark.parametrize("name", _core.instruction_sets())
def test_wide_vectors_leave_no_product_to_blas(name):
    assert _core.needs_blas(name) == (not name.startswith("avx"))


class Images(nn.Module):
    """Convolutions of each kind, the third by Winograd's transforms, and poolings."""

    def __init__(self, dtype):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 18, 3, stride=2, dtype=dtype),
            nn.BatchNorm2d(18, dtype=dtype),
            nn.Conv2d(18, 18, 5, padding=2, groups=18, dtype=dtype),
            nn.Conv2d(18, 33, 3, padding=1, dtype=dtype),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.ConvTranspose2d(33, 5, 2, stride=2, dtype=dtype),
            nn.AvgPool2d(3),
        )

    def forward(self, x):
        return self.layers(x.reshape(2, 3, 21, 21))


class Sequences(nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.recurrent = nn.LSTM(21, 24, batch_first=True, dtype=dtype)
        self.attention = nn.TransformerEncoderLayer(
            24, 3, 40, dropout=0.0, batch_first=True, dtype=dtype
        )

    def forward(self, x):
        return cr.log_softmax(self.attention(self.recurrent(x.reshape(6, 21, 21))[0]), 2)


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("kind", [Images, Sequences])
def test_layers_and_their_gradients(rng, monkeypatch, kind, dtype, tolerance, instruction_set):
    plan = functools.partial(_core.Plan, instruction_set=instruction_set)
    monkeypatch.setattr(_core, "Plan", plan)
    cr.manual_seed(0)
    x = cr.Buffer(rng.standard_normal(2 * 3 * 21 * 21), dtype)
    model = kind(dtype)
    parameters = list(model.parameters())

    def step():
        y = model(x.node())
        return [y, *cr.grad(cr.square(y).mean(), parameters)]

    assert_same(step, [x], rtol=tolerance, atol=tolerance)
