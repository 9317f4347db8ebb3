"""Predictor: a network's outputs, for any number of threads, of a model that never changes."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import chainrule as cr
from chainrule import Predictor, nn


@pytest.fixture
def network():
    cr.manual_seed(0)
    return nn.Sequential(
        nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)
    )


def rows(number, dtype="float32"):
    return np.random.default_rng(number).normal(size=(number, 5)).astype(dtype)


def numpy_outputs(network, x):
    first, norm, _, _, last = network
    z = x @ first.weight.numpy().T + first.bias.numpy()
    z = (z - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps)
    a = np.maximum(z * norm.weight.numpy() + norm.bias.numpy(), 0)
    return a @ last.weight.numpy().T + last.bias.numpy()


@pytest.mark.parametrize("number", [1, 2, 3, 13, 64, 511, 512, 513, 1537])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "bool"])
def test_outputs_of_any_number_of_rows(network, number, dtype):
    x = rows(number)
    x = (x > 0).astype(dtype) if dtype in ("uint8", "bool") else x.astype(dtype)
    predictor = Predictor(network)
    expected = numpy_outputs(network, x.astype("float64"))
    for _ in range(2):  # the second call takes the short way
        assert np.allclose(predictor.predict(x), expected, atol=1e-5)
    assert np.array_equal(predictor.predict(np.asfortranarray(x)), predictor.predict(x))
    shifted = np.frombuffer(b"." + x.tobytes(), x.dtype, offset=1).reshape(x.shape)
    for _ in range(2):
        assert np.array_equal(predictor.predict(shifted), predictor.predict(x))
    if number <= 256 and not number & (number - 1):
        evaluator = cr.Evaluator(network, nn.MSELoss())
        assert np.array_equal(predictor.predict(x), evaluator.predict(x))


def test_model_is_a_copy(network):
    predictor, x = Predictor(network), rows(4)
    before = predictor.predict(x)
    for parameter in network.parameters():
        parameter.assign(parameter + 1)
    network.train()
    before[...] += 1  # what it gives is the caller's
    assert np.array_equal(predictor.predict(x) + 1, before)


def test_file_of_a_model(network, tmp_path):
    cr.save(network, tmp_path / "model.safetensors")
    found = Predictor(tmp_path / "model.safetensors").predict(rows(3))
    assert np.array_equal(found, Predictor(network).predict(rows(3)))


def test_several_inputs_and_outputs():
    class Sums(nn.Module):
        def forward(self, a, b):
            return {"sum": a + b, "both": (a, b)}

    predictor = Predictor(Sums())
    a, b = rows(13), rows(13) + 1
    for x in ((a, b), {"b": b, "a": a}):
        found = predictor.predict(x)
        assert np.array_equal(found["sum"], a + b)
        assert np.array_equal(found["both"][1], b)


def test_columns_are_found_by_name(network):
    frame = pd.DataFrame(rows(6), columns=list("abcde"))
    network._column_names = tuple("abcde")
    predictor = Predictor(network)
    expected = predictor.predict(frame)
    assert np.array_equal(predictor.predict(frame[list("ecabd")]), expected)
    with pytest.raises(ValueError, match="lacks 'c'"):
        predictor.predict(frame.drop(columns="c"))


def test_threads_get_their_own_rows(network):
    predictor = Predictor(network)
    x = rows(2_000)
    expected = np.concatenate([predictor.predict(row[None]) for row in x])

    def one(number):
        return predictor.predict(x[number : number + 1])[0]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(one, [*range(2_000)] * 8))
    assert np.array_equal(np.array(found).reshape(8, 2_000, 3), np.array([expected] * 8))


def test_embeddings_look_at_their_indices():
    predictor = Predictor(nn.Sequential(nn.Embedding(7, 2), nn.Flatten()))
    assert predictor.predict(np.array([[0, 6], [1, 1]])).shape == (2, 4)
    for index in (7, -1):
        with pytest.raises(IndexError, match="6"):
            predictor.predict(np.array([[0, index], [1, 1]]))


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int64"])
def test_a_shape_that_is_known_still_has_its_indices_looked_at(dtype):
    predictor = Predictor(nn.Sequential(nn.Embedding(7, 2), nn.Flatten()))
    for _ in range(2):
        predictor.predict(np.array([[0, 6], [1, 1]], dtype))
        with pytest.raises(IndexError, match="index 7 is out of range for a table of 7 rows"):
            predictor.predict(np.array([[0, 7], [1, 1]], dtype))


def test_embeddings_of_computed_indices():
    class Rounded(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(7, 2)

        def forward(self, x):
            return self.table(x.astype("int64"))

    predictor = Predictor(Rounded())
    for _ in range(2):
        assert predictor.predict(np.array([3.0])).shape == (1, 2)
        with pytest.raises(IndexError, match="out of range"):
            predictor.predict(np.array([8.0]))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1, 2, 3, 4, np.nan]], ValueError, "nan"),
        ([[1, 2, 3, 4, np.inf]], ValueError, "inf"),
        ([[1, 2, 3, 4, 1e300]], ValueError, "3.4e"),
        ([[1, 2, 3, 4]], cr.ShapeError, "5"),
        (np.zeros((0, 5)), ValueError, "rows"),
        ([["a", "b", "c", "d", "e"]], TypeError, "text"),
        (None, TypeError, "None"),
    ],
)
def test_rows_that_a_model_cannot_take(network, known, x, error, message):
    predictor = Predictor(network)
    if known:
        predictor.predict(rows(1, "float64"))
    with pytest.raises(error, match=message):
        predictor.predict(np.array(x) if isinstance(x, list) else x)


@pytest.mark.parametrize("model", [None, 3, nn.Linear])
def test_refuses_what_is_no_model(model):
    with pytest.raises(TypeError, match="path of a file"):
        Predictor(model)


def test_can_be_copied(network):
    predictor = Predictor(network)
    expected = predictor.predict(rows(3))
    assert np.array_equal(copy.deepcopy(predictor).predict(rows(3)), expected)
