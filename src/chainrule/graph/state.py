"""State lives in leaves: parameters, buffers and hyper-parameters."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.dtypes import to_array
from chainrule.errors import DTypeError, ShapeError, SymbolicError
from chainrule.graph.context import local, no_grad
from chainrule.graph.guards import Guard
from chainrule.graph.registered import functions
from chainrule.graph.tensor import (
    Array,
    Tensor,
    TensorLike,
    as_gradient,
    as_tensor,
    without_tensors,
)
from chainrule.system import forks

_KINDS = "buif"  # each takes the values of those before it

_renewing = forks.lock()


class _Shown:
    """What the nodes of a State show, and a weak reference to the present node."""

    __slots__ = ("node", "value")

    def __init__(self, value: Array) -> None:
        self.value = value
        self.node: Callable[[], Tensor | None] = _no_node


def _no_node() -> None:
    """In place of a weak reference: there is no node yet."""


UNKEPT_GRADIENT = Tensor(None, shape=(), dtype=np.dtype(np.float32))
"""Stands in `.grad` for a gradient that a compiled function computed and did not keep."""


class State(Tensor):
    """A leaf whose array can be replaced: by `assign`, or by a captured step.

    A graph never holds a State itself but the plain leaf that stands for it at one moment
    (`node()`): so nodes built earlier keep the value they saw, and during capture the same
    reads and assignments become inputs and updates of the captured graph. The leaf holds its State,
    which holds the leaf weakly: a model that is dropped frees its memory at once.

    Attributes:
        guard: what threads hold while they run a step that reads or changes the State, once there
            is such a step.
    """

    __slots__ = ("_is_view", "_shown", "guard")
    is_state = True
    guard: Guard | None
    _shown: _Shown | None  # None once the value was replaced, until it is read
    _is_view: bool
    _without_value = (
        "it is the state of the step. Compute with it as a Tensor instead, and copy it by copy_ or "
        "assign; what reads values, as state_dict() or a DataLoader that shuffles, stays outside."
    )

    def __init__(
        self,
        data: TensorLike,
        dtype: DTypeLike | None = None,
        *,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> None:
        if isinstance(data, Tensor):
            data = data.numpy()
        value = np.array(to_array(without_tensors(data), dtype))
        if value.dtype == np.float16:
            raise DTypeError(
                "state is trained and saved as float32 or float64, not as float16: pass "
                "dtype='float32'"
            )
        super().__init__(value, requires_grad=requires_grad, name=name)
        self.guard = None
        self._shown = None
        self._is_view = False

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` accumulated; None where there is none.

        Raises:
            SymbolicError: for one that a compiled function computed for its optimiser alone.
        """
        capture = local.context.capture
        if capture is not None:
            return capture.gradient(self)
        if self._grad is UNKEPT_GRADIENT:
            raise SymbolicError(
                f"the gradient of {self._label} was used up by the optimiser's step in a compiled "
                "function, and is not kept. Return it from that function, or call zero_grad() "
                "before the next backward()."
            )
        return self._grad

    @grad.setter
    def grad(self, grad: TensorLike | None) -> None:
        grad = as_gradient(self, grad)
        capture = local.context.capture
        if capture is not None:
            capture.set_gradient(self, grad)
        else:
            self._grad = grad

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _zero_of_gradient(self) -> Tensor | None:
        capture = local.context.capture
        held = self._grad if capture is None else capture.gradient(self)
        return None if held is None else Tensor(np.zeros(self.shape, self.dtype))

    def restore(self, value: Array, requires_grad: bool, name: str | None) -> None:
        State.__init__(self, value, requires_grad=requires_grad, name=name)

    def node(self) -> Tensor:
        """The leaf that stands for this State now."""
        capture = local.context.capture
        if capture is not None:
            return capture.read(self)
        shown = self._shown or self._read()
        node = shown.node()
        if node is None or node.requires_grad != self.requires_grad:
            with _renewing:  # threads that need it at once get the same
                node = shown.node()
                if node is None or node.requires_grad != self.requires_grad:
                    node = Tensor(shown.value, self.requires_grad, self.name)
                    node.state = self
                    shown.node = weakref.ref(node)
        return node

    def shown(self) -> Array | None:
        return (self._shown or self._read()).value

    def _read(self) -> _Shown:
        """The value now, which nodes show from now on."""
        guard = self.guard
        if guard is None:
            shown = self._shown = _Shown(self._unchanging())
            if self.value is not shown.value:
                self._shown = None  # another thread has replaced the array meanwhile
        else:
            with guard.shared:
                shown = self._shown = _Shown(self._unchanging())
        return shown

    def _unchanging(self) -> Array:
        """The array that the State holds, or a copy where a native plan may write into it."""
        if self._is_view:
            assert self.guard is not None, "a block of states has a guard"
            with self.guard.shared:
                return self.value.copy()  # type: ignore[union-attr]
        return self.value  # type: ignore[return-value]

    @property
    def own_name(self) -> str:
        """The last part of its name, as "weight", which says what it is and not where."""
        return (self.name or "").rpartition(".")[2]

    def rename(self, name: str) -> None:
        """Be called `name` in what is printed from now on."""
        self.name = name
        self._shown = None

    def symbolic_leaf(self) -> Tensor:
        """A new leaf that stands for this State where its value is not known yet."""
        leaf = Tensor(None, self.requires_grad, self.name, shape=self.shape, dtype=self.dtype)
        leaf.state = self
        return leaf

    def assign(self, tensor: TensorLike) -> None:
        """Replace the array by that of `tensor`; during capture record this as a state update.

        Raises:
            ShapeError, DTypeError: if shape or dtype differ from the State's.
        """
        tensor = self._owned(tensor)
        self.check(tensor.shape, tensor.dtype)
        capture = local.context.capture
        if capture is not None:
            capture.assign(self, tensor.node())
            return
        value = tensor.node().value
        if value is None:
            raise SymbolicError(f"{self._label} can't hold {tensor!r}, which has no value yet")
        self.replace(value)

    def _owned(self, data: TensorLike) -> Tensor:
        """`data` as a Tensor; a copy of an array, into which the caller may write later."""
        if isinstance(data, Tensor):
            return data
        tensor = as_tensor(data, None if hasattr(data, "dtype") else self.dtype)
        if tensor.is_leaf and tensor.value is not None:
            tensor = Tensor(np.array(tensor.value))
        return tensor

    def _take_result(self, what: str, compute: Callable[[], Tensor]) -> Tensor:
        return self._take(what, compute)

    def _take(self, name: str, value: Callable[[], Any]) -> Tensor:
        """The State itself, after it has taken a value, broadcast and cast to fit.

        Raises:
            RuntimeError: if it requires a gradient, outside `no_grad`.
            ShapeError, DTypeError: if the value does not fit.
        """
        if self.requires_grad and local.context.grad_enabled:
            raise RuntimeError(
                f"{name} would change {self._label}, a leaf that requires a gradient: put it "
                "inside chainrule.no_grad(), or use assign. For a new Tensor write x = x + y"
            )
        tensor = self._owned(value())
        if _KINDS.index(tensor.dtype.kind) > _KINDS.index(self.dtype.kind):
            raise DTypeError(f"{self._label} has dtype {self.dtype}; {name} gives {tensor.dtype}")
        if tensor.shape != self.shape:
            try:
                tensor = tensor.broadcast_to(self.shape)
            except ShapeError:
                raise ShapeError(
                    f"{self._label} has shape {self.shape}; {name} gives {tensor.shape}"
                ) from None
        self.assign(tensor.astype(self.dtype))
        return self

    def replace(self, value: Array) -> None:
        """Hold `value` from now on. The caller answers for its shape and dtype.

        Where a native plan updates the State in another thread, this comes after its run.
        """
        if self.guard is None:
            self._hold(value)
        else:  # a run that begins meanwhile would show what it read before
            with self.guard.alone:
                self._hold(value)

    def _hold(self, value: Array) -> None:
        self.value = value
        self._shown = None
        self._is_view = False

    def set_view(self, view: Array) -> None:
        """Hold a view of memory that a native plan updates in place.

        Called after every run, by the thread that holds the guard. Arrays read before are copies,
        and keep their values.
        """
        self.value = view
        self._shown = None
        self._is_view = True

    def check(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Raise where an array of this shape and dtype can't become the State's value."""
        if shape != self.shape:
            raise ShapeError(f"{self._label} has shape {self.shape}; got {shape}")
        if dtype != self.dtype:
            raise DTypeError(f"{self._label} has dtype {self.dtype}; got {dtype}")

    def numpy(self, *, force: bool = False) -> Array:
        """The value now, as a read-only array. `force` means nothing here."""
        if local.context.capture is not None:
            raise SymbolicError(
                f"{self._label} has no value while a graph is captured: {self._without_value}"
            )
        if self._is_view:
            return self._unchanging()
        return super().numpy()

    @property
    def data(self) -> Tensor:
        """The value as a Tensor without gradient; it can be set, as by `assign`."""
        return StateData(self)

    @data.setter
    def data(self, value: TensorLike) -> None:
        with no_grad():
            self._take("data", lambda: value)

    @property
    def _label(self) -> str:
        return f"{type(self).__name__} {self.name}" if self.name else type(self).__name__


class StateData(Tensor):
    """What `data` of a State is: its value at one moment, a constant.

    What changes it in place, as ``p.data.fill_(0.5)``, changes the State, outside of `no_grad` too.
    """

    __slots__ = ("_constant", "owner")
    owner: State
    _constant: Tensor

    def __init__(self, owner: State) -> None:
        self.owner = owner
        self._read()

    def _read(self) -> None:
        """Be the value that the State has now; nodes built earlier keep the one they saw."""
        constant = functions["stop_gradient"](self.owner)
        Tensor.__init__(self, constant.value, shape=constant.shape, dtype=constant.dtype)
        self._constant = constant

    def node(self) -> Tensor:
        """The constant, or this Tensor where it was made a leaf that requires a gradient."""
        return self if self.requires_grad else self._constant

    def _take_result(self, what: str, compute: Callable[[], Tensor]) -> Tensor:
        return (
            super()._take_result(what, compute) if self.requires_grad else self._take(what, compute)
        )

    def _take(self, name: str, value: Callable[[], Any]) -> Tensor:
        self._read()
        with no_grad():
            self.owner._take(name, value)
        self._read()
        return self

    def assign(self, tensor: TensorLike) -> None:
        """Replace the array of the State."""
        self.owner.assign(tensor)
        self._read()

    def __repr__(self) -> str:
        return repr(self._constant)

    def __reduce__(self) -> Any:
        return self._constant.__reduce__()


class Parameter(State):
    """A State that training changes: a leaf that requires a gradient.

    Args:
        data: the first value, which is copied.
        dtype: of the value; or, as PyTorch's second argument, whether a gradient is required.
        requires_grad: whether training changes it; a frozen one is saved and loaded with the model.
        name: a name for printing and drawing.

    Example:
        >>> import chainrule as cr
        >>> w = cr.Parameter([1.0, 2.0])
        >>> (w * w).sum().backward()
        >>> w.assign(w - 0.5 * w.grad)
        >>> w.tolist()
        [0.0, 0.0]
    """

    __slots__ = ()

    def __init__(
        self,
        data: TensorLike,
        dtype: DTypeLike | bool | None = None,
        *,
        requires_grad: bool = True,
        name: str | None = None,
    ) -> None:
        if isinstance(dtype, bool):
            requires_grad = dtype
        wanted = None if isinstance(dtype, bool) else dtype
        super().__init__(data, wanted, requires_grad=requires_grad, name=name)
        if self.dtype.kind != "f":
            raise DTypeError(f"a Parameter is floating, not {self.dtype}; pass dtype")


class Buffer(State):
    """A State that is not trained: a running mean, an optimiser's moment, a random counter.

    Attributes:
        persistent: whether a module saves it, of which it becomes an attribute. What
            `Module.register_buffer` is told of a name goes before.
    """

    __slots__ = ("persistent",)
    persistent: bool

    def __init__(
        self,
        data: TensorLike,
        dtype: DTypeLike | None = None,
        *,
        persistent: bool = True,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(data, dtype, requires_grad=requires_grad, name=name)
        self.persistent = checks.flag("persistent", persistent)

    def restore(self, value: Array, requires_grad: bool, name: str | None) -> None:
        Buffer.__init__(self, value, requires_grad=requires_grad, name=name)

    def __reduce__(self) -> Any:
        return *super().__reduce__(), (None, {"persistent": self.persistent})


class HyperParameter(State):
    """A 0-d float64 that the user or a schedule sets between steps: a learning rate.

    A captured graph takes it at every run, so changing it never builds a plan anew.
    """

    __slots__ = ()

    def __init__(self, value: float, *, name: str | None = None) -> None:
        super().__init__(np.float64(value), name=name)

    def set(self, value: float) -> None:
        """Hold another number, which the caller has checked."""
        capture = local.context.capture
        if capture is None:
            self.replace(np.array(value, np.float64))
        else:
            capture.assign(self, Tensor(np.array(value, np.float64)))


class RunTimeNumber:
    """Descriptor: a number of a layer, a penalty, a constraint or an average that can be set
    between steps.

    It reads as a float. Its owner keeps it as a `HyperParameter` under the same name after an
    underscore. Numbers of an optimiser, one for each parameter group, are `optim.Number`.

    Args:
        check: (name, value) -> the value as a number, or an error.
    """

    def __init__(self, check: Callable[[str, Any], float]) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any | None, kind: type) -> Any:
        return self if owner is None else float(vars(owner)["_" + self.name].value)

    def __set__(self, owner: Any, value: float) -> None:
        number = float(self.check(self.name, value))
        held = vars(owner).setdefault("_" + self.name, HyperParameter(number, name=self.name))
        held.set(number)
