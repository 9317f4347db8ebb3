"""A report on a model of a table: one HTML file that needs nothing from elsewhere."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.drawing import bar_chart, line_chart, scatter_chart
from chainrule.markup import escaped
from chainrule.system.atomic_files import write_atomically
from chainrule.tables import names_of
from chainrule.tabular.cells import Cells, to_text
from chainrule.tabular.figures import Measured, baselines, check_rows, figures
from chainrule.tabular.reading import unmasked
from chainrule.tabular.targets import Classes, Numbers

_MOST_POINTS = 1000
_MOST_CLASSES = 20
_MOST_TARGETS = 8
_MOST_ROWS = 2000
"""Rows on which importances are measured."""
_BINS = 10
_CURVES = {
    "loss": "training loss",
    "validation_loss": "validation loss",
    "validation_error": "validation error",
}

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --grid: #e3e3e3; --paper: #fff; --bar: #2a6fdb; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --grid: #444; --paper: #181a1b;
  --series-0: #6ea8fe; --series-1: #f0ad5a; --bar: #6ea8fe; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .93rem; }
td, th { border-bottom: 1px solid var(--grid); padding: .25rem .9rem .25rem 0; text-align: left;
  vertical-align: top; } td.number, th.number { text-align: right; white-space: nowrap; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); }
svg { width: 100%; height: auto; } .bar { background: var(--bar); height: .7rem; min-width: 1px; }
.track { width: clamp(4rem, 12vw, 8rem); padding-top: .4rem; } .note { opacity: .8; }
.said { min-width: 11rem; } .name { min-width: 7rem; } .said, .name { overflow-wrap: anywhere; }
"""


def write_report(
    path: str | os.PathLike[str],
    model: Measured,
    table: Any,
    target: Any,
    *,
    train: tuple[Any, Any] | None = None,
    title: str = "Report",
) -> None:
    """Write a report on a model as one HTML file.

    It says what the data are and what was decided for each column, how the training went, how good
    the predictions are beside those of baselines, where they are wrong, and which columns matter.

    Args:
        path: the file.
        model: a `TabularModel`; the estimators have a method `report`.
        table, target: rows that the model was not trained on, with what it should predict.
        train: the rows it was trained on, for the baselines: a constant, and a linear model of the
            same columns; see `baselines`.
        title: of the page.

    Raises:
        OSError: if the file can't be written.
        ValueError, TypeError: for rows that the model can't take.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from chainrule import tabular
        >>> x = np.random.default_rng(0).normal(size=(90, 2))
        >>> model = tabular.fit(x[:60], x[:60, 0], "regression", epochs=3)
        >>> path = os.path.join(tempfile.mkdtemp(), "report.html")
        >>> tabular.write_report(path, model, x[60:], x[60:, 0])
        >>> os.path.getsize(path) > 5000
        True
    """
    write_atomically(path, report_page(model, table, target, train=train, title=title).encode())


def report_page(
    model: Measured,
    table: Any,
    target: Any,
    *,
    train: tuple[Any, Any] | None = None,
    title: str = "Report",
) -> str:
    """The text of a report; see `write_report`."""
    return page_of(model, table, target, compared(model, table, target, train), title)


def compared(
    model: Measured,
    table: Any,
    target: Any,
    train: tuple[Any, Any] | None,
) -> dict[str, dict[str, float]]:
    """The figures of the model, and where it is known what it was trained on of baselines."""
    found = {"the model": figures(model, table, target)}
    if train is not None:
        found |= baselines(model, train, (table, target))
    return found


def page_of(
    model: Measured,
    table: Any,
    target: Any,
    found: Mapping[str, Mapping[str, float]],
    title: str,
) -> str:
    """The text of a report, with figures that `compared` gave."""
    if isinstance(model.target, Classes):
        outcome = _classes(model, model.target, table, target)
    else:
        outcome = _errors(model, model.target, table, target)
    parts = [
        f"<h1>{escaped(title)}</h1>",
        _summary(model),
        "<h2>How good it is</h2>",
        _note(f"On {len(target):,} rows that it was not trained on."),
        _figures(found),
        *_notes(model, found),
        *outcome,
        "<h2>How the training went</h2>",
        *_curves(model),
        "<h2>Columns</h2>",
        _note(
            "Importance: how much worse the predictions get where a column's values are shuffled "
            "among the rows. What was decided: how the column becomes numbers."
        ),
        _columns(model, table, target),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escaped(title)}'
        '</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _summary(model: Measured) -> str:
    report = model.report
    kinds = [c["kind"] for c in model.columns.describe()]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    networks = len(report["members"])
    by = f"RealMLP, preset {report.get('preset')}, {networks} network{'s' * (networks > 1)}"
    lines = {
        "predicts": _predicted(model),
        "from": ", ".join(f"{n} {kind}" for kind, n in counts.items()) + " columns",
        "by": report.get("by", by),
    }
    if "rows" in report:
        took = f", in {report['seconds']:.1f} s" if "seconds" in report else ""
        lines["trained on"] = f"{report['rows']:,} rows{took}"
    rows = "".join(f"<tr><th>{k}</th><td>{escaped(v)}</td></tr>" for k, v in lines.items())
    return f"<table>{rows}</table>"


def _predicted(model: Measured) -> str:
    if model.classes is None:
        targets = _targets(model)
        return "a number" if targets == 1 else f"{targets} numbers"
    labels = list(map(str, model.classes))
    shown = ", ".join(labels[:_MOST_CLASSES])
    return f"one of {len(labels)} classes: {shown}{', ...' * (len(labels) > _MOST_CLASSES)}"


def _figures(found: Mapping[str, Mapping[str, float]]) -> str:
    names = list(found["the model"])
    rows = [[name, *(_number(row[n]) for n in names)] for name, row in found.items()]
    return _table(["", *names], rows, numbers=range(1, len(names) + 1))


def _notes(model: Measured, found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What the figures are of."""
    notes = []
    if (targets := _targets(model)) > 1:
        notes.append(
            _note(f"Of {targets} targets: r2 is the mean over them, the errors are pooled.")
        )
    if "a linear model" in found:
        kind = "logistic regression" if model.is_classification else "least squares"
        notes.append(_note(f"A linear model: {kind} on the same columns, standardised."))
    elif len(found) > 1:
        notes.append(
            _note(
                "A linear model is left out: there are too many rows and columns to solve for it."
            )
        )
    return notes


def _targets(model: Measured) -> int:
    """How many numbers are predicted for a row, or 1 for a class."""
    return 1 if isinstance(model.target, Classes) else len(model.target.mean)


def _curves(model: Measured) -> list[str]:
    """The loss and the validation error by epoch, of the first member."""
    member = model.report["members"][0]
    epochs = member["epochs"]
    note = f"The weights of epoch {member['best_epoch']} were kept"
    error = member["validation_error"]
    if error == error:
        note += f": their validation error, {_number(error)}, is the smallest"
    charts = []
    for name, label in _CURVES.items():
        values = np.array(epochs.get(name, ()), float)
        if np.isfinite(values).sum() > 1:  # one epoch has no curve
            series = {label: (np.arange(1, len(values) + 1), values)}
            charts.append(line_chart(series, title=label, x="epoch", y=label))
    return [_note(f"{note}."), *([_charts(charts)] if charts else [])]


def _classes(model: Measured, classes: Classes, table: Any, target: Any) -> list[str]:
    """Where classes are confused, and whether probabilities hold."""
    shares = model.predict_proba(table)
    codes = classes.encode(target)
    predicted = shares.argmax(axis=1)
    labels = list(map(str, classes.labels))
    parts = ["<h2>Which classes are confused</h2>"]
    if len(labels) <= _MOST_CLASSES:
        counts = np.zeros((len(labels), len(labels)), int)
        np.add.at(counts, (codes, predicted), 1)
        rows = [[label, *map(str, row)] for label, row in zip(labels, counts.tolist(), strict=True)]
        parts.append(_note("Rows: what they are. Columns: what is predicted."))
        parts.append(_table(["", *labels], rows, numbers=range(1, len(labels) + 1)))
    else:
        pairs: dict[tuple[int, int], int] = {}
        for pair in zip(codes.tolist(), predicted.tolist(), strict=True):
            if pair[0] != pair[1]:
                pairs[pair] = pairs.get(pair, 0) + 1
        most = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CLASSES]
        rows = [[labels[a], labels[b], str(count)] for (a, b), count in most]
        parts.append(_table(["is", "predicted", "rows"], rows, numbers=[2]))
    sure, hits = shares.max(axis=1), predicted == codes
    numbers = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    used = [n for n in range(_BINS) if (numbers == n).any()]
    said = [float(sure[numbers == n].mean()) for n in used]
    held = [float(hits[numbers == n].mean()) for n in used]
    weights = [float((numbers == n).mean()) for n in used]
    gap = sum(w * abs(a - b) for w, a, b in zip(weights, said, held, strict=True))
    chart = scatter_chart(
        said, held, title="calibration", x="probability of the predicted class",
        y="share that is right", diagonal=True,
    )  # fmt: skip
    counts_by = np.bincount(numbers, minlength=_BINS)
    edges = np.arange(_BINS + 1) / _BINS
    bars = bar_chart(
        edges, counts_by, title="how sure it is", x="probability of the predicted class", y="rows"
    )
    return [
        *parts,
        "<h2>Whether its probabilities hold</h2>",
        _note(f"On the dashed line they do. The mean distance from it is {gap:.3f}."),
        _charts([chart, bars]),
    ]


def _errors(model: Measured, numbers: Numbers, table: Any, target: Any) -> list[str]:
    """What is predicted beside what is right, and the errors; of each of several targets."""
    y = numbers.values(target)
    predicted = np.asarray(model.predict(table), np.float64).reshape(y.shape)
    some = np.linspace(0, len(y) - 1, min(len(y), _MOST_POINTS)).astype(int)
    numbered = [f"target {number}" for number in range(y.shape[1])]
    names = [f" of {name}" for name in names_of(target) or numbered]
    names = [""] if y.shape[1] == 1 else names
    charts = []
    for name, actual, found in zip(names[:_MOST_TARGETS], y.T, predicted.T, strict=False):
        heights, edges = np.histogram(found - actual, bins=30, range=_range_of(found - actual))
        points = scatter_chart(
            actual[some], found[some], title=f"predictions{name}", x="actual", y="predicted",
            diagonal=True,
        )  # fmt: skip
        bars = bar_chart(edges, heights, title=f"errors{name}", x="predicted - actual", y="rows")
        charts += [points, bars]
    more = f"The first {_MOST_TARGETS} of {len(names)} targets."
    return [
        "<h2>Where it is wrong</h2>",
        *([_note(more)] if len(names) > _MOST_TARGETS else []),
        _charts(charts),
    ]


def _range_of(errors: NDArray[np.float64]) -> tuple[float, float]:
    """The range of a histogram, wide enough for bins of errors that are equal but for rounding."""
    low, high = float(errors.min()), float(errors.max())
    size = max(-low, high)
    room = max(1e-6 * size, 0.5) if high - low <= 1e-9 * size else 0.0
    return low - room, high + room


def _columns(model: Measured, table: Any, target: Any) -> str:
    """For each column its values, what was decided, and how much it matters."""
    importance = permutation_importances(model, table, target)
    largest = max(importance.values(), default=0.0)
    largest = largest if largest > 0 else 1.0
    cells = {column.name: found for column, found in model.columns.cells_of(table)}
    described = sorted(model.columns.describe(), key=lambda c: -importance.get(c["name"], -np.inf))
    rows = []
    for column in described:
        name = column["name"]
        share = importance.get(name)
        width = 0.0 if share is None else 100 * (max(share, 0.0) / largest)
        said = "" if share is None else _number(share + 0.0)
        bar = f'<div class="track"><div class="bar" style="width:{width:.0f}%"></div></div>'
        texts = _values(cells.get(name)), column["decision"]
        rest = f"<td>{escaped(column['kind'])}</td>"
        rest += "".join(f'<td class="said">{escaped(text)}</td>' for text in texts)
        rows.append(
            f'<tr><td class="name">{escaped(name)}</td><td class="number">{said}</td>'
            f"<td>{bar}</td>{rest}</tr>"
        )
    heading = '<tr><th>column</th><th class="number">importance</th><th></th><th>kind</th>'
    heading += "<th>values</th><th>decision</th></tr>"
    return f'<div class="wide"><table>{heading}{"".join(rows)}</table></div>'


def _values(cells: Cells | None) -> str:
    """A column's values in few words."""
    if cells is None:
        return ""
    gone = int(cells.missing.sum())
    missing = f"; {gone} missing" if gone else ""
    present = ~cells.missing
    if not present.any():
        return "all missing"
    if cells.form == "text":
        counts: dict[str, int] = {}
        for value in cells.values:
            if value is not None:
                counts[value] = counts.get(value, 0) + 1
        most = sorted(counts, key=lambda value: (-counts[value], value))[:3]
        return f"{len(counts)} different: {', '.join(most)[:60]}{missing}"
    values = cells.values[present]
    low, middle, high = np.quantile(values, [0, 0.5, 1]).tolist()
    if cells.form == "dates":
        days = [str(np.datetime64(math.floor(day), "D")) for day in (low, high)]
        return f"{days[0]} to {days[1]}{missing}"
    return f"{_number(low)} to {_number(high)}, median {_number(middle)}{missing}"


def _number(value: float) -> str:
    """Four digits of a number, and all before its point unless they are many.

    >>> _number(0.98765), _number(80427.9), _number(1.2345e15)
    ('0.9877', '80,428', '1.234e+15')
    """
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def permutation_importances(
    model: Measured, table: Any, target: Any, *, seed: int = 0
) -> dict[str, float]:
    """For each column that is used how much worse the predictions get without it.

    Its values are shuffled among the rows. Of a classification the loss of accuracy, of a
    regression the growth of the root of the mean squared error, in the units of the target.

    Args:
        model: the model.
        table, target: rows with what it should predict; of many some are taken.
        seed: of the order.

    Raises:
        ValueError, TypeError: for rows that the model can't take, missing targets, or other numbers
            of rows and of targets.

    Source: Breiman, "Random forests", Machine Learning 45, 2001.
    """
    rng = np.random.default_rng(seed)
    used = {column.name: _objects(cells) for column, cells in model.columns.cells_of(table)}
    rows, y = len(next(iter(used.values()))), unmasked(target)
    check_rows(rows, len(y))
    some = np.sort(rng.permutation(rows)[:_MOST_ROWS])
    y = y[some]
    cells = {name: np.full(len(some), None) for name in model.columns.names}
    cells |= {name: values[some] for name, values in used.items()}
    measure = "accuracy" if model.is_classification else "rmse"
    sign = -1.0 if model.is_classification else 1.0
    before = figures(model, cells, y)[measure]
    shares = {}
    for name in used:
        shuffled = {**cells, name: cells[name][rng.permutation(len(some))]}
        shares[name] = sign * (figures(model, shuffled, y)[measure] - before)
    return shares


def _objects(cells: Cells) -> NDArray[Any]:
    """The cells of a column as Python's values, None where they are missing."""
    values = np.array(to_text(cells).values if cells.form == "dates" else cells.values, object)
    values[cells.missing] = None
    return values


def _charts(charts: Iterable[str]) -> str:
    return f'<div class="charts">{"".join(f"<div>{chart}</div>" for chart in charts)}</div>'


def _table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()
) -> str:
    right = set(numbers)
    sides = ['class="number"' if n in right else "" for n in range(len(headings))]
    head = "".join(f"<th {s}>{escaped(h)}</th>" for h, s in zip(headings, sides, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td {s}>{escaped(c)}</td>" for c, s in zip(row, sides, strict=True))
        + "</tr>" for row in rows
    )  # fmt: skip
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _note(text: str) -> str:
    return f'<p class="note">{escaped(text)}</p>'
