"""Tensor: the one kind of node, a variable of the graph. A symbolic one has no value yet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from chainrule.errors import ShapeError, SymbolicError
from chainrule.graph.context import local
from chainrule.graph.methods import TensorMethods, functions

if TYPE_CHECKING:
    from chainrule.graph.operation import Operation
    from chainrule.graph.state import State

Array = NDArray[Any]
TensorLike = Union["Tensor", ArrayLike]

_serials = count()


def next_serial() -> int:
    """A serial number: nodes made from now on have higher ones."""
    return next(_serials)


_NO_ATTRIBUTES: dict[str, Any] = {}
COMPILED: dict[str, Any] = {}
"""The `attributes` of a Tensor that a compiled function returned: they tell where it is from."""

_MAX_PRINTED = 200  # elements; of a larger Tensor only the edges are printed
_UNPRINTED_DTYPES = ("float32", "int64", "bool")  # the dtypes of Python's floats, ints and bools


class Tensor(TensorMethods):
    """A node of the computational graph: a variable, and the operation that computes it.

    A Tensor is immutable. It is *eager* when it has a `value` and *symbolic* when it has only a
    shape and a dtype, because one of its ancestors is a placeholder. Make leaves with
    `chainrule.tensor` and `chainrule.placeholder`; all others come from operations.

    Attributes:
        value: the array, or None where the Tensor is symbolic.
        shape, dtype: of the value, known in both cases.
        operation: the `Operation` that computes this Tensor; None for a leaf.
        inputs: the Tensors that the operation takes.
        attributes: the operation's other arguments.
        requires_grad: whether a gradient can flow to a leaf through this Tensor.
        grad: for a leaf, the gradient accumulated by `backward`; else None.
        name: a name for printing and drawing.
        path: the path of the layer that built the Tensor, as in ``net.0``.
        origin: for a node of a gradient, the forward node whose rule built it.
        state: for a leaf that holds the value of a `State` at one moment, that State.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([1.0, 2.0], requires_grad=True)
        >>> y = (x * x).sum()
        >>> y
        tensor(5., operation=sum)
        >>> y.backward()
        >>> x.grad
        tensor([2., 4.])
    """

    __slots__ = (
        "__weakref__",
        "attributes",
        "dtype",
        "grad",
        "inputs",
        "name",
        "operation",
        "origin",
        "path",
        "requires_grad",
        "serial",
        "shape",
        "state",
        "value",
    )
    __array_ufunc__ = None  # NumPy then leaves `ndarray * Tensor` to Tensor.__rmul__
    is_state = False

    value: Array | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    operation: Operation | None
    inputs: tuple[Tensor, ...]
    attributes: dict[str, Any]
    requires_grad: bool
    grad: Tensor | None
    name: str | None
    path: str
    origin: Tensor | None
    state: State | None
    serial: int

    def __init__(
        self,
        value: Array | None,
        requires_grad: bool = False,
        name: str | None = None,
        *,
        shape: tuple[int, ...] | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        self.value = value
        if value is None:
            assert shape is not None and dtype is not None
            self.shape = shape
            self.dtype = dtype
        else:
            self.shape = value.shape
            self.dtype = value.dtype
        self.operation = self.grad = self.state = None
        self.inputs = ()
        self.attributes = _NO_ATTRIBUTES
        self.requires_grad = requires_grad
        self.name = name
        context = local.context
        self.path = context.path
        self.origin = context.origin
        self.serial = next(_serials)  # a node is always younger than its inputs

    def restore(self, value: Array, requires_grad: bool, name: str | None) -> None:
        """Become a leaf of this value, as a copy or a pickle does."""
        Tensor.__init__(self, value, requires_grad, name)

    # Shape and kind

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_symbolic(self) -> bool:
        """Whether the Tensor has no value yet."""
        return self.value is None

    @property
    def is_leaf(self) -> bool:
        """Whether no operation computes the Tensor."""
        return self.operation is None

    def node(self) -> Tensor:
        """The node that represents this Tensor in a graph: itself, if it is not a `State`."""
        return self

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-d Tensor has no length; use item() for its value")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        """The value (or shape), then the dtype, name and operation where they say something."""
        head = "tensor" if type(self) is Tensor else type(self).__name__
        parts = []
        if self.value is None:
            parts.append(f"symbolic, shape={self.shape}, dtype={self.dtype}")
        else:
            parts.append(
                np.array2string(
                    self.value,
                    separator=", ",
                    precision=4,
                    threshold=_MAX_PRINTED,
                    edgeitems=3,
                    prefix=head + "(",
                )
            )
            if self.size > _MAX_PRINTED or self.size == 0:
                parts.append(f"shape={self.shape}")
            if str(self.dtype) not in _UNPRINTED_DTYPES:
                parts.append(f"dtype={self.dtype}")
        if self.name:
            parts.append(f"name={self.name!r}")
        if self.operation is not None:
            parts.append(f"operation={self.operation.name}")
        elif self.requires_grad and not self.is_state:
            parts.append("requires_grad=True")
        return f"{head}({', '.join(parts)})"

    def __str__(self) -> str:
        if local.context.capture is not None and (self.value is None or self.is_state):
            raise SymbolicError(
                f"{self!r} has no value while a graph is captured, so it can't be printed: return "
                "it, and print it after the call"
            )
        return repr(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    # Value

    def numpy(self) -> Array:
        """The value as a read-only array; make a copy to change it.

        Raises:
            SymbolicError: if the Tensor has no value yet.
        """
        if self.value is None:
            raise SymbolicError(
                f"{self!r} is symbolic: it is built on a placeholder and has no value yet. "
                "Use cr.where for a choice that depends on values, or run the eager loop."
            )
        view = self.value.view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The value of a Tensor with one element, as a Python number."""
        return self.numpy().item()

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers."""
        return self.numpy().tolist()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy:
            return np.array(self.numpy(), dtype=dtype)
        return np.asarray(self.numpy(), dtype=dtype)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.shape:
            raise TypeError(f"only a 0-d integer Tensor can be an index, not {self!r}")
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def detach(self) -> Tensor:
        """A leaf of the same value, through which no gradient flows."""
        return functions["stop_gradient"](self)

    def __reduce__(self) -> Any:
        """A copy or a pickle is a leaf: the graph that computed the Tensor is not part of it."""
        return _restored, (type(self), np.array(self.numpy()), self.requires_grad, self.name)

    # Gradients

    def backward(self, grad_output: TensorLike | None = None) -> None:
        """Add d(self)/d(leaf) to `.grad` of every leaf that requires a gradient.

        Args:
            grad_output: the gradient of the final result with respect to this Tensor, of its
                shape; needed where the Tensor is not a scalar.

        Raises:
            ShapeError: if the Tensor is not a scalar and `grad_output` is missing.
        """
        functions["backward"](self, grad_output)

    # Operators

    __hash__ = object.__hash__  # a Tensor is itself, not its value, in sets and dicts

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

    def __pow__(self, other: TensorLike) -> Tensor:
        return functions["power"](self, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return functions["power"](other, self)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return functions["matmul"](self, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return functions["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return functions["negative"](self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return functions["abs"](self)

    def __eq__(self, other: TensorLike) -> Tensor:  # type: ignore[override]
        return functions["equal"](self, other)

    def __ne__(self, other: TensorLike) -> Tensor:  # type: ignore[override]
        return functions["not_equal"](self, other)

    def __lt__(self, other: TensorLike) -> Tensor:
        return functions["less"](self, other)

    def __le__(self, other: TensorLike) -> Tensor:
        return functions["less_equal"](self, other)

    def __gt__(self, other: TensorLike) -> Tensor:
        return functions["greater"](self, other)

    def __ge__(self, other: TensorLike) -> Tensor:
        return functions["greater_equal"](self, other)

    def __getitem__(self, index: Any) -> Tensor:
        return functions["getitem"](self, index)


_FLOAT32 = np.dtype(np.float32)


def _restored(kind: type[Tensor], value: Array, requires_grad: bool, name: str | None) -> Tensor:
    """A leaf of class `kind`, from the arguments that `Tensor.__reduce__` returned."""
    leaf = kind.__new__(kind)
    leaf.restore(value, requires_grad, name)
    return leaf


def _to_array(data: Any, dtype: DTypeLike | None) -> Array:
    """An array of `data`; Python floats become float32, as the library's default."""
    if dtype is None and not hasattr(data, "dtype"):
        array = np.asarray(data)
        if array.dtype == np.float64:
            dtype = _FLOAT32
    array = np.asarray(data, dtype=dtype)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"a Tensor holds numbers or booleans, not dtype {array.dtype}; convert the data first"
        )
    return array


def tensor(
    data: ArrayLike,
    dtype: DTypeLike | None = None,
    *,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """A leaf Tensor with a copy of `data`.

    Args:
        data: a number, nested sequences of numbers, or an array.
        dtype: by default an array's own; float32 for Python floats, int64 for Python integers.
        requires_grad: whether `backward` fills `.grad`; floating dtypes only.
        name: for printing and drawing.

    Raises:
        TypeError: if the data are not numbers, or not floating although `requires_grad` is set.

    Example:
        >>> import chainrule as cr
        >>> cr.tensor([[1, 2], [3, 4]], dtype="float64")
        tensor([[1., 2.],
                [3., 4.]], dtype=float64)
    """
    value = np.array(_to_array(data, dtype))
    if requires_grad and value.dtype.kind != "f":
        raise TypeError(f"only floating Tensors have gradients, not {value.dtype}; pass dtype")
    return Tensor(value, requires_grad=requires_grad, name=name)


def as_tensor(data: Any, dtype: DTypeLike | None = None) -> Tensor:
    """`data` itself if it is a Tensor, else a constant that shares its memory."""
    if isinstance(data, Tensor):
        return data
    return Tensor(_to_array(data, dtype))


def placeholder(
    shape: Sequence[int], dtype: DTypeLike = "float32", *, name: str | None = None
) -> Tensor:
    """A leaf with a shape and a dtype but no value: all Tensors computed from it are symbolic.

    Example:
        >>> import chainrule as cr
        >>> x = cr.placeholder((32, 4), name="x")
        >>> (x @ cr.tensor([[1.0]] * 4)).shape
        (32, 1)
    """
    if any(length < 0 for length in shape):
        raise ShapeError(f"a placeholder's shape has no negative lengths, got {tuple(shape)}")
    return Tensor(None, shape=tuple(shape), dtype=np.dtype(dtype), name=name)
