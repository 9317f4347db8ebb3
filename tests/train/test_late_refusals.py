"""What would make a training end without its file is found before it begins."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from training_cases import assert_same_bits, classification, everything, network, trainer_of

import chainrule as cr
from chainrule import nn, tabular
from chainrule.data import datasets, read_npz, read_table, read_text
from chainrule.text import WordVectors


class State(cr.Callback):
    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return self.state


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("missing/model", FileNotFoundError, "the folder .*missing is missing"),
        (".", IsADirectoryError, "it is a folder"),
        ("data.npy/model", OSError, "can't save"),
        ("n" * 300, OSError, "too long"),
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_checkpoint_that_can_not_be_written(tmp_path, name, error, words, resume):
    (tmp_path / "data.npy").touch()
    trainer = trainer_of(network())
    before = everything(trainer)
    x, y = classification(20)
    with pytest.raises(error, match=words):
        trainer.fit(x, y, checkpoint=tmp_path / name, resume=resume, batch_size=8, progress=False)
    assert_same_bits(everything(trainer), before)
    assert os.listdir(tmp_path) == ["data.npy"]


def test_a_disk_without_room_for_the_checkpoint(tmp_path):
    """A limit on the size of files stands for the disk."""
    pytest.importorskip("resource")
    script = """
import resource, sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim


resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
model = nn.Linear(50, 20)
trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()))
x = np.ones((8, 50), "float32")
try:
    trainer.fit(x, x[:, :20], batch_size=8, checkpoint=sys.argv[1], progress=False)
except OSError as error:
    print(trainer.epoch, error)
"""
    for limit, words in ((9000, "0 .*can't save.*File too large"), (10**6, "^$")):
        done = subprocess.run(
            [sys.executable, "-c", script, tmp_path / "file", str(limit)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert re.search(words, done.stdout.strip()), done.stdout
        assert os.listdir(tmp_path) == ([] if limit < 10**6 else ["file"])


def test_metadata_that_json_can_not_hold(tmp_path):
    circle = {}
    circle["self"] = circle
    deep = []
    for _ in range(10**5):
        deep = [deep]
    for metadata in ({"names": {1, 2}}, {"x": np.zeros(2)}, {(1, 2): 3}, circle, {"deep": deep}):
        with pytest.raises(TypeError, match=r"can't keep|keys must be"):
            trainer_of(network(), metadata=metadata)
        with pytest.raises(TypeError, match=r"can't keep|keys must be"):
            cr.save(network(), tmp_path / "model", metadata=metadata)
    trainer = trainer_of(network())
    trainer.metadata["later"] = {1, 2}
    x, y = classification(20)
    with pytest.raises(TypeError, match="can't keep"):
        trainer.fit(x, y, checkpoint=tmp_path / "model", batch_size=8, progress=False)
    assert trainer.epoch == 0 and not os.listdir(tmp_path)


def test_the_state_of_a_callback_that_json_can_not_hold(tmp_path):
    trainer = trainer_of(network(), callbacks=[State({"seen": {1, 2}})])
    x, y = classification(20)
    with pytest.raises(TypeError, match="can't keep"):
        trainer.fit(x, y, checkpoint=tmp_path / "model", batch_size=8, progress=False)
    assert trainer.epoch == 0 and not os.listdir(tmp_path)


@pytest.mark.parametrize("link", [os.link, os.symlink, None])
def test_a_checkpoint_in_the_place_of_the_data(tmp_path, link):
    x, y = classification(20)
    np.save(tmp_path / "x.npy", x)
    path = tmp_path / "x.npy"
    if link is not None:
        path = tmp_path / "other name"
        link(tmp_path / "x.npy", path)
    trainer = trainer_of(network())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="would overwrite the data"):
        trainer.fit(mapped, y, checkpoint=path, batch_size=8, progress=False)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), x)


CUT = """
import os, sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim


path, mode, shuffle, what = sys.argv[1], sys.argv[2], sys.argv[3] == "shuffle", sys.argv[4]
x = np.load(path, mmap_mode=mode)
y = np.zeros((len(x), 1), "float32")

class Cut(cr.Callback):
    def on_epoch_begin(self, trainer):
        if trainer.epoch == 1:
            os.truncate(path, 5000)

model = nn.Linear(x.shape[1], 1)
trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e-3), callbacks=[Cut()])
try:
    if what == "fit":
        trainer.fit(x, y, epochs=3, batch_size=64, shuffle=shuffle, progress=False)
    else:
        trainer.predict(x)
        os.truncate(path, 5000)
        trainer.predict(x)
except cr.FileError as error:
    print(trainer.epoch, error)
"""


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize(
    ("shuffle", "what"), [("shuffle", "fit"), ("no", "fit"), ("no", "predict")]
)
def test_a_mapped_file_that_is_cut_off_ends_in_an_error(tmp_path, mode, shuffle, what):
    np.save(tmp_path / "x.npy", np.ones((4000, 20), "float32"))
    done = subprocess.run(
        [sys.executable, "-c", CUT, tmp_path / "x.npy", mode, shuffle, what],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    epoch = 1 if what == "fit" else 0
    assert done.stdout.startswith(f"{epoch} {tmp_path / 'x.npy'} was cut off while it was read")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reads = [cr.load, cr.read_metadata, read_table, read_npz, datasets.read_idx, read_text]
    reads += [WordVectors.load, WordVectors.load_word2vec_format, tabular.TabularModel.load]
    for read in [*reads, trainer_of(network()).load]:
        with pytest.raises(cr.FileError, match="is a pipe or a device"):
            read(tmp_path / "pipe")
        with pytest.raises(cr.FileError, match="is a folder"):
            read(tmp_path)
        with pytest.raises(cr.FileError, match="is a pipe or a device"):
            read("/dev/zero")


def test_escape_codes_do_not_reach_the_terminal(tmp_path):
    path = tmp_path / "file"
    codes = "\x1b[31m\x1b]0;title\x07\u202e"
    path.write_text(f"a,b\n1,{codes}\n")
    np.savez(tmp_path / "data.npz", **{codes: np.zeros(3)})
    for read, name in ((read_table, "file"), (read_npz, "data.npz")):
        with pytest.raises(cr.FileError) as caught:
            read(tmp_path / name)
        assert str(caught.value).isprintable() and "\\x1b[31m" in str(caught.value)
    cr.save({codes: np.zeros(3)}, tmp_path / "state")
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(1, 1).load_state_dict(cr.load(tmp_path / "state"))
    assert "\x1b" not in str(caught.value) and "\\x1b[31m" in str(caught.value)
