"""The networks of `models` as functions of JAX, over weights by the names of PyTorch's modules."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import models
from benchmarks.networks import BATCH_NORM_MOMENTUM, EPSILON
from benchmarks.with_jax import cross_entropy, sgd

Weights = dict[str, jax.Array]


def conv(w: Weights, name: str, x: jax.Array, stride: int = 1, padding: int = 0) -> jax.Array:
    """Images are (N, H, W, C), the faster layout for XLA on CPUs; the weight is PyTorch's."""
    y = jax.lax.conv_general_dilated(
        x,
        w[f"{name}.weight"],
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "OIHW", "NHWC"),
    )
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def max_pool(x: jax.Array) -> jax.Array:
    window = (1, 2, 2, 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")


def linear(w: Weights, name: str, x: jax.Array) -> jax.Array:
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def flat(x: jax.Array) -> jax.Array:
    """Rows in the order of (C, H, W), which the weights of the next layer expect."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def lenet(w: Weights, x: jax.Array, training: bool) -> tuple[jax.Array, Weights]:
    x = max_pool(jax.nn.relu(conv(w, "0", x, padding=2)))
    x = flat(max_pool(jax.nn.relu(conv(w, "3", x))))
    for name in ("7", "9"):
        x = jax.nn.relu(linear(w, name, x))
    return linear(w, "11", x), {}


def mnist(w: Weights, x: jax.Array, training: bool) -> tuple[jax.Array, Weights]:
    x = jax.nn.relu(conv(w, "2", jax.nn.relu(conv(w, "0", x))))
    return linear(w, "8", jax.nn.relu(linear(w, "6", flat(max_pool(x))))), {}


def resnet(w: Weights, x: jax.Array, training: bool) -> tuple[jax.Array, Weights]:
    new: Weights = {}

    def norm(name: str, x: jax.Array) -> jax.Array:
        mean, variance = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        if training:
            mu, sigma2 = x.mean((0, 1, 2)), x.var((0, 1, 2))
            count = x.size // x.shape[-1]
            unbiased = sigma2 * (count / (count - 1))
            new[f"{name}.running_mean"] = mean + BATCH_NORM_MOMENTUM * (mu - mean)
            new[f"{name}.running_var"] = variance + BATCH_NORM_MOMENTUM * (unbiased - variance)
            mean, variance = mu, sigma2
        scale = jax.lax.rsqrt(variance + EPSILON) * w[f"{name}.weight"]
        return (x - mean) * scale + w[f"{name}.bias"]

    x = jax.nn.relu(norm("1", conv(w, "0", x, padding=1)))
    for name, stride in (("3", 1), ("4", 2), ("5", 2)):
        y = jax.nn.relu(norm(f"{name}.first_norm", conv(w, f"{name}.first", x, stride, 1)))
        y = norm(f"{name}.second_norm", conv(w, f"{name}.second", y, 1, 1))
        if stride != 1:
            x = norm(f"{name}.around.1", conv(w, f"{name}.around.0", x, stride))
        x = jax.nn.relu(y + x)
    return linear(w, "8", x.mean((1, 2))), new


def gpt(w: Weights, x: jax.Array, training: bool) -> tuple[jax.Array, Weights]:
    def norm(name: str, x: jax.Array) -> jax.Array:
        centred = x - x.mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt(x.var(-1, keepdims=True) + EPSILON) * w[f"{name}.weight"]

    x = w["tokens.weight"][x] + w["places.weight"][: x.shape[1]]
    for i in range(models.BLOCKS):
        name = f"blocks.{i}"
        packed = linear(w, f"{name}.attend", norm(f"{name}.ln_1", x))
        q, k, v = jnp.moveaxis(packed.reshape(*x.shape[:2], 3, models.HEADS, -1), 2, 0)
        y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(w, f"{name}.project", y.reshape(x.shape))
        hidden = jax.nn.gelu(linear(w, f"{name}.widen", norm(f"{name}.ln_2", x)), approximate=False)
        x = x + linear(w, f"{name}.narrow", hidden)
    return norm("ln", x) @ w["tokens.weight"].T, {}


def lstm(w: Weights, x: jax.Array, training: bool) -> tuple[jax.Array, Weights]:
    bias = w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"]
    inputs = w["tokens.weight"][x.T] @ w["lstm.weight_ih_l0"].T + bias

    def step(state: Any, z: jax.Array) -> Any:
        h, c = state
        i, f, g, o = jnp.split(z + h @ w["lstm.weight_hh_l0"].T, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((len(x), models.HIDDEN))
    _, states = jax.lax.scan(step, (zeros, zeros), inputs)
    return linear(w, "head", states.swapaxes(0, 1)), {}


def adam(decay: float, params: Any, state: Any, grads: Any, lr: float) -> tuple[Any, Any]:
    """Adam with beta 0.9 and 0.999, and decoupled weight decay (AdamW)."""
    m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    rate, correction = lr / (1 - 0.9**t), 1 / (1 - 0.999**t)
    params = jax.tree.map(
        lambda p, m, v: p * (1 - lr * decay) - rate * m / (jnp.sqrt(v * correction) + 1e-8),
        params,
        m,
        v,
    )
    return params, (m, v, t)


FUNCTIONS = {"lenet": lenet, "mnist": mnist, "resnet": resnet, "gpt": gpt, "lstm": lstm}
"""By name: of the weights, the inputs and whether it trains; the outputs and new statistics."""


class WithJax:
    """One compiled step per minibatch, which gathers its rows; the arrays are donated."""

    def __init__(self, name: str, x: Any, y: Any) -> None:
        architecture, function = models.ARCHITECTURES[name], FUNCTIONS[name]
        self.batch, self.has_images = architecture.batch, architecture.has_images
        self.x, self.y = jnp.asarray(self._inputs(x)), jnp.asarray(y, jnp.int32)
        self.random = np.random.default_rng(0)
        self.buffers: Weights = {}
        self.adam = architecture.optimizer != "sgd"
        decay = models.DECAY if architecture.optimizer == "adamw" else 0.0
        update = partial(adam, decay) if self.adam else sgd

        def loss(params: Weights, buffers: Weights, x: Any, y: Any) -> tuple[jax.Array, Weights]:
            logits, new = function(params | buffers, x, True)
            return cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1)), new

        def step(params: Any, buffers: Any, slots: Any, x: Any, y: Any, rows: Any) -> Any:
            grads, new = jax.grad(loss, has_aux=True)(params, buffers, x[rows], y[rows])
            params, slots = update(params, slots, grads, architecture.lr)
            return params, buffers | new, slots

        self.step = jax.jit(step, donate_argnums=(0, 1, 2))
        self.outputs = jax.jit(lambda weights, x: function(weights, x, False)[0])

    def _inputs(self, x: Any) -> Any:
        return x.transpose(0, 2, 3, 1) if self.has_images else x

    def load(self, weights: dict[str, Any]) -> None:
        """Start from `weights`; those of batch normalisation's statistics are not trained."""
        running = ("running_mean", "running_var", "num_batches_tracked")
        kept = {name: jnp.array(w) for name, w in weights.items() if name != "head.weight"}
        if "head.bias" in weights:
            kept["head.weight"] = jnp.array(weights["head.weight"])
        self.buffers = {name: w for name, w in kept.items() if name.endswith(running)}
        self.params = {name: w for name, w in kept.items() if name not in self.buffers}
        zeros = partial(jax.tree.map, jnp.zeros_like)
        first = zeros(self.params)
        self.slots = (first, zeros(self.params), jnp.zeros(())) if self.adam else first

    def train_epoch(self) -> None:
        state = self.params, self.buffers, self.slots
        for rows in self.random.permutation(len(self.x)).astype(np.int32).reshape(-1, self.batch):
            state = self.step(*state, self.x, self.y, rows)
        self.params, self.buffers, self.slots = jax.block_until_ready(state)

    def predict(self, x: Any) -> Any:
        return np.asarray(self.outputs(self.params | self.buffers, self._inputs(x)))
