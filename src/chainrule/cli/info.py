"""`chainrule info`: what a model's file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from chainrule.cli.options import model_argument

if TYPE_CHECKING:
    from chainrule.cli.saved_table import SavedTable
    from chainrule.graph.tensor import Array


@click.command(
    short_help="Show what a model's file holds.",
    epilog="""\b
Example:
  chainrule info digits.safetensors
""",
)
@model_argument
def info(model: str) -> None:
    """Show what a model's file holds: its task, layers and training."""
    from chainrule.cli import output
    from chainrule.cli.saved_table import table_of
    from chainrule.errors import FileError
    from chainrule.system.reading import reason
    from chainrule.train.model_file import WORD_VECTORS, metadata_of, read

    tensors, description = read(model)
    output.line("file", f"{model} ({output.size_of(model)})")
    metadata = metadata_of(model, description)
    try:
        if (table := table_of(model, tensors, description)) is not None:
            _show_table(table)
            return
        if WORD_VECTORS in description:
            rows, size = tensors["vectors"].shape
            output.line("vectors", f"of {rows:,} words, {size} numbers each")
            return
        if "task" in metadata:
            _show_metadata(metadata)
        _show_network(description, tensors, metadata.get("data", {}).get("shape"))
        if "training" in description:
            _show_training(description["training"], metadata.get("options"))
    except (OSError, FileError):  # of the output, or with a message of its own
        raise
    except Exception as error:
        raise FileError(f"{model}: its description is damaged ({reason(error)})") from error


def _show_table(saved: SavedTable) -> None:
    from chainrule.cli import output
    from chainrule.cli.tasks import describe_task

    model, report = saved.model, saved.model.report
    output.line("task", describe_task(model.classes, saved.target))
    rows, seconds = report.get("rows"), report.get("seconds")
    name = saved.metadata.get("data")  # None of a model that was saved from Python
    output.line("data", f"{rows:,} rows" if name is None else f"{name}: {rows:,} rows")
    count = sum(output.count_parameters(member) for member in model.members)
    networks = f"{len(model.members)} networks" if len(model.members) > 1 else "1 network"
    output.line(
        "model", f"{networks} of RealMLP, {count:,} parameters, {seconds:.1f} s of training"
    )
    found = [(c["name"], c["kind"], c["decision"]) for c in model.columns.describe()]
    output.show_table({"column": "left", "kind": "left", "decision": "left"}, found)


def _show_metadata(metadata: dict[str, Any]) -> None:
    from chainrule.cli import output
    from chainrule.cli.saved_text import is_text
    from chainrule.cli.tasks import describe_task

    data = metadata["data"]
    if is_text(metadata):
        output.line("task", f"text, {len(metadata['tokenizer']['words'])} different characters")
        output.line("data", f"{data['name']}: {data['rows']:,} characters")
        return
    output.line("task", describe_task(metadata["classes"], data["target"]))
    row = output.describe_row(data["shape"], data["columns"])
    output.line("data", f"{data['name']}: {data['rows']:,} rows of {row}")
    if data["columns"] is not None:
        output.line("columns", ", ".join(data["columns"]))


def _show_network(
    description: dict[str, Any], tensors: dict[str, Array], input_shape: list[int] | None
) -> None:
    """The layers; of a class that is not the library's, the arrays."""
    from chainrule.cli import output
    from chainrule.markup import shape_text
    from chainrule.text import GPT
    from chainrule.train.model_file import described_model

    try:
        network = described_model(tensors, description)
    except ValueError:
        rows = [
            (name.removeprefix("model."), shape_text(array.shape), f"{array.size:,}")
            for name, array in tensors.items()
            if name.startswith("model.")
        ]
        output.show_table({"array": "left", "shape": "right", "numbers": "right"}, rows)
    else:
        if isinstance(network, GPT):
            output.show_gpt(network)
        else:
            output.show_model(network, input_shape)


def _show_training(training: dict[str, Any], options: dict[str, Any] | None) -> None:
    from chainrule.cli import output

    if options is not None:
        output.show_options(options)
    else:
        group = training["optimizer"]["state"]["param_groups"][0]
        settings = (f"{name} {value}" for name, value in group.items() if name != "params")
        output.line("optimizer", f"{training['optimizer']['class']}, {', '.join(settings)}")
    history = training["history"]
    output.line("trained", f"{training['epoch']} epochs, {training['step']:,} steps")
    if not history:
        return
    last = len(history) - 1
    names = [name for name in history[-1] if name not in ("epoch", "lr", "seconds")]
    rows = [
        [f"{history[i]['epoch']:.0f}", *(f"{history[i][name]:.4g}" for name in names)]
        for i in sorted({0, last // 4, last // 2, 3 * last // 4, last})
    ]
    headings = ["epoch", *(name.replace("_", " ") for name in names)]
    output.show_table(dict.fromkeys(headings, "right"), rows)
