"""Ten steps of training in float64: by native plans, by the reference backend, and by PyTorch."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

ROWS, BATCH, FEATURES, CLASSES = 40, 8, 4, 3


def data(shape=(FEATURES,)):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((ROWS, *shape)) * 2 + 1
    return x, rng.integers(0, CLASSES, ROWS)


def linear(rows, columns, seed=1):
    with cr.use_generator(cr.Generator(seed)):
        return nn.Linear(rows, columns, dtype="float64")


def train(model, x, y, backend="native", seed=0, epochs=2, lr=0.1):
    """Epochs of five batches, in the order of the rows; the losses are in `history`."""
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=seed, backend=backend)
    trainer.fit(x, y, epochs=epochs, batch_size=BATCH, shuffle=False, progress=False)
    return trainer


def check_training(model, theirs, x, y):
    """Ten steps give the same losses, parameters, buffers and predictions as PyTorch's."""
    torch = pytest.importorskip("torch")
    theirs = theirs.double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in model.state_dict().items()})
    same = copy.deepcopy(model)
    trainer, reference = train(model, x, y), train(same, x, y, "reference")
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for start in list(range(0, ROWS, BATCH)) * 2:
        optimizer.zero_grad()
        batch = slice(start, start + BATCH)
        loss = torch.nn.functional.cross_entropy(
            theirs(torch.tensor(x[batch])), torch.tensor(y[batch])
        )
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    wanted = [np.mean(losses[:5]), np.mean(losses[5:])]
    np.testing.assert_allclose([r["loss"] for r in trainer.history], wanted, rtol=1e-10)
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert_states_close(model.state_dict(), state, 1e-10)
    assert_states_close(model.state_dict(), same.state_dict(), 1e-11)
    predicted = theirs.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(trainer.predict(x), predicted, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(trainer.predict(x), reference.predict(x), rtol=1e-11, atol=1e-11)


def assert_states_close(found, wanted, tolerance):
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert found[name].dtype == wanted[name].dtype and found[name].shape == wanted[name].shape
        np.testing.assert_allclose(
            found[name], wanted[name], rtol=tolerance, atol=tolerance, err_msg=name
        )
