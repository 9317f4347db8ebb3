"""Linear models of a table, solved exactly: what a network is measured against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.tabular.columns import Columns
from chainrule.tabular.targets import powers_of_two
from chainrule.train.metrics.outputs import softmax

Array = NDArray[np.float64]

_MOST_COLUMNS = 2048
"""A table of more columns and more rows than this has no linear model: it would take minutes."""

_MOST_ONE_HOT = 1024
"""Embedded categories get a column for each of their values, up to so many columns in all."""

_MOST_NUMBERS = 2**25
"""Rows times columns to train on: 256 MB. Of more rows a sample is taken."""

_FREE_CLASSES = 4
"""Of more classes fewer rows are taken, in proportion."""

_BLOCK = 2**22
"""Rows times columns in a block of predictions."""

_NEWTON_STEPS = 100
_CG_STEPS = 200
_LEAST_GAIN = 1e-10
"""Newton's method ends where it expects so small a gain, in nats a row."""
_LEAST_SIZE = 1e-10
"""A step that must be shortened to this share is the last: rounding hides what it would gain."""


class Inputs:
    """The standardised columns of a table: numbers as `Columns` encodes them, one-hot categories.

    Args:
        columns: what is done with each column.
        table: the rows to train on.
        classes: how many there are.

    Attributes:
        count: how many rows the table has.
        rows: the numbers of those that are trained on; all, or a sample.
        width: the number of columns.
        is_too_large: whether there are too many rows and columns to solve for; then there is no x.
        x: their columns, with mean 0 and standard deviation 1; constant ones are 0.
    """

    def __init__(self, columns: Columns, table: Any, classes: int = 1) -> None:
        arrays = columns.transform(table)
        numbers = columns.numeric + columns.plain
        self._columns = columns
        self._place = np.full(sum(columns.sizes), -1)
        """The column of each category; -1 for those that have none."""
        if columns.sizes:
            counts = np.bincount(arrays["codes"].ravel(), minlength=len(self._place))
            most = min(max(_MOST_ONE_HOT - numbers, 0), int(np.count_nonzero(counts)))
            kept = np.argsort(-counts, kind="stable")[:most]
            self._place[kept] = numbers + np.arange(most)
        self.width = max(numbers, int(self._place.max(initial=-1)) + 1)
        self.count = count = len(next(iter(arrays.values())))
        cost = self.width * max(1.0, classes / _FREE_CLASSES)
        order = np.random.default_rng(0).permutation(count)
        self.rows = np.sort(order[: max(int(_MOST_NUMBERS / max(cost, 1)), 1)])
        self.is_too_large = min(self.width, count) > _MOST_COLUMNS
        if not self.is_too_large:
            self.x = self._standardise(self._joined(arrays, self.rows))

    def blocks(self, table: Any) -> Iterator[Array]:
        """The columns of other rows, standardised alike, some rows at a time."""
        arrays = self._columns.transform(table)
        count = len(next(iter(arrays.values())))
        length = max(_BLOCK // max(self.width, 1), 1)
        for start in range(0, count, length):
            x = self._joined(arrays, np.arange(start, min(start + length, count)))
            with np.errstate(over="ignore"):
                yield (x / self._unit - self._shift) / self._scale

    def _joined(self, arrays: dict[str, NDArray[Any]], rows: NDArray[np.int64]) -> Array:
        x = np.zeros((len(rows), self.width))
        if "numbers" in arrays:
            x[:, : arrays["numbers"].shape[1]] = arrays["numbers"][rows]
        for codes in arrays["codes"][rows].T if "codes" in arrays else ():
            places = self._place[codes]
            has_column = np.flatnonzero(places >= 0)
            x[has_column, places[has_column]] = 1.0
        return x

    def _standardise(self, x: Array) -> Array:
        """The columns, changed in place; differences from the first row keep constant ones 0."""
        self._unit = powers_of_two(x)
        x /= self._unit
        first = x[0].copy()
        self._shift = first + (x - first).mean(axis=0)
        x -= self._shift
        self._scale = np.sqrt(np.einsum("ij,ij->j", x, x) / len(x))
        self._scale[self._scale == 0] = 1.0
        x /= self._scale
        return x


def least_squares(inputs: Inputs, y: Array, table: Any) -> Array:
    """What the linear regression of y, of shape (rows,) or (rows, targets), predicts for a table.

    It has an intercept. Of several solutions it is the one of the least weights.
    """
    targets = y[inputs.rows].reshape(len(inputs.rows), -1)
    unit = powers_of_two(targets)
    targets = targets / unit
    mean = targets[0] + (targets - targets[0]).mean(axis=0)
    weight = np.linalg.lstsq(inputs.x, targets - mean, rcond=None)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        found = [(x @ weight + mean) * unit for x in inputs.blocks(table)]
    return np.concatenate(found).reshape(-1, *y.shape[1:])


def logistic(inputs: Inputs, codes: NDArray[np.int64], classes: int, table: Any) -> Array:
    """The probabilities, of shape (rows, classes), by logistic regression.

    The weights W and the intercepts b have the least sum of cross-entropies + |W|^2 / 2, with a
    vector of weights for each class, or one for two classes. A class without rows has probability
    0.
    """
    present, targets = np.unique(codes[inputs.rows], return_inverse=True)
    if len(present) == 1:
        shares = [np.ones((len(x), 1)) for x in inputs.blocks(table)]
    else:
        weight, bias = _minimize(inputs.x, np.eye(len(present))[targets])
        shares = [softmax(x @ weight + bias) for x in inputs.blocks(table)]
    found = np.zeros((sum(map(len, shares)), classes))
    found[:, present] = np.concatenate(shares)
    return found


def _minimize(x: Array, targets: Array) -> tuple[Array, Array]:
    """The weights and intercepts of the logistic regression, by Newton's method.

    Each step is solved by conjugate gradients, preconditioned by the Hessian's upper bound
    (x'x / 2 + 1). With more columns than rows the weights lie in the space of the rows.

    Source: Nocedal and Wright, "Numerical Optimization", 2006, algorithm 7.1; Böhning,
    "Multinomial logistic regression algorithm", 1992, for the bound.
    """
    basis = None
    if x.shape[1] > len(x):
        basis, r = np.linalg.qr(x.T)
        x = np.ascontiguousarray(r.T)
    rows, width = x.shape
    fixed = 1 if targets.shape[1] == 2 else 0  # of two classes the first has the score 0
    targets = targets[:, fixed:]
    bound = x.T @ x / 2
    bound[np.diag_indices(width)] += 1.0
    inverse = np.linalg.inv(bound)

    def scores_of(v: Array) -> Array:
        return x @ v[:-1] + v[-1]

    def gradient_of(shares: Array, w: Array) -> Array:
        return np.vstack([x.T @ shares + w[:-1], shares.sum(axis=0)]) / rows

    def precondition(v: Array) -> Array:
        return np.vstack([rows * (inverse @ v[:-1]), 2 * v[-1:]])

    def loss_of(z: Array, w: Array) -> float:
        logs = np.logaddexp.reduce(np.pad(z, ((0, 0), (fixed, 0))), axis=1)
        return float((logs.sum() - (targets * z).sum() + np.square(w[:-1]).sum() / 2) / rows)

    w = np.zeros((width + 1, targets.shape[1]))
    z = scores_of(w)
    loss, size = loss_of(z, w), 1.0
    for _ in range(_NEWTON_STEPS):
        shares = softmax(np.pad(z, ((0, 0), (fixed, 0))))[:, fixed:]

        def curve(v: Array, shares: Array = shares) -> Array:
            moved = shares * scores_of(v)
            return gradient_of(moved - shares * moved.sum(axis=1, keepdims=True), v)

        gradient = gradient_of(shares - targets, w)
        step = _conjugate_gradients(curve, -gradient, precondition)
        gain = -float((gradient * step).sum())
        if gain <= _LEAST_GAIN or size <= _LEAST_SIZE:
            break
        moved = scores_of(step)
        size = 1.0
        while (
            size > _LEAST_SIZE
            and loss_of(z + size * moved, w + size * step) > loss - 1e-4 * size * gain
        ):
            size /= 2
        w, z = w + size * step, z + size * moved
        loss = loss_of(z, w)
    weight, bias = w[:-1], w[-1]
    if basis is not None:
        weight = basis @ weight
    return np.pad(weight, ((0, 0), (fixed, 0))), np.pad(bias, (fixed, 0))


def _conjugate_gradients(product: Any, right: Array, precondition: Any) -> Array:
    """The solution of product(v) = right, for a Newton step: the nearer to the end the finer."""
    v, residual = np.zeros_like(right), right
    direction = conditioned = precondition(residual)
    begin = size = float((residual * conditioned).sum())
    enough = begin * min(0.1, begin**0.5)
    for _ in range(_CG_STEPS):
        if size <= enough:
            break
        curved = product(direction)
        length = size / float((direction * curved).sum())
        v = v + length * direction
        residual = residual - length * curved
        conditioned = precondition(residual)
        before, size = size, float((residual * conditioned).sum())
        direction = conditioned + (size / before) * direction
    return v
