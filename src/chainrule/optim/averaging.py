"""Averages of weights over the steps of a training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.graph.context import no_grad
from chainrule.graph.guards import Guard, guard_of
from chainrule.graph.parameter_lists import distinct_parameters
from chainrule.graph.state import Buffer, HyperParameter, Parameter, RunTimeNumber
from chainrule.ops import where
from chainrule.optim.state_dicts import check_keys, check_mapping, fitting_arrays

_DECAYS = checks.Interval(0, 1)


class EMA:
    """The exponential moving average of parameters, often a better model than the last step's.

    average <- decay average + (1 - decay) W

    The first `update` takes the weights as they are, as PyTorch's AveragedModel with
    `get_ema_multi_avg_fn` does. Before it there is no average: `applied` and `copy_to` leave the
    parameters as they are. After it the average looks back over about 1 / (1 - decay) steps: a
    training should have several times as many.

    Buffers, such as the running statistics of a batch normalisation, are not averaged.

    Args:
        parameters: the Parameters.
        decay: how much of the average is kept, in [0, 1). It can be set between updates.

    Attributes:
        parameters: the Parameters.
        averages: a Buffer for each.
        n_averaged: how many updates there were, a Buffer.

    Raises:
        TypeError: if `parameters` holds anything but Parameters, or `decay` is no number.
        ValueError: if there are none, if one comes twice, or if `decay` is out of range.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992), in
    the exponential form that is used since.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> w = cr.Parameter([0.0])
        >>> ema = optim.EMA([w], decay=0.5)
        >>> for value in (2.0, 4.0, 8.0):
        ...     w.assign([value])
        ...     ema.update()
        >>> with ema.applied():
        ...     print(w.item())
        5.5
        >>> w.item()
        8.0
    """

    decay = RunTimeNumber(_DECAYS.check)
    _decay: HyperParameter

    def __init__(self, parameters: Iterable[Parameter], decay: float = 0.999) -> None:
        found = distinct_parameters(parameters, "an average is of Parameters")
        self.parameters = checks.Unchanging(found, "an average's parameters stay: make another EMA")
        self.decay = decay
        self.averages = [
            Buffer(p.numpy().copy(), name=f"{i}.average") for i, p in enumerate(self.parameters)
        ]
        self.n_averaged = Buffer(np.float64(0), name="n_averaged")

    def update(self) -> None:
        """Update the averages with the parameters' present values.

        Inside `chainrule.capture`, after the optimiser's `update`, it becomes a part of the graph.
        """
        with no_grad():
            decay = where(self.n_averaged == 0.0, 0.0, self._decay)
            dtypes = dict.fromkeys(parameter.dtype for parameter in self.parameters)
            of_dtype = {dtype: decay.astype(dtype) for dtype in dtypes}
            for parameter, average in zip(self.parameters, self.averages, strict=True):
                kept = of_dtype[parameter.dtype]
                # 1 - kept in the same dtype: the two weights add up to 1, and no bias builds up.
                average.assign(kept * average + (1.0 - kept) * parameter)
            self.n_averaged.assign(self.n_averaged + 1.0)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters hold their averages inside `with`, and afterwards their own values again.

        For evaluation and prediction. Assignments to the parameters inside are lost. Training and
        prediction in other threads wait for the end of the block.
        """
        with self._guard().alone:
            before = [parameter.numpy() for parameter in self.parameters]
            try:
                self.copy_to()
                yield
            finally:
                for parameter, value in zip(self.parameters, before, strict=True):
                    parameter.assign(value)

    def copy_to(self) -> None:
        """Assign the averages to the parameters."""
        with self._guard().alone:
            if not self.n_averaged.item():
                return
            for parameter, average in zip(self.parameters, self.averages, strict=True):
                parameter.assign(average.numpy())

    def _guard(self) -> Guard:
        return guard_of([*self.parameters, *self.averages, self.n_averaged])

    # Saving

    def states(self) -> dict[str, Buffer]:
        """Every Buffer by a stable name: "0.average", where 0 is the parameter's index, and
        "n_averaged"."""
        return {str(buffer.name): buffer for buffer in (*self.averages, self.n_averaged)}

    def state_dict(self) -> dict[str, Any]:
        """A snapshot as a plain dict: copies of the arrays of `states`, and the decay."""
        with self._guard().shared:  # beside a training they are all of one step
            arrays = {name: buffer.numpy().copy() for name, buffer in self.states().items()}
            return {"decay": self.decay, **arrays}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            ValueError, TypeError: if it is no dict, or of other parameters, by their number, shapes
                (ShapeError) or dtypes (DTypeError); nothing has changed then.
        """
        check_mapping(state_dict)
        buffers = self.states()
        check_keys(state_dict, ["decay", *buffers], "this average")
        decay = _DECAYS.check("decay", state_dict["decay"])
        arrays = fitting_arrays(state_dict, buffers)
        with self._guard().alone:
            for name, buffer in buffers.items():
                buffer.replace(arrays[name])
            self.decay = decay

    def __repr__(self) -> str:
        return f"EMA({len(self.parameters)} parameters, decay={self.decay})"
