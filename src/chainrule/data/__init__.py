"""Data: minibatches, splits, data sets, and training data from files."""

from chainrule.data import datasets
from chainrule.data.batches import batches, permutation
from chainrule.data.files import NpzArrays, Table, read_columns, read_npz, read_table
from chainrule.data.splitting import split

__all__ = [
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
