"""Recipes: how a network for tables is built and trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from chainrule.graph.state import HyperParameter
from chainrule.nn import Dropout, Embedding, Linear, Module, ParametricActivation, RealMLP, Scale
from chainrule.nn.layers.tabular import PeriodicEmbedding
from chainrule.optim import AdamW, Optimizer, Schedule

TaskName = Literal["classification", "regression"]

_EPS = 1e-8


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of a training on a table; `realmlp` gives those of RealMLP.

    Attributes:
        hidden: the widths of the hidden layers.
        activation: "selu", "mish" or "relu".
        simple: without embeddings of numbers and without learnt activations, and with starting
            values that do not depend on the data.
        dropout: the probability of an activation being dropped, at first.
        weight_decay: the decay of all but biases, in AdamW's form, at first.
        label_smoothing: of the classes.
        lr: the learning rate at its highest.
        epochs: how often the training goes through the rows.
        batch_size: rows in a batch; a last batch that has fewer is left out.
    """

    hidden: tuple[int, ...] = (256, 256, 256)
    activation: str = "selu"
    simple: bool = False
    dropout: float = 0.15
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    lr: float = 0.04
    epochs: int = 256
    batch_size: int = 256


def realmlp(task: TaskName, *, simple: bool = False) -> Recipe:
    """The recipe of RealMLP-TD, or of RealMLP-TD-S where `simple`.

    Source: Holzmüller, Grinsztajn, Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", NeurIPS 2024.

    Example:
        >>> realmlp("regression").lr, realmlp("classification", simple=True).dropout
        (0.2, 0.0)
    """
    recipe = Recipe()
    if task == "regression":
        recipe = replace(recipe, activation="mish", label_smoothing=0.0, lr=0.2)
    if simple:
        lr = 0.07 if task == "regression" else 0.04
        recipe = replace(recipe, simple=True, dropout=0.0, weight_decay=0.0, lr=lr)
    return recipe


def optimizer_of(model: RealMLP, recipe: Recipe) -> AdamW:
    """AdamW with a group for each kind of parameter, at its share of the learning rate.

    RealMLP's layers are z = d^-1/2 W x + b, with the learning rate lr. Here the factor is in the
    weights, W' = d^-1/2 W, and since Adam's step is free of the gradient's scale the same training
    comes by the learning rate d^-1/2 lr, the decay d^1/2 weight_decay and d^1/2 eps.
    """
    shares: list[tuple[type[Module], float]] = [
        (Scale, 6.0), (ParametricActivation, 0.1), (PeriodicEmbedding, 0.1), (Embedding, 1.0),
    ]  # fmt: skip
    modules = list(model.modules())
    groups: list[dict[str, Any]] = []
    linear = [module for module in modules if isinstance(module, Linear)]
    for width in dict.fromkeys(layer.in_features for layer in linear):
        root = math.sqrt(width)
        groups.append({
            "params": [layer.weight for layer in linear if layer.in_features == width],
            "lr": recipe.lr / root,
            "weight_decay": recipe.weight_decay * root,
            "eps": _EPS * root,
        })  # fmt: skip
    biases = [layer.bias for layer in linear]
    groups.append({"params": biases, "lr": 0.1 * recipe.lr, "weight_decay": 0.0})
    for kind, share in shares:
        params = [
            parameter
            for module in modules
            if isinstance(module, kind)
            for parameter in module.parameters(recurse=False)
        ]
        if params:
            groups.append(
                {
                    "params": params,
                    "lr": share * recipe.lr,
                    "weight_decay": share * recipe.weight_decay,
                }
            )
    return AdamW(
        groups, lr=recipe.lr, betas=(0.9, 0.95), eps=_EPS, weight_decay=recipe.weight_decay
    )


class RecipeSchedule(Schedule):
    """The learning rates by coslog4, the decay and the dropout by flat_cos, at every step.

    coslog4(p) = (1 - cos(2 pi log2(1 + 15 p))) / 2; flat_cos(p) = 1 up to p = 1/2, then
    (1 + cos(pi (2 p - 1))) / 2; p is the share of the steps that are done.

    Args:
        optimizer: the optimiser.
        model: the model, whose dropout it sets.
        steps: the number of steps in all.
    """

    def __init__(self, optimizer: Optimizer, model: Module, steps: int) -> None:
        self.steps = steps
        self._dropouts = {
            layer._p: layer.p for layer in model.modules() if isinstance(layer, Dropout)
        }
        self._decays: dict[HyperParameter, float] = {}
        for group in optimizer.param_groups:
            if "weight_decay" in group.scalars:
                self._decays[group.scalars["weight_decay"]] = group["weight_decay"]
        super().__init__(optimizer, unit="step")

    def lr(self, base_lr: float, t: int) -> float:
        return base_lr * float(_coslog4(self._progress(t)))

    def scalars(self, t: int) -> dict[HyperParameter, float]:
        return self._table(t, 1)[0]

    def ahead(self, count: int) -> list[dict[HyperParameter, float]]:
        return self._table(self.t, count)

    def _progress(self, t: Any) -> Any:
        return np.minimum(np.asarray(t) / self.steps, 1.0)

    def _table(self, first: int, count: int) -> list[dict[HyperParameter, float]]:
        """What holds in each of `count` steps from t = `first` on."""
        progress = self._progress(np.arange(first, first + count))
        waves, fall = _coslog4(progress), _flat_cos(progress)
        lrs = [group.scalars["lr"] for group in self._groups()]
        names = [*lrs, *self._decays, *self._dropouts]
        bases = np.array([*self.base_lrs, *self._decays.values(), *self._dropouts.values()])
        factors = np.stack([*[waves] * len(lrs), *[fall] * (len(names) - len(lrs))])
        return [dict(zip(names, row, strict=True)) for row in (bases[:, None] * factors).T.tolist()]


def _coslog4(progress: Any) -> Any:
    return (1 - np.cos(2 * np.pi * np.log2(1 + 15 * progress))) / 2


def _flat_cos(progress: Any) -> Any:
    return (1 + np.cos(np.pi * (np.maximum(1.0, 2 * progress) - 1))) / 2
