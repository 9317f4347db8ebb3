"""Bad data, arguments and losses are refused before anything changes."""

import numpy as np
import pytest
from training_cases import (
    assert_same_bits,
    classification,
    everything,
    fit,
    network,
    regression,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")


NAN_ROW = np.where(np.arange(120).reshape(30, 4) == 50, np.nan, 1.0)  # row 12, column 2

BAD_DATA = {
    "too few features": (
        lambda x, y: (x[:, :3], y), cr.ShapeError, r"0 \(Linear\).*length 4.*\(8, 3\).*Change"),
    "images without Flatten": (
        lambda x, y: (x.reshape(30, 2, 2), y), cr.ShapeError, r"Linear.*Put a Flatten\(\)"),
    "floating labels": (
        lambda x, y: (x, y.astype(float)), cr.DTypeError, r"CrossEntropyLoss.*astype\('int64'\)"),
    "several labels a row": (
        lambda x, y: (x, np.stack([y, y], 1)), cr.ShapeError, r"CrossEntropyLoss.*\(8, 2\)"),
    "NaN in x": (lambda x, y: (NAN_ROW, y), ValueError, "x holds nan at row 12, column 2"),
    "infinity in x": (
        lambda x, y: (np.where(np.isnan(NAN_ROW), np.inf, x), y), ValueError, "x holds inf"),
    "NaN in y": (lambda x, y: (x, np.full(30, np.nan)), ValueError, "y holds nan at row 0"),
    "labels too large": (
        lambda x, y: (x, y + 1), ValueError, r"0 \.\.\. 2 for 3 classes.*from 1 to 3"),
    "one label too large at the end": (
        lambda x, y: (x, np.append(y[:-1], 3)), ValueError, r"0 \.\.\. 2 for 3 classes.*to 3"),
    "negative labels": (lambda x, y: (x, y - 1), ValueError, r"0 \.\.\. 2.*from -1 to"),
    "no rows": (lambda x, y: (x[:0], y[:0]), ValueError, "x has no rows"),
    "fewer labels": (
        lambda x, y: (x, y[:20]), ValueError, r"rows.*differ: x \(30, 4\), y \(20,\)"),
    "text": (lambda x, y: (x, np.array(["cat"] * 30)), TypeError, "y holds text.*np.unique"),
    "text among numbers": (
        lambda x, y: ([[1.0, "2", 3.0, 4.0]] * 30, y), TypeError, "x holds text"),
    "objects": (lambda x, y: (x.astype(object), y), TypeError, "x is .*object"),
    "None": (lambda x, y: (x, None), TypeError, "y is missing"),
    "one number": (lambda x, y: (3.0, y), ValueError, "x is the single value"),
    "complex numbers": (lambda x, y: (x + 1j, y), TypeError, "complex"),
    "ragged rows": (lambda x, y: ([[1.0], [1.0, 2.0]], y), ValueError, "x is not an array"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_DATA)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_bad_data_are_refused_before_anything_changes(kind, accumulate):
    make, error, text = BAD_DATA[kind]
    x, y = classification(30)
    trainer = trainer_of(network(), accumulate=accumulate)
    fit(trainer, x, y)
    before = everything(trainer)
    with pytest.raises(error, match=text):
        fit(trainer, *make(x, y))
    with pytest.raises(error, match=text.replace("8", "(8|30)")):
        trainer.evaluate(*make(x, y))
    with pytest.raises(error):
        fit(trainer, x, y, validation_data=make(x, y))
    if kind.endswith(("x", "inputs", "features", "Flatten", "objects")):
        with pytest.raises(error):
            trainer.predict(make(x, y)[0])
    assert_same_bits(everything(trainer), before)
    assert len(trainer.history) == 2


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"epochs": 0}, ValueError, "epochs is at least 1, got 0"),
        ({"epochs": -3}, ValueError, "epochs"),
        ({"epochs": 2.5}, TypeError, "epochs is a whole number.*2.5"),
        ({"epochs": "3"}, TypeError, "epochs is a whole number.*'3'"),
        ({"batch_size": 0}, ValueError, "batch_size is at least 1, got 0"),
        ({"batch_size": 8.0}, TypeError, "batch_size is a whole number, at least 1; got 8.0"),
        ({"checkpoint_steps": 5}, ValueError, "need checkpoint"),
        ({"resume": True}, ValueError, "need checkpoint"),
        ({"checkpoint": "x", "checkpoint_steps": 0}, ValueError, "checkpoint_steps"),
        ({"validation_data": 3}, ValueError, "pair"),
        ({"validation_data": np.zeros((30, 4))}, ValueError, "pair"),
        ({"validation_data": (np.zeros((3, 4)), np.zeros(2, int))}, ValueError, "rows"),
        ({"validation_data": (np.zeros((3, 3)), np.zeros(3, int))}, cr.ShapeError, "Linear"),
        ({"validation_data": (np.zeros((3, 4)), np.full(3, 3))}, ValueError, "validation labels"),
        ({"validation_fraction": 1.0}, ValueError, "fraction is 1.0"),
        ({"validation_fraction": -0.1}, ValueError, "fraction is -0.1"),
        (
            {"validation_fraction": 0.1, "validation_data": (np.zeros((3, 4)), np.zeros(3, int))},
            ValueError,
            "not both",
        ),
    ],
)
def test_bad_arguments_of_fit(options, error, text):
    x, y = classification(30)
    trainer = trainer_of(network())
    before = everything(trainer)
    with pytest.raises(error, match=text):
        fit(trainer, x, y, **options)
    assert_same_bits(everything(trainer), before)


def test_bad_arguments_of_the_trainer():
    model, other = network(), network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def made(**options):
        return cr.Trainer(model, nn.MSELoss(), options.pop("optimizer", optimizer), **options)

    for options, error, text in [
        ({"accumulate": 0}, ValueError, "accumulate is at least 1, got 0"),
        ({"accumulate": 1.5}, TypeError, "accumulate is a whole number.*1.5"),
        ({"clip_norm": 0}, ValueError, "clip_norm is positive"),
        ({"clip_value": -1.0}, ValueError, "clip_value is positive"),
        ({"clip_norm": float("nan")}, ValueError, "clip_norm is positive"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": None}, TypeError, "seed"),
        ({"optimizer": optim.SGD(other.parameters(), lr=0.1)}, ValueError, "none of the model's"),
        ({"optimizer": optim.SGD}, TypeError, "the optimizer is an object, .* got <class"),
        ({"optimizer": None}, TypeError, "the optimizer is an object, .* got None"),
        ({"callbacks": cr.EarlyStopping()}, TypeError, r"callbacks are a list.*callbacks=\[...\]"),
        ({"callbacks": [cr.EarlyStopping]}, TypeError, "a callback is an object .* got <class"),
        (
            {"schedule": optim.StepLR(optim.SGD(model.parameters(), lr=0.1), 2)},
            ValueError,
            "bound to another optimizer",
        ),
    ]:
        with pytest.raises(error, match=text):
            made(**options)


@pytest.mark.parametrize("batch_size", [0, 2.5])
def test_bad_sizes_of_batches_for_evaluation(batch_size):
    x, y = classification(30)
    trainer = trainer_of(network())
    for call in (lambda **o: trainer.predict(x, **o), lambda **o: trainer.evaluate(x, y, **o)):
        with pytest.raises((TypeError, ValueError), match="batch_size is"):
            call(batch_size=batch_size)


@pytest.mark.parametrize(
    ("loss", "error", "text"),
    [
        (nn.CrossEntropyLoss(reduction="none"), cr.ShapeError, r"scalar.*got \(8,\).*reduction"),
        (lambda o, t: 3.0, cr.ShapeError, "scalar Tensor, got float"),
        (lambda o, t: (o.sum(), o.mean()), cr.ShapeError, "scalar Tensor, got tuple"),
        (lambda o, t: cr.stop_gradient(o).sum(), ValueError, "depends on no parameter"),
        (lambda o, t: o.sum() if o.sum() > 0 else o.mean(), cr.SymbolicError, "cr.where"),
    ],
)
def test_bad_losses(loss, error, text):
    x, y = classification(30)
    trainer = trainer_of(network(), loss)
    before = everything(trainer)
    with pytest.raises(error, match=text):
        fit(trainer, x, y)
    assert_same_bits(everything(trainer), before)


def test_a_loss_says_what_is_wrong_with_targets_before_training():
    class Poisson(nn.Module):
        def target_fault(self, target):
            return f"counts are not negative, got {target.min()}" if target.min() < 0 else None

        def forward(self, output, target, sample_weight=None):
            return (cr.exp(output) - target * output).mean()

    x, y = regression(30)
    trainer = trainer_of(network(outputs=1), Poisson())
    before = everything(trainer)
    w = np.ones(30)
    for call, kind in (
        (lambda: fit(trainer, x, -abs(y)), "training "),
        (lambda: fit(trainer, x, -abs(y), sample_weight=w), "training "),
        (lambda: fit(trainer, x, abs(y), validation_data=(x, -abs(y))), "validation "),
        (lambda: trainer.evaluate(x, -abs(y), sample_weight=w), ""),
    ):
        with pytest.raises(ValueError, match=f"^{kind}counts are not negative, got -"):
            call()
    assert_same_bits(everything(trainer), before)
    fit(trainer, x, abs(y), sample_weight=w)


def test_a_frozen_model_has_nothing_to_train():
    x, y = classification(30)
    trainer = trainer_of(network().requires_grad_(False), clip_norm=1.0)
    with pytest.raises(ValueError, match="depends on no parameter"):
        fit(trainer, x, y)


def test_a_model_that_only_fits_whole_batches_is_refused_at_once():
    """The last batch has 6 rows; a model that counts on 8 would fail at the end of the epoch."""
    x, y = classification(30)

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3, dtype="float64")

        def forward(self, x):
            return self.layer(x.reshape(8, 4))

    trainer = trainer_of(Fixed())
    before = everything(trainer)
    with pytest.raises(cr.ShapeError):
        fit(trainer, x, y)
    assert_same_bits(everything(trainer), before)
    fit(trainer, x[:24], y[:24])


def test_a_loss_with_parameters_of_its_own():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = cr.Parameter([1.0], dtype="float64")

        def forward(self, output, target):
            return (self.scale * output * output).mean()

    x, y = classification(30)
    model, loss = network(), Scaled()
    trainer = trainer_of(model, loss, optim.SGD(loss.parameters(), lr=0.1))
    before = weights(model)
    fit(trainer, x, y)
    assert_same_bits(weights(model), before)
    assert loss.scale.item() < 1.0
