"""What a model computes, as the graph that is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import numpy as np

from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.compiler.leftovers import nothing_left
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.letters import letters_of
from chainrule.inspect.step import run_step
from chainrule.inspect.summary import batch_shapes, placeholders_of, takes_inputs
from chainrule.inspect.trace import trace_of
from chainrule.nn.inputs import floating_dtype
from chainrule.nn.module import Module
from chainrule.trees import leaves

_ROWS = 64  # of a batch where only the shape of a row is given, as in `summary`


def captured_module(model: Module, data: Any) -> CapturedGraph:
    """The graph of a call of the model, in the mode that it is in.

    Args:
        model: the module.
        data: the shape of a row, or a tuple of those of several inputs, as in `summary`; or a
            batch: an array, or a tuple of the arrays that the model takes.

    Raises:
        TypeError: if there is no `data`, or the model takes another number of inputs.
        ShapeError, DTypeError: if the data does not fit the model.
    """
    _check_given(data)
    of_shapes = is_of_shapes(data)
    if of_shapes:
        places = placeholders_of(model, batch_shapes("data", data, _ROWS), None)
    else:
        given = batch_of(data)
        arrays = [part if isinstance(part, Tensor) else np.asarray(part) for part in given]
        places = placeholders_of(model, [a.shape for a in arrays], [a.dtype for a in arrays])
    saying = _of_a_shape(places[0].dtype) if of_shapes else nullcontext()
    with nothing_left(model.modules()), saying:
        return capture(model, *places)


def _check_given(data: Any) -> None:
    if data is None:
        raise TypeError(
            "a model is drawn from what it computes, and that needs the shape of a row, as in "
            "cr.draw(model, (784,)), or a batch of data"
        )
    if isinstance(data, (int, np.integer, str)):
        raise TypeError(
            f"data is the shape of a row, a tuple as (784,), or a batch of data; got {data!r}"
        )


@contextmanager
def _of_a_shape(dtype: np.dtype[Any]) -> Iterator[None]:
    """Say where a dtype that does not fit comes from."""
    try:
        yield
    except DTypeError as error:
        raise DTypeError(
            f"{str(error).rstrip('.')}. Of a shape alone the input is {dtype}: draw the model with "
            "a batch of data"
        ) from None


def trace_of_module(model: Module, data: Any) -> dict[str, Any]:
    """The trace of a call of the model, in the mode that it is in, for its neurons.

    Its loss is the sum of the outputs, and it has no gradients.

    Raises:
        TypeError: if there is no `data`.
    """
    _check_given(data)
    of_shapes, dtype = is_of_shapes(data), floating_dtype(model)
    x = data
    if of_shapes:
        shapes = batch_shapes("data", data, 2)  # one row has no statistics
        takes_inputs(model, len(shapes))
        zeros = [np.zeros(shape, dtype) for shape in shapes]
        x = zeros[0] if len(zeros) == 1 else tuple(zeros)
    rows = len(batch_of(x)[0])
    with _of_a_shape(dtype) if of_shapes else nullcontext():
        step = run_step(model, x, np.zeros(rows), _sum_of_outputs, None, 0, is_training=False)
    letters, form = letters_of("boulder", None)
    return trace_of(step, model, _sum_of_outputs, None, "boulder", letters, form)


def _sum_of_outputs(output: Any, target: Tensor) -> Tensor:
    return cast(Tensor, sum(part.sum() for part in leaves(output)))


def is_of_shapes(data: Any) -> bool:
    """Whether data are the shape of a row, or a tuple of those of several inputs; else a batch."""
    several = isinstance(data, tuple) and any(isinstance(part, (tuple, list)) for part in data)
    return all(map(_is_shape, data)) if several else _is_shape(data)


def _is_shape(data: Any) -> bool:
    """Whether data are whole numbers in a tuple or a list."""
    return isinstance(data, (tuple, list)) and all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in data
    )


def batch_of(data: Any) -> tuple[Any, ...]:
    """The arguments of a call."""
    return tuple(data) if isinstance(data, tuple) else (data,)


def kinds_of_module(model: Module) -> dict[str, str]:
    """The class of each layer, by its path."""
    return {path: type(module).__name__ for path, module in model.named_modules()}


def values_of(graph: CapturedGraph, arguments: tuple[Any, ...]) -> Mapping[Tensor, Array]:
    """The value of each node of a captured graph, for given inputs and the states as they are.

    Raises:
        ShapeError: if the inputs are not as many, or not of the shapes, of the captured ones.
    """
    given = [np.asarray(a.numpy() if isinstance(a, Tensor) else a) for a in arguments]
    shapes = [leaf.shape for leaf in graph.inputs]
    if [a.shape for a in given] != shapes:
        raise ShapeError(
            f"the graph takes inputs of the shapes {shapes}, data has {[a.shape for a in given]}"
        )
    values: dict[Tensor, Array] = {}
    for leaf, array in zip(graph.inputs, given, strict=True):
        values[leaf] = array.astype(leaf.dtype)
    for state, leaf in graph.reads.items():
        values[leaf] = state.node().numpy()
    for node in graph.nodes:
        if node in values:
            continue
        if node.value is not None:
            values[node] = node.value
        elif node.operation is not None:
            inputs = [values[i] for i in node.inputs]
            values[node] = np.asarray(node.operation.forward(*inputs, **node.attributes))
    return values
