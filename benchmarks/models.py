"""The networks of `python -m benchmarks.architectures`: images, characters, sequences.

chainrule and PyTorch have the same names, so each network is written down once: it takes the
library's `nn`. `models_in_jax` has them as functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CLASSES = 10
VOCABULARY = 65
WIDTH, HEADS, BLOCKS, CONTEXT = 128, 4, 4, 64
"""Of the GPT: those that nanoGPT proposes for a CPU."""
EMBEDDED, HIDDEN = 64, 128
"""Of the LSTM: the width of its inputs and of its state."""
DECAY = 0.01
"""The weight decay of AdamW."""


def lenet(nn: Any) -> Any:
    """LeNet-5 with ReLU and maximum pooling."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, CLASSES)),
    )


def mnist(nn: Any) -> Any:
    """The network of PyTorch's MNIST example, without its dropout, which no two draw alike."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, CLASSES)),
    )


def resnet(nn: Any) -> Any:
    """Three residual blocks of 16, 32 and 64 channels."""

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
            self.first_norm = nn.BatchNorm2d(outputs)
            self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.second_norm = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU()
            self.around = nn.Identity()
            if stride != 1:
                convolution = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
                self.around = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

        def forward(self, x: Any) -> Any:
            y = self.relu(self.first_norm(self.first(x)))
            return self.relu(self.second_norm(self.second(y)) + self.around(x))

    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES)),
    )


def gpt(nn: Any) -> Any:
    """A transformer over characters: normalised before, GELU, the head tied to the table."""
    functional = nn.functional

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.ln_1 = nn.LayerNorm(WIDTH, bias=False)
            self.attend = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
            self.project = nn.Linear(WIDTH, WIDTH, bias=False)
            self.ln_2 = nn.LayerNorm(WIDTH, bias=False)
            self.widen = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
            self.narrow = nn.Linear(4 * WIDTH, WIDTH, bias=False)

        def forward(self, x: Any) -> Any:
            batch, length, width = x.shape
            packed = self.attend(self.ln_1(x)).reshape(batch, length, 3, HEADS, width // HEADS)
            q, k, v = (packed[:, :, i].swapaxes(1, 2) for i in range(3))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.project(y.swapaxes(1, 2).reshape(batch, length, width))
            return x + self.narrow(functional.gelu(self.widen(self.ln_2(x))))

    class GPT(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, WIDTH)
            self.places = nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
            self.ln = nn.LayerNorm(WIDTH, bias=False)
            self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
            self.head.weight = self.tokens.weight
            for parameter in self.parameters():
                if len(parameter.shape) > 1:
                    nn.init.normal_(parameter, 0.0, 0.02)

        def forward(self, x: Any) -> Any:
            x = self.tokens(x) + self.places.weight[: x.shape[1]]
            return self.head(self.ln(self.blocks(x)))

    return GPT()


def lstm(nn: Any) -> Any:
    """An LSTM over characters, from a table to logits for each of them."""

    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, EMBEDDED)
            self.lstm = nn.LSTM(EMBEDDED, HIDDEN, batch_first=True)
            self.head = nn.Linear(HIDDEN, VOCABULARY)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.tokens(x))[0])

    return Model()


@dataclass(frozen=True)
class Architecture:
    """A network with its setting of training.

    Attributes:
        build: takes a library's `nn`, returns the module.
        shape: of one input.
        batch: inputs in a minibatch.
        optimizer: "sgd" (momentum 0.9), "adam" or "adamw".
        lr: the learning rate.
    """

    build: Callable[[Any], Any]
    shape: tuple[int, ...]
    batch: int = 64
    optimizer: str = "sgd"
    lr: float = 0.02

    @property
    def has_images(self) -> bool:
        return len(self.shape) == 3

    def data(self, count: int) -> tuple[Any, Any]:
        """Inputs and targets that can be learned.

        Images of each class's own pattern, with as much noise, and their labels; or texts in which
        each character follows from the one before it, except for one in five, and their next ones.
        """
        random = np.random.default_rng(1)
        if self.has_images:
            patterns = random.standard_normal((CLASSES, *self.shape), np.float32)
            y = random.integers(0, CLASSES, count)
            return patterns[y] + random.standard_normal((count, *self.shape), np.float32), y
        follower = random.permutation(VOCABULARY)
        text = random.integers(0, VOCABULARY, (count, self.shape[0] + 1))
        chance = random.random(text.shape) < 0.2
        for place in range(1, text.shape[1]):
            follows = follower[text[:, place - 1]]
            text[:, place] = np.where(chance[:, place], text[:, place], follows)
        return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])

    def flops(self, model: Any) -> int:
        """Of a training step of chainrule's `model`: 2 for each weight and each place of its use.

        Three times that, as the gradients of weights and of inputs cost as much as the outputs; the
        first layer over images needs no gradient of its input. Attention counts half of its two
        products, those of queries with keys before them.
        """
        found: list[int] = []

        def count(module: Any, inputs: Any, output: Any) -> None:
            found.append(2 * output.size * math.prod(module.weight.shape[1:]))

        weighted = [m for m in model.modules() if getattr(m, "weight", None) is not None]
        tables = [m for m in weighted if type(m).__name__ == "Embedding"]
        products = [m for m in weighted if m.weight.ndim > 1 and m not in tables]
        hooks = [module.register_forward_hook(count) for module in products]
        model(self.data(1)[0])
        for hook in hooks:
            hook.remove()
        forward = sum(found)
        if self.build is lstm:
            forward += 2 * self.shape[0] * 4 * HIDDEN * (EMBEDDED + HIDDEN)
        if self.build is gpt:
            forward += BLOCKS * 2 * self.shape[0] ** 2 * WIDTH
        return self.batch * (3 * forward - self.has_images * found[0])


ARCHITECTURES = {
    "lenet": Architecture(lenet, (1, 28, 28)),
    "mnist": Architecture(mnist, (1, 28, 28)),
    "resnet": Architecture(resnet, (3, 32, 32)),
    "gpt": Architecture(gpt, (CONTEXT,), batch=12, optimizer="adamw", lr=1e-3),
    "lstm": Architecture(lstm, (64,), batch=32, optimizer="adam", lr=1e-3),
}
