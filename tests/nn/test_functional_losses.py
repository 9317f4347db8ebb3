"""The functions of nn.functional that have no test of their own elsewhere, beside PyTorch's."""

import numpy as np
import pytest
from compiled_steps import compiled_step
from nn_parity import torch

import chainrule as cr
from chainrule import nn, optim

F = nn.functional
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((6, 4))
Y = RANDOM.standard_normal((6, 4))
P = RANDOM.random((6, 4))
Q = RANDOM.random((6, 4))
SIGNS = RANDOM.choice([-1.0, 1.0], (6, 4))
LABELS = RANDOM.integers(0, 4, 6)
W = np.array([0.5, 1.0, 2.0, 0.1])
LOG_P = np.log(RANDOM.dirichlet([1.0] * 4, 6))

CALLS = [
    ("mse_loss", (X, Y), {}),
    ("l1_loss", (X, Y), {"reduction": "sum"}),
    ("smooth_l1_loss", (X, Y), {"beta": 0.3}),
    ("huber_loss", (X, Y, "none", 0.3), {}),
    ("cross_entropy", (X, LABELS), {}),
    ("cross_entropy", (X, LABELS, W), {"label_smoothing": 0.1, "ignore_index": 2}),
    ("nll_loss", (LOG_P, LABELS, W), {"reduction": "none"}),
    ("binary_cross_entropy", (P, Q, W), {}),
    ("binary_cross_entropy_with_logits", (X, Q, W), {"pos_weight": W}),
    ("kl_div", (LOG_P, P), {"reduction": "batchmean"}),
    ("kl_div", (LOG_P, LOG_P[::-1].copy()), {"log_target": True, "reduction": "sum"}),
    ("gaussian_nll_loss", (X, Y, P), {"full": True}),
    ("poisson_nll_loss", (X, Q), {"log_input": True, "full": True}),
    ("hinge_embedding_loss", (X, SIGNS, 0.5), {}),
    ("margin_ranking_loss", (X, Y, SIGNS, 0.5), {}),
    ("triplet_margin_loss", (X, Y, P), {"margin": 2.0, "swap": True}),
    ("triplet_margin_loss", (X, Y, P, 1.0, 3.0), {"reduction": "none"}),
    ("triplet_margin_with_distance_loss", (X, Y, P), {}),
    ("cosine_embedding_loss", (X, Y, SIGNS[:, 0].copy(), 0.2), {}),
    ("multi_margin_loss", (X, LABELS, 2, 0.7, W), {}),
    ("multilabel_margin_loss", (X, RANDOM.integers(-1, 4, (6, 4))), {}),
    ("multilabel_soft_margin_loss", (X, Q, W), {}),
    ("soft_margin_loss", (X, SIGNS), {}),
    ("softmin", (X, 1), {}),
    ("softmax", (X, 0), {}),
    ("threshold", (X, 0.2, 3.0), {}),
    ("rrelu", (X, 0.1, 0.4), {}),
    ("normalize", (X,), {}),
    ("normalize", (X, 3.0, 0), {}),
    ("normalize", (X,), {"p": 1}),
    ("normalize", (X,), {"p": float("inf"), "dim": 0}),
    ("cosine_similarity", (X, Y), {}),
    ("cosine_similarity", (X, Y[:1]), {"dim": -1}),
    ("pairwise_distance", (X, Y), {}),
    ("pairwise_distance", (X, Y, 1, 1e-3, True), {}),
    ("pairwise_distance", (X, Y[0]), {"p": float("inf")}),
    ("bilinear", (X, Y[:, :3].copy(), RANDOM.standard_normal((2, 4, 3)), W[:2].copy()), {}),
    ("batch_norm", (X, W, P[0].copy(), W, W, False), {}),
    ("batch_norm", (X, None, None, W, None, True), {}),
    ("batch_norm", (RANDOM.standard_normal((3, 4, 2, 5)), None, None, W, W, True), {"eps": 0.1}),
]


@pytest.mark.parametrize(
    ("name", "given", "options"), CALLS, ids=[f"{c[0]}-{i}" for i, c in enumerate(CALLS)]
)
def test_functions_are_pytorchs(name, given, options):
    ours_x = cr.tensor(given[0], requires_grad=True)
    theirs_x = torch.tensor(given[0], requires_grad=True)
    rest = [torch.as_tensor(x) if isinstance(x, np.ndarray) else x for x in given[1:]]
    weights = {
        k: torch.as_tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()
    }
    found = getattr(F, name)(ours_x, *given[1:], **options)
    expected = getattr(torch.nn.functional, name)(theirs_x, *rest, **weights)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    scales = np.random.default_rng(1).standard_normal(found.shape)
    (found * scales).sum().backward()
    (expected * torch.as_tensor(scales)).sum().backward()
    np.testing.assert_allclose(ours_x.grad.numpy(), theirs_x.grad.numpy(), rtol=1e-9, atol=1e-11)


def test_every_function_of_a_loss_is_tried():
    assert set(F.losses.__all__) <= {name for name, *_ in CALLS}


@pytest.mark.parametrize(
    "name",
    sorted({*F.activations.__all__} - {"glu", "prelu", "softmax", "log_softmax", "softmin"}),
)
def test_activations_let_nan_pass(name):
    """A NaN that an activation hides is never found."""
    x = np.array([np.nan, np.inf, 0.3, 0.5, -0.5, -2.0])
    numbers = (0.1, 7.0) if name == "threshold" else ()
    with np.errstate(all="ignore"):
        found = getattr(F, name)(cr.tensor(x), *numbers)
    expected = getattr(torch.nn.functional, name)(torch.tensor(x), *numbers)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [0.0, 1.0, -2.0], [np.nan, 1.0, 0.0]])
def test_norms_of_zeros_and_of_nan(p, row):
    """At 0 a length of any order has the derivative 0, and the length of a NaN is NaN."""
    vector = cr.tensor([row], requires_grad=True)
    length = F.pairwise_distance(vector, np.zeros((1, 3)), p=p, eps=0.0)
    length.sum().backward()
    expected = np.linalg.norm(row, p)
    np.testing.assert_allclose(length.numpy(), [expected], rtol=1e-6)
    if not np.isnan(expected):
        assert np.isfinite(vector.grad.numpy()).all()
        assert (vector.grad.numpy()[0][np.equal(row, 0)] == 0).all()


def test_the_length_of_an_infinite_vector_is_infinite():
    for p in (0.5, 1.0, 2.0, 3.0, np.inf):
        far = cr.tensor([[np.inf, 1.0]])
        assert F.pairwise_distance(far, np.zeros((1, 2)), p=p).item() == np.inf


def test_distributions_may_be_trained_as_targets():
    """The reverse divergence, of a fixed distribution from the one that is trained."""
    z = RANDOM.standard_normal((3, 4))
    given = cr.tensor(z, requires_grad=True)
    F.kl_div(LOG_P[:3], F.softmax(given, 1), reduction="batchmean").backward()
    theirs = torch.tensor(z, requires_grad=True)
    probabilities = torch.softmax(theirs, 1)
    fixed = torch.tensor(LOG_P[:3])
    torch.nn.functional.kl_div(fixed, probabilities, reduction="batchmean").backward()
    np.testing.assert_allclose(given.grad.numpy(), theirs.grad.numpy(), atol=1e-12)


def test_a_distance_may_be_trained_on_either_side():
    a, b = cr.tensor(X), cr.tensor(Y, requires_grad=True)
    nn.CosineSimilarityLoss()(a, b).backward()
    found = b.grad.numpy()
    b.grad = None
    nn.CosineSimilarityLoss()(b, a).backward()
    np.testing.assert_allclose(found, b.grad.numpy(), atol=1e-12)


def test_layers_take_both_names_of_an_axis():
    x = cr.tensor(X)
    for ours, theirs in [
        (nn.Softmin(axis=1)(x), nn.Softmin(dim=1)(x)),
        (nn.CosineSimilarity(axis=0)(x, Y), nn.CosineSimilarity(dim=0)(x, Y)),
        (nn.PairwiseDistance(keepdims=True)(x, Y), nn.PairwiseDistance(keepdim=True)(x, Y)),
        (nn.Unflatten(axis=1, unflattened_size=(2, 2))(x), nn.Unflatten(1, (2, 2))(x)),
    ]:
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_one_hot_is_pytorchs():
    labels = np.array([[2, 0], [1, 1]])
    for classes in (-1, 5):
        found, expected = (
            F.one_hot(labels, classes),
            torch.nn.functional.one_hot(torch.as_tensor(labels), classes),
        )
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_functions_in_captured_steps_with_weights_that_are_state(backend):
    """Class weights in a Buffer: the plan takes them as they are at each step."""
    found = []
    for symbolic in (True, False):
        with cr.use_generator(cr.Generator(0)):
            model = nn.Linear(4, 4)
        weight = cr.Buffer(W.astype("f"))

        def loss(output, target, weight=weight, symbolic=symbolic):
            return F.cross_entropy(output, target, weight if symbolic else W.astype("f"))

        step = compiled_step(model, loss, optim.SGD(model.parameters(), 0.1), backend=backend)
        for _ in range(3):
            step(X.astype("f"), LABELS)
        found.append(model.weight.tolist())
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_batch_norm_updates_its_statistics_as_the_layer_does():
    layer = nn.BatchNorm1d(4, dtype="float64")
    layer(X)
    mean, var = cr.Buffer(np.zeros(4)), cr.Buffer(np.ones(4))
    F.batch_norm(X, mean, var, training=True)
    np.testing.assert_array_equal(mean.numpy(), layer.running_mean.numpy())
    np.testing.assert_array_equal(var.numpy(), layer.running_var.numpy())


def test_rrelu():
    x = cr.tensor(-np.ones(20_000, "f"))
    layer = nn.RReLU(0.2, 0.6)
    slopes = -layer(x).numpy()
    assert 0.2 <= slopes.min() < 0.201 and 0.599 < slopes.max() <= 0.6
    assert slopes.mean() == pytest.approx(0.4, abs=0.005)
    np.testing.assert_allclose(layer.eval()(x).numpy(), -0.4, rtol=1e-6)
    assert layer(cr.tensor([2.0])).tolist() == [2.0]


def test_feature_alpha_dropout_drops_whole_channels():
    cr.manual_seed(0)
    x = cr.normal((200, 50, 8))
    y = nn.FeatureAlphaDropout(0.3)(x).numpy()
    dropped = np.ptp(y, axis=2) == 0
    assert dropped.mean() == pytest.approx(0.3, abs=0.02)
    assert y.mean() == pytest.approx(0, abs=0.02) and y.var() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(nn.FeatureAlphaDropout(0.3).eval()(x).numpy(), x.numpy())


def test_a_weight_that_does_not_broadcast_is_refused():
    for loss in (nn.BCELoss(weight=[1.0, 2.0]), nn.BCEWithLogitsLoss(pos_weight=[1.0, 2.0])):
        with pytest.raises(cr.ShapeError, match=r"weight has shape \(2,\).*\(6, 4\)"):
            loss(P, Q)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_elements_are_pytorchs(name, reduction):
    rng = np.random.default_rng(0)
    x, y, w = rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 4, 2)), rng.random((3, 4, 2))
    a, b, v = (torch.tensor(array, requires_grad=True) for array in (x, y, w))
    theirs = getattr(torch.nn.functional, name)(a, b, weight=v, reduction=reduction)
    theirs.sum().backward()
    c, d, u = (cr.tensor(array, requires_grad=True) for array in (x, y, w))
    ours = getattr(F, name)(c, d, weight=u, reduction=reduction)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy())
    for mine, its in zip(cr.grad(ours.sum(), [c, d, u]), (a.grad, b.grad, v.grad), strict=True):
        np.testing.assert_allclose(mine.numpy(), its.numpy(), atol=1e-12)
    with pytest.raises(cr.ShapeError, match=r"the weight has shape \(2,\)"):
        getattr(F, name)(x, y, weight=w[0, 0], reduction=reduction)
    with pytest.raises(ValueError, match="weight is finite and not negative"):
        getattr(F, name)(x, y, weight=-w, reduction=reduction)
    with pytest.raises(ValueError, match="reduction"):
        getattr(F, name)(x, y, weight=w, reduction="median")


def test_one_number_is_the_variance_of_all():
    x, y = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[0.0, 1.0], [1.0, 1.0]])
    theirs = torch.nn.functional.gaussian_nll_loss(torch.tensor(x), torch.tensor(y), 0.5)
    for var in (0.5, cr.tensor(0.5)):
        assert F.gaussian_nll_loss(x, y, var).item() == pytest.approx(theirs.item())


def test_vectors_without_elements_have_length_0():
    for shape, dim in (((0, 3), 0), ((3, 0), 1), ((3, 0), 0), ((2, 0, 4), (1, 2))):
        assert F.normalize(cr.zeros(shape), dim=dim).shape == shape
    x = np.zeros((3, 0), np.float32)
    for name in ("cosine_similarity", "pairwise_distance"):
        expected = getattr(torch.nn.functional, name)(torch.tensor(x), torch.tensor(x))
        np.testing.assert_array_equal(getattr(F, name)(x, x).numpy(), expected.numpy())
    assert cr.linalg.vector_norm(x, axis=1).tolist() == [0, 0, 0]
