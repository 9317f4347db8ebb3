"""Every loss against PyTorch, eager and captured; and what losses refuse."""

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


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "BCEWithLogitsLoss"])
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


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()])
@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        (np.zeros((4, 1), "f"), cr.DTypeError, ["float32 of shape (4, 1)", "reshape((4,))"]),
        (np.zeros(4), cr.DTypeError, ["float64 of shape (4,)", "astype('int64')"]),
        (np.zeros(4, bool), cr.DTypeError, ["bool"]),
        (np.zeros((4, 1), int), cr.ShapeError, ["(4, 1)", "reshape((4,))"]),
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
@pytest.mark.parametrize("label", [3, -1, -100])
def test_labels_out_of_range_are_refused(loss, label):
    with pytest.raises(IndexError, match=r"labels must lie in 0 ... 2"):
        loss(np.zeros((2, 3)), [0, label])


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.BCEWithLogitsLoss()])
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
