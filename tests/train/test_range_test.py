"""The learning-rate range test: what it finds, and that it leaves everything as it was."""

import builtins

import numpy as np
import pytest
from training_cases import (
    Average,
    ShortRows,
    assert_same_bits,
    classification,
    network,
    noisy_network,
    regression,
    trainer_of,
    weighted_cross_entropy,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")

ROWS, BATCH = 37, 8


def everything(trainer):
    arrays = weights(trainer.model)
    for kind, state in (
        ("optimizer", trainer.optimizer.state_dict()),
        ("ema", trainer.ema.state_dict() if trainer.ema else {}),
    ):
        arrays |= {f"{kind}.{k}": v for k, v in state.items() if isinstance(v, np.ndarray)}
    for i, buffer in enumerate(
        (*trainer.state.accumulated.buffers, trainer.state.accumulated.rows)
    ):
        arrays[f"accumulated.{i}"] = buffer.numpy().copy()
    arrays["generator"] = trainer.graphs.generator.state.numpy().copy()
    arrays["counts"] = np.array([trainer.epoch, trainer.step, trainer.state.position])
    arrays["lrs"] = np.array([group["lr"] for group in trainer.optimizer.param_groups])
    return arrays


@pytest.mark.parametrize("accumulate", [1, 2])
def test_everything_is_put_back_to_the_bit(accumulate):
    x, y = classification(ROWS)

    class StopAt(cr.Callback):
        def on_step_end(self, trainer, loss):
            if trainer.epoch == 1 and trainer.state.position == 3:
                trainer.stop("here")

    def made():
        model = noisy_network()
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        return trainer_of(
            model,
            weighted_cross_entropy,
            optimizer,
            schedule=optim.ExponentialLR(optimizer, 0.9, unit="step"),
            ema=Average(model.parameters()),
            constraints=[ShortRows(model[0].weight, 1.0)],
            penalties=[lambda: 1e-3 * (model[0].weight * model[0].weight).sum()],
            accumulate=accumulate,
            callbacks=[StopAt()],
        )

    found = []
    for testing in (False, True):
        trainer = made()
        if testing:  # also before anything has run
            trainer.find_lr(x, y, batch_size=BATCH, steps=20)
        trainer.fit(x, y, epochs=3, batch_size=BATCH, progress=False)  # into the second epoch
        if testing:
            before = everything(trainer)
            records = list(trainer.history)
            result = trainer.find_lr(x, y, sample_weight=np.ones(ROWS), batch_size=5, steps=30)
            assert len(result.lrs) > 5
            assert_same_bits(everything(trainer), before)
            assert list(trainer.history) == records
        trainer.callbacks.clear()
        trainer.fit(x, y, epochs=1, batch_size=BATCH, progress=False)
        found.append(everything(trainer))
    assert_same_bits(*found)


def test_the_losses_are_those_of_a_training_with_these_learning_rates():
    """A loop of one's own, over the same batches."""
    x, y = classification(ROWS)
    trainer = trainer_of(network(), seed=3)
    result = trainer.find_lr(x, y, low=1e-3, high=1.0, steps=7, batch_size=BATCH)
    np.testing.assert_allclose(result.lrs, np.geomspace(1e-3, 1.0, 7), rtol=1e-12)
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for i, lr in enumerate(result.lrs):
        order = cr.data.permutation(ROWS, seed=3, epoch=i // 4)  # four whole batches
        rows = order[i % 4 * BATCH :][:BATCH]
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(cr.tensor(x[rows])), y[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(result.losses, losses, rtol=1e-10)


def test_what_an_epoch_under_way_has_accumulated_is_no_part_of_it():
    x, y = classification(ROWS)

    class Stop(cr.Callback):
        def on_step_end(self, trainer, loss):
            trainer.stop("between two updates")

    trainer, other = (trainer_of(network(), accumulate=3) for _ in range(2))
    trainer.callbacks.append(Stop())
    trainer.fit(x, y, epochs=1, batch_size=BATCH, shuffle=False, progress=False)
    assert trainer.step == 0 and trainer.state.accumulated.rows.item() == BATCH
    found = [t.find_lr(x, y, low=0.1, steps=5, batch_size=BATCH).losses for t in (trainer, other)]
    assert found[0] == found[1]


@pytest.mark.parametrize("offset", [-5.0, -0.1])
def test_a_loss_below_0_does_not_end_it(offset):
    """As a negative log-likelihood may be."""
    x, y = regression(200)
    mse = nn.MSELoss()
    found = []
    for shift in (0.0, offset):
        with cr.use_generator(cr.Generator(0)):
            model = nn.Linear(4, 1, dtype="float64")
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        trainer = trainer_of(model, lambda o, t, by=shift: mse(o, t) + by, optimizer)
        found.append(trainer.find_lr(x, y, low=1e-6, high=1e6, steps=200, batch_size=50))
    plain, shifted = found
    assert min(shifted.smoothed) < 0
    assert len(shifted.lrs) >= len(plain.lrs)
    assert shifted.suggestion == pytest.approx(plain.suggestion, rel=0.3)


@pytest.mark.parametrize("seed", range(5))
def test_it_ends_where_the_loss_diverges(seed):
    x, y = regression(200)
    with cr.use_generator(cr.Generator(seed)):
        model = nn.Linear(4, 1, dtype="float64")
    trainer = trainer_of(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), seed=seed)
    result = trainer.find_lr(x, y, low=1e-6, high=1e6, steps=200, batch_size=50)
    assert len(result.lrs) == len(result.losses) == len(result.smoothed) < 200
    means = result.smoothed
    assert means[-1] > 4 * min(means)
    assert all(means[i] <= 4 * min(means[: i + 1]) for i in range(len(means) - 1))
    # Gradient descent on this loss diverges beyond 2 / the largest eigenvalue of its Hessian.
    features = np.hstack([x, np.ones((200, 1))])
    limit = 2 / np.linalg.eigvalsh(2 * features.T @ features / 200).max()
    # Below, an error falls as exp(-2 sum of lr / limit), and this sum is lr / log(growth): it falls
    # most over log(lr) where lr is log(growth) limit / 2, with 12 powers of 10 in 199 steps.
    steepest = np.log(10) * 12 / 199 * limit / 2
    assert steepest / 3 < result.suggestion < steepest * 3
    assert result.lrs[-1] > limit


def test_overflow_ends_it_too():
    x, y = regression(40)
    model = nn.Linear(4, 1)
    trainer = trainer_of(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    result = trainer.find_lr(x, y, low=1.0, high=1e38, steps=4, batch_size=40)
    assert 1 <= len(result.lrs) < 4
    assert np.isfinite(result.losses).all()
    before = weights(model)
    with pytest.raises(cr.NonFiniteError, match="lower `low`"):
        trainer.find_lr(x * 1e30, y, batch_size=40)
    assert_same_bits(weights(model), before)


def test_groups_keep_their_ratio():
    x, y = classification(ROWS)
    seen = []

    class Watched(optim.SGD):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)

    model = network()
    optimizer = Watched(
        [
            {"params": list(model[0].parameters()), "lr": 0.01},
            {"params": list(model[2].parameters()), "lr": 0.1},
        ]
    )
    trainer = trainer_of(model, optimizer=optimizer)
    train = trainer.backend.train

    def spy(*arguments, **options):
        seen.append([group["lr"] for group in optimizer.param_groups])
        return train(*arguments, **options)

    trainer.backend.train = spy
    result = trainer.find_lr(x, y, low=1e-4, high=1e-2, steps=3, batch_size=BATCH)
    np.testing.assert_allclose(seen, [[lr / 10, lr] for lr in result.lrs])
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.1]


def test_smoothing_is_an_average_without_bias():
    found = cr.RangeTest([1.0, 2.0, 3.0], [2.0, 4.0, 1.0])
    np.testing.assert_allclose(
        found.smoothed, [2.0, (0.9 * 2 + 4) / 1.9, (0.81 * 2 + 0.9 * 4 + 1) / 2.71]
    )


def test_nothing_is_suggested_where_the_loss_never_falls():
    assert cr.RangeTest([1.0, 2.0], [3.0, 3.5]).suggestion is None
    assert cr.RangeTest([1.0], [3.0]).suggestion is None
    assert cr.RangeTest(np.geomspace(1, 100, 50), np.ones(50)).suggestion is None


def test_the_suggestion_is_where_the_loss_falls_most():
    """On a smooth curve, a logistic one over log(lr), with noise."""
    lrs = np.geomspace(1e-6, 1.0, 100)
    noise = 0.05 * np.random.default_rng(0).standard_normal(100)
    losses = 1 / (1 + (lrs / 1e-3) ** 2) + noise
    assert 3e-4 < cr.RangeTest(lrs, losses).suggestion < 3e-3


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"low": 0.0}, ValueError, "0 < low < high"),
        ({"low": 1.0, "high": 0.1}, ValueError, "0 < low < high; got 1.0, 0.1"),
        ({"high": np.inf}, ValueError, "low < high"),
        ({"low": np.nan}, ValueError, "low < high"),
        ({"steps": 1}, ValueError, "steps is at least 2"),
        ({"sample_weight": np.ones(3)}, ValueError, "sample_weight"),
        ({"y": np.full(ROWS, 7)}, ValueError, "labels"),
    ],
)
def test_bad_arguments(options, error, text):
    x, y = classification(ROWS)
    trainer = trainer_of(network(), weighted_cross_entropy)
    with pytest.raises(error, match=text):
        trainer.find_lr(**{"x": x, "y": y, "batch_size": BATCH, **options})


def test_a_plot_shows_the_losses():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    result = cr.RangeTest([0.1, 1.0, 10.0], [3.0, 1.0, 9.0])
    ax = result.plot()
    try:
        raw, smoothed, mark = ax.get_lines()
        np.testing.assert_array_equal(raw.get_xydata(), np.c_[result.lrs, result.losses])
        np.testing.assert_array_equal(smoothed.get_ydata(), result.smoothed)
        assert mark.get_xdata()[0] == result.suggestion
        assert ax.get_xscale() == "log"
        assert cr.RangeTest([1.0, 2.0], [1.0, 2.0]).plot(ax) is ax  # nothing to suggest
    finally:
        plt.close(ax.figure)


def test_a_plot_without_matplotlib_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'chainrule\[plot\]\'"):
        cr.RangeTest([1.0, 2.0], [2.0, 1.0]).plot()
