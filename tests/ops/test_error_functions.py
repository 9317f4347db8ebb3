"""erf, erfc and the normal distribution against the standard library, over their whole range."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import chainrule as cr


def test_erf_against_the_standard_library():
    x = np.linspace(-6, 6, 1001)
    np.testing.assert_array_max_ulp(cr.erf(x).numpy(), np.vectorize(math.erf)(x), 2)
    narrow = x.astype("float32").reshape(7, 11, 13)
    expected = np.vectorize(math.erf)(narrow).astype("float32")
    np.testing.assert_array_max_ulp(cr.erf(narrow).numpy(), expected, 1)


def cdf(x):
    """Phi(x) = erfc(y) / 2 at y = -x / sqrt(2), with what the float y lacks."""
    y = -x * math.sqrt(0.5)
    rest = float(-Decimal(x) / Decimal(2).sqrt() - Decimal(y))
    return 0.5 * math.erfc(y) - math.exp(-y * y) * rest / math.sqrt(math.pi)


def pdf(x):
    square = Fraction(x) ** 2 / 2
    high = float(square)
    return math.exp(-high) * math.exp(float(Fraction(high) - square)) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("function", "expected", "end"),
    [
        (cr.erf, math.erf, 7),
        (cr.erfc, math.erfc, 26),
        (cr.normal_cdf, cdf, 37),
        (cr.normal_pdf, pdf, 37),
    ],
    ids=["erf", "erfc", "normal_cdf", "normal_pdf"],
)
def test_error_functions_over_the_whole_range(function, expected, end, dtype):
    tiny = np.geomspace(1e-30, 1.0, 200)
    x = np.concatenate([tiny, -tiny, np.linspace(-end, end, 3001), np.linspace(-3, 3, 40_000)])
    x = x.astype(dtype)  # more than one block
    y = np.array([expected(v) for v in x.tolist()]).astype(dtype)
    found = function(x).numpy()
    assert found.dtype == dtype
    if dtype == "float64":
        np.testing.assert_allclose(found, y, rtol=1e-15, atol=0)
    else:
        np.testing.assert_array_max_ulp(found, y, 1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_error_functions_at_the_ends(dtype):
    x = np.array([-np.inf, -6e4, -0.0, 0.0, 6e4, np.inf, np.nan], dtype)
    nan = np.nan
    np.testing.assert_array_equal(cr.erf(x), [-1, -1, 0, 0, 1, 1, nan])
    assert np.signbit(cr.erf(x).numpy()[2])
    np.testing.assert_array_equal(cr.erfc(x), [2, 2, 1, 1, 0, 0, nan])
    np.testing.assert_array_equal(cr.normal_cdf(x), [0, 0, 0.5, 0.5, 1, 1, nan])
    assert (cr.normal_pdf(x).numpy()[[0, 1, 4, 5]] == 0).all()
    assert cr.erf(np.zeros((0, 3), dtype)).shape == (0, 3)
    assert cr.erf(np.ones((), dtype)).shape == ()
    swapped = np.linspace(-2, 2, 6, dtype=dtype).reshape(2, 3).T
    np.testing.assert_array_equal(cr.erf(swapped), cr.erf(np.ascontiguousarray(swapped)).numpy())
