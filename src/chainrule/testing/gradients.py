"""Checks of gradients by finite differences, and of all that an operation's block promises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule import checks
from chainrule.compiler.capture import capture
from chainrule.execute.reference import Interpreter
from chainrule.graph.gradients import grad
from chainrule.graph.operation import Operation, Sample, Spec, operations
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Array, Tensor, as_tensor, placeholder
from chainrule.trees import leaves

Function = Callable[..., Any]


class _Settings(NamedTuple):
    full: bool | None
    step: float
    rtol: float
    atol: float
    random: np.random.Generator


def check_gradient(
    function: Function,
    *inputs: Any,
    order: int = 2,
    parameters: Iterable[Parameter] = (),
    full: bool | None = None,
    step: float = 1e-5,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    seed: int = 0,
) -> None:
    """Check the gradients of a function against central finite differences in float64.

    For the function's output y, a random u of its shape (1 for a scalar), and a random direction v
    of each input x:

        <v, d<u, y>/dx> = (<u, y(x + h v)> - <u, y(x - h v)>) / 2h

    Small inputs are checked in every element instead of one random direction. To check order 2,
    the gradient d<u, y>/dx is itself taken as a function of x and u and checked in the same way.

    Args:
        function: takes Tensors, returns a Tensor or a structure of Tensors; must return the same
            on every call, so a layer with random numbers needs a generator started anew in it.
        inputs: arrays, numbers or Tensors; floating ones are taken in float64, integers and
            booleans are passed on and not differentiated. Of inputs without elements the gradient's
            shape and dtype are checked.
        order: up to which order of derivatives to check, at least 1.
        parameters: further Parameters that the function reads, as of a layer; float64.
        full: check each element of each input (True), a random direction of each (False), or each
            element of the inputs that have at most 16 (None).
        step: h, in units of the largest element of the input, at least of 1.
        rtol, atol: the gradients may differ by atol + rtol * the larger of the two.
        seed: of the random directions.

    Raises:
        AssertionError: naming the input and the order, with the expected and the found number and
            the relative error.
        ValueError, TypeError: if there is nothing to check with such inputs and settings.

    Example:
        >>> import chainrule as cr
        >>> check_gradient(lambda x, w: cr.tanh(x @ w), [[1.0, 2.0]], [[0.5], [-0.25]])
        >>> check_gradient(lambda x: x * cr.stop_gradient(x), 3.0)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        AssertionError: gradient of order 1 by input 0: expected 6 by finite differences, got 3...
    """
    values = [_as_float64(x) for x in inputs]
    held = list(parameters)
    for parameter in held:
        if parameter.dtype != np.float64:
            raise TypeError(
                f"check_gradient needs parameters in float64, not {parameter!r}: in other dtypes "
                "finite differences are not exact enough"
            )
    originals = [parameter.numpy().copy() for parameter in held]
    order = checks.count("order", order)
    settings = _Settings(
        None if full is None else checks.flag("full", full),
        checks.positive("step", step),
        checks.not_negative("rtol", rtol),
        checks.not_negative("atol", atol),
        np.random.default_rng(checks.seed(seed)),
    )
    if not held and not any(value.dtype.kind == "f" for value in values):
        raise ValueError(
            "there is nothing to check: give a floating input, as 1.0, or some of the parameters"
        )
    try:
        for number in range(1, order + 1):
            function, values = _check_order(number, function, values, held, settings)
    finally:
        for parameter, original in zip(held, originals, strict=True):
            parameter.assign(original)


def _as_float64(data: Any) -> Array:
    """A copy of the data; floating ones in float64, in which differences are exact enough."""
    array = np.array(data.numpy() if isinstance(data, Tensor) else data)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _check_order(
    order: int,
    function: Function,
    inputs: list[Array],
    parameters: list[Parameter],
    settings: _Settings,
) -> tuple[Function, list[Array]]:
    """Check the first derivatives of `function`; return its gradient as a function, and inputs."""
    point = [*inputs, *(parameter.numpy() for parameter in parameters)]
    names = [f"input {i}" for i in range(len(inputs))]
    names += [f"parameter {p.name or i}" for i, p in enumerate(parameters)]

    def evaluate(values: Sequence[Array]) -> list[Array]:
        """The floating outputs at these values of the inputs and parameters."""
        for parameter, value in zip(parameters, values[len(inputs) :], strict=True):
            parameter.assign(as_tensor(value))
        return [y.numpy() for y in _floating(function(*_variables(values[: len(inputs)])))]

    outputs = evaluate(point)
    if not outputs:
        raise AssertionError("the function returns no floating Tensor, so it has no gradient")
    if not all(map(np.array_equal, outputs, evaluate(point), [True] * len(outputs))):
        raise AssertionError("the function returns different values on equal inputs")
    u = [settings.random.standard_normal(y.shape) for y in outputs]
    if len(outputs) == 1 and not outputs[0].shape:
        u = [np.ones(())]

    def difference(i: int, direction: Array) -> float:
        """<u, y(x + h v) - y(x - h v)> / 2h for input i."""
        h = settings.step * max(1.0, float(np.abs(point[i]).max(initial=0.0)))
        step = h * direction
        above = evaluate([*point[:i], point[i] + step, *point[i + 1 :]])
        below = evaluate([*point[:i], point[i] - step, *point[i + 1 :]])
        total = sum((w * (a - b)).sum() for w, a, b in zip(u, above, below, strict=True))
        return float(total) / (2 * h)

    gradient = _gradient(function, parameters, len(outputs))
    grads = iter(gradient(*_variables([*inputs, *u])))
    for i, (x, name) in enumerate(zip(point, names, strict=True)):
        if x.dtype.kind != "f":
            continue
        what = f"gradient of order {order} by {name}"
        found = next(grads)
        _require_spec(what, found, x)
        for place, direction in _directions(x, settings):
            got = float((found.numpy() * direction).sum())
            _compare(what + place, difference(i, direction), got, settings)
    evaluate(point)  # the parameters as they were
    return gradient, [*inputs, *u]


def _variables(arrays: Sequence[Array]) -> list[Tensor]:
    """The arrays as leaves; floating ones require a gradient."""
    return [Tensor(np.asarray(a), requires_grad=a.dtype.kind == "f") for a in arrays]


def _gradient(function: Function, parameters: list[Parameter], outputs: int) -> Function:
    """(*inputs, *u) -> the gradients of <u, function(*inputs)> by floating inputs, parameters."""

    def gradient(*arguments: Tensor) -> list[Tensor]:
        inputs, u = arguments[:-outputs], arguments[-outputs:]
        variables = [*(t for t in inputs if t.dtype.kind == "f"), *parameters]
        terms = [(y * w).sum() for y, w in zip(_floating(function(*inputs)), u, strict=True)]
        return grad(sum(terms[1:], terms[0]), variables)

    return gradient


def _floating(outputs: Any) -> list[Tensor]:
    """The Tensors of a structure that have gradients."""
    tensors = [as_tensor(y) for y in leaves(outputs)]
    return [t for t in tensors if t.dtype.kind == "f"]


def _directions(x: Array, settings: _Settings) -> Iterable[tuple[str, Array]]:
    """Directions to differentiate along, each with the words that name it."""
    if settings.full or (settings.full is None and x.size <= 16):
        for element in np.ndindex(x.shape):
            unit = np.zeros(x.shape)
            unit[element] = 1.0
            yield (f", element {element}" if element else ""), unit
    else:
        yield ", in a random direction", settings.random.standard_normal(x.shape)


def _compare(what: str, expected: float, got: float, settings: _Settings) -> None:
    """Raise where two numbers differ by more than the settings allow."""
    difference = abs(got - expected)
    largest = max(abs(got), abs(expected))
    if not difference <= settings.atol + settings.rtol * largest:
        raise AssertionError(
            f"{what}: expected {expected:.9g} by finite differences, got {got:.9g}; relative error "
            f"{difference / largest if largest else difference:.3g}"
        )


def check_operation(
    operation: Operation | str,
    *,
    dtypes: Sequence[Any] = (np.float32, np.float64),
    order: int = 2,
    seed: int = 0,
) -> None:
    """Hold an operation to what its block promises, over all its samples.

    - `infer` and a symbolic node give the shape and dtype of `forward`'s array, in each dtype.
    - A captured graph, run by the reference interpreter, gives the eager value bit for bit.
    - `forward` never writes into its inputs, and takes them in any memory layout.
    - Every bprop rule gives a Tensor of its input's shape and dtype, eagerly and symbolically.
    - Gradients to second order agree with finite differences in float64.

    Args:
        operation: an operation or its name in the registry.
        dtypes: in which to try the floating inputs of the samples.
        order: up to which order of derivatives to check.
        seed: of the samples.

    Raises:
        AssertionError: naming the operation, the sample and what it breaks.

    Example:
        >>> check_operation("tanh")
    """
    op = operations[operation] if isinstance(operation, str) else operation
    samples = op.samples(np.random.default_rng(seed))
    if not samples:
        raise AssertionError(
            f"operation {op.name} has no samples to check it with: check_gradient takes yours"
        )
    for number, sample in enumerate(samples):
        try:
            for dtype in dtypes:
                _check_sample(op, _in_dtype(sample, dtype))
            if op.rules and _is_floating(op, sample):
                check_gradient(
                    lambda *inputs, s=sample: op.apply(*inputs, **s.attributes),
                    *sample.inputs,
                    order=order,
                )
        except AssertionError as error:
            shapes = ", ".join(str(x.shape) for x in sample.inputs)
            raise AssertionError(
                f"operation {op.name}, sample {number} (shapes {shapes}; {sample.attributes}): "
                f"{error}"
            ) from error


def _in_dtype(sample: Sample, dtype: Any) -> Sample:
    """The sample with its floating inputs in another dtype."""
    inputs = tuple(x.astype(dtype) if x.dtype.kind == "f" else x for x in sample.inputs)
    return Sample(inputs, sample.attributes)


def _symbolic(op: Operation, sample: Sample) -> tuple[list[Tensor], Tensor]:
    """Placeholders like the sample's inputs, and the operation's node on them."""
    inputs = [placeholder(x.shape, x.dtype) for x in sample.inputs]
    return inputs, op.apply(*inputs, **sample.attributes)


def _is_floating(op: Operation, sample: Sample) -> bool:
    return _symbolic(op, sample)[1].dtype.kind == "f"


def _require_spec(what: str, found: Tensor | Array | Spec, expected: Tensor | Array | Spec) -> None:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise AssertionError(
            f"{what} has shape {found.shape} and dtype {found.dtype}; expected "
            f"{expected.shape} and {expected.dtype}"
        )


def _require_same_bits(what: str, found: Array, expected: Array) -> None:
    _require_spec(what, found, expected)
    if found.tobytes() != expected.tobytes():
        raise AssertionError(f"{what} is not bit for bit the same: {found} against {expected}")


def _check_sample(op: Operation, sample: Sample) -> None:
    """Hold the operation to all but its finite differences, on one sample."""
    attributes = sample.attributes
    arrays = [x.copy() for x in sample.inputs]
    value = np.asarray(op.forward(*arrays, **attributes))
    for i, (array, before) in enumerate(zip(arrays, sample.inputs, strict=True)):
        _require_same_bits(f"input {i} after forward, which must not write into it,", array, before)

    inputs, node = _symbolic(op, sample)
    _require_spec("what infer gives", op.infer(*inputs, **attributes), value)
    _require_spec("the symbolic node", node, value)
    eager = op.apply(*_variables(sample.inputs), **attributes)
    _require_same_bits("the eager node's value", eager.numpy(), value)
    strided = [np.repeat(x[..., None], 2, -1)[..., 0] for x in sample.inputs]
    _require_close("forward of strided inputs", op.forward(*strided, **attributes), value)
    run = Interpreter(capture(lambda *t: op.apply(*t, **attributes), *inputs))
    _require_same_bits("the captured graph's value", run(*sample.inputs), value)

    if op.rules and value.dtype.kind == "f":
        _check_rules(op, sample, eager, node)


def _check_rules(op: Operation, sample: Sample, eager: Tensor, symbolic: Tensor) -> None:
    """Hold the bprop rules to the shapes and dtypes of the inputs, eagerly and captured."""
    g = np.random.default_rng(1).standard_normal(eager.shape).astype(eager.dtype)
    for i, x in enumerate(sample.inputs):
        if x.dtype.kind != "f":
            continue
        for kind, node, output in (
            ("the eager", eager, Tensor(g, requires_grad=True)),
            ("the symbolic", symbolic, placeholder(g.shape, g.dtype)),
        ):
            gradient = op.bprop(node, i, output)
            if gradient is not None:
                _require_spec(f"{kind} gradient by input {i}", gradient, x)

    def gradients(*tensors: Tensor) -> list[Tensor]:
        *inputs, output = tensors
        node = op.apply(*inputs, **sample.attributes)
        floats = [t for t in inputs if t.dtype.kind == "f"]
        return grad(node, floats, output)

    arrays = [*sample.inputs, g]
    found = gradients(*_variables(arrays))
    run = Interpreter(capture(gradients, *arrays))
    for i, (eager_gradient, captured) in enumerate(zip(found, run(*arrays), strict=True)):
        _require_same_bits(f"captured gradient {i}", captured, eager_gradient.numpy())


def _require_close(what: str, found: Array, expected: Array) -> None:
    """Raise where two arrays differ by more than a few roundings."""
    _require_spec(what, np.asarray(found), expected)
    tolerance = 1e-5 if expected.dtype == np.float32 else 1e-12
    if not np.allclose(found, expected, tolerance, tolerance, equal_nan=True):
        raise AssertionError(f"{what} differs: {found} against {expected}")
