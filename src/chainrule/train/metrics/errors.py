"""Metrics of the errors of a regression."""

from __future__ import annotations

import numpy as np

from chainrule import ops
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Array, Tensor
from chainrule.train.metrics.base import Metric, check_single


def _errors(name: str, output: Tensor, target: Tensor) -> Tensor:
    """output - target as float64, of shape (rows, values a row)."""
    check_single(name, output, target)
    if output.shape != target.shape:
        raise ShapeError(
            f"{name}: output {output.shape} and target {target.shape} differ; reshape one of them"
        )
    if output.dtype.kind != "f":
        raise DTypeError(f"{name}: outputs are floating, not {output.dtype}")
    error = output.astype(np.float64) - target.astype(np.float64)
    return error.reshape(output.shape[0], -1)


class MeanSquaredError(Metric):
    """mse: the mean of (output - target)^2 over rows and values."""

    name = "mse"

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        error = _errors(self.name, output, target)
        return (error * error).mean(axis=1).sum()

    def result(self, sums: Array, rows: int) -> float:
        return float(sums) / rows


class MeanAbsoluteError(Metric):
    """mae: the mean of |output - target| over rows and values."""

    name = "mae"

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        return ops.abs(_errors(self.name, output, target)).mean(axis=1).sum()

    def result(self, sums: Array, rows: int) -> float:
        return float(sums) / rows


class R2(Metric):
    """r2: 1 - sum (target - output)^2 / sum (target - mean)^2, averaged over the values of a row.

    Formula as scikit-learn's `r2_score`: a constant target gives 1 where it is met, else 0. Targets
    count as constant where their spread is below a millionth of their mean.
    """

    name = "r2"
    higher_is_better = True

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        error = _errors(self.name, output, target)
        y = target.astype(np.float64).reshape(error.shape)
        return ops.stack([(error * error).sum(axis=0), y.sum(axis=0), (y * y).sum(axis=0)])

    def result(self, sums: Array, rows: int) -> float:
        residual, total, squares = sums
        spread = np.maximum(squares - total * total / rows, 0.0)
        # The spread of a constant target, but for rounding, counts as none.
        constant = spread <= 1e-12 * squares
        score = 1 - residual / np.where(constant, 1.0, spread)
        return float(np.mean(np.where(constant, residual == 0, score)))
