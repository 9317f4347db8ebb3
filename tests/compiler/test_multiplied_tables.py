"""Tables that are multiplied before their rows are looked up, where these are used often."""

from itertools import pairwise

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock

V, D, N, T = 5, 32, 6, 7


class Rows(nn.Module):
    """Rows of a table, multiplied by a layer or two."""

    def __init__(self, dtype, hidden, turns, **options):
        super().__init__()
        self.table = nn.Embedding(V, D, dtype=dtype, **options)
        widths = [D, *hidden]
        self.layers = nn.Sequential()
        for i, o in pairwise(widths):
            self.layers.append(nn.Linear(i, o, dtype=dtype))
            self.layers.append(nn.ReLU())
        self.head = nn.Linear(widths[-1], 3, dtype=dtype)
        self.turns = turns

    def forward(self, i):
        x = self.table(i)
        y = self.layers(x.swapaxes(0, 1) if self.turns else x)
        return self.head(cr.tanh(y.swapaxes(0, 1) if self.turns else y).sum(1))


class Characters(nn.Module):
    """A recurrent layer over characters, whose table gives the logits, too."""

    def __init__(self, kind, dtype):
        super().__init__()
        self.table = nn.Embedding(V, D, dtype=dtype)
        self.layer = getattr(nn, kind)(D, D, batch_first=True, bidirectional=False, dtype=dtype)

    def forward(self, i):
        return self.layer(self.table(i))[0][:, -1] @ self.table.weight.T


def trained(make, dtype="float64", backend="native", threads=1, rows=N):
    """(the products of the plan as (m, n, k), weights after some steps)."""
    cr.manual_seed(0)
    model = make(dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=0, backend=backend)
    random = np.random.default_rng(0)
    x, y = random.integers(0, V - 1, (3 * rows, T)), random.integers(0, 3, 3 * rows)
    before = cr.get_num_threads()
    cr.set_num_threads(threads)
    try:
        trainer.fit(x, y, epochs=2, batch_size=rows, progress=False)
    finally:
        cr.set_num_threads(before)
    products = []
    if backend == "native":
        calls = [c.fields for c in trainer.backend.last_step.plan.calls if c.kind == "gemm"]
        products = [(c["m"], c["n"], c["k"]) for c in calls]
    return products, [np.array(p) for p in model.state_dict().values()]


def over_all(products, rows=N):
    """The products that take a look-up of each character, or give one."""
    return [p for p in products if rows * T in (p[0], p[2])]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "make",
    [
        lambda dtype: Rows(dtype, (8,), turns=False),
        lambda dtype: Rows(dtype, (8,), turns=True),
        lambda dtype: Rows(dtype, (8,), turns=False, padding_idx=1),
        lambda dtype: Rows(dtype, (8,), turns=True, scale_grad_by_freq=True),
        lambda dtype: Characters("LSTM", dtype),
        lambda dtype: Characters("GRU", dtype),
    ],
)
def test_numbers_are_those_of_products_of_rows(make, dtype):
    products, found = trained(make, dtype)
    # A padding row, or a mean, changes the rows of the gradient: one product is left.
    assert len(over_all(products)) <= 1
    _, wanted = trained(make, dtype, "reference")
    limit = 2e-4 if dtype == "float32" else 1e-11
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=limit, atol=limit)
    _, again = trained(make, dtype, threads=2)
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("turns", [False, True])
def test_no_product_is_left_of_each_look_up(turns):
    products, _ = trained(lambda dtype: Rows(dtype, (8,), turns))
    assert not over_all(products)
    of_table, of_layer, gradient_of_table = (V, 8, D), (8, D, V), (V, D, 8)
    found = [p for p in products if V in (p[0], p[2])]
    assert sorted(found) == sorted([of_table, of_layer, gradient_of_table])


def test_what_is_computed_of_rows_alike_is_computed_of_the_table():
    products, found = trained(lambda dtype: Rows(dtype, (40, 8), turns=True))
    # The gradient of the first layer's result differs from look-up to look-up.
    assert over_all(products) == [(N * T, 40, 8)]
    _, wanted = trained(lambda dtype: Rows(dtype, (40, 8), turns=True), backend="reference")
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_numbers_of_a_look_up_are_computed_once_for_the_table():
    """Also with numbers that are the same for all rows, or one of each column."""
    random = np.random.default_rng(0)
    table, w = random.standard_normal((V, D)), random.standard_normal(D)
    i = random.integers(0, V, (N, T))

    def step(table, w, i):
        return cr.exp(2.0 * nn.functional.embedding(i, table) - w.reshape(1, 1, D)) > 0.5

    compiled = cr.compile(step)
    np.testing.assert_array_equal(compiled(table, w, i).numpy(), np.exp(2 * table[i] - w) > 0.5)
    states = cr.Parameter(table), cr.Buffer(w), cr.Buffer(i)
    plan = NativeStep(cr.capture(lambda: step(*states)), StateBlock(states)).plan
    programs = [c.fields["rows"] * c.fields["columns"] for c in plan.calls if c.kind == "program"]
    assert programs == [V * D]


def test_rows_that_are_seldom_used_are_multiplied_themselves():
    """Of 2 sequences each row is used about three times."""
    products, _ = trained(lambda dtype: Rows(dtype, (8,), turns=False), rows=2)
    assert len(over_all(products, rows=2)) == 3


@pytest.mark.parametrize(("width", "rows"), [(D, V), (D - 1, N * T)])
def test_narrow_rows_are_multiplied_themselves(width, rows):
    table, w = cr.Parameter(np.ones((V, width))), cr.Parameter(np.ones((width, 8)))
    i = cr.Buffer(np.arange(N * T) % V)

    def step():
        return nn.functional.embedding(i, table) @ w

    step = NativeStep(cr.capture(step), StateBlock([table, w, i]))
    assert [c.fields["m"] for c in step.plan.calls if c.kind == "gemm"] == [rows]


def test_gradients_of_gradients():
    random = np.random.default_rng(0)
    table, w = random.standard_normal((V, D)), random.standard_normal((8, D)) / 6
    i = random.integers(0, V, (N, T))

    def step(table, w, i):
        y = cr.tanh(nn.functional.linear(nn.functional.embedding(i, table), w)).sum()
        of_table, of_w = cr.grad(y, [table, w])
        return cr.grad((of_table**2).sum() + (of_w**2).sum(), [table, w])

    found = cr.compile(step)(table, w, i)
    leaves = [cr.tensor(x, requires_grad=True) for x in (table, w)]
    for a, b in zip(found, step(*leaves, i), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9, 1e-11)


def test_an_index_out_of_range_is_refused():
    w = np.ones((D, 8))

    @cr.compile
    def step(table, i):
        return nn.functional.embedding(i, table) @ w

    i = np.arange(N * T) % V
    step(np.ones((V, D)), i)
    for wrong in (V, -1):
        i[3] = wrong
        with pytest.raises(IndexError):
            step(np.ones((V, D)), i)
