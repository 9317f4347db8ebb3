"""Convolutions as functions of the graph."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.functional.padding import pad
from chainrule.ops import conv as operations
from chainrule.ops.declare import common_dtype

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]

Lengths = int | Sequence[int]


def lengths(name: str, value: Lengths, axes: int, least: int | None = 1) -> tuple[int, ...]:
    """One number for each spatial axis; one number alone, or in a list, is meant for all."""
    several = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(several) == 1:
        several *= axes
    if len(several) != axes:
        raise ValueError(f"{name} is one number or {axes}, got {value!r}")
    return tuple([checks.integer(name, number, least) for number in several])


def widths(
    padding: str | Lengths,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    """The padding as (before, after) for each spatial axis.

    "same" keeps the length: d (k - 1) zeros in all, one more after than before where that is odd.
    """
    if not isinstance(padding, str):
        return tuple([(p, p) for p in lengths("padding", padding, len(kernel), 0)])
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        raise ValueError(f"padding is a number, 'valid' or 'same', got {padding!r}")
    if any(s != 1 for s in stride):
        raise ValueError("padding='same' goes with stride 1, as in PyTorch: give numbers instead")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple([(total // 2, total - total // 2) for total in totals])


def spatial_names(axes: int) -> str:
    """What messages call the spatial axes."""
    return "L" if axes == 1 else "H, W"


def _operands(name: str, axes: int, input: TensorLike, weight: TensorLike) -> tuple[Tensor, Tensor]:
    """The input as a batch of images, and the weight, of one dtype."""
    x, w = as_tensor(input), as_tensor(weight)
    if w.ndim != axes + 2 or x.ndim not in (axes + 1, axes + 2):
        spatial = spatial_names(axes)
        raise ShapeError(
            f"{name}: the input has shape (N, C, {spatial}) or (C, {spatial}), the weight one axis "
            f"more than the second; got {x.shape} and {w.shape}"
        )
    dtype = common_dtype(x, w)
    if dtype.kind != "f":
        raise DTypeError(f"{name} takes floating Tensors, not {x.dtype} and {w.dtype}; cast one")
    x, w = x.astype(dtype), w.astype(dtype)
    if x.ndim == axes + 1:
        x = x.reshape(1, *x.shape)
    return x, w


def _finished(
    name: str, axes: int, input: TensorLike, y: Tensor, bias: TensorLike | None
) -> Tensor:
    """y with the bias added, and without the batch axis that the input did not have."""
    if bias is not None:
        b = as_tensor(bias)
        if b.shape != y.shape[1:2]:
            raise ShapeError(f"{name}: the bias has shape {b.shape}, not {y.shape[1:2]}")
        y = y + b.reshape(-1, *(1,) * axes)
    return y if as_tensor(input).ndim == axes + 2 else y.reshape(y.shape[1:])


def _conv(
    name: str,
    axes: int,
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: Lengths,
    padding: str | Lengths,
    dilation: Lengths,
    groups: int,
) -> Tensor:
    x, w = _operands(name, axes, input, weight)
    steps, distances = lengths("stride", stride, axes), lengths("dilation", dilation, axes)
    around = widths(padding, w.shape[2:], steps, distances)
    y = operations.conv(x, w, steps, around, distances, checks.count("groups", groups))
    return _finished(name, axes, input, y, bias)


def _conv_transpose(
    name: str,
    axes: int,
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: Lengths,
    padding: Lengths,
    output_padding: Lengths,
    groups: int,
    dilation: Lengths,
) -> Tensor:
    x, w = _operands(name, axes, input, weight)
    groups = checks.count("groups", groups)
    if x.shape[1] != w.shape[0] or w.shape[0] % groups:
        raise ShapeError(
            f"{name}: the weight of shape {w.shape} takes {w.shape[0]} channels in {groups} groups "
            f"of equal size; the input has {x.shape[1]}"
        )
    steps, distances = lengths("stride", stride, axes), lengths("dilation", dilation, axes)
    border = lengths("padding", padding, axes, 0)
    more = lengths("output_padding", output_padding, axes, 0)
    if any(m >= max(s, d) for m, s, d in zip(more, steps, distances, strict=True)):
        raise ValueError(
            f"{name}: output_padding is smaller than the stride or the dilation, got {more} with a "
            f"stride of {steps} and a dilation of {distances}"
        )
    spatial = tuple(
        [
            (n - 1) * s - 2 * p + d * (k - 1) + m + 1
            for n, s, p, d, k, m in zip(
                x.shape[2:], steps, border, distances, w.shape[2:], more, strict=True
            )
        ]
    )
    if min(spatial) < 1:
        raise ShapeError(
            f"{name}: padding {border} leaves nothing of an output over {spatial}; take less"
        )
    # The part of an output padding that is whole strides lies beyond all that a kernel reaches.
    beyond = [m // s * s for m, s in zip(more, steps, strict=True)]
    if any(beyond):
        whole = [n + 2 * p - b for n, p, b in zip(spatial, border, beyond, strict=True)]
        around = tuple([(0, 0)] * axes)
        y = operations.conv_input_grad(x, w, tuple(whole), steps, around, distances, groups)
        cut = [(-p, b - p) for p, b in zip(border, beyond, strict=True)]
        y = pad(y, [width for pair in reversed(cut) for width in pair])
    else:
        around = tuple([(p, p) for p in border])
        y = operations.conv_input_grad(x, w, spatial, steps, around, distances, groups)
    return _finished(name, axes, input, y, bias)


def conv1d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: str | Lengths = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation y[n, o, p] = b_o + sum over c, t of x[n, c, s p + d t] w[o, c, t].

    Args:
        input: x, shape (N, C, L) or (C, L).
        weight: w, shape (O, C / groups, k).
        bias: b, shape (O,), or None.
        stride: s, from one output to the next.
        padding: zeros before and after x; "same" keeps the length, "valid" is 0.
        dilation: d, between the elements that a kernel takes.
        groups: output channel o takes the C / groups input channels of its own group alone.

    Returns:
        y, shape (N, O, floor((L + 2 padding - d (k - 1) - 1) / s) + 1), or without N.

    Raises:
        ShapeError: if shapes do not fit, or the kernel is longer than the padded input.

    Source: *Deep Learning*, sections 9.1 and 9.5.

    Example:
        >>> import chainrule as cr
        >>> conv1d(cr.tensor([[1.0, 2.0, 4.0, 8.0]]), cr.tensor([[[-1.0, 1.0]]]))
        tensor([[1., 2., 4.]])
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: str | Lengths = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of images with kernels, as `conv1d` over two axes.

    Args:
        input: x, shape (N, C, H, W) or (C, H, W).
        weight: w, shape (O, C / groups, kernel height, kernel width).
        bias: shape (O,), or None.
        stride, padding, dilation: one number, or one for each axis; see `conv1d`.
        groups: see `conv1d`; with groups = C each channel has kernels of its own (depthwise).

    Returns:
        Shape (N, O, H', W'), or without N; H' and W' as the length of `conv1d`.

    Raises:
        ShapeError: if shapes do not fit, or the kernel is larger than the padded images.

    Source: *Deep Learning*, sections 9.1 and 9.5.

    Example:
        >>> import chainrule as cr
        >>> image = cr.tensor([[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
        >>> conv2d(image, cr.tensor([[[[0.0, 1.0], [1.0, 0.0]]]]))  # where it lies like a diagonal
        tensor([[[0., 2.],
                 [2., 0.]]])
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: Lengths = 0,
    output_padding: Lengths = 0,
    groups: int = 1,
    dilation: Lengths = 1,
) -> Tensor:
    """The transposed convolution: what the gradient of `conv1d` does with the one for its output.

    Each x[n, c, p] adds x[n, c, p] w[c, o, t] to y[n, o, s p + d t - padding].

    Args:
        input: x, shape (N, C, L) or (C, L).
        weight: w, shape (C, O / groups, k).
        bias: shape (O,), or None.
        stride: s, how far apart the elements of x are put.
        padding: how much is cut off y before and after.
        output_padding: how much longer y is; smaller than the stride or the dilation.
        groups: as in `conv1d`.
        dilation: d.

    Returns:
        y, shape (N, O, (L - 1) s - 2 padding + d (k - 1) + output_padding + 1), or without N.

    Raises:
        ShapeError: if shapes do not fit, or nothing would be left.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    Example:
        >>> import chainrule as cr
        >>> conv_transpose1d(cr.tensor([[1.0, 2.0]]), cr.tensor([[[1.0, 10.0]]]), stride=2)
        tensor([[ 1., 10.,  2., 20.]])
    """
    return _conv_transpose(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose2d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: Lengths = 0,
    output_padding: Lengths = 0,
    groups: int = 1,
    dilation: Lengths = 1,
) -> Tensor:
    """The transposed convolution of images, as `conv_transpose1d` over two axes.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        weight: shape (C, O / groups, kernel height, kernel width).
        bias: shape (O,), or None.
        stride, padding, output_padding, dilation: one number, or one for each axis.
        groups: as in `conv1d`.

    Returns:
        Shape (N, O, H', W'), or without N; H' and W' as the length of `conv_transpose1d`.

    Raises:
        ShapeError: if shapes do not fit, or nothing would be left.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[[1.0, 2.0]]])
        >>> conv_transpose2d(x, cr.ones((1, 1, 2, 2)))
        tensor([[[1., 3., 2.],
                 [1., 3., 2.]]])
    """
    return _conv_transpose(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )
