"""Long products and sums at equal indices: as many right digits as PyTorch has, or more."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.system import machine

rng = np.random.default_rng(0)

PRODUCTS = {
    "ab": lambda a, b: (a, b, lambda x, y: x @ y),
    "aTb": lambda a, b: (np.ascontiguousarray(a.T), b, lambda x, y: x.T @ y),
    "abT": lambda a, b: (a, np.ascontiguousarray(b.T), lambda x, y: x @ y.T),
}
SIZES = [(1, 2_000_000, 1), (3, 300_001, 5), (40, 70_000, 33), (1, 65_537, 200)]


@pytest.mark.parametrize("way", PRODUCTS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["random", "equal", "sparse"])
def test_a_long_product_keeps_its_digits(way, size, kind):
    torch = pytest.importorskip("torch")
    m, k, n = size
    a, b = rng.random((m, k), "float32"), rng.random((k, n), "float32")
    if kind == "equal":
        a[:], b[:] = 0.1, 0.3
    if kind == "sparse":
        a *= rng.random((m, k), "float32") < 0.3
    exact = a.astype(np.float64) @ b.astype(np.float64)
    x, y, product = PRODUCTS[way](a, b)
    ours = cr.compile(product)(x, y).numpy()
    theirs = product(torch.tensor(x), torch.tensor(y)).numpy()
    error, peer = (np.abs(found / exact - 1).max() for found in (ours, theirs))
    has_fma = machine.describe()["instruction_set"] not in ("sse2", "scalar")  # else products round
    assert error <= max(peer, 3e-6 if has_fma else 1e-5)
    assert error < 1e-5


def test_a_long_product_with_its_epilogue_and_batches():
    x, w = rng.standard_normal((2, 4, 70_001)), rng.standard_normal((70_001, 3))
    bias = rng.standard_normal(3)
    both = rng.standard_normal((2, 70_001, 3))
    arrays = [v.astype(np.float32) for v in (x, w, bias, both)]
    compiled = cr.compile(lambda x, w, b, v: ((x[0] @ w + b).relu(), x @ v))
    one, many = compiled(*arrays)
    x, w, bias, both = (v.astype(np.float64) for v in arrays)
    np.testing.assert_allclose(one.numpy(), np.maximum(x[0] @ w + bias, 0), atol=2e-3)
    np.testing.assert_allclose(many.numpy(), x @ both, atol=2e-3)


def test_a_long_product_is_the_same_for_every_number_of_threads():
    x, y = rng.random((70, 80_000), "float32"), rng.random((80_000, 70), "float32")
    before, found = cr.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            cr.set_num_threads(threads)
            found.append(cr.compile(lambda x, y: x @ y)(x, y).numpy())
    finally:
        cr.set_num_threads(before)
    assert all(np.array_equal(found[0], other) for other in found[1:])


def gradient_at(parameter, indices, values):
    parameter.grad = None
    (parameter[indices] * values).sum().backward()
    return parameter.grad


@pytest.mark.parametrize("value", [0.1, None], ids=["equal", "random"])
@pytest.mark.parametrize("shape", [(3,), (3, 40), (2, 1500)], ids=str)
def test_equal_indices_keep_their_digits(value, shape):
    torch = pytest.importorskip("torch")
    count = 1_000_000 // shape[-1] + 66_000
    indices = np.where(rng.random(count) < 0.9, shape[0] - 1, rng.integers(0, shape[0], count))
    values = rng.random((count, *shape[1:]), "float32")
    if value is not None:
        values[:] = value
    exact = np.stack([values[indices == i].sum(axis=0, dtype=np.float64) for i in range(shape[0])])
    parameter = cr.Parameter(np.zeros(shape, np.float32))
    ours = cr.compile(lambda i, v: gradient_at(parameter, i, v))(indices, values).numpy()
    theirs = torch.zeros(shape).index_add_(0, torch.tensor(indices), torch.tensor(values)).numpy()
    error, peer = (np.abs(found / exact - 1).max() for found in (ours, theirs))
    assert error <= max(peer, 1e-6)
    assert error < 1e-6


def test_an_index_out_of_range_is_still_found():
    parameter = cr.Parameter(np.zeros(3, np.float32))
    indices, values = np.zeros(70_000, np.int64), np.ones(70_000, np.float32)
    compiled = cr.compile(lambda i, v: gradient_at(parameter, i, v))
    assert compiled(indices, values).tolist() == [70_000.0, 0.0, 0.0]
    indices[-1] = 3
    with pytest.raises((IndexError, ValueError), match=r"3"):
        compiled(indices, values)
