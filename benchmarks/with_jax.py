"""JAX: one compiled step per minibatch, and one compiled scan over the epoch."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.networks import Array, Labels, Network, Parameters


def logits(params: Any, x: jax.Array) -> jax.Array:
    *hidden, (weight, bias) = params
    for w, b in hidden:
        x = jax.nn.relu(x @ w.T + b)
    return x @ weight.T + bias


def loss_fn(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    log_p = jax.nn.log_softmax(logits(params, x))
    return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean()


def sgd(params: Any, velocity: Any, grads: Any, lr: float) -> tuple[Any, Any]:
    velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
    return jax.tree.map(lambda p, v: p - lr * v, params, velocity), velocity


def adam(params: Any, state: Any, grads: Any, lr: float) -> tuple[Any, Any]:
    m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    rate, correction = lr / (1 - 0.9**t), 1 / (1 - 0.999**t)
    params = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v * correction) + 1e-8), params, m, v
    )
    return params, (m, v, t)


class JitStep:
    """A Python loop over the batches; a step gathers its own rows."""

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None:
        self.x, self.y = jnp.asarray(x), jnp.asarray(y, jnp.int32)
        self.network = network
        self.random = np.random.default_rng(0)
        self.params = [(jnp.array(weight), jnp.array(bias)) for weight, bias in parameters]
        zeros = partial(jax.tree.map, jnp.zeros_like)
        if network.optimizer == "adam":
            update = adam
            self.state = (zeros(self.params), zeros(self.params), jnp.zeros((), jnp.float32))
        else:
            update = sgd
            self.state = zeros(self.params)

        def step(params: Any, state: Any, x: Any, y: Any, rows: Any) -> tuple[Any, Any, Any]:
            loss, grads = jax.value_and_grad(loss_fn)(params, x[rows], y[rows])
            return *update(params, state, grads, network.lr), loss

        def epoch(params: Any, state: Any, x: Any, y: Any, batches: Any) -> tuple[Any, Any, Any]:
            def body(carry: Any, rows: Any) -> tuple[Any, Any]:
                params, state, loss = step(*carry, x, y, rows)
                return (params, state), loss

            (params, state), losses = jax.lax.scan(body, (params, state), batches)
            return params, state, losses

        self.step = jax.jit(step, donate_argnums=(0, 1))
        self.epoch = jax.jit(epoch, donate_argnums=(0, 1))
        self.logits = jax.jit(logits)

    def batches(self) -> Any:
        order = self.random.permutation(self.network.rows).astype(np.int32)
        return order.reshape(-1, self.network.batch)

    def train_epoch(self) -> None:
        for rows in self.batches():
            self.params, self.state, _ = self.step(self.params, self.state, self.x, self.y, rows)
        jax.block_until_ready((self.params, self.state))

    def predict(self, x: Array) -> Array:
        return np.asarray(self.logits(self.params, x))

    def parameters(self) -> Parameters:
        return [(np.asarray(weight), np.asarray(bias)) for weight, bias in self.params]


class Scan(JitStep):
    """One call for an epoch."""

    def train_epoch(self) -> None:
        self.params, self.state, _ = jax.block_until_ready(
            self.epoch(self.params, self.state, self.x, self.y, self.batches())
        )
