"""The statistics of batch normalisation, made those of the training data once it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import numpy as np

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.context import no_grad
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn.interception import intercepted
from chainrule.nn.layers.normalisation import BatchNorm1d
from chainrule.nn.module import Module
from chainrule.trees import leaves, map_leaves

M = TypeVar("M", bound=Module)


def recompute_batch_statistics(model: M, x: Any, *, batch_size: int = 256) -> M:
    """Give every `BatchNorm1d` of a model the exact mean and variance of what reaches it from `x`.

    Running statistics are of the minibatches of late steps, of weights that still changed. With
    the training data as `x`, the model is in evaluation as the textbooks define it: each layer
    normalises by the mean and the (biased) variance over the whole training data. `x` goes through
    the model in evaluation mode once for each such layer, from the first to the last, because what
    reaches a layer depends on those before it. Call it after training; training on goes on from
    these statistics.

    Args:
        model: any module; its mode stays as it is. Layers that `x` does not reach keep what they
            have.
        x: inputs, rows first: an array (memory-mapped ones are read batch by batch), or a tuple or
            a dict of arrays for a model of several inputs. Floats and uint8 are cast to the dtype
            of the model's parameters.
        batch_size: rows that go through the model at once; the result does not depend on it but by
            rounding.

    Returns:
        The model.

    Raises:
        ShapeError: if `x` has no rows, or its arrays have different numbers of them.
        ValueError: if the model has no layer with running statistics, if such a layer stands in
            several places, or if a NaN or an infinite value reaches one. Then all keep what they
            had.

    Source: Ioffe and Szegedy, ICML 2015, algorithm 2, there with the unbiased variance; the
    lectures' test-time rule.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(1, eps=0))
        >>> _ = nn.recompute_batch_statistics(model, np.array([[2.0], [4.0]]))
        >>> model.eval()(cr.tensor([[2.0], [5.0]])).tolist()
        [[-1.0], [2.0]]
    """
    tracking = [m for m in model.modules() if isinstance(m, BatchNorm1d) and m.track_running_stats]
    if not tracking:
        raise ValueError(
            "recompute_batch_statistics: the model has no BatchNorm1d with running statistics"
        )
    batch_size = checks.count("batch_size", batch_size)
    arrays = map_leaves(lambda a: a.numpy() if isinstance(a, Tensor) else np.asarray(a), x)
    rows = {len(array) if array.ndim else 0 for array in leaves(arrays)}
    if len(rows) != 1 or 0 in rows:
        shapes = ", ".join(str(array.shape) for array in leaves(arrays))
        raise ShapeError(
            "recompute_batch_statistics: x must have rows, as many in each array; "
            f"the shapes are {shapes}"
        )
    (count,) = rows
    dtype = next((p.dtype for p in model.parameters()), np.dtype(tracking[0].dtype))

    def calls() -> Iterator[Callable[[], Any]]:
        """Calls of the model, one for each batch."""
        for start in range(0, count, batch_size):
            yield partial(_call, model, arrays, slice(start, start + batch_size), dtype)

    before = [(state, state.numpy()) for m in tracking for state in m.buffers(recurse=False)]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            for layer in _in_order_of_calls(model, tracking, next(calls())):
                layer._recompute_statistics(_reaching(model, layer, calls()))
    except BaseException:
        for state, value in before:
            state.assign(value)
        raise
    finally:
        for module, mode in modes:
            module.training = mode
    return model


def _call(model: Module, arrays: Any, rows: slice, dtype: np.dtype[Any]) -> Any:
    """The model's output for some rows, in the dtypes that a Trainer would give it."""

    def cast(array: Array) -> Array:
        floats = array.dtype.kind in "fb" or array.dtype == np.uint8
        return np.asarray(array[rows], dtype if floats else np.int64)

    batch = map_leaves(cast, arrays)
    if isinstance(batch, tuple):
        return model(*batch)
    return model(**batch) if isinstance(batch, dict) else model(batch)


class _ReachedError(Exception):
    """Ends a call of the model at the layer whose input was wanted."""


def _reaching(
    model: Module, layer: BatchNorm1d, calls: Iterator[Callable[[], Any]]
) -> Iterator[Array]:
    """What reaches the layer in each call of the model, which goes no further."""
    reached: list[Array] = []

    def take(input: TensorLike) -> Tensor:
        x = as_tensor(input)
        layer._check(x.shape)
        reached.append(x.numpy())
        raise _ReachedError

    def around(module: Module, forward: Callable[..., Any], *inputs: Any, **keywords: Any) -> Any:
        return (take if module is layer else forward)(*inputs, **keywords)

    for call in calls:
        with intercepted(model, around), suppress(_ReachedError):
            call()
        yield from reached
        reached.clear()


def _in_order_of_calls(
    model: Module, layers: list[BatchNorm1d], call: Callable[[], Any]
) -> list[BatchNorm1d]:
    """The layers that a call of the model reaches, from the first to the last."""
    order: list[BatchNorm1d] = []

    def around(module: Module, forward: Callable[..., Any], *inputs: Any, **keywords: Any) -> Any:
        if module in order:
            raise ValueError(
                "recompute_batch_statistics: a BatchNorm1d stands in several places, and what "
                "reaches the later ones depends on itself; give each place a layer of its own"
            )
        if isinstance(module, BatchNorm1d) and module in layers:
            order.append(module)
        return forward(*inputs, **keywords)

    with intercepted(model, around):
        call()
    return order
