"""Reports: one page whose figures are those of the predictions."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from chainrule import tabular

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
    assert column[0] == "number"
    assert f"median {np.median(FRAME['size <m2>'][TEST]):.4g}" in column[1]
    assert "missing" in rows["town"][1]
    assert rows["built"][1].startswith("19")
    importances = {name: float(rows[name][3]) for name in FRAME}
    assert max(importances, key=importances.get) == "size <m2>"


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


def test_permutation_importances(price_model):
    found = tabular.permutation_importances(price_model, FRAME[TEST], PRICE[TEST])
    assert set(found) == set(FRAME)
    assert found["size <m2>"] > 10 * abs(found["noise"])
    again = tabular.permutation_importances(price_model, FRAME[TEST], PRICE[TEST])
    assert found == again


def test_rows_that_do_not_fit_leave_no_file(price_model, tmp_path):
    with pytest.raises(ValueError, match="lacks 'town'"):
        tabular.write_report(tmp_path / "r.html", price_model, FRAME.drop(columns="town"), PRICE)
    assert not list(tmp_path.iterdir())
