"""Evaluator: a model's loss and metrics on data, its predictions, and samples of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from chainrule import checks
from chainrule.data.arrays import take
from chainrule.data.batches import Batches
from chainrule.execute.native import joined
from chainrule.nn import Module
from chainrule.ops.random import Generator
from chainrule.optim import EMA
from chainrule.system.interrupts import interrupts_held
from chainrule.train.backends import Backend, make_backend
from chainrule.train.batch_loss import fitted_targets
from chainrule.train.checked_rows import checked_rows_of_inputs
from chainrule.train.given_data import ROWS, evaluation_source, prediction_source
from chainrule.train.metrics import AnyMetric, as_metrics
from chainrule.train.sources import ArraySource, Source
from chainrule.train.state import Totals
from chainrule.train.step_options import Average, check_average
from chainrule.train.training_step import Loss, StepGraphs
from chainrule.trees import leaves, map_leaves, with_leaves

_Result = TypeVar("_Result")


class Evaluator:
    """Evaluates a model and predicts with it, batch by batch, and leaves it as it is.

    It needs no optimizer. A `Trainer` has one, over the memory of the training.

    Args:
        model: a `nn.Module`. Several inputs: x is a tuple (positional arguments) or a dict (named).
        loss: (outputs, targets) -> scalar Tensor; as in `Trainer`.
        metrics: as in `Trainer`.
        ema: an average of the parameters, which is used in place of the model's parameters.
        backend: "native" or "reference"; by default as `set_default_backend` says.
        seed: of the samples of `predict_samples`.

    Raises:
        ValueError, TypeError: for an argument that does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> evaluator = cr.Evaluator(nn.Flatten(), nn.MSELoss(), metrics=["mae"])
        >>> evaluator.evaluate([[1.0], [2.0]], [[1.0], [4.0]])
        {'loss': 2.0, 'mae': 1.0}
        >>> evaluator.predict([[3.0]])
        array([[3.]], dtype=float32)
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        metrics: AnyMetric | Sequence[AnyMetric] = (),
        *,
        ema: Average | None = None,
        backend: str | None = None,
        seed: int = 0,
    ) -> None:
        check_average(ema)
        seed = checks.seed(seed)
        graphs = StepGraphs(
            model, loss, metrics=as_metrics(metrics, loss), generator=Generator(seed)
        )
        self._begin(make_backend(backend, graphs), ema, seed)

    def _begin(self, backend: Backend[Any], ema: Average | None, seed: int) -> None:
        self._backend = backend
        self._graphs = backend.graphs
        self._ema = ema
        self._seed = seed

    @classmethod
    def _over(cls, backend: Backend[Any], ema: Average | None, seed: int) -> Evaluator:
        """An Evaluator over the backend, and so the memory, of a training."""
        evaluator = cls.__new__(cls)
        evaluator._begin(backend, ema, seed)
        return evaluator

    def evaluate(
        self, x: Any, y: Any = None, *, sample_weight: Any = None, batch_size: int | None = None
    ) -> dict[str, float]:
        """The loss and the metrics on data, in evaluation mode.

        Args:
            x, y, sample_weight: as in `Trainer.fit`, so x alone may be an iterable of batches;
                metrics count all rows the same.
            batch_size: rows in a batch of arrays, 256 by default.

        Returns:
            The mean "loss", and every metric by its name.

        Raises:
            As `Trainer.fit`.
        """
        source = evaluation_source(self._backend, x, y, sample_weight, batch_size)
        return evaluate_data(self._backend, self._ema, source)

    def predict(self, x: Any, *, batch_size: int | None = None) -> Any:
        """The model's outputs for `x`, in evaluation mode, as NumPy arrays.

        Args:
            x: inputs as in `Trainer.fit`; or an iterable of batches of inputs, such as a DataLoader
                (but no list, which is arrays: give `iter(batches)`). The outputs come in the order
                of the batches. The columns of a frame may be in any order, and must be those that
                the model was trained on; a plain array has them in the order of training.
            batch_size: rows in a batch of arrays, 256 by default.

        Raises:
            ValueError: for a frame that lacks columns, or has others; else as `Trainer.fit`.
        """
        source = prediction_source(self._backend, x, batch_size)
        return predict_data(self._backend, self._ema, source)

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
        (Monte-Carlo dropout). The stochastic layers are those with `is_stochastic = True`.

        Args:
            x: arrays as in `predict`.
            samples: how many outputs to draw for each row.
            batch_size: rows in a batch.
            seed: the same seed and batch_size give the same samples; by default that of the
                Evaluator or Trainer. The random numbers of training are left alone.

        Returns:
            As `predict`, with a first axis of length `samples`: (samples, rows, ...).

        Raises:
            ValueError: if the model has no stochastic layer; else as `Trainer.fit`.

        Source: Gal and Ghahramani, "Dropout as a Bayesian Approximation" (2016).
        """
        data = checked_rows_of_inputs(self._graphs, x)
        samples = checks.count("samples", samples)
        batch_size = checks.count("batch_size", batch_size)
        seed = self._seed if seed is None else checks.seed(seed)
        with self._backend.guard.alone:  # the samples come from one generator
            return _with_averages(
                self._backend,
                self._ema,
                lambda ema: _samples(
                    self._backend, ema, ArraySource(data, batch_size), samples, seed
                ),
            )


def evaluate_data(
    backend: Backend[Any], ema: Average | None, source: Source, epoch: int = 0
) -> dict[str, float]:
    """As `Evaluator.evaluate`, for batches that are checked."""
    return _with_averages(backend, ema, lambda found: _measured(backend, found, source, epoch))


def predict_data(backend: Backend[Any], ema: Average | None, source: Source) -> Any:
    """As `Evaluator.predict`, for batches that are checked."""
    return _with_averages(backend, ema, lambda found: _outputs(backend, found, source))


def _with_averages(
    backend: Backend[Any], ema: Average | None, compute: Callable[[EMA | None], _Result]
) -> _Result:
    """The result of `compute`, with averaged parameters if there are any.

    `compute` is given the averages that its steps are to read in the places of parameters, so
    several threads compute at once. Averages of a user's own class are put into the parameters:
    Ctrl-C ends the computation then, but never while parameters and averages are exchanged.
    """
    if ema is None:
        return compute(None)
    if type(ema) is EMA:
        return compute(ema if ema.n_averaged.item() else None)
    with (
        backend.guard.alone,
        interrupts_held() as interrupts,
        ema.applied(),
        interrupts.let_through(),
    ):
        return compute(None)


def _measured(
    backend: Backend[Any], ema: EMA | None, source: Source, epoch: int
) -> dict[str, float]:
    """The loss and the metrics over all rows."""
    graphs, totals = backend.graphs, Totals()
    outputs: list[Any] = []
    targets: list[Any] = []
    for window in source.windows(epoch):
        backend.evaluate(window.batches, totals, ema)
        if graphs.array_metrics:
            data, order, size = window.batches.data, window.batches.order, window.batches.size
            outputs += backend.predict(Batches(data.inputs(), order, size), ema)
            targets.append(take(data.parts[1], order))
    found = graphs.results(totals)
    if graphs.array_metrics:
        output = _joined(outputs)
        target = fitted_targets(graphs.loss, output, _joined(targets))
        for metric in graphs.array_metrics:
            found[metric.name] = metric.result(output, target)
    return found


def _outputs(
    backend: Backend[Any], ema: EMA | None, source: Source, *, sampling: bool = False
) -> Any:
    """The model's outputs for all rows."""
    parts: list[Any] = []
    for window in source.windows():
        parts += backend.predict(window.batches, ema, sampling=sampling)
    return _joined(parts)


def _joined(parts: Sequence[Any]) -> Any:
    """Structures of equal form as one, the arrays joined along their rows."""
    arrays = [joined(arrays) for arrays in zip(*map(leaves, parts), strict=True)]
    return with_leaves(parts[0], arrays)


def _samples(
    backend: Backend[Any], ema: EMA | None, source: Source, samples: int, seed: int
) -> Any:
    """Outputs drawn `samples` times, in arrays with a first axis of that length."""
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
        sample = _outputs(backend, ema, source, sampling=True)
        if found is None:
            found = map_leaves(lambda a: np.empty((samples, *a.shape), a.dtype), sample)
        for array, part in zip(leaves(found), leaves(sample), strict=True):
            array[number] = part
    return found
