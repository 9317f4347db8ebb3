"""What training shows: plain lines, a bar on a terminal, or nothing."""

import os
import re
import subprocess
import sys

import pytest
from training_cases import classification, network, trainer_of

SCRIPT = """
import numpy as np
import chainrule as cr
from chainrule import nn, optim

model = nn.Linear(3, 2)
trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
x = np.zeros((64, 3), "float32")
trainer.fit(x, np.zeros(64, int), epochs=3, batch_size=4, progress=PROGRESS)
print("done")
"""


def fit(**options):
    x, y = classification(30)
    trainer = trainer_of(network(), metrics=["accuracy"])
    trainer.fit(x, y, epochs=3, batch_size=8, validation_data=(x, y), **options)
    return trainer


def test_a_plain_line_for_each_epoch(capsys):
    trainer = fit()
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert len(lines) == 3
    for number, (line, record) in enumerate(zip(lines, trainer.history, strict=True), 1):
        assert re.fullmatch(
            rf"epoch {number}/3  loss {record['loss']:.4f}  accuracy {record['accuracy']:.4f}  "
            rf"validation_loss {record['validation_loss']:.4f}  "
            rf"validation_accuracy {record['validation_accuracy']:.4f}  \d+\.\d s",
            line,
        )
    assert "\x1b" not in out


def test_small_and_large_numbers_keep_their_digits(capsys):
    x, y = classification(30)
    for scale in (1e-7, 1e7):
        trainer = trainer_of(network(), lambda o, t, s=scale: (o * o).mean() * s)
        trainer.optimizer.param_groups[0]["lr"] = 0.0
        trainer.fit(x, y, epochs=1, batch_size=30)
        loss = trainer.history["loss"][0]
        assert not 1e-3 <= loss < 1e4
        assert f"loss {loss:.3g} " in capsys.readouterr().out


def test_silence(capsys):
    fit(progress=False)
    assert capsys.readouterr() == ("", "")


def test_the_last_epoch_is_counted_over_all_fits(capsys):
    x, y = classification(30)
    trainer = trainer_of(network())
    trainer.fit(x, y, epochs=2, batch_size=8)
    trainer.fit(x, y, epochs=3, batch_size=8)
    starts = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert starts == ["epoch 1/2", "epoch 2/2", "epoch 3/5", "epoch 4/5", "epoch 5/5"]


def test_a_program_without_a_console(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    fit()


def test_an_output_that_can_only_write(monkeypatch):
    """As programs have it that write their output into a log, too."""

    class Log:
        def __init__(self):
            self.text = ""

        def write(self, text):
            self.text += text

    log = Log()
    monkeypatch.setattr(sys, "stdout", log)
    fit()
    assert [line.split("  ")[0] for line in log.text.splitlines()] == [
        "epoch 1/3", "epoch 2/3", "epoch 3/3"
    ]  # fmt: skip


def on_a_terminal(script, columns=120, **more):
    """What a script writes to a terminal."""
    pty = pytest.importorskip("pty")
    outer, inner = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "40"}
    environment.pop("NO_COLOR", None)
    environment |= more
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=inner, stderr=inner, env=environment
    ) as process:
        os.close(inner)
        parts = []
        while True:
            try:
                part = os.read(outer, 65536)
            except OSError:  # Linux's way to say that the other end is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(outer)
    assert process.returncode == 0
    return b"".join(parts).decode()


def test_a_bar_on_a_terminal():
    text = on_a_terminal(SCRIPT.replace("PROGRESS", "True"))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "\x1b[" in text
    assert "━" in plain and "16/16" in plain and "epoch 3/3" in plain
    for number in (1, 2, 3):  # and a line that stays for each epoch
        assert re.search(rf"epoch {number}/3  loss 0\.\d{{4}}  \d+\.\d s", plain)
    assert plain.rstrip().endswith("done")
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is shown again


@pytest.mark.parametrize(("length", "shown"), [(None, "/?"), (3, "/3")])
def test_a_bar_for_batches_without_a_known_length(length, shown):
    """At first it shows what the iterable says of itself, after one pass what there were."""
    script = f"""
import time
import numpy as np
import chainrule as cr
from chainrule import nn, optim

class Batches:
    def __iter__(self):
        for _ in range(5):
            time.sleep(0.03)
            yield np.zeros((4, 3), "float32"), np.zeros(4, int)
if {length} is not None:
    Batches.__len__ = lambda self: {length}

model = nn.Linear(3, 2)
trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
trainer.fit(Batches(), epochs=3)
"""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_a_terminal(script))
    assert shown in plain and "5/5" in plain
    assert re.search(r"epoch 3/3  loss 0\.\d{4}", plain)


def test_silence_on_a_terminal():
    assert on_a_terminal(SCRIPT.replace("PROGRESS", "False")).split() == ["done"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_lines_on_a_terminal_without_the_signs_of_a_bar(encoding):
    text = on_a_terminal(SCRIPT.replace("PROGRESS", "True"), 30, PYTHONIOENCODING=encoding)
    assert "\x1b" not in text
    assert [line.split("  ")[0] for line in text.split("\r\n")] == [
        "epoch 1/3", "epoch 2/3", "epoch 3/3", "done", ""
    ]  # fmt: skip
