"""What users write, with types: `test_types.py` checks it by mypy and runs it."""

import os
import tempfile
from typing import Any

import numpy as np
from typing_extensions import assert_type

import chainrule as cr
from chainrule import Tensor, nn, optim


class Network(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 2)])
        self.recurrent = nn.LSTM(2, width)
        self.scale: Tensor
        self.register_buffer("scale", cr.ones(2))
        nn.init.zeros_(self.layers[0].bias)
        nn.init.orthogonal_(self.recurrent.weight_hh_l0)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x * self.scale


network = Network(3)
linear = nn.Linear(2, 2)
nn.init.zeros_(linear.bias)
nn.init.ones_(nn.BatchNorm1d(2).weight)
if linear.bias is not None:
    print(linear.bias.shape)
model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.ReLU())
model[1].weight.assign([[0.5, 1], [2, 3]])
for row in cr.tensor([[1, 2.5], [True, 3]]):
    assert_type(row, Tensor)

optimizer = optim.AdamW(
    [
        {"params": nn.select_parameters(model, "weights"), "weight_decay": 0.01},
        {"params": nn.select_parameters(model, "biases")},
    ],
    lr=0.003,
)
optim.SGD(network.parameters(), lr=0.1)
optim.SGD(network.named_parameters(), lr=0.1)
optim.StepLR(optimizer, step_size=2)

w = cr.Parameter([1.0, 2.0], name="w")
loss = (w * w).sum()
grad_table = cr.backprop(loss, [w])
assert_type(grad_table["w"], Tensor)
assert_type(grad_table[w], Tensor)
assert_type(cr.grad(loss, w), Tensor)
assert_type(cr.grad(loss, {"w": w}), dict[str, Tensor])
(gradient,) = cr.grad(loss, [w])
(second,) = cr.grad(gradient.sum(), [w], retain_graph=True)
print(gradient.tolist(), second.numpy())
output = linear(cr.ones(1, 2))
found_by_torch = cr.grad(output, linear.parameters(), grad_outputs=cr.ones(1, 2), create_graph=True)
assert_type(found_by_torch, list[Tensor])


@cr.compile
def step(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum()


assert_type(step(w, w), Tensor)


class Losses(cr.Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_epoch_end(self, trainer: cr.Trainer, record: dict[str, float]) -> None:
        self.seen.append(record["loss"])


def distance(output: Tensor, target: Tensor) -> Tensor:
    return ((output - target) ** 2).mean()


class SignDescent(optim.Optimizer):
    lr = optim.Number(low=0)

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        super().__init__(params, lr=lr)

    def rule(self, W: cr.Parameter, grad: Tensor, moments: Any, h: Any) -> None:
        W.assign(W - h.lr * cr.sign(grad))


x = np.ones((8, 2), np.float32)
losses = Losses()
descent = SignDescent(network.parameters(), lr=0.1)
trainer = cr.Trainer(network, distance, descent, callbacks=[losses])
trainer.fit(x, x, epochs=2, progress=False)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.safetensors")
    cr.save(network, path)
    assert_type(cr.load(path, Network(3)), Network)


def make(lr: float, width: int) -> cr.Trainer:
    network = Network(width)
    return cr.Trainer(network, distance, optim.Adam(network.parameters(), lr))


space = {"lr": cr.Range(1e-4, 1e-1, log=True), "width": [2, 4]}
found = cr.search(make, space, x, x, trials=2, epochs=1)
print(len(found))
