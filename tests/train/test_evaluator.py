"""The Evaluator: a Trainer's answers, without an optimizer and without a training."""

import numpy as np
import pytest
from training_cases import (
    assert_same_bits,
    classification,
    fit,
    network,
    noisy_network,
    trainer_of,
    weighted_cross_entropy,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")

X, Y = classification(37)


def test_it_answers_as_a_trainer_does():
    trainer = trainer_of(noisy_network(), metrics=["accuracy"], seed=4)
    fit(trainer, X, Y)
    evaluator = cr.Evaluator(trainer.model, nn.CrossEntropyLoss(), ["accuracy"], seed=4)
    assert evaluator.evaluate(X, Y) == trainer.evaluate(X, Y)
    assert evaluator.evaluate(X, Y, batch_size=5) == trainer.evaluate(X, Y, batch_size=5)
    np.testing.assert_array_equal(evaluator.predict(X), trainer.predict(X))
    np.testing.assert_array_equal(
        evaluator.predict_samples(X, samples=3), trainer.predict_samples(X, samples=3)
    )


def test_it_needs_no_parameters():
    evaluator = cr.Evaluator(nn.Flatten(), nn.MSELoss())
    assert evaluator.evaluate([[1.0], [2.0]], [[1.0], [4.0]]) == {"loss": 2.0}


def test_weights_of_rows():
    w = np.linspace(0, 2, len(X))
    found = cr.Evaluator(network(), weighted_cross_entropy).evaluate(X, Y, sample_weight=w)
    wanted = trainer_of(network(), weighted_cross_entropy).evaluate(X, Y, sample_weight=w)
    assert found == wanted
    with pytest.raises(TypeError, match="can't weight rows"):
        cr.Evaluator(network(), lambda output, target: (output[:, 0] - target).mean()).evaluate(
            X, Y, sample_weight=w
        )


def test_averages_are_used_and_the_model_is_left_alone():
    model = network()
    ema = optim.EMA(model.parameters(), 0.5)
    trainer = trainer_of(model, ema=ema)
    fit(trainer, X, Y)
    before = weights(model)
    evaluator = cr.Evaluator(model, nn.CrossEntropyLoss(), ema=ema)
    assert evaluator.evaluate(X, Y) == trainer.evaluate(X, Y)
    assert evaluator.evaluate(X, Y) != cr.Evaluator(model, nn.CrossEntropyLoss()).evaluate(X, Y)
    assert_same_bits(weights(model), before)


def test_a_training_beside_it_is_the_same():
    """Both keep the model's states in memory of their own."""
    alone, beside = trainer_of(network()), trainer_of(network())
    evaluator = cr.Evaluator(beside.model, nn.CrossEntropyLoss())
    losses = []
    for _ in range(3):
        fit(alone, X, Y, epochs=1)
        fit(beside, X, Y, epochs=1)
        losses.append(evaluator.evaluate(X, Y)["loss"])
    assert_same_bits(weights(beside.model), weights(alone.model))
    assert losses == sorted(losses, reverse=True)


def test_freezing_a_model_captures_no_new_evaluation(monkeypatch):
    captured = []

    def counted(*arguments):
        captured.append(1)
        return cr.capture(*arguments)

    monkeypatch.setattr("chainrule.train.training_step.capture", counted)
    trainer = trainer_of(network())
    trainer.evaluate(X, Y)
    captured.clear()
    trainer.model.requires_grad_(False)
    trainer.evaluate(X.astype("float32"), Y.astype("int32"))  # the dtypes of a step are the same
    assert captured == []


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"metrics": ["accuracies"]}, ValueError, "accuracies"),
        ({"ema": optim.EMA}, TypeError, "ema has the methods"),
        ({"seed": -1}, ValueError, "a seed is a whole number in 0"),
        ({"backend": "gpu"}, ValueError, "backend is 'native' or 'reference', got 'gpu'"),
        ({"backend": ["native"]}, ValueError, "backend is 'native' or 'reference', got .'native'"),
        ({"model": nn.Linear}, TypeError, "model is a Module, got <class"),
        ({"model": lambda x: x}, TypeError, "model is a Module, got <function"),
        ({"loss": nn.MSELoss}, TypeError, "the loss is an object .*, got <class"),
        ({"loss": None}, TypeError, "the loss is an object .*, got None"),
    ],
)
def test_bad_arguments(options, error, text):
    with pytest.raises(error, match=text):
        cr.Evaluator(**{"model": network(), "loss": nn.CrossEntropyLoss(), **options})


def test_bad_data():
    evaluator = cr.Evaluator(network(), nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"^labels must lie in 0 ... 2"):
        evaluator.evaluate(X, Y + 1)
    with pytest.raises(ValueError, match="x holds nan"):
        evaluator.predict(np.full((2, 4), np.nan))
    with pytest.raises(ValueError, match="no stochastic layer"):
        evaluator.predict_samples(X)
