"""JAX: one compiled step per minibatch, and one compiled scan over the epoch."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


def logits(params: Any, x: jax.Array) -> jax.Array:
    *hidden, (weight, bias) = params
    for w, b in hidden:
        x = jax.nn.relu(x @ w.T + b)
    return x @ weight.T + bias


def cross_entropy(z: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1).mean()


def loss_fn(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return cross_entropy(logits(params, x), y)


def regularized_loss(
    params: Any, statistics: Any, key: jax.Array, x: jax.Array, y: jax.Array
) -> tuple[jax.Array, Any]:
    """With batch normalisation and dropout: the loss, and the new running statistics."""
    layers, norms = params
    *hidden, (weight, bias) = layers
    new_statistics = []
    keys = jax.random.split(key, len(hidden))
    for (w, b), (gain, shift), (mean, var), k in zip(hidden, norms, statistics, keys, strict=True):
        z = x @ w.T + b
        mu, sigma2 = z.mean(axis=0), z.var(axis=0)
        y_hat = (z - mu) * jax.lax.rsqrt(sigma2 + EPSILON) * gain + shift
        kept = jax.random.bernoulli(k, 1 - DROPOUT, z.shape)
        x = jnp.where(kept, jax.nn.relu(y_hat) / (1 - DROPOUT), 0)
        unbiased = sigma2 * (len(z) / (len(z) - 1))
        new_statistics.append(
            (mean + BATCH_NORM_MOMENTUM * (mu - mean), var + BATCH_NORM_MOMENTUM * (unbiased - var))
        )
    return cross_entropy(x @ weight.T + bias, y), new_statistics


def sgd(params: Any, velocity: Any, grads: Any, lr: float) -> tuple[Any, Any]:
    velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, grads)
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
    """A Python loop over the batches; each step gathers its rows."""

    def __init__(self, network: Network, x: Array, y: Labels, parameters: Parameters) -> None:
        self.x, self.y = jnp.asarray(x), jnp.asarray(y, jnp.int32)
        self.network = network
        self.random = np.random.default_rng(0)
        self.params: Any = [(jnp.array(weight), jnp.array(bias)) for weight, bias in parameters]
        extra: Any = ()
        if network.regularized:
            units = network.sizes[1:-1]
            self.params = self.params, [(jnp.ones(n), jnp.zeros(n)) for n in units]
            # XLA's own generator: several times faster on CPUs than JAX's default.
            extra = (
                jax.random.key(0, impl="rbg"),
                [(jnp.zeros(n), jnp.ones(n)) for n in units],
            )
        zeros = partial(jax.tree.map, jnp.zeros_like)
        if network.optimizer == "adam":
            update = adam
            slots: Any = (zeros(self.params), zeros(self.params), jnp.zeros((), jnp.float32))
        else:
            update = sgd
            slots = zeros(self.params)
        self.state: Any = slots, extra

        def step(params: Any, state: Any, x: Any, y: Any, rows: Any) -> tuple[Any, Any, Any]:
            slots, extra = state
            if network.regularized:
                key, statistics = extra
                key, now = jax.random.split(key)
                differentiate = jax.value_and_grad(regularized_loss, has_aux=True)
                (loss, statistics), grads = differentiate(params, statistics, now, x[rows], y[rows])
                extra = key, statistics
            else:
                loss, grads = jax.value_and_grad(loss_fn)(params, x[rows], y[rows])
            params, slots = update(params, slots, grads, network.lr)
            return params, (slots, extra), loss

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
        params = self.parameters() if self.network.regularized else self.params
        return np.asarray(self.logits(params, x))

    def parameters(self) -> Parameters:
        if not self.network.regularized:
            return [(np.asarray(weight), np.asarray(bias)) for weight, bias in self.params]
        layers, norms = self.params
        pairs = [(np.asarray(weight), np.asarray(bias)) for weight, bias in layers]
        _, (_, statistics) = self.state
        for i, (norm, running) in enumerate(zip(norms, statistics, strict=True)):
            pairs[i] = folded(*pairs[i], *(np.asarray(a) for a in (*norm, *running)))
        return pairs


class Scan(JitStep):
    """One compiled call per epoch."""

    def train_epoch(self) -> None:
        self.params, self.state, _ = jax.block_until_ready(
            self.epoch(self.params, self.state, self.x, self.y, self.batches())
        )
