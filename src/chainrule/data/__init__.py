"""Data: checks of arrays, minibatches, splits, data sets, and files of tables and arrays."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chainrule.data.batches import Minibatches, batches, permutation
from chainrule.data.splitting import split

if TYPE_CHECKING:
    from chainrule.data import datasets
    from chainrule.data.files import NpzArrays, Table, read_columns, read_npz, read_table

__all__ = [
    "Minibatches",
    "NpzArrays",
    "Table",
    "batches",
    "datasets",
    "permutation",
    "read_columns",
    "read_npz",
    "read_table",
    "split",
]


def __getattr__(name: str) -> Any:
    """Import the readers of files at their first use: gzip, csv and pathlib are slow to import."""
    if name == "datasets":
        return import_module("chainrule.data.datasets")
    if name in __all__:
        return getattr(import_module("chainrule.data.files"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
