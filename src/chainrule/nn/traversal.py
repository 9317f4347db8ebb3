"""Traversal: the modules, parameters and buffers within a module, with their paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chainrule import checks
from chainrule.graph.state import Buffer, Parameter, State

if TYPE_CHECKING:
    from chainrule.nn.module import Module

REGISTRIES = {"_parameters": "Parameter", "_buffers": "Buffer", "_modules": "Module"}
"""The dicts in which a module lists its parts, and the kind of part in each."""


class Traversed:
    """The base of a module: what finds the parts of the tree of modules below it."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Buffer | None]
    _modules: dict[str, Module | None]

    def get_submodule(self, target: str) -> Module:
        """The module at a path, as ``"net.0"``; this one at "".

        Raises:
            AttributeError: if there is none.
        """
        found: Any = self
        for name in target.split(".") if target else ():
            found = found._modules.get(name) if found is not None else None
        if found is None:
            raise AttributeError(
                f"{type(self).__name__} has no module {target!r}; named_modules() lists them"
            )
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module at a path, as ``"net.0"``, in place of the one that is there.

        Args:
            target: the path; all but its last name are there.
            module: what lies there from now on.
            strict: whether there must be a module already.

        Raises:
            AttributeError: if there is no module where one must be, or something else.
            TypeError: if it is no module.
            ValueError: for an empty path.

        Example:
            >>> from chainrule import nn
            >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
            >>> model.set_submodule("1", nn.Tanh())
            >>> model[1]
            Tanh()
        """
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if not name:
            raise ValueError("set_submodule: the path is empty; a module has no place in itself")
        if not isinstance(module, Traversed):
            raise TypeError(f"set_submodule: {target} is a module, got {checks.described(module)}")
        if name not in parent._modules:
            if strict:
                parent.get_submodule(name)
            if hasattr(parent, name):
                raise AttributeError(f"set_submodule: {target} is there, and no module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path, as ``"net.0.weight"``.

        Raises:
            AttributeError: if there is none.
        """
        parameter: Parameter = self._state_at("_parameters", target)
        return parameter

    def get_buffer(self, target: str) -> Buffer:
        """The buffer at a path, as ``"net.1.running_mean"``.

        Raises:
            AttributeError: if there is none.
        """
        buffer: Buffer = self._state_at("_buffers", target)
        return buffer

    def _state_at(self, registry: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        found = vars(self.get_submodule(path))[registry].get(name)
        if found is None:
            kind = REGISTRIES[registry]
            raise AttributeError(
                f"{type(self).__name__} has no {kind} {target!r}; named_{registry[1:]}() lists them"
            )
        return found

    def children(self) -> Iterator[Module]:
        """The modules directly in this one."""
        return (module for _, module in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly in this one, with their names; a shared one is listed once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self) -> Iterator[Module]:
        """This module and all within it."""
        return (module for _, module in self.named_modules())

    def named_modules(
        self, prefix: str = "", *, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all within it, with their paths; a shared one is listed once, or under
        each of its paths if not `remove_duplicate`."""
        return self._walk(prefix, set() if remove_duplicate else None)

    def _walk(self: Any, path: str, seen: set[Module] | None) -> Iterator[tuple[str, Module]]:
        """All modules with their paths; those in `seen` are left out, if it is given."""
        if seen is not None:
            if self in seen:
                return
            seen.add(self)
        yield path, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module._walk(joined(path, name), seen)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module, and of all within it if `recurse`."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their paths; a shared one is listed once, or under each of its paths
        if not `remove_duplicate`."""
        return self._named_states("_parameters", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """The buffers of this module, and of all within it if `recurse`."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """The buffers with their paths, as `named_parameters`."""
        return self._named_states("_buffers", prefix, recurse, remove_duplicate)

    def _named_states(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[Any]:
        seen: set[State] = set()
        modules = self.named_modules(prefix, remove_duplicate=remove_duplicate)
        for path, module in modules if recurse else [(prefix, self)]:
            for name, state in vars(module)[registry].items():
                if state is not None and not (remove_duplicate and state in seen):
                    seen.add(state)
                    yield joined(path, name), state


def joined(path: str, name: str) -> str:
    """The path of the part `name` of the module at `path`."""
    return f"{path}.{name}" if path else name
