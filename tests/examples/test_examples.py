"""The examples run, and reach the results that they promise."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_single_neuron(capsys):
    found = load("single_neuron").main()
    assert found["gap"] < 1e-15 and found["largest_error"] < 0.05
    assert "delta by hand" in capsys.readouterr().out


def test_linear_regression_reaches_the_closed_form():
    found = load("linear_regression").main()
    assert found["gap"] < 1e-6
    assert found["loss"] == pytest.approx(found["least_squares"], rel=1e-9)


def test_logistic_regression_reaches_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    example = load("logistic_regression")
    found = example.main()
    x, y = found["x"], found["y"]
    theirs = linear_model.LogisticRegression(
        C=1 / (example.PENALTY * len(x)), tol=1e-10, max_iter=5000
    ).fit(x, y)
    logits = theirs.decision_function(x)
    loss = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    objective = loss.mean() + example.PENALTY / 2 * np.square(theirs.coef_).sum()
    assert found["objective"] == pytest.approx(objective, rel=1e-8)
    np.testing.assert_allclose(found["weight"], theirs.coef_, atol=1e-4)
    assert found["accuracy"] == pytest.approx(theirs.score(x, y), abs=1e-12)


def test_a_hidden_layer_helps():
    accuracy = load("hidden_layer").main()
    assert accuracy["hidden layer"] > accuracy["linear"] > 0.9
    assert accuracy["hidden layer"] > 0.96


def test_depth_makes_pieces():
    for neurons, deep, shallow in load("sawtooth").main(range(1, 11)):
        assert deep == 2 ** (neurons // 2)
        assert shallow <= neurons + 1


def test_the_sawtooth_is_the_tent_map_again_and_again():
    x = np.linspace(0, 1, 257, dtype="f")[:, None]
    tent = x
    for _ in range(5):
        tent = 1 - np.abs(2 * tent - 1)
    assert np.array_equal(load("sawtooth").sawtooth(5)(x), tent)


def test_cost_is_linear(capsys):
    widths = (8, 16, 32)
    found = load("cost_is_linear").main(widths, repetitions=1)
    wanted = [2 * w * w + 10 * w + 2 * w + 10 for w in widths]
    assert found["sizes"].tolist() == wanted
    assert (found["seconds"] > 0).all() and np.isfinite(found["slope"])
    assert "R^2" in capsys.readouterr().out
