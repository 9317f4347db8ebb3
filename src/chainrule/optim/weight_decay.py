"""The two kinds of weight decay: through the gradient, and decoupled from it.

Through the gradient, weight_decay W is the gradient of weight_decay / 2 times the sum of W^2, an L2
penalty: a rule's momentum, or its division, applies to the decay, too.
Decoupled, W shrinks by lr weight_decay W beside the rule's step.

Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019).
"""

from __future__ import annotations

from types import SimpleNamespace

from chainrule.graph.tensor import Tensor


def add_decay(grad: Tensor, W: Tensor, h: SimpleNamespace) -> Tensor:
    """grad + weight_decay W; the gradient itself where the term is omitted."""
    return grad if h.weight_decay is None else grad + h.weight_decay * W


def kept_share(h: SimpleNamespace) -> Tensor | None:
    """1 - lr weight_decay, the share of W that a step keeps; None where the term is omitted."""
    return None if h.weight_decay is None else 1.0 - h.lr * h.weight_decay


def decayed(W: Tensor, kept: Tensor | None) -> Tensor:
    """(1 - lr weight_decay) W, by the `kept_share`; W itself where the term is omitted."""
    return W if kept is None else kept * W
