"""Random numbers by counter: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers:
as easy as 1, 2, 3", SC 2011).

A draw is a pure function of the generator's state (seed, position) and of the element's index, so
the eager loop, a captured graph and any number of threads draw the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from chainrule import _core, checks
from chainrule.dtypes import as_dtype
from chainrule.errors import DTypeError, ShapeError, SymbolicError
from chainrule.graph.context import local
from chainrule.graph.guards import guard_of
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Spec, no_flops, operation
from chainrule.graph.placement import check_device
from chainrule.graph.registered import functions
from chainrule.graph.state import Buffer
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.creation import as_shape
from chainrule.ops.draws import as_draw, as_leaf
from chainrule.ops.samples import examples
from chainrule.ops.trigonometry import cos
from chainrule.ops.unary import log, sqrt

__all__ = [
    "Generator",
    "bernoulli",
    "current_generator",
    "default_generator",
    "manual_seed",
    "normal",
    "permutation",
    "randint",
    "uniform",
    "use_generator",
]

_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_BLOCK = 8192  # counters that stay in the cache from one round to the next


def philox(counter: Array, key: tuple[int, int]) -> Array:
    """Four random 32-bit words for each counter of four: Philox4x32-10.

    Args:
        counter: shape (n, 4), words below 2^32.
        key: two words below 2^32.

    Returns:
        Shape (n, 4), uint64 words below 2^32.
    """
    words = np.empty(counter.shape, np.uint64)
    for start in range(0, len(counter), _BLOCK):
        block = slice(start, start + _BLOCK)
        columns = [column.astype(np.uint64) for column in counter[block].T]
        _ten_rounds(columns, key)
        for of_words, column in zip(words[block].T, columns, strict=True):
            of_words[:] = column
    return words


def _ten_rounds(columns: list[Array], key: tuple[int, int]) -> None:
    """Make random words of the counters' words, in their place."""
    c0, c1, c2, c3 = columns
    k0, k1 = key
    p0, p1 = np.empty_like(c0), np.empty_like(c2)
    for _ in range(10):
        np.multiply(c0, _MULTIPLIERS[0], out=p0)
        np.multiply(c2, _MULTIPLIERS[1], out=p1)
        np.right_shift(p1, _32, out=c0)
        c0 ^= c1
        c0 ^= np.uint64(k0)
        np.right_shift(p0, _32, out=c2)
        c2 ^= c3
        c2 ^= np.uint64(k1)
        np.bitwise_and(p1, _LOW, out=c1)
        np.bitwise_and(p0, _LOW, out=c3)
        k0 = (k0 + _WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + _WEYL[1]) & 0xFFFFFFFF


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

    A subclass may override `uniform`: all numbers are made of what `uniform(shape, dtype)` returns,
    a Tensor, in layers too. Or `normal`, as `normal(shape, dtype)`. The order of shuffled rows is
    of the state alone.

    Args:
        seed: a whole number in 0 ... 2^64 - 1; as in PyTorch, also True or a float such as 1.0.

    Attributes:
        state: a `Buffer` of uint64 (seed, position); saved with a checkpoint.

    Example:
        >>> import chainrule as cr
        >>> a, b = cr.Generator(5), cr.Generator(5)
        >>> a.uniform((2,)).tolist() == b.uniform((2,)).tolist()
        True
    """

    draws: ClassVar[bool] = True
    """Whether the numbers count; where not, `nn.init` leaves parameters as they are."""

    def __init__(self, seed: float = 0) -> None:
        self.state = Buffer(np.zeros(2, np.uint64), name="generator")
        self.manual_seed(seed)

    def manual_seed(self, seed: float) -> Generator:
        """Start anew from `seed`."""
        self.state.assign(np.array([checks.seed(seed), 0], np.uint64))
        return self

    @both_names(shape="size")
    def uniform(
        self,
        *arguments: Any,
        low: TensorLike | None = None,
        high: TensorLike | None = None,
        size: int | Sequence[int] | None = None,
        dtype: DTypeLike | None = None,
    ) -> Tensor:
        """Numbers drawn uniformly from [low, high), or [0, 1); see `chainrule.uniform`."""
        draw = as_draw("uniform", ("low", "high"), arguments, low, high, size, dtype)
        _drawn(self.state, draw.shape, draw.dtype)
        state = self._advance()
        if state.value is None:
            drawn = random_uniform.apply(state, shape=draw.shape, dtype=draw.dtype)
        else:  # the same numbers by the native kernel
            numbers = np.empty(draw.shape, draw.dtype)
            _core.fill_uniform(numbers, *state.value.tolist())
            drawn = as_tensor(numbers)
        return draw.spread(drawn)

    def _advance(self) -> Tensor:
        """The state before this draw."""
        if local.context.capture is not None:
            return self._advance_alone()
        with (self.state.guard or guard_of([self.state])).alone:  # no two threads draw the same
            return self._advance_alone()

    def _advance_alone(self) -> Tensor:
        state = self.state.node()
        self.state.assign(state + _STEP)
        return state

    def skip(self) -> None:
        """Move on by one draw, without the numbers."""
        self._advance()

    @both_names(mean="loc", std="scale", shape="size")
    def normal(
        self,
        *arguments: Any,
        loc: TensorLike | None = None,
        scale: TensorLike | None = None,
        size: int | Sequence[int] | None = None,
        dtype: DTypeLike | None = None,
    ) -> Tensor:
        """Numbers drawn from the normal distribution, of mean 0 and variance 1 if nothing else is
        given; see `chainrule.normal`."""
        draw = as_draw("normal", ("loc", "scale"), arguments, loc, scale, size, dtype)
        radius = sqrt(-2.0 * log(1.0 - self.uniform(draw.shape, draw.dtype)))
        angle = 2 * np.pi * self.uniform(draw.shape, draw.dtype)
        return draw.scaled(radius * cos(angle))  # Box and Muller

    def bernoulli(
        self,
        p: float | TensorLike,
        shape: int | Sequence[int] | None = None,
        dtype: DTypeLike = "float32",
    ) -> Tensor:
        """1 with probability `p`, else 0; see `chainrule.bernoulli`."""
        if isinstance(p, (int, float)) and not 0 <= p <= 1:
            raise ValueError(f"a probability lies in [0, 1], got {p}")
        shape = as_tensor(p).shape if shape is None else as_shape("bernoulli", (shape,))
        uniform = self.uniform(shape, as_dtype(dtype))
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


def manual_seed(seed: float) -> Generator:
    """Start the default generator anew from `seed`.

    Others keep their state: inside `use_generator(g)` numbers come from g, and so do those of a
    `Trainer` from its own, which its argument `seed` sets. There call `g.manual_seed(seed)`.

    Args:
        seed: a whole number in 0 ... 2^64 - 1; as in PyTorch, also True or a float such as 1.0.

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


@both_names(shape="size")
def uniform(
    *arguments: Any,
    low: TensorLike | None = None,
    high: TensorLike | None = None,
    size: int | Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers drawn uniformly from [low, high), or [0, 1), by the current generator.

    It is called as `uniform(shape, dtype)` or, with two numbers, as NumPy's
    `uniform(low, high, size)`; all else is given by name.

    Args:
        arguments: none, `shape`, `shape, dtype`, `low, high` or `low, high, size`.
        low, high: the ends of the interval, numbers or Tensors, 0 and 1 by default. Numbers that
            rounding would bring to `high` become the one beside it, with Tensors as ends `low`. So
            `high` is drawn only where it is `low`, or a Tensor's value below `low`.
        size: the shape, also named `shape`, a whole number or several; by default that of `low` and
            `high`.
        dtype: float32, the default, or float64; that of floating Tensors.
        requires_grad: whether `backward` fills `.grad`; the numbers are then a leaf.

    Raises:
        TypeError: if the arguments can be read in two ways.
        ValueError: if an end, or the distance of both, is no finite number of the dtype.

    Example:
        >>> import chainrule as cr
        >>> cr.uniform((2, 3)).shape, cr.uniform(-1, 1, 5).shape, cr.uniform(5, low=-1).shape
        ((2, 3), (5,), (5,))
    """
    draw = as_draw("uniform", ("low", "high"), arguments, low, high, size, dtype)
    return as_leaf(draw.spread(_current.get().uniform(draw.shape, draw.dtype)), requires_grad)


functions["_uniform"] = uniform


@both_names(mean="loc", std="scale", shape="size")
def normal(
    *arguments: Any,
    loc: TensorLike | None = None,
    scale: TensorLike | None = None,
    size: int | Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Numbers drawn from the normal distribution by the current generator.

    It is called as `normal(shape, dtype)` or, with two numbers, as NumPy's
    `normal(loc, scale, size)`; all else is given by name.

    Formula: sqrt(-2 log(1 - u)) cos(2 pi v) of two uniform draws u and v (Box and Muller 1958),
    times `scale`, plus `loc`.

    Args:
        arguments: none, `shape`, `shape, dtype`, `loc, scale` or `loc, scale, size`.
        loc, scale: the mean and the standard deviation, numbers or Tensors, 0 and 1 by default.
        size: the shape, also named `shape`, a whole number or several; by default that of `loc` and
            `scale`.
        dtype: float32, the default, or float64; that of floating Tensors.
        requires_grad: whether `backward` fills `.grad`; the numbers are then a leaf.
        device: "cpu", or None.

    Raises:
        TypeError: if the arguments can be read in two ways.

    Example:
        >>> import chainrule as cr
        >>> cr.normal((2, 3)).shape, cr.normal(0, 0.1, 5).shape, cr.normal(5, loc=3.0).shape
        ((2, 3), (5,), (5,))
    """
    check_device(device)
    draw = as_draw("normal", ("loc", "scale"), arguments, loc, scale, size, dtype)
    return as_leaf(draw.scaled(_current.get().normal(draw.shape, draw.dtype)), requires_grad)


@both_names(input="p")
def bernoulli(
    p: float | TensorLike,
    shape: int | Sequence[int] | None = None,
    dtype: DTypeLike = "float32",
) -> Tensor:
    """1 with probability `p`, else 0, drawn by the current generator.

    Args:
        p: a probability, or several that broadcast with the shape.
        shape: of the numbers; by default that of `p`.
        dtype: float32 or float64.
    """
    return _current.get().bernoulli(p, shape, dtype)


_MANY_KEYS = 3000  # from which on they are sorted by their digits
_MOST_INTEGERS = 2**53  # a draw has 53 bits


@both_names(shape="size")
def randint(
    low: int,
    high: int | Sequence[int] | None = None,
    size: int | Sequence[int] | None = None,
    dtype: DTypeLike = "int64",
    device: Any = None,
) -> Tensor:
    """Whole numbers drawn uniformly from low ... high - 1; `randint(n)` is from 0 ... n - 1.

    Formula: low + floor(u (high - low)) of a uniform draw u of 53 bits.

    Args:
        low: the smallest number; or, where there is no `high`, what all are below.
        high: what all numbers are below. `randint(n, (2, 3))` gives the shape here.
        size: the shape; one number by default.
        dtype: an integer dtype.
        device: "cpu", or None.

    Raises:
        TypeError: if `low` or `high` is no whole number.
        ValueError: if there is no number from `low` to `high`, or more than 2^53, or if the dtype
            does not hold all of them.

    Example:
        >>> import chainrule as cr
        >>> cr.randint(5, size=100).max().item() < 5
        True
    """
    check_device(device)
    if isinstance(high, Iterable):
        high, size = None, high
    low = checks.integer("low", low)
    first, end = (0, low) if high is None else (low, checks.integer("high", high))
    if not 0 < end - first <= _MOST_INTEGERS:
        raise ValueError(
            f"randint: from {first} to below {end} there are no numbers, or more than 2**53"
        )
    dtype = as_dtype(dtype)
    if dtype.kind not in "iu":
        raise DTypeError(f"randint: whole numbers are of an integer dtype, not {dtype}")
    held = np.iinfo(dtype)
    if not held.min <= first < end <= held.max + 1:
        raise ValueError(f"randint: {dtype} does not hold all numbers from {first} to below {end}")
    drawn = uniform(as_shape("randint", (() if size is None else size,)), np.float64)
    whole = (drawn * float(end - first)).astype(np.int64) + first
    return whole.astype(dtype)


def _stable_order(keys: Array) -> Array:
    """As `np.argsort(keys, kind="stable")`, of uniform numbers of 53 bits.

    Sorted by the higher 48 bits, 16 at a time, which NumPy does without comparisons; the few orders
    that the other 5 bits decide are found by comparisons.
    """
    if keys.size < _MANY_KEYS:
        return np.argsort(keys, kind="stable")
    bits = (keys * 2.0**53).astype(np.int64)
    order = np.argsort((bits >> 5).astype(np.uint16), kind="stable")
    for shift in (21, 37):
        digits = (bits >> shift).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
    in_order = bits[order]
    if (in_order[1:] < in_order[:-1]).any():
        return np.argsort(keys, kind="stable")
    return order


@both_names(n="x")
def permutation(x: int | TensorLike) -> Tensor:
    """The numbers 0 ... x - 1 in random order; or a Tensor with its rows in random order.

    Raises:
        SymbolicError: in a captured function: an order is no graph. `data.batches` and `Trainer`
            shuffle the rows natively.

    Example:
        >>> import chainrule as cr
        >>> sorted(cr.permutation(4).tolist())
        [0, 1, 2, 3]
    """
    rows = x if isinstance(x, (int, np.integer)) else as_tensor(x)
    length = int(rows) if isinstance(rows, (int, np.integer)) else len(rows)
    keys = uniform(as_shape("permutation", (length,)), np.float64)
    if keys.value is None:
        raise SymbolicError(
            "permutation: in a captured function numbers are drawn at each run, and their order is "
            "no graph; draw it before, and pass it as an input"
        )
    order = as_tensor(_stable_order(keys.numpy()))
    return rows[order] if isinstance(rows, Tensor) else order
