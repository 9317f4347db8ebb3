"""Columns of frames go by their names: in fit, evaluate and predict, and from a model's file."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import FileError
from chainrule.train import model_file

rng = np.random.default_rng(0)
X = {name: (rng.normal(size=60) * 5).astype("float32") for name in "abc"}
Y = (X["a"] - X["b"] + 2 * X["c"])[:, None]
ARRAY = np.stack(list(X.values()), axis=1)


def of_pandas(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def of_polars(columns):
    return pytest.importorskip("polars").DataFrame(columns)


def of_pyarrow(columns):
    return pytest.importorskip("pyarrow").table(columns)


FRAMES = [of_pandas, of_polars, of_pyarrow]


def other_order(names="cab"):
    return {name: X[name] for name in names}


def trainer_of(model=None):
    with cr.ops.random.use_generator(cr.Generator(3)):
        model = model or nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e-3))


def fit(trainer, x, y=Y, **options):
    return trainer.fit(x, y, epochs=2, batch_size=20, progress=False, **options)


@pytest.fixture(params=FRAMES)
def frame(request):
    return request.param


@pytest.fixture
def trained(frame):
    trainer = trainer_of()
    fit(trainer, frame(X))
    return trainer


def test_predictions(frame, trained):
    right = trained.predict(ARRAY)
    np.testing.assert_array_equal(trained.predict(frame(X)), right)
    np.testing.assert_array_equal(trained.predict(frame(other_order())), right)
    assert trained.evaluate(frame(other_order()), Y) == trained.evaluate(ARRAY, Y)
    # A frame of another library, too.
    np.testing.assert_array_equal(trained.predict(of_pandas(other_order())), right)


def test_training_goes_on_by_the_names(frame, trained):
    twin = trainer_of()
    fit(twin, ARRAY)
    first = fit(twin, ARRAY, validation_data=(ARRAY, Y))
    second = fit(trained, frame(other_order()), validation_data=(frame(other_order("bca")), Y))
    for name in ("loss", "validation_loss"):
        assert first[name][2:] == second[name][2:]
    np.testing.assert_array_equal(twin.predict(ARRAY), trained.predict(ARRAY))
    np.testing.assert_array_equal(
        twin.find_lr(ARRAY, Y, steps=3, batch_size=20).losses,
        trained.find_lr(frame(other_order()), Y, steps=3, batch_size=20).losses,
    )


def test_validation_data_of_the_first_fit(frame):
    trainer = trainer_of()
    history = fit(trainer, frame(X), validation_data=(frame(other_order()), Y))
    assert history["validation_loss"][-1] == trainer.evaluate(ARRAY, Y)["loss"]
    with pytest.raises(ValueError, match="validation x lacks 'a', 'b'"):
        fit(trainer, frame(X), validation_data=(frame({"c": X["c"]}), Y))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (other_order("ab"), "x lacks 'c'. The model was trained on 'a', 'b', 'c'"),
        ({**X, "d": X["a"]}, "x has 'd', which it was not trained on"),
        ({"a": X["a"], "B": X["b"], "c": X["c"]}, "x lacks 'b' and has 'B', which"),
    ],
)
def test_other_columns(frame, trained, columns, words):
    before = copy.deepcopy(trained.model.state_dict())
    for call in (
        lambda: trained.predict(frame(columns)),
        lambda: trained.evaluate(frame(columns), Y),
        lambda: fit(trained, frame(columns)),
        lambda: trained.find_lr(frame(columns), Y, batch_size=20),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    for name, value in trained.model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_refused_fit_leaves_no_names(frame):
    trainer = trainer_of()
    with pytest.raises(ValueError, match="rows"):
        fit(trainer, frame(other_order()), Y[:5])
    fit(trainer, frame(X))
    np.testing.assert_array_equal(trainer.predict(frame(other_order())), trainer.predict(ARRAY))


def test_names_in_files(frame, trained, tmp_path):
    right = trained.predict(ARRAY)
    trained.save(tmp_path / "trainer")
    cr.save(trained.model, tmp_path / "model")
    copied = copy.deepcopy(trained.model)
    loaded = [cr.load(tmp_path / "trainer"), cr.load(tmp_path / "model"), copied.eval()]
    loaded.append(cr.load(tmp_path / "model", trainer_of().model))
    for model in loaded:
        evaluator = cr.Evaluator(model, nn.MSELoss())
        np.testing.assert_array_equal(evaluator.predict(frame(other_order())), right)
        with pytest.raises(ValueError, match="x lacks 'a'"):
            evaluator.predict(frame(other_order("bc")))
    again = trainer_of()
    again.load(tmp_path / "trainer")
    np.testing.assert_array_equal(again.predict(frame(other_order())), right)


def test_resumed_training(frame, tmp_path):
    whole, parts = trainer_of(), trainer_of()
    whole.fit(frame(X), Y, epochs=3, batch_size=20, progress=False)
    path = tmp_path / "checkpoint"
    parts.fit(frame(X), Y, epochs=1, batch_size=20, progress=False, checkpoint=path)
    parts = trainer_of()
    x = frame(other_order())  # which the file's order brings into that of before
    parts.fit(x, Y, epochs=3, batch_size=20, progress=False, checkpoint=path, resume=True)
    np.testing.assert_array_equal(
        parts.predict(frame(other_order())), whole.predict(frame(other_order()))
    )


def test_names_after_resuming_with_an_array_are_those_of_the_file(frame, tmp_path):
    trainer, other = trainer_of(), trainer_of()
    options = {"batch_size": 20, "progress": False, "checkpoint": tmp_path / "checkpoint"}
    trainer.fit(frame(X), Y, epochs=1, **options)
    fit(other, frame(other_order()))
    other.fit(ARRAY, Y, epochs=2, resume=True, **options)
    np.testing.assert_array_equal(other.predict(frame(other_order())), other.predict(ARRAY))


@pytest.mark.parametrize("damaged", [7, [1, 2], "abc", {"x": [1]}, [["a"], "b"]])
def test_damaged_names(tmp_path, damaged):
    path = tmp_path / "model"
    cr.save(nn.Linear(3, 1), path)
    tensors, description = model_file.read(path)
    model_file.write(path, tensors, {**description, "columns": damaged})
    with pytest.raises(FileError, match="the columns of its model are damaged"):
        cr.load(path)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = nn.Linear(2, 1)
        self.right = nn.Linear(1, 1)

    def forward(self, left, right):
        return self.left(left) + self.right(right)


def test_several_inputs(frame, tmp_path):
    array = {"left": ARRAY[:, :2], "right": ARRAY[:, 2:]}
    named = {"left": frame(other_order("ab")), "right": frame(other_order("c"))}
    swapped = {"right": ARRAY[:, 2:], "left": frame(other_order("ba"))}
    for form in (dict, lambda inputs: (inputs["left"], inputs["right"])):
        trainer = trainer_of(Two())
        fit(trainer, form(named))
        right = trainer.predict(form(array))
        np.testing.assert_array_equal(trainer.predict(form(swapped)), right)
        wrong = {"left": frame(other_order("ac")), "right": frame(other_order("c"))}
        with pytest.raises(ValueError, match=r"x\[('left'|0)\] lacks 'b' and has 'c'"):
            trainer.predict(form(wrong))
        trainer.save(tmp_path / "two")
        evaluator = cr.Evaluator(cr.load(tmp_path / "two", Two()), nn.MSELoss())
        np.testing.assert_array_equal(evaluator.predict(form(swapped)), right)


def test_data_without_names():
    """What has no names is taken in the order in which it comes."""
    pandas = pytest.importorskip("pandas")
    numbered = pandas.DataFrame(ARRAY)
    trainer = trainer_of()
    fit(trainer, numbered)
    right = trainer.predict(ARRAY)
    np.testing.assert_array_equal(trainer.predict(of_pandas(X)), right)
    fit(trainer, of_pandas(X))  # from here on it knows names
    right = trainer.predict(ARRAY)
    np.testing.assert_array_equal(trainer.predict(numbered), right)
    np.testing.assert_array_equal(trainer.predict(of_pandas(other_order())), right)


@pytest.mark.parametrize("labels", [[0, "b", 1], [("a", 1), ("a", 2), ("b", 1)]])
def test_labels_that_are_no_text_are_names(labels, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ARRAY)
    frame.columns = labels
    trainer = trainer_of()
    fit(trainer, frame)
    right = trainer.predict(ARRAY)
    turned = frame.iloc[:, [2, 0, 1]]
    np.testing.assert_array_equal(trainer.predict(turned), right)
    trainer.save(tmp_path / "model")
    read = cr.Evaluator(cr.load(tmp_path / "model", trainer_of().model), nn.MSELoss())
    np.testing.assert_array_equal(read.predict(turned), right)
    with pytest.raises(ValueError, match=r"x lacks .* and has 'other'"):
        trainer.predict(frame.set_axis([*labels[:2], "other"], axis=1))
    with pytest.raises(ValueError, match="x has two columns named '1'"):
        fit(trainer_of(), pandas.DataFrame(ARRAY, columns=[0, 1, "1"]))


def test_targets_and_weights(frame):
    table = frame({"y": Y[:, 0], "w": np.linspace(0, 1, 60)})
    weights = table.column("w") if hasattr(table, "column") else table["w"]
    targets = table.select(["y"]) if hasattr(table, "select") else table[["y"]]
    found = []
    for y, w in ((targets, weights), (Y, np.linspace(0, 1, 60))):
        trainer = trainer_of()
        fit(trainer, frame(X), y, sample_weight=w)
        found.append(trainer.predict(ARRAY))
    np.testing.assert_array_equal(*found)


def test_calibration_goes_by_the_names(frame, trained):
    model = nn.Sequential(*trained.model[:2], nn.BatchNorm1d(4))
    model._column_names = trained.model._column_names
    nn.recompute_batch_statistics(model, ARRAY)
    wanted = model[2].running_mean.numpy()
    nn.recompute_batch_statistics(model, frame(other_order()))
    np.testing.assert_array_equal(model[2].running_mean, wanted)
    found = []
    for x in (ARRAY, frame(X)):
        model = trainer_of().model
        cr.manual_seed(0)
        found.append(list(nn.lsuv_(model, x).parameters()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_ensemble_keeps_the_names(frame, tmp_path):
    made = cr.Ensemble(lambda seed: trainer_of(), 2)
    fit(made, frame(X))
    right, path = made.predict(ARRAY), tmp_path / "ensemble.safetensors"
    made.save(path)
    again = cr.Ensemble(lambda seed: trainer_of(), 2)
    again.load(path)
    for predicts in (made, again, cr.Predictor(made), cr.Predictor(path)):
        np.testing.assert_allclose(predicts.predict(frame(other_order())), right, rtol=1e-5)
    with pytest.raises(ValueError, match="lacks 'a'"):
        again.predict(frame({name: X[name] for name in "bc"}))
