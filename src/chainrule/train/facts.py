"""Facts: what a captured graph has read from Python, and whether it is still so.

State is read at every run. Everything else that a function reads while it is captured is part of
the graph from then on: the number of a loss, a layer of a `Sequential`, a mode, a global variable.
`Facts` lists it. Attributes of modules are compared where `changes.count` has moved; what can
change without that, such as a list, has a probe that is compared at every look.
"""

from __future__ import annotations

from array import array
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from copy import copy
from functools import cached_property, partial, partialmethod
from operator import attrgetter
from threading import local
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from chainrule.graph.custom_operation import CustomOperation
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor
from chainrule.nn.module import Module, changes
from chainrule.optim.groups import ParameterGroup
from chainrule.optim.optimizer import OWN_ATTRIBUTES, Optimizer
from chainrule.train import outside
from chainrule.train.iterators import is_iterator
from chainrule.train.probes import (
    Cells,
    Content,
    Entries,
    Items,
    Names,
    Probe,
    Slots,
    checksum,
    exact,
)
from chainrule.train.randomness import random_generators
from chainrule.train.user_code import (
    PLAIN,
    attribute_names,
    constants,
    entries,
    foreign_attributes,
    has_cached,
    is_full,
    is_watched,
    is_watched_object,
    loaded_names,
    names_any,
    names_itself,
    slot_names,
)

_requires_grad = attrgetter("requires_grad")
_REGISTRIES = frozenset(("_parameters", "_buffers", "_unsaved", "_column_names", "_path"))
_REPLACED = ("_modules", "_computed")
"""The dicts of a module that change only where `changes.count` moves."""
_SMALL = (*PLAIN, tuple, Tensor, Module, Optimizer, FunctionType, MethodType, type)
"""What attributes are always compared: other kinds may hold much data."""


class Facts:
    """What functions, modules and objects are now, as far as a captured graph depends on it.

    Args:
        roots: functions, modules, optimisers, losses and other objects.
        ignored: what is left out: (id of a mapping, name) or (id of a container, None).
        gradients: whether it matters which States require a gradient.

    Attributes:
        items: what the objects are; equal lists, with equal `requires_grad`, stand for graphs that
            differ in their states alone, where `is_shareable`.
        identities: which objects they are. If these are equal too, they stand for one graph, while
            the objects of both are alive.
        is_shareable: whether items and `requires_grad` say all that a graph depends on.
        states: every State that was found.
        requires_grad: which of them require a gradient; empty where it does not matter.
        generators: NumPy's and Python's generators of random numbers among the objects.
        iterators: the iterators among the objects, each after what it is.
        clocks: the functions, such as time.time, that give something else at every call.
        modules: every module that was found.
        has_foreign_code: whether there is code among it that is not this library's.
        groups: the parameter groups, each with those of the user's keys that are looked at.
        partitions: those of the probes after whose change a capture begins anew, by itself.
    """

    def __init__(
        self,
        roots: Iterable[Any],
        ignored: frozenset[tuple[int, Any]] | set[Any] = frozenset(),
        *,
        gradients: bool = True,
    ) -> None:
        self._count = changes.count
        self._gradients = gradients
        self.items: list[Any] = []
        self.identities: list[int] = []
        self.is_shareable = True
        self.states: list[State] = []
        self.requires_grad: list[bool] = []
        self.generators: list[Any] = []
        self.iterators: list[tuple[str, Any]] = []
        self.clocks: set[str] = set()
        self.modules: list[Module] = []
        self.has_foreign_code = False
        self.probes: list[Probe] = []
        self.groups: list[tuple[ParameterGroup, tuple[str, ...] | None]] = []
        self.partitions: list[Probe] = []
        self._ignored = ignored
        self._held: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._classes: set[type] = set()
        self._used: set[str] = set()  # the names of attributes in the code of the functions
        self._uses_any = False  # whether that code may read any attribute
        self._unused: list[tuple[str, Mapping[str, Any], list[str], bool]] = []
        self._add(roots)

    def with_roots(self, roots: Iterable[Any], *, gradients: bool) -> Facts:
        """The facts of further objects too, while these here still hold."""
        more = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (list, dict, set)):
                vars(more)[name] = value.copy()
        more._gradients = gradients
        more._add(roots)
        return more

    def _add(self, roots: Iterable[Any]) -> None:
        for root in roots:
            self._visit(root, "that it is given")
        while self._visit_used():
            pass
        self.requires_grad = list(map(_requires_grad, self.states)) if self._gradients else []

    def hold(self) -> bool:
        """Whether nothing has changed, as far as can be seen at once."""
        if changes.count != self._count:
            return False
        if self._gradients and list(map(_requires_grad, self.states)) != self.requires_grad:
            return False
        for probe in self.probes:  # noqa: SIM110 - a generator would take twice the time
            if not probe.holds():
                return False
        return True

    def equals(self, other: Facts) -> bool:
        """Whether both stand for one graph."""
        return (
            self.identities == other.identities
            and self.requires_grad == other.requires_grad
            and self.items == other.items
        )

    def _visit(self, value: Any, what: str) -> None:
        kind = type(value)
        if kind in PLAIN:
            self.items.append(exact(value))
            return
        number = self._numbers.get(id(value))
        if number is not None:
            self.items.append(number)
            return
        self._numbers[id(value)] = len(self._numbers)
        self._held.append(value)
        if (id(value), None) in self._ignored:
            return
        kind = value.__class__  # of a weak proxy that of what it stands for
        visit = _visit_of(kind)
        if visit is not None:
            visit(self, value, what)
            return
        if isinstance(value, random_generators()):
            self._by_identity(value)
            self.generators.append(value)
            return
        self.items.append(kind)
        if isinstance(value, (np.generic, np.dtype)):
            self.items.append(repr(value))
            return
        self.identities.append(id(value))
        self._note_code(kind.__module__)
        if is_watched_object(kind):
            self._visit_class(kind)
            self._slots(value, what)
            attributes = getattr(value, "__dict__", {})
            if is_watched(kind.__module__):
                length = None if has_cached(kind) else len(attributes)
                self._attributes(f"of a {kind.__name__}", attributes, length)
            else:
                self._names(f"of a {kind.__name__}", attributes, attributes, length=len(attributes))
                self.is_shareable &= hasattr(value, "__dict__")
            return
        self.is_shareable = False
        if is_iterator(kind):
            self.iterators.append((what, value))
        attributes = foreign_attributes(value)
        if attributes:  # those that code names; any, where all are plain values, as of settings
            is_plain = PLAIN.issuperset(map(type, attributes.values()))
            self._unused.append((f"of a {kind.__name__}", attributes, [*attributes], is_plain))

    # By kind

    def _state(self, state: State, what: str) -> None:
        self.items.append((type(state), state.shape, state.dtype, state.own_name))
        self.identities.append(id(state))
        self.states.append(state)

    def _tensor(self, tensor: Tensor, what: str) -> None:
        if tensor.value is None:  # left there by a capture
            self.items.append(Tensor)
        else:
            self.items.append((Tensor, tensor.requires_grad))
            self.identities += (id(tensor), id(tensor.value))
            self.is_shareable = False

    def _array(self, array: Array, what: str) -> None:
        probe = Content(f"the array {what}", array, checksum)
        self.items.append(probe.content)
        self.identities.append(id(array))
        if array.flags.writeable:
            self.probes.append(probe)

    def _module(self, module: Module, what: str) -> None:
        kind = module.__class__
        self.modules.append(module)
        self.items.append(kind)
        self.identities.append(id(module))
        self._note_code(kind.__module__)
        is_own = is_watched(kind.__module__)
        if is_own:
            self._visit_class(kind)
        unused = []
        for name, value in vars(module).items():
            if name in _REGISTRIES or (id(module), name) in self._ignored:
                continue
            if is_own and name not in _REPLACED and self._is_unused(name, value):
                unused.append(name)
            else:
                self.items.append(name)
                if name in _REPLACED:
                    self.items.append(len(value))
                    for key, child in value.items():
                        self.items.append(key)
                        self._visit(child, "a layer")
                else:
                    self._visit(value, f"{name} of {kind.__name__}")
        if unused:
            self._unused.append((f"of {kind.__name__}", vars(module), unused, True))

    def _optimizer(self, optimizer: Optimizer, what: str) -> None:
        self._note_code(type(optimizer).__module__)
        self.items.append(type(optimizer))
        self.identities.append(id(optimizer))
        self.is_shareable &= vars(optimizer).keys() <= OWN_ATTRIBUTES
        groups = optimizer.param_groups
        kind = type(optimizer).__name__
        self.probes.append(Names(f"of {kind}", vars(optimizer), ("param_groups",), None))
        self._names(f"of {kind}", vars(optimizer), ["partition"])
        self.partitions.append(self.probes[-1])
        for group in groups:
            self.items.append((repr(group._fixed), len(group.params)))
            self.identities += (id(group), *map(id, group.params))
            self._held.append(group)
            keys = group.captured_keys
            self.groups.append((group, keys))
            length = len(group.own) if keys is None else None
            names = group.own if keys is None else keys
            self._names("in a parameter group", group.own, names, length=length)
        for state in optimizer.params:
            self._visit(state, "a parameter")
        if is_watched(type(optimizer).__module__):
            self._visit_class(type(optimizer))
            own = [name for name in vars(optimizer) if name not in OWN_ATTRIBUTES]
            self._names(f"of {kind}", vars(optimizer), own)

    def _mapping(self, mapping: Mapping[Any, Any], what: str) -> None:
        kind = type(mapping)
        self.items.append((kind, tuple(map(exact, mapping))))
        self.is_shareable &= PLAIN.issuperset(map(type, mapping))
        what = f"in the {kind.__name__} {what}"
        self._values(Entries(what, mapping, self._seen(mapping, mapping)))

    def _sequence(self, sequence: Any, what: str) -> None:
        self.items.append((type(sequence), len(sequence)))
        if not isinstance(sequence, tuple):
            self.probes.append(Items(f"the {type(sequence).__name__} {what}", sequence))
        for value in sequence:
            self._visit(value, what)

    def _set(self, elements: Any, what: str) -> None:
        probe = Content(f"the set {what}", elements, exact)
        self.items.append(probe.content)
        self.is_shareable &= PLAIN.issuperset(map(type, elements))
        self.probes.append(probe)

    def _function(self, function: FunctionType, what: str) -> None:
        self._note_code(function.__module__)
        self.items.append((function, function.__code__))
        self.is_shareable &= function.__closure__ is None
        if not is_watched(function.__module__ or ""):
            return
        named = attribute_names(function.__code__)
        self._used.update(named)
        self._uses_any |= names_any(named)
        self.clocks.update(outside.clocks(function))
        for probe in outside.environment(function):
            self.items.append(probe.content)
            self.probes.append(probe)
        name = function.__qualname__
        self._visit(function.__defaults__, f"a default of {name}")
        self._visit(function.__kwdefaults__, f"a default of {name}")
        cells = function.__closure__
        if cells:
            free = function.__code__.co_freevars
            # A cell may be empty until the function around it has gone on.
            full = [(n, c) for n, c in zip(free, cells, strict=True) if is_full(c)]
            what_it_is = f"a variable that {name} uses ({', '.join(free)})"
            cells_probe = Cells(what_it_is, function, tuple([cell for _, cell in full]))
            self.probes.append(cells_probe)
            for (variable, _), value in zip(full, cells_probe.values, strict=True):
                self.items.append(variable)
                self._visit(value, variable)
        if loaded := loaded_names(function.__code__):
            self._names("of the module", function.__globals__, loaded)
        attributes = vars(function)
        if attributes or names_itself(function.__code__):
            self._attributes(f"of the function {name}", attributes, len(attributes))

    def _method(self, method: MethodType, what: str) -> None:
        self._visit(method.__func__, what)
        self._visit(method.__self__, what)

    def _partial(self, given: Any, what: str) -> None:
        for part in (given.func, given.args, given.keywords):
            self._visit(part, what)

    def _view(self, view: Any, what: str) -> None:
        self.items.append(type(view))
        held = view.maps if isinstance(view, ChainMap) else view.data
        self._visit(held, f"of the {type(view).__name__} {what}")

    def _bytes(self, numbers: Any, what: str) -> None:
        self.items.append(bytes(numbers))
        self.identities.append(id(numbers))
        self.probes.append(Content(f"the {type(numbers).__name__} {what}", numbers, bytes))

    def _descriptor(self, descriptor: Any, what: str) -> None:
        self._by_identity(descriptor)
        for name in ("fget", "__func__", "func"):  # of properties, static and cached ones
            self._visit(getattr(descriptor, name, None), what)

    def _class(self, kind: type, what: str) -> None:
        self.items.append(kind)
        self._visit_class(kind)

    def _python_module(self, module: ModuleType, what: str) -> None:
        self.items.append(module)
        if is_watched(module.__name__):
            self._namespace(f"of {module.__name__}", vars(module), constants(vars(module)))

    def _of_a_context(self, variable: Any, what: str) -> None:
        self._by_identity(variable)
        values = outside.held_values(variable)
        self._held.append(values)
        probe = Content(f"the {type(variable).__name__} {what}", variable, outside.identities)
        self.probes.append(probe)
        for value in values:
            self._visit(value, what)

    def _custom_operation(self, operation: CustomOperation, what: str) -> None:
        self.identities.append(id(operation))
        read = ("rules", "_function", "_infer")
        self._names(f"of the operation {operation.name}", vars(operation), read)

    # Parts

    def _by_identity(self, value: Any) -> None:
        """Take an object as itself: another one may differ in what is not looked at."""
        self.items.append(type(value))
        self.identities.append(id(value))
        self.is_shareable = False

    def _note_code(self, module: str | None) -> None:
        """Note whose code it is."""
        if not (module or "").startswith("chainrule."):
            self.has_foreign_code = True

    def _visit_class(self, kind: type) -> None:
        """What a user's class defines that is read while a graph is captured."""
        for base in kind.__mro__:
            if is_watched(base.__module__) and base not in self._classes:
                self._classes.add(base)
                names = (*constants(vars(base)), *entries(vars(base)))
                self._namespace(f"of {base.__name__}", vars(base), names)

    def _namespace(self, what: str, names: Mapping[str, Any], read: tuple[str, ...]) -> None:
        """These names of a class or of a Python module, and those that a function names."""
        self._names(what, names, read)
        rest = [name for name in names if name not in read and not name.startswith("__")]
        self._unused.append((what, names, rest, False))

    def _slots(self, value: Any, what: str) -> None:
        """The attributes of a user's object that are no items of its `__dict__`."""
        kind = type(value)
        if names := slot_names(kind):
            probe = Slots(f"the {kind.__name__} {what}", value, names)
            self._held.append(probe.values)
            self.probes.append(probe)
            for name, attribute in zip(names, probe.values, strict=True):
                self._visit(attribute, f"{name} of a {kind.__name__}")

    def _is_unused(self, name: str, value: Any) -> bool:
        """Whether an attribute is data that no code so far names: it may be large."""
        is_named = self._uses_any or name in self._used
        return not is_named and not isinstance(value, _SMALL)

    def _attributes(self, what: str, attributes: Mapping[str, Any], length: int | None) -> None:
        """The attributes of a user's object, but for data that no function names."""
        unused = [name for name, value in attributes.items() if self._is_unused(name, value)]
        if unused:
            self._unused.append((what, attributes, unused, True))
        names = [name for name in attributes if name not in unused]
        self._names(what, attributes, names, length=length)

    def _visit_used(self) -> bool:
        """Visit what functions that were found later name; whether there is some."""
        unused, self._unused = self._unused, []
        for what, attributes, names, of_object in unused:
            any_name = of_object and self._uses_any
            used = [name for name in names if any_name or name in self._used]
            if used:
                self._names(what, attributes, used)
            if len(used) < len(names):
                rest = [name for name in names if name not in used]
                self._unused.append((what, attributes, rest, of_object))
        return sum(len(entry[2]) for entry in self._unused) < sum(len(e[2]) for e in unused)

    def _names(
        self, what: str, mapping: Mapping[Any, Any], names: Iterable[Any], length: int | None = None
    ) -> None:
        """The values of these names of a mapping, and a probe of them."""
        self._values(Names(what, mapping, self._seen(mapping, names), length))

    def _seen(self, mapping: Mapping[Any, Any], names: Iterable[Any]) -> tuple[Any, ...]:
        """Those of the names of a mapping that are not ignored."""
        return tuple(n for n in names if (id(mapping), n) not in self._ignored)

    def _values(self, probe: Names) -> None:
        """The values that a probe has found."""
        self._held.append(probe.target)
        self.probes.append(probe)
        for name, value in zip(probe.names, probe.values, strict=True):
            self.items.append(name)
            self._visit(value, f"{name} {probe.what}")


Visit = Callable[[Facts, Any, str], None]

_VISITS: tuple[tuple[Any, Visit], ...] = (
    (State, Facts._state),
    (Tensor, Facts._tensor),
    (Module, Facts._module),
    (np.ndarray, Facts._array),
    (Optimizer, Facts._optimizer),
    ((dict, MappingProxyType), Facts._mapping),
    ((UserDict, UserList, ChainMap), Facts._view),
    ((bytearray, array), Facts._bytes),
    ((property, staticmethod, classmethod, cached_property, partialmethod), Facts._descriptor),
    ((list, tuple, deque), Facts._sequence),
    ((set, frozenset), Facts._set),
    (FunctionType, Facts._function),
    (CustomOperation, Facts._custom_operation),
    (MethodType, Facts._method),
    (partial, Facts._partial),
    ((ContextVar, local), Facts._of_a_context),
    (type, Facts._class),
    (ModuleType, Facts._python_module),
)

_visits: WeakKeyDictionary[type, Visit | None] = WeakKeyDictionary()
"""The found ones, for as long as the classes live."""


def _visit_of(kind: type) -> Visit | None:
    """What `Facts` reads of such an object; None where it takes it by its attributes."""
    try:
        return _visits[kind]
    except KeyError:
        found = next((visit for kinds, visit in _VISITS if issubclass(kind, kinds)), None)
        _visits[kind] = found
        return found
