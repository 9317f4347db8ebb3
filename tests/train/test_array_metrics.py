"""Metrics of all outputs of an evaluation, in NumPy: scikit-learn's by name, and functions."""

import importlib.util
import sys

import numpy as np
import pytest
from training_cases import Average, classification, fit, network, regression, trainer_of

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")


class Passing(nn.Module):
    def forward(self, x):
        return x


def scores(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-z.astype("float64")))


def softmax(z):
    e = np.exp(z.astype("float64"))
    return e / e.sum(1, keepdims=True)


def measured(loss, outputs, targets, metrics):
    found = cr.Evaluator(Passing(), loss, metrics).evaluate(outputs, targets, batch_size=7)
    del found["loss"]
    return found


NAMES = ["auc", "f1", "precision", "recall", "balanced_accuracy", "log_loss"]


def wanted(labels, predicted, probabilities, **average):
    """By scikit-learn."""
    metrics = pytest.importorskip("sklearn.metrics")
    found = {
        "f1": metrics.f1_score(labels, predicted, **average),
        "precision": metrics.precision_score(labels, predicted, **average),
        "recall": metrics.recall_score(labels, predicted, **average),
    }
    if np.ndim(labels) == 1:
        found["balanced_accuracy"] = metrics.balanced_accuracy_score(labels, predicted)
        found["log_loss"] = metrics.log_loss(labels, probabilities)
    if average and np.ndim(labels) == 1:
        return {**found, "auc": metrics.roc_auc_score(labels, probabilities, multi_class="ovr")}
    score = probabilities[:, 1] if average == {} and np.ndim(probabilities) == 2 else probabilities
    return {**found, "auc": metrics.roc_auc_score(labels, score)}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert type(value) is float
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_two_classes_with_one_output(shape):
    z, y = scores(shape), np.random.default_rng(1).integers(0, 2, shape)
    expected = wanted(y.ravel(), z.ravel() > 0, sigmoid(z).ravel())
    assert_equal(measured(nn.BCEWithLogitsLoss(), z, y, NAMES), expected)
    p = sigmoid(z).astype("float32")
    assert_equal(measured(nn.BCELoss(), p, y, NAMES), expected)
    margins = {k: v for k, v in expected.items() if k != "log_loss"}
    assert_equal(measured(nn.HingeLoss(), z, 2 * y - 1, [*margins]), margins)
    assert_equal(measured(nn.MSELoss(), z + 0.5, y, [*margins]), margins)
    assert_equal(measured(nn.MSELoss(), z, 2 * y - 1, [*margins]), margins)


def test_two_classes_with_two_outputs():
    z, y = scores((60, 2)), np.random.default_rng(1).integers(0, 2, 60)
    expected = wanted(y, z.argmax(1), softmax(z))
    assert_equal(measured(nn.CrossEntropyLoss(), z, y, NAMES), expected)
    log_p = np.log(softmax(z)).astype("float32")
    assert_equal(measured(nn.NLLLoss(), log_p, y, NAMES), expected)


def test_several_classes():
    z, y = scores((60, 4)), np.arange(60) % 4
    expected = wanted(y, z.argmax(1), softmax(z), average="macro")
    one_hot = np.eye(4, dtype="float32")[y]
    for targets in (y, one_hot):
        assert_equal(measured(nn.CrossEntropyLoss(), z, targets, NAMES), expected)


def test_ignored_labels_do_not_count():
    z, y = scores((60, 3)), np.arange(60) % 3
    counted = np.arange(60) % 5 > 0
    expected = wanted(y[counted], z[counted].argmax(1), softmax(z[counted]), average="macro")
    loss = nn.CrossEntropyLoss(ignore_index=-1)
    assert_equal(measured(loss, z, np.where(counted, y, -1), NAMES), expected)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("positions", [(), (5,), (2, 3)])
def test_several_labels_a_row(labels, positions):
    """Labels at positions, as the pixels of masks, are those of so many rows."""
    z = scores((60, labels, *positions))
    y = np.random.default_rng(1).integers(0, 2, z.shape)
    rows, flags = (np.moveaxis(a, 1, -1).reshape(-1, labels) for a in (z, y))
    expected = wanted(flags, rows > 0, sigmoid(rows), average="macro")
    for name in ("balanced_accuracy", "log_loss"):  # of one label at a time
        columns = [wanted(flags[:, i], rows[:, i] > 0, sigmoid(rows[:, i])) for i in range(labels)]
        expected[name] = np.mean([column[name] for column in columns])
    assert_equal(measured(nn.BCEWithLogitsLoss(), z, y, NAMES), expected)
    loss = cr.Evaluator(Passing(), nn.BCEWithLogitsLoss()).evaluate(z, y)["loss"]
    np.testing.assert_allclose(expected["log_loss"], loss, rtol=1e-6)


def test_masks_of_one_label():
    z = scores((9, 1, 4, 5))
    y = np.random.default_rng(1).integers(0, 2, z.shape)
    expected = wanted(y.ravel(), z.ravel() > 0, sigmoid(z).ravel())
    assert_equal(measured(nn.BCEWithLogitsLoss(), z, y, NAMES), expected)


def test_a_function_of_all_outputs():
    def median_error(outputs, targets):
        assert outputs.shape == targets.shape == (23, 1)
        return np.median(np.abs(outputs - targets))

    x, y = regression(23)
    model = network(outputs=1)
    metric = cr.metrics.ArrayMetric(median_error)
    trainer = trainer_of(model, nn.MSELoss(), metrics=[metric, "mae"])
    history = fit(trainer, x, y, validation_data=(x, y))
    after = np.median(np.abs(model(cr.tensor(x)).numpy() - y))
    np.testing.assert_allclose(history["validation_median_error"][-1], after)
    assert list(trainer.evaluate(x, y)) == ["loss", "mae", "median_error"]
    with pytest.raises(KeyError, match="no column 'median_error'"):
        history["median_error"]


def test_functions_with_the_arguments_of_scikit_learn_get_the_targets_first():
    metrics = pytest.importorskip("sklearn.metrics")
    z, y = scores((60, 1)), np.random.default_rng(1).integers(0, 2, (60, 1))
    found = measured(
        nn.BCEWithLogitsLoss(), z, y,
        [metrics.roc_auc_score, metrics.f1_score, metrics.brier_score_loss],
    )  # fmt: skip
    np.testing.assert_allclose(found["roc_auc_score"], metrics.roc_auc_score(y, z))
    np.testing.assert_allclose(found["f1_score"], metrics.f1_score(y, z > 0))
    brier = metrics.brier_score_loss(y, sigmoid(z))
    np.testing.assert_allclose(found["brier_score_loss"], brier, rtol=1e-6)
    output, target = scores((30, 1)), scores((30, 1), seed=1)
    found = measured(nn.MSELoss(), output, target, [metrics.r2_score, "r2"])
    np.testing.assert_allclose(found["r2_score"], found["r2"], rtol=1e-6)


@pytest.mark.parametrize("part", ["evaluation", "validation"])
def test_targets_come_in_the_order_of_the_batches(part):
    """A shuffled loader's rows are taken from arrays: outputs and targets in the same order."""
    x = scores((50, 1))
    y = x + 0.5 * scores((50, 1), seed=1)

    def largest_error(outputs, targets):
        return np.abs(outputs - targets).max()

    dataset = cr.data.TensorDataset(x, y)
    sources = [
        cr.data.batches(x, y, 16),
        cr.data.DataLoader(dataset, batch_size=16, shuffle=True),
        cr.data.DataLoader(cr.data.Subset(dataset, range(49, -1, -1)), batch_size=16),
        [(x[:20], y[:20]), (x[20:], y[20:])],
    ]
    for source in sources:
        model = nn.Linear(1, 1)
        model.weight.assign(np.ones((1, 1), "float32"))
        model.bias.assign(np.zeros(1, "float32"))
        trainer = cr.Trainer(
            model,
            nn.MSELoss(),
            optim.SGD(model.parameters(), lr=0.0),
            metrics=[cr.metrics.ArrayMetric(largest_error)],
        )
        if part == "evaluation":
            found = trainer.evaluate(source)["largest_error"]
        else:
            history = trainer.fit(x, y, epochs=1, validation_data=source, progress=False)
            found = history["validation_largest_error"][0]
        assert found == pytest.approx(np.abs(x - y).max(), rel=1e-6)


def test_rows_that_a_loader_drops_are_not_measured():
    x = scores((10, 1))
    loader = cr.data.DataLoader(cr.data.TensorDataset(x, x), batch_size=4, drop_last=True)

    def rows(outputs, targets):
        return len(outputs) if len(outputs) == len(targets) else -1

    metric = cr.metrics.ArrayMetric(rows)
    assert cr.Evaluator(Passing(), nn.MSELoss(), metric).evaluate(loader)["rows"] == 8


def test_a_function_that_asks_for_values_says_how():
    def spread(output, target):
        return np.std(output.numpy())

    x, y = regression(20)
    trainer = trainer_of(network(outputs=1), nn.MSELoss(), metrics=[spread])
    with pytest.raises(cr.SymbolicError, match=r"metric spread.*cr.metrics.ArrayMetric\(spread\)"):
        fit(trainer, x, y)


def test_early_stopping_on_it():
    pytest.importorskip("sklearn")
    x, y = classification(60, classes=2)
    stopping = cr.EarlyStopping("validation_auc", patience=1)
    model = network(outputs=2)
    trainer = trainer_of(
        model, optimizer=optim.SGD(model.parameters(), lr=0.0), metrics=["auc"],
        callbacks=[stopping],
    )  # fmt: skip
    history = fit(trainer, x, y, epochs=10, validation_data=(x, y))
    assert len(history) == 3 and stopping.best == max(history["validation_auc"])
    # Higher is better: with "min" an infinite improvement would not be seen.
    assert "auc stopped improving" in history.stop_reason


def test_averaged_parameters_are_measured():
    x, y = regression(20)
    model = network(outputs=1)
    seen = []

    def keep(outputs, targets):
        seen.append(outputs)
        return 0.0

    trainer = trainer_of(
        model, nn.MSELoss(), ema=Average(model.parameters()),
        metrics=[cr.metrics.ArrayMetric(keep)],
    )  # fmt: skip
    fit(trainer, x, y)
    trainer.evaluate(x, y)
    np.testing.assert_array_equal(seen[-1], trainer.predict(x))
    assert abs(seen[-1] - model(cr.tensor(x)).numpy()).max() > 1e-6


def test_several_outputs():
    class Two(nn.Module):
        def forward(self, x):
            return {"a": x, "b": 2 * x}

    def loss(outputs, targets):
        return (outputs["a"] * targets).mean()

    metric = cr.metrics.ArrayMetric(lambda o, t: np.max(o["b"] - t), name="largest")
    x = scores((20, 1))
    found = cr.Evaluator(Two(), loss, metric).evaluate(x, x * 0, batch_size=7)
    np.testing.assert_allclose(found["largest"], 2 * x.max())
    pytest.importorskip("sklearn")
    with pytest.raises(TypeError, match="auc compares one output with one target"):
        cr.Evaluator(Two(), loss, "auc").evaluate(x, x * 0)


@pytest.mark.parametrize("name", ["log_loss", "f1"])
def test_what_the_loss_does_not_say_is_asked(name):
    pytest.importorskip("sklearn")
    z, y = scores((60, 1)), np.random.default_rng(1).integers(0, 2, (60, 1))
    with pytest.raises(ValueError, match=rf"{name}: the loss does not say.*outputs='logits'"):
        measured(lambda o, t: (o * t).mean(), z, y, [name])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: cr.metrics.ArrayMetric(3), TypeError, "function.*got 3"),
        (lambda: cr.metrics.ArrayMetric(dict), TypeError, "function.*got"),
        (lambda: cr.metrics.ArrayMetric(max, takes="labels"), ValueError, "takes is '"),
        (lambda: cr.metrics.ArrayMetric(max, outputs="labels"), ValueError, "outputs is '"),
        (lambda: trainer_of(network(), metrics=[cr.metrics.Accuracy]), TypeError, r"Accuracy\("),
        (lambda: trainer_of(network(), metrics=["auc", "auc"]), ValueError, "two metrics"),
    ],
)
def test_what_does_not_fit(make, error, text):
    pytest.importorskip("sklearn")
    with pytest.raises(error, match=text):
        make()


def test_an_array_is_no_metric():
    metric = cr.metrics.ArrayMetric(lambda o, t: o - t, name="errors")
    with pytest.raises(cr.ShapeError, match=r"metric errors is a number.*\(5, 1\)"):
        measured(nn.MSELoss(), scores((5, 1)), scores((5, 1)), metric)


def test_scikit_learn_is_missing(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sklearn" else find(name)
    )
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    with pytest.raises(ImportError, match=r"'auc' needs scikit-learn: pip install .*; or write"):
        trainer_of(network(), metrics=["auc"])
    trainer_of(network(), metrics=["accuracy", "r2"])


@pytest.mark.parametrize("classes", [1, 3])
def test_labels_belong_to_the_places_of_the_outputs(classes):
    """Labels of a picture that lies on its side are as many, and others."""

    def loss(outputs, targets):
        return outputs.mean() + 0 * targets.astype(outputs.dtype).mean()

    loss.outputs = "logits" if classes == 1 else "class logits"
    outputs = scores((4, classes, 2, 4))
    labels = np.random.default_rng(1).integers(0, max(classes, 2), (4, 2, 4))
    predicted = outputs[:, 0] > 0 if classes == 1 else outputs.argmax(1)
    f1_score = pytest.importorskip("sklearn.metrics").f1_score
    average = "binary" if classes == 1 else "macro"
    expected = f1_score(labels.ravel(), predicted.ravel(), average=average)
    assert measured(loss, outputs, labels, ["f1"]) == {"f1": pytest.approx(expected)}
    with pytest.raises(cr.ShapeError, match=r"f1: outputs \(4, ., 2, 4\).*need targets of shape"):
        measured(loss, outputs, labels.transpose(0, 2, 1).copy(), ["f1"])
