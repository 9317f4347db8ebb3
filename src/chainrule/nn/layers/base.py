"""Layer: a module that keeps its constructor's arguments, to print them and to be built again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import Parameter as Argument
from inspect import signature
from typing import Any, ClassVar, TypeAlias, get_args, get_type_hints

from chainrule.graph.state import Parameter
from chainrule.nn.module import Module

_NOT_IN_ATTRIBUTES = ("inplace", "device", "_weight", "_freeze")

MaybeParameter: TypeAlias = Parameter | Any
"""A Parameter, or None where a layer is made without it. A type checker sees `Parameter | Any`, not
None, so that `nn.init.zeros_(layer.bias)` needs no question before, as in PyTorch."""


class Layer(Module):
    """The base of the library's layers: a module that keeps each argument of its constructor.

    Every argument becomes an attribute of its name: a module becomes a child, a flag such as
    ``bias`` the parameter (or None) that it asks for; others keep their value. The printed text
    and the description follow from the constructor's signature. `inplace` and `device`, which
    PyTorch's layers take, mean nothing here and are not kept; nor are starting values.
    """

    _passes_tuples = False
    unnamed_arguments: ClassVar[int] = 0
    """How many arguments, from the first, are printed without their names, as PyTorch does."""

    makes_children: ClassVar[bool] = False
    """Whether the constructor makes children from its other arguments, as a transformer does."""

    modules_or_values: ClassVar[tuple[str, ...]] = ()
    """Arguments that may be modules, which then are parts, or plain values, as an activation."""

    @classmethod
    def max_elements(cls, given: Mapping[str, Any]) -> int:
        """The size of the largest Parameter or Buffer that a layer with these arguments makes;
        that of all together where an argument says how many there are.

        `from_description` asks before it builds a layer, to refuse one that would not fit into
        memory. A layer that makes Parameters, Buffers or children overrides it; children that it
        is given do not count.

        Args:
            given: the constructor's arguments by name, of any plain values; for a child how many
                elements it holds.

        Raises:
            TypeError, ValueError: for lengths that the constructor refuses, too.
        """
        return 0

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """The names of the constructor's arguments, but for modules."""
        return tuple(name for name, is_child in _arguments(cls.__init__).items() if not is_child)

    @classmethod
    def child_names(cls) -> tuple[str, ...] | None:
        """The names of the constructor's arguments that are modules; None for a container that
        takes any number of them, each by `add_module`."""
        if any(a.kind is Argument.VAR_POSITIONAL for a in signature(cls).parameters.values()):
            return None
        return tuple(name for name, is_child in _arguments(cls.__init__).items() if is_child)

    def parts(self) -> dict[str, Module]:
        """The modules that are the constructor's arguments, by the arguments' names.

        A layer that `makes_children` of its own gives those that make it anew.
        """
        own = {} if self.makes_children else self._modules
        return {name: module for name, module in own.items() if module is not None}

    def constructor_arguments(self) -> dict[str, Any]:
        """The arguments, but for modules, that make a layer like this one.

        A subclass whose own constructor takes none, one that it does not keep, ``*args`` or
        ``**kwargs`` has those of the class above it.
        """
        candidates = (k.argument_names() for k in type(self).__mro__ if issubclass(k, Layer))
        kept = (names for names in candidates if names and all(hasattr(self, n) for n in names))
        return {
            name: self._parameters[name] is not None
            if name in self._parameters
            else getattr(self, name)
            for name in next(kept, ())
            if name not in self._modules
        }

    def extra_repr(self) -> str:
        """The text between the parentheses: the constructor's arguments."""
        arguments = self.constructor_arguments()
        if arguments.get("dtype") == "float32":  # the default, which PyTorch does not print
            del arguments["dtype"]
        return ", ".join(
            repr(value) if number < self.unnamed_arguments else f"{name}={value!r}"
            for number, (name, value) in enumerate(arguments.items())
        )


@cache
def _arguments(constructor: Callable[..., None]) -> dict[str, bool]:
    """For each argument of a constructor, whether it is a module; none if it takes ``*args``."""
    _, *arguments = signature(constructor).parameters.values()
    if any(a.kind in (Argument.VAR_POSITIONAL, Argument.VAR_KEYWORD) for a in arguments):
        return {}
    try:
        hints = get_type_hints(constructor)
    except Exception:  # a user's annotations may be plain text, or names for type checkers alone
        hints = {}
    return {
        argument.name: any(
            isinstance(hint, type) and issubclass(hint, Module)
            for hint in (hints.get(argument.name), *get_args(hints.get(argument.name)))
        )
        for argument in arguments
        if argument.name not in _NOT_IN_ATTRIBUTES
    }
