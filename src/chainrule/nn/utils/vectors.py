"""All parameters of a model as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from chainrule.errors import ShapeError
from chainrule.graph.parameter_lists import distinct_parameters, is_model
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops.joining import concatenate


def several(given: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """One Tensor, or several, as a list; a TypeError for what is neither, such as a model."""
    if isinstance(given, Tensor):
        return [given]
    if isinstance(given, Mapping) or not isinstance(given, Iterable) or is_model(given):
        raise _no_tensors(given)
    found = list(given)
    for part in found:
        if not isinstance(part, Tensor):
            raise _no_tensors(part)
    return found


def _no_tensors(given: object) -> TypeError:
    kind = type(given).__name__
    return TypeError(f"parameters are Tensors, such as model.parameters(), got {kind}")


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters one after another, with their gradient.

    Args:
        parameters: Tensors of any shapes, as ``model.parameters()``.

    Returns:
        A Tensor of shape (n,), for n elements together.

    Raises:
        TypeError: if they are no Tensors, but a model, say.
        ValueError: if there are no parameters.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.utils.parameters_to_vector([cr.tensor([[1.0, 2.0]]), cr.tensor(3.0)])
        tensor([1., 2., 3.])
    """
    found = several(parameters)
    if not found:
        raise ValueError("parameters_to_vector: there are no parameters")
    return concatenate([parameter.reshape(-1) for parameter in found])


def vector_to_parameters(vec: TensorLike, parameters: Iterable[Parameter]) -> None:
    """Give the parameters the elements of a vector, one after another.

    Args:
        vec: shape (n,), as of `parameters_to_vector`.
        parameters: Parameters of n elements together.

    Raises:
        ShapeError: if their elements are not n; no parameter has changed then.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> w = cr.Parameter([[0.0, 0.0]])
        >>> nn.utils.vector_to_parameters(cr.tensor([1.0, 2.0]), [w])
        >>> w.tolist()
        [[1.0, 2.0]]
    """
    vector = as_tensor(vec)
    found = distinct_parameters(parameters, "vector_to_parameters changes Parameters")
    size = sum(parameter.size for parameter in found)
    if vector.shape != (size,):
        raise ShapeError(
            f"vector_to_parameters: the parameters have {size} elements together, so the vector "
            f"has shape ({size},), not {vector.shape}"
        )
    start = 0
    for parameter in found:
        stop = start + math.prod(parameter.shape)
        parameter.assign(vector[start:stop].reshape(parameter.shape).astype(parameter.dtype))
        start = stop
