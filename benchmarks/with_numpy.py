"""NumPy by hand: the algorithm, written with care for in-place updates."""

from __future__ import annotations

import math

import numpy as np

from benchmarks import networks
from benchmarks.networks import MOMENTUM, Array, Labels, Network, Parameters


class ByHand:
    """Forward, backward and update in place."""

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None:
        self.x, self.y, self.network = x, y, network
        self.random = np.random.default_rng(0)
        self.weights = [weight.copy() for weight, _ in parameters]
        self.biases = [bias.copy() for _, bias in parameters]
        self.moments = [(np.zeros_like(p), np.zeros_like(p)) for p in self.weights + self.biases]
        self.t = 0

    def train_epoch(self) -> None:
        order = self.random.permutation(len(self.x))
        for start in range(0, len(order), self.network.batch):
            rows = order[start : start + self.network.batch]
            self.update(self.gradients(self.x[rows], self.y[rows]))

    def gradients(self, x: Array, y: Labels) -> list[Array]:
        """The gradients of all weights, then of all biases."""
        activations = [x]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = activations[-1] @ weight.T
            z += bias
            activations.append(np.maximum(z, 0, out=z))
        z = activations[-1] @ self.weights[-1].T + self.biases[-1]
        z -= z.max(axis=1, keepdims=True)
        delta = np.exp(z, out=z)
        delta /= delta.sum(axis=1, keepdims=True)
        delta[np.arange(len(y)), y] -= 1
        delta /= len(y)
        dw, db = [], []
        for i in reversed(range(len(self.weights))):
            dw.append(delta.T @ activations[i])
            db.append(delta.sum(axis=0))
            if i > 0:
                delta = delta @ self.weights[i]
                delta *= activations[i] > 0
        return dw[::-1] + db[::-1]

    def update(self, gradients: list[Array]) -> None:
        rule = self.adam if self.network.optimizer == "adam" else self.sgd
        self.t += 1
        for p, g, moments in zip(self.weights + self.biases, gradients, self.moments, strict=True):
            rule(p, g, *moments)

    def sgd(self, p: Array, g: Array, velocity: Array, _: Array) -> None:
        velocity *= MOMENTUM
        velocity += g
        p -= self.network.lr * velocity

    def adam(self, p: Array, g: Array, m: Array, v: Array) -> None:
        m *= 0.9
        m += 0.1 * g
        v *= 0.999
        g *= g
        v += np.multiply(g, 0.001, out=g)
        rate = self.network.lr / (1 - 0.9**self.t)
        root = np.sqrt(v)
        root /= math.sqrt(1 - 0.999**self.t)
        root += 1e-8
        np.divide(m, root, out=root)
        p -= np.multiply(root, rate, out=root)

    def predict(self, x: Array) -> Array:
        return networks.logits(self.parameters(), x)

    def parameters(self) -> Parameters:
        return list(zip(self.weights, self.biases, strict=True))
