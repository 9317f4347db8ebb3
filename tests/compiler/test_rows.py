"""Updates of tables by the rows that were looked up: the same bits as by whole tables."""

from types import SimpleNamespace

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.caches import LruCache
from chainrule.compiler import passes
from chainrule.execute import native
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock

V, D = 400, 50
random = np.random.default_rng(0)
X = random.integers(0, V, (60, 3))
X[:, 1] = X[:, 0]  # rows that are looked up twice
X[7] = 399
Y = random.integers(0, 2, 60)
TABLE = random.standard_normal((V, D))


class Words(nn.Module):
    def __init__(self, dtype, **options):
        super().__init__()
        cr.manual_seed(0)
        self.table = nn.Embedding(V, D, dtype=dtype, **options)
        self.table.weight.assign(TABLE.astype(dtype))
        self.out = nn.Linear(D, 2, dtype=dtype)

    def forward(self, x):
        return self.out(nn.functional.tanh(self.table(x).mean(1)))


class Indexed(Words):
    """The table in three uses, of which one counts from the end."""

    def forward(self, x):
        rows = self.table.weight[x - V] * self.table.weight[x[:, :1]]
        return self.out(rows.sum(1) + cr.take(self.table.weight, x[:, 2], axis=0))


def whole_tables(monkeypatch):
    """Plans from now on go over whole tables."""
    monkeypatch.setattr(native, "_plans", LruCache(8))
    monkeypatch.setattr(passes, "update_rows", lambda order, updates: order)


def trained(model, optimizer, batch_size=10, epochs=2, rows=60, **options):
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=0, **options)
    trainer.fit(X[:rows], Y[:rows], epochs=epochs, batch_size=batch_size)
    states = {**model.state_dict(), **{k: s.numpy() for k, s in optimizer.states().items()}}
    return states, trainer


def put_into_states(trainer):
    """How many instructions put rows, and whether the step takes memory for a whole table."""
    plan = trainer.backend.last_step.plan
    calls = [call for call in plan.calls if call.kind == "put_rows"]
    in_place = [
        c for c in calls if c.fields["x"] == c.fields["out"] and c.fields["x"][0] == "state"
    ]
    assert len(in_place) == len(calls)
    itemsize = trainer.model.table.weight.dtype.itemsize
    return len(calls), plan.arena_size >= V * D * itemsize


RULES = {
    "SGD": (lambda p: optim.SGD(p, lr=0.5), 1),
    "ascent": (lambda p: optim.SGD(p, lr=0.1, maximize=True), 1),
    "Adagrad": (lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1), 2),
    "SparseAdam": (lambda p: optim.SparseAdam(p, lr=0.05), 3),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("model", [Words, Indexed])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_get_the_bits_of_the_rule_for_whole_tables(monkeypatch, rule, model, dtype):
    make, count = RULES[rule]
    results = []
    for whole in (False, True):
        if whole:
            whole_tables(monkeypatch)
        network = model(dtype)
        for rows in (60, 57):  # a short last batch has a plan of its own
            states, trainer = trained(network, make(network.parameters()), rows=rows)
        assert put_into_states(trainer) == ((0, True) if whole else (count, False))
        results.append(states)
    assert results[0].keys() == results[1].keys()
    for name, value in results[0].items():
        np.testing.assert_array_equal(value, results[1][name], err_msg=name)
    if dtype == "float32":  # which another order of sums moves farther
        return
    network = model(dtype)
    for rows in (60, 57):
        optimizer = make(network.parameters())
        reference, _ = trained(network, optimizer, rows=rows, backend="reference")
    for name, value in results[0].items():
        np.testing.assert_allclose(value, reference[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_row_whose_gradient_is_no_number_is_no_row_without_one(rule, backend):
    network = Words("float64")
    kept = network.table.weight.numpy().copy()
    optimizer = RULES[rule][0](network.parameters())

    def step(x):  # the rows x[0] have NaN gradients, those of x[1] 1, all others 0
        optimizer.zero_grad()
        rows = network.table(x)
        ((rows[0] * np.nan).sum() + rows[1].sum()).backward()
        optimizer.step()

    (cr.compile(step) if backend == "native" else step)(np.array([[1, 2, 1], [3, 4, 4]]))
    now = network.table.weight.numpy()
    assert np.isnan(now[[1, 2]]).all()
    assert np.isfinite(now[[3, 4]]).all() and (now[[3, 4]] != kept[[3, 4]]).all()
    others = np.delete(np.arange(V), [1, 2, 3, 4])
    np.testing.assert_array_equal(now[others], kept[others])


@pytest.mark.parametrize("options", [{"clip_norm": 0.05}, {"clip_value": 0.001}], ids=str)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipped_gradients_cost_rows_too(monkeypatch, rule, dtype, options):
    make, count = RULES[rule]
    results = []
    for whole in (False, True):
        if whole:
            whole_tables(monkeypatch)
        network = Words(dtype)
        states, trainer = trained(network, make(network.parameters()), **options)
        assert put_into_states(trainer) == ((0, True) if whole else (count, False))
        results.append(states)
    for name, value in results[0].items():
        np.testing.assert_allclose(value, results[1][name], rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.5, momentum=0.9),
        lambda p: optim.SGD(p, lr=0.5, weight_decay=0.1),
        lambda p: optim.Adagrad(p, lr=0.5, weight_decay=0.1),
        lambda p: optim.Adam(p, lr=0.1),
        lambda p: optim.RMSprop(p, lr=0.01),
    ],
)
def test_rules_that_move_every_row_go_over_whole_tables(make):
    network = Words("float64")
    states, trainer = trained(network, make(network.parameters()))
    assert put_into_states(trainer) == (0, True)
    network = Words("float64")
    reference, _ = trained(network, make(network.parameters()), backend="reference")
    for name, value in states.items():
        np.testing.assert_allclose(value, reference[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_batches_of_many_rows_go_over_the_whole_table():
    network = Words("float32")
    x, y = random.integers(0, V, (80, 3)), random.integers(0, 2, 80)
    trainer = cr.Trainer(network, nn.CrossEntropyLoss(), optim.SGD(network.parameters(), lr=0.1))
    trainer.fit(x, y, epochs=1, batch_size=80)
    assert put_into_states(trainer) == (0, True)


class Clipped(optim.Optimizer):
    """A rule of a user: w - lr g min(1, 1 / the largest |g| of the row)."""

    lr = optim.Number(low=0)

    def __init__(self, params, lr):
        super().__init__(params, lr=lr)

    def rule(self, W, grad, moments, h: SimpleNamespace):
        largest = abs(grad).max(axis=1, keepdims=True) if grad.ndim > 1 else abs(grad)
        W.assign(W - h.lr * grad / cr.maximum(1.0, largest * 1e3))


def test_a_users_rule_is_understood_too(monkeypatch):
    results = []
    for whole in (False, True):
        if whole:
            whole_tables(monkeypatch)
        network = Words("float32")
        states, trainer = trained(network, Clipped(network.parameters(), lr=0.3))
        assert put_into_states(trainer)[0] == (not whole)
        results.append(states)
    for name, value in results[0].items():
        np.testing.assert_array_equal(value, results[1][name], err_msg=name)


def test_rows_are_shortened_in_place_before_they_are_updated():
    results = []
    for backend in ("native", "reference"):
        network = Words("float64", max_norm=2.0, padding_idx=5)
        optimizer = optim.Adagrad(network.parameters(), lr=0.1)
        states, trainer = trained(network, optimizer, backend=backend)
        if backend == "native":
            assert put_into_states(trainer) == (3, False)
        results.append(states)
    for name, value in results[0].items():
        np.testing.assert_allclose(value, results[1][name], rtol=1e-9, atol=1e-12, err_msg=name)
    lengths = np.linalg.norm(results[0]["table.weight"], axis=1)
    assert lengths[np.unique(X)].max() < 2.6 < lengths.max()


@pytest.mark.parametrize("rule", RULES)
def test_rows_are_taken_back_where_a_step_goes_wrong(rule):
    """Good steps before a bad one in the same run are done; the bad one changes nothing."""
    make, _ = RULES[rule]
    network = Words("float32", max_norm=3.0)
    loss = nn.CrossEntropyLoss()

    class Bad(nn.Module):
        def forward(self, outputs, targets):
            bad = cr.where(targets.max() > 1, np.inf, 0.0).astype("float32")
            return loss(outputs, cr.minimum(targets, 1)) + bad * outputs.sum()

    y = Y.copy()
    y[45] = 2
    optimizer = make(network.parameters())
    trainer = cr.Trainer(network, Bad(), optimizer, seed=0)
    with pytest.raises(cr.NonFiniteError) as error:
        trainer.fit(X, y, epochs=1, batch_size=10, shuffle=False)
    assert "step" in str(error.value)
    found = {**network.state_dict(), **{k: s.numpy() for k, s in optimizer.states().items()}}
    network = Words("float32", max_norm=3.0)
    wanted, _ = trained_in_order(network, make(network.parameters()), 40)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def trained_in_order(model, optimizer, rows):
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=0)
    trainer.fit(X[:rows], Y[:rows], epochs=1, batch_size=10, shuffle=False)
    states = {**model.state_dict(), **{k: s.numpy() for k, s in optimizer.states().items()}}
    return states, trainer


def test_a_run_whose_log_of_rows_is_full_ends_early():
    table = cr.Parameter(np.zeros((1 << 17, 64), np.float32))
    indices = cr.Buffer(np.arange(1 << 16))

    def step():
        rows = table[indices]
        table.assign(table - cr.grad((rows * 2.0).sum(), table))
        return rows.sum()

    graph = cr.capture(step)
    plan = NativeStep(graph, StateBlock([table, indices]))
    assert [call.kind for call in plan.plan.calls].count("put_rows") == 1
    plan.save()
    run = plan.run(None, 0, 5)
    assert run.steps == 1 and table.numpy()[0, 0] == -2  # 16 MiB a step, and the numbers of rows
    assert plan.save_if_finite()
    plan.run(None, 0, 1)
    assert table.numpy()[3, 3] == -4
    plan.restore()
    plan.restore()
    assert table.numpy()[3, 3] == -2


def test_compiled_loops_update_rows():
    results = []
    for compiled in (True, False):
        network = Words("float64")
        optimizer = optim.Adagrad(network.parameters(), lr=0.1)

        def step(x, y):
            optimizer.zero_grad()  # noqa: B023 - called within this round
            loss = nn.functional.cross_entropy(network(x), y)  # noqa: B023
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.5)  # noqa: B023
            optimizer.step()  # noqa: B023
            return loss

        function = cr.compile(step) if compiled else step
        losses = [float(function(X[i : i + 10], Y[i : i + 10])) for i in range(0, 60, 10)]
        results.append([losses, network.table.weight.numpy()])
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-9)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9, atol=1e-12)


def test_a_table_that_is_read_as_a_whole_is_right_too():
    """Tied weights: the gradient of the last product reaches every row."""
    results = []
    for backend in ("native", "reference"):
        network = Words("float64")

        class Tied(nn.Module):
            def __init__(self, table):
                super().__init__()
                self.table = table

            def forward(self, x):
                return self.table(x).mean(1) @ self.table.weight.T

        model = Tied(network.table)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, backend=backend, seed=0)
        trainer.fit(X, X[:, 0], epochs=1, batch_size=10)
        results.append(model.table.weight.numpy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-9, atol=1e-12)


def test_an_average_of_weights_reads_the_updated_table():
    results = []
    for backend in ("native", "reference"):
        network = Words("float64")
        optimizer = optim.SGD(network.parameters(), lr=0.5)
        average = optim.EMA(network.parameters(), 0.5)
        states, _ = trained(network, optimizer, backend=backend, ema=average)
        results.append([states["table.weight"], *[s.numpy() for s in average.states().values()]])
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
