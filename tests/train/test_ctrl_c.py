"""Ctrl-C in a training: it ends after the batch under way, and goes on later."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from training_cases import (
    assert_same_bits,
    classification,
    fit,
    network,
    noisy_network,
    trainer_of,
    weights,
)

import chainrule as cr

pytestmark = pytest.mark.usefixtures("backend")


class Interrupt(cr.Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer, loss):
        if trainer.step == self.step:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("step", [1, 4, 5])
def test_an_interrupt_ends_the_batch_and_leaves_all_in_order(step, capsys):
    x, y = classification(30)
    handler = signal.getsignal(signal.SIGINT)
    trainer = trainer_of(noisy_network(), callbacks=[Interrupt(step)])
    history = fit(trainer, x, y, epochs=3, progress=True)
    assert history.stop_reason == trainer.history.stop_reason == "interrupted"
    assert trainer.step == step
    assert "interrupted" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is handler
    trainer.predict(x)
    fit(trainer, x, y, epochs=3 - trainer.epoch)
    assert history.stop_reason is None
    whole = trainer_of(noisy_network())
    fit(whole, x, y, epochs=3)
    assert_same_bits(weights(trainer.model), weights(whole.model))


def test_an_interrupt_keeps_a_checkpoint_from_which_training_goes_on(tmp_path):
    path = tmp_path / "model.safetensors"
    x, y = classification(30)
    first = trainer_of(noisy_network(), callbacks=[Interrupt(2)])
    fit(first, x, y, epochs=3, checkpoint=path)
    second = trainer_of(noisy_network(), callbacks=[Interrupt(None)])
    fit(second, x, y, epochs=3, checkpoint=path, resume=True)
    whole = trainer_of(noisy_network())
    fit(whole, x, y, epochs=3)
    assert_same_bits(weights(second.model), weights(whole.model))


def test_a_second_interrupt_acts_at_once():
    x, y = classification(30)

    class Twice(cr.Callback):
        def on_step_end(self, trainer, loss):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    trainer = trainer_of(network(), callbacks=[Twice()])
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, x, y)
    assert signal.getsignal(signal.SIGINT) is handler
    trainer.predict(x)


def test_a_program_with_its_own_handler_keeps_it():
    x, y = classification(30)
    calls = []
    before = signal.signal(signal.SIGINT, lambda *_: calls.append(1))
    try:
        trainer = trainer_of(network(), callbacks=[Interrupt(2)])
        history = fit(trainer, x, y)
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls == [1] and history.stop_reason is None and trainer.epoch == 2


def test_training_in_another_thread():
    x, y = classification(30)
    trainer = trainer_of(network())
    thread = threading.Thread(target=fit, args=(trainer, x, y))
    thread.start()
    thread.join()
    assert trainer.epoch == 2


@pytest.mark.skipif(os.name != "posix", reason="signals to other programs are POSIX's")
def test_ctrl_c_in_a_program():
    script = """
import numpy as np
import chainrule as cr
from chainrule import nn, optim

class Say(cr.Callback):
    def on_step_end(self, trainer, loss):
        if trainer.step == 1:
            print("go", flush=True)

model = nn.Linear(8, 2)
trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), callbacks=[Say()])
x = np.ones((64, 8), "float32")
history = trainer.fit(x, x[:, :2], epochs=10**7, batch_size=8, progress=False)
print(history.stop_reason, np.isfinite(trainer.predict(x)).all())
more = trainer.fit(x, x[:, :2], epochs=1, batch_size=8, progress=False)
print(more.stop_reason)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "go\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "interrupted True\nNone\n", "")
