"""History: what it prints, its columns, and its way through dicts and CSV files."""

import csv
import errno
import os
import re

import pytest
from training_cases import classification, network, trainer_of

import chainrule as cr
from chainrule.train.backends import native


class Spread(cr.Metric):
    """The variance of the largest score of each row, from two sums."""

    name = "spread"

    def sums(self, output, target):
        largest = output.max(axis=1).astype("float64")
        return cr.stack([largest.sum(), (largest * largest).sum()])

    def result(self, sums, rows):
        return float(sums[1] / rows - (sums[0] / rows) ** 2)


@pytest.fixture
def history():
    return cr.History(
        [
            {"epoch": 1, "loss": 2.0, "accuracy": 0.25, "lr": 0.1, "seconds": 1.5},
            {"epoch": 2, "loss": 0.123456, "accuracy": 0.5, "validation_loss": 3.0, "lr": 1e-5},
        ]
    )


def test_it_prints_a_table(history):
    # Columns in the order in which they first came; four digits; blank where an epoch has none.
    assert str(history) == (
        "epoch    loss  accuracy     lr  seconds  validation_loss\n"
        "    1       2      0.25    0.1      1.5\n"
        "    2  0.1235       0.5  1e-05                         3"
    )
    assert repr(history) == "<History of 2 epochs>"
    assert str(cr.History()) == ""


def test_epochs_are_printed_in_full():
    assert str(cr.History([{"epoch": 123456, "loss": 123456.0}])).split() == [
        "epoch", "loss", "123456", "1.235e+05",
    ]  # fmt: skip


def test_columns(history):
    assert history.names == ["epoch", "loss", "accuracy", "lr", "seconds", "validation_loss"]
    assert history["loss"] == [2.0, 0.123456]
    assert history["validation_loss"][1] == 3.0
    assert history["validation_loss"][0] != history["validation_loss"][0]  # NaN: there was none
    assert len(history) == 2
    assert [record["epoch"] for record in history] == [1, 2]
    with pytest.raises(KeyError, match="no column 'f1'; there are epoch, loss"):
        history["f1"]
    with pytest.raises(KeyError, match="none yet"):
        cr.History()["loss"]


def test_a_dict_of_columns(history):
    columns = history.to_dict()
    assert list(columns) == history.names
    assert all(columns[name] == history[name] for name in ("epoch", "loss", "accuracy"))


def test_a_csv_file_holds_every_digit(history, tmp_path):
    history.append({"epoch": 3, "loss": 0.1 + 0.2})
    path = tmp_path / "history.csv"
    assert history.to_csv(path) is None
    assert path.read_bytes().decode() == history.to_csv()
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    read = [{name: float(text) for name, text in row.items() if text} for row in rows]
    assert read == history.epochs
    assert cr.History().to_csv() == "\n" or cr.History().to_csv() == ""


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_the_old_file(history, tmp_path, monkeypatch, call, error):
    path = tmp_path / "history.csv"
    history.to_csv(path)
    before = path.read_bytes()
    history.append({"epoch": 3, "loss": 1.0})

    def fail(*arguments, **options):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(type(error), match=r"can't save .*history\.csv: No space left|^$"):
            history.to_csv(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["history.csv"]
    history.to_csv(path)
    assert path.read_bytes() != before


def test_a_file_that_can_not_be_written_is_said(history, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"can't save .*: the folder .*missing is missing"):
        history.to_csv(tmp_path / "missing" / "history.csv")
    with pytest.raises(OSError, match=f"can't save {re.escape(str(tmp_path))}: .*nothing was chan"):
        history.to_csv(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions, links and pipes of POSIX")
def test_a_new_file_is_where_and_what_the_old_one_was(history, tmp_path):
    path, link, pipe = tmp_path / "history.csv", tmp_path / "link", tmp_path / "pipe"
    path.touch(0o600)
    link.symlink_to("history.csv")
    history.to_csv(link)
    assert link.is_symlink()
    assert path.read_text() == history.to_csv()
    assert path.stat().st_mode & 0o777 == 0o600
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        history.to_csv(pipe)
        assert os.read(reader, 10_000).decode() == history.to_csv()
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["history.csv", "link", "pipe"]


def test_appending_keeps_a_copy():
    record = {"epoch": 1, "loss": 1.0}
    history = cr.History([record])
    history.append(record)
    record["loss"] = 5.0
    assert history.epochs[1] == {"epoch": 1, "loss": 1.0}


def test_what_a_training_leaves_in_it():
    x, y = classification(30)
    trainer = trainer_of(network(), metrics=["accuracy"])
    first = trainer.fit(
        x, y, epochs=2, batch_size=8, validation_data=(x[:9], y[:9]), progress=False
    )
    assert first.names == [
        "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "lr", "seconds",
    ]  # fmt: skip
    again = trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
    assert again is trainer.history
    assert again["epoch"] == [1, 2, 3]
    assert again["lr"] == [0.1] * 3
    assert all(seconds > 0 for seconds in again["seconds"])
    assert again.stop_reason is None
    # The last epoch's validation is that of the model as it is then.
    trainer.fit(x, y, epochs=1, batch_size=8, validation_data=(x[:9], y[:9]), progress=False)
    found = trainer.evaluate(x[:9], y[:9])
    assert found == {
        "loss": trainer.history["validation_loss"][-1],
        "accuracy": trainer.history["validation_accuracy"][-1],
    }


@pytest.mark.parametrize("accumulate", [1, 3])
def test_sums_have_the_same_bits_however_batches_come_together(monkeypatch, accumulate):
    """One by one, up to the next file, or as many as fit between two looks at the clock."""

    class Watch(cr.Callback):
        def on_step_end(self, trainer, loss):
            pass

    x, y = classification(2000)
    found = []
    for seconds, callbacks in ((60.0, []), (60.0, [Watch()]), (0.0, [])):
        monkeypatch.setattr(native, "MOST_SECONDS", seconds)
        model = network()
        trainer = trainer_of(
            model,
            metrics=[Spread(), "accuracy"],
            penalties=[lambda w=model[0].weight: 0.01 * (w * w).sum()],
            accumulate=accumulate,
            callbacks=callbacks,
        )
        history = trainer.fit(x, y, epochs=2, batch_size=7, validation_data=(x, y), progress=False)
        assert trainer.step == 2 * -(-286 // accumulate)
        found.append([{**record, "seconds": 0} for record in history])
    assert found[0] == found[1] == found[2]
