"""A program may end while a thread of it still trains or predicts."""

import subprocess
import sys

import pytest

SCRIPT = """
import atexit, sys, threading, time
import numpy as np
import chainrule as cr
from chainrule import nn, optim

width, what = int(sys.argv[1]), sys.argv[2]
x = np.ones((640, width), "float32")

def made():
    model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
    return cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()))

def at_work(trainer=made()):
    while True:
        if what == "fit":
            trainer.fit(x, x[:, :2], epochs=10**6, batch_size=64, progress=False)
        else:
            trainer.predict(x)

def last():
    made().predict(x)  # the thread that ends Python still has its results
    print("ended", flush=True)

atexit.register(last)
threading.Thread(target=at_work, daemon=True).start()
time.sleep(0.3)
"""


@pytest.mark.parametrize("what", ["fit", "predict"])
@pytest.mark.parametrize("width", [4, 150])
def test_a_daemon_thread_at_work_does_not_abort_the_program(width, what):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(width), what],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
