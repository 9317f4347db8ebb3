"""TrainingState: what a checkpoint holds of a training's progress."""

import json

import numpy as np
import pytest
from training_cases import Scripted, assert_same_bits, classification, network, trainer_of, weights

import chainrule as cr


class StopAt(cr.Callback):
    """Ends a training after a number of batches of an epoch."""

    def __init__(self, position):
        self.position = position

    def on_step_end(self, trainer, loss):
        if trainer.state.position == self.position:
            trainer.stop("for now")


def in_the_middle(**options):
    """A training that was stopped after 4 of the 5 batches of its second epoch."""
    x, y = classification(37)
    trainer = trainer_of(network(), accumulate=3, metrics=["accuracy"], **options)
    trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
    trainer.callbacks.append(StopAt(4))
    trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
    trainer.callbacks.clear()
    return trainer


def parts(state):
    """(arrays, JSON of the rest) of a snapshot."""
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    return arrays, json.dumps({name: v for name, v in state.items() if name not in arrays})


def test_the_way_there_and_back(backend):
    state = in_the_middle().state
    assert (state.epoch, state.step, state.position) == (1, 3, 4)
    assert state.totals.rows == 32 and state.accumulated.rows.item() == 8
    fingerprint = state.data_key.pop("fingerprint")
    assert len(fingerprint) == 8
    assert state.data_key == {"rows": 37, "batch_size": 8, "shuffle": True}
    assert state.stop_reason == "for now"
    found = trainer_of(network(), accumulate=3).state
    found.check_state_dict(state.state_dict(), ["accuracy"])
    found.load_state_dict(state.state_dict())
    arrays, rest = parts(found.state_dict())
    wanted, wanted_rest = parts(state.state_dict())
    assert_same_bits(arrays, wanted)
    assert rest == wanted_rest
    assert len(wanted) == 6 and all(array.any() for array in wanted.values())


def test_a_trainer_shows_it():
    trainer = in_the_middle()
    assert (trainer.epoch, trainer.step) == (1, 3)
    assert trainer.history is trainer.state.history and len(trainer.history) == 1
    with pytest.raises(AttributeError):
        trainer.epoch = 2


def test_an_epoch_over_other_data_begins_anew(backend):
    """What was summed up and accumulated of it does not count."""
    trainer, fresh = in_the_middle(), trainer_of(network(), accumulate=3, metrics=["accuracy"])
    fresh.model.load_state_dict(trainer.model.state_dict())
    fresh.optimizer.load_state_dict(trainer.optimizer.state_dict())
    x, y = classification(30, seed=1)
    for each in (trainer, fresh):
        each.fit(x, y, epochs=1, batch_size=8, shuffle=False, progress=False)
    assert_same_bits(weights(trainer.model), weights(fresh.model))
    assert trainer.history["loss"][-1] == fresh.history["loss"][-1]


def test_every_batch_that_updates_accumulates_nothing():
    x, y = classification(37)
    trainer = trainer_of(network())
    trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
    assert trainer.state.accumulated.buffers == []


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"epoch": -1}, ValueError, "epoch is at least 0"),
        ({"step": 1.5}, TypeError, "step is a whole number"),
        ({"position": 6}, ValueError, "position is 6 of 5 batches"),
        ({"data": {"rows": 0, "batch_size": 8}}, ValueError, "rows of the data is at least 1"),
        ({"loss": None}, TypeError, "loss is a number"),
        ({"history": [{"loss": "low"}]}, TypeError, "history is a list of records"),
        ({"totals.1": np.zeros(1)}, ValueError, "there are 2 sums for 1 metrics"),
    ],
)
def test_what_can_not_be_true_is_refused(change, error, text):
    state = in_the_middle().state
    with pytest.raises(error, match=text):
        state.check_state_dict({**state.state_dict(), **change}, ["accuracy"])


def test_one_step_is_kept_for_each_signature(monkeypatch):
    """Rows, shapes and what is trained make another one; dtypes that are cast do not."""
    captured = []

    def counted(*arguments):
        captured.append(1)
        return cr.capture(*arguments)

    monkeypatch.setattr("chainrule.train.training_step.capture", counted)
    x, y = classification(16)
    trainer = trainer_of(network(), metrics=[Scripted([0.0] * 20)])

    def captures(x, y, size=8):
        captured.clear()
        trainer.fit(x, y, epochs=1, batch_size=size, progress=False)
        return len(captured)

    assert captures(x, y) == 1
    assert captures(x, y) == captures(x.astype("float32"), y.astype("uint8")) == 0
    assert captures(x, y, 4) == 1
    assert captures(x, y) == 0
    trainer.model[0].requires_grad_(False)
    assert captures(x, y) == 1
    trainer.model[0].requires_grad_(True)
    assert captures(x, y) == 0


def test_the_default_backend():
    assert cr.get_default_backend() == "native"
    with pytest.raises(ValueError, match="backend is 'native' or 'reference', got 'fast'"):
        cr.set_default_backend("fast")
    x, y = classification(16)
    cr.set_default_backend("reference")
    try:
        trainer = trainer_of(network())
        trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
        with pytest.raises(RuntimeError, match="backend='native'"):
            trainer.describe_plan()
        with pytest.raises(ValueError, match="profile measures the native plan"):
            trainer.fit(x, y, epochs=1, batch_size=8, profile=True, progress=False)
        native = trainer_of(network(), backend="native")
        native.fit(x, y, epochs=1, batch_size=8, profile=True, progress=False)
        assert "gemm" in native.describe_plan()
    finally:
        cr.set_default_backend("native")
