"""Tensor: the one kind of node, a variable of the graph. A symbolic one has no value yet."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn, Union

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from chainrule import checks
from chainrule.dtypes import as_dtype, to_array
from chainrule.errors import DTypeError, ShapeError, SymbolicError
from chainrule.graph.context import local
from chainrule.graph.in_place import InPlaceOperators
from chainrule.graph.methods import TensorMethods
from chainrule.graph.names import ForeignNames
from chainrule.graph.notebook import html_of
from chainrule.graph.numpy_functions import NumPyFunctions
from chainrule.graph.operators import Operators
from chainrule.graph.placement import check_device
from chainrule.graph.printing import text_of
from chainrule.graph.registered import functions
from chainrule.graph.unpacking import check_unpacking

if TYPE_CHECKING:
    from chainrule.graph.operation import Operation
    from chainrule.graph.state import State

Array = NDArray[Any]
TensorLike = Union["Tensor", ArrayLike, Sequence[Any]]

serials = count()
"""The serial numbers of nodes: those made later have higher ones."""

_ARRAYS = (np.ndarray, np.generic)
_NO_ATTRIBUTES: dict[str, Any] = {}


class Size(int):
    """The number of a Tensor's elements. In PyTorch `size` is a function: calling it says so."""

    __slots__ = ()

    def __call__(self, *arguments: Any) -> NoReturn:
        raise AttributeError(
            "size is no function but a number, that of the elements; the lengths of the axes are "
            "x.shape, and that of one axis is x.shape[axis]"
        )


class Tensor(Operators, TensorMethods, InPlaceOperators, NumPyFunctions, ForeignNames):
    """A node of the computational graph: a variable, and the operation that computes it.

    A Tensor is immutable: `t += 1` makes a new one for the name `t`, and other names keep the old
    one. It is *eager* when it has a `value` and *symbolic* when it has only a shape and a dtype,
    because one of its ancestors is a placeholder. Make leaves with `chainrule.tensor` and
    `chainrule.placeholder`; all others come from operations.

    NumPy's functions take Tensors as the functions of chainrule of the same names do, with their
    gradients, and other functions of NumPy refuse them. `numpy()` and `np.asarray` give the value
    alone.

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
        "_grad",
        "_without_graph",
        "attributes",
        "dtype",
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
    is_state = False

    value: Array | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    operation: Operation | None
    inputs: tuple[Tensor, ...]
    attributes: dict[str, Any]
    requires_grad: bool
    _grad: Tensor | None
    _without_graph: bool
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
            if not isinstance(value, _ARRAYS):
                raise TypeError("make Tensors by chainrule.tensor(data), chainrule.zeros(shape)")
            self.shape = value.shape
            self.dtype = value.dtype
        self.operation = self._grad = self.state = None
        self.inputs = ()
        self.attributes = _NO_ATTRIBUTES
        self.requires_grad = requires_grad
        self._without_graph = False
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a name of a Tensor is text, not {name!r:.80}")
        self.name = name
        context = local.context
        self.path, self.origin = context.path, context.origin
        self.serial = next(serials)  # a node is always younger than its inputs

    def restore(self, value: Array, requires_grad: bool, name: str | None) -> None:
        """Become a leaf of this value, as a copy or a pickle does."""
        Tensor.__init__(self, value, requires_grad, name)

    # Shape and kind

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return Size(math.prod(self.shape))

    @property
    def is_symbolic(self) -> bool:
        """Whether the Tensor has no value yet."""
        return self.value is None

    @property
    def is_leaf(self) -> bool:
        """Whether no operation computes the Tensor."""
        return self.operation is None or self._is_made_leaf

    def node(self) -> Tensor:
        """The node that represents this Tensor in a graph: itself, if it is not a `State`."""
        return self

    def shown(self) -> Array | None:
        """The value of `node()`, without a node where none is needed."""
        return self.node().value

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-d Tensor has no length; use item() for its value")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        check_unpacking(self, sys._getframe(1))
        node = self.node()
        if node.value is None or node.requires_grad or not self.shape:
            return (self[i] for i in range(len(self)))
        return map(Tensor, map(np.asarray, node.value))  # no graph is kept

    def __repr__(self) -> str:
        return text_of(self, "tensor" if type(self) is Tensor else type(self).__name__)

    def __str__(self) -> str:
        if local.context.capture is not None and (self.value is None or self.is_state):
            raise SymbolicError(
                f"{self!r} has no value while a graph is captured, so it can't be printed: return "
                "it, and print it after the call"
            )
        return repr(self)

    def _repr_html_(self) -> str:
        return html_of(self)

    def __format__(self, spec: str) -> str:
        """As its number where there is a format: ``f"{loss:.4f}"``; else as `str`."""
        return format(self.item(), spec) if spec else str(self)

    # Value

    def numpy(self, *, force: bool = False) -> Array:
        """The value as a read-only array; make a copy to change it. `force` means nothing here.

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

    def item(self, *index: Any) -> Any:
        """The value of a Tensor with one element, as a Python number.

        Args:
            index: of which element; one number counts all in order, several are one for each axis.
        """
        return self.numpy().item(*index)

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
        if self.value is None:
            raise SymbolicError(
                f"{self!r} can't be copied or pickled: it is a place in a graph and has no value. "
                "Build it again from a placeholder, or capture the function again"
            )
        return _restored, (type(self), np.array(self.numpy()), self.requires_grad, self.name)

    # Gradients

    @property
    def grad(self) -> Tensor | None:
        """For a leaf the gradient accumulated by `backward`, until it is set to None; else None."""
        return self._grad

    @grad.setter
    def grad(self, gradient: TensorLike | None) -> None:
        self._grad = as_gradient(self, gradient)

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    __hash__ = object.__hash__  # a Tensor is itself, not its value, in sets and dicts


def as_gradient(leaf: Tensor, gradient: TensorLike | None) -> Tensor | None:
    """What a leaf takes as its `.grad`.

    Raises:
        ShapeError, DTypeError: if shape or dtype differ from the leaf's.
    """
    if gradient is None:
        return None
    if not isinstance(gradient, Tensor):
        gradient = Tensor(np.array(to_array(gradient, leaf.dtype)))
    if gradient.shape != leaf.shape:
        raise ShapeError(
            f"the leaf has shape {leaf.shape}, and so has its gradient; got {gradient.shape}"
        )
    if gradient.dtype != leaf.dtype:
        raise DTypeError(
            f"the leaf has dtype {leaf.dtype}, and so has its gradient; got {gradient.dtype}: "
            f"cast it with .astype({leaf.dtype.name!r})"
        )
    return gradient


def _restored(kind: type[Tensor], value: Array, requires_grad: bool, name: str | None) -> Tensor:
    """A leaf of class `kind`, from the arguments that `Tensor.__reduce__` returned."""
    leaf = kind.__new__(kind)
    leaf.restore(to_array(value), requires_grad, name)  # it may come from a machine of other order
    return leaf


def holds_tensors(data: Any) -> bool:
    """Whether nested lists or tuples hold a Tensor somewhere."""
    if not isinstance(data, (list, tuple)):
        return False
    kinds = set(map(type, data))  # a list of a million numbers has one kind
    if any(issubclass(kind, Tensor) for kind in kinds):
        return True
    return any(issubclass(kind, (list, tuple)) for kind in kinds) and any(map(holds_tensors, data))


def _leaves(data: Any) -> Iterator[Any]:
    """What nested lists and tuples that hold Tensors are made of; a list of numbers is one part."""
    if holds_tensors(data):
        for part in data:
            yield from _leaves(part)
    else:
        yield data


def _stacked(data: Any, dtype: np.dtype[Any]) -> Tensor:
    """Nested lists and tuples of Tensors and numbers as one node, a stack of stacks."""
    if not holds_tensors(data):
        return functions["astype"](
            data if isinstance(data, Tensor) else to_array(data, dtype), dtype
        )
    return functions["stack"]([_stacked(part, dtype) for part in data])


def without_tensors(data: Any) -> Any:
    """`data`, for a leaf to copy; Tensors inside nested lists become an array.

    Raises:
        TypeError: if a gradient would be lost.
        SymbolicError: if one has no value yet.
    """
    if not holds_tensors(data):
        return data
    stacked = as_tensor(data)
    if any(isinstance(part, Tensor) and part.requires_grad for part in _leaves(data)):
        raise TypeError(
            "a new leaf is a constant, but the list holds a Tensor that requires a gradient, which "
            "would be lost: chainrule.stack keeps it; for the value alone pass detach() of it"
        )
    return stacked.numpy()


def plain(name: str, value: Any) -> Any:
    """`value`, for an argument that is a number and no part of the graph.

    Raises:
        TypeError: if it is a Tensor that requires a gradient, or a list that holds one.
    """
    for part in _leaves(value):
        if isinstance(part, Tensor) and part.requires_grad:
            raise TypeError(
                f"{name} is a plain number here, and the Tensor given for it requires a gradient, "
                "which would be lost: pass its value, item(), or write the formula with it"
            )
    return value


def plain_number(name: str, value: Any) -> float:
    """`value` as a float; raises as `plain` does, and a TypeError for what is no number."""
    return checks.as_float(name, plain(name, value))


def tensor(
    data: TensorLike,
    dtype: DTypeLike | None = None,
    *,
    requires_grad: bool = False,
    name: str | None = None,
    device: Any = None,
) -> Tensor:
    """A leaf Tensor with a copy of `data`.

    Args:
        data: a number, nested sequences of numbers, or an array. Of a Tensor, or of Tensors inside
            sequences, the values are copied.
        dtype: by default an array's own, in sequences too; float32 for Python floats, int64 for
            Python integers.
        requires_grad: whether `backward` fills `.grad`; floating dtypes only.
        name: for printing and drawing.
        device: "cpu", or None.

    Raises:
        TypeError: if the data are not numbers, or not floating although `requires_grad` is set; or
            if a sequence holds a Tensor that requires a gradient: `chainrule.stack` keeps it.

    Example:
        >>> import chainrule as cr
        >>> cr.tensor([[1, 2], [3, 4]], dtype="float64")
        tensor([[1., 2.],
                [3., 4.]], dtype=float64)
    """
    check_device(device)
    value = np.array(to_array(without_tensors(data), dtype))
    if requires_grad and value.dtype.kind != "f":
        raise TypeError(f"only floating Tensors have gradients, not {value.dtype}; pass dtype")
    return Tensor(value, requires_grad=requires_grad, name=name)


def as_tensor(data: Any, dtype: DTypeLike | None = None, device: Any = None) -> Tensor:
    """`data` itself if it is a Tensor, else a constant that shares its memory.

    Nested lists and tuples that hold Tensors become their stack, a node that gradients pass.

    Args:
        data: a Tensor, a number, an array, or nested sequences of those.
        dtype: of what is no Tensor; by default the one in which the parts meet.
        device: "cpu", or None.

    Raises:
        TypeError: if the data are not numbers.
        ShapeError: if Tensors in a sequence differ in shape.

    Example:
        >>> import chainrule as cr
        >>> w = cr.Parameter(2.0)
        >>> cr.grad(cr.as_tensor([w, 3.0 * w]).sum(), w)
        tensor(4.)
    """
    if device is not None:
        check_device(device)
    if isinstance(data, Tensor):
        return data
    if holds_tensors(data):
        if dtype is None:
            dtype = functions["_joined_dtype"](*_leaves(data))
        return _stacked(data, as_dtype(dtype))
    return Tensor(to_array(data, dtype))


def placeholder(
    shape: int | Sequence[int], dtype: DTypeLike = "float32", *, name: str | None = None
) -> Tensor:
    """A leaf with a shape and a dtype but no value: all Tensors computed from it are symbolic.

    Example:
        >>> import chainrule as cr
        >>> x = cr.placeholder((32, 4), name="x")
        >>> (x @ cr.tensor([[1.0]] * 4)).shape
        (32, 1)
    """
    remedy = "and a graph is of one: compile and Trainer make one for each that comes"
    lengths = checks.shape("placeholder", (shape,), remedy)
    return Tensor(None, shape=lengths, dtype=as_dtype(dtype), name=name)
