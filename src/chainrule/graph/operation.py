"""Operation: one object per operation, declared in one block; and the registry of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

import numpy as np

from chainrule.graph.context import Context, local
from chainrule.graph.tensor import Array, Tensor, serials

Rule = Callable[..., "Tensor | None"]
"""A bprop rule: (g, y, *inputs, **attributes) -> the gradient with respect to one input, where g
is the gradient with respect to the output y. It is written with operations, so it is a graph.
None means that the output is not differentiable in that input."""


JointRule = Callable[["Tensor", "list[tuple[Tensor, Tensor]]"], "list[Tensor]"]
"""(x, [(y, g), ...]) -> Tensors whose sum is the gradient with respect to x, where all y are
results of one operation whose first input is x, and each g is the gradient with respect to its
y."""


class Spec(NamedTuple):
    """The shape and dtype of a Tensor, known before its value."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Sample(NamedTuple):
    """Inputs and attributes with which an operation can be tried."""

    inputs: tuple[Array, ...]
    attributes: dict[str, Any]


Samples = Callable[["np.random.Generator"], Sequence[Sample]]

Flops = Callable[..., int]
"""(y, *inputs, **attributes) -> floating-point operations, where y stands for the output. The
arguments have a `shape`, a `dtype` and a `size`, but perhaps no value."""


class Limit(NamedTuple):
    """What indices from 0 on must be below.

    Attributes:
        of: (*inputs, **attributes) -> the limit, exclusive.
        fault: (lowest, highest, limit) -> what is wrong with indices from `lowest` to `highest`, in
            words; None where they fit.
        error: of data that do not fit.
    """

    of: Callable[..., int]
    fault: Callable[[int, int, int], str | None]
    error: type[Exception] = ValueError


Limits = dict[int, Limit]
"""By the number of the input that holds such indices."""

Shared = TypeVar("Shared")

operations: dict[str, Operation] = {}
"""The registry: every operation by its name."""

_new = object.__new__
_ndarray = np.ndarray


def one_per_element(y: Any, *inputs: Any, **attributes: Any) -> int:
    """The FLOPs of an operation that computes one function of numbers for each element of y."""
    return int(y.size)


def no_flops(y: Any, *inputs: Any, **attributes: Any) -> int:
    """The FLOPs of an operation that moves, draws or rounds numbers: none."""
    return 0


def _as_nodes(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The inputs, with the leaf that stands for it now in place of each State."""
    return tuple([t if t.__class__ is Tensor else t.node() for t in inputs])


class Operation:
    """A kind of node: how its shape, value and gradients come from its inputs.

    One of your own is made by `chainrule.custom_operation`.

    Attributes:
        name: unique; what printing, drawing and errors say.
        infer: (*inputs, **attributes) -> Spec, from the inputs' shapes and dtypes alone; raises
            the errors that a user sees for inputs that do not fit.
        forward: (*arrays, **attributes) -> array, in NumPy: the definition of the operation.
        rules: one bprop rule per input; None where the output is not differentiable in it. An
            operation that takes any number has one rule, (g, y, index, **attributes).
        joint_rule: what gives the gradient with respect to one input that several nodes of this
            operation take; None where each gives its own.
        samples: inputs to try it with; gradient and parity checks are made from them.
        limits: for each input that holds indices from 0 on, their limit; so data can be checked
            before a run.
        flops: (y, *inputs, **attributes) -> floating-point operations, as textbooks count them:
            one for each addition, multiplication or other function of numbers.
        only_numpy: why the operation has no native form; empty where it has one.
    """

    def __init__(
        self,
        name: str,
        infer: Callable[..., Spec],
        forward: Callable[..., Array],
        samples: Samples,
        *,
        variadic: bool = False,
        limits: Limits | None = None,
        flops: Flops = one_per_element,
        only_numpy: str = "",
    ) -> None:
        self.name = self.__name__ = name
        self.__doc__ = forward.__doc__
        self.infer = infer
        self.forward = forward
        self.samples = samples
        self.variadic = variadic
        self.limits = limits or {}
        self.flops = flops
        self.only_numpy = only_numpy
        self.rules: tuple[Rule | None, ...] = ()
        self.joint_rule: JointRule | None = None
        self._register()

    def _register(self) -> None:
        if self.name in operations:
            raise ValueError(
                f"an operation named {self.name!r} is registered already; one of your own is made "
                "by chainrule.custom_operation, as often as its cell is run"
            )
        operations[self.name] = self

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    def __reduce__(self) -> Any:  # there is one of each name, also for a model that holds it
        return registered, (self.name, self.forward.__module__)

    def differentiable(self, *rules: Rule | None) -> None:
        """Declare the bprop rules, one per input."""
        self.rules = rules

    def bprop(self, node: Tensor, index: int, grad_output: Tensor) -> Tensor | None:
        """The gradient with respect to `node.inputs[index]`, given the one for `node`.

        Returns None where the operation is not differentiable in that input.
        """
        if self.variadic:
            rule = self.rules[0] if self.rules else None
            if rule is None:
                return None
            return rule(grad_output, node, index=index, **node.attributes)
        rule = self.rules[index] if index < len(self.rules) else None
        if rule is None:
            return None
        return rule(grad_output, node, *node.inputs, **node.attributes)

    def apply(self, *inputs: Tensor, **attributes: Any) -> Tensor:
        """The node of this operation on `inputs`: eager where all have values, else symbolic."""
        context = local.context
        if context.capture is not None:
            return self._apply_captured(inputs, attributes)
        values = []
        requires_grad = reads_state = False
        for tensor in inputs:
            if tensor.__class__ is Tensor:
                value = tensor.value
            else:
                reads_state = True
                value = tensor.shown()
            if value is None:
                return self._symbolic(_as_nodes(inputs), attributes, context)
            values.append(value)
            if tensor.requires_grad:
                requires_grad = True
        try:
            value = self.forward(*values, **attributes)
        except (ValueError, TypeError, IndexError, OverflowError):
            self.infer(*inputs, **attributes)  # raises the clear error, where it knows one
            raise
        if value.__class__ is not _ndarray:
            value = np.asarray(value)
        node: Tensor = _new(Tensor)
        node.value = value
        node.shape = value.shape
        node.dtype = value.dtype
        node.attributes = attributes
        if requires_grad and self.rules and context.grad_enabled and value.dtype.kind == "f":
            node.requires_grad = True
            node.operation = self
            node.inputs = _as_nodes(inputs) if reads_state else inputs
        else:  # no graph is kept
            node.requires_grad = False
            node.operation = None
            node.inputs = ()
        node._grad = node.name = node.state = None
        node._without_graph = False
        node.path = context.path
        node.origin = context.origin
        node.serial = next(serials)
        return node

    def _apply_captured(self, inputs: tuple[Tensor, ...], attributes: dict[str, Any]) -> Tensor:
        """While a graph is captured, state is symbolic: what depends on it has no value."""
        context = local.context
        inputs = _as_nodes(inputs)
        for tensor in inputs:
            if tensor.value is None:
                return self._symbolic(inputs, attributes, context)
        capture, context.capture = context.capture, None
        try:
            return self.apply(*inputs, **attributes)
        finally:
            context.capture = capture

    def _symbolic(
        self, inputs: tuple[Tensor, ...], attributes: dict[str, Any], context: Context
    ) -> Tensor:
        """The node without a value: its shape and dtype come from `infer`."""
        node: Tensor = _new(Tensor)
        node.value = None
        node.shape, node.dtype = self.infer(*inputs, **attributes)
        node.operation = self
        node.inputs = inputs
        node.attributes = attributes
        node.requires_grad = False
        if context.grad_enabled and self.rules and node.dtype.kind == "f":
            for tensor in inputs:
                if tensor.requires_grad:
                    node.requires_grad = True
                    break
        node._without_graph = not node.requires_grad
        node._grad = node.name = node.state = None
        node.path = context.path
        node.origin = context.origin
        node.serial = next(serials)
        return node


def shared_gradient(y: Tensor, g: Tensor, make: Callable[[], Shared]) -> Shared:
    """What the bprop rules of all inputs of `y` take their gradients from, given `g` for `y`.

    A backward pass makes it once.
    """
    shared = local.context.shared
    if shared is None:
        return make()
    found = shared.get((y, g))
    if found is None:
        found = shared[y, g] = make()
    return found


def operation(
    infer: Callable[..., Spec],
    samples: Samples,
    *,
    variadic: bool = False,
    limits: Limits | None = None,
    flops: Flops = one_per_element,
    only_numpy: str = "",
) -> Callable[[Callable[..., Array]], Operation]:
    """Declare the decorated NumPy function as the `forward` of an operation of its name."""

    def declare(forward: Callable[..., Array]) -> Operation:
        name = forward.__name__.strip("_")
        return Operation(
            name,
            infer,
            forward,
            samples,
            variadic=variadic,
            limits=limits,
            flops=flops,
            only_numpy=only_numpy,
        )

    return declare


def registered(name: str, module: str) -> Operation:
    """The operation of this name, for a copy or a pickle that holds one; `module` declares it."""
    if name not in operations:
        import_module(module)
    if name not in operations:
        raise LookupError(f"no operation {name!r} is registered: {module} does not declare it")
    return operations[name]


def operation_name(node: Tensor) -> str:
    """The name of the operation that computes a node; "" of a leaf."""
    return node.operation.name if node.operation is not None else ""
