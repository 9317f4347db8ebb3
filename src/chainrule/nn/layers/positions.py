"""Positions in a sequence: sinusoidal, learned, and rotary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments, init
from chainrule.nn.layers.base import Layer
from chainrule.nn.layers.dropout import Dropout
from chainrule.ops import stack


class _Added(Layer):
    """What adds a row of a table to each place of a sequence."""

    d_model: int
    max_len: int
    batch_first: bool
    dtype: str

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "d_model", "max_len")

    def _with_rows(self, input: TensorLike, table: Tensor) -> Tensor:
        x = arguments.as_input(input, self.d_model, self.dtype)
        if x.ndim not in (2, 3):
            raise ShapeError(f"a sequence has 2 axes, or 3 with a batch; got shape {x.shape}")
        first = x.ndim == 3 and not self.batch_first
        places = x.shape[0 if first else -2]
        if places > self.max_len:
            raise ShapeError(
                f"the sequence has {places} places, more than max_len = {self.max_len}; its shape "
                f"is {x.shape}"
            )
        rows = table[:places]
        return x + (rows.reshape(places, 1, self.d_model) if first else rows)


class PositionalEncoding(_Added):
    """x plus sines and cosines of the position, then dropout.

    Formula: place p gets sin(p / 10000^(2 i / d)) in column 2 i and the cosine of the same in
    column 2 i + 1, where d is d_model.

    Args:
        d_model: the width.
        dropout: the probability of an element being dropped, in training.
        max_len: the longest sequence.
        batch_first: whether arrays are (N, L, d_model) rather than (L, N, d_model).
        dtype: of the input.

    Shapes:
        Input and output (L, N, d_model), (N, L, d_model) or (L, d_model).

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit, or on a longer sequence.

    Source: Vaswani et al., "Attention is all you need", NIPS 2017, section 3.5; the arguments are
    those of PyTorch's tutorial.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.PositionalEncoding(2, dropout=0.0, max_len=3)
        >>> layer(cr.zeros((2, 2)))
        tensor([[0.    , 1.    ],
                [0.8415, 0.5403]])
    """

    makes_children = True
    pe: Buffer

    def __init__(
        self,
        d_model: int,
        dropout: float = 0.1,
        max_len: int = 5000,
        batch_first: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.d_model = checks.count("d_model", d_model)
        self.max_len = checks.count("max_len", max_len)
        self.batch_first = bool(batch_first)
        self.dtype = arguments.floating(dtype)
        self.dropout = Dropout(dropout)
        angles = _angles(max_len, d_model + d_model % 2, 10000.0)
        table = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(max_len, -1)
        self.register_buffer("pe", table[:, :d_model].astype(self.dtype), persistent=False)

    def constructor_arguments(self) -> dict[str, Any]:
        return {**super().constructor_arguments(), "dropout": self.dropout.p}

    def forward(self, input: TensorLike) -> Tensor:
        return self.dropout(self._with_rows(input, self.pe.node()))


class LearnedPositionalEncoding(_Added):
    """x plus a learned row for each position.

    Args:
        d_model: the width.
        max_len: the longest sequence.
        batch_first: whether arrays are (N, L, d_model) rather than (L, N, d_model).
        dtype: of the rows; data are cast, outputs of layers must have it.

    Attributes:
        weight: shape (max_len, d_model), at first normal with a standard deviation of 0.02.

    Shapes:
        Input and output (L, N, d_model), (N, L, d_model) or (L, d_model).

    Raises:
        ShapeError, DTypeError: when called on an input that does not fit, or on a longer sequence.

    Source: Gehring, Auli, Grangier, Yarats, Dauphin, "Convolutional sequence to sequence learning",
    ICML 2017; the starting values are GPT-2's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.LearnedPositionalEncoding(4, max_len=10, batch_first=True)(cr.zeros((2, 7, 4))).shape
        (2, 7, 4)
    """

    weight: Parameter

    def __init__(
        self,
        d_model: int,
        max_len: int = 5000,
        batch_first: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.d_model = checks.count("d_model", d_model)
        self.max_len = checks.count("max_len", max_len)
        self.batch_first = bool(batch_first)
        self.dtype = arguments.floating(dtype)
        self.weight = Parameter(np.zeros((max_len, d_model), self.dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the rows anew."""
        init.normal_(self.weight, 0.0, 0.02)

    def forward(self, input: TensorLike) -> Tensor:
        return self._with_rows(input, self.weight)


class RotaryPositionalEmbeddings(Layer):
    """Queries or keys turned by angles that grow with their position, so that their products depend
    on the distance alone.

    Formula: the pair of columns (2 i, 2 i + 1) at place p is turned by p / base^(2 i / dim):
    (a cos - b sin, a sin + b cos).

    Args:
        dim: the width of a head, an even number.
        max_seq_len: the longest sequence.
        base: of the angles.
        dtype: of the input.

    Shapes:
        Input and output (N, L, heads, dim). As in torchtune heads come after places; before
        `scaled_dot_product_attention` swap the two: ``x.swapaxes(1, 2)``.

    Raises:
        ValueError: if dim is odd.
        ShapeError, DTypeError: when called on an input that does not fit, or on a longer sequence.

    Source: Su, Lu, Pan, Murtadha, Wen, Liu, "RoFormer: enhanced transformer with rotary position
    embedding", 2021; name and arguments are torchtune's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> x = cr.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])  # two places of one head
        >>> nn.RotaryPositionalEmbeddings(2)(x)[0, :, 0]
        tensor([[1.    , 0.    ],
                [0.5403, 0.8415]])
    """

    cos: Buffer
    sin: Buffer

    def __init__(
        self,
        dim: int,
        max_seq_len: int = 4096,
        base: float = 10_000,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.dim = checks.count("dim", dim)
        if dim % 2:
            raise ValueError(f"dim is even, because columns are turned in pairs; got {dim}")
        self.max_seq_len = checks.count("max_seq_len", max_seq_len)
        self.base = checks.positive("base", base)
        self.dtype = arguments.floating(dtype)
        angles = _angles(max_seq_len, dim, self.base)
        self.register_buffer("cos", np.cos(angles).astype(self.dtype), persistent=False)
        self.register_buffer("sin", np.sin(angles).astype(self.dtype), persistent=False)

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "dim", "max_seq_len") // 2

    def forward(self, x: TensorLike, *, input_pos: TensorLike | None = None) -> Tensor:
        """The turned heads.

        Args:
            x: shape (N, L, heads, dim).
            input_pos: the position of each place, (N, L) integers, or one row for all; by default
                0 ... L - 1.
        """
        x = arguments.as_input(x, self.dim, self.dtype)
        if x.ndim != 4:
            raise ShapeError(f"the input has shape (N, L, heads, {self.dim}), got {x.shape}")
        batch, places, heads, _ = x.shape
        if input_pos is None and places > self.max_seq_len:
            raise ShapeError(
                f"the sequence has {places} places, more than max_seq_len = {self.max_seq_len}"
            )
        at = None if input_pos is None else as_tensor(input_pos)
        if at is not None and at.shape not in ((batch, places), (1, places), (places,)):
            raise ShapeError(f"input_pos has shape (N, L), here {(batch, places)}, got {at.shape}")
        rows: list[Tensor] = []
        for table in (self.cos, self.sin):
            found = table[:places] if at is None else table[at]
            rows.append(found.reshape(-1, places, 1, self.dim // 2))
        cos, sin = rows
        pairs = x.reshape(batch, places, heads, self.dim // 2, 2)
        a, b = pairs[..., 0], pairs[..., 1]
        return stack([a * cos - b * sin, a * sin + b * cos], axis=-1).reshape(x.shape)


def _angles(places: int, width: int, base: float) -> np.ndarray:
    """(places, width / 2): p / base^(2 i / width)."""
    return np.arange(places)[:, None] / base ** (np.arange(0, width, 2) / width)
