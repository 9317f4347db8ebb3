"""Softmax regression on handwritten digits, with scikit-learn's penalty on the weights.

The objective is the mean cross-entropy + penalty / 2 * sum of squared weights, without the biases.
Scikit-learn minimises the same times the number of rows, with C = 1 / (penalty * rows).

Run: python examples/logistic_regression.py
"""

import numpy as np

import chainrule as cr
from chainrule import nn, optim

PENALTY = 0.02


def main() -> dict[str, object]:
    digits = cr.data.datasets.digits()
    x, y = digits.x_train.reshape(-1, 64).astype("float64"), digits.y_train
    cr.manual_seed(0)
    model = nn.Linear(64, 10, dtype="float64")
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = optim.SGD(
        [
            {"params": [model.weight], "weight_decay": PENALTY},
            {"params": [model.bias], "weight_decay": 0.0},
        ],
        lr=0.6,
        momentum=0.9,
        nesterov=True,
    )
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
    trainer.fit(x, y, epochs=400, batch_size=len(x), progress=False)
    found = trainer.evaluate(x, y)
    weight = model.weight.numpy()
    objective = found["loss"] + PENALTY / 2 * float(np.square(weight).sum())
    print(f"objective {objective:.6f}, accuracy {found['accuracy']:.2%}")
    return {
        "objective": objective,
        "weight": weight,
        "accuracy": found["accuracy"],
        "x": x,
        "y": y,
    }


if __name__ == "__main__":
    main()
