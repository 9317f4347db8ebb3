"""A training on several threads, for `make tsan`: ends with 0 if no race was reported."""

import numpy as np

import chainrule as cr
from chainrule import nn, optim


def main() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((4096, 256), dtype="float32")
    y = random.integers(0, 10, 4096)
    losses = []
    for threads in (1, 4):
        cr.set_num_threads(threads)
        cr.manual_seed(0)
        layers = [
            nn.Linear(256, 512),
            nn.ReLU(),
            nn.Linear(512, 512),
            nn.Tanh(),
            nn.Linear(512, 10),
        ]
        model = nn.Sequential(*layers)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
        trainer.fit(x, y, epochs=2, batch_size=256)
        trainer.fit(x, y, epochs=1, batch_size=1024)  # gradients of weights are added in halves
        losses.append(trainer.evaluate(x, y)["loss"])
    assert losses[0] == losses[1], losses


if __name__ == "__main__":
    main()
