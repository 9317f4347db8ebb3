"""Recurrent networks over whole sequences: RNN, LSTM, GRU."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import arguments, functional, init
from chainrule.nn.layers.base import Layer
from chainrule.nn.recurrence import (
    NONLINEARITIES,
    State,
    Step,
    Weights,
    gru_step,
    inputs_of_steps,
    lstm_step,
    remedy_for_pair,
    rnn_step,
    unrolled,
)
from chainrule.nn.utils.rnn import PackedSequence
from chainrule.ops import concatenate, stack, unstack, where, zeros


class _Recurrent(Layer):
    """What recurrent networks have in common; each subclass says what one step does."""

    gates: ClassVar[int]
    joins_biases: ClassVar[bool] = True
    """Whether b_ih + b_hh is all that a step needs of the biases."""
    proj_size: int = 0

    def _make(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        dtype: DTypeLike | None,
        device: Any,
    ) -> None:
        """Check and keep the arguments that all have; make the parameters."""
        self.input_size = checks.count("input_size", input_size)
        self.hidden_size = checks.count("hidden_size", hidden_size)
        self.num_layers = checks.count("num_layers", num_layers)
        self.bias = checks.flag("bias", bias)
        self.batch_first = checks.flag("batch_first", batch_first)
        self.dropout = float(checks.probability("dropout", dropout))
        self.bidirectional = checks.flag("bidirectional", bidirectional)
        self.dtype = arguments.floating(dtype, device)
        for layer, suffix in self._places():
            for name, shape in self._shapes(layer).items():
                value = Parameter(np.zeros(shape, dtype=self.dtype))
                self.register_parameter(f"{name}_{suffix}", value)
        self.reset_parameters()

    if TYPE_CHECKING:  # weight_ih_l0 and so on, which `num_layers` numbers

        def __getattr__(self, name: str) -> Parameter: ...

    @property
    def is_stochastic(self) -> bool:  # type: ignore[override]
        """Whether a call in training mode draws random numbers."""
        return self.dropout > 0 and self.num_layers > 1

    @property
    def _directions(self) -> tuple[str, ...]:
        """The ends of the parameters' names, one for each direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _places(self) -> Iterator[tuple[int, str]]:
        """(layer, end of its parameters' names), in the order of the states."""
        for layer in range(self.num_layers):
            for direction in self._directions:
                yield layer, f"l{layer}{direction}"

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """The parameters of a layer in one direction, by the beginnings of their names."""
        rows = self.gates * self.hidden_size
        inputs = len(self._directions) * self._output_size if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, self._output_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return shapes

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        hidden = checks.count("hidden_size", given["hidden_size"])
        projected = checks.integer("proj_size", given.get("proj_size", 0), 0)
        output = projected or hidden
        directions = 2 if given["bidirectional"] else 1
        layers = checks.count("num_layers", given["num_layers"])
        inputs = checks.count("input_size", given["input_size"])
        columns = inputs + (layers - 1) * directions * output
        columns += layers * (output + (2 if given["bias"] else 0))
        return directions * (cls.gates * hidden * columns + layers * projected * hidden)

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction, in lists."""
        return [
            [getattr(self, f"{name}_{suffix}") for name in self._shapes(layer)]
            for layer, suffix in self._places()
        ]

    def flatten_parameters(self) -> None:
        """Nothing: a plan lays the parameters side by side by itself. (PyTorch's, for its GPUs.)"""

    @abstractmethod
    def _step(self) -> Step:
        """What one step does."""

    @abstractmethod
    def _sizes(self) -> tuple[int, ...]:
        """The widths of the Tensors that make up a state."""

    def _weights(self, suffix: str) -> Weights:
        return Weights(*[self._parameters.get(f"{name}_{suffix}") for name in Weights._fields])  # type: ignore[arg-type]

    def _run(
        self, input: TensorLike | PackedSequence, hx: Sequence[TensorLike] | None
    ) -> tuple[Tensor | PackedSequence, State]:
        """The outputs and the last states, each of them (layers * directions, N, width)."""
        packed = isinstance(input, PackedSequence)
        x = arguments.as_dtype(input.padded if packed else input, self.dtype)  # type: ignore[union-attr]
        self._check_input(x, packed)
        is_batch = x.ndim == 3
        if not is_batch:
            x = x.reshape(x.shape[0], 1, x.shape[1])
        elif self.batch_first and not packed:
            x = x.swapaxes(0, 1)
        batch = x.shape[1]
        states = self._first_states(hx, batch, is_batch)
        within = None
        if isinstance(input, PackedSequence):
            inside = input.within().reshape(x.shape[0], batch, 1)
            within = unstack(inside)
            x = where(inside, x, 0.0)  # so that NaN there does not reach gradients, as 0 NaN
        last: list[State] = []
        step = self._step()
        for layer, names in enumerate(self._directions for _ in range(self.num_layers)):
            if layer and self.dropout and self.training:
                x = functional.dropout(x, self.dropout)
            outputs = []
            for direction in names:
                weights = self._weights(f"l{layer}{direction}")
                z = inputs_of_steps(x, weights, joins_biases=self.joins_biases)
                state = states[len(last)]
                y, state = unrolled(step, z, state, weights, within, reverse=bool(direction))
                outputs.append(y)
                last.append(state)
            x = outputs[0] if len(outputs) == 1 else concatenate(outputs, 2)
        final = tuple([stack(s) for s in zip(*last, strict=True)])
        if isinstance(input, PackedSequence):
            return PackedSequence(x, input.lengths), final
        if not is_batch:
            return x.reshape(x.shape[0], x.shape[2]), tuple([s[:, 0] for s in final])
        return (x.swapaxes(0, 1) if self.batch_first else x), final

    def _check_input(self, x: Tensor, packed: bool) -> None:
        axes = f"(N, T, {self.input_size})" if self.batch_first else f"(T, N, {self.input_size})"
        if x.ndim not in ((3,) if packed else (2, 3)):
            raise ShapeError(f"the input has shape {axes} or (T, {self.input_size}), got {x.shape}")
        arguments.check_input(x, self.input_size, self.dtype)
        if not x.shape[1 if self.batch_first and not packed and x.ndim == 3 else 0]:
            raise ShapeError(f"the input has shape {axes} with at least one step, got {x.shape}")

    def _first_states(
        self, hx: Sequence[TensorLike] | None, batch: int, is_batch: bool
    ) -> list[State]:
        """The states before the first step, for each layer and direction: zeros by default."""
        count = self.num_layers * len(self._directions)
        if hx is None:
            shapes = [(batch, size) for size in self._sizes()]
            return [tuple([zeros(shape, dtype=self.dtype) for shape in shapes])] * count
        parts = []
        for given, size in zip(hx, self._sizes(), strict=True):
            h = arguments.as_dtype(given, self.dtype)
            wanted = (count, batch, size) if is_batch else (count, size)
            if h.shape != wanted:
                raise ShapeError(
                    f"a first state of this layer has shape {wanted} for this input, got {h.shape}"
                    f"{remedy_for_pair(hx)}"
                )
            parts.append(unstack(h.reshape(count, batch, size)))
        return list(zip(*parts, strict=True))

    def extra_repr(self) -> str:
        """The text between the parentheses: as PyTorch has it, without what is the default."""
        usual = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
            "dtype": "float32",
        }
        values = {name: getattr(self, name) for name in usual}
        shown = [f"{name}={v}" for name, v in values.items() if v != usual[name]]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *shown])


class RNN(_Recurrent):
    """The simple recurrent network of Elman, over a whole sequence.

    h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)

    Args:
        input_size: I, the length of x_t.
        hidden_size: H, the length of h_t.
        num_layers: L: each layer takes the outputs h_t of the one before.
        nonlinearity: "tanh" or "relu".
        bias: whether there are b_ih and b_hh.
        batch_first: sequences have shape (N, T, ...) in place of (T, N, ...); states keep theirs.
        dropout: the probability with which elements of the outputs of each layer but the last are
            dropped in training.
        bidirectional: a second network goes from the last step to the first; D = 2, else 1.
        dtype: of the parameters; data are cast, outputs of layers must have it.

    Attributes:
        weight_ih_l0: W_ih of the first layer, shape (H, I); of later ones ("_l1", ...) (H, D H).
            Those of the second direction end in "_reverse".
        weight_hh_l0: shape (H, H).
        bias_ih_l0, bias_hh_l0: shape (H,).

    At first all are uniform in +-1 / sqrt(H).

    Shapes:
        Input (T, N, I), (T, I) without a batch, or a `PackedSequence`; first state (D L, N, H) or
        (D L, H), zeros by default. Output (T, N, D H), and the last state of each layer.

    Raises:
        ShapeError, DTypeError: when called on an input or a first state that does not fit.

    The state after a packed sequence is that after its own last element, and the second direction
    begins there.

    Source: Elman, "Finding structure in time", Cognitive Science 14, 1990; *Deep Learning*,
    section 10.2; the starting values are PyTorch's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> output, h = nn.RNN(3, 4)(cr.ones((5, 2, 3)))
        >>> output.shape, h.shape
        ((5, 2, 4), (1, 2, 4))
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.nonlinearity = checks.one_of("nonlinearity", nonlinearity, NONLINEARITIES)
        self._make(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype,
            device,
        )

    def _step(self) -> Step:
        return rnn_step(self.nonlinearity)

    def _sizes(self) -> tuple[int, ...]:
        return (self.hidden_size,)

    def forward(
        self, input: TensorLike | PackedSequence, hx: TensorLike | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        output, (h,) = self._run(input, None if hx is None else (hx,))
        return output, h


class GRU(_Recurrent):
    """The gated recurrent unit, over a whole sequence.

    r, u = sigmoid(W_i x_t + b_i + W_h h_(t-1) + b_h), each with a third of the rows,
    n = tanh(W_i x_t + b_i + r (W_h h_(t-1) + b_h)) with the last one, h_t = (1 - u) n + u h_(t-1)

    Args:
        input_size: I, the length of x_t.
        hidden_size: H, the length of h_t.
        num_layers, bias, batch_first, dropout, bidirectional, dtype: as in `RNN`.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0: as in `RNN`, with 3 H rows: those of r,
            of u and of n.

    Shapes:
        As those of `RNN`.

    Raises:
        ShapeError, DTypeError: when called on an input or a first state that does not fit.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation", EMNLP 2014, with the reset after the product, as in PyTorch.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> output, h = nn.GRU(3, 4, bidirectional=True)(cr.ones((5, 2, 3)))
        >>> output.shape, h.shape
        ((5, 2, 8), (2, 2, 4))
    """

    gates = 3
    joins_biases = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self._make(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype,
            device,
        )

    def _step(self) -> Step:
        return gru_step

    def _sizes(self) -> tuple[int, ...]:
        return (self.hidden_size,)

    def forward(
        self, input: TensorLike | PackedSequence, hx: TensorLike | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        output, (h,) = self._run(input, None if hx is None else (hx,))
        return output, h


class LSTM(_Recurrent):
    """Long short-term memory, over a whole sequence.

    i, f, o = sigmoid and g = tanh of W_ih x_t + b_ih + W_hh h_(t-1) + b_hh, each with a quarter of
    the rows, c_t = f c_(t-1) + i g, h_t = o tanh(c_t)

    Args:
        input_size: I, the length of x_t.
        hidden_size: H, the length of c_t.
        num_layers, bias, batch_first, dropout, bidirectional: as in `RNN`.
        proj_size: P, the length of h_t if it is not 0: h_t = W_hr (o tanh(c_t)).
        dtype: as in `RNN`.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0: as in `RNN`, with 4 H rows: those of i,
            f, g and o.
        weight_hr_l0: W_hr, shape (P, H), where there is one.

    Shapes:
        As those of `RNN`, with P in place of H where h_t is projected; the first and the last
        state are pairs (h, c), where c has shape (D L, N, H).

    Raises:
        ShapeError, DTypeError: when called on an input or a first state that does not fit.

    Source: Hochreiter, Schmidhuber, "Long short-term memory", Neural Computation 9, 1997; *Deep
    Learning*, section 10.10; Sak, Senior, Beaufays, arXiv:1402.1128, for the projection.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> output, (h, c) = nn.LSTM(3, 4, num_layers=2)(cr.ones((5, 2, 3)))
        >>> output.shape, h.shape, c.shape
        ((5, 2, 4), (2, 2, 4), (2, 2, 4))
    """

    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.proj_size = checks.integer("proj_size", proj_size, 0)
        if self.proj_size >= checks.count("hidden_size", hidden_size):
            raise ValueError(
                f"proj_size is smaller than hidden_size, {hidden_size}; got {proj_size}"
            )
        self._make(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype,
            device,
        )

    def _step(self) -> Step:
        return lstm_step

    def _sizes(self) -> tuple[int, ...]:
        return self._output_size, self.hidden_size

    def forward(
        self,
        input: TensorLike | PackedSequence,
        hx: tuple[TensorLike, TensorLike] | None = None,
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError(f"the first state of an LSTM is a pair (h, c), got {type(hx).__name__}")
        output, (h, c) = self._run(input, hx)
        return output, (h, c)
