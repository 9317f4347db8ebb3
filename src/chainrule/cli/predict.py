"""`chainrule predict`: a model's predictions as CSV."""

from __future__ import annotations

import sys

import click

from chainrule.cli.options import (
    data_argument,
    header_option,
    mnist_option,
    model_argument,
    part_option,
)


@click.command(
    short_help="Predict with a saved model.",
    epilog="""\b
Examples:
  chainrule predict digits.safetensors digits
  chainrule predict houses.safetensors new-houses.csv -o prices.csv
  chainrule predict photos.safetensors photo.jpg
""",
)
@model_argument
@data_argument
@mnist_option
@part_option
@header_option
@click.option(
    "-o", "--out", metavar="FILE.csv", help="Where to write.  [default: -, standard output]"
)
@click.option("--proba", is_flag=True, help="Add a column with the probability of each class.")
def predict(
    model: str,
    data: str,
    folder: str | None,
    part: str | None,
    header: bool | None,
    out: str | None,
    proba: bool,
) -> None:
    """Predict with a saved model: one line of CSV for each row of DATA, in its order.

    DATA is of the kind that the model was trained on: a .csv, .parquet or .npz file (without y it
    will do), digits, mnist, fashion-mnist or cifar10, an image or a folder of images; of a model of
    tables - is standard input. A table's columns are found by their names, in any order; the target
    and others need not be there, and are ignored whatever they hold. Where the table or the model
    has no names, columns go by their order. Classes are printed as the labels that the training
    data had. Of images the file comes first.
    """
    from chainrule.cli.building import as_input
    from chainrule.cli.files import check_outputs
    from chainrule.cli.output import say_notice
    from chainrule.cli.predictions import table_to_csv, to_csv
    from chainrule.cli.saved import saved_of
    from chainrule.cli.saved_table import table_of
    from chainrule.cli.sources import files_of, read_to_use
    from chainrule.cli.table_data import naming, read_table_to_use
    from chainrule.train.model_file import read

    out = None if out == "-" else out
    if out is None and sys.stdout is None:
        raise OSError("standard output is closed: there is nowhere to write to. Give --out.")
    _check_form(out)
    check_outputs({"--out": out}, [model, *files_of(data, folder)])
    tensors, description = read(model)
    if (table := table_of(model, tensors, description)) is not None:
        if proba and not table.model.is_classification:
            raise ValueError(_NO_PROBABILITIES.format(model))
        frame = read_table_to_use(data, table, folder, part, header=header)
        with naming(data):
            text = table_to_csv(table, frame, proba=proba)
        _give(text, len(frame), out)
        return
    saved = saved_of(model, tensors, description)
    if proba and saved.task.classes is None:
        raise ValueError(_NO_PROBABILITIES.format(model))
    found = read_to_use(data, folder, saved.trained_on, part=part, header=header, with_target=False)
    say_notice(found)
    text = to_csv(saved.predict(as_input(found.x)), saved, proba=proba, files=found.files)
    _give(text, len(found.x), out)


_NO_PROBABILITIES = "{} is a regression: it has no probabilities. Leave --proba out."


_OTHER_FORMS = (
    ".parquet", ".pq", ".feather", ".arrow", ".json", ".jsonl", ".xlsx", ".xls", ".npz", ".npy",
    ".gz", ".bz2", ".xz", ".zst", ".zip",
)  # fmt: skip


def _check_form(out: str | None) -> None:
    """Raise ValueError for a file whose name says that it is no CSV."""
    if out is not None and out.lower().endswith(_OTHER_FORMS):
        raise ValueError(
            f"--out {out}: predictions are written as CSV. Name a .csv file; "
            "pandas.read_csv(file).to_parquet(...) and its like make others of it."
        )


def _give(text: str, rows: int, out: str | None) -> None:
    """Write predictions to a file, or to standard output."""
    from chainrule.cli.output import say, write
    from chainrule.system.atomic_files import is_stream, write_atomically

    if out is None:
        write(text)
        return
    write_atomically(out, text.encode())
    if not is_stream(out):  # as /dev/stdout, where it would follow the predictions
        say(f"{rows:,} predictions: {out}")
