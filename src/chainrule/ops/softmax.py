"""The softmax family: softmax, log-softmax, and softmax with cross-entropy."""

from __future__ import annotations

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.keywords import both_names
from chainrule.graph.methods import Axis
from chainrule.graph.operation import Limit, Spec, operation
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.accumulate import add_up
from chainrule.ops.axis_numbers import normalize_axes
from chainrule.ops.index import check_labels, label_fault, one_hot
from chainrule.ops.reduce import logsumexp, max
from chainrule.ops.samples import examples
from chainrule.ops.shape import stop_gradient
from chainrule.ops.unary import exp

__all__ = ["log_softmax", "softmax", "softmax_cross_entropy"]

_SAMPLES = examples(
    (((3, 5),), {"axis": 1}),
    (((4, 3),), {"axis": 0}),
    (((2, 3, 1),), {"axis": 2}),
    (((0, 3),), {"axis": 1}),
)


def _same(x: Tensor, axis: int) -> Spec:
    if x.dtype.kind != "f":
        raise DTypeError(f"softmax takes floating Tensors, not {x.dtype}; cast the Tensor first")
    return Spec(x.shape, x.dtype)


def _four_per_element(y: Tensor, x: Tensor, axis: int) -> int:
    """The FLOPs: for each element subtract the largest, take exp, add up, divide."""
    return 4 * y.size


def _shifted(x: Array, axis: int) -> Array:
    """x minus its largest element along the axis, so that exp does not overflow."""
    return x - np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)


@operation(_same, _SAMPLES, flops=_four_per_element)
def _softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along an axis."""
    e = np.exp(_shifted(x, axis))
    e /= add_up(e, (axis,), True)
    return e


_softmax.differentiable(lambda g, y, x, axis: (g - (g * y).sum(axis, keepdims=True)) * y)


@both_names()
@method
def softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis, over several, or over all, without overflow."""
    x = as_tensor(x)
    axes = normalize_axes("softmax", axis, x.shape)
    if len(axes) == 1:
        return _softmax.apply(x, axis=axes[0])
    return exp(log_softmax(x, axes))


@operation(_same, _SAMPLES, flops=_four_per_element)
def _log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))) along an axis."""
    shifted = _shifted(x, axis)
    with np.errstate(divide="ignore"):  # the logarithm of an empty sum
        return shifted - np.log(add_up(np.exp(shifted), (axis,), True))


_log_softmax.differentiable(lambda g, y, x, axis: g - exp(y) * g.sum(axis, keepdims=True))


@both_names()
@method
def log_softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """The logarithm of softmax along an axis, over several, or over all, without overflow."""
    x = as_tensor(x)
    axes = normalize_axes("log_softmax", axis, x.shape)
    if len(axes) == 1:
        return _log_softmax.apply(x, axis=axes[0])
    _same(x, -1)
    if axes and x.size:  # of large numbers the logarithm of the sum has few digits behind the point
        x = x - stop_gradient(max(x, axes, keepdims=True))
    return x - logsumexp(x, axes, keepdims=True)


def _per_row(logits: Tensor, labels: Tensor) -> Spec:
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ShapeError(
            f"softmax_cross_entropy: logits have shape (rows, classes) and labels (rows,); got "
            f"{logits.shape} and {labels.shape}"
        )
    if logits.dtype.kind != "f" or labels.dtype.kind not in "iu":
        raise DTypeError(
            "softmax_cross_entropy: logits are floating and labels integers; got "
            f"{logits.dtype} and {labels.dtype}"
        )
    return Spec(labels.shape, logits.dtype)


@operation(
    _per_row,
    examples((((3, 5), [4, 0, 2]), {}), (((1, 2), [1]), {})),
    limits={1: Limit(lambda logits, labels: logits.shape[1], label_fault)},
    flops=lambda y, logits, labels: 4 * logits.size,
)
def _softmax_cross_entropy(logits: Array, labels: Array) -> Array:
    """-log(softmax(logits)[label]) of each row."""
    rows, classes = logits.shape
    check_labels(labels, classes)
    shifted = _shifted(logits, 1)
    total = add_up(np.exp(shifted), (1,), False)
    return np.log(total) - shifted[np.arange(rows), labels]


@operation(
    lambda g, logits, labels: Spec(logits.shape, logits.dtype),
    examples((((3,), (3, 5), [4, 0, 2]), {}), (((1,), (1, 2), [1]), {})),
    limits={2: Limit(lambda g, logits, labels: logits.shape[1], label_fault)},
    flops=lambda y, g, logits, labels: 4 * y.size,
)
def softmax_cross_entropy_grad(g: Array, logits: Array, labels: Array) -> Array:
    """The delta of softmax with cross-entropy: p - y in each row, times g of the row."""
    p = _softmax.forward(logits, 1)
    p[np.arange(len(labels)), labels] -= 1
    p *= g[:, None]
    return p


def _grad_by_logits(h: Tensor, y: Tensor, g: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """With s = h g: the gradient of softmax, p (s - sum of s p)."""
    p = softmax(logits, 1)
    scaled = h * g.reshape(-1, 1)
    return (scaled - (scaled * p).sum(1, keepdims=True)) * p


def _grad_by_g(h: Tensor, y: Tensor, g: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """The sum over each row of h times p - y."""
    delta = softmax(logits, 1) - one_hot(labels, logits.shape[1], logits.dtype)
    return (h * delta).sum(1)


softmax_cross_entropy_grad.differentiable(_grad_by_g, _grad_by_logits, None)
_softmax_cross_entropy.differentiable(
    lambda g, y, logits, labels: softmax_cross_entropy_grad.apply(g, logits, labels), None
)


@both_names()
@method
def softmax_cross_entropy(logits: TensorLike, labels: TensorLike) -> Tensor:
    """The cross-entropy of softmax(logits) with the labels, one number per row.

    Formula: -log(exp(z_y) / sum_k exp(z_k)) = logsumexp(z) - z_y; natural logarithm.

    Args:
        logits: shape (rows, classes), floating.
        labels: shape (rows,), integers in 0 ... classes - 1.

    Returns:
        Shape (rows,).

    Raises:
        ShapeError, DTypeError: if the arguments do not fit.
        IndexError: if a label is out of range.

    Example:
        >>> import chainrule as cr
        >>> cr.softmax_cross_entropy(cr.tensor([[0.0] * 10]), [3])
        tensor([2.3026])
    """
    logits, labels = as_tensor(logits), as_tensor(labels)
    _per_row(logits, labels)  # NumPy would broadcast labels of shape (rows, 1)
    return _softmax_cross_entropy.apply(logits, labels)
