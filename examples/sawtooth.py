"""The number of linear pieces grows exponentially with depth, with two neurons per layer.

The tent map 2 relu(x) - 4 relu(x - 1/2) rises from 0 to 1 and falls back to 0 on [0, 1]. Composed k
times it has 2^k linear pieces, with 2 k neurons. A single hidden layer with as many neurons has at
most 2 k + 1.

Source: Telgarsky, "Representation benefits of deep feedforward networks", 2015.

Run: python examples/sawtooth.py
"""

import numpy as np

import chainrule as cr
from chainrule import nn


def sawtooth(depth: int) -> nn.Sequential:
    """The tent map composed `depth` times, as a network with two neurons in each hidden layer."""
    layers: list[nn.Module] = []
    for level in range(depth):
        first = nn.Linear(2 if level else 1, 2)  # (t, t - 1/2) for the tent t of the level below
        first.weight.assign(np.array([[2, -4], [2, -4]] if level else [[1], [1]], "f"))
        first.bias.assign(np.array([0, -0.5], "f"))
        layers += [first, nn.ReLU()]
    last = nn.Linear(2, 1, bias=False)
    last.weight.assign(np.array([[2, -4]], "f"))
    return nn.Sequential(*layers, last)


def main(depths: range = range(1, 9)) -> list[tuple[int, int, int]]:
    print("neurons   pieces deep   pieces of one hidden layer (at most)")
    rows = []
    for depth in depths:
        neurons = 2 * depth
        cr.manual_seed(depth)
        wide = nn.Sequential(nn.Linear(1, neurons), nn.ReLU(), nn.Linear(neurons, 1))
        deep = cr.inspect.linear_pieces(sawtooth(depth), [0.0], [1.0]).count
        shallow = cr.inspect.linear_pieces(wide, [-5.0], [5.0]).count
        print(f"{neurons:>7}   {deep:>11}   {shallow:>5} ({neurons + 1})")
        rows.append((neurons, deep, shallow))
    return rows


if __name__ == "__main__":
    main()
