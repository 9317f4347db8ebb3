"""The time of a forward pass is linear in edges + nodes: measurements, and a fitted line.

Run: python examples/cost_is_linear.py
"""

import time

import numpy as np

import chainrule as cr
from chainrule import nn, optim

ROWS = 256


def size_and_seconds(width: int, repetitions: int) -> tuple[float, float]:
    """(edges + nodes, seconds of a forward pass for one row) of a network of this width."""
    model = nn.Sequential(
        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )
    found = cr.summary(model, (width,), batch_size=ROWS)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    x = np.random.default_rng(0).standard_normal((ROWS, width)).astype(np.float32)
    trainer.predict(x, batch_size=ROWS)  # the first call compiles the plan
    best = float("inf")
    for _ in range(repetitions):
        start = time.perf_counter()
        trainer.predict(x, batch_size=ROWS)
        best = min(best, time.perf_counter() - start)
    return found.edges + found.nodes, best / ROWS


def main(widths: tuple[int, ...] = (128, 256, 512, 768, 1024), repetitions: int = 20) -> dict:
    measured = [size_and_seconds(width, repetitions) for width in widths]
    sizes, seconds = np.array(measured).T
    slope, intercept = np.polyfit(sizes, seconds, 1)
    residual = seconds - (intercept + slope * sizes)
    r2 = 1 - np.square(residual).sum() / np.square(seconds - seconds.mean()).sum()
    print("edges + nodes   us a row   fitted line")
    for size, spent in measured:
        print(f"{size:>13,}   {spent * 1e6:>8.3f}   {(intercept + slope * size) * 1e6:>11.3f}")
    print(f"{slope * 1e9:.4f} ns per edge or node, R^2 = {r2:.4f}")
    return {"sizes": sizes, "seconds": seconds, "slope": slope, "r2": r2}


if __name__ == "__main__":
    main()
