"""Reports: one page whose figures are those of the predictions."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from chainrule import tabular
from chainrule.tabular import linear, reading, report

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "size <m2>": RNG.normal(100, 30, 240),
        "town": RNG.choice(["Bern", "Basel", None], 240),
        "built": pd.Timestamp("1990-01-01") + pd.to_timedelta(RNG.integers(0, 9000, 240), "D"),
        "noise": RNG.normal(size=240),
    }
)
PRICE = 3 * FRAME["size <m2>"] + 50 * (FRAME["town"] == "Bern")
TRAIN, TEST = slice(0, 160), slice(160, 240)


class Cells(HTMLParser):
    """The cells of a page's tables, row by row; and that what opens closes."""

    def __init__(self):
        super().__init__()
        self.rows, self.open = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "line", "circle", "rect", "polyline"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag not in ("line", "circle", "rect", "polyline"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def read(page):
    parser = Cells()
    parser.feed(page)
    assert not parser.open
    assert not re.search(r"(src|href)=", page)
    return parser.rows


@pytest.fixture(scope="module")
def price_model():
    return tabular.fit(FRAME[TRAIN], PRICE[TRAIN], "regression", preset="fast", epochs=40)


def test_regression(price_model, tmp_path):
    path = tmp_path / "report.html"
    train = FRAME[TRAIN], PRICE[TRAIN]
    tabular.write_report(
        path, price_model, FRAME[TEST], PRICE[TEST], train=train, title="Houses & <more>"
    )
    page = path.read_text(encoding="utf-8")
    rows = {row[0]: row[1:] for row in read(page)}
    assert "Houses &amp; &lt;more&gt;" in page
    error = price_model.predict(FRAME[TEST]) - PRICE[TEST]
    assert float(rows["the model"][0]) == pytest.approx(np.sqrt((error**2).mean()), rel=1e-3)
    spread = PRICE[TEST] - PRICE[TRAIN].mean()
    assert float(rows["the mean"][0]) == pytest.approx(np.sqrt((spread**2).mean()), rel=1e-3)
    assert float(rows["a linear model"][0]) < float(rows["the mean"][0])
    assert page.count("<circle") == 80
    column = rows["size <m2>"]
    assert column[2] == "number"
    assert f"median {np.median(FRAME['size <m2>'][TEST]):.4g}" in column[3]
    assert "missing" in rows["town"][3]
    assert rows["built"][3].startswith("19")
    importances = {name: float(rows[name][0]) for name in FRAME}
    assert next(name for name in rows if name in importances) == "size <m2>"  # the largest first
    assert max(importances, key=importances.get) == "size <m2>"


def test_columns_without_names_are_found_by_their_places():
    x = np.random.default_rng(0).normal(size=(90, 2))
    model = tabular.fit(x, x[:, 0], "regression", preset="fast", epochs=20)
    expected = tabular.permutation_importances(model, x, x[:, 0])
    assert expected["x0"] > expected["x1"]
    frame = pd.DataFrame(x, columns=["a", "b"])
    assert tabular.permutation_importances(model, frame, x[:, 0]) == expected
    assert {"x0", "x1"} <= {row[0] for row in read(tabular.report_page(model, frame, x[:, 0]))}


def test_classification():
    labels = np.where(PRICE > 320, "dear", "cheap")
    model = tabular.fit(FRAME[TRAIN], labels[TRAIN], "classification", preset="fast", epochs=20)
    rows = read(tabular.report_page(model, FRAME[TEST], labels[TEST]))
    by_name = {row[0]: row[1:] for row in rows}
    predicted = model.predict(FRAME[TEST])
    assert float(by_name["the model"][0]) == pytest.approx((predicted == labels[TEST]).mean())
    for actual in ("dear", "cheap"):
        counts = [
            ((labels[TEST] == actual) & (predicted == other)).sum() for other in ("cheap", "dear")
        ]
        assert by_name[actual] == list(map(str, counts))


def test_many_classes_are_listed_by_pairs():
    labels = (FRAME["noise"].rank() // 8).astype(int).to_numpy()
    model = tabular.fit(FRAME, labels, "classification", preset="fast", epochs=2)
    rows = read(tabular.report_page(model, FRAME, labels))
    start = rows.index(["is", "predicted", "rows"])
    predicted = model.predict(FRAME)
    actual, other, count = rows[start + 1]
    assert ((labels == int(actual)) & (predicted == int(other))).sum() == int(count)


def test_one_epoch_has_no_curve():
    for epochs, charts in ((1, 0), (2, 2)):
        model = tabular.fit(FRAME, PRICE, "regression", preset="fast", epochs=epochs)
        page = tabular.report_page(model, FRAME, PRICE)
        assert page.count(">epoch</text>") == charts


def rows_of(kind, rows=160):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, 4))
    match kind:
        case "skewed":
            return np.exp(1.5 * x)
        case "heavy tails":
            return rng.standard_t(1.5, size=(rows, 4))
        case "collinear":
            return np.c_[x, x[:, 0] + x[:, 1], 10 * x[:, 2]]
        case "constant":
            return np.c_[np.full(rows, 0.1), x]
        case "far":
            return x * [1e-12, 1, 1e9, 1] + [0, 1e7, 0, 0]
        case "wide":
            return rng.normal(size=(rows, 300))
    return x


KINDS = ["normal", "skewed", "heavy tails", "collinear", "constant", "far", "wide"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [1, 2])
def test_the_linear_model_is_least_squares(kind, targets):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = rows_of(kind)
    y = x[:, :3] / x[:, :3].max(axis=0) @ [3.0, -2.0, 1.0]
    y = y + 0.1 * np.random.default_rng(2).normal(size=len(y))
    if targets == 2:
        y = np.c_[y, 1000 * x[:, 3]]
    train, test = (x[:100], y[:100]), (x[100:], y[100:])
    model = tabular.fit(*train, "regression", preset="fast", epochs=1, hidden=(4,))
    found = tabular.baselines(model, train, test)["a linear model"]
    encoded = [model.columns.transform(rows)["numbers"] for rows in (train[0], test[0])]
    other = make_pipeline(StandardScaler(), LinearRegression()).fit(encoded[0], train[1])
    predicted = other.predict(encoded[1])
    assert found["r2"] == pytest.approx(r2_score(test[1], predicted), rel=1e-6, abs=1e-6)
    assert found["mae"] == pytest.approx(mean_absolute_error(test[1], predicted), rel=1e-6)
    if targets == 1:
        error = root_mean_squared_error(test[1], predicted)
        assert found["rmse"] == pytest.approx(error, rel=1e-6)
    if kind not in ("wide", "far"):  # there the scale decides which columns count
        plain = LinearRegression().fit(encoded[0], train[1]).predict(encoded[1])
        assert found["r2"] == pytest.approx(r2_score(test[1], plain), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", [*KINDS, "separable"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_linear_model_is_logistic_regression(kind, classes):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = rows_of(kind)
    y = x[:, 1] + (x[:, 2] / np.abs(x[:, 2]).max() if kind != "separable" else 0)
    y = np.digitize(y, np.quantile(y, [0.3, 0.7][: classes - 1]))
    train, test = (x[:100], y[:100]), (x[100:], y[100:])
    model = tabular.fit(*train, "classification", preset="fast", epochs=1, hidden=(4,))
    found = tabular.baselines(model, train, test)["a linear model"]
    encoded = [model.columns.transform(rows)["numbers"] for rows in (train[0], test[0])]
    other = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000, tol=1e-9))
    shares = other.fit(encoded[0], train[1]).predict_proba(encoded[1])
    assert found["accuracy"] == accuracy_score(test[1], shares.argmax(axis=1))
    shares = np.maximum(shares, 1e-12)  # the least that counts in the figures
    expected = log_loss(test[1], shares / shares.sum(axis=1, keepdims=True))
    assert found["loss"] == pytest.approx(expected, rel=1e-4)


def test_the_linear_model_has_a_column_for_each_embedded_value():
    rng = np.random.default_rng(3)
    towns = np.array([f"town {n}" for n in rng.integers(0, 30, 400)])
    heights = {f"town {n}": float(rng.normal()) for n in range(30)}
    y = np.array([heights[town] for town in towns])
    for table in ({"town": towns}, {"town": towns, "size": rng.normal(size=400)}):
        model = tabular.fit(table, y, "regression", epochs=1, hidden=(4,))
        assert model.columns.sizes == (32,)
        found = tabular.baselines(model, (table, y), (table, y))
        assert found["a linear model"]["rmse"] < 1e-10
        labels = np.where(y > 0, "high", "low")
        model = tabular.fit(table, labels, "classification", epochs=1, hidden=(4,))
        found = tabular.baselines(model, (table, labels), (table, labels))
        assert found["a linear model"]["accuracy"] == 1.0


def test_classes_that_the_linear_model_does_not_see():
    x = RNG.normal(size=(90, 2))
    y = np.repeat(["a", "b", "c"], 30)
    model = tabular.fit(x, y, "classification", preset="fast", epochs=1)
    found = tabular.baselines(model, (x[:60], y[:60]), (x[60:], y[60:]))
    assert found["a linear model"]["accuracy"] == 0.0
    assert found["a linear model"]["loss"] == pytest.approx(-np.log(1e-12))
    found = tabular.baselines(model, (x[:30], y[:30]), (x[:30], y[:30]))
    assert found["a linear model"] == {"accuracy": 1.0, "loss": 0.0}


def test_the_linear_model_of_large_tables(monkeypatch):
    x = RNG.normal(size=(400, 6))
    y = x @ np.arange(6.0)
    model = tabular.fit(x, y, "regression", preset="fast", epochs=1)
    monkeypatch.setattr(linear, "_MOST_NUMBERS", 6 * 50)
    assert len(linear.Inputs(model.columns, x).rows) == 50
    assert len(linear.Inputs(model.columns, x, classes=8).rows) == 25
    found = tabular.baselines(model, (x, y), (x, y))
    assert found["a linear model"]["r2"] == pytest.approx(1)
    monkeypatch.setattr(linear, "_MOST_COLUMNS", 5)
    assert list(tabular.baselines(model, (x, y), (x, y))) == ["the mean"]
    page = tabular.report_page(model, x, y, train=(x, y))
    assert "A linear model is left out" in page
    monkeypatch.setattr(linear, "_MOST_ONE_HOT", 7)
    table = {"town": [f"town {n % (20 - n // 40)}" for n in range(400)]}
    model = tabular.fit(table, y, "regression", epochs=1, hidden=(4,))
    assert linear.Inputs(model.columns, table).width == 7


def test_dates_before_1970():
    stamps = pd.Timestamp("1950-06-23 18:00") + pd.to_timedelta(np.arange(0, 3000, 25), "D")
    frame = pd.DataFrame({"day": stamps})
    model = tabular.fit(frame, np.arange(len(frame)), "regression", preset="fast", epochs=1)
    rows = {row[0]: row for row in read(tabular.report_page(model, frame, np.arange(len(frame))))}
    assert rows["day"][4] == f"1950-06-23 to {stamps.max().date()}"


def test_several_targets():
    sklearn = pytest.importorskip("chainrule.sklearn")
    x = RNG.normal(size=(200, 3))
    y = pd.DataFrame({"price": 3 * x[:, 0], "volume": 1000 * RNG.normal(size=200), "same": 1.0})
    model = sklearn.TabularRegressor("fast", epochs=30, random_state=0).fit(x, y)
    figures = tabular.figures(model.model_, x, y)
    assert figures["r2"] == pytest.approx(model.score(x, y))
    page = tabular.report_page(model.model_, x, y, train=(x, y))
    of_arrow = tabular.report_page(model.model_, x, pytest.importorskip("pyarrow").table(y))
    for name in y:
        for text in (page, of_arrow):
            assert f"predictions of {name}<" in text and f"errors of {name}<" in text
    assert "3 numbers" in page and "r2 is the mean over them" in page
    many = np.tile(y.to_numpy(), 4)
    model = tabular.fit(x, many, "regression", preset="fast", epochs=1)
    page = tabular.report_page(model, x, many)
    assert "The first 8 of 12 targets" in page and page.count("<svg") == 2 * 8
    assert "predictions of target 7<" in page


def test_permutation_importances(price_model):
    found = tabular.permutation_importances(price_model, FRAME[TEST], PRICE[TEST])
    assert set(found) == set(FRAME)
    assert found["size <m2>"] > 10 * abs(found["noise"])
    again = tabular.permutation_importances(price_model, FRAME[TEST], PRICE[TEST])
    assert found == again


def dictionary(values, gaps):
    pa = pytest.importorskip("pyarrow")
    return pa.chunked_array([pa.array(values, mask=gaps).dictionary_encode()])


@pytest.mark.parametrize(
    "hide",
    [
        lambda y: np.where(np.arange(len(y)) == 3, np.nan, y),
        lambda y: np.ma.masked_array(y, np.arange(len(y)) == 3),
        lambda y: pd.Series(y, dtype="Float64").mask(np.arange(len(y)) == 3),
        lambda y: dictionary(y, np.arange(len(y)) == 3),
    ],
)
def test_missing_targets_are_refused(price_model, hide):
    table, hidden = FRAME[TEST], hide(PRICE[TEST].to_numpy())
    for measure in tabular.figures, tabular.report_page, tabular.permutation_importances:
        with pytest.raises(ValueError, match="y contains NaN: it is missing at row 3"):
            measure(price_model, table, hidden)
    with pytest.raises(ValueError, match="y contains NaN"):
        tabular.baselines(price_model, (table, hidden), (table, PRICE[TEST]))


@pytest.mark.parametrize("rows, targets", [(40, 30), (30, 40)])
def test_importances_take_a_target_for_each_row(price_model, rows, targets):
    with pytest.raises(ValueError, match=f"x has {rows} rows and y {targets}"):
        tabular.permutation_importances(price_model, FRAME[:rows], PRICE[:targets])


@pytest.mark.parametrize("named", [True, False])
def test_a_report_reads_columns_as_the_training_did_and_no_dropped_one(named, tmp_path):
    days = pd.date_range("2026-01-01", periods=240).strftime("%d/%m/%Y")
    frame = FRAME[["size <m2>"]].assign(on=days, lists=[[1]] * 240, wide=np.inf)
    table = frame if named else frame.to_numpy(dtype=object)
    drop = ["lists", "wide"] if named else [2, 3]
    model = tabular.fit(table[TRAIN], PRICE[TRAIN], "regression", epochs=2, drop=drop)
    early = table[:20]  # whose days alone would not tell their order
    tabular.write_report(tmp_path / "r.html", model, early, PRICE[:20])
    text = (tmp_path / "r.html").read_text()
    assert "text of dates, day first" in text and "2026-01-01 to 2026-01-20" in text


def test_dates_keep_their_milliseconds():
    stamps = pd.Timestamp("2017-07-14") + pd.to_timedelta(np.arange(2000) * 1.001, "s")
    found = report._objects(reading.read(pd.DataFrame({"t": stamps})).column(0, "t", None))
    assert (found.astype("datetime64[us]") == stamps.to_numpy()).all()


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor", "TabularClassifier"])
def test_estimators_have_a_method(kind, tmp_path):
    sklearn = pytest.importorskip("chainrule.sklearn")
    x = FRAME[["size <m2>", "noise"]]
    y = PRICE if kind == "MLPRegressor" else np.where(PRICE > 320, "dear", "cheap")
    given = {"epochs": 2} if kind == "TabularClassifier" else {"solver": "lbfgs"}
    model = getattr(sklearn, kind)(random_state=0, **given).fit(x[TRAIN], y[TRAIN])
    path = tmp_path / "report.html"
    model.report(path, x[TEST], y[TEST], train=(x[TRAIN], y[TRAIN]))
    rows = {row[0]: row[1:] for row in read(path.read_text(encoding="utf-8"))}
    predicted = model.predict(x[TEST])
    error = np.sqrt(np.square(predicted - y[TEST]).mean()) if kind == "MLPRegressor" else None
    expected = (predicted == y[TEST]).mean() if error is None else error
    assert float(rows["the model"][0]) == pytest.approx(expected, rel=1e-3)
    assert float(rows["size <m2>"][0]) > float(rows["noise"][0])
    assert rows["trained on"][0].startswith("160 rows")


@pytest.mark.parametrize(
    "convert",
    [
        lambda frame: frame,
        lambda frame: frame.astype({"dear": "boolean"}),
        lambda frame: frame.astype({"dear": "category"}),
        lambda frame: frame.to_numpy(object),
        lambda frame: frame[["dear"]].to_numpy(),
    ],
    ids=["bool", "boolean", "category", "objects", "array"],
)
def test_a_report_takes_booleans_as_the_estimator_does(convert, tmp_path):
    sklearn = pytest.importorskip("chainrule.sklearn")
    y = FRAME["noise"] + 2.0 * (PRICE > 320)
    given = convert(pd.DataFrame({"noise": FRAME["noise"], "dear": PRICE > 320}))
    plain = pd.DataFrame(given).astype(float)
    plain = plain if isinstance(given, pd.DataFrame) else plain.to_numpy()
    shown = []
    for x in (plain, given):
        model = sklearn.MLPRegressor(solver="lbfgs", random_state=0).fit(x[TRAIN], y[TRAIN])
        model.report(tmp_path / "r.html", x[TEST], y[TEST], train=(x[TRAIN], y[TRAIN]))
        rows = {row[0]: row[1:] for row in read((tmp_path / "r.html").read_text("utf-8"))}
        importances = {name: rows[name][0] for name in {"noise", "dear", "x0", "x1"} & rows.keys()}
        shown.append([rows["the model"], rows["a linear model"], importances])
    assert shown[0] == shown[1]


def test_an_estimators_columns_may_be_in_any_order(tmp_path):
    sklearn = pytest.importorskip("chainrule.sklearn")
    x = FRAME[["size <m2>", "noise"]]
    model = sklearn.MLPRegressor(solver="lbfgs", random_state=0).fit(x[TRAIN], PRICE[TRAIN])
    pages = []
    for columns in (["size <m2>", "noise"], ["noise", "size <m2>"]):
        model.report(tmp_path / "r.html", x[TEST][columns], PRICE[TEST])
        pages.append((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert pages[0] == pages[1]


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_epoch_whose_weights_were_kept(stops, tmp_path):
    sklearn = pytest.importorskip("chainrule.sklearn")
    x, y = RNG.normal(size=(200, 3)), RNG.integers(0, 2, 200)
    held = {"X_val": x[150:], "y_val": y[150:]}
    model = sklearn.MLPClassifier((8,), max_iter=15, early_stopping=stops, n_iter_no_change=99)
    model.set_params(random_state=0, learning_rate_init=0.05).fit(x[:150], y[:150], **held)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < 15
    model.report(tmp_path / "r.html", x[150:], y[150:])
    kept = f"The weights of epoch {best if stops else 15} were kept"
    assert kept in (tmp_path / "r.html").read_text(encoding="utf-8")


def kept_epoch(model, path, *rows):
    """The epoch whose weights a report says were kept."""
    model.report(path, *rows)
    return int(re.search(r"The weights of epoch (\d+) were kept", path.read_text())[1])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_kept_epoch_of_trainings_that_go_on(tmp_path):
    sklearn = pytest.importorskip("chainrule.sklearn")
    x, y = RNG.normal(size=(200, 3)), RNG.integers(0, 2, 200)
    train, held = (x[:150], y[:150]), (x[150:], y[150:])
    given = {"X_val": held[0], "y_val": held[1]}
    options = {"random_state": 0, "learning_rate_init": 0.05}
    path = tmp_path / "r.html"

    def best(model):
        return int(np.argmax(model.validation_scores_)) + 1

    model = sklearn.MLPClassifier((8,), early_stopping=True, n_iter_no_change=99, **options)
    for _ in range(15):
        model.partial_fit(*train, classes=[0, 1], **given)
    assert best(model) < 15 and model.score(*held) == model.validation_scores_[-1]
    assert kept_epoch(model, path, *held) == 15  # the rule has not ended the training
    model.set_params(n_iter_no_change=1)
    for _ in range(5):
        model.partial_fit(*train, **given)
    assert model.score(*held) == max(model.validation_scores_)
    assert kept_epoch(model, path, *held) == best(model) < len(model.loss_curve_)

    model = sklearn.MLPClassifier((8,), max_iter=6, n_iter_no_change=99, **options)
    model.set_params(warm_start=True).fit(*train, **given).fit(*train, **given)
    assert kept_epoch(model, path, *held) == 12
    model.set_params(early_stopping=True).fit(*train, **given)
    assert best(model) < 18
    scores = model.validation_scores_[12:]
    assert kept_epoch(model, path, *held) == 13 + int(np.argmax(scores))
    model.set_params(solver="lbfgs", early_stopping=False).fit(*train)
    assert kept_epoch(model, path, *held) == model.n_iter_


def test_large_figures_are_written_in_full():
    prices = 1000 * PRICE
    model = tabular.fit(FRAME[TRAIN], prices[TRAIN], "regression", preset="fast", epochs=40)
    figures = tabular.figures(model, FRAME[TEST], prices[TEST])
    assert figures["rmse"] > 1e4
    page = tabular.report_page(model, FRAME[TEST], prices[TEST])
    rows = {row[0]: row[1:] for row in read(page)}
    assert rows["the model"][0] == f"{figures['rmse']:,.0f}"
    assert rows["the model"][2] == f"{figures['r2']:.4g}"
    assert "e+0" not in page


def test_errors_that_are_equal_but_for_rounding():
    """Of one row, or of targets far from the predictions; small ones are shown as before."""
    x = RNG.normal(size=(40, 2))
    for size in (1.0, 1e18, 1e299):
        model = tabular.fit(x, size * x[:, 0], "regression", preset="fast", epochs=1, hidden=[4])
        far = 4 * size * (1 + np.finfo(float).eps * (np.arange(5) % 2))
        for table, y in ((x[:1], size * x[:1, 0]), (x[[0] * 5], far)):
            assert "errors" in tabular.report_page(model, table, y)


@pytest.mark.parametrize("size", [2.0**-1010, 2.0**-665, 2.0**665, 2.0**990])
def test_targets_of_any_size(size, tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3))
    y = np.round(x @ [1.0, 2.0, 3.0], 2)
    options = {"loss": "gaussian", "epochs": 5, "hidden": (8,)}
    one = tabular.fit(x, y, "regression", **options)
    other = tabular.fit(x, size * y, "regression", **options)
    np.testing.assert_allclose(other.predict_std(x), size * one.predict_std(x))
    figures, sized = tabular.figures(one, x, y), tabular.figures(other, x, size * y)
    assert sized["r2"] == pytest.approx(figures["r2"]) and figures["r2"] > 0
    for name in ("rmse", "mae"):
        assert sized[name] == pytest.approx(size * figures[name], abs=0)
    error = one.predict(x) - y
    assert figures["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
    rows = x, size * y
    tabular.write_report(tmp_path / "r.html", other, *rows, train=rows)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    mean = next(row for row in read(page) if row[0] == "the mean")
    assert float(mean[1]) == pytest.approx(size * y.std(), rel=1e-3, abs=0)
    assert re.findall(r"width:(\d+)%", page)[0] == "100"  # the largest importance


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_no_report_is_on(tmp_path):
    sklearn = pytest.importorskip("chainrule.sklearn")
    x, y = FRAME[["noise"]], np.stack([PRICE > 300, FRAME["noise"] > 0], axis=1).astype(int)
    model = sklearn.MLPClassifier(max_iter=2).fit(x, y)
    with pytest.raises(ValueError, match="not on several labels"):
        model.report(tmp_path / "r.html", x, y)
    with pytest.raises(ValueError, match="not fitted"):
        sklearn.TabularRegressor().report(tmp_path / "r.html", x, PRICE)
    assert not list(tmp_path.iterdir())


def test_rows_that_do_not_fit_leave_no_file(price_model, tmp_path):
    with pytest.raises(ValueError, match="lacks 'town'"):
        tabular.write_report(tmp_path / "r.html", price_model, FRAME.drop(columns="town"), PRICE)
    assert not list(tmp_path.iterdir())
