"""Where a training natively and by the reference differ, it is rounding, amplified by the rule."""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.GELU, nn.Sigmoid, nn.SiLU, nn.Softplus]
RULES = {
    "SGD": lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.05),
}


def trained(rule, seed, backend, *, moved=False):
    """The parameters of a random model in float32 after two epochs.

    With `moved` each of them began one unit of rounding higher or lower.
    """
    rng = np.random.default_rng(seed)
    widths = [5, *rng.integers(3, 24, rng.integers(1, 4)).tolist()]
    layers = []
    for n, m in itertools.pairwise(widths):
        layers += [nn.Linear(n, m), nn.LayerNorm(m), ACTIVATIONS[rng.integers(6)]()]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], 3))
    for parameter in model.parameters():
        value = rng.normal(size=parameter.shape).astype("float32") / 2
        if moved:
            value = np.nextafter(value, rng.choice([-9, 9], value.shape).astype("float32"))
        else:
            rng.choice([-9, 9], value.shape)
        parameter.assign(value)
    x, y = rng.normal(size=(80, 5)).astype("float32"), rng.integers(0, 3, 80)
    optimizer = RULES[rule](model.parameters())
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, backend=backend, seed=seed)
    trainer.fit(x, y, epochs=2, batch_size=16, progress=False)
    return np.concatenate([p.numpy().ravel() for p in model.parameters()])


@pytest.mark.parametrize("rule", RULES)
def test_two_ways_differ_no_more_than_two_roundings(rule):
    """A gradient that cancels out is a rounding error, which adaptive rules make a whole step."""
    apart, by_rounding = [], []
    for seed in range(8):
        reference = trained(rule, seed, "reference")
        apart.append(np.abs(trained(rule, seed, "native") - reference).max())
        moved = trained(rule, seed, "reference", moved=True)
        by_rounding.append(np.abs(moved - reference).max())
    if rule == "SGD":
        assert max(apart) < 1e-5
    # One case may meet a cancellation that the other does not: they are compared together.
    assert np.exp(np.mean(np.log(apart))) < 3 * np.exp(np.mean(np.log(by_rounding)))
    assert max(apart) < 10 * max(by_rounding)
