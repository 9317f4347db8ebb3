"""Accuracy of outputs of every kind: the loss says what they are."""

import numpy as np
import pytest
from training_cases import classification, fit, network, trainer_of

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")


class Passing(nn.Module):
    def forward(self, x):
        return x


def accuracy(loss, outputs, targets, metric="accuracy", batch_size=7):
    evaluator = cr.Evaluator(Passing(), loss, [metric])
    return evaluator.evaluate(outputs, targets, batch_size=batch_size)["accuracy"]


def scores(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def labels(shape=(40, 1), seed=1):
    return np.random.default_rng(seed).integers(0, 2, shape)


VALUES = [
    nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.SmoothL1Loss(), nn.HalfSquaredErrorLoss(),
]  # fmt: skip


@pytest.mark.parametrize("targets", [(40,), (40, 1)])
@pytest.mark.parametrize("outputs", [(40,), (40, 1)])
def test_one_decision_a_row(outputs, targets):
    z, y = scores(outputs), labels(targets).astype("float32")
    wanted = np.mean((z.ravel() > 0) == (y.ravel() > 0.5))
    y_like_z = y.reshape(outputs)
    for loss in (nn.BCEWithLogitsLoss(), nn.BCEWithLogitsLoss(pos_weight=3.0)):
        assert accuracy(loss, z, y_like_z) == wanted
    assert accuracy(nn.BCELoss(), sigmoid(z), y_like_z) == wanted
    assert accuracy(nn.HingeLoss(), z, 2 * y_like_z - 1) == wanted
    for loss in VALUES:
        assert accuracy(loss, z + 0.5, y_like_z) == wanted
        assert accuracy(loss, z, 2 * y_like_z - 1) == wanted


def test_a_sigmoid_trained_by_bce():
    x, y = classification(200, classes=2, dtype="float32")
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    trainer = trainer_of(
        model, nn.BCELoss(), optim.Adam(model.parameters(), lr=0.1), metrics=["accuracy"]
    )
    y = y.astype("float32").reshape(-1, 1)
    history = fit(trainer, x, y, epochs=20, validation_data=(x, y))
    wanted = np.mean((trainer.predict(x) > 0.5) == (y > 0.5))
    assert wanted > 0.85
    np.testing.assert_allclose(history["validation_accuracy"][-1], wanted)
    assert history["accuracy"][-1] > 0.8


def test_several_labels_a_row():
    z, y = scores((40, 5)), labels((40, 5)).astype("float32")
    wanted = np.mean((z > 0) == (y > 0.5))
    for loss, outputs, targets in [
        (nn.BCEWithLogitsLoss(), z, y),
        (nn.BCELoss(), sigmoid(z), y),
        (nn.HingeLoss(), z, 2 * y - 1),
    ]:
        np.testing.assert_allclose(accuracy(loss, outputs, targets), wanted)
    images = nn.BCEWithLogitsLoss()
    np.testing.assert_allclose(accuracy(images, z.reshape(40, 1, 5), y.reshape(40, 1, 5)), wanted)


@pytest.mark.parametrize("classes", [2, 5])
def test_classes(classes):
    z, y = scores((40, classes)), np.arange(40) % classes
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    wanted = np.mean(z.argmax(1) == y)
    one_hot = np.eye(classes, dtype="float32")[y]
    for loss, outputs, targets in [
        (nn.CrossEntropyLoss(), z, y),
        (nn.CrossEntropyLoss(), z, one_hot),
        (nn.NLLLoss(), log_p, y),
        (nn.MultiMarginLoss(), z, y),
        (nn.KLDivLoss(), log_p, one_hot),
        (nn.MSELoss(), z, one_hot),
    ]:
        assert accuracy(loss, outputs, targets) == wanted


def test_pixels_and_ignored_labels():
    z, y = scores((20, 3, 4)), np.random.default_rng(2).integers(0, 3, (20, 4))
    np.testing.assert_allclose(accuracy(nn.CrossEntropyLoss(), z, y), np.mean(z.argmax(1) == y))
    y[3:9] = -100
    counted = y != -100
    for loss in (nn.CrossEntropyLoss(ignore_index=-100), nn.NLLLoss(ignore_index=-100)):
        np.testing.assert_allclose(accuracy(loss, z, y), np.mean((z.argmax(1) == y)[counted]))


def test_one_column_of_cross_entropy_has_one_class():
    assert accuracy(nn.CrossEntropyLoss(), scores((10, 1)), np.zeros(10, int)) == 1.0


def own(output, target):
    return nn.BCELoss()(output, target)


@pytest.mark.parametrize(
    "loss", [own, nn.GaussianNLLLoss(), nn.PoissonNLLLoss(), nn.CosineSimilarityLoss()]
)
@pytest.mark.parametrize("shape", [(40,), (40, 1)])
def test_a_loss_that_does_not_say_is_asked(loss, shape):
    class Model(Passing):
        def forward(self, x):
            return (x, x) if isinstance(loss, nn.GaussianNLLLoss) else x

    evaluator = cr.Evaluator(Model(), loss, ["accuracy"])
    given = sigmoid(scores(shape)), labels(shape).astype("float32")
    error = TypeError if isinstance(loss, nn.GaussianNLLLoss) else ValueError
    with pytest.raises(error, match=r"accuracy: the loss does not say.*Accuracy\(|compares one"):
        evaluator.evaluate(*given)


def test_several_labels_of_an_own_loss_are_asked_for():
    p, y = sigmoid(scores((40, 3))), labels((40, 3)).astype("float32")
    with pytest.raises(ValueError, match=r"one-hot rows or several labels.*'probabilities'"):
        accuracy(own, p, y)
    np.testing.assert_allclose(
        accuracy(own, p, y, cr.metrics.Accuracy("probabilities")), np.mean((p > 0.5) == (y > 0.5))
    )
    one_hot = np.eye(3, dtype="float32")[np.arange(40) % 3]
    np.testing.assert_allclose(
        accuracy(own, p, one_hot, cr.metrics.Accuracy("class probabilities")),
        np.mean(p.argmax(1) == np.arange(40) % 3),
    )


def test_the_answers():
    z, y = scores((40, 1)), labels().astype("float32")
    p = sigmoid(z)
    for metric, cut in [
        (cr.metrics.Accuracy("probabilities"), 0.5),
        (cr.metrics.Accuracy("logits"), 0.0),
        (cr.metrics.Accuracy(threshold=0.3), 0.3),
        (cr.metrics.Accuracy("values"), 0.5),
    ]:
        np.testing.assert_allclose(accuracy(own, p, y, metric), np.mean((p > cut) == (y > 0.5)))
    # It also wins over what the loss says.
    metric = cr.metrics.Accuracy(threshold=0.8)
    np.testing.assert_allclose(
        accuracy(nn.BCELoss(), p, y, metric), np.mean((p > 0.8) == (y > 0.5))
    )


def test_a_loss_of_ones_own_can_say_it():
    class Focal(nn.Module):
        outputs = "probabilities"

        def forward(self, p, y):
            right = y * p + (1.0 - y) * (1.0 - p)
            return -((1.0 - right) ** 2 * cr.log(right)).mean()

    p, y = sigmoid(scores((40, 1))), labels().astype("float32")
    assert accuracy(Focal(), p, y) == np.mean((p > 0.5) == (y > 0.5))
    Focal.outputs = "percent"
    with pytest.raises(ValueError, match=r"outputs is 'class logits'.*'percent'"):
        accuracy(Focal(), p, y)


@pytest.mark.parametrize("targets", [[0.0, 0.5, 1.0], [1.0, 2.0, 1.0], [-1.0, 0.0, 1.0]])
def test_a_regression_has_no_accuracy(targets):
    x, y = np.zeros((3, 4), "float32"), np.array(targets, "float32").reshape(-1, 1)
    trainer = trainer_of(network(outputs=1, dtype="float32"), nn.MSELoss(), metrics=["accuracy"])
    with pytest.raises(ValueError, match="accuracy: training targets are no labels of 0 and 1"):
        fit(trainer, x, y, batch_size=3)
    assert trainer.step == 0
    several = np.array([[1, 0], [1, 1], [0, 1]], "float32")
    trainer = trainer_of(network(outputs=2, dtype="float32"), nn.MSELoss(), metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"no one-hot rows: row 1.*Accuracy\(threshold=0.5\)"):
        fit(trainer, x, several, batch_size=3)
    numbers = np.array([[0.3, -2], [1.5, 1.2], [0, 7]], "float32")
    with pytest.raises(ValueError, match="neither one-hot rows nor probabilities"):
        fit(trainer, x, numbers, batch_size=3)
    metric = cr.metrics.Accuracy(threshold=0.5)
    assert accuracy(nn.MSELoss(), several * 0.8, several, metric) == 1.0


@pytest.mark.parametrize("rows", [[[0, 1], [1, 0]], [[-1, 1], [1, -1]], [[0.2, 0.8], [0.7, 0.3]]])
def test_rows_of_classes_for_a_loss_of_numbers(rows):
    rows = np.array(rows, "float32")
    assert accuracy(nn.MSELoss(), rows, rows) == 1.0
    assert accuracy(nn.MSELoss(), rows[::-1].copy(), rows) == 0.0


def test_classes_on_the_last_axis_are_told_where_they_belong():
    def loss(outputs, targets):
        return nn.functional.cross_entropy(outputs.reshape(-1, 3), targets.reshape(-1))

    outputs = scores((10, 4, 3))
    labels = np.random.default_rng(1).integers(0, 3, (10, 4))
    with pytest.raises(
        cr.ShapeError, match=r"\(rows, classes, \.\.\.\).*cr\.moveaxis\(scores, -1, 1\)"
    ):
        accuracy(loss, outputs, labels)
    turned = cr.moveaxis(outputs, -1, 1).numpy()
    assert accuracy(nn.CrossEntropyLoss(), turned, labels) == np.mean(outputs.argmax(-1) == labels)


@pytest.mark.parametrize(
    "arguments", [{"outputs": "logit"}, {"threshold": "0.5"}, {"threshold": float("nan")}]
)
def test_arguments_that_do_not_fit(arguments):
    with pytest.raises((ValueError, TypeError), match=r"outputs is '|threshold is"):
        cr.metrics.Accuracy(**arguments)
