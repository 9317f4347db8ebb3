"""Sequential: modules one after another. Identity: a placeholder that does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.nn.layers.base import Layer
from chainrule.nn.module import Module


class Sequential(Layer):
    """Modules called one after another, each on the output of the one before.

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

    _modules: dict[str, Module]  # type: ignore[assignment]

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            named = modules[0]
        else:
            named = {str(i): module for i, module in enumerate(modules)}
        for name, module in named.items():
            self.add_module(name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a module under `name`, after the others."""
        if module is None:
            raise TypeError(
                f"a Sequential calls its modules, so {name} can't be None: use Identity"
            )
        super().add_module(name, module)

    def append(self, module: Module) -> Sequential:
        """Add a module after the others, under the next number."""
        number = len(self)
        while str(number) in self._modules:  # a slice keeps the numbers it had
            number += 1
        self.add_module(str(number), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        """The module at a position; a slice is a Sequential of the same modules."""
        if isinstance(index, slice):
            return type(self)(dict(list(self._modules.items())[index]))
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} modules")
        return list(self._modules.values())[index]

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input


class Identity(Layer):
    """The input itself.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Identity()(cr.tensor([1.0]))
        tensor([1.])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return as_tensor(input)
