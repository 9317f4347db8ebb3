"""Losses, under PyTorch's names: a number that training minimises.

A loss is called as loss(input, target): the model's output, and the output wanted. Any
function of Tensors with a scalar result is a loss, too; these are the usual ones.

**Reduction.** Each takes `reduction`: "mean" (each docstring says over what), "sum", or "none" for
one loss per row or element. PyTorch's other arguments, `size_average` and `reduce`, are deprecated
there and missing here.

**Sample weights.** Each can be called with `sample_weight=w`, of shape (N,): a number w_i >= 0 for
each of the N rows, by which the row's loss is multiplied, l_i -> w_i l_i. So "none" gives w_i l_i,
"sum" the sum of w_i l_i, and "mean" that sum divided by N, where l_i is a row's loss or the mean
over its elements. So weights of 1 change nothing, the loss is linear in w, a row of weight 2 adds
what two rows would, and weights of 0 alone give 0. A mean that divides by the sum of class weights,
or by the number of labels that are not ignored, divides by the same with sample weights; over
several batches such means are added up exactly, as `chainrule.nn.weighted_mean` says.
Weights of another shape raise ShapeError, negative or non-finite ones ValueError. A function of
your own takes them if it has the keyword `sample_weight`.

**Squared errors.** Books and papers use three sums of squares, whose gradients differ by a factor:

| formula | here |
|---|---|
| 1/2 sum of (x - y)^2 | `HalfSquaredErrorLoss(reduction="sum")`; by default the mean over rows |
| sum of (x - y)^2 | `MSELoss(reduction="sum")` |
| mean of (x - y)^2 | `MSELoss()` |

**What is checked when.** Shapes and dtypes are checked whenever a loss is called. Values, such as
targets outside 0 ... 1, are checked where they are known: in an eager call, and for constants.
While a graph is captured, the data's values are not known. `Trainer.fit` and `Trainer.evaluate`
therefore check all targets before the first step, by the loss's `target_fault`, and the native core
checks class labels in every step. The model's own output inside a captured step (a
probability, a variance, a rate) is not checked: the model's last layer must keep it in its range,
as Sigmoid and Softplus do. If it leads to NaN or infinity, training stops with NonFiniteError.
"""

from chainrule.nn.losses.classes import CrossEntropyLoss, MultiMarginLoss, NLLLoss
from chainrule.nn.losses.likelihoods import (
    BCELoss,
    BCEWithLogitsLoss,
    GaussianNLLLoss,
    KLDivLoss,
    PoissonNLLLoss,
)
from chainrule.nn.losses.margins import CosineEmbeddingLoss, CosineSimilarityLoss, HingeLoss
from chainrule.nn.losses.multilabel import (
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    SoftMarginLoss,
)
from chainrule.nn.losses.pairs import (
    HingeEmbeddingLoss,
    MarginRankingLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)
from chainrule.nn.losses.regression import (
    HalfSquaredErrorLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    PinballLoss,
    SmoothL1Loss,
)

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CosineSimilarityLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HalfSquaredErrorLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PinballLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]
