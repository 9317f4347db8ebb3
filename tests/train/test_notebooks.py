"""What a notebook shows: tables instead of reprs, and one line of progress."""

import numpy as np
import pytest
from training_cases import classification, network, trainer_of

import chainrule as cr
from chainrule import nn, optim

SETUP = """
import numpy as np
import chainrule as cr
from chainrule import nn, optim

model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), seed=0)
x, y = np.ones((64, 3), "float32"), np.ones((64, 2), "float32")
"""
COUNTED = """
sent = []
get_ipython().display_pub.register_hook(lambda message: sent.append(message) or message)
trainer.fit(x[:4], y[:4], epochs=2000, batch_size=4)
len(sent)
"""
GRAPH = "cr.capture(lambda x: model(x).sum(), cr.placeholder((1, 3)))"


@pytest.fixture(scope="module")
def outputs():
    """What each cell of a notebook gives, run by Jupyter's kernel: text, or HTML by its type."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [SETUP, "history = trainer.fit(x, y, epochs=3, batch_size=4)", "history", "trainer",
             "model", GRAPH, "trainer.describe_plan()", "model[0].bias", COUNTED]  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return {cell.source: cell.outputs for cell in notebook.cells}


@pytest.mark.filterwarnings("default")
def test_progress_is_one_line(outputs):
    (line,) = outputs["history = trainer.fit(x, y, epochs=3, batch_size=4)"]
    assert line["data"]["text/plain"].startswith("epoch 3/3  loss ")


@pytest.mark.filterwarnings("default")
def test_short_epochs_do_not_flood_the_notebook(outputs):
    line, count = outputs[COUNTED]
    assert line["data"]["text/plain"].startswith("epoch 2003/2003  loss ")
    assert int(count["data"]["text/plain"]) < 500


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("history", ["History of 3 epochs", "<svg", "<th", "epoch"]),
        ("trainer", ["MSELoss", "SGD", "48", "<svg"]),
        ("model", ["Linear(in_features=3", "weight 2 × 3, bias 2", "8 parameters"]),
        (GRAPH, ["matmul(%0, %1, transpose_b=True)", "output", "2 states read"]),
        ("trainer.describe_plan()", ["<pre", "gather_batch", "FLOPs"]),
        ("model[0].bias", ["Parameter 0.bias · 2 · float32 · requires grad", "<td"]),
    ],
)
def test_a_value_is_shown_as_html(outputs, cell, parts):
    (shown,) = outputs[cell]
    for part in parts:
        assert part in shown["data"]["text/html"]
    assert "object at 0x" not in shown["data"]["text/plain"]


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (cr.tensor(2.5), ["scalar · float32", ">2.5<"]),
        (cr.tensor(np.arange(200.0).reshape(2, 100)), ["2 × 100", "…", ">199<"]),
        (cr.tensor(np.zeros((2, 2, 2), bool)), ["2 × 2 × 2 · bool", "False"]),
        (cr.placeholder((2, 3)), ["2 × 3 · float32 · symbolic"]),
        (cr.tensor([1.0], requires_grad=True) * 2, ["operation multiply", "requires grad"]),
    ],
)
def test_tensors(value, parts):
    for part in parts:
        assert part in value._repr_html_()


def test_names_are_text_not_html():
    x = cr.tensor([1.0], name="<b>&")
    model = nn.Sequential()
    model.add_module('<script>"', nn.Linear(1, 1))
    for shown in (x._repr_html_(), model._repr_html_()):
        assert "<b>" not in shown and "<script>" not in shown and "&lt;" in shown


def test_a_long_graph_leaves_out_its_middle():
    def chain(x):
        for _ in range(300):
            x = x + 1
        return x

    shown = cr.capture(chain, cr.placeholder(()))._repr_html_()
    assert shown.count("<tr>") < 110 and "more …" in shown


def test_callbacks_and_trainers_print_what_they_are():
    class Mine(cr.Callback):
        def __init__(self, every, loud=False):
            self.every = every

    assert repr(Mine(3)) == "Mine(every=3)"
    stopping = cr.EarlyStopping("loss", patience=4)
    assert repr(stopping) == "EarlyStopping(monitor='loss', patience=4)"
    assert repr(cr.EarlyStopping()) == "EarlyStopping()"
    assert repr(cr.ReduceLROnPlateau(factor=0.5)) == "ReduceLROnPlateau(factor=0.5)"
    schedule = optim.lr_scheduler.StepLR(optim.SGD(network().parameters(), lr=0.1), 3)
    assert repr(schedule) == "StepLR(optimizer=<SGD>, step_size=3)"
    (metric,) = trainer_of(network(), metrics=[classification]).metrics
    assert repr(metric) == "FunctionMetric(function=classification)"
    trainer = trainer_of(network(), callbacks=[stopping])
    assert "epochs 0" in repr(trainer) and "<svg" not in trainer._repr_html_()
    x, y = classification(8)
    trainer.fit(x, y, epochs=2, progress=False)
    assert "epochs 2" in repr(trainer) and "<svg" in trainer._repr_html_()
    plan = trainer.describe_plan()
    assert repr(plan) == str(plan) and "\n" in plan
