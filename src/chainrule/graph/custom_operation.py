"""Operations of a user's own: a NumPy function, with gradients that its author writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, overload

import numpy as np

from chainrule.dtypes import as_dtype
from chainrule.errors import DTypeError, ShapeError, SymbolicError
from chainrule.graph.context import Context
from chainrule.graph.operation import Operation, Rule, Spec, operations
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor, holds_tensors

Infer = Callable[..., Any]

_ARRAYS = (np.ndarray, np.generic, int, float)
_OF_LEAVES = ("input", "state", "constant")  # what the compiler calls leaves


class CustomOperation(Operation):
    """An operation that `custom_operation` makes. It is called as a function."""

    def __init__(self, forward: Callable[..., Any], infer: Infer | None) -> None:
        if not isinstance(getattr(forward, "__name__", None), str):
            raise TypeError(
                f"custom_operation takes a function with a name, as `def` makes it, got "
                f"{type(forward).__name__}"
            )
        if forward.__name__ in (*operations, *_OF_LEAVES):
            raise ValueError(
                f"{forward.__name__} is the name of one of chainrule's operations, which the "
                "compiler knows by their names: give the function another name"
            )
        self._function = forward
        self._infer = infer
        super().__init__(
            forward.__name__,
            self._spec,
            self._value,
            lambda random: [],
            only_numpy="it is one of your own, in NumPy",
        )
        update_wrapper(self, forward)
        self._is_declared = False
        self.rules = (None,)  # so that graphs are kept, and `bprop` says what is missing

    def _register(self) -> None:
        """It has no place in the registry, so it can be defined again."""

    def __reduce__(self) -> Any:
        return self.__qualname__  # type: ignore[attr-defined]  # as a function is pickled

    def __call__(self, *inputs: TensorLike, **attributes: Any) -> Tensor:
        for name, value in attributes.items():
            if isinstance(value, Tensor) or holds_tensors(value):
                raise TypeError(
                    f"{self.name}: {name} is a Tensor. Inputs are given in order, without their "
                    "names; what is given by name is no part of the graph"
                )
        return self.apply(*[as_tensor(x) for x in inputs], **attributes)

    def differentiable(self, *rules: Rule | None) -> None:
        if not rules or not all(rule is None or callable(rule) for rule in rules):
            raise TypeError(
                f"{self.name}.differentiable takes a function for each input, or None where no "
                f"gradient passes; got {', '.join(map(repr, rules)) or 'nothing'}"
            )
        super().differentiable(*rules)
        self._is_declared = True

    def bprop(self, node: Tensor, index: int, grad_output: Tensor) -> Tensor | None:
        x = node.inputs[index]
        if not self._is_declared:
            raise TypeError(
                f"operation {self.name} has no gradient: declare one by {self.name}.differentiable("
                "lambda g, y, x: ...), with a rule for each input; None where there is none"
            )
        if len(self.rules) != len(node.inputs):
            raise TypeError(
                f"operation {self.name} has {len(node.inputs)} inputs and {len(self.rules)} rules "
                "for their gradients: differentiable takes one for each, None where there is none; "
                "a number that is no input is given by name"
            )
        found = super().bprop(node, index, grad_output) if x.dtype.kind == "f" else None
        if found is None:
            return None
        rule = f"the rule of operation {self.name} for input {index}"
        if not isinstance(found, Tensor):
            raise TypeError(
                f"{rule} returned {type(found).__name__}: a gradient is a Tensor, computed from "
                "Tensors by chainrule's operations or others of your own"
            )
        if found.shape != x.shape:
            raise ShapeError(
                f"{rule} returned a gradient of shape {found.shape}; the input has {x.shape}"
            )
        if found.dtype.kind != "f":
            raise DTypeError(f"{rule} returned a gradient of {found.dtype}; floats are needed")
        return found.astype(x.dtype)

    def _spec(self, *inputs: Any, **attributes: Any) -> Spec:
        """What `infer` says of Tensors or arrays."""
        if self._infer is None:
            return Spec((), np.dtype(np.float32))  # without meaning: `_symbolic` refuses
        found = self._infer(*inputs, **attributes)
        if isinstance(found, (Tensor, np.ndarray)):
            return Spec(found.shape, found.dtype)
        try:
            shape, dtype = found
            lengths = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
            return Spec(lengths, as_dtype(dtype))
        except (TypeError, ValueError):
            raise TypeError(
                f"infer of operation {self.name} returned {found!r:.80}; it returns "
                "(shape, dtype), or an input that is like the result"
            ) from None

    def _symbolic(
        self, inputs: tuple[Tensor, ...], attributes: dict[str, Any], context: Context
    ) -> Tensor:
        if self._infer is None:
            raise SymbolicError(
                f"operation {self.name} is in a graph that has no values yet, so the shape and "
                "dtype of its result must be known before: pass infer, as in "
                "@cr.custom_operation(infer=lambda x: (x.shape, x.dtype))"
            )
        return super()._symbolic(inputs, attributes, context)

    def _value(self, *arrays: Array, **attributes: Any) -> Array:
        """What the function returns, as an array of its own memory, held to `infer`."""
        views = [np.asarray(array).view() for array in arrays]
        for view in views:
            view.flags.writeable = False
        value = self._function(*views, **attributes)
        if not isinstance(value, _ARRAYS):
            raise TypeError(
                f"operation {self.name} returned {type(value).__name__}: an operation has one "
                "array as its result; several are stacked, or results of an operation each"
            )
        value = np.array(value)
        if value.dtype.kind not in "biuf":
            raise DTypeError(f"operation {self.name} returned an array of {value.dtype}")
        if self._infer is not None:
            spec = self._spec(*arrays, **attributes)
            if spec.shape != value.shape:
                raise ShapeError(
                    f"operation {self.name} returned shape {value.shape}; its infer says "
                    f"{spec.shape}"
                )
            if spec.dtype != value.dtype:
                raise DTypeError(
                    f"operation {self.name} returned {value.dtype}; its infer says {spec.dtype}: "
                    "cast the array with .astype"
                )
        return value


@overload
def custom_operation(forward: Callable[..., Any]) -> CustomOperation: ...


@overload
def custom_operation(
    *, infer: Infer | None = None
) -> Callable[[Callable[..., Any]], CustomOperation]: ...


def custom_operation(
    forward: Callable[..., Any] | None = None, *, infer: Infer | None = None
) -> Any:
    """Make an operation of a NumPy function: PyTorch's `autograd.Function`.

    The decorated function takes arrays, which it must not write into, and returns one. Called on
    Tensors, numbers or arrays, in order, the operation gives a Tensor. Arguments given by name
    are passed on as they are.

    Its gradients are declared by `differentiable`, with a rule for each input, or None where the
    result is not differentiable in it. A rule takes g, the gradient with respect to the result y;
    y; the inputs; and by name what the call was given by name. It returns the gradient with respect
    to its input, of the input's shape, computed with operations, so it can be differentiated again.
    A gradient that is itself to be computed with NumPy is another operation of your own.

    In `compile` and `Trainer` it runs with ``backend="reference"``; the native core refuses it.

    Args:
        forward: the function.
        infer: takes the same arguments and returns (shape, dtype) of the result from their shapes
            and dtypes, or an argument that is like it. It is needed where a graph is captured, as
            in `compile` and `Trainer`.

    Raises:
        ValueError: if the function has the name of one of chainrule's operations.
        TypeError: where a gradient is computed for which there is no rule.
        ShapeError, DTypeError: if an array is not as `infer` says, or a gradient not as its input.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> @cr.custom_operation(infer=lambda x: (x.shape, x.dtype))
        ... def cube_root(x):
        ...     return np.cbrt(x)
        >>> cube_root.differentiable(lambda g, y, x: g / (3.0 * y * y))
        >>> x = cr.tensor(8.0, requires_grad=True)
        >>> cube_root(x)
        tensor(2., operation=cube_root)
        >>> cr.grad(cube_root(x), x)  # 1 / 12
        tensor(0.0833, operation=divide)
        >>> cr.testing.check_gradient(cube_root, [1.0, -2.0])
    """
    if forward is None:
        return lambda function: CustomOperation(function, infer)
    return CustomOperation(forward, infer)
