"""Rows as a user gives them, as the steps of a model take them.

The columns of frames are found by their names, and inputs stay float64 where layers use all of its
digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.data import Dataset
from chainrule.data.arrays import Data, checked_data, checked_inputs
from chainrule.nn import Module
from chainrule.nn.inputs import takes_float64
from chainrule.tables import Names, in_order
from chainrule.train.training_step import StepGraphs, check_takes_weights


def checked_rows(
    graphs: StepGraphs,
    x: Any,
    y: Any,
    sample_weight: Any,
    names: Names | None,
    *,
    prefix: str = "",
    all_rows: bool = True,
) -> Data:
    """Inputs, targets and weights that a step can take, as `checked_data`; columns by their names.

    Args:
        graphs: the steps of the model.
        x, y, sample_weight: as a user gives them.
        names: the names of the columns of the inputs in their order; None if they have none.
        prefix, all_rows: as of `checked_data`.
    """
    if sample_weight is not None:
        check_takes_weights(graphs.loss)
    x = in_order(x, names, f"{prefix}x")
    data = checked_data(x, y, sample_weight, graphs.dtype, prefix=prefix, all_rows=all_rows)
    return _in_digits(graphs.model, data)


def checked_rows_of_inputs(graphs: StepGraphs, x: Any) -> Data:
    """Inputs that a prediction can take, with columns by their names."""
    if isinstance(x, Dataset):
        raise TypeError(
            f"x is a dataset ({type(x).__name__}), which gives samples one by one. Give its inputs "
            "as an array; predict takes batches of them, too, as of a dataset of pairs predict(x "
            "for x, y in data.DataLoader(dataset, batch_size=64))"
        )
    x = in_order(x, graphs.model._column_names)
    return _in_digits(graphs.model, checked_inputs(x, graphs.dtype))


def _in_digits(model: Module, data: Data) -> Data:
    """The data in float64 where layers of the model use all of its digits."""
    if not any([array.dtype == np.float64 for array in data.arrays]):
        return data
    inputs = takes_float64(model)
    targets = any(module.gives_float64 for module in model.modules())
    return data.in_float64(inputs=inputs, targets=targets) if inputs or targets else data
