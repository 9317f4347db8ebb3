"""Python's collector of garbage does not run while a graph is captured and planned."""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.system.collector import collector_held


@pytest.fixture(autouse=True, params=[True, False], ids=["enabled", "disabled"])
def setting(request):
    """The user's setting, which is to be as before."""
    if not request.param:
        gc.disable()
    yield request.param
    gc.enable()


class FoundError(Exception):
    """Raised within a model, with whether the collector is enabled there."""


class Looking(nn.Module):
    def forward(self, x):
        raise FoundError(gc.isenabled())


def compiled(model):
    cr.compile(lambda x: model(x).sum())(np.ones((4, 3), "f"))


def captured(model):
    cr.capture(model, cr.placeholder((4, 3)))


def trained(model):
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    trainer.fit(np.ones((4, 3), "f"), np.ones((4, 2), "f"), epochs=1, progress=False)


@pytest.mark.parametrize("run", [compiled, captured, trained])
def test_it_is_held_while_a_graph_is_captured_even_if_that_fails(run, setting):
    run(nn.Linear(3, 2))
    assert gc.isenabled() == setting
    with pytest.raises(FoundError) as found:
        run(nn.Sequential(nn.Linear(3, 2), Looking()))
    assert not found.value.args[0]
    assert gc.isenabled() == setting


def holding_thread():
    """A thread that is within `collector_held`, and the event that lets it leave."""
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with collector_held():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    return thread, leave


def test_the_last_of_several_threads_releases_it(setting):
    thread, leave = holding_thread()
    with collector_held(), collector_held():
        assert not gc.isenabled()
    assert not gc.isenabled()  # the other thread is within it
    leave.set()
    thread.join()
    assert gc.isenabled() == setting


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_releases_what_other_threads_held(setting):
    thread, leave = holding_thread()
    child = os.fork()
    if not child:
        os._exit(int(gc.isenabled() != setting))
    _, status = os.waitpid(child, 0)
    leave.set()
    thread.join()
    assert status == 0


PROGRAM = """
import gc
import chainrule as cr
if {frozen}:
    gc.freeze()
gc.set_threshold(100_000)  # so that none comes by itself
made = [[number] for number in range(200)]
young = len(gc.get_objects(generation=0))
cr.capture(lambda x: x + 1.0, cr.placeholder((3,)))
print(young >= 200, len(gc.get_objects(generation=0)) < 150, gc.get_freeze_count() > 0)
"""


@pytest.mark.parametrize("frozen", [False, True])
def test_what_came_before_the_first_graph_is_old_then_and_what_is_frozen_stays_so(frozen):
    """So the first fit does not wait until all that was imported is looked through."""
    command = [sys.executable, "-c", PROGRAM.format(frozen=frozen)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", str(not frozen), str(frozen)]
