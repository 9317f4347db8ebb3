"""The course of a training on text: a GPT of characters."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click
import numpy as np

from chainrule import nn, optim
from chainrule.cli import output
from chainrule.cli.resuming import fit_and_save
from chainrule.data import read_text
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.random import manual_seed
from chainrule.text import GPT, CharTokenizer
from chainrule.train import Evaluator, Trainer

_EPOCH = 250  # steps from one validation to the next
_VALIDATED = 256  # contexts that are validated after an epoch, at most


@dataclass(frozen=True)
class TextOptions:
    """The settings of a training on text, all defaults filled in; saved with the model."""

    model: str
    layers: int
    heads: int
    width: int
    context: int
    dropout: float
    lr: float
    weight_decay: float
    clip_norm: float | None
    batch_size: int
    steps: int
    validation_fraction: float
    seed: int


def _options(given: dict[str, Any]) -> TextOptions:
    """What the user gave; the defaults are nanoGPT's for a CPU."""
    defaults: dict[str, Any] = {
        "dropout": 0.0,
        "lr": 1e-3,
        "weight_decay": 0.1,
        "batch_size": 12,
        "validation_fraction": 0.1,
    }
    named = {name: given[name] for name in TextOptions.__dataclass_fields__}
    filled: dict[str, Any] = {
        name: defaults.get(name) if v is None else v for name, v in named.items()
    }
    filled["clip_norm"] = given["clip_norm"] or None
    if filled["width"] % filled["heads"]:
        raise click.UsageError(
            f"--heads {filled['heads']} must divide --width {filled['width']}: each head has an "
            "equal part of it."
        )
    return TextOptions(**filled)


class _Batches:
    """Contexts at random places of a text, and for each character the one that follows."""

    def __init__(self, tokens: Array, options: TextOptions) -> None:
        self._tokens, self._options = tokens, options
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return min(_EPOCH, self._options.steps - _EPOCH * self._epoch)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        size, context = self._options.batch_size, self._options.context
        key = np.array([self._options.seed, self._epoch], np.uint64)
        random = np.random.Generator(np.random.Philox(key=key))
        for _ in range(len(self)):
            starts = random.integers(0, len(self._tokens) - context, size)
            yield contexts_at(self._tokens, starts, context)


def contexts_at(tokens: Array, starts: Array, context: int) -> tuple[Array, Array]:
    """The contexts that begin at these places, (rows, context), and what follows each token."""
    rows = tokens[starts[:, None] + np.arange(context + 1)]
    return rows[:, :-1], rows[:, 1:]


def contexts_of(tokens: Array, context: int) -> tuple[Array, Array]:
    """The contexts of a text one after the other; a last one that is not full is left out."""
    return contexts_at(tokens, np.arange(0, len(tokens) - context, context), context)


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy of the tokens that follow, the mean over all of them."""
    return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def describe_loss(loss: float, characters: int) -> str:
    """The loss, and the number of characters that the model wavers between."""
    return f"loss {loss:.4f}  perplexity {math.exp(min(loss, 700)):.4g} ({characters:,} characters)"


def train_on_text(name: str, given: dict[str, Any]) -> bool:
    """Read a text, train a GPT, save it, and say how well it went.

    Args:
        name: the file.
        given: the other options.

    Returns:
        Whether Ctrl-C ended the training.
    """
    options = _options(given)
    text = read_text(name)
    tokenizer = CharTokenizer.fit(text)
    if len(tokenizer.vocabulary) < 2:
        raise ValueError(f"{name} holds the one character {text[0]!r}: there is nothing to learn.")
    tokens = tokenizer.encode(text)
    training, held_out = _split(name, tokens, options)
    manual_seed(options.seed)
    model = GPT(
        len(tokenizer.vocabulary), options.context, options.layers, options.heads, options.width,
        options.dropout,
    )  # fmt: skip
    trainer = _trainer(model, _metadata(name, tokens, tokenizer, options), options)
    parts = f"{len(training):,} to train on"
    if held_out is not None:
        parts += f", {len(held_out):,} to validate"
    output.line("data", f"{name}: {len(tokenizer.vocabulary)} different characters, {parts}")
    output.show_gpt(model)
    output.show_options(asdict(options))
    click.echo()
    whole = None if held_out is None else contexts_of(held_out, options.context)
    interrupted = fit_and_save(
        trainer, given, _Batches(training, options), epochs=-(-options.steps // _EPOCH),
        validation_data=None if whole is None else _sample(*whole),
    )  # fmt: skip
    if whole is not None and not interrupted:
        output.line("validation", describe_loss(evaluate(model, *whole), whole[0].size))
    return interrupted


def evaluate(model: nn.Module, x: Array, y: Array) -> float:
    """The mean loss over contexts."""
    return float(Evaluator(model, next_token_loss).evaluate(x, y)["loss"])


def _split(name: str, tokens: Array, options: TextOptions) -> tuple[Array, Array | None]:
    """The text to train on, and its end, which is held out."""
    count = round(len(tokens) * options.validation_fraction)
    parts = {"to train on": tokens[: len(tokens) - count]}
    if options.validation_fraction:
        parts["to validate"] = tokens[len(tokens) - count :]
    for part, held in parts.items():
        if len(held) <= options.context:
            raise ValueError(
                f"{name} has {len(tokens):,} characters, {len(held):,} of them {part}: fewer than "
                f"the {options.context} of a context and the one that follows. Give a longer text "
                "or a smaller --context."
            )
    return parts["to train on"], parts.get("to validate")


def _sample(x: Array, y: Array) -> tuple[Array, Array]:
    """Some contexts, evenly spread."""
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _VALIDATED)).round().astype(int))
    return x[chosen], y[chosen]


def _trainer(model: GPT, metadata: dict[str, Any], options: TextOptions) -> Trainer:
    """Matrices decay, gains do not; the learning rate rises, then falls to a tenth."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    gains = [p for p in model.parameters() if p.ndim == 1]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": gains, "weight_decay": 0.0}]
    optimizer = optim.AdamW(
        groups,
        lr=options.lr,
        betas=(0.9, 0.99),
        weight_decay=options.weight_decay,
    )
    warmup = min(100, options.steps // 10)
    schedule: optim.Schedule = optim.CosineAnnealingLR(
        optimizer, options.steps - warmup, eta_min=options.lr / 10, unit="step"
    )
    if warmup:
        schedule = optim.WarmupLR(schedule, warmup)
    return Trainer(
        model,
        next_token_loss,
        optimizer,
        schedule=schedule,
        clip_norm=options.clip_norm,
        metadata=metadata,
        seed=options.seed,
    )


def _metadata(
    name: str, tokens: Array, tokenizer: CharTokenizer, options: TextOptions
) -> dict[str, Any]:
    """The metadata of the model's file: all that is needed to use the model."""
    checksum = zlib.crc32(tokens.tobytes())
    return {
        "task": "text",
        "classes": None,
        "tokenizer": tokenizer.to_dict(),
        "data": {"kind": "text", "name": name, "rows": len(tokens), "crc32": checksum},
        "options": asdict(options),
    }
