"""Every loss with data that it takes, and the same function in PyTorch.

A case has a `head`, which makes what the loss takes of numbers of shape (N, 4), in chainrule or in
PyTorch: `m` is the one or the other.
"""

from typing import Any, NamedTuple

import numpy as np

import chainrule as cr
from chainrule import nn

CLASS_WEIGHTS = np.array([0.2, 1.0, 3.0, 0.5])
QUANTILES = [0.1, 0.5, 0.75, 0.9]


class Case(NamedTuple):
    name: str
    loss: Any
    """reduction -> the loss."""
    theirs: Any
    """(torch, reduction) -> (output, target) -> the same in PyTorch."""
    target: Any
    """(random, rows) -> targets."""
    head: Any = lambda m, x: x
    row_ndim: int = 2
    """The axes of what reduction="none" gives."""
    plain_mean: bool = True
    """Whether the mean divides by the number of losses."""

    @property
    def reductions(self):
        return ("mean", "sum", "none", *["batchmean"] * self.name.startswith("KLDivLoss"))

    def data(self, rows=7, seed=0):
        """(numbers for the head, targets)."""
        random = np.random.default_rng(seed)
        return random.standard_normal((rows, 4)), self.target(random, rows)


def case(name, target, *, torch_name=None, id=None, options=None, on_torch=None, **more):
    """A loss that PyTorch has under the same name."""
    options = options or {}

    def theirs(torch, reduction):
        given = {k: torch.as_tensor(v) for k, v in options.items() if isinstance(v, np.ndarray)}
        loss = getattr(torch.nn, name)(**{**options, **given}, reduction=reduction)
        return on_torch(loss) if on_torch else loss

    label = ", ".join(
        f"{k}={'...' if isinstance(v, np.ndarray) else v}" for k, v in options.items()
    )
    return Case(
        f"{name}({label})",
        lambda reduction="mean": getattr(nn, name)(**options, reduction=reduction),
        theirs,
        target,
        **more,
    )


def own(name, losses, target, *, options=None, **more):
    """A loss that PyTorch lacks, given by `losses`: (torch, output, target) -> all losses."""
    options = options or {}

    def theirs(torch, reduction):
        return lambda output, target: reduced(losses(torch, output, target), reduction)

    return Case(
        f"{name}({', '.join(f'{k}={v}' for k, v in options.items())})",
        lambda reduction="mean": getattr(nn, name)(**options, reduction=reduction),
        theirs,
        target,
        **more,
    )


def reduced(losses, reduction):
    return losses if reduction == "none" else getattr(losses, reduction)()


def numbers(random, rows):
    return random.standard_normal((rows, 4)) * 2


def shares(random, rows):
    return random.random((rows, 4))


def counts(random, rows):
    return random.poisson(2.0, (rows, 4)).astype(float)


def labels(random, rows):
    return random.integers(0, 4, rows)


def signs(random, rows):
    return random.choice([-1.0, 1.0], (rows, 4))


def row_signs(random, rows):
    return random.choice([-1.0, 1.0], rows)


def label_lists(random, rows):
    lists = np.array([random.permutation(4) for _ in range(rows)])
    lists[np.arange(rows), random.integers(0, 4, rows)] = -1
    return lists


def distributions(random, rows):
    p = random.random((rows, 4))
    p[0, 1] = 0.0
    return p / p.sum(1, keepdims=True)


def log_distributions(random, rows):
    return np.log(random.dirichlet([1.0] * 4, rows))


def sigmoid(m, x):
    return m.sigmoid(x)


def exp(m, x):
    return m.exp(x)


def log_softmax(m, x):
    return m.log_softmax(x, 1)


def halves(m, x):
    return x[:, :2], x[:, 2:]


def mean_and_variance(m, x):
    return x[:, :2], m.exp(x[:, 2:])


def mean_and_one_variance(m, x):
    return x[:, :3], m.exp(x[:, 3:])


def _gaussian(loss):
    return lambda output, target: loss(output[0], target, output[1])


def _pinball(quantiles):
    def losses(torch, x, y):
        q = torch.tensor(quantiles, dtype=x.dtype)
        error = (y if y.shape == x.shape else y.reshape(-1, 1)) - x
        return torch.maximum(q * error, (q - 1) * error)

    return losses


ROW = {"row_ndim": 1}
CASES = [
    case("MSELoss", numbers),
    case("L1Loss", numbers),
    case("HuberLoss", numbers),
    case("HuberLoss", numbers, options={"delta": 0.3}),
    case("SmoothL1Loss", numbers),
    case("SmoothL1Loss", numbers, options={"beta": 2.5}),
    case("SmoothL1Loss", numbers, options={"beta": 0.0}),
    own("HalfSquaredErrorLoss", lambda torch, x, y: 0.5 * ((x - y) ** 2).sum(1), numbers, **ROW),
    own(
        "PinballLoss",
        _pinball(QUANTILES),
        lambda random, rows: random.standard_normal(rows),
        options={"quantiles": QUANTILES},
    ),
    own("PinballLoss", _pinball([0.8]), numbers, options={"quantiles": 0.8}),
    case("CrossEntropyLoss", labels, **ROW),
    case(
        "CrossEntropyLoss",
        labels,
        options={"weight": CLASS_WEIGHTS, "label_smoothing": 0.1, "ignore_index": 2},
        plain_mean=False,
        **ROW,
    ),
    case(
        "CrossEntropyLoss",
        distributions,
        options={"weight": CLASS_WEIGHTS, "label_smoothing": 0.2},
        **ROW,
    ),
    case("NLLLoss", labels, head=log_softmax, **ROW),
    case(
        "NLLLoss",
        labels,
        head=log_softmax,
        options={"weight": CLASS_WEIGHTS},
        plain_mean=False,
        **ROW,
    ),
    case("MultiMarginLoss", labels, **ROW),
    case(
        "MultiMarginLoss", labels, options={"p": 2, "margin": 0.7, "weight": CLASS_WEIGHTS}, **ROW
    ),
    case("BCEWithLogitsLoss", shares),
    case("BCEWithLogitsLoss", shares, options={"pos_weight": CLASS_WEIGHTS}),
    case("BCELoss", shares, head=sigmoid),
    case("PoissonNLLLoss", counts),
    case("PoissonNLLLoss", counts, options={"full": True}),
    case("PoissonNLLLoss", counts, head=exp, options={"log_input": False, "eps": 1e-3}),
    case(
        "GaussianNLLLoss",
        lambda random, rows: random.standard_normal((rows, 2)),
        head=mean_and_variance,
        on_torch=_gaussian,
    ),
    case(
        "GaussianNLLLoss",
        lambda random, rows: random.standard_normal((rows, 3)),
        head=mean_and_one_variance,
        options={"full": True, "eps": 0.5},
        on_torch=_gaussian,
    ),
    case("KLDivLoss", distributions, head=log_softmax),
    case("KLDivLoss", log_distributions, head=log_softmax, options={"log_target": True}),
    own("HingeLoss", lambda torch, x, y: torch.clamp(1 - y * x, min=0), signs),
    case(
        "CosineEmbeddingLoss",
        row_signs,
        head=halves,
        options={"margin": 0.2},
        on_torch=lambda loss: lambda output, target: loss(*output, target),
        **ROW,
    ),
    case("BCELoss", shares, head=sigmoid, options={"weight": CLASS_WEIGHTS}),
    case("BCEWithLogitsLoss", shares, options={"weight": CLASS_WEIGHTS}),
    case("SoftMarginLoss", signs),
    case("MultiLabelSoftMarginLoss", shares, **ROW),
    case("MultiLabelSoftMarginLoss", shares, options={"weight": CLASS_WEIGHTS}, **ROW),
    case("MultiLabelMarginLoss", label_lists, **ROW),
    case("HingeEmbeddingLoss", signs),
    case("HingeEmbeddingLoss", signs, options={"margin": 0.3}),
    case(
        "MarginRankingLoss",
        lambda random, rows: random.choice([-1.0, 1.0], (rows, 2)),
        head=halves,
        options={"margin": 0.4},
        on_torch=lambda loss: lambda output, target: loss(*output, target),
    ),
    own(
        "CosineSimilarityLoss",
        lambda torch, x, y: 1 - torch.nn.functional.cosine_similarity(x, y, dim=1),
        numbers,
        **ROW,
    ),
]
NAMES = [case.name for case in CASES]


class Model(nn.Module):
    """A linear layer and a case's head."""

    def __init__(self, case, dtype="float64"):
        super().__init__()
        with cr.use_generator(cr.Generator(3)):
            self.linear = nn.Linear(5, 4, dtype=dtype)
        self.case = case

    def forward(self, x):
        return self.case.head(cr, self.linear(x))


def training_data(case, rows=16):
    random = np.random.default_rng(1)
    return random.standard_normal((rows, 5)), case.target(random, rows)
