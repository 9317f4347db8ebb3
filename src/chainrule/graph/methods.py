"""The methods of a Tensor that are functions of `chainrule`, under the same names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import DTypeLike

if TYPE_CHECKING:
    from chainrule.graph.tensor import Tensor

Axis = int | tuple[int, ...] | None
Function = TypeVar("Function", bound=Callable[..., Any])

functions: dict[str, Callable[..., Any]] = {}
"""The functions that Tensor's operators and methods call, by name. `ops` and `graph.backprop`
register them, so that this module imports neither."""


def method(function: Function) -> Function:
    """Make `function` the one that the Tensor method or operator of its name calls."""
    functions[function.__name__] = function
    return function


class TensorMethods:
    """What a `Tensor` inherits: each method calls the function of its name."""

    __slots__ = ()

    def astype(self, dtype: DTypeLike) -> Tensor:
        return functions["astype"](self, dtype)

    def exp(self) -> Tensor:
        return functions["exp"](self)

    def log(self) -> Tensor:
        return functions["log"](self)

    def sqrt(self) -> Tensor:
        return functions["sqrt"](self)

    def abs(self) -> Tensor:
        return functions["abs"](self)

    def sin(self) -> Tensor:
        return functions["sin"](self)

    def cos(self) -> Tensor:
        return functions["cos"](self)

    def tanh(self) -> Tensor:
        return functions["tanh"](self)

    def sigmoid(self) -> Tensor:
        return functions["sigmoid"](self)

    def relu(self) -> Tensor:
        return functions["relu"](self)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["sum"](self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["mean"](self, axis, keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False, correction: int = 0) -> Tensor:
        return functions["var"](self, axis, keepdims, correction)

    def std(self, axis: Axis = None, keepdims: bool = False, correction: int = 0) -> Tensor:
        return functions["std"](self, axis, keepdims, correction)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["max"](self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["min"](self, axis, keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return functions["argmax"](self, axis, keepdims)

    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["logsumexp"](self, axis, keepdims)

    def softmax(self, axis: int = -1) -> Tensor:
        return functions["softmax"](self, axis)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        return functions["reshape"](self, *shape)

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        return functions["transpose"](self, *axes)

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        return functions["broadcast_to"](self, shape)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        return functions["transpose"](self)
