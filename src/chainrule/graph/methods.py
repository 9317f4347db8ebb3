"""The methods of a Tensor that are functions of `chainrule`, under the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numpy.typing import DTypeLike

from chainrule.graph.elementwise_methods import ElementwiseMethods
from chainrule.graph.keywords import both_names
from chainrule.graph.registered import functions, method

if TYPE_CHECKING:
    from chainrule.graph.tensor import Tensor

__all__ = ["Axis", "TensorMethods", "functions", "method"]

Axis = int | Sequence[int] | None


class TensorMethods(ElementwiseMethods):
    """What a `Tensor` inherits: each method calls the function of its name."""

    __slots__ = ()

    def astype(self, dtype: DTypeLike) -> Tensor:
        return functions["astype"](self, dtype)

    @both_names()
    def sum(
        self, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
    ) -> Tensor:
        return functions["sum"](self, axis, keepdims, dtype=dtype)

    @both_names()
    def mean(
        self, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
    ) -> Tensor:
        return functions["mean"](self, axis, keepdims, dtype=dtype)

    @both_names(ddof="correction")
    def var(self, axis: Axis = None, keepdims: bool = False, correction: int = 0) -> Tensor:
        return functions["var"](self, axis, keepdims, correction)

    @both_names(ddof="correction")
    def std(self, axis: Axis = None, keepdims: bool = False, correction: int = 0) -> Tensor:
        return functions["std"](self, axis, keepdims, correction)

    @both_names()
    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["max"](self, axis, keepdims)

    @both_names()
    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["min"](self, axis, keepdims)

    @both_names()
    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return functions["argmax"](self, axis, keepdims)

    @both_names()
    def prod(
        self, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
    ) -> Tensor:
        return functions["prod"](self, axis, keepdims, dtype=dtype)

    @both_names()
    def any(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["any"](self, axis, keepdims)

    @both_names()
    def all(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["all"](self, axis, keepdims)

    @both_names()
    def count_nonzero(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["count_nonzero"](self, axis, keepdims)

    @both_names()
    def ptp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["ptp"](self, axis, keepdims)

    @both_names()
    def nansum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["nansum"](self, axis, keepdims)

    @both_names()
    def nanmean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["nanmean"](self, axis, keepdims)

    @both_names()
    def nanmax(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["nanmax"](self, axis, keepdims)

    @both_names()
    def nanmin(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["nanmin"](self, axis, keepdims)

    @both_names()
    def amax(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["max"](self, axis, keepdims)

    @both_names()
    def amin(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["min"](self, axis, keepdims)

    @both_names()
    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return functions["argmin"](self, axis, keepdims)

    @both_names()
    def cumsum(self, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
        return functions["cumsum"](self, axis, dtype)

    @both_names()
    def cumprod(self, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
        return functions["cumprod"](self, axis, dtype)

    @both_names()
    def diff(self, n: int = 1, axis: int = -1) -> Tensor:
        return functions["diff"](self, n, axis)

    @both_names(diagonal="k")
    def tril(self, k: int = 0) -> Tensor:
        return functions["tril"](self, k)

    @both_names(diagonal="k")
    def triu(self, k: int = 0) -> Tensor:
        return functions["triu"](self, k)

    @both_names()
    def log_softmax(self, axis: int = -1) -> Tensor:
        return functions["log_softmax"](self, axis)

    @both_names()
    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["logsumexp"](self, axis, keepdims)

    @both_names()
    def softmax(self, axis: int = -1) -> Tensor:
        return functions["softmax"](self, axis)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        return functions["reshape"](self, *shape)

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        return functions["transpose"](self, *axes)

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        return functions["broadcast_to"](self, shape)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        return functions["transpose"](self)
