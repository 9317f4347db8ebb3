"""Importances of columns: gradient times input, at the features of the first layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.graph.context import no_grad
from chainrule.graph.gradients import grad
from chainrule.graph.tensor import tensor
from chainrule.nn import RealMLP
from chainrule.tabular.columns import Columns


def gradient_times_input(
    columns: Columns, network: RealMLP, arrays: Mapping[str, NDArray[Any]]
) -> NDArray[np.float64]:
    """The mean absolute change of the outputs by each column; see `TabularModel.importances`."""
    with no_grad():
        inputs = {name: tensor(array) for name, array in arrays.items()}
        features = network.features(**inputs).numpy()
    x = tensor(features, requires_grad=True)
    outputs = network.layers(network.front(x))
    distance = np.asarray(features - features.mean(axis=0), np.float64)
    owner = _owners(columns, network)
    total = np.zeros(len(columns.columns))
    for number in range(network.outputs):
        (gradient,) = grad(outputs[:, number].sum(), [x])
        changes = np.asarray(gradient) * distance
        for column in np.unique(owner):
            total[column] += np.abs(changes[:, owner == column].sum(axis=1)).mean()
    return total


def _owners(columns: Columns, network: RealMLP) -> NDArray[np.int64]:
    """For each feature of the first layer the number of its column."""
    numbers = np.arange(len(columns.columns))
    numeric = np.repeat(numbers, [column.numeric for column in columns.columns])
    plain = np.repeat(numbers, [column.plain for column in columns.columns])
    vector = network.embedding.embedding_dim if network.embedding is not None else 0
    codes = np.repeat(numbers, [vector * bool(column.codes) for column in columns.columns])
    more = network.periodic.width - 1 if network.periodic is not None else 0
    return np.concatenate([numeric, np.repeat(numeric, more), plain, codes])
