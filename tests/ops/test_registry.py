"""Every operation of the registry is held to its block; the checks are made from the registry."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import linalg, nn  # noqa: F401 (they declare operations)
from chainrule.graph.operation import Sample, operations
from chainrule.graph.registered import functions
from chainrule.testing import check_operation

# A list of names at import, so that operations which tests declare do not join it.
NAMES = sorted(operations)


@pytest.mark.parametrize("name", NAMES)
def test_operation_keeps_the_promises_of_its_block(name):
    check_operation(name)


@pytest.mark.parametrize("name", NAMES)
def test_operation_is_documented(name):
    assert operations[name].__doc__


def test_every_function_behind_tensors_is_public():
    inner = {name for name in functions if not name.startswith("_")} - {"getitem", "backward"}
    assert inner <= set(cr.ops.__all__) <= set(cr.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_flops_are_counted_without_values(name):
    for sample in operations[name].samples(np.random.default_rng(0)):
        inputs = [cr.placeholder(x.shape, x.dtype) for x in sample.inputs]
        node = operations[name].apply(*inputs, **sample.attributes)
        flops = operations[name].flops(node, *inputs, **sample.attributes)
        assert isinstance(flops, int) and flops >= 0


@pytest.mark.parametrize(
    ("function", "shapes", "flops"),
    [
        (cr.tanh, [(3, 5)], 15),
        (lambda a, b, c: cr.add_n(a, b, c), [(3, 5)] * 3, 30),
        (lambda a, b: cr.matmul(a, b), [(2, 3, 4), (2, 4, 5)], 2 * 2 * 3 * 4 * 5),
        (lambda x: x.sum(0), [(3, 5)], 15),
        (lambda x: cr.softmax(x), [(3, 5)], 60),
        (lambda x: x.reshape(5, 3), [(3, 5)], 0),
        (lambda x: x.astype("float64"), [(3, 5)], 0),
    ],
)
def test_flops_are_the_textbooks(function, shapes, flops):
    node = function(*map(cr.placeholder, shapes))
    assert node.operation.flops(node, *node.inputs, **node.attributes) == flops


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_the_same_for_the_same_seed(name):
    first, second = (operations[name].samples(np.random.default_rng(3)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.attributes == b.attributes
        for x, y in zip(a.inputs, b.inputs, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", ["relu", "abs", "sign", "heaviside"])
def test_samples_of_kinks_lie_on_both_sides_and_away_from_it(name):
    values = np.concatenate(
        [s.inputs[0].ravel() for s in operations[name].samples(np.random.default_rng(0))]
    )
    assert (values > 0).any()
    assert (values < 0).any()
    assert np.abs(values).min() > 0.1


def public_call(name, attributes):
    """The public function behind an operation, with a sample's attributes as its arguments."""
    function = functions[name]
    arguments = {{"axes": "axis"}.get(key, key): value for key, value in attributes.items()}
    return lambda *inputs: function(*inputs, **arguments)


# Of these the public function's arguments are not the operation's, or there is none.
OTHERS = ["add_n", "broadcast_to", "concatenate", "pad", "reshape", "transpose"]
PUBLIC = [name for name in NAMES if name in functions and name not in OTHERS]


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.float32, np.float64])
@pytest.mark.parametrize("name", PUBLIC)
def test_a_dtype_is_taken_or_refused_symbolically_as_eagerly(name, dtype):
    for sample in operations[name].samples(np.random.default_rng(0)):
        function = public_call(name, sample.attributes)
        inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in sample.inputs]
        with np.errstate(all="ignore"):
            eager = outcome(function, [cr.tensor(x) for x in inputs])
        symbolic = outcome(function, [cr.placeholder(x.shape, x.dtype) for x in inputs])
        assert eager == symbolic


def outcome(function, inputs):
    try:
        node = function(*inputs)
    except TypeError as error:
        return type(error)
    return node.shape, node.dtype


def test_an_operation_is_declared_once():
    with pytest.raises(ValueError, match="'add' is registered already"):
        cr.Operation("add", None, lambda x: x, lambda random: [Sample((), {})])


def test_operations_print_their_name():
    assert repr(operations["matmul"]) == "<operation matmul>"
