"""What the tests of the page share: worked networks, and their explanations."""

import numpy as np

import chainrule as cr
from chainrule import nn, optim


def layer(weight, bias=None):
    """A fully connected layer with these numbers, in float64."""
    rows, columns = np.shape(weight)
    made = nn.Linear(columns, rows, bias=bias is not None, dtype="float64")
    made.weight.assign(cr.tensor(weight, dtype="float64"))
    if bias is not None:
        made.bias.assign(cr.tensor(bias, dtype="float64"))
    return made


def half_squares(output, target):
    return 0.5 * ((output - target) ** 2).sum()


def mazur(**options):
    """The 2-2-2 network of Mazur's example; its biases stay."""
    first = layer([[0.15, 0.20], [0.25, 0.30]], [0.35, 0.35])
    second = layer([[0.40, 0.45], [0.50, 0.55]], [0.60, 0.60])
    model = nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid())
    optimizer = optim.SGD([first.weight, second.weight], lr=0.5)
    return cr.explain(model, [0.05, 0.10], [0.01, 0.99], half_squares, optimizer, **options)


def three_three_three():
    """The 3-3-3 network of the lecture, without biases."""
    first = layer([[0.9, 0.3, 0.4], [0.2, 0.8, 0.2], [0.1, 0.5, 0.6]])
    second = layer([[0.3, 0.7, 0.5], [0.6, 0.5, 0.2], [0.8, 0.1, 0.9]])
    model = nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid())
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    return cr.explain(model, [0.9, 0.1, 0.8], [1.0, 0.0, 1.0], nn.MSELoss(), optimizer)
