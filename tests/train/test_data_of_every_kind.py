"""Data as users have them: few rows, vectors of targets, tables, and numbers of every dtype."""

import numpy as np
import pytest
from training_cases import (
    assert_close,
    assert_same_bits,
    classification,
    fit,
    network,
    regression,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import data, nn, optim

pytestmark = pytest.mark.usefixtures("backend")

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "longdouble", ">f2", ">f4", ">f8", ">i2", ">i4", ">i8", ">u2",
]  # fmt: skip


def test_fewer_rows_than_a_batch_are_one_batch():
    x, y = classification(10)
    found = []
    for size in (10, 64):
        trainer = trainer_of(network())
        history = fit(trainer, x, y, batch_size=size, validation_fraction=0.2)
        found.append({**weights(trainer.model), "loss": np.array(history["loss"])})
        assert trainer.step == 2
    assert_same_bits(*found)
    test = trainer.find_lr(x, y, steps=5)
    assert len(test.lrs) == 5
    assert [len(xb) for xb, _ in data.batches(x, y, 64)] == [10]
    trainer = trainer_of(network(), accumulate="epoch")
    fit(trainer, x, y, batch_size=64)
    assert trainer.step == 2


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "longdouble"])
def test_a_model_takes_what_predict_takes(dtype):
    x = np.random.default_rng(0).uniform(0, 3, (6, 4)).astype(dtype)
    for model in (
        network(dtype="float32"),
        network(dtype="float64"),
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2)),
        nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)),
        nn.Sequential(nn.PReLU(), nn.Linear(4, 2)),
    ):
        model.eval()
        dtype = next(model.parameters()).dtype
        wanted = model(cr.tensor(x.astype(dtype))).numpy()
        predicted = cr.Evaluator(model, nn.MSELoss()).predict(x)
        np.testing.assert_allclose(predicted, wanted, rtol=1e-5, atol=1e-6)
        for given in (x, cr.tensor(x)):
            found = model(given)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found.numpy(), wanted)


def test_an_output_of_another_dtype_is_refused_where_a_gradient_flows():
    model = nn.Sequential(nn.Linear(4, 3, dtype="float64"), nn.Linear(3, 2))
    with pytest.raises(cr.DTypeError, match=r"1 .Linear.*float64, this layer float32"):
        model(np.zeros((2, 4)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_on_inputs_and_targets_of_every_dtype(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 2, (30, 4)), rng.integers(0, 2, (30, 1))
    found = []
    for given in ("float64", dtype):
        trainer = trainer_of(network(outputs=1), nn.MSELoss(), metrics=["mse", "mae", "r2"])
        history = fit(trainer, x.astype(given), y.astype(given), validation_data=(x, y))
        found.append({**weights(trainer.model), "mae": np.array(history["mae"])})
    assert_close(*found, tolerance=1e-12)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if np.dtype(d).kind in "biu"])
def test_labels_of_every_dtype(dtype):
    x, y = classification(30, classes=2)
    found = []
    for given in ("int64", dtype):
        trainer = trainer_of(network(outputs=2), metrics=["accuracy"])
        fit(trainer, x, y.astype(given), validation_data=(x, y.astype(given)))
        found.append(weights(trainer.model))
    assert_same_bits(*found)


@pytest.mark.parametrize("dtype", ["complex64", "M8[s]", "U3"], ids=["complex", "dates", "text"])
def test_dtypes_that_are_no_numbers_are_refused(dtype):
    x, y = classification(30)
    for bad in ((x.astype("i8").astype(dtype), y), (x, y.astype(dtype))):
        with pytest.raises(TypeError, match=r"real numbers|holds text"):
            fit(trainer_of(network()), *bad)


def test_whole_numbers_that_int64_can_not_hold_are_refused():
    _, y = classification(30)
    bad = np.zeros((30, 4), "uint64")
    bad[7, 1] = 2**63
    with pytest.raises(ValueError, match=r"x holds 9223372036854775808: whole numbers are int64"):
        fit(trainer_of(network()), bad, y)


LOSSES = [
    nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.HalfSquaredErrorLoss(), nn.PinballLoss(0.3),
    nn.PoissonNLLLoss(), lambda o, t: ((o - t) ** 2).mean(),
]  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_a_vector_of_targets_is_a_column(loss):
    x, y = regression(30)
    y = abs(y)
    found = []
    for given in (y, y[:, 0]):
        model = network(outputs=1)
        trainer = trainer_of(model, loss, metrics=["mse", "mae", "r2"])
        history = fit(trainer, x, given, validation_data=(x, given))
        numbers = list(history.epochs[-1].values())[:-1]
        found.append(
            {
                **weights(model),
                "numbers": np.array(numbers),
                "evaluated": np.array([*trainer.evaluate(x, given).values()]),
                "range": np.array(trainer.find_lr(x, given, steps=4).losses),
            }
        )
    assert_same_bits(*found)


@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss(), nn.HingeLoss()])
def test_a_vector_of_labels_is_a_column(loss):
    x, y = classification(30, classes=2)
    if isinstance(loss, nn.HingeLoss):
        y = 2 * y - 1
    found = []
    for given in (y, y[:, None]):
        trainer = trainer_of(network(outputs=1), loss, metrics=["accuracy"])
        history = fit(trainer, x, given)
        found.append({**weights(trainer.model), "accuracy": np.array(history["accuracy"])})
    assert_same_bits(*found)


def test_a_column_of_targets_is_a_vector_for_a_model_that_gives_one():
    class Vector(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network(outputs=1)

        def forward(self, x):
            return self.net(x).reshape(-1)

    x, y = regression(30)
    found = []
    for given in (y, y[:, 0]):
        trainer = trainer_of(Vector(), nn.MSELoss(), metrics=["mae"])
        fit(trainer, x, given)
        found.append(weights(trainer.model))
    assert_same_bits(*found)


def test_a_column_of_class_labels_is_a_vector():
    x, y = classification(30)
    found = []
    for given in (y, y[:, None]):
        trainer = trainer_of(network(), metrics=["accuracy"])
        fit(trainer, x, given)
        found.append(weights(trainer.model))
    assert_same_bits(*found)


def test_a_mean_and_a_variance_for_a_vector_of_targets():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network(outputs=2)

        def forward(self, x):
            both = self.net(x)
            return both[:, :1], cr.softplus(both[:, 1:])

    x, y = regression(30)
    found = []
    for given in (y, y[:, 0]):
        trainer = trainer_of(Both(), nn.GaussianNLLLoss())
        fit(trainer, x, given)
        found.append(weights(trainer.model))
    assert_same_bits(*found)


def test_vectors_of_targets_by_name():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network(outputs=2)

        def forward(self, x):
            both = self.net(x)
            return {"a": both[:, :1], "b": both[:, 1:]}

    def loss(output, target):
        return sum(((output[k] - target[k]) ** 2).mean() for k in "ab")

    x, y = regression(30, targets=2)
    found = []
    for cut in (slice(None), 0):
        trainer = trainer_of(Two(), loss)
        fit(trainer, x, {"a": y[:, :1][:, cut], "b": y[:, 1:][:, cut]})
        found.append(weights(trainer.model))
    assert_same_bits(*found)


def rows_and_vector():
    random = np.random.default_rng(1)
    return random.standard_normal((12, 3)).astype("f"), random.standard_normal(12).astype("f")


FLAT = {
    "index": lambda o, t: ((o[:, 0] - t) ** 2).mean(),
    "reshape": lambda o, t: cr.abs(2.0 * o.reshape(-1) - (t + 1.0)).mean(),
    "squeeze": lambda o, t: cr.where(t > 0.0, o.squeeze(1), -o.squeeze(1)).sum(),
    "row": lambda o, t: cr.maximum(o.T, t).mean(),
}


@pytest.mark.parametrize("function", FLAT.values(), ids=FLAT)
@pytest.mark.parametrize("part", ["loss", "metric"])
def test_a_function_that_expects_a_vector_of_targets_says_so(function, part):
    """Beside a column of targets its outputs would be compared with those of other rows."""
    x, y = rows_and_vector()
    model = nn.Linear(3, 1)
    loss, metrics = (function, ()) if part == "loss" else (nn.MSELoss(), function)
    evaluator = cr.Evaluator(model, loss, metrics)
    with pytest.raises(cr.ShapeError, match="compares each output with each target"):
        evaluator.evaluate(x, y)
    trainer = cr.Trainer(model, loss, optim.SGD(model.parameters(), 0.1), metrics=metrics)
    with pytest.raises(cr.ShapeError, match="compares each output with each target"):
        trainer.fit(x, y, epochs=1, progress=False)
    assert trainer.step == 0


def test_functions_that_compare_rows_alone_may_broadcast():
    x, y = rows_and_vector()
    model = nn.Linear(3, 1)
    bounds = np.linspace(-1.0, 1.0, len(x), dtype="f")  # by chance as many as rows

    def both_vectors(o, t):
        return ((o[:, 0] - t[:, 0]) ** 2).mean()

    def pairs_of_targets(o, t):
        return ((o - o.T) * (t - t.T)).mean()

    def above_bounds(o, t):
        return ((t > bounds).astype("float32") * o).mean()

    for function in (both_vectors, pairs_of_targets, above_bounds):
        expected = function(model(cr.tensor(x)), cr.tensor(y[:, None])).item()
        found = cr.Evaluator(model, function).evaluate(x, y)["loss"]
        assert found == pytest.approx(expected, rel=1e-5)


def test_array_metrics_see_the_same_shapes():
    shapes = []

    def seen(outputs, targets):
        shapes.append((outputs.shape, targets.shape))
        return 0.0

    x, y = regression(30)
    metric = cr.metrics.ArrayMetric(seen)
    trainer_of(network(outputs=1), nn.MSELoss(), metrics=metric).evaluate(x, y[:, 0])
    assert shapes == [((30, 1), (30, 1))]


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64", "Float32", "bool", "boolean"])
def test_pandas(dtype):
    pd = pytest.importorskip("pandas")
    x, y = classification(30, classes=2)
    table = pd.DataFrame(x, columns=list("abcd"))
    table["a"] = table["a"] > 0
    table["b"] = (table["b"] > 0).astype("Int64")
    series = pd.Series(y, name="t").astype(dtype)
    found = []
    for inputs, targets in [
        (table.astype("float64").to_numpy(), y.astype(float)[:, None]),
        (table, series),
        (table, series.to_frame()),
    ]:
        trainer = trainer_of(network(outputs=1), nn.BCEWithLogitsLoss(), metrics=["accuracy"])
        fit(trainer, inputs, targets, validation_data=(inputs, targets))
        found.append({**weights(trainer.model), "predicted": trainer.predict(inputs)})
    assert_same_bits(found[1], found[0])
    assert_same_bits(found[2], found[0])


def test_missing_values_of_pandas():
    pd = pytest.importorskip("pandas")
    x, _ = classification(4)
    for missing in (pd.Series([1, None, 0, 1], dtype="Int64"), pd.Series([1.0, None, 0.0, 1.0])):
        with pytest.raises(
            (ValueError, TypeError), match=r"y (holds nan|is a Series of dtype obj)"
        ):
            fit(trainer_of(network(outputs=1), nn.MSELoss()), x, missing)
