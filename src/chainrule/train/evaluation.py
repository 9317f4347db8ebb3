"""What is asked of a model: evaluation, prediction, and the range test of learning rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from chainrule import checks
from chainrule.data.batches import check_batch_size
from chainrule.system.interrupts import interrupts_held
from chainrule.train.backends import Backend, Totals
from chainrule.train.checks import check_batches, checked, checked_pair
from chainrule.train.metrics import Metric
from chainrule.train.parts import Average
from chainrule.train.range_test import RangeTest, range_test
from chainrule.train.step import StepGraphs
from chainrule.train.windows import windows
from chainrule.trees import leaves, map_leaves

ROWS = 256
"""Rows in a batch where the user does not say."""

_Answer = TypeVar("_Answer")


class Evaluator:
    """The part of a Trainer that asks a model and leaves it as it is."""

    graphs: StepGraphs
    backend: Backend
    metrics: list[Metric]
    ema: Average | None
    seed: int

    def evaluate(
        self, x: Any, y: Any, *, sample_weight: Any = None, batch_size: int = ROWS
    ) -> dict[str, float]:
        """The loss and the metrics on data, in evaluation mode.

        Args:
            x, y, sample_weight: as in `fit`; metrics count all rows the same.
            batch_size: rows in a batch.

        Raises:
            As `fit`.
        """
        x, y = checked_pair(self.graphs, x, y, sample_weight)
        batch_size = checks.integer("batch_size", batch_size, 1)
        check_batches(self.graphs, x, y, batch_size)
        return self._evaluate(x, y, batch_size)

    def _evaluate(self, x: Any, y: Any, batch_size: int) -> dict[str, float]:
        totals = self._answer(lambda: _evaluated(self.backend, x, y, batch_size))
        return self._results(totals)

    def predict(self, x: Any, *, batch_size: int = ROWS) -> Any:
        """The model's outputs for `x`, in evaluation mode, as NumPy arrays.

        Raises:
            As `fit`.
        """
        x = checked(self.graphs, "x", x)
        batch_size = checks.integer("batch_size", batch_size, 1)
        return self._answer(lambda: _outputs(self.backend, x, batch_size))

    def predict_samples(
        self,
        x: Any,
        *,
        samples: int = 100,
        batch_size: int = ROWS,
        seed: int | None = None,
    ) -> Any:
        """Outputs drawn at random: dropout as in training, all else as in evaluation.

        Their mean over the samples is the prediction, and their spread says how sure the model is
        (Monte-Carlo dropout). Stochastic are the layers whose attribute `is_stochastic` is True.

        Args:
            x: as in `predict`.
            samples: how many outputs to draw for each row.
            batch_size: rows in a batch.
            seed: the same seed and batch_size give the same samples; by default the Trainer's. The
                random numbers of training are left alone.

        Returns:
            As `predict`, with a first axis of length `samples`: (samples, rows, ...).

        Raises:
            ValueError: if the model has no stochastic layer; else as `fit`.

        Source: Gal and Ghahramani, "Dropout as a Bayesian Approximation" (2016).
        """
        x = checked(self.graphs, "x", x)
        samples = checks.integer("samples", samples, 1)
        batch_size = checks.integer("batch_size", batch_size, 1)
        seed = self.seed if seed is None else checks.integer("seed", seed, 0)
        return self._answer(lambda: _samples(self.backend, x, samples, batch_size, seed))

    def find_lr(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        low: float = 1e-7,
        high: float = 10.0,
        steps: int = 100,
        batch_size: int = 64,
    ) -> RangeTest:
        """The learning-rate range test: try growing learning rates on the model as it is now.

        One update a batch, with learning rates from `low` to `high`, each the same multiple of the
        one before. It ends early where the smoothed loss passes four times its least, unless that
        is below 0, or where a step is not finite. The schedule, `accumulate` and callbacks have no
        part in it. Where groups of parameters have different rates, the largest is the one that is
        tried and the others keep their ratio to it.

        Afterwards weights, buffers, the optimiser, random numbers and counts are as before, to the
        bit.

        Args:
            x, y, sample_weight: as in `fit`.
            low, high: the first and the last learning rate.
            steps: how many to try, at least 2.
            batch_size: rows in a batch.

        Returns:
            A `RangeTest`: learning rates, losses, a suggestion, and a plot.

        Raises:
            As `fit`. NonFiniteError: if the very first step fails.

        Source: Smith, "Cyclical Learning Rates for Training Neural Networks" (2017), section 3.3.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import nn, optim
            >>> x = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)
            >>> model = nn.Linear(1, 1)
            >>> trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
            >>> test = trainer.find_lr(x, 2 * x + 1, batch_size=32)
            >>> 1e-3 < test.suggestion < 1
            True
        """
        if not 0 < low < high < np.inf:
            raise ValueError(f"low and high are learning rates, 0 < low < high; got {low}, {high}")
        steps = checks.integer("steps", steps, 2)
        x, y = checked_pair(self.graphs, x, y, sample_weight)
        rows = len(next(leaves(x)))
        batch_size = check_batch_size(batch_size, rows)
        check_batches(self.graphs, x, y, batch_size, training=True)
        return range_test(
            self.backend, x, y, low=low, high=high, steps=steps, batch_size=batch_size,
            seed=self.seed,
        )  # fmt: skip

    def _answer(self, question: Callable[[], _Answer]) -> _Answer:
        """What `question` gives, of the averaged parameters if there are any; data are let go.

        Ctrl-C ends the question, but never while parameters and averages change places.
        """
        try:
            if self.ema is None:
                return question()
            with interrupts_held() as interrupts, self.ema.applied(), interrupts.let_through():
                return question()
        finally:
            self.backend.release()

    def _mean_loss(self, totals: Totals) -> float:
        return totals.loss if self.graphs.sums_rows else totals.loss / totals.rows

    def _results(self, totals: Totals, *, training: bool = False) -> dict[str, float]:
        results, sums = {"loss": self._mean_loss(totals)}, list(totals.metrics)
        if training and self.graphs.penalties:
            results["penalty"] = float(sums.pop()) / totals.rows
        for metric, total in zip(self.metrics, sums, strict=True):
            results[metric.name] = float(metric.result(total, totals.rows))
        return results


def _evaluated(backend: Backend, x: Any, y: Any, batch_size: int) -> Totals:
    """The sums of the loss and of the metrics over all rows."""
    totals = Totals()
    for window in windows(x, y, batch_size):
        backend.evaluate(window.batches, totals)
    return totals


def _outputs(backend: Backend, x: Any, batch_size: int, *, sampling: bool = False) -> Any:
    """The model's outputs for all rows."""
    parts: list[Any] = []
    for window in windows(x, None, batch_size):
        parts += backend.predict(window.batches, sampling=sampling)
    joined = iter([np.concatenate(arrays) for arrays in zip(*map(leaves, parts), strict=True)])
    return map_leaves(lambda _: next(joined), parts[0])


def _samples(backend: Backend, x: Any, samples: int, batch_size: int, seed: int) -> Any:
    """The outputs drawn so many times, in arrays with a first axis of that length."""
    graphs = backend.graphs
    if not any(module.is_stochastic for module in graphs.model.modules()):
        raise ValueError(
            "the model has no stochastic layer: all samples would be equal. Use predict; or give "
            "the model dropout; or set is_stochastic = True in the class of a layer of your own "
            "that draws random numbers where self.training"
        )
    graphs.sampling.manual_seed(seed)
    found: Any = None
    for number in range(samples):
        sample = _outputs(backend, x, batch_size, sampling=True)
        if found is None:
            found = map_leaves(lambda a: np.empty((samples, *a.shape), a.dtype), sample)
        for array, part in zip(leaves(found), leaves(sample), strict=True):
            array[number] = part
    return found
