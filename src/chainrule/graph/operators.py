"""The operators of a Tensor: each calls the function of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.graph.registered import functions

if TYPE_CHECKING:
    from chainrule.graph.tensor import Tensor, TensorLike


_UNEQUAL = (type(None), str, bytes)  # a Tensor is not equal to any of these, as to no other object


class Operators:
    """What a `Tensor` inherits: ``+``, ``@``, ``<``, ``x[i]`` and the like."""

    __slots__ = ()

    def __add__(self, other: TensorLike) -> Tensor:
        return functions["add"](self, other)

    def __radd__(self, other: TensorLike) -> Tensor:
        return functions["add"](other, self)

    def __sub__(self, other: TensorLike) -> Tensor:
        return functions["subtract"](self, other)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return functions["subtract"](other, self)

    def __mul__(self, other: TensorLike) -> Tensor:
        return functions["multiply"](self, other)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return functions["multiply"](other, self)

    def __truediv__(self, other: TensorLike) -> Tensor:
        return functions["divide"](self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return functions["divide"](other, self)

    def __floordiv__(self, other: TensorLike) -> Tensor:
        return functions["floor_divide"](self, other)

    def __rfloordiv__(self, other: TensorLike) -> Tensor:
        return functions["floor_divide"](other, self)

    def __mod__(self, other: TensorLike) -> Tensor:
        return functions["remainder"](self, other)

    def __rmod__(self, other: TensorLike) -> Tensor:
        return functions["remainder"](other, self)

    def __and__(self, other: TensorLike) -> Tensor:
        return functions["bitwise_and"](self, other)

    def __rand__(self, other: TensorLike) -> Tensor:
        return functions["bitwise_and"](other, self)

    def __or__(self, other: TensorLike) -> Tensor:
        return functions["bitwise_or"](self, other)

    def __ror__(self, other: TensorLike) -> Tensor:
        return functions["bitwise_or"](other, self)

    def __xor__(self, other: TensorLike) -> Tensor:
        return functions["bitwise_xor"](self, other)

    def __rxor__(self, other: TensorLike) -> Tensor:
        return functions["bitwise_xor"](other, self)

    def __lshift__(self, other: TensorLike) -> Tensor:
        return functions["left_shift"](self, other)

    def __rlshift__(self, other: TensorLike) -> Tensor:
        return functions["left_shift"](other, self)

    def __rshift__(self, other: TensorLike) -> Tensor:
        return functions["right_shift"](self, other)

    def __rrshift__(self, other: TensorLike) -> Tensor:
        return functions["right_shift"](other, self)

    def __divmod__(self, other: TensorLike) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: TensorLike) -> tuple[Tensor, Tensor]:
        return functions["floor_divide"](other, self), functions["remainder"](other, self)

    def __invert__(self) -> Tensor:
        return functions["invert"](self)

    def __round__(self, decimals: int = 0) -> Tensor:
        return functions["round"](self, decimals)

    def __pow__(self, other: TensorLike, modulo: None = None) -> Tensor:
        if modulo is not None:
            raise TypeError("pow of a Tensor takes no modulus; write x ** y % m")
        return functions["power"](self, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return functions["power"](other, self)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return functions["matmul"](self, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return functions["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return functions["negative"](self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Tensor:
        return functions["abs"](self)

    def __eq__(self, other: TensorLike) -> Tensor:  # type: ignore[override]
        if isinstance(other, _UNEQUAL):
            return NotImplemented
        return functions["equal"](self, other)

    def __ne__(self, other: TensorLike) -> Tensor:  # type: ignore[override]
        if isinstance(other, _UNEQUAL):
            return NotImplemented
        return functions["not_equal"](self, other)

    def __lt__(self, other: TensorLike) -> Tensor:
        return functions["less"](self, other)

    def __le__(self, other: TensorLike) -> Tensor:
        return functions["less_equal"](self, other)

    def __gt__(self, other: TensorLike) -> Tensor:
        return functions["greater"](self, other)

    def __ge__(self, other: TensorLike) -> Tensor:
        return functions["greater_equal"](self, other)

    def __contains__(self, number: TensorLike) -> bool:
        """Whether an element equals the number."""
        return bool(functions["any"](functions["equal"](self, number)))

    def __getitem__(self, index: Any) -> Tensor:
        return functions["getitem"](self, index)
