"""The libraries, each with one or more variants of training."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from benchmarks.networks import Array, Labels, Network, Parameters


class Training(Protocol):
    """The interface of the classes in `with_*.py`: a network with data and weights."""

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None: ...

    def train_epoch(self) -> None:
        """Shuffle the rows and train on each minibatch once."""

    def predict(self, x: Array) -> Array:
        """The outputs for `x`, logits or probabilities."""

    def parameters(self) -> Parameters:
        """The trained weights and biases; batch normalisation is folded into them."""


@dataclass(frozen=True)
class Library:
    """A variant of training by a library.

    Attributes:
        name: such as "jax-scan"; the text before the first "-" is the family.
        title: the name in tables.
        module: the module that must be installed.
        implementation: "module.Class" in this folder.
        quick: whether `--quick` includes it.
        predicts: whether its prediction is measured; the variants of a family share one.
        regularizes: whether it has batch normalisation and dropout.
    """

    name: str
    title: str
    module: str
    implementation: str
    quick: bool = True
    predicts: bool = False
    regularizes: bool = True

    @property
    def family(self) -> str:
        return self.name.partition("-")[0]

    @property
    def installed(self) -> bool:
        return find_spec(self.module) is not None

    def load(self) -> type[Any]:
        module, name = self.implementation.split(".")
        loaded: type[Any] = getattr(importlib.import_module(f"benchmarks.{module}"), name)
        return loaded


LIBRARIES = (
    Library("chainrule", "chainrule", "chainrule", "with_chainrule.Trainer", predicts=True),
    Library("chainrule-step", "chainrule, own loop", "chainrule", "with_chainrule.CompiledStep"),
    Library("pytorch", "PyTorch", "torch", "with_pytorch.Eager", predicts=True),
    Library("pytorch-fused", "PyTorch, fused", "torch", "with_pytorch.Fused", quick=False),
    Library("pytorch-compile", "PyTorch, compile", "torch", "with_pytorch.Compiled", quick=False),
    Library("jax-jit", "JAX, jit", "jax", "with_jax.JitStep", predicts=True),
    Library("jax-scan", "JAX, scan", "jax", "with_jax.Scan"),
    Library(
        "sklearn",
        "scikit-learn",
        "sklearn",
        "with_sklearn.Classifier",
        predicts=True,
        regularizes=False,
    ),
    Library(
        "numpy", "NumPy by hand", "numpy", "with_numpy.ByHand", predicts=True, regularizes=False
    ),
)
FAMILIES = {
    "chainrule": "chainrule",
    "pytorch": "PyTorch",
    "jax": "JAX",
    "sklearn": "scikit-learn",
    "numpy": "NumPy",
}
REMEDIES = {
    "chainrule": "pip install .",
    "pytorch": "pip install torch, as pytorch.org says for CPUs",
    "jax": "pip install '.[bench]'",
    "sklearn": "pip install '.[bench]'",
    "numpy": "pip install numpy",
}
"""How each family is installed."""


def find_libraries(names: Sequence[str]) -> list[Library]:
    """The libraries with one of these names or families; all if there are no names.

    Raises:
        ValueError: for an unknown name.
    """
    known = {library.name for library in LIBRARIES} | set(FAMILIES)
    for name in names:
        if name not in known:
            raise ValueError(f"no library {name!r}; there are {', '.join(sorted(known))}")
    return [lib for lib in LIBRARIES if not names or lib.name in names or lib.family in names]
