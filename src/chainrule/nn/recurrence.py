"""Steps of recurrent networks, and what unrolls them over a sequence.

    h_t = step(z_t, h_(t-1)),    z_t = W_ih x_t + b: one product for all t

A state is a tuple of Tensors (N, H): (h,), or (h, c) of an LSTM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from chainrule.graph.tensor import Tensor, TensorLike
from chainrule.nn.functional.linear import linear
from chainrule.ops import relu, sigmoid, stack, tanh, unstack, where
from chainrule.ops.index import part_of

State = tuple[Tensor, ...]


class Weights(NamedTuple):
    """The parameters of one layer in one direction: None for what it does not have."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    weight_hr: Tensor | None = None


Step = Callable[[Tensor, State, Weights], State]
"""(z_t, state before, weights) -> state after."""

NONLINEARITIES = {"tanh": tanh, "relu": relu}


def rnn_step(nonlinearity: str) -> Step:
    """h' = f(z + W_hh h)"""
    function = NONLINEARITIES[nonlinearity]

    def step(z: Tensor, state: State, weights: Weights) -> State:
        (h,) = state
        return (function(z + linear(h, weights.weight_hh)),)

    return step


def lstm_step(z: Tensor, state: State, weights: Weights) -> State:
    """c' = f c + i g,  h' = W_hr (o tanh(c')),  where i, f, o = sigmoid, g = tanh of z + W_hh h"""
    h, c = state
    i, f, g, o = _parts(z + linear(h, weights.weight_hh), 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return (h if weights.weight_hr is None else linear(h, weights.weight_hr)), c


def gru_step(z: Tensor, state: State, weights: Weights) -> State:
    """h' = (1 - u) n + u h,  where r, u = sigmoid(z + W h + b),  n = tanh(z + r (W h + b))"""
    (h,) = state
    r, u, n = _parts(z, 3)
    from_r, from_u, from_n = _parts(linear(h, weights.weight_hh, weights.bias_hh), 3)
    n = tanh(n + sigmoid(r + from_r) * from_n)
    u = sigmoid(u + from_u)
    return (n + u * (h - n),)


def _parts(z: Tensor, count: int) -> list[Tensor]:
    """z, whose last axis holds the gates one after another, as a Tensor for each."""
    width = z.shape[-1] // count
    return [part_of(z, len(z.shape) - 1, i * width, width) for i in range(count)]


def inputs_of_steps(x: Tensor, weights: Weights, *, joins_biases: bool) -> Tensor:
    """z = W_ih x + b of one step, or of all; b is both biases together, or b_ih alone."""
    bias = weights.bias_ih
    if joins_biases and bias is not None and weights.bias_hh is not None:
        bias = bias + weights.bias_hh
    return linear(x, weights.weight_ih, bias)


def remedy_for_pair(given: Sequence[TensorLike] | None) -> str:
    """What to say of a refused state that is an LSTM's pair where it has one part."""
    if given is None or len(given) != 1 or not isinstance(given[0], (tuple, list)):
        return ""
    return ": it is one Tensor h, and only an LSTM has a pair (h, c). Of a pair give its first"


def unrolled(
    step: Step,
    z: Tensor,
    state: State,
    weights: Weights,
    within: Sequence[Tensor] | None,
    *,
    reverse: bool,
) -> tuple[Tensor, State]:
    """The outputs of all steps, (T, N, H), and the state after the last one.

    Args:
        step: what one step does.
        z: what the input gives to each step, (T, N, gates H).
        state: before the first step.
        weights: the parameters.
        within: for each t which sequences have a step t, (N, 1): the state of the others stays.
            So backwards each sequence begins at its own end.
        reverse: from the last step to the first.
    """
    parts = unstack(z)
    outputs = []
    for t in reversed(range(len(parts))) if reverse else range(len(parts)):
        after = step(parts[t], state, weights)
        if within is not None:
            after = tuple([where(within[t], a, b) for a, b in zip(after, state, strict=True)])
        state = after
        outputs.append(state[0])
    return stack(outputs[::-1] if reverse else outputs), state
