"""The layers of a step: calls of modules, each with the activation that follows it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.graph.backprop import backprop
from chainrule.graph.context import no_grad
from chainrule.graph.state import Parameter, State
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.activation_functions import NOT_ELEMENTWISE, Called, activation_of
from chainrule.inspect.affine import Affine, affine_map
from chainrule.inspect.normalisations import Normalisation, normalisation
from chainrule.inspect.step import Call, Step
from chainrule.nn import layers as library
from chainrule.nn.layers import activations

_AFFINE = (
    library.Linear,
    library.Conv1d,
    library.Conv2d,
    library.ConvTranspose1d,
    library.ConvTranspose2d,
)


_MOST_OPEN = 24
"""The most nodes of a layer of the user's own whose operations are shown."""


class FoundLayer(NamedTuple):
    """A call of a layer.

    Attributes:
        path, kind: of its module.
        affine: what it computes, z = W a + b; None for a layer of another kind.
        number: 1, 2, ... among the layers that are affine; None for others.
        activation: the name of the activation that follows; None without one.
        sizes: neurons in and out of a fully connected layer of rows, whose weight matrix and bias
            are its parameters "weight" and "bias".
        input: what it takes; None where that is no Tensor.
        preactivation: its module's output.
        output: what leaves it, after the activation.
        derivative: g'(z), where the activation works element by element.
        states: the parameters that the module has, by their names there.
        nodes: all of its nodes in the graph.
        is_open: whether its operations are shown: those of a small class of the user's own.
        normalisation: how it normalises its input; None for a layer of another kind.
    """

    path: str
    kind: str
    affine: Affine | None
    number: int | None
    activation: str | None
    sizes: tuple[int, int] | None
    input: Tensor | None
    preactivation: Tensor
    output: Tensor
    derivative: Array | None
    states: dict[str, State]
    nodes: list[Tensor]
    is_open: bool
    normalisation: Normalisation | None


def find_layers(step: Step) -> list[FoundLayer]:
    """The layers in the order of their calls."""
    graph = set(step.nodes)
    consumers: dict[Tensor, list[Tensor]] = {}
    for node in step.nodes:
        for parent in set(node.inputs):
            consumers.setdefault(parent, []).append(node)
    owners = _owners(step)
    of_call: dict[int, list[Tensor]] = {}
    for node, place in owners.items():
        of_call.setdefault(place, []).append(node)
    found: list[FoundLayer] = []
    absorbed: set[int] = set()
    number = 0
    for place, call in enumerate(step.calls):
        z = call.output
        if place in absorbed or z is None or z not in graph:
            continue
        nodes = of_call.get(place, []).copy()
        affine = _affine(call)
        activation, output, is_elementwise = None, z, False
        if affine is not None:
            number += 1
            follower = _activation_after(z, place, step, owners, consumers)
            if follower is not None:
                activation, output, after = follower
                is_elementwise = activation not in NOT_ELEMENTWISE
                nodes += after
                absorbed.update(owners[node] for node in after if node in owners)
        found.append(
            FoundLayer(
                call.path,
                type(call.module).__name__,
                affine,
                None if affine is None else number,
                activation,
                None if affine is None else _sizes(call, affine, step),
                call.inputs[0] if call.inputs else None,
                z,
                output,
                _derivative(z, output) if is_elementwise else None,
                {name: p for name, p in call.module._parameters.items() if p is not None},
                nodes,
                _is_own(call) and len(nodes) <= _MOST_OPEN,
                normalisation(call.module, nodes),
            )
        )
    _add_parameters_of_others(found, step, consumers)
    return found


def _add_parameters_of_others(
    found: list[FoundLayer], step: Step, consumers: dict[Tensor, list[Tensor]]
) -> None:
    """Let layers that use parameters of modules that are not called have those, too."""
    of_layer = {node: layer for layer in found for node in layer.nodes}
    held = {state for layer in found for state in layer.states.values()}
    for leaf in step.nodes:
        if isinstance(leaf.state, Parameter) and leaf.state not in held:
            layers = [of_layer[node] for node in consumers.get(leaf, ()) if node in of_layer]
            if layers:
                layers[0].states[step.names.get(leaf.state, leaf.name or "")] = leaf.state


def _is_own(call: Call) -> bool:
    """Whether the class of a module is not of this library."""
    return type(call.module).__module__.partition(".")[0] != "chainrule"


def _owners(step: Step) -> dict[Tensor, int]:
    """The number of the innermost call that each node was built in."""
    owners = {}
    for node in step.nodes:
        if node.operation is None:
            continue
        inside = [
            (call.last - call.first, place)
            for place, call in enumerate(step.calls)
            if call.first < node.serial < call.last
        ]
        if inside:
            owners[node] = min(inside)[1]
    return owners


def _affine(call: Call) -> Affine | None:
    """What a call computes, where it is of a fully connected layer or a convolution."""
    if isinstance(call.module, _AFFINE) and call.output is not None and len(call.inputs) == 1:
        return affine_map(call.output, call.inputs[0])
    return None


def _activation_after(
    z: Tensor,
    place: int,
    step: Step,
    owners: dict[Tensor, int],
    consumers: dict[Tensor, list[Tensor]],
) -> Called | None:
    """The activation that takes z, if nothing else does: a module, or a function.

    What takes an output of the model belongs to the loss.
    """
    if any(z is output for output in step.outputs):
        return None
    users = {owners.get(node) for node in consumers.get(z, ())}
    if len(users) != 1:
        return None
    user = users.pop()
    if user is None:
        called = activation_of(z, consumers)
        return called if called and not any(node in owners for node in called.nodes) else None
    call = step.calls[user]
    a = call.output
    if user <= place or z not in set(call.inputs) or a is None or a.shape != z.shape:
        return None
    if any(p is not None for p in call.module._parameters.values()):
        return None
    kind = type(call.module).__name__
    if type(call.module).__module__ == activations.__name__:
        return Called(kind, a, [node for node in step.nodes if owners.get(node) == user])
    called = activation_of(z, consumers)  # a module of the user's, which calls one
    return called._replace(kind=kind) if called and called.output is a else None


def _derivative(z: Tensor, a: Tensor) -> Array | None:
    """g'(z): what backpropagation makes of ones at a, where each a depends on its own z alone."""
    if z is a:
        return None
    with no_grad():
        grad = backprop(a, [z], np.ones(a.shape, a.dtype)).get(z)
    return None if grad is None else grad.numpy()


def _sizes(call: Call, affine: Affine, step: Step) -> tuple[int, int] | None:
    """(neurons in, neurons out), where `states` have the weights that are multiplied."""
    (a,), z = call.inputs, call.output
    for leaf, name in ((affine.weight, "weight"), (affine.bias, "bias")):
        if leaf is not None:
            path = "" if leaf.state is None else step.names.get(leaf.state, "")
            if leaf.state is not call.module._parameters.get(name) or not path.endswith(name):
                return None
    if affine.product != "matrix" or z is None or not a.ndim == z.ndim == 2:
        return None
    return a.shape[1], z.shape[1]
