"""One step of a recurrent network as a layer: RNNCell, LSTMCell, GRUCell."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import ShapeError
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn import arguments, init
from chainrule.nn.layers.base import Layer, MaybeParameter
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
)
from chainrule.ops import zeros


class _Cell(Layer):
    """What the cells have in common; each subclass says what the step does."""

    gates: ClassVar[int]
    joins_biases: ClassVar[bool] = True
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: MaybeParameter
    bias_hh: MaybeParameter

    def _make(
        self, input_size: int, hidden_size: int, bias: bool, dtype: DTypeLike | None, device: Any
    ) -> None:
        """Check and keep the arguments that all have; make the parameters."""
        self.input_size = checks.count("input_size", input_size)
        self.hidden_size = checks.count("hidden_size", hidden_size)
        self.bias = checks.flag("bias", bias)
        self.dtype = arguments.floating(dtype, device)
        rows = self.gates * self.hidden_size
        self.weight_ih = Parameter(np.zeros((rows, self.input_size), self.dtype))
        self.weight_hh = Parameter(np.zeros((rows, self.hidden_size), self.dtype))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(np.zeros(rows, self.dtype)) if self.bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        hidden = checks.count("hidden_size", given["hidden_size"])
        return cls.gates * hidden * max(hidden, checks.count("input_size", given["input_size"]))

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    @abstractmethod
    def _step(self) -> Step:
        """What the step does."""

    def _run(self, input: TensorLike, hx: Sequence[TensorLike] | None, parts: int) -> State:
        """The state after the step; `hx` has as many parts as a state."""
        x = arguments.as_input(input, self.input_size, self.dtype)
        if x.ndim > 2:
            raise ShapeError(
                f"the input of a cell has shape (N, {self.input_size}) or ({self.input_size},), "
                f"got {x.shape}"
            )
        wanted = (*x.shape[:-1], self.hidden_size)
        if hx is None:
            given = (zeros(wanted, dtype=self.dtype),) * parts
        else:
            given = tuple([arguments.as_dtype(h, self.dtype) for h in hx])
        for h in given:
            if h.shape != wanted:
                raise ShapeError(
                    f"the state of this cell has shape {wanted} for this input, got {h.shape}"
                    f"{remedy_for_pair(hx)}"
                )
        weights = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        z = inputs_of_steps(x, weights, joins_biases=self.joins_biases)
        return self._step()(z, given, weights)

    def extra_repr(self) -> str:
        """The text between the parentheses: as PyTorch has it, without what is the default."""
        usual = {"bias": True, "nonlinearity": "tanh", "dtype": "float32"}
        given = self.constructor_arguments()
        shown = [f"{n}={given[n]}" for n in usual if n in given and given[n] != usual[n]]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *shown])


class RNNCell(_Cell):
    """One step of `RNN`.

    h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    Args:
        input_size: I, the length of x.
        hidden_size: H, the length of h.
        bias: whether there are b_ih and b_hh.
        nonlinearity: "tanh" or "relu".
        dtype: of the parameters; data are cast, outputs of layers must have it.

    Attributes:
        weight_ih, weight_hh: shapes (H, I) and (H, H), at first uniform in +-1 / sqrt(H).
        bias_ih, bias_hh: shape (H,), drawn likewise; or None.

    Shapes:
        Input (N, I) or (I,); state (N, H) or (H,), zeros by default; output as the state.

    Raises:
        ShapeError, DTypeError: when called on an input or a state that does not fit.

    Source: as of `RNN`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> cell, h = nn.RNNCell(3, 4), None
        >>> for x in cr.ones((5, 2, 3)):
        ...     h = cell(x, h)
        >>> h.shape
        (2, 4)
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.nonlinearity = checks.one_of("nonlinearity", nonlinearity, NONLINEARITIES)
        self._make(input_size, hidden_size, bias, dtype, device)

    def _step(self) -> Step:
        return rnn_step(self.nonlinearity)

    def forward(self, input: TensorLike, hx: TensorLike | None = None) -> Tensor:
        (h,) = self._run(input, None if hx is None else (hx,), 1)
        return h


class GRUCell(_Cell):
    """One step of `GRU`, whose formula it has.

    Args:
        input_size: I, the length of x.
        hidden_size: H, the length of h.
        bias: whether there are b_ih and b_hh.
        dtype: of the parameters; data are cast, outputs of layers must have it.

    Attributes:
        weight_ih, weight_hh: shapes (3 H, I) and (3 H, H), at first uniform in +-1 / sqrt(H).
        bias_ih, bias_hh: shape (3 H,), drawn likewise; or None.

    Shapes:
        Input (N, I) or (I,); state (N, H) or (H,), zeros by default; output as the state.

    Raises:
        ShapeError, DTypeError: when called on an input or a state that does not fit.

    Source: as of `GRU`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.GRUCell(3, 4)(cr.ones((2, 3))).shape
        (2, 4)
    """

    gates = 3
    joins_biases = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self._make(input_size, hidden_size, bias, dtype, device)

    def _step(self) -> Step:
        return gru_step

    def forward(self, input: TensorLike, hx: TensorLike | None = None) -> Tensor:
        (h,) = self._run(input, None if hx is None else (hx,), 1)
        return h


class LSTMCell(_Cell):
    """One step of `LSTM`, whose formula it has.

    Args:
        input_size: I, the length of x.
        hidden_size: H, the length of h and c.
        bias: whether there are b_ih and b_hh.
        dtype: of the parameters; data are cast, outputs of layers must have it.

    Attributes:
        weight_ih, weight_hh: shapes (4 H, I) and (4 H, H), at first uniform in +-1 / sqrt(H).
        bias_ih, bias_hh: shape (4 H,), drawn likewise; or None.

    Shapes:
        Input (N, I) or (I,); state (h, c), each (N, H) or (H,), zeros by default; output likewise.

    Raises:
        ShapeError, DTypeError: when called on an input or a state that does not fit.

    Source: as of `LSTM`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> h, c = nn.LSTMCell(3, 4)(cr.ones((2, 3)))
        >>> h.shape, c.shape
        ((2, 4), (2, 4))
    """

    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self._make(input_size, hidden_size, bias, dtype, device)

    def _step(self) -> Step:
        return lstm_step

    def forward(
        self, input: TensorLike, hx: tuple[TensorLike, TensorLike] | None = None
    ) -> tuple[Tensor, Tensor]:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError(f"the state of an LSTMCell is a pair (h, c), got {type(hx).__name__}")
        h, c = self._run(input, hx, 2)
        return h, c
