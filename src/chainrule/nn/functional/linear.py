"""The fully connected layer as a function of the graph."""

from __future__ import annotations

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops.matmul import matmul


@both_names()
def linear(input: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """z = x W^T + b over the last axis of x.

    Args:
        input: x, shape (..., in_features).
        weight: W, shape (out_features, in_features).
        bias: b, shape (out_features,), or None.

    Returns:
        z, shape (..., out_features), of the common dtype of x, W and b.

    Raises:
        ShapeError: if shapes do not fit.
        DTypeError: if neither x nor W is floating.

    Source: *Deep Learning*, section 6.1.

    Example:
        >>> import chainrule as cr
        >>> linear(cr.tensor([1.0, 2.0]), cr.tensor([[3.0, 4.0]]), cr.tensor([0.5]))
        tensor([11.5])
    """
    x, W = as_tensor(input), as_tensor(weight)
    shape = x.shape
    if W.ndim != 2 or not shape or shape[-1] != W.shape[1]:
        raise ShapeError(
            f"linear: the input has shape {shape}, the weight {W.shape}; they must be "
            "(..., in_features) and (out_features, in_features)"
        )
    if x.dtype.kind != "f" and W.dtype.kind != "f":
        raise DTypeError(f"linear takes floating Tensors, not {x.dtype} and {W.dtype}; cast one")
    rows = x if len(shape) == 2 else x.reshape(-1, shape[-1])
    z = matmul(rows, W, transpose_b=True)
    if bias is not None:
        b = as_tensor(bias)
        if b.shape != W.shape[:1]:
            raise ShapeError(f"linear: the bias has shape {b.shape}, not {W.shape[:1]}")
        z = z + b
    return z if len(shape) == 2 else z.reshape(*shape[:-1], W.shape[0])
