"""What `compare` takes: the names of quantities, and arguments that do not fit."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.testing import compare


def a_step():
    x = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 1.0]])
    model = nn.Linear(3, 1, dtype="float64")
    return {"model": model, "x": x, "y": np.ones((2, 1)), "loss": nn.HalfSquaredErrorLoss()}


@pytest.mark.parametrize("name", ["δ1", "dL/dz_1", "grad_z1", "∇z1", "z1.grad", "dC_dz1", "delta¹"])
def test_names_as_books_write_them(name):
    step = a_step()
    output = step["model"](step["x"])
    delta = (output.numpy() - 1) / 2
    mine = {name: delta, "grad_W1": delta.T @ step["x"]}
    assert compare(mine, **step, rtol=1e-5).correct


@pytest.mark.parametrize(
    ("mine", "message"),
    [
        ({"z3": [[0.0]]}, "has no z3, only z1, a1"),
        ({"gamma": 1.0}, "'gamma' names no quantity"),
        ({"W1": 1.0}, "new_W1"),
        ({"z1": "a"}, "not an array of numbers"),
        ({"z1": [0.0], "Z_1": [0.0]}, "two of these names"),
        ({"z1": [[1.0], [1.0, 2.0]]}, "'z1' is not an array of numbers"),
        ({"z1": None}, "'z1' is not an array of numbers: None"),
        ({}, "mine is empty"),
        (None, "mine is a dict, .*not None"),
        ([1.0], "mine is a dict"),
        ({1: 1.0}, "the names of mine are strings"),
    ],
)
def test_bad_input_is_refused(mine, message):
    with pytest.raises((ValueError, TypeError), match=message):
        compare(mine, **a_step())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": nn.Sequential}, "model is a Module.*give an object of it"),
        ({"model": [1]}, r"model is a Module, got \[1\]"),
        ({"loss": None}, "the loss is an object of nn"),
        ({"optimizer": optim.SGD}, "optimizer is an object of optim.*give an object of it"),
        ({"rtol": -1}, "rtol is not negative"),
        ({"seed": "a"}, "seed is a whole number"),
    ],
)
def test_bad_arguments_are_refused(changed, message):
    with pytest.raises((ValueError, TypeError), match=message):
        compare({"z1": [0.0, 0.0]}, **(a_step() | changed))


@pytest.mark.parametrize("name", ["dW1", "delta1", "dW2", "db1", "db2"])
def test_zeros_that_wait_for_their_numbers_are_no_slip_of_another_kind(name):
    random = np.random.default_rng(0)
    cr.manual_seed(0)  # for some seeds all hidden neurons are dead
    model = nn.Sequential(
        nn.Linear(2, 3, dtype="float64"), nn.ReLU(), nn.Linear(3, 1, dtype="float64")
    )
    x, y = random.normal(size=(2, 2)), -np.ones((2, 1))
    for layer in (model[0], model[2]):  # as where biases begin
        layer.bias.assign(np.zeros(layer.bias.shape))
    shape = {"dW1": (3, 2), "delta1": (2, 3), "dW2": (1, 3), "db1": (3,), "db2": (1,)}[name]
    result = compare({name: np.zeros(shape)}, model, x, y, nn.MSELoss())
    zeros = "as if there were no bias" if name.startswith("db") else "everywhere"
    assert result.slip.replace(",", "") == f"it is 0 {zeros}"
