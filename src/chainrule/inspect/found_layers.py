"""The layers of a step: calls of modules, each with the activation that follows it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.graph.backprop import backprop
from chainrule.graph.context import no_grad
from chainrule.graph.state import Parameter, State
from chainrule.graph.tensor import Array, Tensor
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
_NOT_ELEMENTWISE = ("Softmax", "LogSoftmax", "Softmin", "GLU")
_FUNCTIONS = {
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softplus": "Softplus",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "sin": "Sin",
}
"""The operations that are activations where a function is called on a layer's output."""


class FoundLayer(NamedTuple):
    """A call of a layer.

    Attributes:
        path, kind: of its module.
        number: 1, 2, ... among the layers with a weight matrix or kernel; None for others.
        activation: the name of the activation that follows; None without one.
        sizes: neurons in and out of a fully connected layer of rows.
        input: what it takes; None where that is no Tensor.
        preactivation: its module's output.
        output: what leaves it, after the activation.
        derivative: g'(z), where the activation works element by element.
        states: the parameters that the module has, by their names there.
        nodes: all of its nodes in the graph.
    """

    path: str
    kind: str
    number: int | None
    activation: str | None
    sizes: tuple[int, int] | None
    input: Tensor | None
    preactivation: Tensor
    output: Tensor
    derivative: Array | None
    states: dict[str, State]
    nodes: list[Tensor]


def find_layers(step: Step) -> list[FoundLayer]:
    """The layers in the order of their calls."""
    graph = set(step.nodes)
    consumers: dict[Tensor, list[Tensor]] = {}
    for node in step.nodes:
        for parent in set(node.inputs):
            consumers.setdefault(parent, []).append(node)
    owners = _owners(step)
    found: list[FoundLayer] = []
    absorbed: set[int] = set()
    number = 0
    for place, call in enumerate(step.calls):
        z = call.output
        if place in absorbed or z is None or z not in graph:
            continue
        nodes = [node for node in step.nodes if owners.get(node) == place]
        activation, output, is_elementwise = None, z, False
        if isinstance(call.module, _AFFINE):
            number += 1
            follower = _activation_after(z, place, step, owners, consumers)
            if follower is not None:
                activation, output, is_elementwise, after = follower
                nodes += after
                absorbed.update(owners[node] for node in after if node in owners)
        is_affine = isinstance(call.module, _AFFINE)
        found.append(
            FoundLayer(
                call.path,
                type(call.module).__name__,
                number if is_affine else None,
                activation,
                _sizes(call),
                call.inputs[0] if call.inputs else None,
                z,
                output,
                _derivative(z, output) if is_elementwise else None,
                {name: p for name, p in call.module._parameters.items() if p is not None},
                nodes,
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


def _activation_after(
    z: Tensor,
    place: int,
    step: Step,
    owners: dict[Tensor, int],
    consumers: dict[Tensor, list[Tensor]],
) -> tuple[str, Tensor, bool, list[Tensor]] | None:
    """(name, output, whether it is elementwise, its nodes) of the activation that takes z."""
    for later, call in enumerate(step.calls[place + 1 :], place + 1):
        if z in set(call.inputs) and call.output is not None and call.output.shape == z.shape:
            kind = type(call.module).__name__
            is_library = type(call.module).__module__ == activations.__name__
            if is_library and not call.module._parameters:
                nodes = [node for node in step.nodes if owners.get(node) == later]
                return kind, call.output, kind not in _NOT_ELEMENTWISE, nodes
            return None
    taken = consumers.get(z, [])
    if len(taken) == 1 and taken[0] not in owners:
        (node,) = taken
        name = node.operation.name if node.operation is not None else ""
        if name in _FUNCTIONS and node.shape == z.shape:
            kind = _FUNCTIONS[name]
            return kind, node, kind not in _NOT_ELEMENTWISE, [node]
    return None


def _derivative(z: Tensor, a: Tensor) -> Array | None:
    """g'(z): what backpropagation makes of ones at a, where each a depends on its own z alone."""
    if z is a:
        return None
    with no_grad():
        grad = backprop(a, [z], np.ones(a.shape, a.dtype)).get(z)
    return None if grad is None else grad.numpy()


def _sizes(call: Call) -> tuple[int, int] | None:
    module = call.module
    if isinstance(module, library.Linear) and len(call.inputs) == 1 and call.inputs[0].ndim == 2:
        return module.in_features, module.out_features
    return None
