"""Random numbers by counter: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers:
as easy as 1, 2, 3", SC 2011).

A draw is a pure function of the generator's state (seed, position) and of the element's index, so
the eager loop, a captured graph and any number of threads draw the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.operation import Spec, no_flops, operation
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.samples import examples
from chainrule.ops.unary import cos, log, sqrt

__all__ = [
    "Generator",
    "bernoulli",
    "current_generator",
    "default_generator",
    "manual_seed",
    "normal",
    "uniform",
    "use_generator",
]

_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def philox(counter: Array, key: tuple[int, int]) -> Array:
    """Four random 32-bit words for each counter of four: Philox4x32-10.

    Args:
        counter: shape (n, 4), words below 2^32.
        key: two words below 2^32.

    Returns:
        Shape (n, 4), uint64 words below 2^32.
    """
    c0, c1, c2, c3 = counter.astype(np.uint64).T
    k0, k1 = key
    for _ in range(10):
        p0 = c0 * _MULTIPLIERS[0]
        p1 = c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (p1 >> _32) ^ c1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _32) ^ c3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0 = (k0 + _WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1)


def _words(state: Array, count: int) -> Array:
    """`count` random words: counter (block, position), key the seed."""
    seed, position = (int(s) for s in state)
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    counter = np.empty((len(blocks), 4), np.uint64)
    counter[:, 0] = blocks & _LOW
    counter[:, 1] = blocks >> _32
    counter[:, 2] = position & 0xFFFFFFFF
    counter[:, 3] = position >> 32
    return philox(counter, (seed & 0xFFFFFFFF, seed >> 32)).ravel()[:count]


def _drawn(state: Tensor, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Spec:
    if dtype not in (np.float32, np.float64):
        raise DTypeError(f"random numbers are float32 or float64, not {dtype}")
    if any(length < 0 for length in shape):
        raise ShapeError(f"a shape has no negative lengths, got {shape}")
    return Spec(shape, dtype)


@operation(
    _drawn,
    examples(
        ((np.array([7, 3], np.uint64),), {"shape": (3, 5), "dtype": np.dtype(np.float64)}),
        ((np.array([2**40, 0], np.uint64),), {"shape": (9,), "dtype": np.dtype(np.float32)}),
    ),
    flops=no_flops,
)
def random_uniform(state: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Uniform numbers in [0, 1) from (seed, position): 24 random bits, or 53 of two words."""
    count = int(np.prod(shape, dtype=np.int64))
    if dtype == np.float32:
        bits = _words(state, count) >> np.uint64(8)
        return (bits.astype(np.float32) * np.float32(2.0**-24)).reshape(shape)
    high, low = _words(state, 2 * count).reshape(-1, 2).T
    bits = ((high >> np.uint64(5)) << np.uint64(26)) | (low >> np.uint64(6))
    return (bits.astype(np.float64) * 2.0**-53).reshape(shape)


class Generator:
    """A stream of random numbers: a seed and a position, which every draw moves on by one.

    Args:
        seed: a whole number in 0 ... 2^64 - 1.

    Attributes:
        state: a `Buffer` of uint64 (seed, position); saved with a checkpoint.

    Example:
        >>> import chainrule as cr
        >>> a, b = cr.Generator(5), cr.Generator(5)
        >>> a.uniform((2,)).tolist() == b.uniform((2,)).tolist()
        True
    """

    def __init__(self, seed: int = 0) -> None:
        self.state = Buffer(np.zeros(2, np.uint64), name="generator")
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from `seed`."""
        if not 0 <= seed < 2**64:
            raise ValueError(f"a seed is a whole number in 0 ... 2**64 - 1, got {seed}")
        self.state.assign(np.array([seed, 0], np.uint64))
        return self

    def uniform(self, shape: Sequence[int] = (), dtype: DTypeLike = "float32") -> Tensor:
        """Numbers drawn uniformly from [0, 1)."""
        shape, dtype = tuple(shape), np.dtype(dtype)
        state = self.state.node()
        _drawn(state, shape, dtype)
        self.state.assign(state + _STEP)
        return random_uniform.apply(state, shape=shape, dtype=dtype)

    def normal(self, shape: Sequence[int] = (), dtype: DTypeLike = "float32") -> Tensor:
        """Numbers drawn from the normal distribution of mean 0 and variance 1 (Box and Muller)."""
        radius = sqrt(-2.0 * log(1.0 - self.uniform(shape, dtype)))
        return radius * cos(2 * np.pi * self.uniform(shape, dtype))

    def bernoulli(
        self, p: float | TensorLike, shape: Sequence[int] = (), dtype: DTypeLike = "float32"
    ) -> Tensor:
        """1 with probability `p`, else 0."""
        if isinstance(p, (int, float)) and not 0 <= p <= 1:
            raise ValueError(f"a probability lies in [0, 1], got {p}")
        uniform = self.uniform(shape, dtype)
        return (uniform < as_tensor(p, dtype if isinstance(p, (int, float)) else None)).astype(
            dtype
        )


_STEP = as_tensor(np.array([0, 1], np.uint64))

default_generator = Generator(0)
"""The generator that is used where no other is."""

_current: ContextVar[Generator] = ContextVar("generator", default=default_generator)


def current_generator() -> Generator:
    """The generator that `uniform`, `normal` and `bernoulli` draw from now."""
    return _current.get()


@contextmanager
def use_generator(generator: Generator) -> Iterator[Generator]:
    """Let `uniform`, `normal` and `bernoulli` draw from `generator` inside the block.

    Example:
        >>> import chainrule as cr
        >>> with cr.use_generator(cr.Generator(1)):
        ...     a = cr.uniform()
        >>> a.item() == cr.Generator(1).uniform().item()
        True
    """
    token = _current.set(generator)
    try:
        yield generator
    finally:
        _current.reset(token)


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew from `seed`.

    Others keep their state: inside `use_generator(g)` numbers come from g, and so do those of a
    `Trainer` from its own, which its argument `seed` sets. There call `g.manual_seed(seed)`.

    Returns:
        The default generator.

    Example:
        >>> import chainrule as cr
        >>> _ = cr.manual_seed(1)
        >>> a = cr.uniform()
        >>> with cr.use_generator(cr.Generator(5)) as g:
        ...     _ = cr.manual_seed(1)  # of what comes after the block
        ...     b = g.manual_seed(1).uniform()
        >>> a.item() == b.item() == cr.uniform().item()
        True
    """
    return default_generator.manual_seed(seed)


def uniform(shape: Sequence[int] = (), dtype: DTypeLike = "float32") -> Tensor:
    """Numbers drawn uniformly from [0, 1) by the current generator."""
    return _current.get().uniform(shape, dtype)


def normal(shape: Sequence[int] = (), dtype: DTypeLike = "float32") -> Tensor:
    """Numbers of mean 0 and variance 1 drawn from the normal distribution by the current generator.

    Formula: sqrt(-2 log(1 - u)) cos(2 pi v) of two uniform draws u and v (Box and Muller 1958).
    """
    return _current.get().normal(shape, dtype)


def bernoulli(
    p: float | TensorLike, shape: Sequence[int] = (), dtype: DTypeLike = "float32"
) -> Tensor:
    """1 with probability `p`, else 0, drawn by the current generator."""
    return _current.get().bernoulli(p, shape, dtype)
