"""Every operation of the registry, native against NumPy."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.graph.operation import operations
from chainrule.ops import linalg  # noqa: F401 (declares its operations)
from chainrule.trees import leaves

TOLERANCE = {"float32": 2e-6, "float64": 1e-14}


def run_native(function, arrays, poison=0):
    """The results of `function` on buffers of these arrays, by a native plan."""
    buffers = [cr.Buffer(a, a.dtype) for a in arrays]
    graph = cr.capture(lambda: function(*buffers))
    block = StateBlock(buffers)
    step = NativeStep(graph, block)
    step.fill_arena(poison)
    step.run(None, 0, 1)
    return [np.array(o) for o in step.outputs()]


def cases():
    for name, operation in sorted(operations.items()):
        if operation.only_numpy:
            continue
        for number, sample in enumerate(operation.samples(np.random.default_rng(0))):
            yield pytest.param(operation, sample, id=f"{name}-{number}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("operation", "sample"), list(cases()))
def test_native_equals_numpy(operation, sample, dtype):
    inputs = [a.astype(dtype) if a.dtype.kind == "f" else a for a in sample.inputs]
    attributes = dict(sample.attributes)
    if "dtype" in attributes and operation.name != "astype":
        attributes["dtype"] = np.dtype(dtype)
    with np.errstate(all="ignore"):
        expected = np.asarray(operation.forward(*inputs, **attributes))

    def function(*buffers):
        return operation.apply(*buffers, **attributes)

    try:
        results = [run_native(function, inputs, poison) for poison in (0x00, 0xFF)]
    except UnsupportedError as error:
        pytest.fail(f"no native form: {error}")
    for (result,) in results:
        assert result.shape == expected.shape
        assert result.dtype == expected.dtype
        if expected.dtype.kind == "f" and operation.name != "random_uniform":
            scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
            np.testing.assert_allclose(
                result, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale
            )
        else:
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", sorted(n for n, o in operations.items() if o.only_numpy))
def test_an_operation_without_a_native_form_is_refused_with_the_reason(name):
    operation = operations[name]
    sample = operation.samples(np.random.default_rng(0))[0]
    with pytest.raises(UnsupportedError, match=f"{name} has no native kernel: the native core"):
        run_native(lambda *x: operation.apply(*x, **sample.attributes), sample.inputs)


def test_leaves_of_outputs_keep_their_order():
    a = np.arange(6.0).reshape(2, 3)
    first, second = run_native(lambda x: {"a": x * 2.0, "b": x.sum(axis=0)}, [a])
    np.testing.assert_array_equal(first, a * 2)
    np.testing.assert_array_equal(second, a.sum(0))
    assert len(list(leaves((first, second)))) == 2
