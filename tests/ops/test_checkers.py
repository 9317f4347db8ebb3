"""A check that has never been seen to fail is not a check: the checkers reject what is wrong."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.operation import Spec, operation, operations
from chainrule.ops.samples import interval
from chainrule.testing import check_gradient, check_operation

SAMPLES = interval(1, 2)


@pytest.fixture
def declare():
    """Declare an operation on one Tensor of any shape for one test."""
    before = set(operations)

    def declare(forward, *rules, infer=lambda x: Spec(x.shape, x.dtype), samples=SAMPLES):
        forward.__name__ = "doubtful"
        op = operation(infer, samples)(forward)
        op.differentiable(*rules)
        return op

    yield declare
    for name in set(operations) - before:
        del operations[name]


def square(x):
    return x * x


def test_a_right_operation_passes(declare):
    check_operation(declare(square, lambda g, y, x: g * (x * 2.0)))


def test_a_gradient_wrong_by_a_twentieth_of_a_percent_is_rejected(declare):
    wrong = declare(square, lambda g, y, x: g * (x * 2.001))
    with pytest.raises(AssertionError, match=r"order 1 by input 0.*relative error 0\.0005"):
        check_gradient(wrong.apply, 3.0)
    with pytest.raises(AssertionError, match=r"doubtful, sample 0.*order 1 by input 0"):
        check_operation(wrong)


def test_a_wrong_gradient_in_one_element_of_many_is_rejected():
    mask = np.ones(100)
    mask[37] = 1.01
    with pytest.raises(AssertionError, match="in a random direction"):
        check_gradient(lambda x: x * x + flawed(x, mask), np.ones(100))


def flawed(x, mask):
    """x with a gradient of `mask` in place of 1."""
    return x * mask + cr.stop_gradient(x - x * mask)


def test_the_wrong_element_is_named():
    with pytest.raises(AssertionError, match=r"input 1, element \(2,\): expected 1.* got 1\.01"):
        check_gradient(lambda a, x: (a + flawed(x, np.array([1, 1, 1.01]))).sum(), 1.0, np.ones(3))


def test_a_wrong_second_derivative_is_rejected(declare):
    wrong = declare(square, lambda g, y, x: g * (x + cr.stop_gradient(x)))
    check_gradient(wrong.apply, [1.0, 2.0], order=1)
    with pytest.raises(AssertionError, match="order 2 by input 0"):
        check_gradient(wrong.apply, [1.0, 2.0])
    with pytest.raises(AssertionError, match="order 2 by input 0"):
        check_operation(wrong)


def test_a_gradient_that_is_not_differentiable_in_grad_output_is_rejected(declare):
    wrong = declare(square, lambda g, y, x: cr.stop_gradient(g) * (x * 2.0))
    with pytest.raises(AssertionError, match="order 2 by input 1"):
        check_gradient(wrong.apply, [1.0, 2.0])


def test_a_gradient_of_a_wrong_shape_is_rejected(declare):
    wrong = declare(square, lambda g, y, x: (g * x * 2.0).sum(keepdims=True).reshape(-1))
    with pytest.raises(AssertionError, match=r"shape \(1,\).*expected \(\)"):
        check_operation(wrong)
    with pytest.raises(AssertionError, match=r"shape \(1,\).*expected \(7,\)"):
        check_gradient(wrong.apply, np.ones(7))


def test_a_gradient_of_a_wrong_dtype_is_rejected(declare):
    wrong = declare(square, lambda g, y, x: (g * x * 2.0).astype("float64"))
    with pytest.raises(AssertionError, match=r"dtype float64; expected .* float32"):
        check_operation(wrong)


def test_a_wrong_inferred_shape_is_rejected(declare):
    with pytest.raises(AssertionError, match=r"what infer gives has shape \(1,\)"):
        check_operation(declare(square, infer=lambda x: Spec((1, *x.shape), x.dtype)))


def test_a_wrong_inferred_dtype_is_rejected(declare):
    with pytest.raises(AssertionError, match=r"what infer gives has .* dtype float64; .* float32"):
        check_operation(declare(lambda x: x, infer=lambda x: Spec(x.shape, np.dtype(np.float64))))


def test_a_forward_that_writes_into_its_input_is_rejected(declare):
    def forward(x):
        x *= x
        return x

    with pytest.raises(AssertionError, match="must not write into it"):
        check_operation(declare(forward))


def test_a_forward_that_depends_on_memory_layout_is_rejected(declare):
    def forward(x):
        return x * x.dtype.type(1 if x.flags.c_contiguous else 2)

    with pytest.raises(AssertionError, match="strided"):
        check_operation(declare(forward))


def test_a_forward_that_changes_from_call_to_call_is_rejected(declare):
    calls = []

    def forward(x):
        calls.append(1)
        return x + x.dtype.type(len(calls))

    with pytest.raises(AssertionError, match="not bit for bit the same"):
        check_operation(declare(forward))
    with pytest.raises(AssertionError, match="different values on equal inputs"):
        check_gradient(lambda x: x + len(calls) + bool(calls.append(1)), 1.0)


def test_an_operation_without_samples_is_rejected(declare):
    with pytest.raises(AssertionError, match="no samples"):
        check_operation(declare(square, samples=lambda random: []))


def test_nothing_to_differentiate_is_rejected():
    with pytest.raises(AssertionError, match="no floating Tensor"):
        check_gradient(lambda x: x > 0, 1.0)


def test_nan_is_rejected():
    with np.errstate(invalid="ignore"), pytest.raises(AssertionError, match="expected nan"):
        check_gradient(cr.log, -1.0)


def test_integers_and_booleans_are_passed_on():
    def function(x, indices, mask):
        assert indices.dtype == np.int64
        assert mask.dtype == np.bool_
        return cr.where(mask, x[indices], 1.0)

    check_gradient(function, np.arange(3.0), np.array([2, 0, 0]), np.array([True, False, True]))


def test_a_function_may_read_values_of_a_number():
    def function(x):
        assert x.numpy().shape == ()
        return x * x if x.item() > 0 else -x

    check_gradient(function, 2.0)


def test_several_outputs_in_a_structure():
    check_gradient(lambda x: {"a": x * x, "b": [cr.exp(x), x > 0]}, [1.0, 2.0])
    with pytest.raises(AssertionError, match="order 1 by input 0"):
        check_gradient(lambda x: {"a": x * x, "b": [flawed(x, np.array([1.0, 1.01]))]}, [1.0, 2.0])


def test_parameters_are_checked_and_kept():
    w = cr.Parameter([[1.0, -2.0], [0.5, 3.0]], "float64", name="w")
    before = w.numpy().copy()
    check_gradient(lambda x: cr.tanh(x @ w), [[0.1, 0.2]], parameters=[w])
    np.testing.assert_array_equal(w.numpy(), before)
    with pytest.raises(AssertionError, match=r"order 1 by parameter w, element \(0, 0\)"):
        check_gradient(lambda x: x @ cr.stop_gradient(w) * w[1, 1], [[0.1, 0.2]], parameters=[w])
    np.testing.assert_array_equal(w.numpy(), before)
    with pytest.raises(TypeError, match="float64"):
        check_gradient(lambda x: x * w, 1.0, parameters=[cr.Parameter([1.0])])


def test_third_order():
    check_gradient(cr.tanh, [0.3, -1.0], order=3, rtol=1e-5)
    wrong = lambda x: x * x * cr.stop_gradient(x)  # noqa: E731
    with pytest.raises(AssertionError):
        check_gradient(wrong, [0.3, -1.0], order=3)


def test_every_element_or_a_random_direction():
    x = np.linspace(-1, 1, 40).reshape(5, 8)
    for full in (True, False, None):
        check_gradient(lambda x: cr.softmax(x).sum(0), x, full=full, order=1)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"order": 0}, ValueError, "order is at least 1, got 0"),
        ({"order": 1.5}, TypeError, "order is a whole number"),
        ({"step": 0}, ValueError, "step is positive"),
        ({"step": np.nan}, ValueError, "step is finite"),
        ({"rtol": -1}, ValueError, "rtol is not negative"),
        ({"atol": np.inf}, ValueError, "atol is finite"),
        ({"seed": 1.5}, TypeError, "a seed is a whole number"),
        ({"full": "x"}, TypeError, "full is True or False"),
    ],
)
def test_settings_that_check_nothing_are_refused(settings, error, said):
    with pytest.raises(error, match=said):
        check_gradient(cr.sin, 1.0, **settings)


def test_inputs_that_check_nothing_are_refused():
    weight = cr.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    for inputs in ((), (3,), (True, np.arange(2))):
        with pytest.raises(ValueError, match="there is nothing to check"):
            check_gradient(lambda *_: cr.sin(weight), *inputs)
