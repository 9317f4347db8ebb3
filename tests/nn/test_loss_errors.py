"""Targets, inputs and arguments that losses refuse."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss(), nn.MultiMarginLoss()])
@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        (
            np.zeros((4, 1), "f"),
            cr.DTypeError,
            ["float32 of shape (4, 1)", " Use target.reshape((4,)).astype('int64')."],
        ),
        (np.zeros(4), cr.DTypeError, ["float64 of shape (4,)", " Use target.astype('int64')."]),
        (np.zeros((4, 3), bool), cr.ShapeError, ["argmax(1)"]),
        (np.zeros((4, 1), int), cr.ShapeError, ["(4, 1)", " Use target.reshape((4,))."]),
        (np.zeros((4, 3), int), cr.ShapeError, ["argmax(1)"]),
        (np.zeros(3, int), cr.ShapeError, ["one label for each row", "(4, 3)", "(3,)"]),
    ],
)
def test_class_losses_refuse(loss, target, error, words):
    for symbolic in (False, True):
        given = cr.placeholder(target.shape, target.dtype) if symbolic else target
        with pytest.raises(error) as caught:
            loss(np.zeros((4, 3)), given)
        message = str(caught.value)
        assert message.startswith(type(loss).__name__ + ": ")
        assert all(word in message for word in words), message


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()])
@pytest.mark.parametrize("shape", [(2, 4, 12), (2, 5, 4, 3)])
@pytest.mark.parametrize("column", [False, True])
def test_classes_on_the_last_axis_are_told_where_they_belong(loss, shape, column):
    rng = np.random.default_rng(0)
    logs = np.log(rng.dirichlet(np.ones(shape[-1]), shape[:-1]))
    labels = rng.integers(0, shape[-1], shape[:-1])
    names = {"cr": cr, "input": cr.tensor(logs), "target": labels[..., None] if column else labels}
    with pytest.raises(cr.ShapeError, match="The classes are axis 1") as caught:
        loss(names["input"], names["target"])
    input, target = re.search(r"give (.*?\))(?:, and (.*))?\.$", str(caught.value)).groups()
    found = loss(eval(input, names), eval(target or "target", names)).item()
    expected = -np.take_along_axis(logs, labels[..., None], -1).mean()
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("loss", "shape", "target"),
    [
        (nn.CrossEntropyLoss(), (4, 3), np.eye(3, dtype=int)[[0, 2, 1, 0]]),
        (nn.CrossEntropyLoss(), (3,), np.array([0, 1, 0])),
        (nn.MultiMarginLoss(), (3,), np.array([0, 1, 0], "uint8")),
        (nn.MSELoss(), (4, 1), np.ones(4, "f")),
        (nn.MSELoss(), (), np.ones(1, "f")),
        (nn.HingeLoss(), (4,), np.array([0, 1, 1, 0])),
        (nn.HingeLoss(), (4,), np.array([0, 1, 1, 0], "uint8")),
        (nn.CosineEmbeddingLoss(), (2, 4, 3), np.array([0, 1, 1, 0], "uint8")),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, cr.tensor])
def test_the_remedies_for_targets_work(loss, shape, target, kind):
    input, target = cr.ones(shape), kind(target)
    if isinstance(loss, nn.CosineEmbeddingLoss):
        input = input[0], input[1]
    with pytest.raises(ValueError, match=r"(Use|take) .*target") as caught:
        loss(input, target)
    remedy = re.search(r"(?:Use|take) ([^:]+?)\.?$", str(caught.value))[1]
    assert np.isfinite(loss(input, eval(remedy, {"target": target})).item())


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss(), nn.MultiMarginLoss()])
@pytest.mark.parametrize("label", [3, -1, -100])
def test_labels_out_of_range_are_refused(loss, label):
    with pytest.raises(IndexError, match=r"labels must lie in 0 ... 2"):
        loss(np.zeros((2, 3)), [0, label])


@pytest.mark.parametrize(
    "loss",
    [
        nn.MSELoss(),
        nn.HalfSquaredErrorLoss(),
        nn.L1Loss(),
        nn.HuberLoss(),
        nn.SmoothL1Loss(),
        nn.BCEWithLogitsLoss(),
        nn.BCELoss(),
        nn.PoissonNLLLoss(),
        nn.KLDivLoss(),
        nn.HingeLoss(),
        nn.CosineSimilarityLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_element_losses_refuse_to_broadcast(loss):
    with pytest.raises(cr.ShapeError, match=r"\(4, 1\), the target \(4,\).*reshape\(4, 1\)"):
        loss(np.zeros((4, 1)), np.zeros(4))
    with pytest.raises(cr.ShapeError, match=r"\(4, 1\), the target \(3, 1\)"):
        loss(np.zeros((4, 1)), np.zeros((3, 1)))
    with pytest.raises(cr.DTypeError, match="int64"):
        loss(np.zeros(3, np.int64), np.zeros(3))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: nn.MSELoss(reduction="average"), ValueError),
        (lambda: nn.MSELoss(reduction="batchmean"), ValueError),
        (lambda: nn.KLDivLoss(reduction="rows"), ValueError),
        (lambda: nn.KLDivLoss(reduction="batchmean")(np.array(0.0), np.array(1.0)), cr.ShapeError),
        (
            lambda: nn.KLDivLoss(reduction="batchmean")(np.ones((0, 3)), np.ones((0, 3))),
            cr.ShapeError,
        ),
        (lambda: nn.CrossEntropyLoss(weight=[1.0, -1.0]), ValueError),
        (lambda: nn.NLLLoss(weight=[1.0, np.inf]), ValueError),
        (lambda: nn.NLLLoss(weight=[])(np.zeros((1, 3)), [0]), cr.ShapeError),
        (lambda: nn.BCEWithLogitsLoss(pos_weight=np.nan), ValueError),
        (lambda: nn.HuberLoss(delta=0.0), ValueError),
        (lambda: nn.HuberLoss(delta=np.inf), ValueError),
        (lambda: nn.HuberLoss(delta="1"), TypeError),
        (lambda: nn.SmoothL1Loss(beta=-1.0), ValueError),
        (lambda: nn.PoissonNLLLoss(eps=-1.0), ValueError),
        (lambda: nn.GaussianNLLLoss(eps=0.0), ValueError),
        (lambda: nn.MultiMarginLoss(p=3), ValueError),
        (lambda: nn.MultiMarginLoss(margin=np.nan), ValueError),
        (lambda: nn.MultiMarginLoss()(np.zeros((1, 3, 2)), np.zeros((1, 2), int)), cr.ShapeError),
        (lambda: nn.MultiMarginLoss()(np.zeros((1, 3), int), [0]), cr.DTypeError),
        (lambda: nn.NLLLoss()(np.zeros((1, 3), int), [0]), cr.DTypeError),
        (lambda: nn.CosineEmbeddingLoss(margin=1.5), ValueError),
        (lambda: nn.PinballLoss([]), ValueError),
        (lambda: nn.PinballLoss([0.5, 1.0]), ValueError),
        (lambda: nn.PinballLoss("median"), TypeError),
        (lambda: nn.HalfSquaredErrorLoss()(np.array(1.0), np.array(1.0)), cr.ShapeError),
        (lambda: nn.CosineSimilarityLoss()(np.array(1.0), np.array(1.0)), cr.ShapeError),
        (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), ValueError),
        (lambda: nn.CrossEntropyLoss(weight=[[1.0]]), cr.ShapeError),
        (lambda: nn.CrossEntropyLoss(ignore_index="no"), TypeError),
        (lambda: nn.CrossEntropyLoss([1.0])(np.zeros((1, 3)), [0]), cr.ShapeError),
        (lambda: nn.CrossEntropyLoss()(np.zeros(()), 0), cr.ShapeError),
        (
            lambda: nn.CrossEntropyLoss(ignore_index=1)(np.zeros((1, 3)), np.zeros((1, 3))),
            ValueError,
        ),
    ],
)
def test_bad_arguments_are_refused(make, error):
    with pytest.raises(error):
        make()


PAIR = np.zeros((2, 3))
VALUES = [
    (nn.BCEWithLogitsLoss(), [0.5, 0.5], [0.0, 1.5], "targets must lie in 0 ... 1; .* 0.0 to 1.5"),
    (nn.BCEWithLogitsLoss(), [0.5, 0.5], [-1, 1], "targets must lie in 0 ... 1; .* -1 to 1"),
    (nn.BCELoss(), [0.5, 0.5], [-0.1, 1.0], "targets must lie in 0 ... 1; .* -0.1 to 1.0"),
    (nn.BCELoss(), [0.5, 0.5], [np.nan, 1.0], "targets must lie in 0 ... 1"),
    (nn.BCELoss(), [0.5, 1.5], [0.0, 1.0], "inputs must lie in 0 ... 1; .* BCEWithLogitsLoss"),
    (nn.PoissonNLLLoss(), [0.0, 0.0], [-1.0, 3.0], "counts, must be at least 0; .* -1.0 to 3.0"),
    (nn.PoissonNLLLoss(log_input=False), [-1.0], [2.0], "rates must be at least 0; .* Softplus"),
    (nn.KLDivLoss(), [-1.0, -1.0], [-0.5, 1.0], "probabilities, must be at least 0; .* -0.5"),
    (
        nn.HingeLoss(),
        [0.5, 0.5],
        [0.0, 1.0],
        "must be -1 or 1; there is 0.0. .* 2.0 . target - 1.0",
    ),
    (nn.HingeLoss(), [0.5, 0.5], [1, 2], "must be -1 or 1; there is 2"),
    (nn.CosineEmbeddingLoss(), (PAIR, PAIR), [1, 0], "must be -1 or 1; there is 0"),
    (nn.GaussianNLLLoss(), ([0.0, 0.0], [1.0, -1.0]), [0.0, 0.0], "variances must be at least 0"),
]


@pytest.mark.parametrize(("loss", "input", "target", "words"), VALUES)
def test_values_out_of_range_are_refused_where_they_are_known(loss, input, target, words):
    def arrays(data):
        return tuple(map(arrays, data)) if isinstance(data, tuple) else np.array(data)

    def symbols(data):
        if isinstance(data, tuple):
            return tuple(map(symbols, data))
        return cr.placeholder(data.shape, data.dtype)

    input, target = arrays(input), np.array(target)
    with pytest.raises(ValueError, match=f"^{type(loss).__name__}: .*{words}"):
        loss(input, target)
    assert loss(symbols(input), symbols(target)).is_symbolic
    if loss.target_fault(target):  # a constant is known in a captured graph, too
        with pytest.raises(ValueError, match=words):
            loss(symbols(input), target)


@pytest.mark.parametrize(
    ("loss", "input", "target", "words"),
    [
        (nn.GaussianNLLLoss(), PAIR, PAIR, r"loss\(\(input, var\), target\)"),
        (nn.GaussianNLLLoss(), (PAIR, PAIR, PAIR), PAIR, "a mean and a variance"),
        (nn.CosineEmbeddingLoss(), PAIR, np.ones(2), r"loss\(\(input1, input2\), target\)"),
    ],
)
def test_losses_of_two_outputs_say_how_they_are_called(loss, input, target, words):
    with pytest.raises(TypeError, match=words):
        loss(input, target)


@pytest.mark.parametrize(
    ("loss", "input", "target", "words"),
    [
        (nn.GaussianNLLLoss(), (PAIR, np.ones((3, 1))), PAIR, r"\(2, 3\).*got \(3, 1\)"),
        (nn.GaussianNLLLoss(), (PAIR, PAIR), PAIR[0], r"reshape|must be equal"),
        (nn.CosineEmbeddingLoss(), (PAIR, PAIR[:1]), [1.0, 1.0], r"\(2, 3\).*\(1, 3\)"),
        (nn.CosineEmbeddingLoss(), (PAIR, PAIR), [[1.0], [1.0]], r"shape \(2,\).*got \(2, 1\)"),
        (nn.CosineEmbeddingLoss(), (np.array(0.0), np.array(0.0)), 1.0, "axis of features"),
        (
            nn.PinballLoss([0.1, 0.9]),
            PAIR,
            [0.0, 0.0],
            r"quantiles \(0.1, 0.9\).*got \(2, 3\) and \(2,\)",
        ),
        (
            nn.PinballLoss([0.1, 0.5, 0.9]),
            PAIR,
            PAIR,
            r"quantiles \(0.1, 0.5, 0.9\).*got \(2, 3\) and \(2, 3\)",
        ),
        (
            nn.PinballLoss(0.5),
            PAIR,
            [0.0, 0.0],
            r"quantiles \(0.5,\).*, 1\).*got \(2, 3\) and \(2,\)",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(loss, input, target, words):
    with pytest.raises(cr.ShapeError, match=f"^{type(loss).__name__}: .*{words}"):
        loss(input, target)


@pytest.mark.parametrize(("name", "value"), [("size_average", False), ("reduce", False)])
def test_the_old_names_of_reductions_say_the_new_one(name, value):
    for call in (
        lambda **old: nn.MSELoss(**old),
        lambda **old: nn.CrossEntropyLoss(**old),
        lambda **old: nn.functional.mse_loss(np.ones(2), np.ones(2), **old),
        lambda **old: nn.functional.cross_entropy(np.ones((2, 3)), [0, 1], **old),
    ):
        with pytest.raises(TypeError, match=f"has no argument '{name}': .*it is reduction="):
            call(**{name: value})

    class Own(nn.MSELoss):
        def __init__(self, reduce):
            super().__init__()
            self.reduce = reduce

    assert Own(reduce=3).reduce == 3
