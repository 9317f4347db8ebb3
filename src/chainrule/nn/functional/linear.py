"""Linear and bilinear maps, and the coding of labels, as functions of the graph."""

from __future__ import annotations

from chainrule.errors import DTypeError, ShapeError, SymbolicError
from chainrule.graph.keywords import both_names
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops import index
from chainrule.ops.matmul import matmul

__all__ = ["bilinear", "linear", "one_hot"]


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


@both_names()
def bilinear(
    input1: TensorLike, input2: TensorLike, weight: TensorLike, bias: TensorLike | None = None
) -> Tensor:
    """z_k = x1^T W_k x2 + b_k, over the last axes of x1 and x2.

    Args:
        input1: x1, shape (..., in1_features).
        input2: x2, shape (..., in2_features), with the same axes before the last.
        weight: W, shape (out_features, in1_features, in2_features).
        bias: b, shape (out_features,), or None.

    Returns:
        z, shape (..., out_features).

    Raises:
        ShapeError: if shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> bilinear(cr.tensor([1.0, 2.0]), cr.tensor([3.0]), cr.tensor([[[1.0], [10.0]]]))
        tensor([63.])
    """
    x1, x2, W = as_tensor(input1), as_tensor(input2), as_tensor(weight)
    if (
        W.ndim != 3
        or x1.shape[:-1] != x2.shape[:-1]
        or x1.shape[-1:] != W.shape[1:2]
        or x2.shape[-1:] != W.shape[2:]
    ):
        raise ShapeError(
            f"bilinear: the inputs have shapes {x1.shape} and {x2.shape}, the weight {W.shape}; "
            "they must be (..., in1_features), (..., in2_features) and (out_features, "
            "in1_features, in2_features)"
        )
    outputs, width1, width2 = W.shape
    # x1^T W_k for all k at once, then the products with x2.
    left = linear(x1.reshape(-1, width1), W.transpose(0, 2, 1).reshape(-1, width1))
    right = x2.reshape(-1, 1, width2)
    z = (left.reshape(-1, outputs, width2) * right).sum(2)
    if bias is not None:
        b = as_tensor(bias)
        if b.shape != W.shape[:1]:
            raise ShapeError(f"bilinear: the bias has shape {b.shape}, not {W.shape[:1]}")
        z = z + b
    return z.reshape(*x1.shape[:-1], outputs)


@both_names()
def one_hot(tensor: TensorLike, num_classes: int = -1) -> Tensor:
    """1 at each label, else 0, along a new last axis, as int64; see `chainrule.one_hot` for floats.

    Args:
        tensor: integer labels of any shape.
        num_classes: the length of the new axis; -1 for one more than the largest label.

    Raises:
        SymbolicError: for -1 where the labels are not known yet.
        IndexError: if a label is not in 0 ... num_classes - 1.

    Example:
        >>> import chainrule as cr
        >>> one_hot(cr.tensor([1, 0])).tolist()
        [[0, 1], [1, 0]]
    """
    labels = as_tensor(tensor)
    if num_classes == -1:
        values = labels.node().value
        if values is None:
            raise SymbolicError(
                "one_hot: the labels have no value yet, so their number of classes is not known; "
                "give num_classes"
            )
        if not values.size:
            raise ValueError("one_hot: of no labels the number of classes is not known; give it")
        num_classes = int(values.max()) + 1
    flat = index.one_hot(labels.reshape(-1), num_classes, "float32")
    return flat.astype("int64").reshape(*labels.shape, num_classes)
