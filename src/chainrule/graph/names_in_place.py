"""PyTorch's methods that change a Tensor in place, and what is written for them here."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = (
    "abs_ absolute_ acos_ acosh_ addcdiv_ addcmul_ addmm_ addmv_ addr_ arccos_ arccosh_ arcsin_ "
    "arcsinh_ arctan2_ arctan_ arctanh_ asin_ asinh_ atan2_ atan_ atanh_ baddbmm_ bitwise_and_ "
    "bitwise_left_shift_ bitwise_not_ bitwise_or_ bitwise_right_shift_ bitwise_xor_ ceil_ "
    "clamp_max_ clamp_min_ clip_ copysign_ cos_ cosh_ cumprod_ cumsum_ deg2rad_ digamma_ divide_ "
    "eq_ erf_ erfc_ erfinv_ exp2_ exp_ expm1_ fix_ float_power_ floor_ floor_divide_ fmod_ frac_ "
    "ge_ greater_ greater_equal_ gt_ hypot_ index_add_ index_copy_ index_fill_ index_put_ "
    "index_reduce_ le_ lerp_ less_ less_equal_ lgamma_ log10_ log1p_ log2_ log_ logical_and_ "
    "logical_not_ logical_or_ logical_xor_ logit_ lt_ masked_fill_ masked_scatter_ multiply_ "
    "nan_to_num_ ne_ neg_ negative_ not_equal_ pow_ put_ rad2deg_ reciprocal_ relu_ remainder_ "
    "renorm_ resize_ resize_as_ round_ rsqrt_ scatter_ scatter_add_ scatter_reduce_ sgn_ sigmoid_ "
    "sign_ sin_ sinc_ sinh_ sqrt_ square_ squeeze_ subtract_ swapaxes_ swapdims_ t_ tan_ tanh_ "
    "tril_ triu_ true_divide_ trunc_ unsqueeze_ xlogy_"
)
"""The methods that have a function or method of the same name without the underscore."""

_NEW = {
    "bernoulli_": "cr.bernoulli(cr.full_like(x, p))",
    "exponential_": "-cr.log1p(-cr.rand_like(x)) / rate",
    "heaviside_": "cr.heaviside(x, values)",
    "log_normal_": "cr.exp(mean + std * cr.randn_like(x))",
    "random_": "cr.randint(low, high, x.shape)",
    "set_": "other",
    "transpose_": "x.swapaxes(axis1, axis2)",
}
"""The others, with the new value."""


def in_place(ours: Mapping[str, str]) -> dict[str, str]:
    """What is written for each method that changes a Tensor in place: an assignment.

    Args:
        ours: what is written for the names that are not found here, without the underscore too.
    """
    new = {name: ours.get(name[:-1], f"x.{name[:-1]}(...)") for name in _NAMES.split()}
    return {
        name: f"x = {value}; a Parameter takes its new value by parameter.assign(value)"
        for name, value in (new | _NEW).items()
    }
