"""Skip connections: a block's input added to its output, or concatenated with it."""

from __future__ import annotations

from chainrule.errors import ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments
from chainrule.nn.layers.base import Layer
from chainrule.nn.module import Module
from chainrule.ops.joining import concatenate


class Residual(Layer):
    """block(x) + x: the block learns what is to be added to its input.

    The gradient reaches x by the sum directly, so it does not vanish in a deep stack.

    Args:
        block: any module whose output has the shape of its input.
        projection: where the shapes differ, the module that brings x to the output's shape, as a
            `Linear`: then the sum is block(x) + projection(x).

    Raises:
        ShapeError: when called, if the shapes of the two terms differ.

    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Residual(nn.ReLU())(cr.tensor([[-1.0, 2.0]]))
        tensor([[-1.,  4.]])
        >>> wider = nn.Residual(nn.Linear(2, 3), projection=nn.Linear(2, 3, bias=False))
        >>> wider(cr.tensor([[-1.0, 2.0]])).shape
        (1, 3)
    """

    block: Module
    projection: Module | None

    def __init__(self, block: Module, projection: Module | None = None) -> None:
        super().__init__()
        self.block = arguments.module("block", block)
        self.projection = None
        if projection is not None:
            self.projection = arguments.module("projection", projection)

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        y = as_tensor(self.block(x))
        shortcut = x if self.projection is None else as_tensor(self.projection(x))
        if y.shape != shortcut.shape:
            what = "the input" if self.projection is None else "the projection's output"
            remedy = (
                f"projection=Linear({x.shape[-1]}, {y.shape[-1]}, bias=False)"
                if x.ndim and y.ndim and x.shape[:-1] == y.shape[:-1]
                else "a projection whose output has the shape of the block's"
            )
            raise ShapeError(
                f"the block's output has shape {y.shape} and {what} {shortcut.shape}: they can't "
                f"be added. Let the block keep the shape, or give {remedy}."
            )
        return y + shortcut


class DenseConnection(Layer):
    """[x, block(x)]: the block's input and output concatenated along axis 1.

    In a stack of these every block sees the outputs of all blocks before it.

    Args:
        block: any module whose output has the shape of its input but for axis 1, the features of
            (N, C) or the channels of (N, C, ...).

    Shapes:
        Input (N, C, ...), output (N, C + the block's, ...).

    Raises:
        ShapeError: when called, if the shapes differ in another axis.

    Source: Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks",
    CVPR 2017.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.DenseConnection(nn.ReLU())(cr.tensor([[-1.0, 2.0]]))
        tensor([[-1.,  2.,  0.,  2.]])
    """

    block: Module

    def __init__(self, block: Module) -> None:
        super().__init__()
        self.block = arguments.module("block", block)

    def forward(self, input: TensorLike) -> Tensor:
        x = as_tensor(input)
        y = as_tensor(self.block(x))
        if x.ndim < 2 or y.ndim != x.ndim or _without_axis_1(y) != _without_axis_1(x):
            raise ShapeError(
                f"the input has shape {x.shape} and the block's output {y.shape}: they can be put "
                "beside one another if all axes but axis 1 agree. Change the block, or flatten the "
                "input before it."
            )
        return concatenate([x, y], axis=1)


def _without_axis_1(x: Tensor) -> tuple[int, ...]:
    return x.shape[:1] + x.shape[2:]
