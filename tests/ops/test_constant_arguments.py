"""Arguments that are plain numbers: a Tensor whose gradient would be lost is refused."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

F = nn.functional
X = cr.tensor([[-2.0, 0.25, 3.0]])
CALLS = {
    "leaky_relu": lambda n: F.leaky_relu(X, n),
    "elu": lambda n: F.elu(X, n),
    "celu": lambda n: F.celu(X, n),
    "softplus": lambda n: F.softplus(X, n),
    "softplus's threshold": lambda n: F.softplus(X, 1.0, n),
    "threshold": lambda n: F.threshold(X, n, 1.0),
    "threshold's value": lambda n: F.threshold(X, 0.0, n),
    "hardtanh": lambda n: F.hardtanh(X, -1.0, n),
    "hardshrink": lambda n: F.hardshrink(X, n),
    "softshrink": lambda n: F.softshrink(X, n),
    "rrelu": lambda n: F.rrelu(X, 0.1, n),
    "layer_norm": lambda n: F.layer_norm(X, (3,), eps=n),
    "rms_norm": lambda n: F.rms_norm(X, (3,), eps=n),
    "normalize": lambda n: F.normalize(X, eps=n),
    "pairwise_distance": lambda n: F.pairwise_distance(X, 2 * X, eps=n),
    "cosine_similarity": lambda n: F.cosine_similarity(X, 2 * X, eps=n),
    "huber_loss": lambda n: F.huber_loss(X, 2 * X, delta=n),
    "PinballLoss": lambda n: nn.PinballLoss(n)(X, 2 * X),
    "pad": lambda n: cr.pad(X, 1, constant_values=n),
    "trapezoid": lambda n: cr.trapezoid(X, dx=n),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_number_that_is_to_be_learnt_is_refused(name):
    CALLS[name](0.5)
    with pytest.raises(
        TypeError, match=r"number here, and the Tensor given|numbers?, got Parameter\(0.5\)"
    ):
        CALLS[name](cr.Parameter(0.5))


def test_full_of_a_tensor_passes_its_gradient_on():
    number = cr.Parameter(3.0)
    found = cr.full((2, 3), number)
    np.testing.assert_array_equal(found, np.full((2, 3), 3.0))
    (found + cr.full_like(found, number)).sum().backward()
    assert number.grad.item() == 12.0
    compiled = cr.compile(lambda x: cr.full((2,), x) * 2.0)
    np.testing.assert_array_equal(compiled(np.float32(1.5)), [3.0, 3.0])
    with pytest.raises(cr.ShapeError, match=r"full: values of shape \(2,\) do not broadcast"):
        cr.full((3,), cr.Parameter([1.0, 2.0]))
