"""Calibration: weights and statistics of a model, computed from the inputs of its layers on data.

Before training, `lsuv_` and `data_driven_` start every Linear so that its pre-activations have
variance 1. After training, `recompute_batch_statistics` gives batch normalisation the statistics of
the training data. The layers are set in the order of their calls, so each gets its input from
layers that are set already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import numpy as np

from chainrule import checks
from chainrule.dtypes import check_unmasked
from chainrule.errors import ShapeError
from chainrule.graph.context import local, no_grad
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn import arguments
from chainrule.nn.init import normal_, orthogonal_, zeros_
from chainrule.nn.inputs import call_model, floating_dtype, model_input
from chainrule.nn.interception import intercepted
from chainrule.nn.layers.channel_normalisation import BatchNorm
from chainrule.nn.layers.linear import Linear
from chainrule.nn.module import Module
from chainrule.ops.random import current_generator
from chainrule.tables import in_order, is_table, to_array
from chainrule.trees import leaves, map_leaves

M = TypeVar("M", bound=Module)

Preactivations = Callable[[], Array]
"""Gives z of the layer as it is now, shape (rows, out_features), in float64."""


@contextmanager
def _calibrating(model: Module) -> Iterator[dict[State, Array]]:
    """The model in evaluation mode and without gradients; after the block in its own mode again.

    If the block raises, each state that is in the dict then gets its value there.
    """
    before: dict[State, Array] = {}
    try:
        with model.in_mode(False), no_grad():
            yield before
    except BaseException:
        for state, value in before.items():
            state.assign(value)
        raise


def _arrays(model: Module, x: Any) -> Any:
    """The inputs as arrays, without a copy; memory-mapped ones stay so."""
    x = in_order(x, model._column_names)
    return _array(x) if isinstance(x, list) else map_leaves(_array, x)


def _array(x: Any) -> Array:
    if is_table(x):
        return to_array(x, "x")
    check_unmasked("x", x)
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


# Starting values


def lsuv_(model: M, x: Any) -> M:
    """Layer-sequential unit variance: orthogonal weights and zero biases, and each layer's weight
    divided by the standard deviation of all its pre-activations together.

    Args:
        model: its Linear layers are set; what else it has stays as it is. It is called as for
            prediction: without dropout, and without a change of running statistics.
        x: rows to call it on, all or a few hundred of those it will be trained on: an array, or a
            tuple or a dict of arrays for a model of several inputs. Floats and uint8 are cast to
            the dtype of the model's parameters.

    Returns:
        The model.

    Raises:
        ValueError: if a layer's pre-activations do not vary on `x`, or are not finite; if `x` has
            no rows (ShapeError) or masked values; if the model calls no Linear. It then is as it
            was.

    Source: Mishkin and Matas, "All you need is a good init", ICLR 2016.

    Example:
        >>> import numpy as np
        >>> from chainrule import nn
        >>> x = np.random.default_rng(0).uniform(0, 9, (50, 4))
        >>> layer = nn.Linear(4, 3, dtype="float64")
        >>> z = nn.lsuv_(layer, x)(x).numpy()
        >>> bool(np.isclose(z.var(), 1))
        True
    """

    def prepare(layer: Linear, x: Array, preactivations: Preactivations) -> None:
        orthogonal_(layer.weight)
        if layer.bias is not None:
            zeros_(layer.bias)
        z = preactivations()
        _check(layer, x, z, np.any)
        std = z.std()
        layer.weight.assign((layer.weight.numpy() / std).astype(layer.weight.dtype))

    return _prepare_each_linear(model, x, prepare)


def data_driven_(model: M, x: Any) -> M:
    """Normal weights, each row divided by the standard deviation of its pre-activation, and biases
    that put the kinks of the activations among the data.

    Each pre-activation has variance 1 on `x`. A bias is minus a weighted mean of the neuron's
    pre-activations (without bias) on five rows drawn at random, with weights drawn from Exp(1): so
    the neuron's kink, or where its activation bends, lies between data.

    Args, returns and errors are those of `lsuv_`.

    Source: Holzmüller, Grinsztajn, Steinwart, "Better by default: strong pre-tuned MLPs and boosted
    trees on tabular data", NeurIPS 2024; the biases ("he+5") are those of Steinwart, "A sober look
    at neural network initializations", 2019.

    Example:
        >>> import numpy as np
        >>> from chainrule import nn
        >>> x = np.random.default_rng(0).uniform(0, 9, (50, 4))
        >>> layer = nn.Linear(4, 3, dtype="float64")
        >>> z = nn.data_driven_(layer, x)(x).numpy()
        >>> z.var(axis=0).round(6).tolist()
        [1.0, 1.0, 1.0]
    """

    def prepare(layer: Linear, x: Array, preactivations: Preactivations) -> None:
        normal_(layer.weight)
        if layer.bias is not None:
            zeros_(layer.bias)
        z = preactivations()
        _check(layer, x, z, np.all)
        std = z.std(axis=0)
        layer.weight.assign((layer.weight.numpy() / std[:, None]).astype(layer.weight.dtype))
        if layer.bias is not None:
            layer.bias.assign(-_between(z / std).astype(layer.bias.dtype))

    return _prepare_each_linear(model, x, prepare)


def _between(z: Array) -> Array:
    """For each column a mean of five of its values, with random weights."""
    generator = current_generator()
    shape = (5, z.shape[1])
    rows = (generator.uniform(shape, "float64").numpy() * len(z)).astype(np.int64)
    weights = -np.log1p(-generator.uniform(shape, "float64").numpy())
    chosen = np.take_along_axis(z, rows, axis=0)
    return (weights * chosen).sum(axis=0) / weights.sum(axis=0)


def _rounding(layer: Linear, x: Array) -> Array:
    """How far equal rows of z = x W^T may differ by rounding, for each output.

    A sum of n products rounds by about eps sqrt(n) times the sum of their absolute values, which
    may be much larger than |z|.

    Source: Higham and Mary, "A new approach to probabilistic rounding error analysis", SIAM Journal
    on Scientific Computing 41, 2019.
    """
    eps = np.finfo(layer.dtype).eps * np.sqrt(layer.in_features)
    largest = np.abs(x).max(axis=0, initial=0)
    return np.asarray(eps * (np.abs(layer.weight.numpy()) @ largest), np.float64)


def _check(layer: Linear, x: Array, z: Array, enough: Callable[[Array], Any]) -> None:
    """Raise where pre-activations are not finite, or `enough` of them do not vary."""
    if not z.size:
        raise ShapeError("x has no rows")  # the call of the layer adds its path
    path = local.context.path or "the model"
    if not np.isfinite(z).all():
        raise ValueError(
            f"{path}: the pre-activations are NaN or infinite on x; look at x and at the layers "
            "before"
        )
    if not enough(z.std(axis=0) > _rounding(layer, x)):
        raise ValueError(
            f"{path}: a pre-activation is the same for all rows of x, so no scale gives it "
            "variance 1; give more rows, or rows that differ"
        )


def _prepare_each_linear(
    model: M, x: Any, prepare: Callable[[Linear, Array, Preactivations], None]
) -> M:
    """Call the model on x, and `prepare` for each Linear before its first call."""
    seen: set[Module] = set()

    def around(module: Module, forward: Callable[..., Any], *inputs: Any, **keywords: Any) -> Any:
        if isinstance(module, Linear) and module not in seen:
            seen.add(module)
            before.update((p, p.numpy()) for p in module.parameters() if p not in before)

            def preactivations() -> Array:
                z = forward(*inputs, **keywords).numpy()
                return np.asarray(z.reshape(-1, z.shape[-1]), np.float64)

            reached = as_tensor(next(iter((*inputs, *keywords.values())))).numpy()
            prepare(module, reached.reshape(-1, reached.shape[-1]), preactivations)
        return forward(*inputs, **keywords)

    dtype = floating_dtype(arguments.module("model", model))
    batch = _inputs(model, _arrays(model, x), dtype)
    with _calibrating(model) as before, intercepted(model, around):
        call_model(model, batch)
        if not seen:
            raise ValueError("the model calls no Linear layer, so there is nothing to set")
    return model


# Statistics of batch normalisation


def recompute_batch_statistics(model: M, x: Any, *, batch_size: int = 256) -> M:
    """Give every batch normalisation of a model the exact mean and variance of its inputs on `x`.

    Running statistics are those of the last minibatches, whose weights still changed. With the
    training data as `x`, evaluation is as the textbooks define it: each layer normalises by the
    mean and the (biased) variance over the whole training data. `x` goes through the model in
    evaluation mode once for each such layer, from the first to the last, because the input of a
    layer depends on the layers before it. Call it after training; a further training continues
    from these statistics.

    Args:
        model: any module; its mode stays as it is. Layers that `x` does not reach keep their
            statistics.
        x: inputs, rows first: an array (memory-mapped ones are read batch by batch), or a tuple or
            a dict of arrays for a model of several inputs. Floats and uint8 are cast to the dtype
            of the model's parameters.
        batch_size: rows that go through the model at once; it changes the result by rounding alone.

    Returns:
        The model.

    Raises:
        ShapeError: if `x` has no rows, or its arrays have different numbers of them.
        ValueError: if the model has no layer with running statistics, if such a layer stands in
            several places, if `x` has masked values, or if a NaN or an infinite value reaches one.
            Then all keep their statistics.

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
    arguments.module("model", model)
    tracking = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    if not tracking:
        raise ValueError(
            "recompute_batch_statistics: the model has no batch normalisation with running "
            "statistics"
        )
    batch_size = checks.count("batch_size", batch_size)
    arrays = _arrays(model, x)
    rows = {len(array) if array.ndim else 0 for array in leaves(arrays)}
    if len(rows) != 1 or 0 in rows:
        shapes = ", ".join(str(array.shape) for array in leaves(arrays))
        raise ShapeError(
            "recompute_batch_statistics: x must have rows, as many in each array; "
            f"the shapes are {shapes}"
        )
    (count,) = rows
    dtype = floating_dtype(model)

    def calls() -> Iterator[Callable[[], Any]]:
        """Calls of the model, one for each batch."""
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            yield partial(_call_on_rows, model, arrays, rows, dtype)

    with _calibrating(model) as before:
        before.update(
            (state, state.numpy()) for m in tracking for state in m.buffers(recurse=False)
        )
        for layer in _in_order_of_calls(model, tracking, next(calls())):
            layer._recompute_statistics(_reaching(model, layer, calls()))
    return model


def _call_on_rows(model: Module, arrays: Any, rows: slice, dtype: Any) -> Any:
    return call_model(model, _inputs(model, map_leaves(lambda array: array[rows], arrays), dtype))


def _inputs(model: Module, arrays: Any, dtype: Any) -> Any:
    """The arrays of a batch in the dtypes in which the model takes them."""
    several = len([*leaves(arrays)]) > 1
    return map_leaves(lambda array: model_input(model, array, dtype, several), arrays)


class _ReachedError(Exception):
    """Ends a call of the model once the layer's input is known."""


def _reaching(
    model: Module, layer: BatchNorm, calls: Iterator[Callable[[], Any]]
) -> Iterator[Array]:
    """The input of the layer in each call of the model; a call ends there."""
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
    model: Module, layers: list[BatchNorm], call: Callable[[], Any]
) -> list[BatchNorm]:
    """The layers that a call of the model reaches, from the first to the last."""
    order: list[BatchNorm] = []

    def around(module: Module, forward: Callable[..., Any], *inputs: Any, **keywords: Any) -> Any:
        if module in order:
            raise ValueError(
                "recompute_batch_statistics: a batch normalisation stands in several places, and "
                "what reaches the later ones depends on itself; give each place a layer of its own"
            )
        if isinstance(module, BatchNorm) and module in layers:
            order.append(module)
        return forward(*inputs, **keywords)

    with intercepted(model, around):
        call()
    return order
