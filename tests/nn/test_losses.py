"""Losses against PyTorch over shapes, reductions and arguments; values worked out by hand."""

import tracemalloc

import numpy as np
import pytest
from nn_parity import check_module, torch

import chainrule as cr
from chainrule import nn

RNG = np.random.default_rng(11)
REDUCTIONS = ["mean", "sum", "none"]
WEIGHT = np.array([0.2, 1.0, 3.0])
CLASS_SHAPES = [(4, 3), (3,), (1, 3), (2, 3, 4), (2, 3, 2, 5)]


def scores_and_labels(shape):
    scores = RNG.standard_normal(shape) * 3
    return scores, RNG.integers(0, 3, shape[:1] + shape[2:] if len(shape) > 1 else ())


def on_torch(arguments):
    return {
        name: torch.as_tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in arguments.items()
    }


@pytest.mark.parametrize("shape", CLASS_SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"weight": WEIGHT},
        {"ignore_index": 1},
        {"ignore_index": -100, "weight": WEIGHT},
        {"label_smoothing": 0.1},
        {"label_smoothing": 0.3, "weight": WEIGHT, "ignore_index": 2},
    ],
)
def test_cross_entropy_of_labels_is_pytorchs(shape, reduction, arguments):
    scores, labels = scores_and_labels(shape)
    if "ignore_index" in arguments:
        labels.ravel()[: labels.size // 2] = arguments["ignore_index"]
        labels.ravel()[-1] = 0  # PyTorch's mean over nothing is NaN
    ours = nn.CrossEntropyLoss(**arguments, reduction=reduction)
    theirs = torch.nn.CrossEntropyLoss(**on_torch(arguments), reduction=reduction)
    check_module(ours, theirs, scores, labels)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("shape", CLASS_SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "arguments",
    [{}, {"weight": WEIGHT}, {"label_smoothing": 0.2}, {"weight": WEIGHT, "label_smoothing": 0.2}],
)
def test_cross_entropy_of_probabilities_is_pytorchs(shape, reduction, arguments):
    target = RNG.random(shape)
    ours = nn.CrossEntropyLoss(**arguments, reduction=reduction)
    theirs = torch.nn.CrossEntropyLoss(**on_torch(arguments), reduction=reduction)
    check_module(ours, theirs, RNG.standard_normal(shape), target)


@pytest.mark.parametrize("shape", CLASS_SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("arguments", [{}, {"weight": WEIGHT}, {"ignore_index": 1}])
def test_nll_is_pytorchs(shape, reduction, arguments):
    scores, labels = scores_and_labels(shape)
    labels.ravel()[-1] = 0
    ours = nn.NLLLoss(**arguments, reduction=reduction)
    check_module(ours, torch.nn.NLLLoss(**on_torch(arguments), reduction=reduction), scores, labels)


@pytest.mark.parametrize(
    "name", ["MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "BCEWithLogitsLoss"]
)
@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (2, 3, 2)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_element_loss_is_pytorchs(name, shape, reduction):
    ours = getattr(nn, name)(reduction=reduction)
    theirs = getattr(torch.nn, name)(reduction=reduction)
    check_module(ours, theirs, RNG.standard_normal(shape) * 5, RNG.random(shape))
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("pos_weight", [np.array(3.0), np.array([0.5, 1.0, 4.0])])
def test_bce_with_pos_weight_is_pytorchs(pos_weight):
    ours = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.as_tensor(pos_weight))
    x, y = RNG.standard_normal((4, 3)) * 5, RNG.integers(0, 2, (4, 3)).astype(np.float64)
    check_module(ours, theirs, x, y)


def test_derivative_of_l1_at_0_is_0():
    x = cr.tensor([1.0], requires_grad=True)
    assert cr.grad(nn.L1Loss()(x, [1.0]), x).tolist() == [0.0]


def test_bce_far_out_neither_overflows_nor_cancels():
    x = cr.tensor([-1e4, 1e4, -40.0, 40.0], "float64", requires_grad=True)
    loss = nn.BCEWithLogitsLoss(reduction="none")(x, [0.0, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(loss.numpy(), [0, 0, np.exp(-40), np.exp(-40)], rtol=1e-12)
    assert np.isfinite(cr.grad(loss.sum(), x).numpy()).all()
    assert nn.BCEWithLogitsLoss()(cr.tensor([-1e4]), [1.0]).item() == 1e4


def test_nll_of_impossible_other_classes():
    scores = cr.tensor([[0.0, -np.inf]], requires_grad=True)
    loss = nn.NLLLoss()(scores, [0])
    assert loss.item() == 0.0
    assert cr.grad(loss, scores).tolist() == [[-1.0, 0.0]]


def test_the_common_case_is_two_nodes():
    graph = cr.capture(nn.CrossEntropyLoss(), np.zeros((5, 3), "f"), np.zeros(5, np.int64))
    names = [node.operation.name for node in graph.nodes if node.operation]
    assert names[0] == "softmax_cross_entropy"
    assert set(names[1:]) <= {"mean", "sum", "multiply", "divide"}


def test_all_rows_ignored_is_nan_as_in_pytorch():
    with np.errstate(invalid="ignore"):
        loss = nn.CrossEntropyLoss(ignore_index=0)(np.zeros((2, 3)), [0, 0])
    assert np.isnan(loss.item())


def test_unsigned_labels_and_a_negative_ignored_one():
    labels = np.array([0, 2], np.uint8)
    loss = nn.CrossEntropyLoss(ignore_index=-1)(np.zeros((2, 3), "f"), labels)
    assert loss.item() == pytest.approx(np.log(3))


def test_targets_are_cast_to_the_inputs_dtype():
    x = cr.tensor(np.ones((2, 1), "f"), requires_grad=True)
    for y in (np.zeros((2, 1)), np.zeros((2, 1), np.int64)):
        for loss in (nn.MSELoss(), nn.L1Loss(), nn.BCEWithLogitsLoss(pos_weight=np.array(2.0))):
            assert loss(x, y).dtype == np.float32
    weighted = nn.CrossEntropyLoss(weight=np.array([1.0, 2.0]))
    assert weighted(np.zeros((2, 2), "f"), [0, 1]).dtype == np.float32
    assert weighted(np.zeros((2, 2), "f"), np.full((2, 2), 0.5)).dtype == np.float32


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (4,)])
def test_forms_of_the_variance(shape):
    x, y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3))
    v = RNG.random(shape) + 0.1
    found = nn.GaussianNLLLoss()(x, y, v)
    assert found.item() == nn.GaussianNLLLoss()((x, v), y).item()
    wanted = torch.nn.GaussianNLLLoss()(*map(torch.as_tensor, (x, y, v)))
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)


def test_a_variance_below_eps_counts_as_eps_in_compiled_functions():
    x, y, v = np.ones((2, 1), "f"), np.zeros((2, 1), "f"), np.array([[-1e4], [0.5]], "f")
    loss = nn.GaussianNLLLoss(reduction="none")
    found = cr.compile(lambda x, y, v: loss(x, y, v))(x, y, v)
    np.testing.assert_allclose(found[0], 0.5 * (np.log(1e-6) + 1e6), rtol=1e-6)


def test_cosine_embedding_in_both_forms():
    x1, x2, y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3)), [1, -1, 1, -1]
    loss = nn.CosineEmbeddingLoss()
    assert loss(x1, x2, y).item() == loss((x1, x2), y).item()
    one = torch.nn.CosineEmbeddingLoss()(*map(torch.as_tensor, (x1[0], x2[0], 1)))
    assert loss(x1[0], x2[0], 1).item() == pytest.approx(one.item(), rel=1e-12)


def test_one_row_of_scores_in_multi_margin():
    x = np.array([2.0, 0.3, 1.5])
    wanted = torch.nn.MultiMarginLoss()(torch.as_tensor(x), torch.tensor(0))
    for reduction in REDUCTIONS:
        found = nn.MultiMarginLoss(reduction=reduction)(x, 0)
        assert found.shape == () and found.item() == pytest.approx(wanted.item(), rel=1e-12)


def test_quantiles_by_hand():
    # e = 4 - x = 4, 2, -2: 0.1 * 4, 0.5 * 2, (0.9 - 1) * -2.
    for target in ([4.0], [[4.0]]):
        loss = nn.PinballLoss([0.1, 0.5, 0.9], reduction="none")(
            np.array([[0.0, 2.0, 6.0]]), target
        )
        np.testing.assert_allclose(loss.numpy(), [[0.4, 1.0, 0.2]], rtol=1e-15)
    # One quantile beside a target of its shape, or without its last axis.
    for x in (np.array([0.0, 6.0]), np.array([[0.0], [6.0]])):
        assert nn.PinballLoss(0.9)(x, [4.0, 4.0]).item() == pytest.approx((3.6 + 0.2) / 2)
    assert nn.PinballLoss(0.9)(np.array(0.0), np.array(4.0)).item() == pytest.approx(3.6)


def test_the_constant_that_minimises_the_pinball_loss_is_the_quantile():
    y = np.arange(1.0, 100.0)
    losses = [nn.PinballLoss(0.25)(np.full(99, c), y).item() for c in y]
    assert y[np.argmin(losses)] == 25.0


def test_three_conventions_of_the_squared_error():
    x, y = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 5.0], [0.0, 2.0]])
    squares = 1.0 + 9.0 + 0.0 + 4.0
    assert nn.HalfSquaredErrorLoss(reduction="sum")(x, y).item() == squares / 2
    assert nn.MSELoss(reduction="sum")(x, y).item() == squares
    assert nn.MSELoss()(x, y).item() == squares / 4
    assert nn.HalfSquaredErrorLoss()(x, y).item() == squares / 2 / 2  # mean over 2 rows
    assert nn.HalfSquaredErrorLoss(reduction="none")(x, y).tolist() == [5.0, 2.0]
    # Its delta is x - y.
    a = cr.tensor(x, requires_grad=True)
    assert cr.grad(nn.HalfSquaredErrorLoss(reduction="sum")(a, y), a).tolist() == (x - y).tolist()


def test_derivatives_at_kinks():
    def derivative(loss, x, y):
        x = cr.tensor(x, requires_grad=True)
        return cr.grad(loss(x, y), x).tolist()

    assert derivative(nn.HingeLoss(), [1.0, -1.0], [1, -1]) == [0.0, 0.0]
    assert derivative(nn.PinballLoss(0.25), [4.0], [4.0]) == [-0.25]
    assert derivative(nn.SmoothL1Loss(beta=0.0), [4.0], [4.0]) == [0.0]


def test_negative_multinomial_log_likelihood():
    # Ten rows of which 5, 3 and 2 have each label, with probabilities 1/2, 1/3, 1/6.
    p = np.array([1 / 2, 1 / 3, 1 / 6])
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    found = nn.NLLLoss(reduction="sum")(np.log(p)[None].repeat(10, 0), labels)
    assert found.item() == pytest.approx(-(5 * np.log(p[0]) + 3 * np.log(p[1]) + 2 * np.log(p[2])))


def test_multilabel_margin_needs_memory_for_the_labels_that_there_are():
    scores = RNG.standard_normal((20, 1000))
    labels = np.full((20, 1000), -1)
    labels[:, :2] = RNG.integers(0, 1000, (20, 2))
    ours, theirs = nn.MultiLabelMarginLoss(), torch.nn.MultiLabelMarginLoss()
    x = cr.tensor(scores)
    tracemalloc.start()
    loss = ours(x, cr.tensor(labels))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6  # of all pairs of classes it were several times 160e6
    expected = theirs(torch.tensor(scores), torch.tensor(labels))
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-12)
    assert ours(x, cr.tensor(np.full((20, 1000), -1))).item() == 0.0
