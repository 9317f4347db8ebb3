"""Generation: a text goes on token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError, NonFiniteError, ShapeError
from chainrule.graph.context import no_grad
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn.layers.gpt import GPT, Cache, steps_as_called
from chainrule.nn.module import Module
from chainrule.ops.random import Generator, current_generator
from chainrule.train.compile import compile


def generate(
    model: Module,
    prompt: Sequence[int] | TensorLike,
    tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    *,
    generator: Generator | None = None,
) -> list[int]:
    """The tokens with which a model goes on after a prompt.

    Of a `GPT` the keys and values of all tokens so far are kept, so that each new token is one
    native call for that token alone. When the context is full, the oldest token is left out, and
    the model reads the whole context at each token, as it has other positions now. So it does from
    the first token on where a call may do more: a subclass has a forward of its own, a module has
    hooks or was put in place of another.

    Args:
        model: of tokens (1, T) it gives the logits (1, T, classes) of the next ones, or
            (1, 1, classes) of the one after the last; it is called in evaluation mode.
        prompt: integers, shape (T,) or (1, T), at least one.
        tokens: how many new ones.
        temperature: what the logits are divided by; 0 takes the most likely token.
        top_k: draw only among as many of the most likely tokens; None for all.
        generator: draws the tokens; the current one by default.

    Returns:
        The new tokens, without the prompt.

    Raises:
        ValueError: for an empty prompt, a temperature below 0 or a top_k below 1.
        DTypeError: for a prompt of other numbers than integers.
        ShapeError: for a prompt or logits of another shape.
        TypeError: for a model that returns no Tensor, or a prompt that is text.
        IndexError: for a token that the model does not know.
        NonFiniteError: where the largest of the logits is NaN or infinite.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.text import GPT, generate
        >>> _ = cr.manual_seed(0)
        >>> model = GPT(vocab_size=5, block_size=8, n_layer=1, n_head=1, n_embd=4)
        >>> len(generate(model, [0, 1], 20, temperature=0.8, top_k=3))
        20
    """
    return list(continuation(model, prompt, tokens, temperature, top_k, generator=generator))


def continuation(
    model: Module,
    prompt: Sequence[int] | TensorLike,
    tokens: int,
    temperature: float,
    top_k: int | None,
    *,
    generator: Generator | None,
) -> Iterator[int]:
    """The tokens of `generate` one by one, as they are drawn."""
    given = _tokens(prompt)
    checks.integer("tokens", tokens, 0)
    checks.not_negative("temperature", temperature)
    if top_k is not None:
        checks.count("top_k", top_k)
    draws = current_generator() if generator is None else generator
    reader: _Reader
    if isinstance(model, GPT) and steps_as_called(model):
        reader = _GPTReader(model)
    else:
        reader = _Reader(model)

    def draw() -> Iterator[int]:
        known = [*given]
        for _ in range(tokens):
            with model.in_mode(False), no_grad():
                logits = reader.logits(known)
            known.append(_drawn(logits, temperature, top_k, draws))
            yield known[-1]

    return draw()


def _tokens(prompt: Sequence[int] | TensorLike) -> list[int]:
    """The tokens of a prompt, one at least."""
    if isinstance(prompt, str):
        raise TypeError(
            "a prompt holds the numbers of tokens, as tokenizer.encode(text) gives, not text; got "
            f"{prompt!r:.80}"
        )
    values = as_tensor(prompt).numpy()
    if not values.size:
        raise ValueError("generate needs a prompt of one token at least")
    if values.dtype.kind not in "iu":
        raise DTypeError(f"the tokens of a prompt are integers, not {values.dtype}")
    if values.ndim != 1 and values.shape != (1, values.size):
        raise ShapeError(
            f"a prompt is one text, of shape (T,) or (1, T), not {values.shape}; generate goes on "
            "after one text at a time"
        )
    return [int(token) for token in values.reshape(-1)]


def _drawn(logits: Array, temperature: float, top_k: int | None, draws: Generator) -> int:
    """A token by the softmax of the logits over the temperature."""
    largest = logits.max()
    if not np.isfinite(largest):
        raise NonFiniteError(
            f"the model gives logits of which the largest is {largest}: no token follows from "
            "them. Look for weights that are NaN or infinite"
        )
    if temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):  # infinitely far below the largest, which stays 0
        scores = (logits.astype(np.float64) - float(largest)) / temperature
    if top_k is not None and top_k < len(scores):
        least = np.partition(scores, -top_k)[-top_k]
        scores[scores < least] = -np.inf
    ends = np.exp(scores).cumsum()
    point = float(draws.uniform((), "float64").item()) * ends[-1]
    return int(min(np.searchsorted(ends, point, side="right"), len(ends) - 1))


class _Reader:
    """Reads all tokens anew each time; a GPT the last ones, as many as its context holds."""

    def __init__(self, model: Module) -> None:
        self._model = model
        self._size = model.block_size if isinstance(model, GPT) else None

    def logits(self, tokens: list[int]) -> Array:
        """Those of the token that follows."""
        read = tokens if self._size is None else tokens[-self._size :]
        return _last(self._model(np.array([read])), len(read)).numpy()


def _last(output: Any, tokens: int) -> Tensor:
    """The logits after the last token, (classes,), of what a model made of (1, tokens)."""
    if not isinstance(output, (Tensor, np.ndarray)):
        raise TypeError(
            "generate needs a model that returns its logits alone, a Tensor; this one returned "
            f"{checks.described(output)}. Wrap it in a Module that returns the logits"
        )
    logits = as_tensor(output)
    fits = logits.ndim == 3 and logits.shape[0] == 1 and logits.shape[1] in (1, tokens)
    if not fits or not logits.size:
        raise ShapeError(
            f"generate: of tokens (1, {tokens}) the model gives logits (1, {tokens}, classes), or "
            f"(1, 1, classes) after the last one; this one gave shape {logits.shape}"
        )
    return logits[0, -1]


class _GPTReader(_Reader):
    """Reads one token at a time while the context has room, then the last ones of them all."""

    def __init__(self, model: GPT) -> None:
        super().__init__(model)
        self._model: GPT = model
        self._cache = Cache(model)
        self._seen = 0
        self._step = compile(self._one)
        self._whole = compile(self._last)

    def _one(self, token: Tensor, position: Tensor) -> Tensor:
        return self._model.step(token, position, self._cache)

    def _last(self, tokens: Tensor) -> Tensor:
        return _last(self._model(tokens), tokens.shape[1])

    def logits(self, tokens: list[int]) -> Array:
        size = self._model.block_size
        if len(tokens) > size:
            return self._whole(as_tensor(np.array([tokens[-size:]]))).numpy()
        found: Any = None
        for position in range(self._seen, len(tokens)):
            token = np.array([[tokens[position]]])
            found = self._step(as_tensor(token), as_tensor(np.array([[position]])))
        self._seen = len(tokens)
        return found.numpy()
