"""The methods of a Tensor that are functions of `chainrule`, under the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import DTypeLike

from chainrule.graph.elementwise_methods import ElementwiseMethods
from chainrule.graph.keywords import both_names
from chainrule.graph.placement import HERE, wanted_dtype
from chainrule.graph.registered import functions, of_tensor

if TYPE_CHECKING:
    from chainrule.graph.tensor import Tensor, TensorLike

Axis = int | Sequence[int] | None


@of_tensor
class TensorMethods(ElementwiseMethods):
    """What a `Tensor` inherits: each method calls the function of its name."""

    __slots__ = ()

    def astype(self, dtype: DTypeLike, copy: bool = True) -> Tensor:
        return functions["astype"](self, dtype)

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """The Tensor itself, which is in the CPU's memory; with a dtype, its `astype`.

        With it a script for PyTorch runs unchanged where it chooses the CPU.

        Args:
            args: a device such as "cpu", a dtype, or both.
            kwargs: `device`, `dtype`; `non_blocking` means nothing.

        Raises:
            TypeError: for another device.

        Example:
            >>> import chainrule as cr
            >>> x = cr.tensor([1, 2])
            >>> x.to("cpu") is x
            True
            >>> x.to("cpu", dtype="float32")
            tensor([1., 2.])
        """
        dtype = wanted_dtype(args, kwargs)
        return self if dtype is None else self.astype(dtype)  # type: ignore[return-value]

    @both_names(gradient="grad_output")
    def backward(
        self,
        grad_output: TensorLike | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Add d(self)/d(leaf) to `.grad` of every leaf that requires a gradient.

        Args:
            grad_output: the gradient of the final result with respect to this Tensor, of its
                shape; needed where the Tensor is not a scalar. `gradient` is another name of it.
            retain_graph: means nothing: graphs stay while they are held.
            create_graph: whether the gradients can be differentiated again.
            inputs: the leaves whose `.grad` is filled, if not all.

        Raises:
            ShapeError: if the Tensor is not a scalar and `grad_output` is missing.
            ValueError: if one of `inputs` is no leaf, or requires no gradient.
        """
        functions["backward"](self, grad_output, create_graph, inputs)

    @property
    def device(self) -> str:
        """ "cpu": where the numbers of all Tensors are. It is what `to` and `device=` take."""
        return HERE

    def cpu(self) -> Tensor:
        """This Tensor: its numbers are in the CPU's memory."""
        return self  # type: ignore[return-value]

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

    @both_names(ddof="correction", unbiased="correction")
    def var(
        self,
        axis: Axis = None,
        keepdims: bool = False,
        correction: int = 0,
        *,
        dtype: DTypeLike | None = None,
    ) -> Tensor:
        return functions["var"](self, axis, keepdims, correction, dtype=dtype)

    @both_names(ddof="correction", unbiased="correction")
    def std(
        self,
        axis: Axis = None,
        keepdims: bool = False,
        correction: int = 0,
        *,
        dtype: DTypeLike | None = None,
    ) -> Tensor:
        return functions["std"](self, axis, keepdims, correction, dtype=dtype)

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
    def nansum(
        self, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
    ) -> Tensor:
        return functions["nansum"](self, axis, keepdims, dtype=dtype)

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
    def diff(self, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
        return functions["diff"](self, n, axis, prepend, append)

    @both_names(diagonal="k")
    def tril(self, k: int = 0) -> Tensor:
        return functions["tril"](self, k)

    @both_names(diagonal="k")
    def triu(self, k: int = 0) -> Tensor:
        return functions["triu"](self, k)

    @both_names()
    def log_softmax(self, axis: Axis = -1) -> Tensor:
        return functions["log_softmax"](self, axis)

    @both_names()
    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions["logsumexp"](self, axis, keepdims)

    @both_names()
    def softmax(self, axis: Axis = -1) -> Tensor:
        return functions["softmax"](self, axis)

    @both_names()
    def reshape(self, *shape: int | Sequence[int], order: str = "C") -> Tensor:
        return functions["reshape"](self, *shape, order=order)

    @both_names(dims="axes")
    def transpose(self, *axes: int | Sequence[int] | None) -> Tensor:
        return functions["transpose"](self, *axes)

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        return functions["broadcast_to"](self, shape)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        return functions["transpose"](self)

    # Shape

    @both_names()
    def squeeze(self, axis: Axis = None) -> Tensor:
        return functions["squeeze"](self, axis)

    @both_names()
    def expand_dims(self, axis: int | tuple[int, ...] = 0) -> Tensor:
        return functions["expand_dims"](self, axis)

    def moveaxis(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
        return functions["moveaxis"](self, source, destination)

    @both_names(axis0="axis1", dim0="axis1", dim1="axis2")
    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        return functions["swapaxes"](self, axis1, axis2)

    @both_names(start_dim="start_axis", end_dim="end_axis")
    def flatten(self, start_axis: int = 0, end_axis: int = -1, order: str = "C") -> Tensor:
        return functions["flatten"](self, start_axis, end_axis, order)

    def ravel(self, order: str = "C") -> Tensor:
        return functions["ravel"](self, order)

    @property
    def mT(self) -> Tensor:  # noqa: N802 - NumPy's name
        if self.ndim < 2:  # type: ignore[attr-defined]
            raise AttributeError(f"mT: a Tensor of shape {self.shape} has no matrices")  # type: ignore[attr-defined]
        return functions["matrix_transpose"](self)

    @both_names(dims="axis")
    def flip(self, axis: Axis = None) -> Tensor:
        return functions["flip"](self, axis)

    def fliplr(self) -> Tensor:
        return functions["fliplr"](self)

    def flipud(self) -> Tensor:
        return functions["flipud"](self)

    @both_names(dims="axes")
    def rot90(self, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
        return functions["rot90"](self, k, axes)

    @both_names(shifts="shift", dims="axis")
    def roll(self, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
        return functions["roll"](self, shift, axis)

    @both_names()
    def repeat(self, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
        return functions["repeat"](self, repeats, axis)

    @both_names(dims="reps")
    def tile(self, reps: int | Sequence[int]) -> Tensor:
        return functions["tile"](self, reps)

    @both_names()
    def unstack(self, axis: int = 0) -> tuple[Tensor, ...]:
        return functions["unstack"](self, axis)

    # Elements at indices, and in order

    @both_names(index="indices")
    def take(self, indices: Any, axis: int | None = None, mode: str = "raise") -> Tensor:
        return functions["take"](self, indices, axis, mode)

    @both_names(diagonal="k", offset="k")
    def diag(self, k: int = 0) -> Tensor:
        return functions["diag"](self, k)

    @both_names(dim1="axis1", dim2="axis2")
    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        return functions["diagonal"](self, offset, axis1, axis2)

    def trace(
        self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: DTypeLike | None = None
    ) -> Tensor:
        return functions["trace"](self, offset, axis1, axis2, dtype)

    @both_names()
    def nonzero(self) -> tuple[Tensor, ...]:
        return functions["nonzero"](self)

    @both_names()
    def argsort(
        self,
        axis: int | None = -1,
        *,
        kind: str | None = None,
        descending: bool = False,
        stable: bool = True,
    ) -> Tensor:
        return functions["argsort"](self, axis, descending=descending)

    @both_names()
    def topk(
        self, k: int, axis: int = -1, largest: bool = True, sorted: bool = True
    ) -> tuple[Tensor, Tensor]:
        return functions["topk"](self, k, axis, largest, sorted)

    @both_names()
    def unique(
        self,
        return_index: bool = False,
        return_inverse: bool = False,
        return_counts: bool = False,
        axis: int | None = None,
        *,
        sorted: bool = True,
        equal_nan: bool = True,
    ) -> Any:
        return functions["unique"](
            self, return_index, return_inverse, return_counts, axis, equal_nan=equal_nan
        )

    def searchsorted(
        self, v: Any, side: str | None = None, sorter: Any = None, *, right: bool = False
    ) -> Tensor:
        return functions["searchsorted"](self, v, side, sorter, right=right)

    # Products

    @both_names(other="b", tensor="b")
    def dot(self, b: Any) -> Tensor:
        return functions["dot"](self, b)

    @both_names(other="b")
    def vdot(self, b: Any) -> Tensor:
        return functions["vdot"](self, b)

    @both_names(other="b")
    def inner(self, b: Any) -> Tensor:
        return functions["inner"](self, b)

    @both_names(other="b", vec2="b")
    def outer(self, b: Any) -> Tensor:
        return functions["outer"](self, b)

    @both_names(other="b")
    def kron(self, b: Any) -> Tensor:
        return functions["kron"](self, b)

    @both_names(other="b")
    def cross(self, b: Any, axis: int = -1) -> Tensor:
        return functions["cross"](self, b, axis)

    @both_names(other="b")
    def matmul(self, b: Any) -> Tensor:
        return functions["matmul"](self, b)
