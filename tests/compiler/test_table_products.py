"""Products with looked-up rows: read where they lie, and their tables updated in place."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock

V, U, D = 400, 350, 50
random = np.random.default_rng(0)
X, Y = random.integers(0, V, (40, 3)), random.integers(0, U, (40, 4))
X[:, 1] = X[:, 0]
TABLES = random.standard_normal((V, D)) / 5, random.standard_normal((U, D)) / 5


class Pairs(nn.Module):
    """The words of two tables beside each other; `means` of the first."""

    def __init__(self, dtype, means=False):
        super().__init__()
        self.a = nn.Embedding(V, D, dtype=dtype, _weight=TABLES[0].astype(dtype))
        self.b = nn.Embedding(U, D, dtype=dtype, _weight=TABLES[1].astype(dtype))
        self.means = means

    def forward(self, i, j):
        a = self.a(i)
        if self.means:
            a = a.mean(1, keepdims=True)
        return (a @ self.b(j).transpose(0, 2, 1)).sum(1)


class Shared(nn.Module):
    """Rows of one table beside each other."""

    def __init__(self, dtype, means):
        super().__init__()
        self.a = nn.Embedding(V, D, dtype=dtype, _weight=TABLES[0].astype(dtype))

    def forward(self, i, j):
        return (self.a(i) @ self.a(j).swapaxes(1, 2)).sum(1)


def trained(model, make=optim.SGD, backend="native", batch_size=10, **options):
    optimizer = make(model.parameters(), lr=0.05, **options)
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, seed=0, backend=backend)
    y = np.ones((40, 4), model.a.weight.dtype)
    trainer.fit((X, Y), y, epochs=2, batch_size=batch_size)
    kinds = []
    if backend == "native":
        kinds = [call.kind for call in trainer.backend.last_step.plan.calls]
    return [p.numpy() for p in model.parameters()], kinds


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [10, 7, 1])
@pytest.mark.parametrize(
    ("model", "means", "sums", "updates", "gathers"),
    [(Pairs, False, 2, 2, 0), (Pairs, True, 2, 1, 1), (Shared, False, 2, 0, 1)],
)
def test_tables_get_the_numbers_of_numpy(model, means, sums, updates, gathers, batch_size, dtype):
    found, kinds = trained(model(dtype, means), batch_size=batch_size)
    assert kinds.count("row_products") == 1 and kinds.count("gemm") == 0
    assert kinds.count("weighted_rows") == sums and kinds.count("subtract_rows") == updates
    assert kinds.count("gather") == gathers
    wanted, _ = trained(model(dtype, means), backend="reference", batch_size=batch_size)
    limit = 1e-4 if dtype == "float32" else 1e-11
    for a, b, start in zip(found, wanted, TABLES, strict=False):
        np.testing.assert_allclose(a, b, rtol=limit, atol=limit)
        assert abs(a - start).max() > 1e-3
    before = cr.get_num_threads()
    try:
        for threads in (1, 2):
            cr.set_num_threads(threads)
            again, _ = trained(model(dtype, means), batch_size=batch_size)
            for a, b in zip(found, again, strict=True):
                np.testing.assert_array_equal(a, b)
    finally:
        cr.set_num_threads(before)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (optim.SGD, {"maximize": True}),
        (optim.SGD, {"momentum": 0.9}),
        (optim.SGD, {"weight_decay": 0.1}),
        (optim.Adagrad, {}),
        (optim.SparseAdam, {}),
    ],
)
def test_other_rules_take_the_gradient_of_rows_too(make, options):
    found, kinds = trained(Pairs("float64"), make, **options)
    assert kinds.count("weighted_rows") == 2 and "subtract_rows" not in kinds
    wanted, _ = trained(Pairs("float64"), make, "reference", **options)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_many_rows_are_multiplied_as_matrices():
    A, B = cr.Parameter(TABLES[0]), cr.Parameter(TABLES[1])
    i, j = cr.Buffer(random.integers(0, V, (2, 40))), cr.Buffer(random.integers(0, U, (2, 40)))

    def step():
        return nn.functional.embedding(i, A) @ nn.functional.embedding(j, B).swapaxes(1, 2)

    plan = NativeStep(cr.capture(step), StateBlock([A, B, i, j]))
    assert [call.kind for call in plan.plan.calls] == ["gather", "gather", "gemm"]


def test_rows_are_taken_back_where_a_step_goes_wrong():
    model = Pairs("float32")
    y = np.ones((40, 4), np.float32)
    y[35] = np.inf
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.05), seed=0)
    cut = {"epochs": 1, "batch_size": 10, "shuffle": False}
    with pytest.raises((cr.NonFiniteError, ValueError)):
        trainer.fit((X, Y), np.where(np.isinf(y), 3e38, y).astype("f"), **cut)
    wanted = Pairs("float32")
    trainer = cr.Trainer(wanted, nn.MSELoss(), optim.SGD(wanted.parameters(), lr=0.05), seed=0)
    trainer.fit((X[:30], Y[:30]), y[:30], **cut)
    for a, b in zip(model.parameters(), wanted.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
