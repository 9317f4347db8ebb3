"""Generation: a text goes on token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.graph.context import no_grad
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.nn.layers.gpt import GPT, Cache
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
    the model reads the whole context at each token, as it has other positions now.

    Args:
        model: of tokens (1, T) it gives the logits (1, T, classes) of the next ones; it is called
            in evaluation mode.
        prompt: at least one token.
        tokens: how many new ones.
        temperature: what the logits are divided by; 0 takes the most likely token.
        top_k: draw only among as many of the most likely tokens; None for all.
        generator: draws the tokens; the current one by default.

    Returns:
        The new tokens, without the prompt.

    Raises:
        ValueError: for an empty prompt, a temperature below 0 or a top_k below 1.
        IndexError: for a token that the model does not know.

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
    temperature: float = 1.0,
    top_k: int | None = None,
    *,
    generator: Generator | None = None,
) -> Iterator[int]:
    """The tokens of `generate` one by one, as they are drawn."""
    given = [int(token) for token in np.asarray(as_tensor(prompt).numpy()).reshape(-1)]
    if not given:
        raise ValueError("generate needs a prompt of one token at least")
    checks.integer("tokens", tokens, 0)
    checks.not_negative("temperature", temperature)
    if top_k is not None:
        checks.count("top_k", top_k)
    draws = current_generator() if generator is None else generator
    reader = _GPTReader(model) if isinstance(model, GPT) else _Reader(model)

    def draw() -> Iterator[int]:
        known = [*given]
        for _ in range(tokens):
            with model.in_mode(False), no_grad():
                logits = reader.logits(known)
            known.append(_drawn(logits, temperature, top_k, draws))
            yield known[-1]

    return draw()


def _drawn(logits: Array, temperature: float, top_k: int | None, draws: Generator) -> int:
    """A token by the softmax of the logits over the temperature."""
    if temperature == 0:
        return int(logits.argmax())
    scores = logits.astype(np.float64) / temperature
    if top_k is not None and top_k < len(scores):
        least = np.partition(scores, -top_k)[-top_k]
        scores[scores < least] = -np.inf
    weights = np.exp(scores - scores.max())
    ends = weights.cumsum()
    point = float(draws.uniform((), "float64").item()) * ends[-1]
    return int(min(np.searchsorted(ends, point, side="right"), len(ends) - 1))


class _Reader:
    """Reads all tokens anew each time."""

    def __init__(self, model: Module) -> None:
        self._model = model

    def logits(self, tokens: list[int]) -> Array:
        """Those of the token that follows."""
        return as_tensor(self._model(np.array([tokens])))[0, -1].numpy()


class _GPTReader(_Reader):
    """Reads one token at a time while the context has room, then the last ones of them all."""

    def __init__(self, model: GPT) -> None:
        self._model: GPT = model
        self._cache = Cache(model)
        self._seen = 0
        self._step = compile(self._one)
        self._whole = compile(self._last)

    def _one(self, token: Tensor, position: Tensor) -> Tensor:
        return self._model.step(token, position, self._cache)

    def _last(self, tokens: Tensor) -> Tensor:
        return as_tensor(self._model(tokens))[0, -1]

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
