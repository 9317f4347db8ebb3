"""In-place operators and methods: what PyTorch's do to a leaf, or an error with the remedy.

A Tensor is immutable, so that every node keeps the value it was computed from. Of a `State` the
array is replaced, as by `assign`; for others an operator makes a new Tensor for the name on its
left, as Python does with numbers. A leaf that requires a gradient and is no State is refused: the
loop ``for w in weights: w -= lr * w.grad`` would train nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import checks
from chainrule.dtypes import check_unmasked
from chainrule.errors import DTypeError, ShapeError, SymbolicError
from chainrule.graph.context import local, no_grad
from chainrule.graph.registered import functions

if TYPE_CHECKING:
    from chainrule.graph.tensor import Array, Tensor, TensorLike

_REMEDY = (
    "a State, such as chainrule.Parameter, takes new values by assign, by in-place operators "
    "inside chainrule.no_grad(), and a part of it by p.data[i] = v"
)

_NEW = {
    "add_": "x = x + alpha * y",
    "sub_": "x = x - alpha * y",
    "mul_": "x = x * y",
    "div_": "x = x / y",
    "copy_": "x = source",
    "fill_": "x = chainrule.full_like(x, value)",
    "zero_": "x = chainrule.zeros_like(x)",
    "clamp_": "x = x.clip(min, max)",
    "normal_": "x = mean + std * chainrule.randn_like(x)",
    "uniform_": "x = chainrule.uniform(low, high, x.shape)",
}
"""What is written for a Tensor that is no State in place of its methods that change values."""


def _times(alpha: float, other: TensorLike) -> TensorLike:
    return other if alpha == 1 else functions["multiply"](alpha, other)


def _product(left: Any, right: TensorLike) -> Any:
    product = operator.matmul(left, right)
    owner = getattr(left, "owner", left)
    if owner.is_state and product.shape != owner.shape:
        raise ShapeError(f"{owner._label} has shape {left.shape}; @= gives {product.shape}")
    return product


class InPlaceOperators:
    """What a `Tensor` inherits: ``+=`` and the like, PyTorch's ``add_`` and the like, `data`."""

    __slots__ = ()

    def requires_grad_(self: Any, requires_grad: bool = True) -> Any:
        """Let this leaf require a gradient, or none; the Tensor itself.

        Raises:
            RuntimeError: for a Tensor that an operation computes and that should require none.
            DTypeError: if it should require one and is not floating.
        """
        if not self.is_leaf and not requires_grad and self.requires_grad:
            raise RuntimeError(
                "what is computed from a Tensor that requires a gradient requires one too; "
                "x.detach() is its value alone"
            )
        if requires_grad and self.dtype.kind != "f":
            raise DTypeError(f"only floating Tensors require gradients, not {self.dtype}")
        if self.requires_grad != bool(requires_grad):
            self.requires_grad = bool(requires_grad)
        return self

    @property
    def _is_made_leaf(self: Any) -> bool:
        """Whether it is symbolic, was computed without a graph, and requires a gradient since then.

        With values it would have no operation; here it keeps one, and no gradient goes through it.
        """
        return self.requires_grad and self._without_graph

    def _take_result(self: Any, what: str, compute: Callable[[], Tensor]) -> Tensor:
        """What the name on the left of an in-place operator stands for afterwards."""
        if self.is_leaf and self.requires_grad:
            raise RuntimeError(
                f"{what} on a leaf that requires a gradient would bind its name to another Tensor "
                f"and leave the leaf as it is: {_REMEDY}. For a new Tensor write it out: x = x + y"
            )
        return compute()

    def _take(self, name: str, value: Callable[[], Any]) -> Tensor:
        """The State itself, after it has taken a value, as PyTorch's ``copy_`` does."""
        new = f"write {_NEW[name]}; " if name in _NEW else ""
        raise TypeError(
            f"{name} changes values, but a Tensor is immutable: {new}{_REMEDY}. For gradients use "
            "zero_grad() or p.grad = None, or give p.grad a new Tensor"
        )

    # Operators

    def __iadd__(self, other: TensorLike) -> Tensor:
        return self._take_result("+=", lambda: operator.add(self, other))

    def __isub__(self, other: TensorLike) -> Tensor:
        return self._take_result("-=", lambda: operator.sub(self, other))

    def __imul__(self, other: TensorLike) -> Tensor:
        return self._take_result("*=", lambda: operator.mul(self, other))

    def __itruediv__(self, other: TensorLike) -> Tensor:
        return self._take_result("/=", lambda: operator.truediv(self, other))

    def __ifloordiv__(self, other: TensorLike) -> Tensor:
        return self._take_result("//=", lambda: operator.floordiv(self, other))

    def __imod__(self, other: TensorLike) -> Tensor:
        return self._take_result("%=", lambda: operator.mod(self, other))

    def __ipow__(self, other: TensorLike) -> Tensor:
        return self._take_result("**=", lambda: operator.pow(self, other))

    def __imatmul__(self, other: TensorLike) -> Tensor:
        return self._take_result("@=", lambda: _product(self, other))

    def __iand__(self, other: TensorLike) -> Tensor:
        return self._take_result("&=", lambda: operator.and_(self, other))

    def __ior__(self, other: TensorLike) -> Tensor:
        return self._take_result("|=", lambda: operator.or_(self, other))

    def __ixor__(self, other: TensorLike) -> Tensor:
        return self._take_result("^=", lambda: operator.xor(self, other))

    def __setitem__(self: Any, index: Any, value: TensorLike) -> None:
        """Replace elements of a State, in a copy, by NumPy's indices; another Tensor refuses."""
        owner = getattr(self, "owner", self)
        if not owner.is_state:
            raise TypeError(
                "x[i] = v would write into a Tensor, which is immutable: chainrule.where(mask, v, "
                "x), put and put_along_axis make a new Tensor, concatenate and stack build one "
                "from parts, and so does chainrule.tensor of a NumPy array that you fill. A "
                "gradient is replaced, as by p.grad = 0.5 * p.grad"
            )

        if local.context.capture is not None:
            if index is not Ellipsis and not (isinstance(index, slice) and index == slice(None)):
                raise SymbolicError(
                    "x[i] = v needs the values of x, which a captured graph does not know yet: "
                    "x.assign(chainrule.put_along_axis(x, i, v, axis)), or put or where in its "
                    "place; x[:] = v takes a value for all of x"
                )
            self._take("x[:] = v", lambda: value)
            return

        def written() -> Array:
            check_unmasked("v of x[i] = v", value)
            values = value if isinstance(value, (int, float)) else np.asarray(value)
            array: Array = owner.numpy().astype(np.result_type(owner.dtype, values))
            array[index] = values
            return array

        self._take("x[i] = v", written)

    # PyTorch's methods

    def add_(self, other: TensorLike, *, alpha: float = 1) -> Tensor:
        """Add `alpha` times `other` to this State; a Tensor that is none refuses."""
        return self._take("add_", lambda: operator.add(self, _times(alpha, other)))

    def sub_(self, other: TensorLike, *, alpha: float = 1) -> Tensor:
        """Subtract `alpha` times `other` from this State."""
        return self._take("sub_", lambda: operator.sub(self, _times(alpha, other)))

    def mul_(self, other: TensorLike) -> Tensor:
        """Multiply this State by `other`."""
        return self._take("mul_", lambda: operator.mul(self, other))

    def div_(self, other: TensorLike) -> Tensor:
        """Divide this State by `other`."""
        return self._take("div_", lambda: operator.truediv(self, other))

    def copy_(self, source: TensorLike, non_blocking: bool = False) -> Tensor:
        """Copy `source`, broadcast, into this State; `non_blocking` means nothing."""
        return self._take("copy_", lambda: source)

    def fill_(self, value: float) -> Tensor:
        """Fill this State with one number."""
        return self._take("fill_", lambda: value)

    def zero_(self) -> Tensor:
        """Fill this State with zeros."""
        return self._take("zero_", lambda: 0)

    def clamp_(self, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
        """Raise this State's values to `min` and lower them to `max`, where they are beyond."""
        return self._take("clamp_", lambda: functions["clip"](self, min, max))

    def normal_(self, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Draw this State anew, from the normal distribution."""

        def drawn() -> Any:
            return functions["randn_like"](self) * checks.not_negative("std", std) + mean

        return self._take("normal_", drawn)

    def uniform_(self: Any, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw this State anew, uniformly from [low, high)."""

        def drawn() -> Any:
            return functions["_uniform"](float(low), float(high), self.shape, dtype=self.dtype)

        taken: Tensor = self._take("uniform_", drawn)
        return taken

    @property
    def data(self) -> Tensor:
        """The value as a Tensor without gradient; of a State it can be set, as by `assign`."""
        return functions["stop_gradient"](self)

    @data.setter
    def data(self, value: TensorLike) -> None:
        with no_grad():
            self._take("x.data = v", lambda: value)
