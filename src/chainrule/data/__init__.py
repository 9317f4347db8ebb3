"""Data: checks of arrays, minibatches, splits, data sets, and files of tables and arrays."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chainrule.data.batches import Minibatches, batches, permutation
from chainrule.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from chainrule.data.loader import DataLoader, WorkerInfo, default_collate, get_worker_info
from chainrule.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from chainrule.data.splitting import split
from chainrule.graph.names import absent

if TYPE_CHECKING:
    from chainrule.data import datasets
    from chainrule.data.files import NpzArrays, Table, read_columns, read_npz, read_table
    from chainrule.data.image_folder import ImageFolder
    from chainrule.data.text_files import read_text

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "ImageFolder",
    "IterableDataset",
    "Minibatches",
    "NpzArrays",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "Table",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "batches",
    "datasets",
    "default_collate",
    "get_worker_info",
    "permutation",
    "random_split",
    "read_columns",
    "read_npz",
    "read_table",
    "read_text",
    "split",
]


_FILES = {"ImageFolder": "image_folder", "read_text": "text_files"}


def __getattr__(name: str) -> Any:
    """Import the readers of files at their first use: gzip, csv and pathlib are slow to import."""
    if name == "datasets":
        return import_module("chainrule.data.datasets")
    if name in _FILES:
        return getattr(import_module(f"chainrule.data.{_FILES[name]}"), name)
    if name in __all__:
        return getattr(import_module("chainrule.data.files"), name)
    absent("data", dict.fromkeys(__all__))(name)
