"""What the tests of the page share: worked networks, and their explanations."""

from functools import cache

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


class Masked(nn.Module):
    """Its activation is a choice between two values."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layer([[1.0, -2.0], [0.5, 3.0]], [0.1, 0.2]), layer([[2.0, 1.0]])

    def forward(self, x):
        z = self.first(x)
        return self.second(cr.where(z > 0, z, 0.1 * z))


class Twice(nn.Module):
    """One layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.layer = layer([[0.5, -1.0], [0.25, 2.0]], [0.1, -0.3])

    def forward(self, x):
        return self.layer(cr.sigmoid(self.layer(x)))


@cache
def networks():
    """Steps of many kinds of networks, by name."""
    cr.manual_seed(0)
    x, y = np.linspace(-1, 1.5, 6).reshape(2, 3), np.array([[1.0, 0.0, 0.5, -1.0], [0, 2, 1, -2]])
    dense = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 4))
    sgd = optim.SGD(dense.parameters(), lr=0.5)

    def explained(layers, x=x, y=y, loss=half_squares, **options):
        model = nn.Sequential(*layers)
        return cr.explain(model, x, y, loss, optim.Adam(model.parameters()), **options)

    def penalised(output, target):
        return half_squares(output, target) + 0.01 * (dense[0].weight ** 2).sum()

    last, normed = nn.Linear(2, 4), nn.utils.weight_norm(nn.Linear(3, 2))
    block = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.1, batch_first=True)
    text = [nn.Embedding(5, 4), block, nn.Flatten(), nn.Linear(12, 2)]
    tokens, classes = np.array([[0, 1, 2], [4, 3, 2]]), nn.CrossEntropyLoss()
    conv = [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)]
    images = np.linspace(0, 1, 72).reshape(2, 1, 6, 6)
    return {
        "letters of rows": cr.explain(dense, x, y, nn.MSELoss(), sgd, letters="row"),
        "rows": cr.explain(dense, x, y, nn.MSELoss(), sgd, form="row"),
        "columns": cr.explain(dense, x, y, nn.MSELoss(), sgd, letters="cornell"),
        "a penalty": cr.explain(dense, x, y, penalised, sgd),
        "where": explained([Masked()], [[0.3, 0.7]], [[1.0]]),
        "a layer twice": explained([Twice()], [[0.3, 0.7], [1.0, -1.0]], [[1.0, 0.0], [0.0, 1.0]]),
        "dropout": explained([nn.Linear(3, 2), nn.ReLU(), nn.Dropout(0.5), last]),
        "a way around": explained(
            [nn.Linear(3, 2), nn.Residual(nn.Linear(2, 2))], y=[[0, 1], [2, 1]]
        ),
        "PReLU": explained([nn.Linear(3, 2), nn.PReLU(), last]),
        "weight_norm": explained([normed, nn.ReLU(), last], letters="row"),
        "conv": explained(conv, images, [0, 2], classes),
        "transformer": explained(text, tokens, [0, 1], classes),
    }
