"""Elementwise operations: how they are declared, and how their operands meet.

The operations themselves are in `arithmetic`, `comparison` and `unary`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, Signature
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from chainrule.dtypes import as_dtype, to_array
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names, other_names, own_names, too_many
from chainrule.graph.operation import (
    Flops,
    Operation,
    Samples,
    Spec,
    no_flops,
    one_per_element,
    operations,
)
from chainrule.graph.registered import functions, method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor, holds_tensors
from chainrule.ops.samples import examples

__all__ = ["astype"]

BOOL = np.dtype(bool)

_KINDS_HOLDING = {float: "f", int: "fiu"}
"""The kinds of dtypes in which a Tensor meets a Python number without a change."""

_NOT_GIVEN: Any = object()
"""In place of an argument that a call has not, or has by name."""


class Elementwise(Operation):
    """An operation whose output has at each place a function of the inputs' elements there.

    Programs of the compiler are made of these.

    Attributes:
        names: of the arguments of a call.
        integers: whether it has a result of integers, which int64 gives exactly.
    """

    names: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        infer: Callable[..., Spec],
        forward: Callable[..., Array],
        samples: Samples,
        *,
        integers: bool = True,
        variadic: bool = False,
        flops: Flops = one_per_element,
    ) -> None:
        super().__init__(name, infer, forward, samples, variadic=variadic, flops=flops)
        self.integers = integers
        if self.names:  # what a call takes, without what it refuses with a reason
            parameters = [Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in self.names]
            self.__signature__ = Signature(parameters)

    def _in_order(self, given: tuple[Any, ...], keywords: dict[str, Any]) -> list[Any]:
        """The arguments of a call, in order.

        Raises:
            TypeError: if there are others than these.
        """
        given = tuple([value for value in given if value is not _NOT_GIVEN])
        if len(given) > len(self.names):
            too_many(self.name, given, self.names)
        named = own_names(self.name, keywords, self.names, other_names(self.names))
        for name in self.names[: len(given)]:
            if name in named:
                raise TypeError(f"{self.name}() got multiple values for argument {name!r}")
        missing = [name for name in self.names[len(given) :] if name not in named]
        if missing:
            raise TypeError(f"{self.name}() missing an argument: {', '.join(missing)}")
        return [*given, *(named[name] for name in self.names[len(given) :])]


class Unary(Elementwise):
    """An operation on each element of one Tensor.

    One that has floats only takes integers and booleans as float32, as division does.
    """

    names = ("x",)

    def __call__(self, x: TensorLike = _NOT_GIVEN, *more: Any, **others: NoReturn) -> Tensor:
        if x is _NOT_GIVEN or more or others:
            return self(*self._in_order((x, *more), others))
        if not isinstance(x, Tensor):
            x = as_tensor(x)
        if x.dtype.kind != "f":
            if not self.integers:
                return self.apply(x.astype(np.float32))
            self.infer(x)  # NumPy would make numbers of booleans
        return self.apply(x)


class Binary(Elementwise):
    """An operation on the elements of two operands, broadcast and cast to fit one another."""

    names = ("a", "b")

    def __call__(
        self,
        a: TensorLike = _NOT_GIVEN,
        b: TensorLike = _NOT_GIVEN,
        *more: Any,
        **others: NoReturn,
    ) -> Tensor:
        if b is _NOT_GIVEN or more or others:
            return self(*self._in_order((a, b, *more), others))
        return self.apply(*align_two(self.name, a, b))


class Comparison(Binary):
    """A binary operation that compares, also with Python integers that the dtype does not hold.

    uint64 meets signed integers as it is, and not in float64, which has not all their digits.
    """

    def __call__(
        self,
        a: TensorLike = _NOT_GIVEN,
        b: TensorLike = _NOT_GIVEN,
        *more: Any,
        **others: NoReturn,
    ) -> Tensor:
        if b is _NOT_GIVEN or more or others:
            return self(*self._in_order((a, b, *more), others))
        if isinstance(b, int) and (side := beyond(b, a)):
            return self._everywhere(a, -side)
        if isinstance(a, int) and (side := beyond(a, b)):
            return self._everywhere(b, side)
        if _meet_in_floats(a, b):
            return self.apply(*broadcast(self.name, as_tensor(a), as_tensor(b)))
        return super().__call__(a, b)

    def _everywhere(self, x: TensorLike, order: int) -> Tensor:
        """Of operands of the shape of x: the first one is smaller (order -1) or larger (1)."""
        x = as_tensor(x)
        smaller, larger = filled(0, x), filled(1, x)
        return self.apply(smaller, larger) if order < 0 else self.apply(larger, smaller)


def _meet_in_floats(a: TensorLike, b: TensorLike) -> bool:
    """Whether operands are signed and unsigned integers that no integer dtype holds together.

    Integers in lists are int64.
    """
    dtypes = [
        x.dtype if isinstance(x, (Tensor, np.ndarray, np.generic)) else np.dtype(np.int64)
        for x in (a, b)
        if isinstance(x, (Tensor, np.ndarray, np.generic, list, tuple))
    ]
    if len(dtypes) < 2 or np.dtype(np.uint64) not in dtypes:
        return False
    return any(dtype.kind == "i" for dtype in dtypes) and all(d.kind in "iu" for d in dtypes)


def beyond(number: TensorLike, x: TensorLike) -> int:
    """1 where a Python integer is above all that the integer dtype of x holds, -1 below, else 0."""
    if not isinstance(number, int) or isinstance(x, (int, float)):
        return 0
    dtype = as_tensor(x).dtype
    if dtype.kind not in "iu":
        return 0
    held = np.iinfo(dtype)
    return int(number > held.max) - int(number < held.min)


def filled(number: Any, like: Tensor) -> Tensor:
    """A constant of the shape and dtype of `like`: one number in memory, seen at every element."""
    shape = like.shape
    try:
        one = np.array(number, like.dtype)
    except OverflowError:
        one = to_array(number, like.dtype)  # raises the clear error
    return Tensor(np.ndarray(shape, like.dtype, one, 0, (0,) * len(shape)))


def broadcast(name: str, *tensors: Tensor) -> list[Tensor]:
    """The Tensors as explicit nodes of one shape, by NumPy's rules."""
    shapes = [t.shape for t in tensors]
    if not shapes or shapes.count(shapes[0]) == len(shapes):
        return [*tensors]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{name}: shapes {' and '.join(map(str, shapes))} do not broadcast together: aligned "
            "from the right, lengths must be equal or 1"
        ) from None
    to_shape = operations["broadcast_to"].apply
    return [t if t.shape == shape else to_shape(t, shape=shape) for t in tensors]


def align_two(name: str, a: TensorLike, b: TensorLike) -> Sequence[Tensor]:
    """As `align` of two operands, quickly where they fit as they are, or one is a number."""
    if isinstance(a, Tensor):
        if isinstance(b, Tensor):
            if a.dtype is b.dtype:
                if a.shape == b.shape:
                    return a, b
                missing = len(a.shape) - len(b.shape)
                if missing > 0 and a.shape[missing:] == b.shape:  # a bias
                    return a, operations["broadcast_to"].apply(b, shape=a.shape)
                if missing < 0 and b.shape[-missing:] == a.shape:
                    return operations["broadcast_to"].apply(a, shape=b.shape), b
                return broadcast(name, a, b)
        elif a.dtype.kind in _KINDS_HOLDING.get(b.__class__, ""):
            return a, filled(b, a)
    elif isinstance(b, Tensor) and b.dtype.kind in _KINDS_HOLDING.get(a.__class__, ""):
        return filled(a, b), b
    return align(name, a, b)


def align(name: str, *operands: TensorLike) -> list[Tensor]:
    """The operands cast to one dtype and broadcast to one shape, as explicit nodes."""
    return broadcast(name, *of_one_dtype(*operands))


def of_one_dtype(*operands: TensorLike) -> list[Tensor]:
    """The operands cast to the dtype in which they meet; see `common_dtype`.

    Python numbers keep all the digits that it holds.
    """
    operands = _stacked(operands)
    return _cast(operands, common_dtype(*operands))


def _stacked(operands: tuple[TensorLike, ...]) -> tuple[TensorLike, ...]:
    """The operands, lists of Tensors as one node."""
    return tuple([as_tensor(t) if holds_tensors(t) else t for t in operands])


def _cast(operands: tuple[TensorLike, ...], dtype: np.dtype[Any]) -> list[Tensor]:
    """The operands as Tensors of a dtype."""
    tensors = []
    for operand in operands:
        if not isinstance(operand, Tensor):
            operand = as_tensor(operand, dtype)
        tensors.append(operand.astype(dtype))
    return tensors


def align_floats(name: str, *operands: TensorLike) -> list[Tensor]:
    """As `align`; integers become float32."""
    operands = _stacked(operands)
    dtype = common_dtype(*operands)
    # Not by way of an integer dtype, which may not hold a Python integer: uint8 / 256.
    return broadcast(name, *_cast(operands, dtype if dtype.kind == "f" else np.dtype(np.float32)))


def common_dtype(*operands: TensorLike) -> np.dtype[Any]:
    """The dtype in which operands meet: floats win over integers, the wider of a kind wins.

    Python numbers have no width of their own; among themselves they are float32, int64 or bool.
    `np.float64` numbers are Python floats. So are those in lists, beside a Tensor or an array.
    """
    strong: list[np.dtype[Any]] = []
    lists: list[TensorLike] = []
    for operand in operands:
        if isinstance(operand, Tensor) or not are_python_numbers(operand):
            strong.append(as_tensor(operand).dtype)
        elif not isinstance(operand, (int, float)):
            lists.append(operand)
    floating = [dtype for dtype in strong if dtype.kind == "f"]
    if floating:
        return np.result_type(*floating)
    if lists:
        of_lists = [as_tensor(numbers).dtype for numbers in lists]
        floating = [dtype for dtype in of_lists if dtype.kind == "f"]
        if floating:
            return np.dtype(np.float32) if strong else np.result_type(*floating)
        strong += of_lists
    if any(isinstance(t, float) for t in operands):
        return np.dtype(np.float32)
    numbers = any(isinstance(t, int) and not isinstance(t, bool) for t in operands)
    if not strong:
        return np.dtype(np.int64) if numbers else BOOL
    dtype = np.result_type(*strong)
    return np.dtype(np.int64) if numbers and dtype == BOOL else dtype


def joined_dtype(*parts: TensorLike) -> np.dtype[Any]:
    """The dtype in which the parts of a new array meet: as `common_dtype`, but beside integers
    Python's are int64, as in NumPy."""
    dtype = common_dtype(*parts)
    integers = any(isinstance(t, int) and not isinstance(t, bool) for t in parts)
    return np.result_type(dtype, np.int64) if integers and dtype.kind in "iu" else dtype


functions["_joined_dtype"] = joined_dtype


def are_python_numbers(data: TensorLike) -> bool:
    """Whether data are Python numbers, or lists of nothing else."""
    if not isinstance(data, (list, tuple)):
        return isinstance(data, (int, float))
    kinds = set(map(type, data))  # a list of a million numbers has one kind
    if not all(issubclass(kind, (int, float, list, tuple)) for kind in kinds):
        return False
    has_lists = any(issubclass(kind, (list, tuple)) for kind in kinds)
    return not has_lists or all(map(are_python_numbers, data))


def same_spec(*inputs: Tensor, **attributes: Any) -> Spec:
    """The shape and dtype of the first input."""
    return Spec(inputs[0].shape, inputs[0].dtype)


def numbers_spec(name: str) -> Callable[..., Spec]:
    """As `same_spec`, of numbers only."""

    def infer(*inputs: Tensor) -> Spec:
        if inputs[0].dtype == BOOL:
            raise DTypeError(f"{name} takes numbers, not booleans; cast the Tensor first")
        return Spec(inputs[0].shape, inputs[0].dtype)

    return infer


def _floating(name: str) -> Callable[..., Spec]:
    """As `same_spec`, of floating Tensors only."""

    def infer(x: Tensor) -> Spec:
        if x.dtype.kind != "f":
            raise DTypeError(f"{name} takes floating Tensors, not {x.dtype}; cast the Tensor first")
        return Spec(x.shape, x.dtype)

    return infer


def unary(
    samples: Samples, infer: Callable[..., Spec] | None = None
) -> Callable[[Callable[[Array], Array]], Unary]:
    """Declare the decorated NumPy function of one array as an elementwise operation of its name.

    Without `infer` its elements are floats, and integers become float32.
    """

    def declare(forward: Callable[[Array], Array]) -> Unary:
        name = forward.__name__.strip("_")
        floating = infer is None
        op = Unary(name, infer or _floating(name), forward, samples, integers=not floating)
        method(op)
        return op

    return declare


def binary(
    samples: Samples,
    infer: Callable[..., Spec] = same_spec,
    *,
    integers: bool = True,
    kind: type[Binary] = Binary,
) -> Callable[[Callable[[Array, Array], Array]], Binary]:
    """Declare the decorated NumPy function of two arrays as an elementwise operation."""

    def declare(forward: Callable[[Array, Array], Array]) -> Binary:
        op = kind(forward.__name__.strip("_"), infer, forward, samples, integers=integers)
        method(op)
        return op

    return declare


def elementwise(
    infer: Callable[..., Spec],
    samples: Samples,
    *,
    variadic: bool = False,
    flops: Flops = one_per_element,
) -> Callable[[Callable[..., Array]], Elementwise]:
    """Declare the decorated NumPy function of any arguments as an elementwise operation."""

    def declare(forward: Callable[..., Array]) -> Elementwise:
        name = forward.__name__.strip("_")
        return Elementwise(name, infer, forward, samples, variadic=variadic, flops=flops)

    return declare


def of_numbers(operation: Binary) -> Callable[[TensorLike, TensorLike], Tensor]:
    """The operation as a function that takes two booleans as integers (int64)."""

    @wraps(operation.forward)
    def function(a: TensorLike, b: TensorLike) -> Tensor:
        if not isinstance(a, Tensor) or a.dtype == BOOL:
            a, b = align(operation.name, a, b)
            if a.dtype == BOOL:
                a, b = a.astype(np.int64), b.astype(np.int64)
        return operation(a, b)

    function.__name__ = function.__qualname__ = operation.name
    return both_names()(method(function))


# Changes of dtype


def _astype_spec(x: Tensor, dtype: np.dtype[Any]) -> Spec:
    return Spec(x.shape, dtype)


@elementwise(_astype_spec, examples((((3, 2),), {"dtype": np.dtype(np.float64)})), flops=no_flops)
def _astype(x: Array, dtype: np.dtype[Any]) -> Array:
    """x in another dtype; floats become integers by cutting off the fraction."""
    return x.astype(dtype)


_astype.differentiable(lambda g, y, x, dtype: g.astype(x.dtype) if x.dtype.kind == "f" else None)


@method
def astype(x: TensorLike, dtype: DTypeLike, copy: bool = True) -> Tensor:
    """`x` in another dtype; floats become integers by cutting off the fraction.

    Args:
        x: numbers; Python's keep all the digits that the dtype holds.
        dtype: the other dtype.
        copy: means nothing here: no one writes into a Tensor.
    """
    dtype = as_dtype(dtype)
    x = as_tensor(x, dtype if dtype.kind == "f" else None)
    return x if x.dtype == dtype else _astype.apply(x, dtype=dtype)


def as_summed(x: TensorLike, dtype: DTypeLike | None) -> Tensor:
    """x in the dtype that is given, or in which its sums and products are added up.

    That is int64 for narrow integers and booleans, as uint8 would overflow at 256.
    """
    if dtype is not None:
        return astype(x, dtype)
    x = as_tensor(x)
    is_narrow = x.dtype.kind in "biu" and x.dtype.itemsize < 8
    return astype(x, np.int64) if is_narrow else x
