"""Descriptions: the architecture of a model as plain data that JSON can hold.

A description has the layer's class, the arguments of its constructor and its children:

    {"class": "Sequential", "children": {"0": {"class": "Linear", "arguments":
        {"in_features": 4, "out_features": 3, "bias": true, "dtype": "float32"}}}}

A file may come from anywhere, so `from_description` takes nothing from it but names of the
library's layers and arguments that their constructors accept. Each layer says how much it would
hold before it is built, and together they may not hold more than about `max_elements` numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np

from chainrule.graph.state import State
from chainrule.graph.tensor import Tensor, as_tensor
from chainrule.nn import arguments, layers
from chainrule.nn.layers.base import Layer
from chainrule.nn.module import Module
from chainrule.ops.random import Generator, use_generator

LAYERS: dict[str, type[Layer]] = {name: getattr(layers, name) for name in layers.__all__}
"""The classes that can be built from a description, by name."""

MAX_DEPTH = 50
MAX_LAYERS = 10_000
_MAX_NAME = 200
_MAX_LENGTHS = 64
_MAX_BITS = 4095  # of an argument: products of these are quick


def to_description(module: Module) -> dict[str, Any]:
    """The class, the constructor's arguments and the children of a module, as plain data.

    A class that is not the library's is described by its full name, with its children but without
    arguments, and can't be built again; so is a layer with a weight that is computed, as by
    `utils.weight_norm`. A layer without children that stands in several places is
    described once; the other places are ``{"same_as": path}``. A container that stands in several
    places is described in each, with its layers marked so. A parameter or buffer that different
    layers share, as tied weights, stands under "shared" in the later ones, with its first name:
    ``{"class": "Linear", "shared": {"weight": "0.weight"}, ...}``. The names of frozen parameters,
    which do not require a gradient, stand under "frozen" in the description of the whole.

    Example:
        >>> from chainrule import nn
        >>> to_description(nn.Sequential(nn.Flatten()))["children"]
        {'0': {'class': 'Flatten', 'arguments': {'start_dim': 1, 'end_dim': -1}}}
    """
    description = _describe(arguments.module("module", module), "", {}, {})
    frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
    return {**description, "frozen": frozen} if frozen else description


def _describe(
    module: Module, path: str, seen: dict[Module, str], states: dict[State, str]
) -> dict[str, Any]:
    if module in seen and not _takes_children(type(module)):
        return {"same_as": seen[module]}
    seen[module] = path
    kind = type(module)
    known = _is_known(kind) and not module._computed
    name = kind.__name__ if _is_known(kind) else f"{kind.__module__}.{kind.__qualname__}"
    if module._computed:
        name += f" with a computed {' and '.join(module._computed)}"
    arguments = module.constructor_arguments() if known and isinstance(module, Layer) else {}
    functions = [f"the function {key}" for key, value in arguments.items() if callable(value)]
    if functions:
        return {"class": f"{name} with {' and '.join(functions)}"}
    description: dict[str, Any] = {"class": name}
    if arguments:
        description["arguments"] = arguments
    if known and isinstance(module, Layer) and module.makes_children:
        return _describe_whole(module, path, description, states)
    own = {**module._parameters, **module._buffers}
    places = {name: f"{path}.{name}" if path else name for name in (*own, *module._modules)}
    shared = _shared(own, places, states)
    if shared:
        description["shared"] = shared
    children = {
        name: _describe(child, places[name], seen, states)
        for name, child in module._modules.items()
        if child is not None
    }
    if children:
        description["children"] = children
    return description


def _shared(
    own: Mapping[str, State | None], places: Mapping[str, str], states: dict[State, str]
) -> dict[str, str]:
    """For the states that stand in the model before, the names that they have there."""
    return {
        name: first
        for name, state in own.items()
        if state is not None and (first := states.setdefault(state, places[name])) != places[name]
    }


def _describe_whole(
    layer: Layer, path: str, description: dict[str, Any], states: dict[State, str]
) -> dict[str, Any]:
    """The description of a layer that makes its children: they follow from its arguments.

    A child that was put in the place of one that it made is not described; then the layer can't
    be built again. Nor can it if one of its parts can't, whose description says why.
    """
    children = {name: _describe(part, "", {}, {}) for name, part in layer.parts().items()}
    if children:
        description["children"] = children
    try:
        is_whole = _anatomy(from_description(description, sys.maxsize)) == _anatomy(layer)
    except (TypeError, ValueError):
        return description
    if not is_whole:
        return {"class": f"{type(layer).__name__} with changed children"}
    own = layer._named_state()
    shared = _shared(own, {name: f"{path}.{name}" if path else name for name in own}, states)
    if shared:
        description["shared"] = shared
    return description


def _anatomy(module: Module) -> list[Any]:
    """What layers a module has, with which arguments and which states."""
    return [
        (
            path,
            type(part),
            part.constructor_arguments() if isinstance(part, Layer) else None,
            {name: (s.shape, s.dtype) for name, s in part._named_state().items()},
        )
        for path, part in module.named_modules()
    ]


def from_description(description: Any, max_elements: int = 2**28) -> Module:
    """The module of a description, with parameters that wait for `load_state_dict`.

    It draws no random numbers.

    Args:
        description: what `to_description` returned, perhaps by way of a file.
        max_elements: about how many numbers the module may hold; 2^28 are 1 GiB in float32.

    Raises:
        ValueError: if the description is not one of the library's own layers, its arguments are
            not valid, or the module would be too large.

    Example:
        >>> from chainrule import nn
        >>> from_description(
        ...     {"class": "Linear", "arguments": {"in_features": 3, "out_features": 1}}
        ... )
        Linear(in_features=3, out_features=1, bias=True)
    """
    if count_elements(description) > max_elements:
        raise ValueError(
            f"the model would hold more than {max_elements} numbers; if you trust the file, raise "
            "max_elements"
        )
    with use_generator(_NoDraw()):
        model = _build(description, "", {})
    return _frozen(_tied(model, description), description.get("frozen", []))


def count_elements(description: Any) -> int:
    """About how many numbers the module of a description will hold, before any of it is built.

    Raises:
        ValueError: as `from_description`.

    Example:
        >>> count_elements({"class": "Linear", "arguments": {"in_features": 3, "out_features": 1}})
        3
    """
    layers, waiting = 0, [description]
    while waiting:
        layers += 1
        if layers > MAX_LAYERS:
            raise ValueError(f"the model has more than {MAX_LAYERS} layers")
        layer = waiting.pop()
        children = layer.get("children") if isinstance(layer, dict) else None
        waiting += children.values() if isinstance(children, dict) else ()
    return _checked_elements(description, "", 0)


def _checked_elements(description: Any, path: str, depth: int) -> int:
    """A bound of how many numbers it will hold; raises unless all of it can be built."""
    where = path or "the model"
    if not isinstance(description, dict):
        raise ValueError(f"{where}: a description is a dict, not {description!r:.80}")
    if depth > MAX_DEPTH:
        raise ValueError(f"{where}: layers are nested more than {MAX_DEPTH} deep")
    if description.keys() == {"same_as"}:
        return 0
    name = description.get("class")
    arguments = description.get("arguments", {})
    children = description.get("children", {})
    shared = description.get("shared", {})
    unknown = description.keys() - {"class", "arguments", "children", "shared"}
    if not depth and isinstance(description.get("frozen"), list):
        unknown -= {"frozen"}
    if unknown or not all(map(_is_dict, (arguments, children, shared))):
        raise ValueError(f"{where}: the description has unknown or malformed entries")
    if isinstance(name, str) and name.partition(" with ")[0] in LAYERS and " with " in name:
        raise ValueError(
            f"{where} is a {name:.120}, which a file can't hold. Make it by your own code."
        )
    if not isinstance(name, str) or name not in LAYERS:
        raise ValueError(
            f"{where}: {name!r:.80} is not a layer of this library, so it can't be built from a "
            "description. Make it by your own code."
        )
    layer, allowed = LAYERS[name], LAYERS[name].child_names()
    if allowed is not None:
        allowed += layer.modules_or_values
    if children and allowed == ():
        raise ValueError(f"{where}: a {name} has no children")
    unknown = children.keys() - set(children if allowed is None else allowed)
    if unknown:
        raise ValueError(f"{where}: a {name} has no child {sorted(unknown)[0]!r:.80}")
    long = next((key for key in children if len(key) > _MAX_NAME), None)
    if long is not None:  # it would stand in the name of every layer and tensor below
        raise ValueError(f"{where}: the name {long!r:.80} of a child is too long")
    _check_arguments(arguments, layer, where)
    counts = {
        key: _checked_elements(child, f"{path}.{key}" if path else key, depth + 1)
        for key, child in children.items()
    }
    try:
        given = signature(layer).bind(**arguments, **({} if allowed is None else counts))
        given.apply_defaults()
        elements = layer.max_elements(given.arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} ({name}): {error}") from error
    return elements + sum(counts.values())


def _check_arguments(arguments: dict[str, Any], layer: type[Layer], where: str) -> None:
    """Raise unless the arguments are plain ones of the layer."""
    unknown = arguments.keys() - set(layer.argument_names())
    if unknown:
        raise ValueError(f"{where}: a {layer.__name__} has no argument {sorted(unknown)[0]!r:.80}")
    for name, value in arguments.items():
        if isinstance(value, (list, tuple)) and len(value) > _MAX_LENGTHS:
            raise ValueError(f"{where}: {name} can't have {len(value)} entries")
        for item in value if isinstance(value, (list, tuple)) else [value]:
            is_plain = isinstance(item, (bool, int, float, str, type(None)))
            if not is_plain or (isinstance(item, int) and item.bit_length() > _MAX_BITS):
                raise ValueError(f"{where}: {name} can't be {value!r:.80}")


def _build(description: dict[str, Any], path: str, built: dict[str, Module]) -> Module:
    """The module of a checked description; `built` holds by path what may be shared."""
    if "same_as" in description:
        same = description["same_as"]
        if not isinstance(same, str) or same not in built:
            raise ValueError(f"{path or 'the model'}: same_as must name a layer before this one")
        return built[same]
    name = description["class"]
    if LAYERS[name].makes_children:  # what is in it is described for itself
        children = {
            key: _tied(_build(child, "", {}), child)
            for key, child in description.get("children", {}).items()
        }
    else:
        children = {
            key: _build(child, f"{path}.{key}" if path else key, built)
            for key, child in description.get("children", {}).items()
        }
    adds = LAYERS[name].child_names() is None
    try:
        module = LAYERS[name](**description.get("arguments", {}), **({} if adds else children))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path or 'the model'} ({name}): {error}") from error
    if adds:
        for key, child in children.items():
            module.add_module(key, child)
    if not _takes_children(LAYERS[name]):  # containers that share containers would multiply
        built[path] = module
    return module


def _tied(model: Module, description: dict[str, Any]) -> Module:
    """The model, whose layers share the states that its description says they share."""
    modules, waiting = dict(model.named_modules()), [("", description)]
    while waiting:
        path, layer = waiting.pop()
        start = f"{path}." if path else ""
        for name, target in layer.get("shared", {}).items():
            own, other = (_state_at(modules, place) for place in (start + name, str(target)))
            if (own.shape, own.dtype, type(own)) != (other.shape, other.dtype, type(other)):
                raise ValueError(f"{start}{name} can't share {target:.80}, which is another kind")
            place, _, own_name = (start + name).rpartition(".")
            setattr(modules[place], own_name, other)
        if "class" not in layer or not LAYERS[layer["class"]].makes_children:
            waiting += [(start + key, child) for key, child in layer.get("children", {}).items()]
    return model


def _frozen(model: Module, names: list[Any]) -> Module:
    """The model, of whose parameters those of these names require no gradient."""
    parameters = dict(model.named_parameters())
    unknown = [name for name in names if not isinstance(name, str) or name not in parameters]
    if unknown:
        raise ValueError(f"the model has no parameter {unknown[0]!r:.80} to freeze")
    for name in names:
        parameters[name].requires_grad = False
    return model


def _state_at(modules: dict[str, Module], place: str) -> State:
    """The parameter or buffer at a path."""
    path, _, name = place.rpartition(".")
    module = modules.get(path)
    state = None if module is None else {**module._parameters, **module._buffers}.get(name)
    if state is None:
        raise ValueError(f"the model has no parameter or buffer {place!r:.80} to share")
    return state


def _takes_children(kind: type[Module]) -> bool:
    """Whether this is one of the library's layers that have others in them."""
    return _is_known(kind) and LAYERS[kind.__name__].child_names() != ()


def _is_known(kind: type[Module]) -> bool:
    """Whether this is one of the classes that can be built from a description."""
    return LAYERS.get(kind.__name__) is kind


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


class _NoDraw(Generator):
    """Zeros in place of random numbers."""

    draws = False

    def uniform(self, shape: Any, dtype: Any = "float32") -> Tensor:  # type: ignore[override]
        return as_tensor(np.zeros(shape, dtype))

    normal = uniform  # type: ignore[assignment]
