"""The Trainer: what data it takes and gives, what it refuses, and what it leaves as it was."""

import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from training_cases import (
    Counter,
    Noise,
    assert_close,
    assert_same_bits,
    classification,
    network,
    noisy_network,
    regression,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")


def fit(trainer, x, y, **options):
    return trainer.fit(x, y, **{"epochs": 2, "batch_size": 8, "progress": False, **options})


def everything(trainer):
    arrays = weights(trainer.model)
    arrays |= {
        f"optimizer.{k}": v
        for k, v in trainer.optimizer.state_dict().items()
        if isinstance(v, np.ndarray)
    }
    arrays["generator"] = trainer.graphs.generator.state.numpy().copy()
    arrays["counts"] = np.array([trainer.epoch, trainer.step, trainer.state.position])
    arrays["lr"] = np.array(trainer.optimizer.param_groups[0]["lr"])
    return arrays


# Inputs and outputs


class Sum(nn.Module):
    """Two inputs, by position or by name."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3, dtype="float64"), nn.Linear(2, 3, dtype="float64")

    def forward(self, table, extra):
        return self.a(table) + self.b(extra)


class Both(Sum):
    """Two inputs and two outputs, as a tuple or a dict."""

    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, table, extra):
        a, b = self.a(table), self.b(extra)
        return (a, b) if self.form is tuple else {"second": b, "first": a}


def two_inputs(rows=21):
    x, y = classification(rows)
    return x, np.random.default_rng(5).standard_normal((rows, 2)), y


@pytest.mark.parametrize("form", ["tuple", "list", "dict", "dict in another order"])
def test_several_inputs(form):
    table, extra, y = two_inputs()
    x = {
        "tuple": (table, extra),
        "list": [table, extra],
        "dict": {"table": table, "extra": extra},
        "dict in another order": {"extra": extra, "table": table},
    }[form]
    start = Sum().state_dict()
    found = []
    for data in (x, (table, extra)):
        model = Sum()
        model.load_state_dict(start)
        trainer = trainer_of(model, metrics=["accuracy"])
        fit(trainer, data, y)
        wanted = model(cr.tensor(table), cr.tensor(extra)).numpy()
        np.testing.assert_allclose(trainer.predict(data, batch_size=4), wanted, rtol=1e-12)
        found.append((weights(model), trainer.evaluate(data, y)))
    assert_same_bits(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("form", [tuple, dict])
def test_several_outputs_and_targets(form):
    table, extra, y = two_inputs()
    names = (0, 1) if form is tuple else ("first", "second")
    targets = (y, table[:, :3]) if form is tuple else {"second": table[:, :3], "first": y}

    def loss(outputs, targets):
        first, second = names
        return nn.CrossEntropyLoss()(outputs[first], targets[first]) + nn.MSELoss()(
            outputs[second], targets[second]
        )

    model = Both(form)
    trainer = trainer_of(model, loss)
    history = fit(trainer, (table, extra), targets, epochs=20)
    assert history["loss"][-1] < history["loss"][0]
    found = trainer.predict((table, extra), batch_size=5)
    wanted = model(cr.tensor(table), cr.tensor(extra))
    assert type(found) is form and (form is tuple or list(found) == ["second", "first"])
    for name in names:
        assert isinstance(found[name], np.ndarray)
        np.testing.assert_allclose(found[name], wanted[name].numpy(), rtol=1e-12)
    value = trainer.evaluate((table, extra), targets, batch_size=21)["loss"]
    np.testing.assert_allclose(value, loss(wanted, targets).item(), rtol=1e-12)


def test_memory_mapped_files_are_read_batch_by_batch(tmp_path):
    x, y = classification(50)
    for name, array in (("x", x), ("y", y)):
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    found = []
    for data in (mapped, (x, y)):
        trainer = trainer_of(network(), metrics=["accuracy"])
        fit(trainer, *data)
        output = trainer.predict(data[0])
        assert type(output) is np.ndarray
        found.append((weights(trainer.model), trainer.evaluate(*data), output))
    assert_same_bits(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    np.testing.assert_array_equal(found[0][2], found[1][2])


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float16", "float32"])
def test_images_and_floats_of_other_dtypes_are_cast(dtype):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2 if dtype == "bool" else 200, (30, 2, 2)).astype(dtype)
    _, y = classification(30)
    found = []
    for x in (images, images.astype("float64")):
        model = nn.Sequential(nn.Flatten(), network())
        trainer = trainer_of(model, optimizer=optim.SGD(model.parameters(), lr=1e-3))
        fit(trainer, x, y)
        assert trainer.predict(x).dtype == np.float64
        found.append(weights(model))
    assert_same_bits(*found)


def test_a_float32_model_takes_float64_data():
    x, y = classification(30)
    found = []
    for data in (x, x.astype("float32"), np.asfortranarray(x), x[::-1][::-1], x.tolist()):
        trainer = trainer_of(network(dtype="float32"))
        fit(trainer, data, y)
        assert trainer.predict(data).dtype == np.float32
        found.append(weights(trainer.model))
    for other in found[1:]:
        assert_same_bits(other, found[0])


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "uint16", "uint64", ">i2"])
def test_labels_of_any_whole_type(dtype):
    x, y = classification(30)
    found = []
    for labels in (y.astype(dtype), y, y.tolist()):
        trainer = trainer_of(network(), metrics=["accuracy"])
        history = fit(trainer, x, labels, validation_data=(x, labels))
        found.append((weights(trainer.model), history["validation_accuracy"]))
    for other in found[1:]:
        assert_same_bits(other[0], found[0][0])
        assert other[1] == found[0][1]


def test_tensors_are_data_too():
    x, y = classification(30)
    found = []
    for data in ((x, y), (cr.tensor(x), cr.tensor(y))):
        trainer = trainer_of(network())
        fit(trainer, *data)
        found.append((weights(trainer.model), trainer.predict(data[0])))
    assert_same_bits(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("batch_size", [1, 29, 30])
def test_sizes_of_batches_at_the_edges(batch_size):
    x, y = classification(30)
    trainer = trainer_of(network())
    fit(trainer, x, y, batch_size=batch_size, epochs=1)
    assert trainer.step == -(-30 // batch_size)
    wanted = trainer.model(cr.tensor(x)).numpy()
    for size in (1, 7, 30, 1000):
        np.testing.assert_allclose(trainer.predict(x, batch_size=size), wanted, rtol=1e-12)
    assert trainer.predict(x[:1]).shape == (1, 3)


def test_predictions_are_arrays_of_ones_own():
    x, y = classification(30)
    trainer = trainer_of(network())
    first = trainer.predict(x)
    copy = first.copy()
    fit(trainer, x, y)
    second = trainer.predict(x)
    second[...] = 0
    np.testing.assert_array_equal(first, copy)
    assert trainer.predict(x).any()
    # A model that passes its input on does not hand out the caller's memory.
    model = nn.Sequential(nn.Identity(), nn.Identity())
    model.extra = cr.Parameter([1.0], dtype="float64")
    output = trainer_of(model).predict(x)
    output[...] = 0
    assert x.any()


# What stays as it was


def test_evaluating_and_predicting_change_nothing_and_use_evaluation_mode():
    x, y = classification(30)
    model = noisy_network()
    trainer = trainer_of(model, metrics=["accuracy"])
    fit(trainer, x, y)
    model.train()
    model[1].eval()
    before = everything(trainer)
    modes = [module.training for module in model.modules()]
    outputs, results = trainer.predict(x), trainer.evaluate(x, y)
    assert [module.training for module in model.modules()] == modes
    assert_same_bits(everything(trainer), before)
    np.testing.assert_array_equal(trainer.predict(x), outputs)
    assert trainer.evaluate(x, y) == results
    wanted = model.eval()(cr.tensor(x)).numpy()
    np.testing.assert_allclose(outputs, wanted, rtol=1e-12)
    assert results["accuracy"] == np.mean(wanted.argmax(1) == y)
    # Training uses training mode, whatever the modes are: the buffer moves.
    buffer = model[3].mean.numpy().copy()
    fit(trainer, x, y, epochs=1)
    assert (model[3].mean.numpy() != buffer).all()
    assert not any(module.training for module in model.modules())


def test_random_numbers_in_evaluation_are_others_each_time():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + cr.normal(x.shape, x.dtype)

    x, y = classification(30)
    found = []
    for backend in ("native", "reference"):
        model = nn.Sequential(*network(), Noisy())
        trainer = trainer_of(model, seed=4, backend=backend)
        losses = [trainer.evaluate(x, y)["loss"] for _ in range(2)]
        assert losses[0] != losses[1]
        found.append([*losses, trainer.predict(x).sum()])
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_evaluating_between_fits_does_not_change_training():
    x, y = classification(30)
    found = []
    for evaluating in (False, True):
        trainer = trainer_of(noisy_network())
        for _ in range(3):
            fit(trainer, x, y, epochs=1)
            if evaluating:
                trainer.evaluate(x, y)
                trainer.predict(x[:3])
        found.append(weights(trainer.model))
    assert_same_bits(*found)


def test_one_seed_gives_one_sequence_of_bits():
    x, y = classification(30)

    def trained(seed, fits=(4,)):
        cr.manual_seed(np.random.randint(1000))  # the default generator has no part in it
        trainer = trainer_of(noisy_network(), seed=seed)
        for epochs in fits:
            fit(trainer, x, y, epochs=epochs)
        return weights(trainer.model)

    assert_same_bits(trained(0), trained(0))
    assert_same_bits(trained(0), trained(0, fits=(1, 2, 1)))
    assert any((a != trained(1)[name]).any() for name, a in trained(0).items())


def test_every_epoch_visits_each_row_once_in_an_order_of_its_own():
    x = np.arange(20, dtype="float64").reshape(-1, 1)
    seen = []

    class Look(nn.Module):
        """Learns nothing, and keeps the rows of the last batch in a buffer."""

        def __init__(self):
            super().__init__()
            self.weight = cr.Parameter(np.zeros(1))
            self.rows = cr.Buffer(np.zeros((5, 1)))

        def forward(self, x):
            if self.training:
                self.rows.assign(x * 1.0)
            return x * self.weight

    class Watch(cr.Callback):
        def on_step_end(self, trainer, loss):
            seen.extend(trainer.model.rows.numpy().ravel().astype(int).tolist())

    for shuffle in (True, False):
        seen.clear()
        trainer = trainer_of(Look(), nn.MSELoss(), callbacks=[Watch()])
        fit(trainer, x, x, batch_size=5, shuffle=shuffle)
        first, second = seen[:20], seen[20:]
        assert sorted(first) == sorted(second) == list(range(20))
        assert (first == list(range(20))) == (not shuffle)
        assert (first == second) == (not shuffle)


def test_the_data_are_left_alone():
    x, y = classification(30)
    copies = x.copy(), y.copy()
    x.setflags(write=False)
    y.setflags(write=False)
    trainer = trainer_of(noisy_network())
    fit(trainer, x, y, validation_fraction=0.2)
    trainer.predict(x)
    np.testing.assert_array_equal(x, copies[0])
    np.testing.assert_array_equal(y, copies[1])


# What is refused, before anything changes

NAN_ROW = np.where(np.arange(120).reshape(30, 4) == 50, np.nan, 1.0)  # row 12, column 2

BAD_DATA = {
    "too few features": (
        lambda x, y: (x[:, :3], y), cr.ShapeError, r"0 \(Linear\).*length 4.*\(8, 3\).*Change"),
    "images without Flatten": (
        lambda x, y: (x.reshape(30, 2, 2), y), cr.ShapeError, r"Linear.*Put a Flatten\(\)"),
    "whole numbers as inputs": (
        lambda x, y: ((x * 9).astype(int), y), cr.DTypeError, r"Linear.*int64.*'float64'"),
    "floating labels": (
        lambda x, y: (x, y.astype(float)), cr.DTypeError, r"CrossEntropyLoss.*astype\('int64'\)"),
    "a column of labels": (
        lambda x, y: (x, y[:, None]), cr.ShapeError, r"CrossEntropyLoss.*\(8, 1\).*reshape"),
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
    "None": (lambda x, y: (x, None), TypeError, "y is None"),
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
        ({"batch_size": 31}, ValueError, "batch_size is 31 but the data has 30 rows"),
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
        (lambda: fit(trainer, x, -abs(y)), "training"),
        (lambda: fit(trainer, x, -abs(y), sample_weight=w), "training"),
        (lambda: fit(trainer, x, abs(y), validation_data=(x, -abs(y))), "validation"),
        (lambda: trainer.evaluate(x, -abs(y), sample_weight=w), "validation"),
    ):
        with pytest.raises(ValueError, match=f"^{kind} counts are not negative, got -"):
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


# Numbers that are not finite


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_becomes_infinite_stops_with_the_weights_of_before(accumulate):
    x, y = regression(32)
    with cr.use_generator(cr.Generator(3)):
        model = nn.Sequential(nn.Linear(4, 8, dtype="float64"), nn.Linear(8, 1, dtype="float64"))
    seen, start = [], weights(model)

    class Keep(cr.Callback):
        def on_step_end(self, trainer, loss):
            seen.append(everything(trainer))

    trainer = trainer_of(
        model,
        nn.MSELoss(),
        optim.SGD(model.parameters(), lr=20.0, momentum=0.9),
        callbacks=[Keep()],
        accumulate=accumulate,
    )
    with pytest.raises(cr.NonFiniteError) as caught:
        fit(trainer, x, y, epochs=100)
    text = str(caught.value)
    found = re.search(r"epoch (\d+), step (\d+): loss (\S+), first in (\w+)", text)
    assert found, text
    assert int(found[1]) == trainer.epoch + 1 and int(found[2]) == trainer.step + 1
    assert "learning rate" in text and "clip_norm" in text
    assert all(np.isfinite(array).all() for array in weights(model).values())
    assert_same_bits(everything(trainer), seen[-1])
    # The model is usable, and from sound weights training goes on.
    trainer.predict(x)
    model.load_state_dict(start)
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    trainer.optimizer.param_groups[0]["momentum"] = 1e-9
    trainer.callbacks.clear()
    fit(trainer, x, y, epochs=1)
    assert_same_bits(weights(model), start)


def test_weights_that_were_loaded_before_the_first_bad_step_are_kept():
    """They are what the model had before this step, not what an earlier run left."""
    x = np.ones((16, 1))
    x[11] = -1.0

    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = cr.Parameter([[1.0]], dtype="float64")

        def forward(self, x):
            return cr.sqrt(cr.matmul(x, self.weight))

    model = Root()
    trainer = trainer_of(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e-3))
    for value in (1.0, 4.0, 9.0):
        model.weight.assign([[value]])
        with pytest.raises(cr.NonFiniteError):
            fit(trainer, x[8:], np.zeros((8, 1)), shuffle=False)
        assert model.weight.item() == value
    fit(trainer, x[:8], np.zeros((8, 1)))
    assert 8.9 < model.weight.item() < 9.0


def test_the_operation_that_went_wrong_is_named():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1, dtype="float64")
            self.layer.weight.assign([[1.0]])
            self.layer.bias.assign([0.0])

        def forward(self, x):
            return cr.log(self.layer(x))

    x = np.linspace(1, 2, 16).reshape(-1, 1)
    x[11] = -1.0  # of the second batch
    model = nn.Sequential(Root())
    trainer = trainer_of(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e-3))
    with pytest.raises(cr.NonFiniteError, match=r"epoch 1, step 2: loss nan, first in log in 0"):
        fit(trainer, x, x, shuffle=False)
    assert trainer.step == 1


def test_the_good_steps_before_a_bad_one_count():
    """Also of steps that run at once: state, position and sums are those of the last good one."""
    x, y = regression(40)
    bad = x.copy()
    bad[33] = 1e200  # the square of the fifth batch's error overflows

    def made():
        with cr.use_generator(cr.Generator(3)):
            model = nn.Sequential(nn.Linear(4, 1, dtype="float64"), Noise())
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        schedule = optim.ExponentialLR(optimizer, 0.5, unit="step")
        return trainer_of(model, nn.MSELoss(), optimizer, schedule=schedule, metrics=["mae"])

    trainer, whole = made(), made()
    with pytest.raises(cr.NonFiniteError, match="epoch 1, step 5: "):
        fit(trainer, bad, y, shuffle=False)
    assert (trainer.state.position, trainer.step, trainer.schedule.t) == (4, 4, 4)
    fit(trainer, x, y, shuffle=False, epochs=1)  # the same epoch, with data that are in order
    fit(whole, x, y, shuffle=False, epochs=1)
    assert_same_bits(everything(trainer), everything(whole))
    for name in ("loss", "mae"):
        np.testing.assert_allclose(trainer.history[name], whole.history[name], rtol=1e-12)


def test_a_gradient_that_is_not_finite_where_the_loss_is():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = cr.Parameter([[0.0]], dtype="float64")

        def forward(self, x):
            return cr.sqrt(cr.matmul(x, self.weight))

    x = np.ones((8, 1))
    trainer = trainer_of(Root(), nn.MSELoss())
    with pytest.raises(cr.NonFiniteError, match=r"loss 1\.0, first in \w+.*backward"):
        fit(trainer, x, x)
    assert trainer.model.weight.item() == 0.0


def test_large_finite_numbers_are_no_reason_to_stop():
    """Their sum overflows, they do not."""
    model = nn.Linear(4, 4, bias=False)
    model.weight.assign(np.full((4, 4), 3e38, "float32"))
    trainer = trainer_of(
        model, lambda o, t: (o * 0.0).mean(), optim.SGD(model.parameters(), lr=0.1)
    )
    x = np.full((8, 4), 1e-3)
    fit(trainer, x, x)
    assert trainer.epoch == 2


def test_data_that_overflow_the_model_s_dtype_are_named():
    x, y = classification(30)
    x[3] = 1e300
    trainer = trainer_of(network(dtype="float32"))
    before = everything(trainer)
    for call in (lambda: fit(trainer, x, y), lambda: trainer.predict(x)):
        with pytest.raises(ValueError, match=r"x holds numbers beyond 3\.4e\+38.*float32"):
            call()
    assert_same_bits(everything(trainer), before)


# Ctrl-C


class Interrupt(cr.Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer, loss):
        if trainer.step == self.step:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("step", [1, 4, 5])
def test_an_interrupt_ends_the_batch_and_leaves_all_in_order(step, capsys):
    x, y = classification(30)
    handler = signal.getsignal(signal.SIGINT)
    trainer = trainer_of(noisy_network(), callbacks=[Interrupt(step)])
    history = fit(trainer, x, y, epochs=3, progress=True)
    assert history.stop_reason == trainer.history.stop_reason == "interrupted"
    assert trainer.step == step
    assert "interrupted" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is handler
    trainer.predict(x)
    fit(trainer, x, y, epochs=3 - trainer.epoch)
    assert history.stop_reason is None
    whole = trainer_of(noisy_network())
    fit(whole, x, y, epochs=3)
    assert_same_bits(weights(trainer.model), weights(whole.model))


def test_an_interrupt_keeps_a_checkpoint_from_which_training_goes_on(tmp_path):
    path = tmp_path / "model.safetensors"
    x, y = classification(30)
    first = trainer_of(noisy_network(), callbacks=[Interrupt(2)])
    fit(first, x, y, epochs=3, checkpoint=path)
    second = trainer_of(noisy_network(), callbacks=[Interrupt(None)])
    fit(second, x, y, epochs=3, checkpoint=path, resume=True)
    whole = trainer_of(noisy_network())
    fit(whole, x, y, epochs=3)
    assert_same_bits(weights(second.model), weights(whole.model))


def test_a_second_interrupt_acts_at_once():
    x, y = classification(30)

    class Twice(cr.Callback):
        def on_step_end(self, trainer, loss):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    trainer = trainer_of(network(), callbacks=[Twice()])
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, x, y)
    assert signal.getsignal(signal.SIGINT) is handler
    trainer.predict(x)


def test_a_program_with_its_own_handler_keeps_it():
    x, y = classification(30)
    calls = []
    before = signal.signal(signal.SIGINT, lambda *_: calls.append(1))
    try:
        trainer = trainer_of(network(), callbacks=[Interrupt(2)])
        history = fit(trainer, x, y)
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls == [1] and history.stop_reason is None and trainer.epoch == 2


def test_training_in_another_thread():
    x, y = classification(30)
    trainer = trainer_of(network())
    thread = threading.Thread(target=fit, args=(trainer, x, y))
    thread.start()
    thread.join()
    assert trainer.epoch == 2


@pytest.mark.skipif(os.name != "posix", reason="signals to other programs are POSIX's")
def test_ctrl_c_in_a_program():
    script = """
import numpy as np
import chainrule as cr
from chainrule import nn, optim

class Say(cr.Callback):
    def on_step_end(self, trainer, loss):
        if trainer.step == 1:
            print("go", flush=True)

model = nn.Linear(8, 2)
trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), callbacks=[Say()])
x = np.ones((64, 8), "float32")
history = trainer.fit(x, x[:, :2], epochs=10**7, batch_size=8, progress=False)
print(history.stop_reason, np.isfinite(trainer.predict(x)).all())
more = trainer.fit(x, x[:, :2], epochs=1, batch_size=8, progress=False)
print(more.stop_reason)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "go\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "interrupted True\nNone\n", "")


def test_gradient_descent_finds_the_least_squares_solution():
    """The whole machine against the normal equations."""
    x, y = regression(40, targets=2)
    y += np.random.default_rng(9).standard_normal(y.shape)
    model = nn.Linear(4, 2, dtype="float64")
    trainer = trainer_of(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.3, momentum=0.5))
    fit(trainer, x, y, epochs=400, batch_size=40)
    wanted = np.linalg.lstsq(np.hstack([x, np.ones((40, 1))]), y, rcond=None)[0]
    assert_close(
        {"weight": model.weight.numpy(), "bias": model.bias.numpy()},
        {"weight": wanted[:-1].T, "bias": wanted[-1]},
        1e-9,
    )


def test_layers_with_state_need_nothing_special():
    """The helpers of these tests do what they say."""
    layer = Counter(2)
    layer(cr.tensor([[1.0, 3.0]], dtype="float64"))
    np.testing.assert_allclose(layer.mean.numpy(), [0.1, 0.3])
    ones = Noise(0.5)(cr.tensor(np.ones(1000)))
    assert set(ones.numpy()) == {0.0, 2.0}
