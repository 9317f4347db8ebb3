"""The network of an estimator: layers, and their first weights as scikit-learn draws them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks, nn
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.random import Generator, use_generator
from chainrule.sklearn.sparse_rows import OnEntries, begins_linearly, has_short_rows

_SCIKIT_LEARN = {"logistic": "sigmoid", "identity": ""}
"""Names of scikit-learn for activations, and ours; of none for the identity."""

_CLASSES: dict[str, type[nn.Module]] = {
    kind.__name__.lower(): kind
    for kind in (
        nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh,
        nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.RReLU, nn.SELU,
        nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink,
    )
}  # fmt: skip
ACTIVATIONS = frozenset((*_SCIKIT_LEARN, *_CLASSES, "leaky_relu"))
"""The names of activations."""

Activation = str | nn.Module | type[nn.Module] | Callable[[Tensor], Tensor]


class _Function(nn.Module):
    """A function of Tensors as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, input: Tensor) -> Tensor:
        return self.function(input)


def make_activation(given: Activation, dtype: DTypeLike | None) -> nn.Module | None:
    """An activation as a layer of its own; None for the identity.

    Args:
        given: a name, a module (which is copied), the class of one, or a function of Tensors.
        dtype: of its parameters, if it has some; of a module made of the library's layers, too.
    """
    if isinstance(given, str):
        name = _SCIKIT_LEARN.get(given, given).replace("_", "")
        if not name:
            return None
        given = _CLASSES[name]
    if isinstance(given, type):
        return given(dtype=dtype) if "dtype" in signature(given).parameters else given()
    return _copied(given, dtype) if isinstance(given, nn.Module) else _Function(given)


def _copied(module: nn.Module, dtype: DTypeLike | None) -> nn.Module:
    """A copy of a module, in this dtype if it is made of the library's layers."""
    if dtype is None or all(p.dtype == dtype for p in module.parameters()):
        return copy.deepcopy(module)
    try:
        made = nn.from_description(_in_dtype(nn.to_description(module), str(np.dtype(dtype))))
    except (TypeError, ValueError):  # of a class of the user's own
        return copy.deepcopy(module)
    own = made.state_dict()
    made.load_state_dict({n: a.astype(own[n].dtype) for n, a in module.state_dict().items()})
    for new, given in zip(made.modules(), module.modules(), strict=True):
        new._hooks = given._hooks  # a description holds none
    return made


def _in_dtype(description: Any, dtype: str) -> Any:
    """A description of a module with another dtype wherever it has one."""
    if isinstance(description, Mapping):
        return {k: dtype if k == "dtype" else _in_dtype(v, dtype) for k, v in description.items()}
    return description


class _Undrawn(nn.Linear):
    """A Linear whose weights are 0 at first."""

    def reset_parameters(self) -> None:
        """Draw nothing."""


def _linear(inputs: int, outputs: int, dtype: DTypeLike | None, *, bias: bool = True) -> nn.Linear:
    """A Linear that draws no weights of its own, which would take a fifth of a short fit."""
    layer = _Undrawn(inputs, outputs, bias, dtype=dtype)
    object.__setattr__(layer, "__class__", nn.Linear)
    return layer


class Network:
    """A network with hidden layers in a row, and its linear layers.

    A hidden layer is Linear, normalisation, activation, dropout; with `residual` its input is added
    to it, by a Linear without bias where the widths differ.

    Args:
        widths: of the input, the hidden layers and the output.
        activation: of all hidden layers, or a list with one for each.
        normalization: None, "batch" or "layer".
        dropout: the rate in all hidden layers, or a list with one for each.
        residual: whether hidden layers add to their input.
        output: an activation after the last layer, or None.
        dtype: of all parameters.
        before: a network of the same widths that this one takes the place of: it gets the layers
            that both have.

    Attributes:
        model: the network.
        layers: the linear layers from input to output, without those of shortcuts.
        shortcuts: the linear layers of shortcuts.
        made_of: what it is made of, besides widths and dtype, as `made_of`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        activation: Activation | Sequence[Activation] = "relu",
        normalization: str | None = None,
        dropout: float | Sequence[float] = 0.0,
        residual: bool = False,
        output: Activation | None = None,
        dtype: DTypeLike | None = None,
        before: Network | None = None,
    ) -> None:
        hidden = len(widths) - 2
        self.made_of = made_of(hidden, activation, normalization, dropout, residual, output)
        activations, _, rates, _, _ = self.made_of
        self._drawn_for = [*activations, *(activations[-1:] or [activation])]
        self._parts: dict[tuple[Any, ...], Any] = {}
        known = {} if before is None else before._parts

        def part(*key: Any, make: Callable[[], Any]) -> Any:
            self._parts[key] = found = known[key] if key in known else make()
            return found

        self.layers: list[nn.Linear] = []
        self.shortcuts: list[nn.Linear] = []
        modules: list[nn.Module] = []
        with use_generator(Generator(0)):  # of what a user's module draws: no other draws change
            for i, (given, rate) in enumerate(zip(activations, rates, strict=True)):
                width, wider = widths[i], widths[i + 1]
                linear = partial(_linear, width, wider, dtype)
                self.layers.append(part(i, "linear", make=linear))
                block: list[nn.Module] = [self.layers[-1]]
                if normalization is not None:
                    norm = nn.BatchNorm1d if normalization == "batch" else nn.LayerNorm
                    block.append(part(i, norm, make=partial(norm, wider, dtype=dtype)))
                made = part(i, "activation", given, make=partial(make_activation, given, dtype))
                block += [made] if made is not None else []
                block += [nn.Dropout(rate)] if rate else []
                if residual:
                    projection = None
                    if width != wider:
                        projection = part(i, "shortcut", make=partial(linear, bias=False))
                        self.shortcuts.append(projection)
                    block = [nn.Residual(nn.Sequential(*block), projection)]
                modules += block
            linear = partial(_linear, widths[-2], widths[-1], dtype)
            self.layers.append(part(hidden, "linear", make=linear))
        modules.append(self.layers[-1])
        last = None
        if output is not None:
            last = part(hidden, output, make=partial(make_activation, output, dtype))
        self.model = nn.Sequential(*modules, *([] if last is None else [last]))
        self._on_entries = OnEntries()

    def in_dtype(self, dtype: DTypeLike) -> Network:
        """A network made alike with the same numbers, in another dtype."""
        activation, normalization, dropout, residual, output = self.made_of
        found = Network(
            self.widths, activation=activation, normalization=normalization, dropout=dropout,
            residual=residual, output=output, dtype=dtype,
        )  # fmt: skip
        own = found.model.state_dict()
        numbers = self.model.state_dict().items()
        found.model.load_state_dict({name: a.astype(own[name].dtype) for name, a in numbers})
        return found

    def form_for(self, x: Any) -> nn.Module:
        """The model as it is trained on rows: if they are short, by their entries."""
        if not (has_short_rows(x) and begins_linearly(self.model)):
            return self.model
        if [*self._on_entries] != [*self.model]:
            self._on_entries = OnEntries(*self.model)
        return self._on_entries

    def initialize(self, random_state: np.random.RandomState, dtype: DTypeLike) -> None:
        """Draw all weights and biases: uniform in +-sqrt(6 / (fan in + fan out)).

        They are rounded to `dtype`, that of the rows, even where the network has another.

        2 in place of 6 where the activation is logistic. Weights come as (in, out), layer by layer,
        each followed by its bias: the numbers are scikit-learn's of the same random state.

        Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
        networks" (2010).
        """
        for layer, activation in zip(self.layers, self._drawn_for, strict=True):
            factor = 2.0 if activation == "logistic" else 6.0
            _draw(layer, factor, random_state, dtype)
        for layer in self.shortcuts:
            _draw(layer, 6.0, random_state, dtype)

    @property
    def widths(self) -> list[int]:
        """The widths of the input, the hidden layers and the output."""
        return [self.layers[0].in_features, *[layer.out_features for layer in self.layers]]

    def check_widths(self, columns: int, hidden: list[int], outputs: int) -> None:
        """Raise ValueError where a network of other widths is asked for than this one has."""
        own = self.widths
        for said, now, before in (
            (f"hidden_layer_sizes is {hidden}", hidden, own[1:-1]),
            (f"X has {columns} columns, with those that allow_nan adds", columns, own[0]),
            (f"y and the loss ask for {outputs} outputs", outputs, own[-1]),
        ):
            if now != before:
                raise ValueError(
                    f"{said}, and the network that warm_start and partial_fit go on with has "
                    f"{before}: begin anew, with another estimator or with warm_start=False"
                )

    def coefs(self) -> list[Array]:
        """Copies of the weights, each of shape (in, out)."""
        return [np.array(layer.weight.numpy().T) for layer in self.layers]

    def intercepts(self) -> list[Array]:
        """Copies of the biases."""
        return [np.array(bias_of(layer).value) for layer in self.layers]

    def assign(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
        """Take over weights and biases where they are not those of the layers.

        Raises:
            ValueError: for shapes, or a number of arrays, that are not those of the layers.
        """
        if not len(coefs) == len(intercepts) == len(self.layers):
            raise ValueError(
                f"coefs_ and intercepts_ hold an array for each of {len(self.layers)} layers, got "
                f"{len(coefs)} and {len(intercepts)}"
            )
        changes = []
        for number, layer in enumerate(self.layers):
            bias = bias_of(layer)
            for name, state, given in (
                (f"coefs_[{number}].T", layer.weight, np.transpose(coefs[number])),
                (f"intercepts_[{number}]", bias, np.asarray(intercepts[number])),
            ):
                if given.shape != state.shape:
                    raise ValueError(f"{name} has shape {given.shape}, the layer {state.shape}")
                if not np.array_equal(state.value, given):  # type: ignore[arg-type]
                    changes.append((state, given.astype(state.dtype)))
        for state, value in changes:
            state.assign(value)


def made_of(
    hidden: int, activation: Any, normalization: Any, dropout: Any, residual: Any, output: Any
) -> tuple[Any, ...]:
    """What tells networks of so many hidden layers apart; equal where they are made alike.

    Raises:
        ValueError: for a list of another length.
    """
    activations = one_for_each("activation", activation, hidden)
    return activations, normalization, one_for_each("dropout", dropout, hidden), residual, output


def bias_of(layer: nn.Linear) -> Parameter:
    """The bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias


def _draw(
    layer: nn.Linear, factor: float, random_state: np.random.RandomState, dtype: DTypeLike
) -> None:
    bound = np.sqrt(factor / (layer.in_features + layer.out_features))
    shape = layer.in_features, layer.out_features
    weight = random_state.uniform(-bound, bound, shape).astype(dtype)
    layer.weight.assign(np.ascontiguousarray(weight.T, layer.weight.dtype))
    if layer.bias is not None:
        bias = random_state.uniform(-bound, bound, layer.out_features).astype(dtype)
        layer.bias.assign(bias.astype(layer.bias.dtype))


def widths_of(hidden_layer_sizes: Any) -> list[int]:
    """The widths of the hidden layers.

    Raises:
        TypeError, ValueError: for what is no whole number above 0.
    """
    given = np.atleast_1d(np.asarray(hidden_layer_sizes, dtype=object))
    widths = [checks.integer("each of hidden_layer_sizes", width) for width in given]
    if any(width <= 0 for width in widths):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {widths}.")
    return widths


def one_for_each(name: str, given: Any, layers: int) -> list[Any]:
    """`given` for each of the hidden layers: one for all, or a list of as many.

    Raises:
        ValueError: for a list of another length.
    """
    if isinstance(given, (list, tuple, np.ndarray)):
        if len(given) != layers:
            raise ValueError(
                f"{name} is one for all hidden layers or a list with one for each of {layers}, "
                f"got {len(given)}"
            )
        return list(given)
    return [given] * layers
