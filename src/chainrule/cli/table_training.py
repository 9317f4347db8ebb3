"""The course of a training on a table of anything, by the recipe of RealMLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import numpy as np

from chainrule import tabular
from chainrule.cli import output
from chainrule.cli.errors import INTERRUPTED
from chainrule.cli.saved_table import SavedTable, row_hashes
from chainrule.cli.sources import target_column
from chainrule.cli.tasks import choose_task, describe_task
from chainrule.data.frames import Frame, read_frame
from chainrule.graph.tensor import Array
from chainrule.tabular.training import hold_out

_LINEAR_EPOCHS = 64


def train_on_table(ctx: click.Context, name: str, given: dict[str, Any]) -> None:
    """Read the table, say what is made of its columns, train, and compare with baselines.

    Args:
        ctx: of the command, whose exit code says whether Ctrl-C ended the training.
        name: the file, or "-".
        given: the options.
    """
    found = read_frame(name, header=given["header"])
    x, y, target = _divide(name, found, given["target"])
    task = given["task"] or choose_task_of(y, f"{name}, column {target!r}")
    y = y.to_numpy() if task == "classification" else _as_numbers(y, name, target)
    train, test = _parts(y, task, given["test_fraction"], given["seed"])
    columns = tabular.Columns.fit(
        x.iloc[train],
        numeric=given["numeric"],
        categorical=given["categorical"],
        dates=given["date"],
        drop=given["drop"],
    )
    _say_data(name, found, task, y, target, train, test, inferred=given["task"] is None)
    _say_columns(columns)
    click.echo()
    options = {k: given[k] for k in ("epochs", "batch_size", "hidden", "lr", "dropout", "seed")}
    model = tabular.fit(
        x.iloc[train], y[train], task,
        preset=given["preset"], columns=columns, time_budget=given["time_budget"],
        weight_decay=given["weight_decay"], progress=True, **options,
    )  # fmt: skip
    members = model.report["members"]
    interrupted = any(member["stop_reason"] == "interrupted" for member in members)
    saved = SavedTable(
        model,
        target,
        row_hashes(model, x.iloc[train], y[train]),
        {
            "data": name,
            "task": task,
            "target_index": list(found.frame.columns).index(target),
        },
    )
    if given["out"] is not None:
        saved.save(given["out"])
    if not interrupted:
        _say_training(members, task)
        if len(test):
            _compare(model, x, y, train, test, task)
    output.show_files(given, interrupted=interrupted)
    if interrupted:
        ctx.exit(INTERRUPTED)


def choose_task_of(y: Any, name: str) -> str:
    """Classification for text, booleans, and few whole numbers; else regression."""
    values = y.to_numpy()
    if values.dtype.kind not in "iuf":
        return "classification"
    return choose_task(values, name, None).name


def _divide(name: str, found: Frame, wanted: str | None) -> tuple[Any, Any, str]:
    """The features, the targets and the name of the target; of the rows that have one."""
    names = tuple(found.frame.columns)
    if len(names) < 2:
        raise ValueError(
            f"{name} has the one column {names[0]!r}, but a target and at least one feature are "
            "needed. Separate columns by a comma, a semicolon, a tab or a bar."
        )
    target = names[target_column(name, names, wanted)]
    y = found.frame[target]
    lacks = y.isna().to_numpy()
    frame = found.frame
    if lacks.any():
        if lacks.all():
            raise ValueError(f"{name}: the target {target!r} is missing in every row")
        click.echo(
            f"Note: {name}: {int(lacks.sum()):,} rows without a target are left out.", err=True
        )
        frame, y = frame[~lacks].reset_index(drop=True), y[~lacks].reset_index(drop=True)
    return frame.drop(columns=[target]), y, target


def _as_numbers(y: Any, name: str, target: str) -> Array:
    values = y.to_numpy()
    if values.dtype.kind not in "iufb":
        raise ValueError(f"{name}, column {target!r} holds text: leave --task regression out")
    return np.asarray(values, np.float64)


def _parts(y: Array, task: str, fraction: float, seed: int) -> tuple[Array, Array]:
    """The rows to train on and those to test on."""
    if task == "regression":
        return hold_out(np.zeros(len(y), np.int64), fraction, seed, stratify=False)
    labels = np.unique(y.astype(str), return_inverse=True)[1]
    return hold_out(labels.astype(np.int64), fraction, seed, stratify=True)


def _say_data(
    name: str,
    found: Frame,
    task: str,
    y: Array,
    target: str,
    train: Array,
    test: Array,
    *,
    inferred: bool,
) -> None:
    if found.notice is not None:
        click.echo(f"Note: {name}: {found.notice}.", err=True)
    width = len(found.frame.columns) - 1
    output.line(
        "data", f"{name}: rows of {width} columns, {len(train):,} to train on, {len(test):,} to "
        "test on",
    )  # fmt: skip
    classes = sorted(set(y.tolist()), key=str) if task == "classification" else None
    output.line("task", describe_task(classes, target))
    if inferred:
        other = "regression" if task == "classification" else "classification"
        why = (
            "text, or whole numbers with few different values"
            if task == "classification"
            else "numbers, with points or many different ones"
        )
        output.line("", f"(inferred: {why}; else --task {other})")


def _say_columns(columns: tabular.Columns) -> None:
    rows = [(c["name"], c["kind"], c["decision"]) for c in columns.describe()]
    output.show_table({"column": "left", "kind": "left", "decision": "left"}, rows)


def _say_training(members: list[dict[str, Any]], task: str) -> None:
    epochs = ", ".join(str(member["best_epoch"]) for member in members)
    measure = "share of wrong classes" if task == "classification" else "standardised rmse"
    error = np.mean([member["validation_error"] for member in members])
    which = "epoch" if len(members) == 1 else "epochs"
    output.line("kept", f"{which} {epochs}: {measure} {error:.4f} on the held-out validation rows")


def _compare(
    model: tabular.TabularModel, x: Any, y: Array, train: Array, test: Array, task: str
) -> None:
    """Print the test figures of the model, of a linear model, and of a constant."""
    linear = tabular.fit(
        x.iloc[train], y[train], task, preset="fast", columns=model.columns, hidden=(),
        epochs=_LINEAR_EPOCHS,
    )  # fmt: skip
    found = {"the model": figures(model, x.iloc[test], y[test])}
    found["a linear model"] = figures(linear, x.iloc[test], y[test])
    if task == "classification":
        labels, counts = np.unique(y[train].astype(str), return_counts=True)
        share = float((y[test].astype(str) == labels[counts.argmax()]).mean())
        prior = {str(c): n / len(train) for c, n in zip(labels, counts, strict=True)}
        loss = -np.mean([np.log(prior.get(str(c), 1e-12)) for c in y[test]])
        found["the most frequent class"] = {"accuracy": share, "loss": float(loss)}
    else:
        found["the mean"] = errors_of(np.full(len(test), y[train].mean()), y[test])
    headings = {f"{len(test):,} test rows": "left"} | dict.fromkeys(found["the model"], "right")
    output.show_table(headings, [(name, *shown(row)) for name, row in found.items()])


def figures(model: tabular.TabularModel, x: Any, y: Array) -> dict[str, float]:
    """Accuracy and cross-entropy of a classification; the errors of a regression."""
    if not model.is_classification:
        return errors_of(model.predict(x), np.asarray(y, np.float64))
    shares, codes = model.predict_proba(x), model.target.encode(y)
    of_class = np.maximum(shares[np.arange(len(codes)), codes], 1e-12)
    accuracy = float((shares.argmax(axis=1) == codes).mean())
    return {"accuracy": accuracy, "loss": float(-np.log(of_class).mean())}


def errors_of(predicted: Array, y: Array) -> dict[str, float]:
    """RMSE and MAE in the target's units, and r2."""
    error = predicted - y
    variance = float(np.square(y - y.mean()).mean())
    mse = float(np.square(error).mean())
    return {
        "rmse": mse**0.5,
        "mae": float(np.abs(error).mean()),
        "r2": 1 - mse / variance if variance else float("nan"),
    }


def shown(row: Mapping[str, float]) -> list[str]:
    """Figures as text."""
    forms = {"accuracy": "{:.2%}", "loss": "{:.4f}", "r2": "{:.4f}"}
    return [forms.get(name, "{:.6g}").format(value) for name, value in row.items()]
