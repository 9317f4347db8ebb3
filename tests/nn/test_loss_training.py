"""Losses in a Trainer: functions of one's own, float32, and targets that a loss cannot take."""

import numpy as np
import pytest
from loss_cases import CASES, NAMES, Model, training_data

import chainrule as cr
from chainrule import nn, optim


def trainer_of(model, loss, backend="native"):
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    return cr.Trainer(model, loss, optimizer, backend=backend)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_native_training_in_float32_equals_the_reference(case, reduction):
    x, y = training_data(case, rows=13)
    fit = {"epochs": 3, "batch_size": 5, "shuffle": False, "progress": False}
    losses, weights = [], []
    for backend in ("native", "reference"):
        model = Model(case, "float32")
        trainer = trainer_of(model, case.loss(reduction), backend)
        losses.append(trainer.fit(x.astype("f"), y, **fit)["loss"])
        losses[-1].append(trainer.evaluate(x.astype("f"), y)["loss"])
        weights.append(model.linear.weight.numpy())
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-5)
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-4, atol=1e-5)


def test_any_function_of_tensors_is_a_loss():
    """log cosh, written by a user, with sample weights as a user may take them."""

    def log_cosh(output, target, sample_weight=None):
        error = output - target
        losses = error + cr.softplus(-2.0 * error) - np.log(2.0)
        if sample_weight is not None:
            losses = losses * sample_weight.reshape(-1, 1)
        return losses.mean()

    random = np.random.default_rng(0)
    x = random.standard_normal((16, 3))
    y = x @ np.array([[1.0], [-2.0], [0.5]]) + 0.3
    found = log_cosh(cr.tensor(y), cr.tensor(0 * y)).item()
    assert found == pytest.approx(np.log(np.cosh(y)).mean(), rel=1e-12)
    trained = []
    for backend in ("native", "reference"):
        model = nn.Linear(3, 1, dtype="float64")
        for parameter in model.parameters():
            parameter.assign(np.zeros(parameter.shape))
        history = trainer_of(model, log_cosh, backend).fit(
            x, y, epochs=5, batch_size=4, progress=False
        )
        assert history["loss"][-1] < 0.8 * history["loss"][0]
        trained.append(model.weight.numpy())
    np.testing.assert_allclose(trained[0], trained[1], rtol=1e-10)


REFUSED = [
    (nn.HingeLoss(), np.array([[0], [1]]), r"targets must be -1 or 1; .* 2.0 \* target"),
    (nn.BCEWithLogitsLoss(), np.array([[-1.0], [1.0]]), r"targets must lie in 0 \.\.\. 1; .* -1.0"),
    (nn.BCELoss(), np.array([[2.0], [1.0]]), r"targets must lie in 0 \.\.\. 1; .* to 2.0"),
    (nn.PoissonNLLLoss(), np.array([[-1], [1]]), "targets, .* must be at least 0; .* -1 to 1"),
    (nn.KLDivLoss(), np.array([[-0.5], [1.0]]), "targets, .* must be at least 0"),
]


@pytest.mark.parametrize(("loss", "y", "words"), REFUSED)
def test_targets_out_of_range_are_refused_before_training(loss, y, words):
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    before = model.state_dict()
    trainer = trainer_of(model, loss)
    x = np.zeros((2, 2), "f")
    good = np.ones((2, 1))
    fit = {"epochs": 1, "batch_size": 2, "progress": False}
    with pytest.raises(ValueError, match=f"training {words}"):
        trainer.fit(x, y, **fit)
    with pytest.raises(ValueError, match=f"validation {words}"):
        trainer.fit(x, good, validation_data=(x, y), **fit)
    with pytest.raises(ValueError, match=f"^{words}"):
        trainer.evaluate(x, y)
    assert trainer.step == 0
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    trainer.fit(x, good, **fit)


def test_a_rate_that_leaves_its_range_stops_training():
    """The model's output has no value while a step is captured, so only NaN shows the fault."""
    model = nn.Linear(1, 1, dtype="float64")
    model.weight.assign(np.array([[-1.0]]))
    trainer = trainer_of(model, nn.PoissonNLLLoss(log_input=False))
    with pytest.raises(cr.NonFiniteError, match="first in log"):
        trainer.fit(np.full((4, 1), 5.0), np.ones((4, 1)), batch_size=4, progress=False)
