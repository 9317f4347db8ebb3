"""Going on, by a warm start or partial_fit: what may change between the calls, and what may not."""

import numpy as np
import pytest

pytest.importorskip("sklearn", "1.7")  # its networks take no weights of rows before
networks = pytest.importorskip("sklearn.neural_network")

from estimator_cases import GIVEN, NUMBER, SEVERAL, THREE, TWO, X, classifier, regressor  # noqa: E402

from chainrule import nn, optim  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COLUMNS = X[:, :2]


def gone_on(make, call, y, change, y_then, **parameters):
    """An estimator fitted on y, changed, and fitted again."""
    estimator = make(warm_start=call == "fit", **parameters)
    classes = np.unique(y) if y.ndim == 1 else [0, 1, 2]
    given = {"classes": classes} if call == "partial_fit" and make is classifier else {}
    getattr(estimator, call)(X, y, **given)
    before = estimator.predict(X)
    try:
        getattr(estimator.set_params(**change), call)(X, y_then)
    finally:
        np.testing.assert_array_equal(estimator.predict(X), before)
    return estimator


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("make", "y", "change", "y_then", "match"),
    [
        *(
            (regressor, NUMBER, {"hidden_layer_sizes": widths}, NUMBER,
             rf"hidden_layer_sizes is {shown}, and the network .* has \[8, 8\]: begin anew")
            for widths, shown in ((5, r"\[5\]"), ((5, 8), r"\[5, 8\]"), ((8,) * 3, r"\[8, 8, 8\]"))
        ),
        (regressor, NUMBER, {}, COLUMNS, "y and the loss ask for 2 outputs, .* has 1"),
        (regressor, COLUMNS, {}, NUMBER, "y and the loss ask for 1 outputs, .* has 2"),
        (regressor, NUMBER, {"loss": nn.PinballLoss([0.1, 0.9])}, NUMBER, "ask for 2 outputs"),
        (classifier, TWO, {"loss": nn.CrossEntropyLoss()}, TWO, "ask for 2 outputs, .* has 1"),
        (classifier, THREE, {}, SEVERAL, r"y has shape \(201, 3\), .* one label for each row"),
        (classifier, TWO, {}, SEVERAL[:, :2], r"y has shape \(201, 2\), .* one label for each row"),
        (classifier, SEVERAL, {}, THREE, r"y has shape \(201,\), .* 3 labels for each row"),
    ],
)  # fmt: skip
def test_a_network_of_another_shape_is_not_gone_on_with(make, y, change, y_then, match, call):
    with pytest.raises(ValueError, match=match):
        gone_on(make, call, y, change, y_then)


def test_fewer_columns_of_labels():
    estimator = classifier().partial_fit(X, SEVERAL, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"y has shape \(201, 2\), .* 3 labels for each row"):
        estimator.partial_fit(X, SEVERAL[:, :2])


def test_columns_that_say_where_numbers_are_missing():
    holes = np.where(X > 1.5, np.nan, X)
    with pytest.raises(ValueError, match=r"X has 10 columns, with those that allow_nan adds, .* 5"):
        regressor(warm_start=True).fit(X, NUMBER).set_params(allow_nan=True).fit(holes, NUMBER)


def grouped(parameters):
    """An optimiser whose groups have the parameters in another order than the network."""
    weights = [p for p in parameters if p.ndim > 1]
    biases = [p for p in parameters if p.ndim == 1]
    return optim.AdamW([{"params": weights, "weight_decay": 0.1}, {"params": biases}], lr=0.02)


def in_order(parameters):
    """The same in the order of the network."""
    groups = [{"params": [p], "weight_decay": 0.1 if p.ndim > 1 else 0.01} for p in parameters]
    return optim.AdamW(groups, lr=0.02)


def test_partial_fit_keeps_an_optimizer_of_groups():
    found = []
    for solver in (grouped, in_order):
        estimator = regressor(
            solver=solver, learning_rate=lambda o: optim.lr_scheduler.ExponentialLR(o, 0.5)
        )
        for _ in range(5):
            estimator.partial_fit(X, NUMBER)
        found.append(estimator.predict(X))
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_lbfgs_goes_on_in_float64():
    rows, found = X.astype(np.float32), []
    for room in (networks, None):
        given = {"hidden_layer_sizes": (8, 8), "warm_start": True, **GIVEN}
        estimator = regressor(**given) if room is None else room.MLPRegressor(**given)
        estimator.fit(rows, NUMBER).set_params(solver="lbfgs", max_iter=4).fit(rows, NUMBER)
        found.append(estimator)
    theirs, mine = found
    assert mine.n_iter_ == theirs.n_iter_ == 4
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-4)
    assert {a.dtype for a in (*mine.coefs_, *mine.intercepts_)} == {np.dtype(np.float64)}


def test_lbfgs_goes_on_from_all_numbers_of_float32():
    rows = X.astype(np.float32)
    given = {"activation": nn.PReLU, "normalization": "layer", "residual": True, "warm_start": True}
    estimator = regressor(**given, max_iter=60).fit(rows, NUMBER)
    before = estimator.predict(rows)
    estimator.set_params(solver="lbfgs", tol=1e9).fit(rows, NUMBER)  # no step is needed
    assert estimator.coefs_[0].dtype == np.float64
    np.testing.assert_allclose(estimator.predict(rows), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("y", "of_class", "lacks"),
    [
        (THREE, {0: 1.0, 2: 3.0}, THREE != 2),
        (np.array(["a", "b", "c"])[THREE], {"c": 3.0}, THREE != 2),
        (SEVERAL, [{1: 3.0}, {0: 2.0}, {1: 2.0}], (SEVERAL[:, 0] == 0) & (SEVERAL[:, 1] == 1)),
    ],
    ids=["numbers", "names", "several"],
)
def test_rows_of_partial_fit_may_lack_a_class_that_has_a_weight(y, of_class, lacks):
    found = []
    for weighted in (True, False):
        estimator = classifier(class_weight=of_class if weighted else None, batch_size="auto")
        for chosen in (np.full(len(y), True), lacks):
            weights = None
            if not weighted:
                columns = y.reshape(len(y), -1)[chosen]
                every = of_class if isinstance(of_class, list) else [of_class]
                weights = np.prod(
                    [[of.get(c, 1.0) for c in column.tolist()]
                     for of, column in zip(every, columns.T, strict=True)],
                    axis=0,
                )  # fmt: skip
            classes = np.unique(y) if y.ndim == 1 else [0, 1, 2]
            estimator.partial_fit(X[chosen], y[chosen], weights, classes)
        found.append(estimator.predict_proba(X))
    np.testing.assert_array_equal(*found)


def test_a_weight_of_a_class_that_is_none():
    estimator = classifier(class_weight={"no": 2.0, "si": 3.0})
    with pytest.raises(ValueError, match="not in class_weight"):
        estimator.partial_fit(X, np.array(["no", "yes"])[TWO], classes=["no", "yes"])
