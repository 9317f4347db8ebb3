"""Lists and dicts of modules and of parameters, which a model registers as its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import index as whole
from typing import Any, Generic, TypeVar, cast, overload

from chainrule import checks
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor
from chainrule.nn.module import Module, check_name
from chainrule.nn.traversal import joined

T = TypeVar("T", bound="Module | Parameter")
"""What a list or dict holds. For modules it is Any: which attributes one has, as a weight, only the
user knows."""
L = TypeVar("L", bound="_Held[Any]")


class _Held(Module, Generic[T]):
    """The base of what holds modules, or parameters, by name: numbers in a list, keys in a dict."""

    _registry: str
    _kind: type
    _holds_none = False
    """Whether None may stand in the place of a part."""
    _to_be_called = "it holds parts, which the forward of a model uses one by one"

    def _held(self) -> dict[str, T]:
        held: dict[str, T] = vars(self)[self._registry]
        return held

    def _checked(self, value: Any) -> T:
        if self._kind is Parameter and isinstance(value, Tensor) and not value.is_state:
            value = Parameter(value)
        if not (isinstance(value, self._kind) or (value is None and self._holds_none)):
            raise TypeError(
                f"{type(self).__name__} holds {self._kind.__name__}s, got {checks.described(value)}"
            )
        return cast("T", value)

    def _put(self, name: str, value: Any) -> None:
        """Hold `value` under `name`, in place of what was there."""
        self._register(self._registry, name, self._checked(value))

    def _refill(self, held: Iterable[tuple[str, Any]]) -> None:
        """Hold exactly these, in this order."""
        pairs = [(name, self._checked(value)) for name, value in held]
        for name in list(self._held()):
            delattr(self, name)
        for name, value in pairs:
            self._put(name, value)

    # What holds modules without calling them puts its own name into theirs, for their paths.

    def _take_name(self, name: str) -> None:
        named = [key for key, module in self._modules.items() if self._has_named(key, module)]
        super()._take_name(name)
        if self._is_not_called():
            for key in named:
                vars(self)[key]._take_name(self._inner_name(key))

    def _is_not_called(self) -> bool:
        return type(self).forward is Module.forward

    def _inner_name(self, key: str) -> str:
        """The name in paths of what is held under `key`."""
        return f"{self._name}.{key}" if self._name and self._is_not_called() else key

    def _has_named(self, key: str, value: Any) -> bool:
        """Whether a module has its name in paths from here."""
        return isinstance(value, Module) and value._name == self._inner_name(key)

    def _register(self, registry: str, name: str, value: Any) -> None:
        fresh = isinstance(value, Module) and not value._name
        super()._register(registry, name, value)
        if fresh:
            value._take_name(self._inner_name(name))

    def __len__(self) -> int:
        return len(self._held())

    def _lines(self) -> list[str]:
        """The text of each thing held."""
        return [f"({name}): {_text(value)}" for name, value in self._held().items()]

    def __repr__(self) -> str:
        lines = "\n".join(self._lines())
        inner = "".join(f"\n  {line}" for line in lines.split("\n")) + "\n" if lines else ""
        return f"{type(self).__name__}({inner})"


class ListOfParts(_Held[T]):
    """What `ModuleList`, `ParameterList` and `Sequential` have in common with a list."""

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._held().values()))

    def _name_at(self, index: Any) -> str:
        """The name of what stands at a position; negative ones count from the end."""
        names, position = list(self._held()), whole(index)
        if not -len(names) <= position < len(names):
            raise IndexError(f"index {position} is out of range for {len(names)} parts")
        return names[position]

    def _slice(self, values: list[tuple[str, T]]) -> Any:
        return type(self)([value for _, value in values])  # type: ignore[call-arg]

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self: L, index: slice) -> L: ...
    def __getitem__(self, index: Any) -> Any:
        """What stands at a position; a slice is a list of the same kind, of the same things."""
        if isinstance(index, slice):
            return self._slice(list(self._held().items())[index])
        return self._held()[self._name_at(index)]

    def __setitem__(self, index: int, value: T) -> None:
        """Put another in the place of what stands at a position."""
        self._put(self._name_at(index), value)

    def __delitem__(self, index: int | slice) -> None:
        """Take out what stands at a position, or at several; the rest are numbered anew."""
        names = list(self._held())
        gone = set(names[index] if isinstance(index, slice) else [self._name_at(index)])
        self._renumber([value for name, value in self._held().items() if name not in gone])

    def _renumber(self, values: Iterable[Any]) -> None:
        """Hold exactly these; modules that are called by their number get the new one."""
        named = [value for key, value in self._held().items() if self._has_named(key, value)]
        self._refill((str(number), value) for number, value in enumerate(values))
        for key, value in self._held().items():
            if isinstance(value, Module) and value in named:
                value._take_name(self._inner_name(key))
                value._take_path(joined(self._path, key))

    def append(self: L, value: Any) -> L:
        """Add one at the end."""
        number = len(self)
        while str(number) in self._held():  # a slice of a Sequential keeps the numbers it had
            number += 1
        self._put(str(number), value)
        return self

    def extend(self: L, values: Iterable[Any]) -> L:
        """Add several at the end."""
        for value in [self._checked(value) for value in _several(self, values)]:
            self.append(value)  # type: ignore[attr-defined]
        return self

    def insert(self, index: int, value: Any) -> None:
        """Put one before what stands at a position."""
        values = list(self._held().values())
        values.insert(whole(index), self._checked(value))
        self._renumber(values)

    def pop(self, index: int = -1) -> T:
        """Take out what stands at a position, and return it."""
        value = self[index]
        del self[index]
        return value

    def __add__(self: L, other: Iterable[Any]) -> L:
        joined: L = self[:]  # type: ignore[index]
        return joined.extend(other)  # type: ignore[attr-defined]

    def __iadd__(self: L, other: Iterable[Any]) -> L:
        return self.extend(other)  # type: ignore[attr-defined]

    def __contains__(self, value: object) -> bool:
        return any(value is held for held in self._held().values())


class ModuleList(ListOfParts[Any]):
    """A list of modules that the model which holds it knows: it trains, saves and prints them.

    A plain list hides them. It has no `forward`: the model calls the modules as it likes.

    Args:
        modules: any number of modules, named "0", "1", ...; None where there is none.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
        ...
        ...     def forward(self, x):
        ...         for layer in self.layers:
        ...             x = layer(x).relu()
        ...         return x
        >>> Net()
        Net(
          (layers): ModuleList(
            (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
          )
        )
    """

    _registry, _kind, _holds_none = "_modules", Module, True
    _to_be_called = f"{_Held._to_be_called}; nn.Sequential calls its modules in turn"

    def __init__(self, modules: Iterable[Module | None] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def _lines(self) -> list[str]:
        """Equal neighbours are one line, as in PyTorch."""
        lines: list[tuple[str, str, str, int]] = []
        for name, module in self._held().items():
            text = repr(module)
            if lines and lines[-1][2] == text:
                first, _, _, count = lines.pop()
                lines.append((first, name, text, count + 1))
            else:
                lines.append((name, name, text, 1))
        return [
            f"({first}): {text}" if count == 1 else f"({first}-{last}): {count} x {text}"
            for first, last, text, count in lines
        ]


class ParameterList(ListOfParts[Parameter]):
    """A list of parameters that the model which holds it knows; see `ModuleList`.

    Args:
        values: Parameters; other Tensors become Parameters.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> model = nn.Module()
        >>> model.scales = nn.ParameterList([nn.Parameter([1.0]) for _ in range(2)])
        >>> list(model.state_dict())
        ['scales.0', 'scales.1']
    """

    _registry, _kind = "_parameters", Parameter

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        if values is not None:
            self.extend(values)


class _Dict(_Held[T]):
    """What `ModuleDict` and `ParameterDict` have in common with a dict."""

    def _put(self, name: str, value: Any) -> None:
        self._check_key(name)
        super()._put(name, value)

    def _check_key(self, name: str) -> None:
        """Every thing held is an attribute, too, which must not hide a method."""
        check_name(name)
        if name not in self._held() and hasattr(self, name):
            raise KeyError(f"{type(self).__name__} has an attribute {name!r}: choose another key")

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._held()))

    def __getitem__(self, key: str) -> T:
        return self._held()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        if key not in self._held():
            raise KeyError(key)
        delattr(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self._held()

    def keys(self) -> Iterable[str]:
        """The keys."""
        return self._held().keys()

    def values(self) -> Iterable[T]:
        """What is held."""
        return self._held().values()

    def items(self) -> Iterable[tuple[str, T]]:
        """(key, what is held) pairs."""
        return self._held().items()

    def get(self, key: str, default: Any = None) -> Any:
        """What is held under `key`, else `default`."""
        return self._held().get(key, default)

    def pop(self, key: str) -> T:
        """Take out what is held under `key`, and return it."""
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Take out all."""
        self._refill([])

    def update(self, values: _Dict[Any] | Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Hold these, too; in place of what is under the same keys."""
        if isinstance(values, (Mapping, _Dict)):
            pairs = list(values.items())
        else:
            pairs = list(checks.several(type(self).__name__, values, "(name, value) pairs"))
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise TypeError(
                    f"{type(self).__name__} takes a dict, or a list of (name, value) pairs, not of "
                    f"{checks.described(pair)}"
                )
        for name, _ in pairs:
            self._check_key(name)
        for name, value in [(name, self._checked(value)) for name, value in pairs]:
            self._put(name, value)


class ModuleDict(_Dict[Any]):
    """A dict of modules that the model which holds it knows; see `ModuleList`.

    Args:
        modules: a dict, or (key, module) pairs; None where there is none.

    Example:
        >>> from chainrule import nn
        >>> heads = nn.ModuleDict({"age": nn.Linear(8, 1), "sex": nn.Linear(8, 2)})
        >>> heads["age"].out_features, list(heads)
        (1, ['age', 'sex'])
    """

    _registry, _kind, _holds_none = "_modules", Module, True

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)


class ParameterDict(_Dict[Parameter]):
    """A dict of parameters that the model which holds it knows; see `ModuleList`.

    Args:
        parameters: a dict, or (key, Parameter) pairs; other Tensors become Parameters.

    Example:
        >>> from chainrule import nn
        >>> nn.ParameterDict({"scale": nn.Parameter([1.0, 2.0])})
        ParameterDict(
          (scale): Parameter containing: [float32 of size 2]
        )
    """

    _registry, _kind = "_parameters", Parameter

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def setdefault(self, key: str, default: Any = None) -> Parameter:
        """What is held under `key`, or else `default`, which is held from now on."""
        if key not in self:
            self[key] = default
        return self[key]

    def popitem(self) -> tuple[str, Parameter]:
        """Take out what was put in last, and return it with its key."""
        if not self._held():
            raise KeyError("popitem: the ParameterDict is empty")
        key = list(self._held())[-1]
        return key, self.pop(key)

    def copy(self) -> ParameterDict:
        """Another one of the same Parameters."""
        return ParameterDict(self)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Another one that holds `default` under each of the keys."""
        return ParameterDict([(key, default) for key in keys])

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._held()))

    def __or__(self, other: ParameterDict) -> ParameterDict:
        joined = self.copy()
        joined.update(other)
        return joined

    def __ror__(self, other: Mapping[str, Any]) -> ParameterDict:
        return ParameterDict(other) | self

    def __ior__(self, other: ParameterDict) -> ParameterDict:
        self.update(other)
        return self


def _several(owner: Any, values: Any) -> Iterable[Any]:
    if isinstance(values, (Tensor, str)) or not isinstance(values, Iterable):
        raise TypeError(
            f"{type(owner).__name__} takes an iterable, such as a list, got {type(values).__name__}"
        )
    return values


def _text(value: Any) -> str:
    if isinstance(value, Parameter):
        size = "x".join(map(str, value.shape)) or "()"
        return f"Parameter containing: [{value.dtype} of size {size}]"
    return repr(value)
