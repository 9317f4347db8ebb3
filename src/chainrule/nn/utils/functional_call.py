"""A module as a function of its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule import checks
from chainrule.graph.state import Buffer, State
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn import arguments
from chainrule.nn.module import Module

_REGISTRIES = ("_parameters", "_buffers")


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, TensorLike] | Sequence[Mapping[str, TensorLike]],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Call a module with other Tensors in place of parameters and buffers, which keep their values.

    Gradients flow to the Tensors, so weights may be computed: by a step of training that is
    differentiated itself, as in MAML, or by another network. (PyTorch's
    `torch.func.functional_call`.) What is tied to a replaced parameter is replaced, too. While it
    runs no other thread may use the module.

    Args:
        module: what is called.
        parameter_and_buffer_dicts: by their names, as in `named_parameters`; or several such dicts.
            A buffer that the call changes, as batch normalisation does in training, is an array,
            as `state_dict` gives it, or an `nn.Buffer`, which takes the change.
        args: a tuple of arguments, or the only one.
        kwargs: arguments by name.

    Raises:
        KeyError: if the module has no parameter or buffer of a name.
        ValueError: if two names of one tied parameter are given different Tensors.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> w = cr.tensor([[1.0, 2.0]], requires_grad=True)
        >>> y = nn.utils.functional_call(layer, {"weight": 3.0 * w}, cr.tensor([[1.0, 1.0]]))
        >>> y.item(), cr.grad(y.sum(), w).tolist()
        (9.0, [[3.0, 3.0]])
    """
    dicts = parameter_and_buffer_dicts
    given: dict[str, TensorLike] = {}
    parts = (dicts,) if isinstance(dicts, Mapping) else dicts
    if not isinstance(parts, (list, tuple)) or not all(isinstance(p, Mapping) for p in parts):
        raise TypeError(
            "functional_call takes a dict of Tensors by their names, or a tuple of such dicts, got "
            f"{checks.described(dicts)}"
        )
    for part in parts:
        given.update(part)
    new = _by_state(arguments.module("module", module), given)
    held = [
        (attributes, name, state)
        for owner in module.modules()
        for registry in _REGISTRIES
        for attributes in (vars(owner)[registry], vars(owner))
        for name, state in vars(owner)[registry].items()
        if state in new and name in attributes
    ]
    try:
        for attributes, name, state in held:
            attributes[name] = new[state]
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for attributes, name, state in held:
            attributes[name] = state


def _by_state(module: Module, given: Mapping[str, TensorLike]) -> dict[State, Tensor]:
    """The new Tensor of each parameter and buffer that is given one."""
    states: dict[str, State] = dict(module.named_parameters(remove_duplicate=False))
    states.update(module.named_buffers(remove_duplicate=False))
    new: dict[State, Tensor] = {}
    for name, value in given.items():
        if name not in states:
            raise KeyError(
                f"{type(module).__name__} has no parameter or buffer {name!r}; it has "
                f"{', '.join(states) or 'none'}"
            )
        of_state_dict = isinstance(states[name], Buffer) and not isinstance(value, Tensor)
        tensor = Buffer(value) if of_state_dict else as_tensor(value)
        if new.setdefault(states[name], tensor) is not tensor:
            raise ValueError(
                f"functional_call: {name} is tied to another name, for which another Tensor is "
                "given: give one of them"
            )
    return new
