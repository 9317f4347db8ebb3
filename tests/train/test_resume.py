"""A training that was interrupted anywhere goes on to the same bits."""

import os

import numpy as np
import pytest
from training_cases import (
    Average,
    ShortRows,
    assert_same_bits,
    classification,
    noisy_network,
    trainer_of,
    weighted_cross_entropy,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")

ROWS, BATCH, EPOCHS = 21, 4, 3  # six batches an epoch, the last of one row


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Cut(BaseException):
    """As if the power failed."""


class CutAt(cr.Callback):
    """Raises after so many batches, before anything more is saved."""

    def __init__(self, batches=None):
        self.left = batches

    def on_step_end(self, trainer, loss):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise Cut


class Losses(cr.Callback):
    """A callback with a state of its own: numbers, arrays and None."""

    def __init__(self):
        self.losses = np.zeros(0)
        self.last = None

    def on_step_end(self, trainer, loss):
        self.losses = np.append(self.losses, loss)
        self.last = loss

    def state_dict(self):
        return {"losses": self.losses, "last": self.last}

    def load_state_dict(self, state):
        self.losses, self.last = state["losses"], state["last"]


SCHEDULES = {
    "none": lambda o: None,
    "epoch": lambda o: optim.StepLR(o, 2, 0.5),
    "step": lambda o: optim.WarmupLR(optim.CosineAnnealingLR(o, 20, unit="step"), 3),
}


def made(schedule, accumulate, patience, parts=False):
    """A Trainer in which everything has a state; `parts` adds to the step and to the callbacks."""
    model = noisy_network()
    optimizer = optim.Adam(model.parameters(), lr=0.2)
    stopping = cr.EarlyStopping(patience=patience, min_delta=0.0 if patience else 0.5)
    callbacks = [Losses(), stopping, CutAt()]
    options = {}
    if parts:
        callbacks.insert(2, cr.ReduceLROnPlateau(factor=0.5, patience=1, threshold=9.0))
        options = {
            "penalties": [lambda: 1e-3 * (model[0].weight * model[0].weight).sum()],
            "constraints": [ShortRows(model[0].weight, 1.0)],
            "ema": Average(model.parameters()),
        }
    return trainer_of(
        model,
        weighted_cross_entropy,
        optimizer=optimizer,
        schedule=SCHEDULES[schedule](optimizer),
        accumulate=accumulate,
        clip_norm=1.0,
        metrics=["accuracy"],
        callbacks=callbacks,
        seed=7,
        **options,
    )


def fit(trainer, path=None, **options):
    x, y = classification(ROWS)
    weighted = trainer.ema is not None
    options.setdefault("checkpoint_steps", 1 if path else None)
    return trainer.fit(
        x,
        y,
        sample_weight=np.linspace(0, 2, ROWS) if weighted else None,
        epochs=EPOCHS,
        batch_size=BATCH,
        validation_data=classification(15, seed=1),
        checkpoint=path,
        progress=False,
        **options,
    )


def outcome(trainer):
    optimizer = {
        k: v for k, v in trainer.optimizer.state_dict().items() if isinstance(v, np.ndarray)
    }
    records = [
        {name: value for name, value in record.items() if name != "seconds"}
        for record in trainer.history
    ]
    stopping = trainer.callbacks[1]
    average = trainer.ema.state_dict() if trainer.ema is not None else {}
    return (
        {**weights(trainer.model), **{f"average {k}": v for k, v in average.items()}},
        {**optimizer, "generator": trainer.graphs.generator.state.numpy()},
        (
            records,
            trainer.history.stop_reason,
            trainer.epoch,
            trainer.step,
            trainer.state.position,
            trainer.optimizer.param_groups[0]["lr"],
            stopping.best,
            stopping.best_epoch,
            trainer.callbacks[0].losses.tolist(),
            trainer.callbacks[0].last,
            trainer.callbacks[2].state_dict(),
            trainer.schedule and trainer.schedule.base_lrs,
        ),
    )


def assert_same_outcome(found, wanted):
    assert_same_bits(found[0], wanted[0])
    assert_same_bits(found[1], wanted[1])
    assert found[2] == wanted[2]


CASES = [
    ("none", 1, 99, False),
    ("epoch", 1, 99, False),
    ("step", 1, 99, False),
    ("step", 4, 99, False),  # updates after batch 4 and after the last, 6
    ("epoch", 2, 0, False),  # early stopping ends it
    ("none", 1, 99, True),
    ("step", 2, 99, True),
    ("epoch", 1, 0, True),
    ("epoch", "epoch", 99, True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_interruption_after_any_batch_changes_no_bit(tmp_path, case, backend):
    patience = case[2]
    whole = made(*case)
    fit(whole)
    wanted = outcome(whole)
    batches = len(whole.callbacks[0].losses)
    assert batches == 6 * whole.epoch and (patience or whole.epoch < EPOCHS)
    # What is saved is not the backend's: with one of them every batch is tried. Every fifth is the
    # first, the last and others of an epoch.
    for cut in range(1, batches + 1, 5 if case[-1] or backend == "reference" else 1):
        path = tmp_path / f"{cut}.safetensors"
        first = made(*case)
        first.callbacks[-1].left = cut
        with pytest.raises(Cut):
            fit(first, path)
        second = made(*case)
        fit(second, path, resume=True, checkpoint_steps=None)
        assert_same_outcome(outcome(second), wanted)


def test_many_interruptions_of_one_training(tmp_path):
    path = tmp_path / "model.safetensors"
    whole = made("step", 2, 99)
    fit(whole)
    for tries in range(100):
        trainer = made("step", 2, 99)
        trainer.callbacks[-1].left = 3 + tries % 3
        try:
            fit(trainer, path, resume=True)
        except Cut:
            continue
        break
    assert 4 < tries < 50
    assert_same_outcome(outcome(trainer), outcome(whole))


@pytest.mark.parametrize(("accumulate", "parts"), [(4, False), ("epoch", True)])
def test_a_stop_between_two_updates_keeps_what_was_accumulated(tmp_path, accumulate, parts):
    path = tmp_path / "model.safetensors"
    whole = made("none", accumulate, 99, parts)
    fit(whole)

    class Stop(CutAt):
        def on_step_end(self, trainer, loss):
            if trainer.epoch == 1 and trainer.state.position == 3:
                trainer.stop("the user's wish")

    Stop.__name__ = "CutAt"
    first = made("none", accumulate, 99, parts)
    first.callbacks[-1] = Stop()
    assert fit(first, path).stop_reason == "the user's wish"
    assert first.state.position == 3 and first.state.accumulated.rows.item() == 12
    second = made("none", accumulate, 99, parts)
    fit(second, path, resume=True)
    assert_same_outcome(outcome(second), outcome(whole))


def test_checkpoints_after_epochs_only(tmp_path):
    path = tmp_path / "model.safetensors"
    whole = made("epoch", 1, 99)
    fit(whole)
    first = made("epoch", 1, 99)
    first.callbacks[-1].left = 15  # the third batch of the third epoch
    with pytest.raises(Cut):
        fit(first, path, checkpoint_steps=None)
    second = made("epoch", 1, 99)
    second.load(path)
    assert (second.epoch, second.state.position) == (2, 0)
    fit(second, path, resume=True, checkpoint_steps=None)
    assert_same_outcome(outcome(second), outcome(whole))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_checkpoints_come_after_so_many_updates(tmp_path, monkeypatch, accumulate):
    """Also where no callback looks at the steps, so that many may run at once."""
    x, y = classification(ROWS)
    trainer = trainer_of(noisy_network(), accumulate=accumulate)
    saved = []
    monkeypatch.setattr(trainer, "save", lambda path: saved.append((trainer.epoch, trainer.step)))
    trainer.fit(
        x, y, epochs=3, batch_size=3, checkpoint=tmp_path / "file", checkpoint_steps=3,
        progress=False,
    )  # fmt: skip
    # Seven batches an epoch, so seven or four updates; the last is saved with its epoch's end.
    assert (
        saved
        == {
            1: [(0, 3), (0, 6), (1, 7), (1, 9), (1, 12), (2, 14), (2, 15), (2, 18), (3, 21)],
            2: [(0, 3), (1, 4), (1, 6), (2, 8), (2, 9), (3, 12)],
        }[accumulate]
    )


@pytest.mark.parametrize("patience", [99, 0])
def test_resuming_what_is_finished_does_nothing_more(tmp_path, patience):
    path = tmp_path / "model.safetensors"
    whole = made("epoch", 2, patience)
    fit(whole, path)
    again = made("epoch", 2, patience)
    fit(again, path, resume=True)
    assert_same_outcome(outcome(again), outcome(whole))


def test_resuming_where_there_is_no_file_yet_begins(tmp_path):
    whole, other = made("none", 1, 99), made("none", 1, 99)
    fit(whole)
    fit(other, tmp_path / "model.safetensors", resume=True)
    assert_same_outcome(outcome(other), outcome(whole))


def test_epochs_count_from_the_first_of_the_run_when_resuming(tmp_path):
    path = tmp_path / "model.safetensors"
    x, y = classification(ROWS)
    for epochs, wanted in ((2, 2), (5, 5), (3, 5)):
        trainer = made("none", 1, 99)
        trainer.callbacks.clear()
        trainer.fit(
            x, y, epochs=epochs, batch_size=BATCH, checkpoint=path, resume=True, progress=False
        )
        assert trainer.epoch == len(trainer.history) == wanted


def test_bad_labels_are_refused_before_the_file_is_taken_up(tmp_path):
    path = tmp_path / "model.safetensors"
    fit(made("none", 1, 99), path)
    trainer = made("none", 1, 99)
    before = weights(trainer.model)
    x, y = classification(ROWS)
    with pytest.raises(ValueError, match="labels"):
        trainer.fit(x, y + 5, epochs=9, batch_size=BATCH, checkpoint=path, resume=True)
    assert_same_bits(weights(trainer.model), before)
    assert trainer.epoch == 0


class LearntTemperature(nn.Module):
    """A loss with a parameter of its own, and a buffer that every step changes."""

    def __init__(self):
        super().__init__()
        self.temperature = cr.Parameter(np.float64(1.0))
        self.calls = cr.Buffer(np.float64(0))

    def forward(self, output, target):
        self.calls.assign(self.calls + 1.0)
        return nn.CrossEntropyLoss()(output / self.temperature, target)


def learning_loss(patience=99):
    model, loss = noisy_network(), LearntTemperature()
    optimizer = optim.SGD([*model.parameters(), *loss.parameters()], lr=0.2, momentum=0.9)
    stopping = cr.EarlyStopping(patience=patience, min_delta=0.0 if patience else 9.0)
    callbacks = [Losses(), stopping, CutAt()]
    return trainer_of(model, loss, optimizer, callbacks=callbacks), loss


@pytest.mark.parametrize("cut", [2, 6, 9])
def test_what_a_loss_learns_is_taken_up_again(tmp_path, cut):
    path = tmp_path / "model.safetensors"
    whole, wanted = learning_loss()
    fit(whole)
    first, _ = learning_loss()
    first.callbacks[-1].left = cut
    with pytest.raises(Cut):
        fit(first, path)
    second, found = learning_loss()
    fit(second, path, resume=True)
    assert_same_outcome(outcome(second), outcome(whole))
    assert_same_bits(found.state_dict(), wanted.state_dict())
    plain = trainer_of(noisy_network(), callbacks=[Losses(), cr.EarlyStopping(), CutAt()])
    with pytest.raises(ValueError, match=r"does not fit this Trainer: .*groups?"):
        plain.load(path)


def test_early_stopping_gives_back_what_the_loss_learnt():
    whole, wanted = learning_loss()
    x, y = classification(ROWS)
    whole.fit(x, y, epochs=1, batch_size=BATCH, validation_data=(x, y), progress=False)
    stopped, found = learning_loss(patience=0)
    history = stopped.fit(x, y, epochs=9, batch_size=BATCH, validation_data=(x, y), progress=False)
    assert len(history) == 2
    assert_same_bits(weights(stopped.model), weights(whole.model))
    assert_same_bits(found.state_dict(), wanted.state_dict())


class Halving(cr.Callback):
    """Halves the learning rate after an epoch; a schedule sets its own again."""

    def on_epoch_end(self, trainer, record):
        trainer.optimizer.param_groups[0]["lr"] *= 0.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_learning_rate_that_a_callback_set_is_taken_up_again(tmp_path, schedule):
    path = tmp_path / "model.safetensors"
    whole, first, second = (made(schedule, 1, 99) for _ in range(3))
    for trainer in (whole, first, second):
        trainer.callbacks.append(Halving())
    fit(whole)
    first.callbacks[2].left = 8  # two batches after the only file
    with pytest.raises(Cut):
        fit(first, path, checkpoint_steps=None)
    fit(second, path, resume=True, checkpoint_steps=None)
    assert_same_outcome(outcome(second), outcome(whole))
