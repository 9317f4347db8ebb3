"""Sample weights in every loss: l_i -> w_i l_i, over the denominator that there is without them."""

import numpy as np
import pytest
from loss_cases import CASES, NAMES, Model, training_data

import chainrule as cr
from chainrule import nn, optim

every_case = pytest.mark.parametrize("case", CASES, ids=NAMES)
CLOSE = {"rtol": 1e-13, "atol": 1e-15}


def call(case, reduction="mean", weights=None, rows=7):
    x, y = case.data(rows)
    x = cr.tensor(x, requires_grad=True)
    loss = case.loss(reduction)(case.head(cr, x), y, sample_weight=weights)
    return loss.numpy(), cr.grad(loss.sum(), x).numpy()


@every_case
def test_weights_multiply_the_losses_of_rows(case):
    w = np.random.default_rng(5).random(7) * 3
    plain, _ = call(case, "none")
    losses = plain * w.reshape(-1, *[1] * (plain.ndim - 1))
    np.testing.assert_allclose(call(case, "none", w)[0], losses, **CLOSE)
    np.testing.assert_allclose(call(case, "sum", w)[0], losses.sum(), **CLOSE)
    # The mean's denominator is what it is without weights, also with weights of classes.
    denominator = plain.sum() / call(case)[0]
    np.testing.assert_allclose(call(case, "mean", w)[0], losses.sum() / denominator, **CLOSE)
    if case.plain_mean:
        by_rows = plain.reshape(7, -1).mean(1)
        np.testing.assert_allclose(call(case, "mean", w)[0], (w * by_rows).sum() / 7, **CLOSE)
    # So a row's gradient is multiplied, too.
    gradient = call(case)[1] * w[:, None]
    np.testing.assert_allclose(call(case, "mean", w)[1], gradient, rtol=1e-12, atol=1e-15)


@every_case
def test_weights_of_1_change_nothing_and_weights_of_0_give_0(case):
    for reduction in case.reductions:
        for found, wanted in zip(
            call(case, reduction, np.ones(7)), call(case, reduction), strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-15)
        for found in call(case, reduction, np.zeros(7)):
            np.testing.assert_array_equal(found, 0.0)


@every_case
def test_linear_in_the_weights(case):
    random = np.random.default_rng(6)
    v, w = random.random(7), random.random(7)
    combined = call(case, weights=2 * v + 3 * w)[0]
    separate = 2 * call(case, weights=v)[0] + 3 * call(case, weights=w)[0]
    np.testing.assert_allclose(combined, separate, rtol=1e-12)


def test_batchmean_divides_by_rows():
    case = CASES[NAMES.index("KLDivLoss()")]
    w = np.arange(7.0)
    np.testing.assert_allclose(call(case, "batchmean", w)[0], call(case, "sum", w)[0] / 7)


def test_elements_of_an_image_share_the_weight_of_their_row():
    random = np.random.default_rng(0)
    x, w = random.standard_normal((2, 3, 4, 5)), np.array([0.5, 2.0])
    for loss, y in (
        (nn.CrossEntropyLoss, random.integers(0, 3, (2, 4, 5))),
        (nn.CrossEntropyLoss, random.random(x.shape)),
        (nn.MSELoss, random.random(x.shape)),
        (nn.HalfSquaredErrorLoss, random.random(x.shape)),
    ):
        apart = [loss()(x[i : i + 1], y[i : i + 1]).item() for i in range(2)]
        found = loss()(x, y, sample_weight=w).item()
        assert found == pytest.approx(np.mean(w * apart), rel=1e-12)


def test_ignored_labels_leave_the_denominator_as_it_is():
    # Rows of loss ln 2; the second is ignored. (2 ln 2 + 0 + 1 ln 2) / 2 labels that count.
    loss = nn.CrossEntropyLoss(ignore_index=-1)
    found = loss(np.zeros((3, 2)), [0, -1, 1], sample_weight=[2.0, 5.0, 1.0])
    assert found.item() == pytest.approx(1.5 * np.log(2))


def test_whole_weights_and_masks_are_weights():
    x, y = np.array([[1.0], [2.0], [3.0]]), np.zeros((3, 1))
    for weights in ([1, 0, 2], np.array([1, 0, 2], np.uint8), cr.tensor([1.0, 0.0, 2.0])):
        loss = nn.MSELoss(reduction="sum")(x, y, sample_weight=weights)
        assert loss.item() == 19.0 and loss.dtype == np.float64
    mask = np.array([True, False, True])
    assert nn.MSELoss(reduction="sum")(x, y, sample_weight=mask).item() == 10.0


def test_a_gradient_flows_to_weights_that_want_one():
    w = cr.tensor([1.0, 1.0], requires_grad=True)
    loss = nn.MSELoss()(cr.tensor([[1.0], [3.0]]), [[0.0], [0.0]], sample_weight=w)
    assert cr.grad(loss, w).tolist() == [0.5, 4.5]


@every_case
def test_weighted_training_is_native_and_equals_the_reference(case):
    x, y = training_data(case)
    w = np.random.default_rng(5).random(16) * 2

    def weighted(output, target):
        labels, weights = target
        return case.loss()(output, labels, sample_weight=weights)

    trained = {}
    for backend in ("native", "reference"):
        model = Model(case)
        optimizer = optim.SGD(model.parameters(), lr=0.05)
        trainer = cr.Trainer(model, weighted, optimizer, backend=backend)
        trainer.fit(x, (y, w), epochs=2, batch_size=6, shuffle=False, progress=False)
        trained[backend] = model.state_dict()
    # By hand, with the losses of rows.
    model = Model(case)
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    for rows in [slice(0, 6), slice(6, 12), slice(12, 16)] * 2:
        optimizer.zero_grad()
        output = model(cr.tensor(x[rows]))
        losses = case.loss("none")(output, y[rows])
        share = losses.sum().item() / case.loss()(output, y[rows]).item()
        ((losses.T * w[rows]).sum() / share).backward()
        optimizer.step()
    for name, value in model.state_dict().items():
        for backend, states in trained.items():
            np.testing.assert_allclose(states[name], value, rtol=1e-10, err_msg=backend)


@pytest.mark.parametrize(
    ("weights", "error", "words"),
    [
        ([1.0, 2.0], cr.ShapeError, ["3 rows", "(3,)", "(2,)"]),
        ([[1.0], [2.0], [3.0]], cr.ShapeError, ["(3,)", "(3, 1)"]),
        (2.0, cr.ShapeError, ["(3,)", "()"]),
        ([1.0, -0.5, 1.0], ValueError, ["not negative", "row 1 is -0.5"]),
        ([1.0, 1.0, np.nan], ValueError, ["finite", "row 2 is nan"]),
        ([np.inf, 1.0, 1.0], ValueError, ["finite", "row 0 is inf"]),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_bad_weights_are_refused(weights, error, words, reduction):
    y = np.array([0, 1, 0])
    for loss in (nn.CrossEntropyLoss(reduction=reduction), nn.NLLLoss([1, 2], reduction=reduction)):
        with pytest.raises(error) as caught:
            loss(np.zeros((3, 2)), y, sample_weight=weights)
        message = str(caught.value)
        assert message.startswith(type(loss).__name__) and all(w in message for w in words), message
    with pytest.raises(error):
        nn.MSELoss(reduction=reduction)(np.zeros((3, 2)), np.zeros((3, 2)), sample_weight=weights)


def test_one_example_without_rows_takes_no_weights():
    with pytest.raises(cr.ShapeError, match="batch of one row"):
        nn.CrossEntropyLoss()(np.zeros(3), 0, sample_weight=[1.0])


def test_shapes_of_unknown_weights_are_checked():
    with pytest.raises(cr.ShapeError, match=r"\(3,\), not \(2,\)"):
        nn.MSELoss()(np.zeros((3, 1)), np.zeros((3, 1)), sample_weight=cr.placeholder((2,)))
