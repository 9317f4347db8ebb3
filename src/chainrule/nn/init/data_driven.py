"""Starting values from data: every Linear's pre-activations have variance 1 on a batch.

The layers are set one after another in the order in which the model calls them, so each sees what
the ones before it, already set, make of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.graph.context import local, no_grad
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Array, TensorLike
from chainrule.nn.init.distributions import normal_, orthogonal_, zeros_
from chainrule.nn.interception import intercepted
from chainrule.nn.module import Module
from chainrule.ops.random import current_generator

Preactivations = Callable[[], Array]
"""Gives z of the layer as it is now, shape (rows, out_features), in float64."""


def lsuv_(model: Module, x: TensorLike) -> Module:
    """Layer-sequential unit variance: orthogonal weights and zero biases, and each layer's weight
    divided by the standard deviation of all its pre-activations together.

    Args:
        model: its Linear layers are set; what else it has stays as it is. It is called as for
            prediction: without dropout, and without a change of running statistics.
        x: rows to call it on, all or a few hundred of those it will be trained on.

    Returns:
        The model.

    Raises:
        ValueError: if a layer's pre-activations do not vary on `x`, or are not finite; if `x` has
            no rows (ShapeError); if the model calls no Linear. It then is as it was.

    Source: Mishkin and Matas, "All you need is a good init", ICLR 2016.

    Example:
        >>> import numpy as np
        >>> from chainrule import nn
        >>> x = np.random.default_rng(0).uniform(0, 9, (50, 4))
        >>> layer = nn.Linear(4, 3, dtype="float64")
        >>> z = nn.init.lsuv_(layer, x)(x).numpy()
        >>> bool(np.isclose(z.var(), 1))
        True
    """

    def prepare(layer: Any, preactivations: Preactivations) -> None:
        orthogonal_(layer.weight)
        if layer.bias is not None:
            zeros_(layer.bias)
        z = preactivations()
        _check(z, layer.dtype, np.any)
        std = z.std()
        layer.weight.assign((layer.weight.numpy() / std).astype(layer.weight.dtype))

    return _prepare_each_linear(model, x, prepare)


def data_driven_(model: Module, x: TensorLike) -> Module:
    """Normal weights, each row divided by the standard deviation of its pre-activation; the kinks
    of the activations among the data.

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
        >>> z = nn.init.data_driven_(layer, x)(x).numpy()
        >>> z.var(axis=0).round(6).tolist()
        [1.0, 1.0, 1.0]
    """

    def prepare(layer: Any, preactivations: Preactivations) -> None:
        normal_(layer.weight)
        if layer.bias is not None:
            zeros_(layer.bias)
        z = preactivations()
        _check(z, layer.dtype, np.all)
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


def _check(z: Array, dtype: str, enough: Callable[[Array], Any]) -> None:
    """Raise where pre-activations are not finite, or `enough` of them do not vary."""
    path = local.context.path or "the model"
    if not z.size:
        raise ShapeError(f"{path}: x has no rows")
    if not np.isfinite(z).all():
        raise ValueError(
            f"{path}: the pre-activations are NaN or infinite on x; look at x and at the layers "
            "before"
        )
    rounding = np.finfo(dtype).eps * np.abs(z).max(axis=0)
    if not enough(z.std(axis=0) > rounding):
        raise ValueError(
            f"{path}: a pre-activation is the same for all rows of x, so no scale gives it "
            "variance 1; give more rows, or rows that differ"
        )


def _prepare_each_linear(
    model: Module, x: TensorLike, prepare: Callable[[Any, Preactivations], None]
) -> Module:
    """Call the model on x, and `prepare` for each Linear before its first call."""
    from chainrule.nn.layers.linear import Linear  # here: layers draw their values by this room

    before: dict[Parameter, Array] = {}
    seen: set[Module] = set()

    def around(module: Module, forward: Callable[..., Any], *inputs: Any, **keywords: Any) -> Any:
        if isinstance(module, Linear) and module not in seen:
            seen.add(module)
            before.update((p, p.numpy()) for p in module.parameters() if p not in before)

            def preactivations() -> Array:
                z = forward(*inputs, **keywords).numpy()
                return z.reshape(-1, z.shape[-1]).astype(np.float64)

            prepare(module, preactivations)
        return forward(*inputs, **keywords)

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad(), intercepted(model, around):
            model(x)
        if not seen:
            raise ValueError("the model calls no Linear layer, so there is nothing to set")
    except BaseException:
        for parameter, value in before.items():
            parameter.assign(value)
        raise
    finally:
        for module, training in modes:
            module.training = training
    return model
