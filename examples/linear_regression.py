"""Linear regression by gradient descent, which reaches the least-squares solution.

Run: python examples/linear_regression.py
"""

import numpy as np

import chainrule as cr
from chainrule import nn, optim


def main() -> dict[str, float]:
    rng = np.random.default_rng(0)
    x = rng.normal([50.0, 3.0, -20.0], [10.0, 1.0, 0.1], (200, 3))
    y = x @ [[0.3], [-2.0], [5.0]] + 7.0 + rng.normal(0, 0.5, (200, 1))

    cr.manual_seed(0)
    # The columns have very different scales; with whitened ones the loss is a round bowl.
    model = nn.Sequential(nn.Whiten(3, dtype="float64").fit(x), nn.Linear(3, 1, dtype="float64"))
    optimizer = optim.SGD(model.parameters(), lr=0.4)
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer)
    history = trainer.fit(x, y, epochs=100, batch_size=len(x), progress=False)

    ones = np.ones((len(x), 1))
    solution, *_ = np.linalg.lstsq(np.hstack([x, ones]), y, rcond=None)
    closed_form = np.hstack([x, ones]) @ solution
    predicted = trainer.predict(x)
    gap = float(np.abs(predicted - closed_form).max())
    best = float(np.square(closed_form - y).mean())
    print(
        f"mean squared error {history['loss'][0]:.4f} at first, {history['loss'][-1]:.6f} at last"
    )
    print(f"least squares (closed form)                {best:.6f}")
    print(f"largest difference of the predictions      {gap:.1e}")
    return {"gap": gap, "loss": history["loss"][-1], "least_squares": best}


if __name__ == "__main__":
    main()
