"""Losses that scikit-learn's networks do not have, and predictions in the units of the targets."""

from decimal import Decimal

import numpy as np
import pytest

pytest.importorskip("sklearn.neural_network")
joblib = pytest.importorskip("joblib")

from estimator_cases import NUMBER, SEVERAL, THREE, TWO, X, classifier, regressor  # noqa: E402
from sklearn.metrics import mean_pinball_loss  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402

import chainrule as cr  # noqa: E402
from chainrule import nn  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(1)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    ("loss", "y", "shape"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), THREE, (201, 3)),
        (nn.CrossEntropyLoss(weight=[1.0, 2.0]), TWO, (201, 2)),
        (nn.BCEWithLogitsLoss(), TWO, (201, 2)),
        (nn.BCEWithLogitsLoss(), SEVERAL, (201, 3)),
        (lambda z, y: nn.functional.cross_entropy(z, y), THREE, (201, 3)),
    ],
    ids=["smoothed", "weighted", "binary", "several", "own"],
)
def test_losses_of_classes(loss, y, shape, solver):
    estimator = classifier(loss=loss, solver=solver, max_iter=20).fit(X, y)
    assert estimator.predict_proba(X).shape == shape
    assert estimator.score(X, y) > 0.5


def test_a_loss_of_nn_is_that_of_scikit_learn():
    mine, own = classifier(), classifier(loss=nn.CrossEntropyLoss())
    weights = rng.uniform(0.5, 2, len(X))
    np.testing.assert_allclose(
        own.fit(X, THREE, weights).loss_curve_, mine.fit(X, THREE, weights).loss_curve_, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("make", "loss"), [(classifier, nn.CrossEntropyLoss()), (regressor, nn.PinballLoss(0.3))]
)
def test_a_loss_that_is_given_is_left_as_it_is(make, loss):
    before, hashed = dict(vars(loss)), joblib.hash(loss)
    make(loss=loss).fit(X, THREE)
    assert vars(loss) == before and joblib.hash(loss) == hashed


class Scaled(nn.Module):
    scale = 1.0

    def forward(self, input, target):
        return self.scale * nn.functional.mse_loss(input, target)


class Annealing(cr.Callback):
    def __init__(self, loss):
        self.loss = loss

    def on_epoch_end(self, trainer, record):
        self.loss.scale *= 0.5


def test_a_loss_may_change_from_epoch_to_epoch():
    given = {"X_val": X, "y_val": NUMBER}
    plain = regressor(loss=Scaled(), learning_rate_init=1e-9).fit(X, NUMBER, **given)
    loss = Scaled()
    annealed = regressor(loss=loss, learning_rate_init=1e-9, callbacks=[Annealing(loss)])
    annealed.fit(X, NUMBER, **given)
    shares = 0.5 ** np.arange(len(plain.loss_curve_))
    for name in ("loss_curve_", "validation_loss_curve_"):
        expected = shares * getattr(plain, name)
        np.testing.assert_allclose(getattr(annealed, name), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("loss", "y", "match"),
    [
        (nn.BCEWithLogitsLoss(), THREE, "two classes"),
        (nn.CrossEntropyLoss(), SEVERAL, "several labels"),
        (nn.HingeLoss(), TWO, "takes margins"),
    ],
)
def test_losses_that_do_not_fit(loss, y, match):
    with pytest.raises(ValueError, match=match):
        classifier(loss=loss).fit(X, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    "loss", ["absolute_error", "huber", nn.SmoothL1Loss(), nn.PinballLoss(0.5)]
)
def test_losses_of_numbers(loss, solver):
    estimator = regressor(loss=loss, solver=solver, max_iter=60).fit(X, NUMBER)
    assert estimator.predict(X).shape == (201,)
    assert estimator.score(X, NUMBER) > 0.4


def normalised(output, target, *, sample_weight=None):
    """The squared error, with a mean of its own over the weights of rows."""
    losses = ((output - target) ** 2).sum(1)
    if sample_weight is None:
        return losses.mean()
    return (losses * sample_weight).sum() / sample_weight.sum()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_loss_may_divide_by_the_sum_of_weights(solver):
    given = {"solver": solver, "alpha": 5.0, "max_iter": 8}
    weights = rng.uniform(5, 9, len(X))
    found = [
        regressor(loss=loss, **given).fit(X, NUMBER, weights) for loss in (normalised, nn.MSELoss())
    ]
    np.testing.assert_allclose(found[0].loss_, found[1].loss_, rtol=1e-9)
    np.testing.assert_allclose(found[0].predict(X), found[1].predict(X), rtol=1e-6)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_loss_that_takes_no_weights(solver):
    def unweighted(output, target):
        return ((output - target) ** 2).mean()

    estimator = regressor(loss=unweighted, solver=solver)
    with pytest.raises(TypeError, match=r"the loss unweighted can't weight rows: .* sample_weight"):
        estimator.fit(X, NUMBER, np.ones(len(X)))
    held = {"X_val": X, "y_val": NUMBER, "sample_weight_val": np.ones(len(X))}
    if solver == "adam":
        with pytest.raises(TypeError, match="the loss unweighted can't weight rows"):
            estimator.fit(X, NUMBER, **held)
    assert estimator.fit(X, NUMBER).loss_ > 0


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    ("make", "loss", "error", "match"),
    [
        (regressor, nn.MSELoss(reduction="none"), cr.ShapeError, r"scalar Tensor, got \(\d+, 1\)"),
        (regressor, lambda output, y: 3.0, cr.ShapeError, "must be a scalar Tensor, got float"),
        (regressor, nn.MSELoss, TypeError, r"loss is <class .*give an object of it, MSELoss\("),
        (classifier, nn.CrossEntropyLoss, TypeError, r"give an object of it, CrossEntropyLoss\("),
    ],
    ids=["none", "number", "class", "class of classes"],
)
def test_what_is_no_loss(make, loss, error, match, solver):
    with pytest.raises(error, match=match):
        make(loss=loss, solver=solver).fit(X, TWO)
    if solver == "adam":
        with pytest.raises(error, match=match):
            make(loss=loss).fit(X, TWO, X_val=X, y_val=TWO)


def test_quantiles():
    estimator = regressor(
        loss=nn.PinballLoss([0.1, 0.5, 0.9]), max_iter=150, early_stopping=True
    ).fit(X, NUMBER)
    found = estimator.predict(X)
    assert found.shape == (201, 3) and estimator.n_outputs_ == 3
    assert (found > NUMBER[:, None]).mean(axis=0)[[0, 2]].tolist() == pytest.approx(
        [0.1, 0.9], abs=0.15
    )
    assert max(estimator.validation_scores_) == -min(estimator.validation_loss_curve_)
    with pytest.raises(ValueError, match="of one target"):
        estimator.fit(X, X[:, :2])


@pytest.mark.parametrize("levels", [[0.1, 0.5, 0.9], [0.2, 0.7]])
def test_the_score_of_several_quantiles_is_their_loss(levels):
    search = GridSearchCV(regressor(loss=nn.PinballLoss(levels)), {"alpha": [0.1, 10.0]}, cv=2)
    estimator = search.fit(X, NUMBER).best_estimator_
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    found = estimator.predict(X)
    for weights in (None, rng.uniform(0.5, 2, len(X))):
        losses = [
            mean_pinball_loss(NUMBER, found[:, i], alpha=level, sample_weight=weights)
            for i, level in enumerate(levels)
        ]
        expected = pytest.approx(-np.mean(losses), rel=1e-9)
        assert estimator.score(X, NUMBER, weights) == expected
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.score(X, NUMBER[:-1])
    with pytest.raises(ValueError, match="y contains NaN"):
        estimator.score(X, np.where(TWO, np.nan, 1.0))


def test_a_scorer_of_several_quantiles_is_asked():
    called = []

    def score(estimator, X, y):
        called.append(estimator.predict(X).shape)
        return 0.5

    parameters = {"loss": nn.PinballLoss([0.1, 0.9]), "early_stopping": True, "scoring": score}
    found = regressor(**parameters).fit(X, NUMBER).validation_scores_
    assert found == [0.5] * 6 and called == [(21, 2)] * 6


COUNTS = np.random.default_rng(1).poisson(np.exp(1 + X[:, 0]))
SHARES = 1 / (1 + np.exp(-3 * X[:, 0]))


@pytest.mark.parametrize(
    ("loss", "y", "link"),
    [
        (nn.PoissonNLLLoss(), COUNTS, "exp"),
        (nn.PoissonNLLLoss(log_input=False), COUNTS, "identity"),
        (nn.BCEWithLogitsLoss(), SHARES, "logistic"),
        (nn.CrossEntropyLoss(), np.stack([SHARES, 1 - SHARES], axis=1), "softmax"),
    ],
)
def test_predictions_are_in_the_units_of_the_targets(loss, y, link):
    activation = "softplus" if link == "identity" else None
    estimator = regressor(loss=loss, output_activation=activation, max_iter=200).fit(X, y)
    assert estimator.out_activation_ == (activation or link)
    assert estimator.score(X, y) > 0.5
    np.testing.assert_allclose(cr.Predictor(estimator).predict(X), estimator.predict(X), rtol=1e-6)
    if link != "identity":
        with pytest.raises(ValueError, match=f"has {link} as output_activation"):
            regressor(loss=loss, output_activation="softplus").fit(X, y)


@pytest.mark.parametrize(
    ("make", "loss", "y", "match"),
    [
        (regressor, "poisson", NUMBER + 9, "which are counts, must be at least 0"),
        (regressor, nn.BCEWithLogitsLoss(), SHARES, "must lie in 0 ... 1"),
        (classifier, "log_loss", SEVERAL, "must lie in 0 ... 1"),
        (classifier, nn.BCEWithLogitsLoss(), SEVERAL, "must lie in 0 ... 1"),
    ],
    ids=["counts", "shares", "labels", "labels of nn"],
)
def test_targets_that_the_loss_does_not_take(make, loss, y, match):
    wrong = -3 * y
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match=f"training targets.*{match}"):
            make(loss=loss, solver=solver).fit(X, wrong)
    with pytest.raises(ValueError, match=f"validation targets.*{match}"):
        make(loss=loss).fit(X, y, X_val=X, y_val=wrong)


def test_targets_held_out_that_the_loss_does_not_take():
    estimator = regressor(loss="poisson", early_stopping=True, validation_fraction=0.5)
    for row in range(8):
        y = np.abs(NUMBER)
        y[row] = -1
        with pytest.raises(ValueError, match="targets, which are counts"):
            estimator.fit(X, y)


@pytest.mark.parametrize("kind", ["object", "decimals", "text", "bytes"])
def test_targets_in_other_forms_count_as_their_numbers(kind):
    y = {
        "object": NUMBER.astype(object),
        "decimals": np.array([Decimal(repr(float(v))) for v in NUMBER]),
        "text": NUMBER.astype(str),
        "bytes": NUMBER.astype("S32"),
    }[kind]
    for parameters, held_out in (({"early_stopping": True}, 0), ({}, 1), ({"scoring": "r2"}, 1)):
        found = []
        for targets in (NUMBER, y):
            given = {"X_val": X[:50], "y_val": targets[:50]} if held_out else {}
            found.append(regressor(**parameters).fit(X, targets, **given))
        wanted, estimator = found
        assert estimator.validation_scores_ == wanted.validation_scores_
        np.testing.assert_array_equal(estimator.predict(X), wanted.predict(X))


@pytest.mark.parametrize("unit", ["datetime64[s]", "timedelta64[s]"])
def test_targets_that_are_dates_or_durations_are_no_numbers(unit):
    days = (86400 * np.arange(len(X))).astype(unit)
    for solver in ("adam", "lbfgs"):
        with pytest.raises(TypeError, match=r"y holds d.*a regression predicts numbers: "):
            regressor(solver=solver).fit(X, days)
    with pytest.raises(TypeError, match=r"y holds d.*a regression predicts numbers: "):
        regressor().fit(X, NUMBER, X_val=X, y_val=days)
    quantiles = regressor(loss=nn.PinballLoss([0.1, 0.9])).fit(X, NUMBER)
    for fitted in (quantiles, regressor().fit(X, NUMBER)):
        with pytest.raises(TypeError, match=r"y holds d.*a regression predicts numbers: "):
            fitted.score(X, days)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", [str, object])
def test_text_that_is_no_finite_number_is_no_target(kind, solver):
    for written in ("nan", "inf", "1e999"):
        targets = NUMBER.astype(str).astype(kind)
        targets[3] = written
        with pytest.raises(ValueError, match=r"y contains (NaN|infinity)"):
            regressor(solver=solver).fit(X, targets)
        with pytest.raises(ValueError, match=r"y contains (NaN|infinity)"):
            regressor().fit(X, NUMBER, X_val=X, y_val=targets)


def test_predictions_are_by_the_loss_of_the_last_fit():
    estimator = regressor(max_iter=1, warm_start=True).fit(X, COUNTS)
    before = estimator.predict(X)
    np.testing.assert_array_equal(estimator.set_params(loss="poisson").predict(X), before)
    estimator.fit(X, COUNTS)
    outputs = estimator.network_(cr.Tensor(X)).numpy()[:, 0]
    np.testing.assert_allclose(estimator.predict(X), np.exp(outputs))


def test_a_loss_of_classes_for_one_column_of_numbers():
    with pytest.raises(ValueError, match="use MLPClassifier"):
        regressor(loss=nn.CrossEntropyLoss()).fit(X, TWO)


def test_an_activation_of_the_output():
    estimator = regressor(output_activation="softplus").fit(X, NUMBER)
    assert estimator.predict(X).min() > 0 and estimator.out_activation_ == "softplus"
    estimator = regressor(output_activation=cr.exp, max_iter=100).fit(X, COUNTS)
    assert estimator.predict(X).mean() == pytest.approx(COUNTS.mean(), rel=0.2)  # one exp
    with pytest.raises(ValueError, match="leave out"):
        regressor(loss="poisson", output_activation="softplus").fit(X, NUMBER**2)


@cr.custom_operation(infer=lambda x: (x.shape, x.dtype))
def squared_by_numpy(x):
    return x * x


squared_by_numpy.differentiable(lambda g, y, x: 2.0 * g * x)


@pytest.fixture
def reference():
    cr.set_default_backend("reference")
    yield
    cr.set_default_backend("native")


def test_operations_of_ones_own(reference):
    def loss(output, target):
        return squared_by_numpy(output - target).mean()

    for parameters in ({"loss": loss}, {"loss": loss, "activation": squared_by_numpy}):
        known = parameters | {"loss": nn.MSELoss()}
        if "activation" in known:
            known["activation"] = lambda x: x * x
        given = {"X_val": X, "y_val": NUMBER}
        found = [regressor(**p).fit(X, NUMBER, **given) for p in (parameters, known)]
        for name in ("loss_curve_", "validation_loss_curve_", "validation_scores_"):
            np.testing.assert_allclose(*[getattr(e, name) for e in found], rtol=1e-9)
    with pytest.raises(NotImplementedError, match="set_default_backend"):
        regressor(solver="lbfgs", activation=squared_by_numpy).fit(X, NUMBER)


@pytest.mark.parametrize("given", [{}, {"X_val": X, "y_val": NUMBER}])
def test_operations_of_ones_own_have_no_native_form(given):
    with pytest.raises(NotImplementedError, match="set_default_backend for an estimator"):
        regressor(activation=squared_by_numpy).fit(X, NUMBER, **given)
