"""Ensembles as one module: the mean of what several modules predict."""

from __future__ import annotations

import math
from typing import Any

from chainrule.graph.tensor import Tensor, as_tensor
from chainrule.nn.containers import ListOfParts
from chainrule.nn.layers.base import Layer
from chainrule.nn.module import Module
from chainrule.ops import log_softmax, logsumexp, softplus, stack


class Average(Layer, ListOfParts[Any]):
    """The mean of the outputs of several modules, each called on the same input.

    It is changed as a list is, and each module may have a structure of its own.

    Args:
        modules: the members, named "0", "1", ...

    Raises:
        ValueError: when called, if there are none.
        ShapeError: when called, if their outputs differ in shape.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Average(nn.ReLU(), nn.Identity())(cr.tensor([[-1.0, 2.0]]))
        tensor([[-0.5,  2. ]])
    """

    _registry, _kind = "_modules", Module
    _passes_tuples = True
    __repr__ = Module.__repr__

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for number, module in enumerate(modules):
            self.add_module(str(number), module)

    def _slice(self, values: list[tuple[str, Module]]) -> Any:
        return type(self)(*[module for _, module in values])

    def forward(self, *inputs: Any, **keywords: Any) -> Tensor:
        if not len(self):
            raise ValueError(f"an {type(self).__name__} has no modules yet: append some")
        outputs = [as_tensor(module(*inputs, **keywords)) for module in self]
        return self.mean(stack(outputs))

    def mean(self, outputs: Tensor) -> Tensor:
        """What the outputs of all members, along axis 0, come to together."""
        return outputs.mean(axis=0)


class AverageClasses(Average):
    """The mean of the probabilities of classes, as logits: log(mean_k softmax(z_k)).

    Its softmax is the mean of the members' probabilities, so losses, metrics and whatever else
    takes the logits of a classifier takes those of an ensemble, too.

    Args:
        modules: the members, named "0", "1", ...; their outputs are logits of shape
            (N, C), (N, C, d1, ...) or (C,), as `CrossEntropyLoss` takes them.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> z = nn.AverageClasses(nn.Identity(), nn.Identity())(cr.tensor([[0.0, 0.0]]))
        >>> cr.softmax(z)
        tensor([[0.5, 0.5]])
    """

    def mean(self, outputs: Tensor) -> Tensor:
        classes = 2 if outputs.ndim > 2 else 1  # after the axis of the members
        return logsumexp(log_softmax(outputs, axis=classes), axis=0) - math.log(outputs.shape[0])


class AverageLabels(Average):
    """The mean p of the probabilities of labels, sigmoid(z_k), as logits: log(p / (1 - p)).

    Args:
        modules: the members, named "0", "1", ...; each of their outputs is the logit of a label.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AverageLabels(nn.Identity(), nn.Identity())(cr.tensor([[2.0]]))
        tensor([[2.]])
    """

    def mean(self, outputs: Tensor) -> Tensor:
        # log sigmoid(z) = -softplus(-z), log(1 - sigmoid(z)) = -softplus(z)
        return logsumexp(-softplus(-outputs), axis=0) - logsumexp(-softplus(outputs), axis=0)
