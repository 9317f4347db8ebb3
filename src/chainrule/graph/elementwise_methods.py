"""The methods of a Tensor that are functions of its elements, under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.graph.keywords import both_names
from chainrule.graph.registered import functions, of_tensor

if TYPE_CHECKING:
    from chainrule.graph.tensor import Tensor, TensorLike


@of_tensor
class ElementwiseMethods:
    """What a `Tensor` inherits: each method calls the function of its name."""

    __slots__ = ()

    # Of one number

    def exp(self) -> Tensor:
        return functions["exp"](self)

    def exp2(self) -> Tensor:
        return functions["exp2"](self)

    def expm1(self) -> Tensor:
        return functions["expm1"](self)

    def log(self) -> Tensor:
        return functions["log"](self)

    def log1p(self) -> Tensor:
        return functions["log1p"](self)

    def log2(self) -> Tensor:
        return functions["log2"](self)

    def log10(self) -> Tensor:
        return functions["log10"](self)

    def sqrt(self) -> Tensor:
        return functions["sqrt"](self)

    def cbrt(self) -> Tensor:
        return functions["cbrt"](self)

    def square(self) -> Tensor:
        return functions["square"](self)

    def reciprocal(self) -> Tensor:
        return functions["reciprocal"](self)

    def rsqrt(self) -> Tensor:
        return functions["rsqrt"](self)

    def abs(self) -> Tensor:
        return functions["abs"](self)

    def absolute(self) -> Tensor:
        return functions["abs"](self)

    def sign(self) -> Tensor:
        return functions["sign"](self)

    def negative(self) -> Tensor:
        return functions["negative"](self)

    def positive(self) -> Tensor:
        return functions["positive"](self)

    def floor(self) -> Tensor:
        return functions["floor"](self)

    def ceil(self) -> Tensor:
        return functions["ceil"](self)

    def rint(self) -> Tensor:
        return functions["rint"](self)

    def trunc(self) -> Tensor:
        return functions["trunc"](self)

    def fix(self) -> Tensor:
        return functions["trunc"](self)

    def sin(self) -> Tensor:
        return functions["sin"](self)

    def cos(self) -> Tensor:
        return functions["cos"](self)

    def tan(self) -> Tensor:
        return functions["tan"](self)

    def asin(self) -> Tensor:
        return functions["asin"](self)

    def acos(self) -> Tensor:
        return functions["acos"](self)

    def atan(self) -> Tensor:
        return functions["atan"](self)

    def arcsin(self) -> Tensor:
        return functions["asin"](self)

    def arccos(self) -> Tensor:
        return functions["acos"](self)

    def arctan(self) -> Tensor:
        return functions["atan"](self)

    def sinh(self) -> Tensor:
        return functions["sinh"](self)

    def cosh(self) -> Tensor:
        return functions["cosh"](self)

    def tanh(self) -> Tensor:
        return functions["tanh"](self)

    def asinh(self) -> Tensor:
        return functions["asinh"](self)

    def acosh(self) -> Tensor:
        return functions["acosh"](self)

    def atanh(self) -> Tensor:
        return functions["atanh"](self)

    def arcsinh(self) -> Tensor:
        return functions["asinh"](self)

    def arccosh(self) -> Tensor:
        return functions["acosh"](self)

    def arctanh(self) -> Tensor:
        return functions["atanh"](self)

    def sinc(self) -> Tensor:
        return functions["sinc"](self)

    def degrees(self) -> Tensor:
        return functions["degrees"](self)

    def radians(self) -> Tensor:
        return functions["radians"](self)

    def deg2rad(self) -> Tensor:
        return functions["radians"](self)

    def rad2deg(self) -> Tensor:
        return functions["degrees"](self)

    def erf(self) -> Tensor:
        return functions["erf"](self)

    def erfc(self) -> Tensor:
        return functions["erfc"](self)

    def sigmoid(self) -> Tensor:
        return functions["sigmoid"](self)

    def relu(self) -> Tensor:
        return functions["relu"](self)

    def isnan(self) -> Tensor:
        return functions["isnan"](self)

    def isinf(self) -> Tensor:
        return functions["isinf"](self)

    def isfinite(self) -> Tensor:
        return functions["isfinite"](self)

    def signbit(self) -> Tensor:
        return functions["signbit"](self)

    def logical_not(self) -> Tensor:
        return functions["logical_not"](self)

    def invert(self) -> Tensor:
        return functions["invert"](self)

    def bitwise_not(self) -> Tensor:
        return functions["invert"](self)

    @both_names(ndigits="decimals")
    def round(self, decimals: int = 0) -> Tensor:
        return functions["round"](self, decimals)

    @both_names(a_min="min", a_max="max")
    def clip(self, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
        return functions["clip"](self, min, max)

    def nan_to_num(
        self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
    ) -> Tensor:
        return functions["nan_to_num"](self, nan, posinf, neginf)

    # Of two

    @both_names()
    def add(self, other: TensorLike) -> Tensor:
        return functions["add"](self, other)

    @both_names()
    def subtract(self, other: TensorLike) -> Tensor:
        return functions["subtract"](self, other)

    def multiply(self, other: TensorLike) -> Tensor:
        return functions["multiply"](self, other)

    @both_names()
    def divide(self, other: TensorLike) -> Tensor:
        return functions["divide"](self, other)

    def true_divide(self, other: TensorLike) -> Tensor:
        return functions["divide"](self, other)

    @both_names(exponent="other")
    def power(self, other: TensorLike) -> Tensor:
        return functions["power"](self, other)

    @both_names(exponent="other")
    def pow(self, other: TensorLike) -> Tensor:
        return functions["power"](self, other)

    @both_names(exponent="other")
    def float_power(self, other: TensorLike) -> Tensor:
        return functions["float_power"](self, other)

    def floor_divide(self, other: TensorLike) -> Tensor:
        return functions["floor_divide"](self, other)

    def remainder(self, other: TensorLike) -> Tensor:
        return functions["remainder"](self, other)

    def fmod(self, other: TensorLike) -> Tensor:
        return functions["fmod"](self, other)

    def maximum(self, other: TensorLike) -> Tensor:
        return functions["maximum"](self, other)

    def minimum(self, other: TensorLike) -> Tensor:
        return functions["minimum"](self, other)

    def fmax(self, other: TensorLike) -> Tensor:
        return functions["fmax"](self, other)

    def fmin(self, other: TensorLike) -> Tensor:
        return functions["fmin"](self, other)

    def atan2(self, other: TensorLike) -> Tensor:
        return functions["atan2"](self, other)

    def arctan2(self, other: TensorLike) -> Tensor:
        return functions["atan2"](self, other)

    def hypot(self, other: TensorLike) -> Tensor:
        return functions["hypot"](self, other)

    def logaddexp(self, other: TensorLike) -> Tensor:
        return functions["logaddexp"](self, other)

    def copysign(self, other: TensorLike) -> Tensor:
        return functions["copysign"](self, other)

    def bitwise_and(self, other: TensorLike) -> Tensor:
        return functions["bitwise_and"](self, other)

    def bitwise_or(self, other: TensorLike) -> Tensor:
        return functions["bitwise_or"](self, other)

    def bitwise_xor(self, other: TensorLike) -> Tensor:
        return functions["bitwise_xor"](self, other)

    def not_equal(self, other: TensorLike) -> Tensor:
        return functions["not_equal"](self, other)

    def less(self, other: TensorLike) -> Tensor:
        return functions["less"](self, other)

    def less_equal(self, other: TensorLike) -> Tensor:
        return functions["less_equal"](self, other)

    def greater(self, other: TensorLike) -> Tensor:
        return functions["greater"](self, other)

    def greater_equal(self, other: TensorLike) -> Tensor:
        return functions["greater_equal"](self, other)

    def bitwise_left_shift(self, other: TensorLike) -> Tensor:
        return functions["left_shift"](self, other)

    def bitwise_right_shift(self, other: TensorLike) -> Tensor:
        return functions["right_shift"](self, other)

    def logical_and(self, other: TensorLike) -> Tensor:
        return functions["logical_and"](self, other)

    def logical_or(self, other: TensorLike) -> Tensor:
        return functions["logical_or"](self, other)

    def logical_xor(self, other: TensorLike) -> Tensor:
        return functions["logical_xor"](self, other)

    def isclose(
        self, other: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
    ) -> Tensor:
        return functions["isclose"](self, other, rtol, atol, equal_nan)

    def allclose(
        self, other: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
    ) -> Tensor:
        return functions["allclose"](self, other, rtol, atol, equal_nan)
