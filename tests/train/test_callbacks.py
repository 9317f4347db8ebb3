"""Callbacks: when they are called, how they stop a training, and early stopping."""

import io
import sys

import numpy as np
import pytest
from training_cases import (
    Scripted,
    assert_close,
    assert_same_bits,
    classification,
    network,
    noisy_network,
    regression,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")


class Log(cr.Callback):
    """Notes every call."""

    def __init__(self, name, calls):
        self.name = name
        self.calls = calls

    def note(self, event, trainer):
        self.calls.append((self.name, event, trainer.epoch, trainer.state.position, trainer.step))

    def on_train_begin(self, trainer):
        self.note("train_begin", trainer)

    def on_epoch_begin(self, trainer):
        self.note("epoch_begin", trainer)

    def on_step_end(self, trainer, loss):
        assert isinstance(loss, float)
        self.note("step_end", trainer)

    def on_epoch_end(self, trainer, record):
        assert record == trainer.history.epochs[-1]
        self.note("epoch_end", trainer)

    def on_train_end(self, trainer):
        self.note("train_end", trainer)


def test_the_order_of_calls():
    x, y = classification(20)
    calls = []
    trainer = trainer_of(network(), callbacks=[Log("a", calls), Log("b", calls)], accumulate=2)
    trainer.fit(x, y, epochs=2, batch_size=8, progress=False)
    wanted = [("train_begin", 0, 0, 0)]
    for epoch in range(2):
        step = 2 * epoch
        wanted += [
            ("epoch_begin", epoch, 0, step),
            ("step_end", epoch, 1, step),
            ("step_end", epoch, 2, step + 1),
            ("step_end", epoch, 3, step + 2),
            ("epoch_end", epoch + 1, 0, step + 2),
        ]
    wanted.append(("train_end", 2, 0, 4))
    assert calls == [(name, *call) for call in wanted for name in "ab"]


def test_the_loss_of_a_step_is_that_before_its_update():
    x, y = classification(8)
    model, losses = network(), []
    wanted = nn.CrossEntropyLoss()(model(cr.tensor(x)), y).item()

    class Losses(cr.Callback):
        def on_step_end(self, trainer, loss):
            losses.append(loss)

    trainer_of(model, callbacks=[Losses()]).fit(
        x, y, epochs=1, batch_size=8, shuffle=False, progress=False
    )
    np.testing.assert_allclose(losses, [wanted], rtol=1e-12)


class StopAt(cr.Callback):
    def __init__(self, event, step):
        self.event, self.step = event, step

    def stop(self, event, trainer):
        if event == self.event and trainer.step == self.step:
            trainer.stop("enough")

    def on_train_begin(self, trainer):
        self.stop("train_begin", trainer)

    def on_epoch_begin(self, trainer):
        self.stop("epoch_begin", trainer)

    def on_step_end(self, trainer, loss):
        self.stop("step_end", trainer)

    def on_epoch_end(self, trainer, record):
        self.stop("epoch_end", trainer)


@pytest.mark.parametrize(
    ("event", "step", "steps", "epochs"),
    [
        ("train_begin", 0, 0, 0),
        ("epoch_begin", 0, 0, 0),
        ("epoch_begin", 3, 3, 1),
        ("step_end", 1, 1, 0),
        ("step_end", 3, 3, 1),  # the last batch of an epoch: the epoch is ended in full
        ("step_end", 4, 4, 1),
        ("epoch_end", 6, 6, 2),
    ],
)
def test_a_callback_stops_the_training(event, step, steps, epochs, capsys):
    x, y = classification(20)
    calls = []
    trainer = trainer_of(network(), callbacks=[StopAt(event, step), Log("log", calls)])
    history = trainer.fit(x, y, epochs=5, batch_size=8)
    assert (trainer.step, trainer.epoch, len(history)) == (steps, epochs, epochs)
    assert history.stop_reason == "enough"
    assert capsys.readouterr().out.endswith(f"stopped after {epochs} epochs: enough\n")
    assert calls[-1][1] == "train_end"
    # The next fit goes on where this one stopped, and says no more that it stopped.
    trainer.callbacks.clear()
    trainer.fit(x, y, epochs=5 - epochs, batch_size=8, progress=False)
    assert history is trainer.history and history.stop_reason is None
    whole = trainer_of(network())
    whole.fit(x, y, epochs=5, batch_size=8, progress=False)
    assert_same_bits(weights(trainer.model), weights(whole.model))
    np.testing.assert_allclose(history["loss"], whole.history["loss"], rtol=1e-12)


def test_colons_in_a_reason_are_no_emoji_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    class Stops(cr.Callback):
        def on_epoch_end(self, trainer, record):
            trainer.stop("at 1:m:2")

    x, y = classification(20)
    trainer = trainer_of(network(), callbacks=[Stops()])
    monkeypatch.setattr("sys.stdout", Terminal())
    trainer.fit(x, y, epochs=2, batch_size=8)
    assert "stopped after 1 epochs: at 1:m:2" in sys.stdout.getvalue()


class StopAtOnce(cr.Callback):
    """Which is not called after batches, so that many are trained on at once."""

    def on_epoch_begin(self, trainer):
        if trainer.epoch == 1:
            trainer.stop("enough")


@pytest.mark.parametrize("size", [4, 8, 20, 100])
def test_a_stop_where_an_epoch_begins_trains_on_no_batch_of_it(size, tmp_path):
    x, y = classification(20)
    trainer = trainer_of(network(), callbacks=[StopAtOnce()])
    path = tmp_path / "training.safetensors"
    trainer.fit(x, y, epochs=3, batch_size=size, progress=False, checkpoint=path)
    assert (trainer.epoch, trainer.state.position, len(trainer.history)) == (1, 0, 1)
    assert trainer.step == -(-20 // size)
    whole = trainer_of(network())
    whole.fit(x, y, epochs=1, batch_size=size, progress=False)
    assert_same_bits(weights(trainer.model), weights(whole.model))


@pytest.mark.parametrize("event", ["train_begin", "epoch_begin", "step_end", "epoch_end"])
def test_a_fit_within_a_fit_is_refused(event):
    x, y = classification(20)

    def fits(callback, trainer, *_):
        trainer.find_lr(x, y, steps=2)  # which changes nothing
        trainer.fit(x, y, epochs=1, progress=False)

    within = type("Within", (cr.Callback,), {f"on_{event}": fits})
    trainer = trainer_of(network(), callbacks=[within()])
    with pytest.raises(RuntimeError, match="fit of this Trainer is called from within itself"):
        trainer.fit(x, y, epochs=2, progress=False)
    trainer.callbacks.clear()
    trainer.fit(x, y, epochs=1, progress=False)


class StopBetweenUpdates(cr.Callback):
    def on_step_end(self, trainer, loss):
        if trainer.state.position == 3:
            trainer.stop("enough")


def test_after_a_stop_within_an_epoch_other_data_begin_the_epoch_anew():
    x, y = classification(20)
    trainer = trainer_of(network(), callbacks=[StopBetweenUpdates()], accumulate=2)
    trainer.fit(x, y, epochs=5, batch_size=4, progress=False)
    assert (trainer.epoch, trainer.state.position) == (0, 3)
    before = weights(trainer.model)
    optimizer_before = trainer.optimizer.state_dict()
    trainer.callbacks.clear()
    trainer.fit(x[:15], y[:15], epochs=1, batch_size=5, progress=False)
    assert (trainer.epoch, trainer.state.position, trainer.step) == (1, 0, 3)
    # As a Trainer that begins with these weights and moments, and has accumulated nothing.
    fresh = network()
    fresh.load_state_dict(before)
    other = trainer_of(fresh, accumulate=2)
    other.optimizer.load_state_dict(optimizer_before)
    other.fit(x[:15], y[:15], epochs=1, batch_size=5, progress=False)
    assert_same_bits(weights(trainer.model), weights(fresh))


@pytest.mark.parametrize("back", [3, 4, 6])
def test_gradients_from_before_a_freeze_are_in_no_later_update(backend, back):
    """Frozen from batch 3 up to batch `back`; as PyTorch's, where freezing clears the gradient."""
    torch = pytest.importorskip("torch")

    class Freeze(cr.Callback):
        batches = 0

        def on_step_end(self, trainer, loss):
            self.batches += 1
            trainer.model.weight.requires_grad_(not 2 <= self.batches < back)

    x, y = np.random.default_rng(0).standard_normal((2, 32, 3))
    model = nn.Linear(3, 3, dtype="float64")
    theirs = torch.nn.Linear(3, 3, dtype=torch.float64)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in model.state_dict().items()})
    optimizer = optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    trainer = cr.Trainer(
        model, nn.MSELoss(), optimizer, accumulate=4, callbacks=[Freeze()], backend=backend
    )
    trainer.fit(x, y, epochs=1, batch_size=4, shuffle=False, progress=False)
    peer = torch.optim.SGD(theirs.parameters(), lr=0.1, weight_decay=0.1)
    for batch in range(8):
        rows = slice(4 * batch, 4 * batch + 4)
        loss = torch.nn.functional.mse_loss(theirs(torch.tensor(x[rows])), torch.tensor(y[rows]))
        (loss / 4).backward()
        if batch % 4 == 3:
            if not theirs.weight.requires_grad:
                theirs.weight.grad = None
            peer.step()
            peer.zero_grad()
        theirs.weight.requires_grad_(not 2 <= batch + 1 < back)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(weights(model)[name], value.numpy(), rtol=1e-10)


def scripted_fit(values, *, higher_is_better=False, epochs=None, **options):
    """Fit while the metric has these values; the Trainer, and the weights after each epoch."""
    x, y = regression(8)
    model = network(outputs=1)
    seen = []

    class Keep(cr.Callback):
        def on_epoch_end(self, trainer, record):
            seen.append(weights(trainer.model))

    stopping = cr.EarlyStopping("scripted", **options)
    trainer = trainer_of(
        model,
        nn.MSELoss(),
        metrics=[Scripted(values, higher_is_better)],
        callbacks=[Keep(), stopping],
    )
    trainer.fit(x, y, epochs=epochs or len(values), batch_size=4, progress=False)
    return trainer, stopping, seen


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([3, 2, 1, 1.5, 0], {}, 4, 3),
        ([3, 2, 2, 0], {}, 3, 2),  # equal is no improvement
        ([3, 2, 2.5, 2.2, 1, 1.2, 1.1, 1.05, 0], {"patience": 2}, 8, 5),
        ([3, 2.9, 2.8, 2.7, 0], {"min_delta": 0.5}, 2, 1),
        ([3, 2.5, 0, 0], {"min_delta": 0.5}, 2, 1),  # by more than min_delta
        # Improvement is against the best value, so slow gains add up while patience lasts.
        ([3, 2.8, 2.6, 2.4, 2.3, 2.2], {"min_delta": 0.5, "patience": 2}, 6, 4),
        ([1, 2, 3, 2], {"mode": "max"}, 4, 3),
        ([1, 2, 3, 2], {"mode": "min"}, 2, 1),
        ([3, NAN, 1], {}, 2, 1),
        ([NAN, 3, 2, 2.5], {"patience": 1}, 4, 3),
        ([5, 4, 3, 2, 1], {}, 5, 5),
    ],
)
def test_early_stopping(values, options, epochs, best):
    trainer, stopping, seen = scripted_fit(values, **options)
    assert trainer.epoch == len(trainer.history) == epochs
    assert (stopping.best_epoch, stopping.best) == (best, values[best - 1])
    assert_same_bits(weights(trainer.model), seen[best - 1])
    waited = epochs - best
    assert (trainer.history.stop_reason is not None) == (waited > options.get("patience", 0))
    if trainer.history.stop_reason:
        assert f"best {values[best - 1]:.6g} in epoch {best}" in trainer.history.stop_reason


def test_a_metric_that_never_is_a_number_stops_without_a_best():
    trainer, stopping, seen = scripted_fit([NAN] * 5, patience=1)
    assert trainer.epoch == 2 and stopping.best is None
    assert "never was a number" in trainer.history.stop_reason
    assert_same_bits(weights(trainer.model), seen[-1])


def test_the_last_weights_stay_where_the_best_are_not_wanted_back():
    trainer, _, seen = scripted_fit([3, 2, 4, 5], patience=1, restore_best=False)
    assert_same_bits(weights(trainer.model), seen[3])


def test_a_metric_of_which_more_is_better_is_followed_upwards():
    trainer, stopping, _ = scripted_fit([0.1, 0.3, 0.2], higher_is_better=True)
    assert (trainer.epoch, stopping.best_epoch) == (3, 2)


def test_until_the_training_loss_stops_decreasing():
    """As the lectures teach; a learning rate that is too high makes the loss rise soon."""
    x, y = regression(16)
    model = nn.Linear(4, 1, dtype="float64")
    stopping = cr.EarlyStopping("loss")
    trainer = trainer_of(
        model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), callbacks=[stopping]
    )
    losses = trainer.fit(x, y, epochs=100_000, batch_size=16, progress=False)["loss"]
    assert 10 < len(losses) < 100_000
    assert all(np.diff(losses[:-1]) < 0)
    assert losses[-1] >= losses[-2]
    assert trainer.history.stop_reason.startswith("loss stopped improving")


@pytest.mark.parametrize("monitor", ["validation_loss", "validation_accuracy"])
def test_early_stopping_on_validation_data(monitor):
    x, y = classification(60)
    xv, yv = classification(40, seed=1)
    model = noisy_network()
    stopping = cr.EarlyStopping(monitor, patience=3)
    trainer = trainer_of(
        model, optimizer=optim.SGD(model.parameters(), lr=1.0), metrics=["accuracy"],
        callbacks=[stopping],
    )  # fmt: skip
    history = trainer.fit(x, y, epochs=200, batch_size=10, validation_data=(xv, yv), progress=False)
    values = history[monitor]
    best = max(values) if monitor.endswith("accuracy") else min(values)
    assert stopping.best == best and stopping.best_epoch == values.index(best) + 1
    assert len(history) == stopping.best_epoch + 4 < 200
    # The model is that of the best epoch, buffers included.
    assert trainer.evaluate(xv, yv)[monitor.removeprefix("validation_")] == best


def test_validation_fraction_holds_the_same_rows_out_in_every_fit():
    x, y = classification(60)
    trainer = trainer_of(network(), metrics=["accuracy"], seed=4)
    (xt, yt), (xv, yv) = cr.data.split(x, y, 0.25, seed=4)
    trainer.fit(x, y, epochs=2, batch_size=9, validation_fraction=0.25, progress=False)
    assert trainer.history["validation_loss"][-1] == trainer.evaluate(xv, yv)["loss"]
    other = trainer_of(network(), metrics=["accuracy"], seed=4)
    other.fit(xt, yt, epochs=2, batch_size=9, validation_data=(xv, yv), progress=False)
    assert_same_bits(weights(trainer.model), weights(other.model))


def test_a_monitor_that_an_epoch_does_not_have():
    x, y = classification(20)
    trainer = trainer_of(network(), callbacks=[cr.EarlyStopping()], metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"'validation_loss'.*loss, accuracy.*validation data"):
        trainer.fit(x, y, epochs=2, batch_size=8, progress=False)


def test_who_fits_again_goes_on_from_the_best_value_so_far():
    trainer, stopping, _ = scripted_fit([3, 2, 4])
    trainer.metrics[0].values = [5, 1]
    x, y = regression(8)
    trainer.fit(x, y, epochs=2, batch_size=4, progress=False)
    assert trainer.epoch == 4  # 5 is no improvement over 2
    assert stopping.best == 2


def test_one_early_stopping_for_another_trainer_begins_anew():
    _, stopping, _ = scripted_fit([3, 2, 4])
    x, y = regression(8)
    trainer = trainer_of(
        network(outputs=1), nn.MSELoss(), metrics=[Scripted([9, 8, 10])], callbacks=[stopping]
    )
    trainer.fit(x, y, epochs=3, batch_size=4, progress=False)
    assert (stopping.best, stopping.best_epoch) == (8, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"patience": -1},
        {"patience": 2.5},
        {"patience": "3"},
        {"patience": True},
        {"min_delta": -0.1},
        {"min_delta": NAN},
        {"mode": "best"},
    ],
)
def test_bad_arguments_of_early_stopping(options):
    with pytest.raises((TypeError, ValueError), match=rf"^{next(iter(options))} is "):
        cr.EarlyStopping("loss", **options)


def test_an_error_in_a_callback_comes_through_and_the_trainer_goes_on_from_there():
    x, y = classification(20)

    class Faulty(cr.Callback):
        def on_step_end(self, trainer, loss):
            if trainer.step == 4:
                raise RuntimeError("oops")

    trainer = trainer_of(network(), callbacks=[Faulty()])
    with pytest.raises(RuntimeError, match="oops"):
        trainer.fit(x, y, epochs=3, batch_size=8, progress=False)
    trainer.callbacks.clear()
    trainer.fit(x, y, epochs=2, batch_size=8, progress=False)
    whole = trainer_of(network())
    whole.fit(x, y, epochs=3, batch_size=8, progress=False)
    assert_same_bits(weights(trainer.model), weights(whole.model))


def test_a_learning_rate_set_by_a_callback_holds_until_the_schedule_sets_its_own():
    class Halving(cr.Callback):
        def on_epoch_end(self, trainer, record):
            trainer.optimizer.param_groups[0]["lr"] *= 0.5

    x, y = classification(32)
    model, eager = network(), network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    schedule = optim.ExponentialLR(optimizer, 0.9, unit="step")
    trainer = trainer_of(model, optimizer=optimizer, schedule=schedule, callbacks=[Halving()])
    trainer.fit(x, y, epochs=3, batch_size=8, shuffle=False, progress=False)
    optimizer = optim.SGD(eager.parameters(), lr=0.1)
    schedule = optim.ExponentialLR(optimizer, 0.9, unit="step")
    for _ in range(3):
        for start in range(0, 32, 8):
            optimizer.zero_grad()
            loss = nn.CrossEntropyLoss()(eager(cr.tensor(x[start:][:8])), y[start:][:8])
            loss.backward()
            optimizer.step()
            schedule.step()
        optimizer.param_groups[0]["lr"] *= 0.5
    assert_close(weights(model), weights(eager), 1e-12)
