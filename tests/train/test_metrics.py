"""Metrics over uneven batches against their closed forms over all rows."""

import numpy as np
import pytest
from training_cases import classification, network, regression, trainer_of, weights

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")


class Passing(nn.Module):
    """Outputs its input, so that a test chooses the outputs; its parameter changes nothing."""

    def __init__(self, dtype="float64"):
        super().__init__()
        self.nothing = cr.Parameter(np.zeros((), dtype))

    def forward(self, x):
        return x + self.nothing


def measured(metrics, outputs, targets, batch_size=7, dtype="float64"):
    """What a Trainer makes of these outputs, by evaluation and, as a check, by training."""
    model = Passing(dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    trainer = cr.Trainer(model, lambda output, _: (output * 0.0).sum(), optimizer, metrics=metrics)
    found = trainer.evaluate(outputs, targets, batch_size=batch_size)
    history = trainer.fit(outputs, targets, epochs=1, batch_size=batch_size, progress=False)
    for name, value in found.items():
        np.testing.assert_allclose(history[name][0], value, rtol=1e-9, atol=1e-12)
    return found


def scores(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def r2(output, target):
    """scikit-learn's r2_score with uniform_average."""
    output, target = (a.reshape(len(a), -1) for a in (output, target))
    residual = ((target - output) ** 2).sum(0)
    spread = ((target - target.mean(0)) ** 2).sum(0)
    each = [1 - r / s if s else float(r == 0) for r, s in zip(residual, spread, strict=True)]
    return np.mean(each)


@pytest.mark.parametrize("batch_size", [1, 7, 20])
def test_accuracy_of_several_classes(batch_size):
    output, labels = scores((20, 4)), np.arange(20) % 4
    wanted = np.mean(output.argmax(1) == labels)
    assert 0 < wanted < 1
    assert measured(["accuracy"], output, labels, batch_size)["accuracy"] == wanted
    one_hot, metric = np.eye(4)[labels], cr.metrics.Accuracy("class scores")
    assert measured(metric, output, one_hot, batch_size)["accuracy"] == wanted
    assert measured(metric, output, one_hot.astype(int), batch_size)["accuracy"] == wanted


@pytest.mark.parametrize("output_shape", [(20,), (20, 1)])
@pytest.mark.parametrize("target_shape", [(20,), (20, 1)])
@pytest.mark.parametrize("dtype", ["int64", "bool", "float32", "uint8"])
def test_accuracy_of_logits(output_shape, target_shape, dtype):
    logits, labels = scores(output_shape), (np.arange(20) % 3 == 0).astype(dtype)
    wanted = np.mean((logits.ravel() > 0) == (labels > 0.5))
    found = measured(cr.metrics.Accuracy("logits"), logits, labels.reshape(target_shape))
    assert found["accuracy"] == wanted


def test_a_logit_of_zero_is_the_negative_class():
    metric = cr.metrics.Accuracy("logits")
    assert measured(metric, np.zeros(3), np.array([0, 0, 1]), 2)["accuracy"] == 2 / 3


@pytest.mark.parametrize(
    ("output_shape", "target_shape"),
    [((6, 3), (6, 1)), ((6, 3), (6, 2)), ((6, 2, 3), (6, 2)), ((6, 1), (6, 2)), ((6,), (6, 2))],
)
def test_accuracy_refuses_shapes_that_are_no_classes(output_shape, target_shape):
    with pytest.raises(cr.ShapeError, match="accuracy"):
        measured(["accuracy"], scores(output_shape), np.zeros(target_shape, int), 3)


@pytest.mark.parametrize("shape", [(23,), (23, 1), (23, 3), (23, 2, 2)])
@pytest.mark.parametrize("batch_size", [1, 7, 23])
def test_errors_of_regression(shape, batch_size):
    output, target = scores(shape), scores(shape, seed=1)
    found = measured(["mse", "mae", "r2"], output, target, batch_size)
    np.testing.assert_allclose(found["mse"], np.mean((output - target) ** 2), rtol=1e-12)
    np.testing.assert_allclose(found["mae"], np.mean(np.abs(output - target)), rtol=1e-12)
    np.testing.assert_allclose(found["r2"], r2(output, target), rtol=1e-12)


def test_r2_with_targets_far_from_zero():
    target = 1e4 + scores(40, seed=1)
    output = target + 0.1 * scores(40)
    np.testing.assert_allclose(
        measured(["r2"], output, target)["r2"], r2(output, target), rtol=1e-6
    )
    single = measured(["r2"], output.astype("f4"), target.astype("f4"), dtype="float32")
    wanted = r2(output.astype("f4").astype("f8"), target.astype("f4").astype("f8"))
    np.testing.assert_allclose(single["r2"], wanted, rtol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 1.1, 1e6])
def test_r2_of_a_constant_target(offset):
    target = np.full((10, 1), offset)
    assert measured(["r2"], target, target, 3)["r2"] == 1.0
    assert measured(["r2"], target + 0.5, target, 3)["r2"] == 0.0


def test_r2_averages_over_outputs_of_which_one_is_constant():
    target = np.stack([scores(10), np.ones(10)], axis=1)
    output = target + np.array([0.1, 0.0])
    np.testing.assert_allclose(measured(["r2"], output, target, 4)["r2"], r2(output, target))


def test_regression_metrics_refuse_shapes_that_would_broadcast():
    for name in ("mse", "mae", "r2"):
        with pytest.raises(cr.ShapeError, match=rf"{name}.*\(3, 2\).*\(3, 1\)"):
            measured([name], scores((6, 2)), scores((6, 1)), 3)


def test_the_loss_is_the_mean_over_all_rows_also_of_uneven_batches():
    x, y = regression(23)
    model = network(outputs=1)
    wanted = np.mean((model(cr.tensor(x)).numpy() - y) ** 2)
    for batch_size in (1, 7, 23, 500):
        found = trainer_of(model, nn.MSELoss()).evaluate(x, y, batch_size=batch_size)
        np.testing.assert_allclose(found["loss"], wanted, rtol=1e-12)
        found = trainer_of(model, nn.MSELoss(reduction="sum")).evaluate(x, y, batch_size=batch_size)
        np.testing.assert_allclose(found["loss"], wanted * 23, rtol=1e-12)


def test_a_function_is_averaged_over_rows():
    def largest_error(output, target):
        return cr.abs(output - target).mean()

    output, target = scores(23), scores(23, seed=1)
    found = measured([largest_error], output, target)
    np.testing.assert_allclose(found["largest_error"], np.mean(np.abs(output - target)))
    # One function, a name and a Metric need no list.
    np.testing.assert_allclose(
        measured(largest_error, output, target)["largest_error"], found["largest_error"]
    )
    assert "mse" in measured("mse", output, target)


def test_a_metric_of_ones_own_with_sums_of_any_shape():
    class Recall(cr.Metric):
        """Of the rows with label 1, the share that is found; mean over batches would be wrong."""

        name = "recall"
        higher_is_better = True

        def sums(self, output, target):
            positive = target == 1
            found = (output > 0.0).astype("float64") * positive.astype("float64")
            return cr.stack([found.sum(), positive.astype("float64").sum()])

        def result(self, sums, rows):
            return np.float32(sums[0] / sums[1])

    output, labels = scores(23), np.arange(23) % 3 == 0
    found = measured([Recall()], output, labels)["recall"]
    assert type(found) is float
    np.testing.assert_allclose(found, np.mean(output[labels] > 0), rtol=1e-6)


def test_metrics_of_several_outputs_pick_what_they_compare():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 1, dtype="float64"), nn.Linear(4, 2, dtype="float64")

        def forward(self, x):
            return {"a": self.a(x), "b": self.b(x)}

    def error_of_a(outputs, targets):
        return cr.abs(outputs["a"] - targets["a"]).mean()

    def loss(outputs, targets):
        return ((outputs["a"] - targets["a"]) ** 2).mean() + (outputs["b"] ** 2).mean()

    x, a = regression(23)
    y = {"b": np.zeros((23, 2)), "a": a}
    model = Two()
    trainer = trainer_of(model, loss, metrics=[error_of_a])
    wanted = np.mean(np.abs(model(cr.tensor(x))["a"].numpy() - a))
    np.testing.assert_allclose(trainer.evaluate(x, y, batch_size=5)["error_of_a"], wanted)
    before = weights(model)
    for name in ("accuracy", "mse", "mae", "r2"):
        trainer = trainer_of(model, loss, metrics=[name])
        with pytest.raises(TypeError, match=rf"{name} compares one output.*dict"):
            trainer.fit(x, y, epochs=1, batch_size=5, progress=False)
    assert all((before[name] == value).all() for name, value in weights(model).items())


@pytest.mark.parametrize(
    ("metrics", "error", "text"),
    [
        (["acuracy"], ValueError, "'acuracy'; there are accuracy, mse, mae, r2"),
        (["mse", "mse"], ValueError, "two metrics are named 'mse'"),
        ([lambda o, t: o.mean(), lambda o, t: t.mean()], ValueError, "two metrics are named"),
        ([3], TypeError, "not 3"),
        ([cr.Metric], TypeError, "a metric is a name"),
        ([cr.Metric()], TypeError, "a metric has a name, for the history: give Metric one"),
    ],
)
def test_metrics_that_are_none(metrics, error, text):
    with pytest.raises(error, match=text):
        trainer_of(network(), metrics=metrics)


@pytest.mark.parametrize("name", ["loss", "epoch", "lr", "seconds", "validation_loss"])
def test_names_that_the_history_has_itself(name):
    def metric(output, target):
        return output.mean()

    metric.__name__ = name
    with pytest.raises(ValueError, match=f"can't be named '{name}'"):
        trainer_of(network(), metrics=[metric])


@pytest.mark.parametrize(("result", "seen"), [(lambda o: 1.0, "float"), (lambda o: o, r"\(8, 3\)")])
def test_a_function_must_give_a_scalar_tensor(result, seen):
    x, y = classification(16)
    trainer = trainer_of(network(), metrics=[lambda o, t: result(o)])
    with pytest.raises(cr.ShapeError, match=rf"metric <lambda> must be a scalar.*{seen}"):
        trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
