"""Batches that a training step changes, inputs and targets together; evaluation does not."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((8, 4)), RNG.integers(0, 3, 8)


def trainer(augmentation=None, backend="native", loss=None, outputs=3, lr=0.1):
    cr.manual_seed(1)
    model = nn.Linear(4, outputs, dtype="float64")
    return cr.Trainer(
        model,
        loss or nn.CrossEntropyLoss(),
        optim.SGD(model.parameters(), lr=lr),
        metrics=["accuracy"] if outputs > 1 else [],
        augmentation=augmentation,
        seed=5,
        backend=backend,
    )


def fitted(made, y=LABELS, epochs=1, batch_size=8):
    history = made.fit(X, y, epochs=epochs, batch_size=batch_size, shuffle=False, progress=False)
    return list(history)[-1]


def cross_entropy(model, x, probabilities):
    z = x @ model.weight.numpy().T + model.bias.numpy()
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -(probabilities * log_p).sum(axis=1).mean(), z


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_step_is_the_formulas(backend):
    made = trainer(nn.MixUp(num_classes=3), backend)
    share = cr.Generator(5).uniform((), "float64").item()
    mixed, targets = (
        share * a + (1 - share) * np.roll(a, 1, axis=0) for a in (X, np.eye(3)[LABELS])
    )
    wanted, z = cross_entropy(made.model, mixed, targets)
    record = fitted(made)
    assert record["loss"] == pytest.approx(wanted, rel=1e-12)
    assert record["accuracy"] == (z.argmax(axis=1) == LABELS).mean()  # with the labels as given
    wanted, z = cross_entropy(made.model, X, np.eye(3)[LABELS])
    found = made.evaluate(X, LABELS)
    assert found["loss"] == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(made.predict(X), z, rtol=1e-12)


def test_both_backends_train_alike_and_every_run_too():
    states = []
    for backend in ("native", "native", "reference"):
        made = trainer(nn.MixUp(0.3, num_classes=3), backend)
        fitted(made, epochs=3, batch_size=3)
        states.append(made.model.weight.numpy())
    assert (states[0] == states[1]).all()
    np.testing.assert_allclose(states[0], states[2], rtol=1e-12)


def test_targets_are_fitted_to_the_outputs():
    y = RNG.standard_normal(8)
    losses = [
        fitted(trainer(a, loss=nn.MSELoss(), outputs=1), y)["loss"]
        for a in (None, lambda x, y: (x, y), lambda x, y: (x, y + 1.0))
    ]
    model = trainer(outputs=1).model
    z = (X @ model.weight.numpy().T + model.bias.numpy())[:, 0]
    wanted = [((z - y) ** 2).mean(), ((z - y) ** 2).mean(), ((z - y - 1) ** 2).mean()]
    np.testing.assert_allclose(losses, wanted, rtol=1e-12)


def test_other_augmentations_are_other_steps():
    alone = [fitted(trainer(nn.MixUp(a, num_classes=3)))["loss"] for a in (1.0, 0.2, 1.0)]
    assert alone[0] == alone[2] != alone[1]
    made = trainer(nn.MixUp(1.0, num_classes=3), lr=0.0)
    first = fitted(made)["loss"]
    assert fitted(copy.deepcopy(made))["loss"] != first  # the next number is drawn


def test_a_checkpoint_knows_its_augmentation(tmp_path):
    path = tmp_path / "a.safetensors"
    made = trainer(nn.MixUp(0.2, num_classes=3))
    fitted(made)
    made.save(path)
    for other in (nn.MixUp(0.3, num_classes=3), None):
        with pytest.raises(ValueError, match="augmentation"):
            trainer(other).load(path)
    trainer(nn.MixUp(0.2, num_classes=3)).load(path)


@pytest.mark.parametrize(
    ("augmentation", "error", "words"),
    [
        (nn.MixUp, TypeError, r"give an object of it"),
        (3, TypeError, r"function \(inputs, targets\)"),
        (lambda x, y: x, TypeError, r"returns inputs and targets, \(x, y\); got Tensor"),
        (nn.MixUp(), ValueError, "give num_classes"),
        (nn.CutMix(num_classes=3), ValueError, r"\(N, C, H, W\)"),
    ],
)
def test_what_does_not_fit_is_refused(augmentation, error, words):
    with pytest.raises(error, match=words):
        fitted(trainer(augmentation))


def test_it_can_not_be_set_afterwards():
    with pytest.raises(AttributeError, match="make another Trainer"):
        trainer().augmentation = nn.MixUp()
