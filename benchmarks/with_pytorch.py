"""PyTorch: the loop of its tutorials, its fused optimisers, and torch.compile.

Minibatches are taken by a permutation, which costs a fraction of a DataLoader's time.
"""

from __future__ import annotations

import os

import torch
from torch import nn

from benchmarks.networks import (
    BATCH_NORM_MOMENTUM,
    DROPOUT,
    EPSILON,
    MOMENTUM,
    Array,
    Labels,
    Network,
    Parameters,
    folded,
)


class Eager:
    """Forward, backward and step, operation by operation."""

    fused: bool | None = None

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.x, self.y, self.batch = torch.from_numpy(x), torch.from_numpy(y), network.batch
        layers: list[nn.Module] = []
        for weight, bias in parameters:
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(weight))
                linear.bias.copy_(torch.from_numpy(bias))
            if layers and network.regularized:
                norm = nn.BatchNorm1d(weight.shape[1], EPSILON, BATCH_NORM_MOMENTUM)
                layers += [norm, nn.ReLU(), nn.Dropout(DROPOUT)]
            elif layers:
                layers.append(nn.ReLU())
            layers.append(linear)
        self.model = nn.Sequential(*layers)
        self.loss_fn = nn.CrossEntropyLoss()
        self.optimizer: torch.optim.Optimizer
        if network.optimizer == "adam":
            self.optimizer = torch.optim.Adam(
                self.model.parameters(), lr=network.lr, fused=self.fused
            )
        else:
            self.optimizer = torch.optim.SGD(
                self.model.parameters(), lr=network.lr, momentum=MOMENTUM, fused=self.fused
            )

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.loss_fn(self.model(x), y)

    def train_epoch(self) -> None:
        for rows in torch.randperm(len(self.x)).split(self.batch):
            loss = self.loss(self.x[rows], self.y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def predict(self, x: Array) -> Array:
        self.model.eval()
        with torch.inference_mode():
            found = self.model(torch.from_numpy(x)).numpy()
        self.model.train()
        return found

    def parameters(self) -> Parameters:
        pairs = [
            (m.weight.detach().numpy(), m.bias.detach().numpy())
            for m in self.model
            if isinstance(m, nn.Linear)
        ]
        for i, m in enumerate(m for m in self.model if isinstance(m, nn.BatchNorm1d)):
            states = (m.weight, m.bias, m.running_mean, m.running_var)
            pairs[i] = folded(*pairs[i], *(state.detach().numpy() for state in states))
        return pairs


class Fused(Eager):
    """With the optimiser's update as one kernel."""

    fused = True


class Compiled(Fused):
    """With the model, the loss and their backward pass compiled; needs a C++ compiler."""

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None:
        super().__init__(network, x, y, parameters)
        self.loss = torch.compile(self.loss, dynamic=False)  # type: ignore[method-assign]
