"""Products of matrices of which any side, or the stack, may be empty: as eagerly, and so are their
gradients."""

import itertools

import numpy as np
import pytest

import chainrule as cr

LENGTHS = (0, 1, 2)


def product_and_gradients(a, b):
    y = a @ b
    return y, *cr.grad((y * y).sum(), [a, b])


@pytest.mark.parametrize(
    "stacks", [((), ()), ((3,), (3,)), ((3,), ()), ((2, 3), (1, 3)), ((0,), (1,))]
)
@pytest.mark.parametrize(("m", "k", "n"), list(itertools.product(LENGTHS, repeat=3)))
def test_products_with_empty_sides(m, k, n, stacks):
    random = np.random.default_rng(0)
    given = [
        cr.tensor(random.standard_normal((*stack, *sides)), requires_grad=True)
        for stack, sides in zip(stacks, [(m, k), (k, n)], strict=True)
    ]
    eager = product_and_gradients(*given)
    native = cr.compile(product_and_gradients, backend="native")(*given)
    for one, other in zip(eager, native, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
