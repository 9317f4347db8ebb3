"""Derivations by hand for `compare`: networks, their numbers, and slips."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np

from chainrule import nn, optim
from chainrule.testing import compare

# The derivation by hand: plain NumPy, examples as columns, from the books' four formulas.

G = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0)),
    "identity": (lambda z: z, np.ones_like),
}
LAYERS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "identity": nn.Identity}
PENALTY = 0.05


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=0)


class Case:
    """A network, its data and loss: for the graph and for the hand."""

    def __init__(self, sizes, activations, loss, rows, dtype="float64", penalty=0.0):
        random = np.random.default_rng(sum(sizes) + rows)
        self.sizes, self.names, self.loss, self.rows = sizes, activations, loss, rows
        self.dtype, self.penalty = np.dtype(dtype), penalty

        def draw(*shape):
            return random.normal(0, 0.8, shape).astype(dtype)

        self.W = [draw(n, m) for m, n in pairwise(sizes)]
        self.b = [draw(n) for n in sizes[1:]]
        self.x = draw(rows, sizes[0])
        if loss == "cross-entropy":
            self.y = random.integers(0, sizes[-1], rows)
            self.Y = np.eye(sizes[-1], dtype=dtype)[self.y].T
        else:
            self.y = random.uniform(0.1, 0.9, (rows, sizes[-1])).astype(dtype)
            self.Y = self.y.T

    def model(self):
        layers = []
        for W, b, name in zip(self.W, self.b, self.names, strict=True):
            linear = nn.Linear(*W.shape[::-1], dtype=self.dtype)
            linear.weight.assign(W)
            linear.bias.assign(b)
            layers += [linear, LAYERS[name]()]
        return nn.Sequential(*layers)

    def criterion(self, model):
        plain = {
            "mean squares": nn.MSELoss(),
            "half squares": lambda a, y: 0.5 * ((a - y) ** 2).sum(),
            "cross-entropy": nn.CrossEntropyLoss(),
        }[self.loss]
        if not self.penalty:
            return plain
        weights = [p for p in model.parameters() if p.ndim == 2]
        return lambda a, y: plain(a, y) + self.penalty * sum((W * W).sum() for W in weights)

    def slope(self, i, z):
        return G[self.names[i - 1]][1](z)

    def by_hand(self, change=None):
        """All quantities; `change` = (kind, layer, function of what is known so far)."""
        L, B = len(self.W), self.rows
        s = SimpleNamespace(case=self, W=[None, *self.W], b=[None, *self.b], B=B, L=L, Y=self.Y)
        s.z, s.a, s.delta, s.dW, s.db = {}, {0: self.x.T}, {}, {}, {}
        s.new = {}

        def put(kind, i, value):
            if change and change[:2] == (kind, i):
                value = change[2](s)
            getattr(s, kind)[i] = value

        for i in range(1, L + 1):
            put("z", i, s.W[i] @ s.a[i - 1] + s.b[i][:, None])
            g = G[self.names[i - 1]][0]
            classes = self.loss == "cross-entropy" and i == L
            put("a", i, softmax(s.z[i]) if classes else g(s.z[i]))
        n = self.sizes[-1]
        s.factor = {"mean squares": 2 / (B * n), "half squares": 1, "cross-entropy": 1 / B}[
            self.loss
        ]
        error = s.factor * (s.a[L] - s.Y)
        put("delta", L, error if self.loss == "cross-entropy" else error * self.slope(L, s.z[L]))
        s.lr = 0.5
        for i in range(L - 1, 0, -1):
            back = s.W[i + 1].T @ s.delta[i + 1]
            put("delta", i, back * self.slope(i, s.z[i]))
        for i in range(L, 0, -1):
            put("dW", i, s.delta[i] @ s.a[i - 1].T + 2 * self.penalty * s.W[i])
            put("db", i, s.delta[i].sum(axis=1))
            if s.dW[i].shape == s.W[i].shape:
                put("new", i, s.W[i] - s.lr * s.dW[i])
        found = {}
        for kind in ("z", "a", "delta", "dW", "db"):
            found |= {f"{kind}{i}": v for i, v in getattr(s, kind).items() if i}
        return found | {f"new_W{i}": v for i, v in s.new.items()}


CASES = {
    "2-3-2": Case((2, 3, 2), ("sigmoid", "sigmoid"), "mean squares", 4),
    "mazur": Case((2, 2, 2), ("sigmoid", "sigmoid"), "half squares", 1),
    "3-3-3": Case((3, 3, 3), ("tanh", "identity"), "half squares", 2),
    "deep": Case((3, 4, 4, 2), ("tanh", "sigmoid", "sigmoid"), "mean squares", 5, penalty=PENALTY),
    "equal sizes": Case((3, 3, 3, 3), ("tanh", "sigmoid", "identity"), "half squares", 2),
    "classes": Case((4, 5, 3), ("relu", "identity"), "cross-entropy", 6),
    "float32": Case((4, 6, 3), ("tanh", "identity"), "cross-entropy", 7, "float32"),
    "saturated": Case((2, 4, 4, 1), ("sigmoid",) * 3, "half squares", 3, "float32"),
}


def judged(name, mine, **options):
    case = CASES[name]
    model = case.model()
    before = {k: v.copy() for k, v in model.state_dict().items()}
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    result = compare(mine, model, case.x, case.y, case.criterion(model), optimizer, **options)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    return result


def with_slip(name, kind, layer, slip):
    """All quantities of a derivation in which one, and so all after it, is wrong."""
    case = CASES[name]
    right = case.by_hand()

    def slipped(s):
        s.delta_ours = lambda i: right[f"delta{i}"]
        return slip(s)

    return case.by_hand((kind, layer, slipped))
