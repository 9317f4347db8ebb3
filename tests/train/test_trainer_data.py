"""The Trainer's data: several inputs and outputs, dtypes, labels, sizes of batches."""

import numpy as np
import pytest
from training_cases import (
    assert_same_bits,
    classification,
    fit,
    network,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")


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


class OfPadded(nn.Module):
    """Attention that does not see padding, and a classifier of what it gives at the first place."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True, dtype="float64")
        self.last = nn.Linear(4, 3, dtype="float64")

    def forward(self, x, padding):
        seen, _ = self.attention(x, x, x, key_padding_mask=padding, need_weights=False)
        return self.last(seen[:, 0])


@pytest.mark.parametrize("form", [tuple, dict, "batches"])
def test_a_mask_beside_another_input_hides_what_it_marks(form):
    rng = np.random.default_rng(0)
    x, (_, y) = rng.standard_normal((30, 5, 4)), classification(30)
    padding = np.arange(5) >= rng.integers(1, 5, 30)[:, None]
    start, found = OfPadded().state_dict(), []
    for filling in (0.0, 100.0):  # of no effect, as no place sees it
        x = np.where(padding[:, :, None], filling, x)
        model = OfPadded()
        model.load_state_dict(start)
        inputs = {"x": x, "padding": padding} if form is dict else (x, padding)
        before = model(x, padding).numpy()
        trainer = trainer_of(model, optimizer=optim.SGD(model.parameters(), lr=0.1))
        np.testing.assert_allclose(trainer.predict(inputs), before, rtol=1e-12)
        np.testing.assert_allclose(cr.serve.Predictor(model).predict(inputs), before, rtol=1e-12)
        data = ([(inputs, y)],) if form == "batches" else (inputs, y)
        trainer.fit(*data, epochs=2, progress=False)
        found.append([*weights(model).values(), before])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", [tuple, dict])
def test_a_mask_beside_other_targets_stays_one(form):
    rng = np.random.default_rng(0)
    x, y, hidden = rng.normal(size=(9, 2)), rng.normal(size=(9, 1)), rng.random((9, 1)) < 0.5
    targets = {"y": y, "hidden": hidden} if form is dict else (y, hidden)

    def loss(outputs, targets):
        y, hidden = targets.values() if form is dict else targets
        return cr.where(~hidden, (outputs - y) ** 2, 0.0).sum()

    def by_index(outputs, targets):
        y, hidden = targets.values() if form is dict else targets
        return ((outputs - y)[hidden] ** 2).sum()

    model = nn.Linear(2, 1, dtype="float64")
    z = x @ model.weight.numpy().T + model.bias.numpy()
    trainer = cr.Trainer(model, loss, optim.SGD(model.parameters(), lr=0.1))
    assert trainer.evaluate(x, targets)["loss"] == pytest.approx(((z - y)[~hidden] ** 2).sum())
    history = trainer.fit(x, targets, epochs=1, batch_size=9, progress=False)
    assert history["loss"] == pytest.approx([((z - y)[~hidden] ** 2).sum()])
    with pytest.raises(cr.DTypeError, match="boolean mask"):
        cr.Trainer(model, by_index, optim.SGD(model.parameters(), lr=0.1)).evaluate(x, targets)


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize(
    "of_classes", [nn.CrossEntropyLoss(), nn.NLLLoss(), nn.MultiMarginLoss()], ids=str
)
def test_booleans_beside_other_targets_are_labels_of_a_loss_of_classes(of_classes, column):
    x, y = classification(30)

    class Two(nn.Linear):
        def forward(self, input):
            outputs = super().forward(input)
            return outputs[:, :2], outputs[:, 2:]

    def loss(outputs, targets):
        labels = targets[0].reshape(-1) if column else targets[0]
        return of_classes(outputs[0], labels) + nn.functional.mse_loss(outputs[1], targets[1])

    found = []
    for dtype in (bool, int):
        cr.manual_seed(0)
        model = Two(x.shape[1], 3, dtype="float64")
        trainer = cr.Trainer(model, loss, optim.SGD(model.parameters(), lr=0.1))
        labels = (y > 0).astype(dtype)
        targets = labels[:, None] if column else labels, x[:, :1]
        found.append(trainer.fit(x, targets, epochs=2, progress=False)["loss"])
    assert found[0] == found[1]


@pytest.mark.parametrize("form", [tuple, dict])
def test_booleans_alone_in_a_tuple_or_a_dict_are_numbers(form):
    x, y = classification(9)
    inputs = {"input": x > 0} if form is dict else (x > 0,)

    class OfNumbers(nn.Linear):
        def forward(self, input):
            assert input.dtype == np.float64
            return super().forward(input)

    def loss(outputs, targets):
        (labels,) = targets.values() if form is dict else targets
        return nn.functional.cross_entropy(outputs, labels)

    model = OfNumbers(x.shape[1], 2, dtype="float64")
    trainer = cr.Trainer(model, loss, optim.SGD(model.parameters(), lr=0.1))
    trainer.evaluate(inputs, {"y": y > 0} if form is dict else (y > 0,))
    nn.recompute_batch_statistics(nn.Sequential(model, nn.BatchNorm1d(2)), (x > 0,))


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
