"""Dates in text: the forms that are known, and which part comes first."""

import json

import numpy as np
import pytest

from chainrule.tabular import Columns

pd = pytest.importorskip("pandas")

ROWS = 60
MOMENTS = pd.Series(
    pd.to_datetime("2019-03-01") + pd.to_timedelta(np.arange(ROWS) * 977 * 61, unit="s")
)


def through_json(columns):
    return Columns.from_dict(json.loads(json.dumps(columns.to_dict())))


def numbers(columns, values):
    return columns.transform(pd.DataFrame({"when": list(values)}))["numbers"]


@pytest.mark.parametrize(
    ("form", "order"),
    [
        ("%Y-%m-%d", ""),
        ("%Y/%m/%d %H:%M", ""),
        ("%Y.%m.%d", ""),
        ("%d.%m.%Y", ""),
        ("%d.%m.%Y %H:%M:%S", ""),
        ("%d/%m/%Y", ", day first"),
        ("%d-%m-%Y %H:%M", ", day first"),
        ("%m/%d/%Y", ", month first"),
        ("%m/%d/%Y %I:%M:%S %p", ", month first"),
        ("%m/%d/%Y, %I:%M %p", ", month first"),
        ("%m-%d-%Y", ", month first"),
        ("%d %b %Y", ""),
        ("%d-%b-%y", ""),
        ("%d%b%Y", ""),
        ("%d. %B %Y", ""),
        ("%b %d, %Y", ""),
        ("%B %d %Y %H:%M:%S", ""),
        ("%Y-%b-%d", ""),
        ("%a, %d %b %Y %H:%M:%S GMT", ""),
        ("%A, %B %d, %Y", ""),
        ("%a %b %d %H:%M:%S %Y", ""),
        ("%d/%b/%Y:%H:%M:%S +0000", ""),
        ("%m/%d/%y %I:%M %p", ", month first"),
        ("%B %Y", ""),
        ("%Y-%m", ""),
    ],
)
def test_texts_of_dates_are_the_dates_that_pandas_wrote(form, order):
    written = MOMENTS.dt.strftime(form)
    columns = Columns.fit(pd.DataFrame({"when": written}))
    assert columns.describe()[0]["decision"].startswith(f"text of dates{order}: ")
    columns = through_json(columns)
    meant = pd.to_datetime(written, format=form)
    np.testing.assert_array_equal(numbers(columns, written), numbers(columns, meant))
    expected = Columns.fit(pd.DataFrame({"when": meant}))
    np.testing.assert_array_equal(numbers(columns, written), numbers(expected, meant))
    # One date alone is read as the training decided, and so is one as ISO 8601 writes it.
    for row in (0, 7):
        np.testing.assert_array_equal(
            numbers(columns, written[row : row + 1])[0], numbers(columns, meant)[row]
        )
    np.testing.assert_array_equal(
        numbers(columns, meant.dt.strftime("%Y-%m-%dT%H:%M:%S")), numbers(columns, meant)
    )


def test_texts_without_leading_zeros_and_with_parts_of_a_second():
    plain = [f"{m.month}/{m.day}/{m.year} {m.hour}:{m:%M:%S}.5" for m in MOMENTS]
    meant = MOMENTS + pd.Timedelta("0.5s")
    short = [f"{m.month}/{m.day}/{m:%y}" for m in MOMENTS]
    for written, dates in ((plain, meant), (short, MOMENTS.dt.normalize())):
        columns = Columns.fit(pd.DataFrame({"when": written}))
        assert columns.columns[0].wanted == "dates, month first"
        expected = Columns.fit(pd.DataFrame({"when": dates}))
        np.testing.assert_array_equal(numbers(columns, written), numbers(expected, dates))


def test_which_part_is_the_month_is_never_guessed():
    firsts = pd.date_range("2020-01-01", periods=12, freq="MS").strftime("%d/%m/%Y")
    table = pd.DataFrame({"when": [*firsts] * 5})
    (found,) = Columns.fit(table).columns
    assert "text of dates in no sure order of 12 values" in found.reason
    with pytest.raises(
        ValueError, match=r"text of dates in no sure order, not dates\. Write them as 2026-12"
    ):
        Columns.fit(table, dates=["when"])
    by_day = Columns.fit(pd.DataFrame({"when": [*firsts, "31/01/2020"]}))
    assert by_day.columns[0].wanted == "dates, day first"
    with pytest.raises(
        ValueError, match=r"held dates, day first in training and now holds text, as '12/31/2020'"
    ):
        numbers(by_day, ["12/31/2020"])


@pytest.mark.parametrize("form", ["%y/%m/%d", "%y.%m.%d", "%d.%m.%y", "%d/%m/%y"])
def test_which_part_is_the_year_is_never_guessed(form):
    def order(year):
        days = pd.date_range(f"{year}-01-01", periods=400).strftime(form)
        found, _ = Columns.fit(pd.DataFrame({"when": days, "x": range(400)})).columns
        return found.wanted or found.reason

    assert "text of dates in no sure order" in order(2020)
    assert order(1998) == f"dates, {'day' if form[1] == 'd' else 'year'} first"


@pytest.mark.parametrize(
    "odd",
    [
        "31/02/2020", "12-31-20", "31-12-20", "2020-13-01", "1.2.3", "12:30", "31.12.2020 25:00",
        "1.2.10", "31 Foo 2020", "31 ſep 2020", "13/13/2020", "12/31/2020 13:00 PM", "1/2-2020",
        "4711-05", "３１.12.2020",
    ],
)  # fmt: skip
def test_a_column_with_anything_else_stays_text(odd):
    dates = [*MOMENTS.dt.strftime("%d/%m/%Y")]
    assert Columns.fit(pd.DataFrame({"when": dates})).describe()[0]["kind"] == "date"
    (found,) = Columns.fit(pd.DataFrame({"when": [*dates, odd]})).columns
    assert "text" in found.reason and "dates" not in found.reason


def test_a_gap_is_missing_and_a_two_digit_year_has_a_month_by_name():
    texts = ["1-Jan-69", "2-JAN-68", None, "?", "3-jan-1970"]
    columns = Columns.fit(pd.DataFrame({"when": texts}))
    days = numbers(columns, texts)[:, 0]
    expected = np.array(["1969-01-01", "2068-01-02", "1970-01-03", "1970-01-03", "1970-01-03"])
    meant = pd.to_datetime(expected).to_numpy().astype("datetime64[D]")
    np.testing.assert_array_equal(days, (meant - meant[0]).astype(float))
