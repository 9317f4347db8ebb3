"""Chains of rows: recurrent steps that each thread takes through its rows of the batch."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

STEPS, FEATURES, HIDDEN = 9, 3, 36


class Recurrent(nn.Module):
    """A layer and a head on its last output; `batch` sequences have states that it learns."""

    def __init__(self, kind, batch, hidden=HIDDEN, **options):
        super().__init__()
        self.layer = getattr(nn, kind)(FEATURES, hidden, dtype="float64", **options)
        directions = 2 if options.get("bidirectional") else 1
        self.state = nn.Parameter(np.full((directions, batch, hidden), 0.3))
        self.head = nn.Linear(directions * hidden, 2, dtype="float64")

    def forward(self, x):
        state = (self.state, self.state) if isinstance(self.layer, nn.LSTM) else self.state
        return self.head(cr.tanh(self.layer(x.swapaxes(0, 1), state)[0])[-1])


def trained(kind, rows, backend="native", threads=1, **options):
    """(trainer, its losses and weights after some steps)."""
    cr.manual_seed(0)
    model = Recurrent(kind, rows, **options)
    trainer = cr.Trainer(
        model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01), backend=backend
    )
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2 * rows, STEPS, FEATURES)), random.integers(0, 2, 2 * rows)
    before = cr.get_num_threads()
    cr.set_num_threads(threads)
    try:
        history = trainer.fit(x, y, epochs=3, batch_size=rows, progress=False, shuffle=False)
    finally:
        cr.set_num_threads(before)
    numbers = [np.array([record["loss"] for record in history])]
    return trainer, [*numbers, *[np.array(p) for p in model.state_dict().values()]]


def chained(trainer):
    """How many instructions are in the chains of the plan of a training step."""
    last = str(trainer.describe_plan()).splitlines()[-1]
    return sum(int(b) - int(a) + 1 for a, b in re.findall(r"(\d+)-(\d+)", last))


@pytest.mark.parametrize("rows", [16, 37])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("RNN", {"nonlinearity": "relu"}),
        ("GRU", {"bidirectional": True}),
        ("LSTM", {}),
        ("LSTM", {"bias": False, "bidirectional": True}),
    ],
)
def test_a_chain_computes_what_numpy_does(kind, options, rows):
    """One thread does all steps of a block of rows before it begins with the next block.

    So each row finds what the first block has left where their memory is used again.
    """
    trainer, found = trained(kind, rows, **options)
    assert chained(trainer) >= 2 * STEPS
    _, expected = trained(kind, rows, "reference", **options)
    _, by_threads = trained(kind, rows, threads=2, **options)
    for one, numpy, two in zip(found, expected, by_threads, strict=True):
        np.testing.assert_allclose(one, numpy, 1e-9, 1e-11)
        np.testing.assert_array_equal(one, two)


def test_few_rows_are_shared_another_way():
    trainer, _ = trained("LSTM", 8)
    assert chained(trainer) == 0


def test_small_products_are_done_by_one_thread():
    trainer, _ = trained("RNN", 32, hidden=8)
    assert chained(trainer) == 0


def test_what_needs_all_rows_ends_a_chain():
    """Each step takes the mean of the last one's rows away: no row can run ahead of the others."""

    def steps(x, w, centred):
        for _ in range(12):
            x = cr.tanh(x @ w)
            if centred:
                x = x - x.mean(axis=0)
        return x

    random = np.random.default_rng(0)
    x, w = random.standard_normal((40, 32)), random.standard_normal((32, 32)) / 6
    for centred in (False, True):
        found = cr.compile(lambda x, w, centred=centred: steps(x, w, centred))(x, w)
        expected = steps(cr.tensor(x), cr.tensor(w), centred)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-9, 1e-11)


def test_a_factor_that_the_steps_compute_ends_a_chain():
    """The product of a step is the matrix by which the next one multiplies: all rows need it."""

    def steps(x):
        y = x
        for _ in range(12):
            x, y = cr.tanh(x @ y), x
        return x

    x = np.random.default_rng(0).standard_normal((32, 32)) / 6
    np.testing.assert_allclose(
        cr.compile(steps)(x).numpy(), steps(cr.tensor(x)).numpy(), 1e-9, 1e-11
    )
