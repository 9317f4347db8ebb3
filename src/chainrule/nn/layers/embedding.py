"""Embedding, a table of vectors, and EmbeddingBag."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments, functional, init
from chainrule.nn.functional.embedding import padding_row
from chainrule.nn.layers.base import Layer


class _Table(Layer):
    """What both layers share: the table, how it begins, and how it is printed."""

    weight: Parameter
    padding_idx: int | None
    dtype: str

    def _begin(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        dtype: str,
        weight: TensorLike | None,
        freeze: bool,
    ) -> None:
        self.num_embeddings = checks.count("num_embeddings", num_embeddings)
        self.embedding_dim = checks.count("embedding_dim", embedding_dim)
        self.padding_idx = padding_row(padding_idx, num_embeddings)
        self.max_norm = None if max_norm is None else checks.positive("max_norm", max_norm)
        is_largest = norm_type == math.inf
        self.norm_type = math.inf if is_largest else checks.positive("norm_type", norm_type)
        self.scale_grad_by_freq = checks.flag("scale_grad_by_freq", scale_grad_by_freq)
        self.sparse = checks.flag("sparse", sparse)
        self.dtype = dtype
        if weight is None:
            self.weight = Parameter(np.zeros((num_embeddings, embedding_dim), dtype))
            self.reset_parameters()
        else:
            self.weight = Parameter(as_tensor(weight).detach(), dtype)
            if self.weight.shape != (num_embeddings, embedding_dim):
                shape = (num_embeddings, embedding_dim)
                raise ShapeError(f"the table has shape {self.weight.shape}, not {shape}")
        self.weight.requires_grad = not freeze

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        return arguments.elements(given, "num_embeddings", "embedding_dim")

    def reset_parameters(self) -> None:
        """Draw the table anew; the padding row becomes 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            table = self.weight.numpy().copy()
            table[self.padding_idx] = 0
            self.weight.assign(table)

    def extra_repr(self) -> str:
        """The text between the parentheses, as PyTorch has it, with a dtype of its own."""
        arguments = self.constructor_arguments()
        first = [repr(arguments.pop(name)) for name in ("num_embeddings", "embedding_dim")]
        usual = {
            "padding_idx": None,
            "max_norm": None,
            "norm_type": 2.0,
            "scale_grad_by_freq": False,
            "sparse": False,
            "dtype": "float32",
        }
        named = [
            f"{name}={value!r}"
            for name, value in arguments.items()
            if name in self._shown and not (name in usual and value == usual[name])
        ]
        return ", ".join([*first, *named])

    _shown: tuple[str, ...]


def _checked_table(embeddings: TensorLike) -> Tensor:
    """A table of vectors that a layer can begin with."""
    table = as_tensor(embeddings)
    if table.ndim != 2 or table.dtype.kind != "f":
        raise ShapeError(
            "embeddings are a table of floats, of shape (num_embeddings, embedding_dim); got "
            f"{table.dtype} of shape {table.shape}"
        )
    return table


class Embedding(_Table):
    """A table of vectors, looked up by their numbers: y = W[input].

    A native plan changes just the rows of W that a batch has looked up, at a cost of the batch
    alone, where the rule leaves a row without a gradient as it is: `optim.SGD` without momentum and
    weight decay, `optim.Adagrad` without weight decay, `optim.SparseAdam`; with clipping by value
    or norm, too. What goes over all rows costs as much as the table: other rules, weight decay and
    penalties, gradients that are accumulated or returned, an average of weights, another use of W
    as in tied weights; and every update by the eager loop.

    Args:
        num_embeddings: V, the number of rows.
        embedding_dim: D, the length of a vector.
        padding_idx: a row for what is no word: it begins as 0 and gets no gradient. A negative
            number counts from the end.
        max_norm: rows that are looked up and longer than this are shortened to it, in W itself.
        norm_type: p of the norm (sum |w|^p)^(1/p) that `max_norm` is compared with; for inf it is
            the largest |w|.
        scale_grad_by_freq: whether the gradient of a row is divided by how often the row stands in
            the batch.
        sparse: means nothing: whether just the looked-up rows are changed follows from the rule.
        dtype: of W.

    Attributes:
        weight: W, shape (V, D), at first drawn from the normal distribution N(0, 1).

    Shapes:
        Input integers of any shape, output (*input.shape, D).

    Raises:
        IndexError: for an index that is not in 0 ... V - 1, before anything has changed.
        DTypeError: for an input that does not hold integers.

    Source: Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model", JMLR 3,
    2003; *Deep Learning*, section 12.4.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Embedding(10, 3, padding_idx=0)
        >>> layer
        Embedding(10, 3, padding_idx=0)
        >>> layer(cr.tensor([[4, 0], [1, 4]])).shape
        (2, 2, 3)
    """

    _shown = (
        "padding_idx",
        "max_norm",
        "norm_type",
        "scale_grad_by_freq",
        "sparse",
        "dtype",
    )

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        device: Any = None,
        dtype: DTypeLike | None = None,
        *,
        _weight: TensorLike | None = None,
        _freeze: bool = False,
    ) -> None:
        super().__init__()
        self._begin(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            arguments.floating(dtype, device),
            _weight,
            _freeze,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: TensorLike,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer with the given vectors.

        Args:
            embeddings: W, floats of shape (V, D).
            freeze: whether W is left as it is in training.
            padding_idx: see `Embedding`; the row keeps its vector.
            max_norm, norm_type, scale_grad_by_freq, sparse: see `Embedding`.

        Raises:
            ShapeError: for what is no table of floats.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import nn
            >>> nn.Embedding.from_pretrained(cr.tensor([[1.0, 2.0], [3.0, 4.0]]))(cr.tensor([1]))
            tensor([[3., 4.]])
        """
        table = _checked_table(embeddings)
        rows, width = table.shape
        return cls(
            rows, width, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
            dtype=table.dtype, _weight=table, _freeze=freeze,
        )  # fmt: skip

    def forward(self, input: TensorLike) -> Tensor:
        return functional.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )


class EmbeddingBag(_Table):
    """Sums, means or maxima of bags of vectors of a table; see `nn.functional.embedding_bag`.

    Args:
        num_embeddings: V, the number of rows.
        embedding_dim: D, the length of a vector.
        max_norm, norm_type: see `Embedding`.
        scale_grad_by_freq: see `Embedding`; not with the maximum.
        mode: "sum", "mean" or "max".
        sparse: means nothing; see `Embedding`.
        include_last_offset: whether offsets end with the length of the input.
        padding_idx: rows of this number count in no bag; the row begins as 0.
        dtype: of W.

    Attributes:
        weight: W, shape (V, D), at first drawn from the normal distribution N(0, 1).

    Shapes:
        Input integers (B, N), or (N,) with offsets (B,); output (B, D).

    Raises:
        IndexError, DTypeError, ShapeError, ValueError: when called on what does not fit.

    Source: Joulin, Grave, Bojanowski and Mikolov, "Bag of Tricks for Efficient Text
    Classification", 2016.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.EmbeddingBag(10, 3, mode="sum")
        >>> layer(cr.tensor([1, 2, 4, 5]), offsets=cr.tensor([0, 1])).shape
        (2, 3)
    """

    _shown = ("max_norm", "norm_type", "scale_grad_by_freq", "mode", "padding_idx", "dtype")

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: DTypeLike | None = None,
        *,
        _weight: TensorLike | None = None,
        _freeze: bool = False,
    ) -> None:
        super().__init__()
        self.mode = checks.one_of("mode", mode, ("sum", "mean", "max"))
        if scale_grad_by_freq and mode == "max":
            raise ValueError("scale_grad_by_freq is for sums and means, not for mode='max'")
        self.include_last_offset = checks.flag("include_last_offset", include_last_offset)
        self._begin(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            arguments.floating(dtype, device),
            _weight,
            _freeze,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: TensorLike,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer with the given vectors; see `Embedding.from_pretrained`.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import nn
            >>> layer = nn.EmbeddingBag.from_pretrained(cr.tensor([[1.0, 2.0], [3.0, 4.0]]))
            >>> layer(cr.tensor([[0, 1]]))
            tensor([[2., 3.]])
        """
        table = _checked_table(embeddings)
        rows, width = table.shape
        return cls(
            rows, width, max_norm, norm_type, scale_grad_by_freq, mode, sparse,
            include_last_offset, padding_idx, dtype=table.dtype, _weight=table, _freeze=freeze,
        )  # fmt: skip

    def forward(
        self,
        input: TensorLike,
        offsets: TensorLike | None = None,
        per_sample_weights: TensorLike | None = None,
    ) -> Tensor:
        return functional.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )
