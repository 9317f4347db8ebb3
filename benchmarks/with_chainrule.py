"""chainrule: the Trainer, and a step compiled for the user's own loop."""

from __future__ import annotations

from itertools import pairwise

import chainrule as cr
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
from chainrule import nn, optim


def build(network: Network, parameters: Parameters) -> tuple[nn.Sequential, optim.Optimizer]:
    layers: list[nn.Module] = []
    for (inputs, outputs), (weight, bias) in zip(pairwise(network.sizes), parameters, strict=True):
        linear = nn.Linear(inputs, outputs)
        linear.load_state_dict({"weight": weight, "bias": bias})
        if layers and network.regularized:
            layers += [
                nn.BatchNorm1d(inputs, EPSILON, BATCH_NORM_MOMENTUM),
                nn.ReLU(),
                nn.Dropout(DROPOUT),
            ]
        elif layers:
            layers.append(nn.ReLU())
        layers.append(linear)
    model = nn.Sequential(*layers)
    if network.optimizer == "adam":
        return model, optim.Adam(model.parameters(), lr=network.lr)
    return model, optim.SGD(model.parameters(), lr=network.lr, momentum=MOMENTUM)


class Trainer:
    """The Trainer: an epoch is one call of `fit`, with all its checks."""

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None:
        self.x, self.y, self.batch, self.network = x, y, network.batch, network
        self.model, optimizer = build(network, parameters)
        self.trainer = cr.Trainer(self.model, nn.CrossEntropyLoss(), optimizer)

    def train_epoch(self) -> None:
        self.trainer.fit(self.x, self.y, epochs=1, batch_size=self.batch, progress=False)

    def predict(self, x: Array) -> Array:
        return self.trainer.predict(x)

    def parameters(self) -> Parameters:
        pairs = [(m.weight.numpy(), m.bias.numpy()) for m in self.model if isinstance(m, nn.Linear)]
        if not self.network.regularized:
            return pairs
        norms = [m for m in self.model if isinstance(m, nn.BatchNorm1d)]
        for i, norm in enumerate(norms):
            states = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
            pairs[i] = folded(*pairs[i], *(state.numpy() for state in states))
        return pairs


class CompiledStep(Trainer):
    """A Python loop over the batches, one native call for each."""

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None:
        self.x, self.y, self.batch, self.network = x, y, network.batch, network
        model, optimizer = build(network, parameters)
        self.model = model
        loss_fn = nn.CrossEntropyLoss()

        @cr.compile
        def step(x: Array, y: Labels) -> cr.Tensor:
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        self.step = step
        self.epoch = 0

    def train_epoch(self) -> None:
        for xb, yb in cr.data.batches(self.x, self.y, self.batch, epoch=self.epoch):
            self.step(xb, yb)
        self.epoch += 1
