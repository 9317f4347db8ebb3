"""One training step of a saved model: its model, a row of its data, its loss and its optimiser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from chainrule.cli import output, sources
from chainrule.cli.building import Options, as_input, build_loss, build_optimizer
from chainrule.cli.files import check_outputs
from chainrule.cli.saved import SavedModel, saved_of
from chainrule.cli.saved_table import SavedTable, table_of
from chainrule.cli.table_data import naming, read_table_to_use
from chainrule.errors import FileError
from chainrule.inspect import Explanation
from chainrule.inspect import explain as explain_step
from chainrule.nn import Sequential
from chainrule.system.reading import reason
from chainrule.tabular.targets import criterion_of
from chainrule.train.model_file import metadata_of, read


class Asked(NamedTuple):
    """Which row of which data: the options of the command; None for what was not given."""

    data: str | None
    row: int
    folder: str | None
    part: str | None
    header: bool | None


def read_trace(path: str, others: Mapping[str, Any]) -> Explanation:
    """The explanation that `chainrule explain --json` wrote.

    Raises:
        OSError, FileError: if it can't be read, or is none.
        ValueError: for any of the other options: it has its data and letters already.
    """
    for name, value in others.items():
        if value is not None:
            raise ValueError(f"{path} is a trace, with its row and letters. Leave {name} out.")
    return Explanation.from_json(Path(path))


def sources_of(data: str | None, folder: str | None) -> Iterable[Path]:
    """The files that are read, but for the model's."""
    return () if data is None else sources.files_of(data, folder)


def explained(
    path: str, asked: Asked, letters: Any, outputs: Mapping[str, str | None]
) -> Explanation:
    """The step of a saved model on a row.

    Args:
        path: the model's file.
        asked: the row.
        letters: whose letters.
        outputs: the file of each option, which may not be what the model was trained on.

    Raises:
        OSError, ValueError, TypeError: if the model or the data can't be read, there is no such
            row, or the step can't be explained.
    """
    tensors, description = read(path)
    if (table := table_of(path, tensors, description)) is not None:
        return _of_table(path, table, asked, letters, outputs)
    saved = saved_of(path, tensors, description)
    name = _data_of(path, asked.data, saved.trained_on["name"])
    check_outputs(outputs, sources.files_of(name, asked.folder))
    found = sources.read_to_use(
        name,
        asked.folder,
        saved.trained_on,
        part=asked.part,
        default="train" if asked.data is None else "test",
        header=asked.header,
        with_target=True,
    )
    output.say_notice(found)
    x, y = found.x, found.y
    if y is None:
        raise ValueError(f"{name} lacks the targets, without which there is no loss to explain.")
    _check_row(name, asked.row, len(x))
    rows = slice(asked.row, asked.row + 1)
    targets = saved.task.encode(y[rows], name, found.files and found.files[rows])
    options = metadata_of(path, description).get("options")
    loss, optimizer = _loss_and_optimizer(path, saved, options)
    return explain_step(saved.model, as_input(x[rows]), targets, loss, optimizer, letters=letters)


def _of_table(
    path: str, saved: SavedTable, asked: Asked, letters: Any, outputs: Mapping[str, str | None]
) -> Explanation:
    name = _data_of(path, asked.data, saved.metadata.get("data"))
    check_outputs(outputs, sources.files_of(name, asked.folder))
    frame = read_table_to_use(name, saved, asked.folder, asked.part, header=asked.header)
    if saved.target not in frame.columns:
        raise ValueError(
            f"{name} lacks the target column {saved.target!r}, without which there is no loss to "
            "explain."
        )
    _check_row(name, asked.row, len(frame))
    frame = frame.iloc[asked.row : asked.row + 1]
    if frame[saved.target].isna().any():
        raise ValueError(f"{name}: row {asked.row} has no target. Take another --row.")
    model = saved.model
    with naming(name):
        arrays = model.columns.transform(saved.inputs_of(frame))
        targets = model.target.encode(saved.targets_of(frame, name))
    loss = criterion_of(model.target, 0.0).loss
    return explain_step(model.members[0], arrays, targets, loss, letters=letters)


def _data_of(path: str, given: str | None, recorded: Any) -> str:
    """The name of the data: as given, or what the model was trained on."""
    if given is not None:
        return given
    if not isinstance(recorded, str):
        raise ValueError(f"{path} does not say what it was trained on. Give DATA.")
    if recorded not in sources.BUILT_IN and not Path(recorded).exists():
        raise FileNotFoundError(
            f"{path} was trained on {recorded}, which is not here. Give DATA, as in chainrule "
            f"explain {path} DATA"
        )
    return recorded


def _check_row(name: str, row: int, rows: int) -> None:
    if row >= rows:
        raise ValueError(f"{name} has the rows 0 to {rows - 1}: there is no --row {row}.")


def _loss_and_optimizer(path: str, saved: SavedModel, options: Any) -> tuple[Any, Any]:
    """Those of its training; the optimiser as at its first step.

    Raises:
        FileError: if the file's account of its training is damaged.
    """
    try:
        widths = {name: tuple(options[name]) for name in ("hidden", "channels")}
        assert isinstance(saved.model, Sequential)
        return (
            build_loss(saved.model, saved.task),
            build_optimizer(saved.model, Options(**{**options, **widths})),
        )
    except Exception as error:
        raise FileError(
            f"{path}: what it says of its training is damaged ({reason(error)}). Train it anew."
        ) from error
