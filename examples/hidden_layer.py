"""A hidden layer's benefit: handwritten digits with and without one, tested on held-out rows.

Run: python examples/hidden_layer.py
"""

import chainrule as cr
from chainrule import nn, optim


def main() -> dict[str, float]:
    digits = cr.data.datasets.digits()
    x, y = digits.x_train.reshape(-1, 64), digits.y_train
    x_test, y_test = digits.x_test.reshape(-1, 64), digits.y_test
    accuracy = {}
    for name, hidden in [("linear", []), ("hidden layer", [64])]:
        cr.manual_seed(0)
        layers, width = [nn.Center(64).fit(x)], 64
        for neurons in hidden:
            layers += [nn.Linear(width, neurons), nn.ReLU()]
            width = neurons
        model = nn.Sequential(*layers, nn.Linear(width, 10))
        optimizer = optim.Adam(model.parameters(), lr=0.003)
        trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
        trainer.fit(x, y, epochs=40, batch_size=32, progress=False)
        accuracy[name] = trainer.evaluate(x_test, y_test)["accuracy"]
        parameters = cr.summary(model, (64,)).parameters
        print(f"{name:<13} {parameters:>6,} parameters, accuracy on new rows {accuracy[name]:.2%}")
    return accuracy


if __name__ == "__main__":
    main()
