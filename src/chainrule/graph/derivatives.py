"""Derivatives of functions: value_and_grad, vjp, jvp, jacobian, hessian.

Inside `no_grad` they are computed as outside, and are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.context import local, with_gradients
from chainrule.graph.gradients import grad
from chainrule.graph.operation import operations
from chainrule.graph.registered import functions
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.trees import map_leaves

Function = Callable[..., Tensor]
Derivative = TypeVar("Derivative", bound=Callable[..., Any])


def _inside_no_grad_too(derivative: Derivative) -> Derivative:
    """Let the decorated function work inside `no_grad`, too, where its results are constants."""

    @wraps(derivative)
    def call(*arguments: Any, **keywords: Any) -> Any:
        if local.context.grad_enabled:
            return derivative(*arguments, **keywords)
        found = with_gradients(lambda: derivative(*arguments, **keywords))
        return map_leaves(Tensor.detach, found)

    return cast(Derivative, call)


def _variable(data: TensorLike) -> Tensor:
    """A Tensor of this value to differentiate with respect to, which nothing else reads.

    Where gradients pass `data`, they pass from it to `data`.
    """
    if isinstance(data, tuple) and any(map(_is_argument, data)):
        raise TypeError(
            "derivatives are with respect to one Tensor or array, not a tuple of these: pass x in "
            "place of (x,); value_and_grad takes several as arguments of their own, by argnums"
        )
    if isinstance(data, Mapping) or hasattr(data, "named_parameters"):
        tensors = "tensors" if isinstance(data, Mapping) else "dict(model.named_parameters())"
        raise TypeError(
            f"derivatives are with respect to one Tensor or array, not {type(data).__name__}: of a "
            f"dict of Tensors that require gradients cr.grad(loss, {tensors}) gives a dict"
        )
    x = as_tensor(data).node()
    if x.dtype.kind != "f":
        raise DTypeError(
            f"only floating Tensors have gradients, not {x.dtype}; convert it with astype"
        )
    if not (x.requires_grad or x.is_symbolic):
        return Tensor(x.numpy(), requires_grad=True)
    variable = operations["reshape"].apply(x, shape=x.shape)
    if not variable.requires_grad:  # as with a value: else no_grad in the function would not count
        variable.requires_grad, variable._without_graph = True, False
    return variable


def _is_argument(part: Any) -> bool:
    """Whether a part of a tuple is a Tensor or an array with axes, not one of NumPy's numbers."""
    return isinstance(part, Tensor) or getattr(part, "shape", ()) != ()


def _value(function: Function, *arguments: Any, **keywords: Any) -> Tensor:
    """What the function returns, which is one Tensor.

    Raises:
        TypeError: if it is something else, or `function` is none.
    """
    checks.function("what is differentiated", function, "of Tensors -> a Tensor")
    y = function(*arguments, **keywords)
    if isinstance(y, Tensor):
        return y
    if isinstance(y, (tuple, list, dict)):
        remedy = "return the one to differentiate, by a function of its own for each"
    else:
        remedy = "compute it by operations on Tensors, without item(), float() or numpy()"
    raise TypeError(
        f"the function whose derivatives are asked for returns one Tensor, not {type(y).__name__}: "
        f"{remedy}"
    )


def _scalar(name: str, y: Tensor, remedy: str) -> Tensor:
    """y, which must be a scalar.

    Raises:
        ShapeError: if it has axes.
    """
    if y.shape != ():
        raise ShapeError(
            f"{name} takes a function whose value is a scalar, not of shape {y.shape}: sum it, or "
            f"{remedy}"
        )
    return y


def value_and_grad(
    function: Function, argnums: int | Sequence[int] = 0
) -> Callable[..., tuple[Tensor, Any]]:
    """A function that returns the value of `function` and its gradient.

    The gradient is by each argument alone. What the function reads from outside counts as a
    constant, also where that is the argument, or is computed from it; as `torch.func` has it.

    Args:
        function: takes Tensors, returns a scalar Tensor.
        argnums: the position of the argument to differentiate, or several.

    Raises:
        TypeError: from the function returned, if it is called with fewer arguments.
        ShapeError: from the function returned, if `function` does not give a scalar.

    Example:
        >>> import chainrule as cr
        >>> f = cr.value_and_grad(lambda x: (x * x).sum())
        >>> value, gradient = f(cr.tensor([1.0, 3.0]))
        >>> value.item(), gradient.tolist()
        (10.0, [2.0, 6.0])
    """
    several = [argnums] if isinstance(argnums, int) else argnums
    positions = checks.several("argnums", several, "positions")

    @_inside_no_grad_too
    def evaluate(*arguments: Any, **keywords: Any) -> tuple[Tensor, Any]:
        given = list(arguments)
        if not all(-len(given) <= position < len(given) for position in positions):
            raise TypeError(
                f"value_and_grad: argnums {argnums} are places of arguments given in order; the "
                f"call has {len(given)} of these"
            )
        for position in positions:
            given[position] = _variable(given[position])
        value = _value(function, *given, **keywords)
        _scalar("value_and_grad", value, "take all first derivatives by cr.jacobian")
        variables = [given[position] for position in positions]
        grads = grad(value, variables)
        return value, grads[0] if isinstance(argnums, int) else grads

    return evaluate


@_inside_no_grad_too
def vjp(function: Function, x: TensorLike, v: TensorLike) -> tuple[Tensor, Tensor]:
    """The value y = f(x) and the vector-Jacobian product v^T J, of the shape of x.

    Example:
        >>> import chainrule as cr
        >>> y, product = cr.vjp(lambda x: x * x, cr.tensor([1.0, 2.0]), [1.0, 10.0])
        >>> product.tolist()
        [2.0, 40.0]
    """
    x = _variable(x)
    y = _value(function, x)
    return y, grad(y, x, v)


@_inside_no_grad_too
def jvp(function: Function, x: TensorLike, v: TensorLike) -> tuple[Tensor, Tensor]:
    """The value y = f(x) and the Jacobian-vector product J v, of the shape of y.

    The product u^T J is linear in u, so J v is the gradient of <u^T J, v> with respect to u.

    Raises:
        ShapeError: if v has another shape than x.

    Example:
        >>> import chainrule as cr
        >>> y, product = cr.jvp(lambda x: x.sum(), cr.tensor([1.0, 2.0]), [3.0, 4.0])
        >>> product.item()
        7.0
    """
    x = _variable(x)
    v = as_tensor(v, None if isinstance(v, Tensor) else x.dtype)
    if v.shape != x.shape:
        raise ShapeError(f"jvp: v has shape {v.shape}, x has {x.shape}; they must be equal")
    y = _value(function, x)
    u = Tensor(np.zeros(y.shape, y.dtype), requires_grad=True)
    inner = (grad(y, x, u) * v).sum()
    return y, grad(inner, u)


@_inside_no_grad_too
def jacobian(function: Function, x: TensorLike) -> Tensor:
    """All first derivatives of f at x: shape (*y.shape, *x.shape).

    Example:
        >>> import chainrule as cr
        >>> cr.jacobian(lambda x: x * x, cr.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    x = _variable(x)
    y = _value(function, x)
    rows = []
    for i in range(y.size):
        unit = np.zeros(y.size, y.dtype)
        unit[i] = 1
        rows.append(grad(y, x, unit.reshape(y.shape)))
    if not rows:
        return Tensor(np.zeros(y.shape + x.shape, x.dtype))
    return functions["stack"](rows).reshape(y.shape + x.shape)


@_inside_no_grad_too
def hessian(function: Function, x: TensorLike) -> Tensor:
    """All second derivatives of a scalar f at x: shape (*x.shape, *x.shape).

    Raises:
        ShapeError: if f does not give a scalar.

    Example:
        >>> import chainrule as cr
        >>> cr.hessian(lambda x: (x * x * x).sum(), cr.tensor([1.0, 2.0])).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    remedy = "take the Jacobian of the Jacobian: cr.jacobian(lambda x: cr.jacobian(f, x), x)"

    def gradient(t: Tensor) -> Tensor:
        return grad(_scalar("hessian", _value(function, t), remedy), t)

    return jacobian(gradient, x)
