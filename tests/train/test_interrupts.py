"""Ctrl-C at every point of what belongs together: it is done whole, or not at all."""

import itertools
import os
import signal
import threading
from contextlib import _GeneratorContextManager

import numpy as np
import pytest
from training_cases import (
    Average,
    assert_same_bits,
    classification,
    network,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute.state_block import StateBlock
from chainrule.graph.state import State
from chainrule.system.interrupts import Interrupts, interrupts_held
from chainrule.train import fit_run
from chainrule.train.backends import NativeBackend
from chainrule.train.state import Totals

X, Y = classification(20)


@pytest.fixture(autouse=True)
def the_handler_is_given_back():
    before = signal.getsignal(signal.SIGINT)
    assert before is signal.default_int_handler
    yield
    after = signal.signal(signal.SIGINT, before)
    assert after is before


class Interruption:
    """A Ctrl-C arrives at the point number `at`: where a call of what is watched begins or ends.

    With `again` one more at each so many points after that.

    CPython looks for signals where calls begin and end, so those are the points where one can act.
    """

    watched = (
        (State, ("assign", "numpy", "replace")),
        (signal, ("signal", "getsignal")),
        (threading, ("current_thread",)),
        (_GeneratorContextManager, ("__enter__", "__exit__")),
        (Interrupts, ("__init__", "act_on_waiting")),
        (NativeBackend, ("train", "evaluate", "release")),
        (StateBlock, ("copy_assigned", "show_results")),
        (Totals, ("replace",)),
        (type(cr.no_grad()), ("__enter__", "__exit__")),
    )

    def __init__(self, at, again=0):
        self.left = at
        self.again = again
        self.place = None

    def __enter__(self):
        self.patches = pytest.MonkeyPatch()
        for owner, names in self.watched:
            for name in names:
                self.patches.setattr(owner, name, self.watching(getattr(owner, name)))
        return self

    def __exit__(self, *error):
        self.patches.undo()

    def watching(self, function):
        def call(*arguments, **options):
            self.point(function)
            try:
                return function(*arguments, **options)
            finally:
                self.point(function)

        return call

    def point(self, function):
        self.left -= 1
        if self.left == 0:
            self.place = self.place or function.__qualname__
            self.left = self.again
            signal.raise_signal(signal.SIGINT)


def at_every_point(once, again=0):
    """Call `once(interruption)` for an interruption at each point, until none comes.

    Returns the names of the functions where they came.
    """
    places = set()
    for at in itertools.count(1):
        interruption = Interruption(at, again)
        once(interruption)
        if interruption.place is None:
            return places
        places.add(interruption.place)


def averaging_trainer(made=optim.EMA, **options):
    model = network()
    return trainer_of(model, ema=made(model.parameters(), 0.5), **options)


@pytest.mark.parametrize(("made", "again"), [(optim.EMA, 0), (optim.EMA, 1), (Average, 2)])
def test_an_evaluation_with_averages_leaves_the_trained_weights(made, again):
    trainer = averaging_trainer(made)
    trainer.fit(X, Y, epochs=1, batch_size=8, progress=False)
    trained = weights(trainer.model)
    wanted = trainer.evaluate(X, Y)
    with trainer.ema.applied():
        averaged = weights(trainer.model)
    assert any((averaged[name] != trained[name]).any() for name in trained)

    def once(interruption):
        caught = None  # in a shell, too, the frames of the last error live on
        try:
            with interruption:
                trainer.evaluate(X, Y)
        except KeyboardInterrupt as error:
            caught = error
        assert (caught is None) == (interruption.place is None)
        assert_same_bits(weights(trainer.model), trained)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    places = at_every_point(once, again)
    if made is Average:  # those of an EMA are not put into the model
        assert {"State.assign", "signal", "_GeneratorContextManager.__exit__"} <= places
    assert trainer.evaluate(X, Y) == wanted
    trainer.fit(X, Y, epochs=1, batch_size=8, progress=False)
    whole = averaging_trainer(made)
    whole.fit(X, Y, epochs=2, batch_size=8, progress=False)
    assert_same_bits(weights(trainer.model), weights(whole.model))


def test_a_second_interrupt_in_the_validation_of_a_fit_leaves_the_trained_weights():
    whole = averaging_trainer()
    whole.fit(X, Y, epochs=2, batch_size=8, progress=False)
    wanted = weights(whole.model)

    def once(interruption):
        trainer = averaging_trainer()
        trainer.fit(X, Y, epochs=1, batch_size=8, progress=False)
        evaluate = fit_run.evaluate_data

        def interrupted_evaluation(*arguments):
            signal.raise_signal(signal.SIGINT)  # the first asks to stop, the second acts at once
            with interruption:
                return evaluate(*arguments)

        options = {"batch_size": 8, "validation_data": (X, Y), "progress": False}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fit_run, "evaluate_data", interrupted_evaluation)
            try:
                trainer.fit(X, Y, epochs=1, **options)
                assert interruption.place is None
            except KeyboardInterrupt:
                pass
        assert_same_bits(weights(trainer.model), wanted)
        if trainer.epoch == 1:  # all batches are done, the epoch is not ended
            assert trainer.state.position == 3
            trainer.fit(X, Y, epochs=1, **options)
        assert trainer.epoch == 2 and trainer.state.position == 0 and trainer.step == 6
        assert len(trainer.history) == 2 and "validation_loss" in trainer.history.epochs[1]
        assert_same_bits(weights(trainer.model), wanted)

    at_every_point(once)


def test_an_interrupt_anywhere_in_a_fit_loses_and_doubles_nothing():
    """By a handler of the program's own, which raises at once."""

    def raises(number, frame):
        raise KeyboardInterrupt

    def fit(trainer, epochs):
        trainer.fit(
            X, Y, epochs=epochs, batch_size=8, validation_data=(X[:5], Y[:5]), progress=False
        )

    def trainer_to_fit():
        with cr.use_generator(cr.Generator(3)):
            model = nn.Linear(4, 3, dtype="float64")
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        return trainer_of(
            model,
            optimizer=optimizer,
            schedule=optim.StepLR(optimizer, 1, 0.5),
            ema=optim.EMA(model.parameters(), 0.5),
            accumulate=2,
        )

    def outcome(trainer):
        return {
            **weights(trainer.model),
            **{f"average {k}": np.array(v) for k, v in trainer.ema.state_dict().items()},
            "loss": trainer.history["loss"],
            "validation": trainer.history["validation_loss"],
            "lr": trainer.history["lr"],
            "counts": [trainer.epoch, trainer.step, trainer.state.position],
        }

    whole = trainer_to_fit()
    fit(whole, 2)
    modes = [module.training for module in whole.model.modules()]

    def once(interruption):
        trainer = trainer_to_fit()
        before = signal.signal(signal.SIGINT, raises)
        try:
            with interruption:
                fit(trainer, 1)
        except KeyboardInterrupt:
            pass
        finally:
            assert signal.signal(signal.SIGINT, before) is raises
        assert [module.training for module in trainer.model.modules()] == modes
        trainer.evaluate(X, Y)
        fit(trainer, 2 - trainer.epoch)
        assert_same_bits(outcome(trainer), outcome(whole))

    names = {"NativeBackend.train", "StateBlock.show_results", "Totals.replace"}
    assert names <= at_every_point(once)


def test_best_weights_are_given_back_whole_or_not_at_all():
    trainer = fitted()
    last = weights(trainer.model)
    stopping = trainer.callbacks[0]
    kept = {name: array * 2 for name, array in stopping._kept.items()}
    best = {name: array * 2 for name, array in last.items()}
    given = []

    def once(interruption):
        stopping._kept = stopping._kept and {n: a / 2 for n, a in kept.items()}
        stopping.on_train_end(trainer)
        stopping._kept = kept
        try:
            with interruption:
                stopping.on_train_end(trainer)
        except KeyboardInterrupt:
            pass
        given.append(any((weights(trainer.model)[n] != last[n]).any() for n in last))
        assert_same_bits(weights(trainer.model), best if given[-1] else last)

    at_every_point(once)
    assert set(given) == {False, True}


def test_a_handler_that_was_installed_within_stays():
    def own(number, frame):
        pass

    with interrupts_held():
        signal.signal(signal.SIGINT, own)
    assert signal.signal(signal.SIGINT, signal.default_int_handler) is own


def test_where_interrupts_are_ignored_they_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_held() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            with interrupts.let_through():
                signal.raise_signal(signal.SIGINT)
    finally:
        assert signal.signal(signal.SIGINT, before) is signal.SIG_IGN


# What else is whole or not done


def fitted(**options):
    trainer = averaging_trainer(callbacks=[cr.EarlyStopping("loss", patience=9)], **options)
    trainer.fit(X, Y, epochs=2, batch_size=8, progress=False)
    return trainer


def everything(trainer):
    stopping = trainer.callbacks[0].state_dict()
    return {
        **weights(trainer.model),
        **{f"average {k}": np.array(v) for k, v in trainer.ema.state_dict().items()},
        **{f"kept {k}": np.array(v) for k, v in stopping.items()},
        "generator": trainer.graphs.generator.state.numpy().copy(),
        "counts": np.array([trainer.epoch, trainer.step, len(trainer.history)]),
    }


def test_a_file_is_taken_up_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model.safetensors"
    saved = fitted(seed=0)
    saved.fit(X, Y, epochs=1, batch_size=8, progress=False)
    saved.save(path)
    trainer = fitted()
    before, after = everything(trainer), everything(saved)
    taken_up = []

    def once(interruption):
        trainer = fitted()
        try:
            with interruption:
                trainer.load(path)
        except KeyboardInterrupt:
            assert interruption.place is not None
        taken_up.append(trainer.epoch == 3)
        assert_same_bits(everything(trainer), after if taken_up[-1] else before)

    at_every_point(once)
    assert set(taken_up) == {False, True}


@pytest.mark.parametrize("is_there", [False, True])
def test_an_interrupted_saving_leaves_no_half_a_file(tmp_path, is_there):
    path = tmp_path / "model.safetensors"
    trainer = fitted()
    trainer.save(path)

    def once(interruption):
        if not is_there:
            path.unlink()
        interruption.watched = (
            *interruption.watched,
            (os, ("open", "fsync", "replace", "chmod")),
        )
        try:
            with interruption:
                trainer.save(path)
        except KeyboardInterrupt:
            assert interruption.place is not None
        if not path.exists():
            assert interruption.place is not None and not is_there
            path.touch()
        else:
            fitted().load(path)
        assert os.listdir(tmp_path) == [path.name]

    places = at_every_point(once)
    assert {"open", "replace"} | ({"chmod"} if is_there else set()) <= places
