"""Sequential: modules one after another. Identity: a placeholder that does nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chainrule import checks
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.containers import ListOfParts
from chainrule.nn.layers.base import Layer
from chainrule.nn.module import Module


class Sequential(Layer, ListOfParts[Any]):
    """Modules called one after another, each on the output of the one before.

    It is changed as a list is: `append`, `extend`, `insert`, `pop`, ``model[0] = ...``, ``del
    model[0]``, ``a + b``, and ``model * 2``, which calls the same modules twice. A slice holds the
    same modules under the same names; of a class with a constructor of its own it is a plain
    `Sequential`.

    Args:
        modules: any number of modules, named "0", "1", ...; or one dict of modules by name.

    Example:
        >>> from chainrule import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> model
        Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): ReLU()
          (2): Linear(in_features=8, out_features=3, bias=True)
        )
        >>> len(model), model[-1].out_features, len(model[:2])
        (3, 3, 2)
    """

    _registry, _kind = "_modules", Module
    _passes_tuples = True
    __repr__ = Module.__repr__
    _modules: dict[str, Module]  # type: ignore[assignment]

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            named = modules[0]
        else:
            named = {str(i): module for i, module in enumerate(modules)}
        if len(modules) == 1 and isinstance(modules[0], Iterable) and not _is_part(modules[0]):
            raise TypeError(
                "a Sequential takes its modules one by one: unpack a list, nn.Sequential(*layers)"
            )
        for name, module in named.items():
            self.add_module(name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a module under `name`, after the others."""
        if module is None:
            raise TypeError(
                f"a Sequential calls its modules, so {name} can't be None: use Identity"
            )
        super().add_module(name, module)

    def _slice(self, values: list[tuple[str, Module]]) -> Sequential:
        """A class with a constructor of its own may take anything: its slices are Sequentials."""
        kind = type(self) if type(self).__init__ is Sequential.__init__ else Sequential
        return kind(dict(values))

    def __mul__(self, times: int) -> Sequential:
        joined: Sequential = self[:0]
        for _ in range(checks.count("the number of times", times)):
            joined.extend(self)
        return joined

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        modules = list(self)
        for _ in range(checks.count("the number of times", times) - 1):
            self.extend(modules)
        return self

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input


def _is_part(given: Any) -> bool:
    return isinstance(given, (dict, Module, Tensor, type, str))


class Identity(Layer):
    """The input itself.

    Args:
        args, kwargs: those of the layer in whose place it stands; they mean nothing.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Identity()(cr.tensor([1.0]))
        tensor([1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    @classmethod
    def child_names(cls) -> tuple[str, ...]:
        return ()

    def forward(self, input: TensorLike) -> Tensor:
        return as_tensor(input)
