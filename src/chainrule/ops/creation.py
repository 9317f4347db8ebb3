"""Making Tensors: of one number, of numbers in a row, and like another one.

A shape is given as in NumPy, `zeros((2, 3))`, or number by number, `zeros(2, 3)`; the dtype is
float32 where nothing else says so. With `requires_grad` the Tensor is a leaf of its own. The one
`device` is "cpu".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.dtypes import as_dtype, check_unmasked
from chainrule.errors import ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.placement import check_device
from chainrule.graph.registered import method
from chainrule.graph.tensor import (
    Array,
    Tensor,
    TensorLike,
    as_tensor,
    holds_tensors,
    plain,
    tensor,
)
from chainrule.ops.comparison import equal, where
from chainrule.ops.declare import common_dtype
from chainrule.ops.rounding import floor

__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]

Shape = tuple[int, ...]


def as_shape(name: str, lengths: Sequence[Any]) -> Shape:
    """The shape of what the function of this name makes; see `checks.shape`."""
    return checks.shape(name, lengths, f"as in {name}(2, 3) or {name}((2, 3))")


def _shape_and_dtype(
    name: str, lengths: Sequence[Any], dtype: DTypeLike | None
) -> tuple[Shape, np.dtype[Any]]:
    """The shape and the dtype; NumPy's second argument is the dtype, as in zeros(3, "int64")."""
    if len(lengths) == 2 and dtype is None and isinstance(lengths[1], (str, type, np.dtype)):
        lengths, dtype = lengths[:1], lengths[1]
    return as_shape(name, lengths), as_dtype(dtype)


def leaf(value: Array, requires_grad: bool, device: Any) -> Tensor:
    """A leaf with a value that nothing else holds, on the CPU."""
    check_device(device)
    if not requires_grad:
        return Tensor(value)
    return tensor(value, requires_grad=True)


# Of one number


@both_names(size="shape")
def zeros(
    *shape: int | Sequence[int],
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Zeros of a shape; float32 by default.

    Example:
        >>> import chainrule as cr
        >>> cr.zeros(2, 3)
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
        >>> cr.zeros((2,), dtype="int64")
        tensor([0, 0])
    """
    lengths, dtype = _shape_and_dtype("zeros", shape, dtype)
    return leaf(np.zeros(lengths, dtype), requires_grad, device)


@both_names(size="shape")
def ones(
    *shape: int | Sequence[int],
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Ones of a shape; float32 by default.

    Example:
        >>> import chainrule as cr
        >>> cr.ones((2, 2))
        tensor([[1., 1.],
                [1., 1.]])
    """
    lengths, dtype = _shape_and_dtype("ones", shape, dtype)
    return leaf(np.ones(lengths, dtype), requires_grad, device)


@both_names(size="shape")
def empty(
    *shape: int | Sequence[int],
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """A Tensor of a shape whose numbers mean nothing; float32 by default.

    A Tensor is immutable, so that it is of use only as what a function of the shape and dtype is
    tried with. The numbers are zeros, the same at every call.

    Example:
        >>> import chainrule as cr
        >>> cr.empty(2, 3).shape
        (2, 3)
    """
    lengths, dtype = _shape_and_dtype("empty", shape, dtype)
    return leaf(np.zeros(lengths, dtype), requires_grad, device)


@both_names(size="shape")
def full(
    shape: int | Sequence[int],
    fill_value: TensorLike,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """A Tensor of a shape filled with a number; its dtype is that of the number.

    Args:
        shape: a whole number or several.
        fill_value: a number, or values that broadcast to the shape; gradients pass to a Tensor.
        dtype: by default float32 of a Python float, int64 of a Python integer.
        requires_grad: whether `backward` fills `.grad`; floating dtypes only.
        device: "cpu", or None.

    Raises:
        ShapeError: if the values do not broadcast to the shape.
        TypeError: if they require a gradient, and a leaf is asked for by `requires_grad`.

    Example:
        >>> import chainrule as cr
        >>> cr.full((2, 2), 0.5)
        tensor([[0.5, 0.5],
                [0.5, 0.5]])
    """
    value = as_tensor(fill_value, dtype)
    if dtype is not None:
        value = value.astype(dtype)
    lengths = as_shape("full", (shape,))
    try:
        if not requires_grad and _is_part_of_a_graph(value):
            check_device(device)
            return value.broadcast_to(lengths)
        plain("fill_value", value)
        filled = np.broadcast_to(value.numpy(), lengths)
    except (ValueError, ShapeError):
        raise ShapeError(
            f"full: values of shape {value.shape} do not broadcast to {lengths}"
        ) from None
    return leaf(np.array(filled), requires_grad, device)


def _is_part_of_a_graph(value: Tensor) -> bool:
    """Whether a Tensor is more than its numbers: gradients pass it, or each run has others."""
    return value.requires_grad or value.is_state or value.is_symbolic


def _like(name: str, x: TensorLike, shape: int | Sequence[int] | None) -> tuple[Shape, Any]:
    """The shape and dtype of something made like x, which needs no value."""
    x = as_tensor(x)
    return (x.shape if shape is None else as_shape(name, (shape,))), x.dtype


@both_names()
@method
def zeros_like(
    x: TensorLike,
    dtype: DTypeLike | None = None,
    shape: int | Sequence[int] | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros of the shape and dtype of `x`, or of those given: a constant, or a leaf.

    Example:
        >>> import chainrule as cr
        >>> cr.zeros_like(cr.placeholder((2,)))
        tensor([0., 0.])
    """
    lengths, own = _like("zeros_like", x, shape)
    dtype = own if dtype is None else as_dtype(dtype)
    return leaf(np.zeros(lengths, dtype), requires_grad, device)


@both_names()
@method
def ones_like(
    x: TensorLike,
    dtype: DTypeLike | None = None,
    shape: int | Sequence[int] | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones of the shape and dtype of `x`, or of those given: a constant, or a leaf.

    Example:
        >>> import chainrule as cr
        >>> cr.ones_like(cr.tensor([3, 4]), dtype="float32")
        tensor([1., 1.])
    """
    lengths, own = _like("ones_like", x, shape)
    dtype = own if dtype is None else as_dtype(dtype)
    return leaf(np.ones(lengths, dtype), requires_grad, device)


@both_names()
@method
def empty_like(
    x: TensorLike,
    dtype: DTypeLike | None = None,
    shape: int | Sequence[int] | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """As `empty`, of the shape and dtype of `x`, or of those given.

    Example:
        >>> import chainrule as cr
        >>> cr.empty_like(cr.tensor([3, 4])).dtype
        dtype('int64')
    """
    return zeros_like(x, dtype, shape, device, requires_grad)


@both_names()
@method
def full_like(
    x: TensorLike,
    fill_value: TensorLike,
    dtype: DTypeLike | None = None,
    shape: int | Sequence[int] | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor of the shape and dtype of `x`, or of those given, filled with a number.

    Example:
        >>> import chainrule as cr
        >>> cr.full_like(cr.tensor([3.0, 4.0]), 7)
        tensor([7., 7.])
    """
    lengths, own = _like("full_like", x, shape)
    dtype = own if dtype is None else dtype
    return full(lengths, fill_value, dtype, requires_grad, device=device)


# Numbers in a row


def _numbers(name: str, *numbers: Any) -> list[Any]:
    """Tensors of one element as the numbers that they hold."""
    return [n.item() if isinstance(n, Tensor) else n for n in plain(name, numbers)]


@both_names(end="stop")
def arange(
    start: float | None = None,
    stop: float | None = None,
    step: float = 1,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """The numbers start, start + step, ... below `stop`; `arange(n)` is 0 ... n - 1.

    Args:
        start: the first number, 0 by default; or, where it is the only one, `stop`.
        stop: where the numbers end, without it.
        step: from one to the next; not 0.
        dtype: by default int64 of whole numbers, else float32.
        requires_grad: whether `backward` fills `.grad`; floating dtypes only.
        device: "cpu", or None.

    Raises:
        ValueError: if the step is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.arange(3), cr.arange(1, 2, 0.25)
        (tensor([0, 1, 2]), tensor([1.  , 1.25, 1.5 , 1.75]))
    """
    start, stop, step = _numbers("arange", start, stop, step)
    if step == 0:
        raise ValueError("arange: the step is not 0")
    if start is None:
        if stop is None:
            raise TypeError("arange takes stop, or start and stop, and got neither")
        start = 0
    value = np.arange(start, step=step) if stop is None else np.arange(start, stop, step)
    if dtype is None:
        dtype = np.float32 if value.dtype.kind == "f" else value.dtype
    return leaf(value.astype(as_dtype(dtype)), requires_grad, device)


@both_names(end="stop", steps="num")
def linspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """`num` numbers at equal distances from `start` to `stop`.

    Args:
        start, stop: the first and the last number; or arrays of these, whose axes come after
            that of the numbers. Gradients pass to Tensors.
        num: how many.
        endpoint: whether `stop` is the last one, or the one after it.
        dtype: of the numbers, which are computed in float64; by default that of floating arrays,
            else float32. For integers they are rounded down.
        requires_grad: whether `backward` fills `.grad`; floating dtypes only.
        device: "cpu", or None.

    Raises:
        ValueError: if num is negative.

    Example:
        >>> import chainrule as cr
        >>> cr.linspace(0, 1, 5)
        tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    num = checks.integer("linspace: num", num)
    if num < 0:
        raise ValueError(f"linspace: num is not negative, got {num}")
    ends: list[Any] = [start, stop]
    met = common_dtype(start, stop)
    dtype = as_dtype(met if dtype is None and met.kind == "f" else dtype)
    if holds_tensors(ends):
        found = [x if isinstance(x, Tensor) else as_tensor(x, np.float64) for x in ends]
        if not requires_grad and any(map(_is_part_of_a_graph, found)):
            check_device(device)
            return _between(found[0], found[1], num, endpoint, dtype)
        ends = [plain("linspace", end).numpy() for end in found]
    first, last = (np.asarray(end, np.float64) for end in ends)
    value = np.linspace(first, last, num, endpoint=endpoint)
    return leaf(
        (np.floor(value) if dtype.kind in "iu" else value).astype(dtype), requires_grad, device
    )


def _between(start: Tensor, stop: Tensor, num: int, endpoint: bool, dtype: np.dtype[Any]) -> Tensor:
    """`linspace` of Tensors, by operations, with NumPy's roundings."""
    number = np.arange(float(num)).reshape(-1, *(1,) * max(start.ndim, stop.ndim))
    steps = max(num - endpoint, 1)
    start, stop = start.astype(np.float64), stop.astype(np.float64)
    distance = stop - start
    step = distance / steps
    # As NumPy does where a step is so small that it is 0. `where` lets the native core round the
    # product before it adds.
    value = where(equal(step, 0.0).any(), number / steps * distance, number * step) + start
    if endpoint and num > 1:
        value = where(number == steps, stop, value)
    return (floor(value) if dtype.kind in "iu" else value).astype(dtype)


# Of other objects


@both_names(a="data", obj="data")
def asarray(
    data: Any, dtype: DTypeLike | None = None, copy: bool | None = None, device: Any = None
) -> Tensor:
    """A Tensor of `data`: a Tensor as it is, an array without a copy where that can be.

    Args:
        data: a Tensor, an array, a number, or nested sequences of numbers.
        dtype: by default an array's own; float32 for Python floats, int64 for Python integers.
        copy: True for memory of its own, always. A Tensor that requires a gradient, which nothing
            can write into, stays as it is.
        device: "cpu", or None.

    Raises:
        ValueError: with copy=False, if the data can't be taken without a copy.

    Example:
        >>> import chainrule as cr
        >>> cr.asarray([1.0, 2.0])
        tensor([1., 2.])
    """
    check_device(device)
    if isinstance(data, Tensor):
        found = data if dtype is None else data.astype(dtype)
        if copy and not found.requires_grad:
            return tensor(found.numpy())
    else:
        if copy:
            return tensor(data, dtype)
        found = as_tensor(data, dtype)
    shares = found is data or (
        isinstance(data, np.ndarray) and np.shares_memory(data, found.numpy())
    )
    if copy is False and not shares:
        raise ValueError("asarray: these data take a copy; leave copy out")
    return found


@both_names()
def from_dlpack(x: Any) -> Tensor:
    """A Tensor of another library's array in the memory of the CPU, without a copy.

    Args:
        x: an object with `__dlpack__`, as a PyTorch tensor or a NumPy array. Do not write to it as
            long as the Tensor is used.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> cr.from_dlpack(np.array([1.0, 2.0]))
        tensor([1., 2.], dtype=float64)
    """
    check_unmasked("from_dlpack: x", x)
    if not hasattr(x, "__dlpack__"):
        raise TypeError(
            "from_dlpack takes an array of a library that knows DLPack, as a PyTorch tensor, got "
            f"{checks.described(x)}: make it a Tensor by chainrule.tensor"
        )
    return x if isinstance(x, Tensor) else as_tensor(np.from_dlpack(x))
