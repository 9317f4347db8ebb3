"""The libraries, each with the ways in which it trains."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from benchmarks.networks import Array, Labels, Network, Parameters


class Training(Protocol):
    """What every `with_*.py` implements: data and weights set up, ready to train."""

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None: ...

    def train_epoch(self) -> None:
        """Shuffle the rows, and train on each minibatch of them."""

    def predict(self, x: Array) -> Array:
        """The outputs for `x`, logits or probabilities."""

    def parameters(self) -> Parameters:
        """What it has trained so far."""


@dataclass(frozen=True)
class Library:
    """A way to train.

    Attributes:
        name: such as "jax-scan"; what stands before the first "-" is the family.
        title: for people.
        module: the module that must be installed.
        implementation: "module.Class" of this folder.
        quick: whether the short form takes it too.
        predicts: whether it differs from its family in prediction.
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


def find_libraries(names: Sequence[str]) -> list[Library]:
    """The libraries with one of these names, or of one of these families; all for none.

    Raises:
        ValueError: for a name that is neither.
    """
    known = {library.name for library in LIBRARIES} | set(FAMILIES)
    for name in names:
        if name not in known:
            raise ValueError(f"no library {name!r}; there are {', '.join(sorted(known))}")
    return [lib for lib in LIBRARIES if not names or lib.name in names or lib.family in names]
