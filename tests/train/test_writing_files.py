"""Files are whole or not there: full disks, folders that refuse, programs that die."""

import errno
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from training_cases import (
    trained,
)

from chainrule.train import model_file


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_the_old_file(path, monkeypatch, call, error):
    trained(1).save(path)
    data = path.read_bytes()

    def fail(*arguments, **options):
        raise error

    trainer = trained(2)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(type(error), match=r"can't save.*No space left|^$") as caught:
            trainer.save(path)
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == data
    assert os.listdir(path.parent) == [path.name]


def test_a_disk_that_is_full_while_training_leaves_the_last_checkpoint(path):
    """The limit on the size of files stands for the disk; the first checkpoint fits."""
    script = """
import os, resource, sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim

path = sys.argv[1]

class Fill(cr.Callback):
    def on_epoch_end(self, trainer, record):
        if trainer.epoch == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

model = nn.Linear(50, 20)
trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), callbacks=[Fill()])
x = np.ones((8, 50), "float32")
try:
    trainer.fit(x, x[:, :20], epochs=9, batch_size=8, checkpoint=path, progress=False)
except OSError as error:
    print(error)
    print(trainer.epoch, os.listdir(os.path.dirname(path)))
    trainer.predict(x)
"""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    )
    assert "can't save" in done.stdout and "nothing was changed there" in done.stdout
    assert done.stdout.endswith(f"3 ['{path.name}']\n")
    tensors, description = model_file.read(path)
    assert description["training"]["epoch"] == 2
    assert tensors["model.weight"].shape == (20, 50)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_can_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="can't save"):
            trained(1).save(tmp_path / "model.safetensors")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_refuses_new_files(path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", "/secret/.model.x8")

    trainer = trained(1)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match=r"can't save .*model\.safetensors: Permission"):
        trainer.save(path)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_program_that_is_killed_leaves_a_whole_file(path):
    script = """
import sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim

model = nn.Linear(200, 100)
trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()))
x = np.ones((64, 200), "float32")
print("go", flush=True)
trainer.fit(x, x[:, :100], epochs=10**6, batch_size=8, checkpoint=sys.argv[1],
            checkpoint_steps=1, resume=True, progress=False)
"""
    rng = random.Random(0)
    steps = []
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout.readline() == "go\n"
            last = steps[-1] if steps else 0
            while process.poll() is None:  # until it has saved something more
                if path.exists() and model_file.read(path)[1]["training"]["step"] > last:
                    break
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        tensors, description = model_file.read(path)
        assert tensors["model.weight"].shape == (100, 200)
        steps.append(description["training"]["step"])
    assert steps == sorted(set(steps))  # each went on where the last was
