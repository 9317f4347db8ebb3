"""The trace of a step: all of its numbers as plain JSON data."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from chainrule.graph.context import no_grad
from chainrule.graph.grad_table import gradients_of_states
from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.inspect.arrays import as_json, number
from chainrule.inspect.contributions import local_derivative
from chainrule.inspect.formulas import Formulas
from chainrule.inspect.found_layers import FoundLayer, find_layers
from chainrule.inspect.letters import Form, Letters
from chainrule.inspect.step import Step
from chainrule.inspect.updates import update_rule
from chainrule.nn import Module
from chainrule.optim import Optimizer

FORMAT = "chainrule trace"
VERSION = 1

_MOST_TEXT = 200  # of an attribute


def trace_of(
    step: Step,
    model: Module,
    loss: Any,
    optimizer: Optimizer | None,
    name: str,
    letters: Letters,
    form: Form,
) -> dict[str, Any]:
    """The trace of a step; `name` is that of the letters."""
    found = find_layers(step)
    formulas = Formulas(step, found, letters, form, loss)
    ids = {node: place for place, node in enumerate(step.nodes)}
    kind = type(model).__name__
    title = f"{kind}, one step"
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": title if optimizer is None else f"{title} of {type(optimizer).__name__}",
        "model": kind,
        "loss_name": _name_of(loss),
        "optimizer": None if optimizer is None else _described(optimizer),
        "rows": step.rows,
        "dtype": str(step.loss.dtype),
        "loss": number(step.loss.item()),
        "loss_after": None if step.loss_after is None else number(step.loss_after),
        "nodes": _nodes(step, found, formulas, ids),
        "backward": [ids[node] for node in step.visited],
        "layers": [_layer(layer, step, formulas, ids, optimizer) for layer in found],
        "outputs": [ids[node] for node in step.outputs if node in ids],
        "letters": name,
        "form": form,
    }


def _described(optimizer: Optimizer) -> str:
    """The class, the learning rate, and what else differs from the defaults."""
    group = optimizer.param_groups[0]
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(type(optimizer).__init__).parameters.items()
    }
    shown = []
    for key, value in group.items():
        if key == "params" or value is None:
            continue
        if key == "lr" or (key in defaults and value != defaults[key]):
            shown.append(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}")
    return f"{type(optimizer).__name__}({', '.join(shown)})"


def _nodes(
    step: Step, found: list[FoundLayer], formulas: Formulas, ids: dict[Tensor, int]
) -> list[dict[str, Any]]:
    of_layer = {node: place for place, layer in enumerate(found) for node in layer.nodes}
    roles = _roles(step, found)
    nodes = []
    for node in step.nodes:
        place = of_layer.get(node)
        grad = step.grad_table.get(node)
        parts = step.parts.get(node, [])
        name = formulas.names[node].text if node in formulas.names else node.name
        if node.state is not None:
            name = step.names.get(node.state, node.name)
        nodes.append(
            {
                "id": ids[node],
                "name": name,
                "operation": node.operation.name if node.operation is not None else None,
                "role": roles.get(node) or _role(node),
                "path": node.path if place is None else found[place].path,
                "layer": place,
                "inputs": [ids[i] for i in node.inputs],
                "attributes": {key: _plain(value) for key, value in node.attributes.items()},
                "value": as_json(node.numpy()),
                "gradient": None if grad is None else as_json(grad.numpy()),
                "contributions": [
                    {
                        "consumer": ids[consumer],
                        "index": index,
                        "value": as_json(part.numpy()),
                        "derivative": _derivative(consumer, index),
                    }
                    for consumer, index, part in parts
                ],
                "formula": (formulas.forward.get(node) or formulas.name(node))._asdict(),
                "gradient_formula": None if grad is None else formulas.backward[node]._asdict(),
            }
        )
    return nodes


def _derivative(consumer: Tensor, index: int) -> float | str | None:
    found = local_derivative(consumer, index)
    return None if found is None else number(found)


def _roles(step: Step, found: list[FoundLayer]) -> dict[Tensor, str]:
    roles = {layer.output: "activation" for layer in found}
    roles |= {layer.preactivation: "preactivation" for layer in found if layer.number is not None}
    roles |= dict.fromkeys(step.inputs, "input") | dict.fromkeys(step.targets, "target")
    return roles | {step.loss: "loss"}


def _role(node: Tensor) -> str:
    if isinstance(node.state, Parameter):
        return "parameter"
    if isinstance(node.state, Buffer):
        return "buffer"
    return "value" if node.operation is not None else "constant"


def _layer(
    layer: FoundLayer,
    step: Step,
    formulas: Formulas,
    ids: dict[Tensor, int],
    optimizer: Optimizer | None,
) -> dict[str, Any]:
    def gradient(node: Tensor) -> dict[str, Any] | None:
        grad = step.grad_table.get(node)
        return None if grad is None else as_json(grad.numpy())

    with no_grad():
        grads = gradients_of_states(step.grad_table)
    nodes = sorted(step.nodes, key=step.grad_table.__contains__)
    leaves = {node.state: node for node in nodes if node.state is not None}
    parameters = []
    for name, state in layer.states.items():
        leaf = leaves.get(state)
        if leaf is None:
            continue  # the loss does not depend on it
        new = step.new.get(state)
        letter = formulas.letter(state)
        parameters.append(
            {
                "path": step.names.get(state, name),
                "letter": letter.text,
                "id": ids[leaf],
                "old": as_json(leaf.numpy()),
                "gradient": as_json(grads[state].numpy()) if state in grads else None,
                "new": None if new is None else as_json(np.asarray(new)),
                "update": None if new is None else _update(leaf, formulas, optimizer),
            }
        )
    derivative, z = layer.derivative, layer.preactivation
    return {
        "path": layer.path,
        "kind": layer.kind,
        "activation": layer.activation,
        "sizes": None if layer.sizes is None else list(layer.sizes),
        "input": ids.get(layer.input) if layer.input is not None else None,
        "preactivation": ids[layer.preactivation],
        "output": ids[layer.output],
        "delta": gradient(layer.preactivation),
        "output_gradient": gradient(layer.output),
        "derivative": None if derivative is None else as_json(derivative),
        "derivative_formula": None if derivative is None else formulas.derivatives[z]._asdict(),
        "parameters": parameters,
    }


def _update(leaf: Tensor, formulas: Formulas, optimizer: Optimizer | None) -> dict[str, Any]:
    assert optimizer is not None and isinstance(leaf.state, Parameter), "an optimizer made it new"
    name, grad = formulas.letter(leaf.state), formulas.gradient(leaf)
    rule = update_rule(optimizer, leaf.state, name, grad, formulas.letters)
    return {
        "formulas": [formula._asdict() for formula in rule.formulas],
        "state": [{"name": key, "before": as_json(value)} for key, value in rule.state.items()],
    }


def _plain(value: Any) -> Any:
    """An attribute of an operation as JSON."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.dtype):
        return str(value)
    said = repr(value)
    return said if len(said) <= _MOST_TEXT else f"{said[:_MOST_TEXT]}..."


def _name_of(loss: Any) -> str:
    name: str = getattr(loss, "__name__", type(loss).__name__)
    return "loss" if name == "<lambda>" else name
