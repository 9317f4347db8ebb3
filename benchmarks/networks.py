"""The networks, their data and their initial weights, which are the same for every library."""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Labels = NDArray[np.int64]
Parameters = Sequence[tuple[Array, Array]]
"""(weight, bias) of each layer, weight of shape (outputs, inputs)."""

MOMENTUM = 0.9
"""The momentum of SGD."""
DROPOUT = 0.2
"""The probability with which dropout sets a unit to 0."""
EPSILON = 1e-5
"""The number that batch normalisation adds to the variance."""
BATCH_NORM_MOMENTUM = 0.1
"""The weight of a batch's statistics in the running statistics of batch normalisation."""


@dataclass(frozen=True)
class Network:
    """Fully connected layers with ReLU between them; softmax cross-entropy.

    Attributes:
        sizes: numbers of inputs, of units of each hidden layer, of classes.
        batch: rows in a minibatch.
        optimizer: "sgd" (with `MOMENTUM`) or "adam".
        regularized: whether there is batch normalisation before each ReLU, and dropout after it.
        rows: rows of the training data, a multiple of `batch`: all steps have the same size.
        mnist: the folder of MNIST's files, if its images are the data; None for random numbers.
    """

    sizes: tuple[int, ...]
    batch: int
    optimizer: str = "sgd"
    rows: int = 10_240
    regularized: bool = False
    mnist: str | None = None

    @property
    def name(self) -> str:
        """Sizes and batch, as in "64-100-10:64", then ":adam", ":regularized", ":mnist" if so."""
        words = ["-".join(map(str, self.sizes)), str(self.batch)]
        words += [self.optimizer] * (self.optimizer != "sgd")
        words += ["regularized"] * self.regularized
        words += ["mnist"] * (self.mnist is not None)
        return ":".join(words)

    @property
    def lr(self) -> float:
        """The learning rate."""
        return 0.02 if self.optimizer == "sgd" else 0.0005

    @property
    def steps(self) -> int:
        """Training steps in an epoch."""
        return self.rows // self.batch

    @property
    def parameters(self) -> int:
        """The number of trained parameters."""
        normalized = 2 * sum(self.sizes[1:-1]) if self.regularized else 0
        return normalized + sum((n + 1) * m for n, m in pairwise(self.sizes))

    @property
    def flops_per_step(self) -> int:
        """2 B (3 sum(w) - w_1), w_i the number of weights of layer i.

        Every layer has three matrix products, for the outputs, for dW and for dX; the first layer
        needs no dX. Elementwise operations are not counted.
        """
        weights = [n * m for n, m in pairwise(self.sizes)]
        return 2 * self.batch * (3 * sum(weights) - weights[0])


NETWORKS = (
    Network((4, 16, 16, 3), 32),
    Network((64, 100, 10), 64),
    Network((784, 512, 512, 10), 64),
    Network((784, 512, 512, 10), 64, "adam"),
    Network((784, 512, 512, 10), 64, "adam", regularized=True),
    Network((784, 512, 512, 10), 1024),
    Network((784, 2048, 2048, 10), 256, rows=5_120),
)


def find_networks(names: Sequence[str], mnist: str | None = None) -> list[Network]:
    """The networks whose names start with one of `names`; all if there are no names.

    If `mnist` is a folder, two more networks train on its images.

    Raises:
        ValueError: no network's name starts with one of `names`.
    """
    available = list(NETWORKS)
    if mnist is not None:
        available += [
            Network((784, 512, 512, 10), 64, mnist=mnist),
            Network((784, 512, 512, 10), 64, "adam", mnist=mnist),
        ]
    for name in names:
        if not any(network.name.startswith(name) for network in available):
            known = ", ".join(network.name for network in available)
            raise ValueError(f"no network {name!r}; there are {known}")
    return [n for n in available if not names or any(n.name.startswith(name) for name in names)]


def make_data(network: Network) -> tuple[Array, Labels]:
    """Images with labels, or random rows with labels by a random linear map; float32.

    Raises:
        ValueError: the images are missing, or too few.
    """
    if network.mnist is not None:
        images = read_idx(network.mnist, "train-images?idx3-ubyte*", network.rows)
        labels = read_idx(network.mnist, "train-labels?idx1-ubyte*", network.rows)
        x = images.reshape(network.rows, network.sizes[0]).astype(np.float32)
        return x / np.float32(255), labels.astype(np.int64)
    random = np.random.default_rng(1)
    x = random.standard_normal((network.rows, network.sizes[0]), np.float32)
    teacher = random.standard_normal((network.sizes[0], network.sizes[-1]), np.float32)
    return x, (x @ teacher).argmax(axis=1)


def read_idx(folder: str, pattern: str, rows: int) -> NDArray[np.uint8]:
    """The first rows of one of MNIST's files, gzipped or not.

    It uses NumPy alone: a worker measures the import of its library, so chainrule and its reader
    may not be imported before.
    """
    path = next(Path(folder).glob(pattern), None)
    if path is None:
        raise ValueError(f"no {pattern} in {folder}")
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    begin = 4 + 4 * content[3]
    available, *shape = np.frombuffer(content[4:begin], ">u4").tolist()
    if available < rows:
        raise ValueError(f"{path} has {available} rows, {rows} are needed")
    numbers = np.frombuffer(content, np.uint8, rows * math.prod(shape), begin)
    return numbers.reshape(rows, *shape)


def first_parameters(network: Network) -> list[tuple[Array, Array]]:
    """Initial weights and biases, uniform in +-1 / sqrt(inputs)."""
    random = np.random.default_rng(2)
    parameters = []
    for inputs, outputs in pairwise(network.sizes):
        bound = 1 / math.sqrt(inputs)
        weight = random.uniform(-bound, bound, (outputs, inputs)).astype(np.float32)
        bias = random.uniform(-bound, bound, outputs).astype(np.float32)
        parameters.append((weight, bias))
    return parameters


def folded(
    weight: Array, bias: Array, gain: Array, shift: Array, mean: Array, variance: Array
) -> tuple[Array, Array]:
    """(weight, bias) of a layer with the batch normalisation after it folded in, for evaluation."""
    scale = gain / np.sqrt(variance + np.float32(EPSILON))
    return weight * scale[:, None], (bias - mean) * scale + shift


def logits(parameters: Parameters, x: Array) -> Array:
    """The network's outputs before the softmax, computed by NumPy."""
    *hidden, last = parameters
    for weight, bias in hidden:
        x = np.maximum(x @ weight.T + bias, 0)
    return x @ last[0].T + last[1]


def mean_loss(parameters: Parameters, x: Array, y: Labels) -> float:
    """The mean cross-entropy, computed by NumPy for the parameters of every library."""
    return cross_entropy(logits(parameters, x), y)


def cross_entropy(logits: Array, y: Labels) -> float:
    """The mean over all labels, of logits of shape (..., classes)."""
    z, y = logits.reshape(-1, logits.shape[-1]), y.reshape(-1)
    z = z - z.max(axis=1, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), y]).mean())
