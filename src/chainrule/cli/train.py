"""`chainrule train`: the options, and which training they are for."""

from __future__ import annotations

from typing import Any

import click

from chainrule.cli.errors import INTERRUPTED
from chainrule.cli.options import (
    ACTIVATIONS,
    LARGE_BATCH,
    LEARNING_RATES,
    MANY_ROWS,
    MAX_WIDTH,
    MODELS,
    ROW_MODELS,
    SMALL_BATCH,
    Number,
    SectionedCommand,
    Size,
    Widths,
    check_models,
    header_option,
    mnist_option,
    option,
)

_LAYERS = ("mlp", "cnn")
_STEPPED = ("mlp", "cnn", "gpt")
_TABLES = ("realmlp",)


@click.command(
    cls=SectionedCommand,
    short_help="Train a network on a data set or on your own file.",
    epilog="""\b
Examples:
  chainrule train digits --out digits.safetensors
  chainrule train mnist --data mnist-folder --model cnn
  chainrule train photos --size 64 --out photos.safetensors
  chainrule train houses.csv --target price --out houses.safetensors
  chainrule train long.npz --epochs 500 --checkpoint run.safetensors --resume
  chainrule train plays.txt --model gpt --out plays.safetensors
  chainrule train news.txt --model word2vec --out words.safetensors
""",
)
@click.argument("data", metavar="DATA")
@option(
    "--model",
    type=click.Choice(MODELS),
    section="Model",
    help="realmlp: the best known recipe for tables. mlp: layers that are fully connected. cnn: "
    "convolutions, for images. gpt: a transformer that writes text. word2vec: vectors of words.  "
    "[default: realmlp for a table, cnn for a folder of images, else mlp]",
)
@option(
    "--hidden",
    type=Widths(),
    section="Model",
    models=ROW_MODELS,
    help="Widths of the hidden layers, or none.  [default: 256,256,256 for "
    "realmlp, 128 for cnn, else 128,128]",
)
@option(
    "--channels",
    type=Widths(),
    section="Model",
    models=("cnn",),
    help="Channels of the convolutions, 3 x 3 each, with batch normalisation and activation; "
    "maxima over 2 x 2 pixels halve the image after each.  [default: 16,32; for larger images "
    "more, until 7 pixels are left]",
)
@option(
    "--activation",
    type=click.Choice(list(ACTIVATIONS)),
    default="relu",
    show_default=True,
    section="Model",
    models=_LAYERS,
)
@option(
    "--batch-norm",
    is_flag=True,
    section="Model",
    models=_LAYERS,
    help="Normalise every hidden layer over the batch, before its activation.",
)
@option(
    "--dropout",
    type=Number(0, 1, below=True),
    section="Model",
    models=(*_TABLES, *_STEPPED),
    help="The share of each hidden layer's activations that training leaves out at random.  "
    "[default: 0.15 for realmlp but with --preset fast, 0.5 for cnn, else 0]",
)
@option(
    "--layers",
    type=click.IntRange(1, 1000),
    default=4,
    show_default=True,
    section="Model",
    models=("gpt",),
    help="Layers of attention, each with two linear layers.",
)
@option(
    "--heads",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    section="Model",
    models=("gpt",),
    help="Heads of each attention.",
)
@option(
    "--width",
    type=click.IntRange(1, MAX_WIDTH),
    default=128,
    show_default=True,
    section="Model",
    models=("gpt",),
    help="How many numbers stand for a character within the model.",
)
@option(
    "--context",
    type=click.IntRange(1, MAX_WIDTH),
    default=64,
    show_default=True,
    section="Model",
    models=("gpt",),
    help="The characters that the model sees at once.",
)
@option(
    "--vector-size",
    type=click.IntRange(1, MAX_WIDTH),
    default=100,
    show_default=True,
    section="Model",
    models=("word2vec",),
    help="How many numbers a word's vector has.",
)
@option(
    "--window",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    section="Model",
    models=("word2vec",),
    help="How far a word may stand from another to count as its context.",
)
@option(
    "--negative",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    section="Model",
    models=("word2vec",),
    help="Words drawn at random against each.",
)
@option(
    "--min-count",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    section="Model",
    models=("word2vec",),
    help="Rarer words are left out.",
)
@option(
    "--cbow",
    is_flag=True,
    section="Model",
    models=("word2vec",),
    help="Foresee a word by the mean of its contexts, not by each of them (skip-gram).",
)
@mnist_option
@option(
    "--target",
    metavar="COLUMN",
    section="Data",
    models=ROW_MODELS,
    help="The column of a table to predict: its name, or its index from 0 (a whole number that "
    "is no column's name).  [default: the last one]",
)
@header_option
@option(
    "--drop",
    multiple=True,
    metavar="COLUMN",
    section="Data",
    models=_TABLES,
    help="A column to leave out, by name or by index as of --target. This and the next three "
    "options may be given several times.",
)
@option(
    "--categorical",
    multiple=True,
    metavar="COLUMN",
    section="Data",
    models=_TABLES,
    help="A column of categories, though it holds numbers.",
)
@option(
    "--numeric",
    multiple=True,
    metavar="COLUMN",
    section="Data",
    models=_TABLES,
    help="A column of numbers, though it looks like identifiers.",
)
@option(
    "--date",
    multiple=True,
    metavar="COLUMN",
    section="Data",
    models=_TABLES,
    help="A column of dates or times.",
)
@option(
    "--test-fraction",
    type=Number(0, 1, below=True),
    default=0.2,
    show_default=True,
    section="Data",
    models=_TABLES,
    help="The share of rows that are held out to measure the trained model.",
)
@option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    section="Data",
    models=ROW_MODELS,
    help="What the targets are.  [default: classification if they are text, or whole numbers of at "
    "most 20 different values, each in 2 rows or more on average; else regression]",
)
@option(
    "--size",
    type=Size(),
    metavar="N|HxW",
    section="Data",
    models=ROW_MODELS,
    help="The size in pixels to which the images of a folder are brought.  [default: as they are]",
)
@option(
    "--grayscale",
    is_flag=True,
    section="Data",
    models=ROW_MODELS,
    help="Take the brightness of a folder's images, without their colours.",
)
@option(
    "--validation-fraction",
    type=Number(0, 1, below=True),
    section="Data",
    models=_STEPPED,
    help="The share of rows to hold out of the training.  [default: 0.2 for data without a test "
    "part, and where --patience is given; else 0; of a text 0.1, its end]",
)
@option(
    "--preset",
    type=click.Choice(["fast", "default", "ensemble", "best"]),
    default="default",
    show_default=True,
    section="Training",
    models=_TABLES,
    help="default: RealMLP-TD. fast: a simpler network. ensemble: five, averaged. best: ten.",
)
@option(
    "--time-budget",
    type=Number(0, above=True),
    metavar="SECONDS",
    section="Training",
    models=_TABLES,
    help="How long the training may take: it is shortened to fit.",
)
@option(
    "--optimizer",
    type=click.Choice(list(LEARNING_RATES)),
    default="sgd",
    show_default=True,
    section="Training",
    models=_LAYERS,
)
@option(
    "--lr",
    type=Number(0, above=True),
    section="Training",
    help="The learning rate.  [default: 0.1 for sgd, 0.01 for adagrad, 0.0001 for lion, 0.025 for "
    "word2vec; by realmlp 0.04 for classes and 0.2 for numbers, 0.07 with --preset fast; else "
    "0.001]",
)
@option(
    "--momentum",
    type=Number(0, 1, below=True),
    section="Training",
    models=_LAYERS,
    help="Of sgd and rmsprop.  [default: 0.9 for sgd, 0 for rmsprop]",
)
@option(
    "--weight-decay",
    type=Number(0),
    section="Training",
    models=(*_TABLES, *_STEPPED),
    help="[default: 0.01 for adamw, 0.02 for realmlp but with --preset fast, 0.1 for gpt, else 0]",
)
@option(
    "--schedule",
    type=click.Choice(["constant", "step", "exponential", "inverse-time", "linear", "cosine"]),
    default="cosine",
    show_default=True,
    section="Training",
    models=_LAYERS,
    help="How the learning rate falls over the training: never; to a tenth after each third; "
    "evenly to a hundredth; as 1/t to a tenth; as a line to 0; as half a cosine to 0.",
)
@option(
    "--warmup",
    type=Number(0),
    default=0,
    show_default=True,
    metavar="EPOCHS",
    section="Training",
    models=_LAYERS,
    help="Over how many epochs the learning rate rises first.",
)
@option(
    "--clip-norm",
    type=Number(0),
    default=1,
    show_default=True,
    section="Training",
    models=_STEPPED,
    help="The largest norm of all gradients together; 0 for no limit.",
)
@option(
    "--epochs",
    type=click.IntRange(1),
    section="Training",
    models=(*ROW_MODELS, "word2vec"),
    help=f"[default: 256 for realmlp; 5 for cnn from {MANY_ROWS:,} images on, and for word2vec; "
    "else 30]",
)
@option(
    "--steps",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    section="Training",
    models=("gpt",),
    help="Batches to train on; an epoch is 250 of them.",
)
@option(
    "--batch-size",
    type=click.IntRange(1),
    section="Training",
    models=(*_TABLES, *_STEPPED),
    help=f"[default: 256 for realmlp; 12 contexts for gpt; else {SMALL_BATCH}, {LARGE_BATCH} from "
    f"{MANY_ROWS:,} rows on]",
)
@option(
    "--patience",
    type=click.IntRange(0),
    metavar="EPOCHS",
    section="Training",
    models=_LAYERS,
    help="Stop early: after more than this many epochs in which the loss on the held-out rows did "
    "not improve; keep the best epoch's weights.",
)
@option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    show_default=True,
    section="Training",
    help="Of the weights, the order of the rows and the held-out rows. The same seed gives the "
    "same model.",
)
@option("-o", "--out", metavar="FILE.safetensors", section="Files", help="Where to save the model.")
@option(
    "--report",
    metavar="FILE.html",
    section="Files",
    models=_TABLES,
    help="Write a page on the model here: what was decided, how good it is on the test rows and "
    "where it is wrong, which columns matter.",
)
@option(
    "--checkpoint",
    metavar="FILE",
    section="Files",
    models=_STEPPED,
    help="Save all of the training's state here after every epoch.",
)
@option(
    "--resume",
    is_flag=True,
    section="Files",
    models=_STEPPED,
    help="Go on from the checkpoint, if it is there.",
)
@option(
    "--history",
    metavar="FILE.csv",
    section="Files",
    models=_STEPPED,
    help="Write every epoch's figures here.",
)
@click.pass_context
def train(ctx: click.Context, /, data: str, folder: str | None, **given: Any) -> None:
    """Train a network on a data set or on your own files.

    DATA is the name of a set, a file or a folder:

    \b
    digits         1,797 small images that come with chainrule
    mnist, fashion-mnist, cifar10
                   read from their own files in the folder --data
    FILE.csv, FILE.parquet, -
                   a table of numbers, text, dates and missing values, also
                   compressed (.gz); - reads it from standard input. It is
                   read by pandas; --model mlp needs no pandas, and takes
                   numbers alone
    FILE.npz       arrays x and y (rows first), and x_test and y_test if there
                   is a test part
    FOLDER         images, PNG or JPEG, in a folder for each class; if it
                   holds train and test, these hold the classes' folders
    FILE.txt       text in UTF-8 or UTF-16, for --model gpt and word2vec

    Labels of classes in .csv and .npz files are whole numbers; realmlp
    takes text, too.

    Ctrl-C ends the training; the model trained so far is saved.
    """
    from chainrule.cli.files import check_outputs
    from chainrule.cli.output import show_files
    from chainrule.cli.sources import default_model, files_of

    given["model"] = given["model"] or default_model(data)
    check_models(ctx, given["model"])
    _check_usage(data, folder, given)
    outputs = {f"--{name}": given[name] for name in ("out", "report", "checkpoint", "history")}
    check_outputs(outputs, files_of(data, folder))
    interrupted = _train(data, folder, given)
    show_files(given, interrupted=interrupted)
    if interrupted:
        ctx.exit(INTERRUPTED)


def _train(data: str, folder: str | None, given: dict[str, Any]) -> bool:
    """Train the model that is asked for; whether Ctrl-C ended the training."""
    from chainrule.cli.sources import check_is_table, check_is_text, check_options

    if given["model"] == "gpt":
        from chainrule.cli.text_training import train_on_text

        check_is_text(data)
        return train_on_text(data, given)
    if given["model"] == "word2vec":
        from chainrule.cli.word_training import train_on_words

        check_is_text(data)
        return train_on_words(data, given)
    check_options(data, folder, given)
    if given["model"] == "realmlp":
        from chainrule.cli.table_training import train_on_table

        check_is_table(data)
        return train_on_table(data, given)
    from chainrule.cli.training import train_on_rows

    return train_on_rows(data, folder, given)


def _check_usage(data: str, folder: str | None, given: dict[str, Any]) -> None:
    """Raise UsageError for options that contradict each other."""
    if data in ("mnist", "fashion-mnist", "cifar10") and folder is None:
        raise click.UsageError(f"{data} needs --data FOLDER, where its files lie.")
    if given["resume"] and given["checkpoint"] is None:
        raise click.UsageError("--resume needs --checkpoint FILE, the file to go on from.")
    if given["momentum"] is not None and given["optimizer"] not in ("sgd", "rmsprop"):
        raise click.UsageError(
            f"--momentum is for sgd and rmsprop; {given['optimizer']} has its own."
        )
    if given["hidden"] == () and (given["batch_norm"] or given["dropout"]):
        option = "--batch-norm" if given["batch_norm"] else "--dropout"
        raise click.UsageError(f"{option} is of hidden layers, and --hidden none leaves none.")
    if given["report"] is not None and not given["test_fraction"]:
        raise click.UsageError("--report needs test rows: --test-fraction above 0.")
    if given["patience"] is not None and given["validation_fraction"] == 0:
        raise click.UsageError("--patience needs held-out rows: --validation-fraction above 0.")
