"""How a Tensor prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from chainrule.graph.tensor import Tensor

_UNNAMED_DTYPES = ("float32", "int64", "bool")


def represent(tensor: Tensor) -> str:
    """The value (or shape), then dtype, name and operation where they say something."""
    head = {"Tensor": "tensor"}.get(type(tensor).__name__, type(tensor).__name__)
    parts = []
    if tensor.value is None:
        parts.append(f"symbolic, shape={tensor.shape}, dtype={tensor.dtype}")
    else:
        text = np.array2string(
            tensor.value, separator=", ", precision=4, threshold=200, edgeitems=3, prefix=head + "("
        )
        parts.append(text)
        if tensor.size > 200 or tensor.size == 0:
            parts.append(f"shape={tensor.shape}")
        if str(tensor.dtype) not in _UNNAMED_DTYPES:
            parts.append(f"dtype={tensor.dtype}")
    if tensor.name:
        parts.append(f"name={tensor.name!r}")
    if tensor.operation is not None:
        parts.append(f"operation={tensor.operation.name}")
    elif tensor.requires_grad and not tensor.is_state:
        parts.append("requires_grad=True")
    return f"{head}({', '.join(parts)})"
