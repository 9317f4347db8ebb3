"""The Trainer: what it leaves as it was, and that it finds the known solution."""

import numpy as np
import pytest
from training_cases import (
    Counter,
    Noise,
    assert_close,
    assert_same_bits,
    classification,
    everything,
    fit,
    network,
    noisy_network,
    regression,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")


def test_evaluating_and_predicting_change_nothing_and_use_evaluation_mode():
    x, y = classification(30)
    model = noisy_network()
    trainer = trainer_of(model, metrics=["accuracy"])
    fit(trainer, x, y)
    model.train()
    model[1].eval()
    before = everything(trainer)
    modes = [module.training for module in model.modules()]
    outputs, results = trainer.predict(x), trainer.evaluate(x, y)
    assert [module.training for module in model.modules()] == modes
    assert_same_bits(everything(trainer), before)
    np.testing.assert_array_equal(trainer.predict(x), outputs)
    assert trainer.evaluate(x, y) == results
    wanted = model.eval()(cr.tensor(x)).numpy()
    np.testing.assert_allclose(outputs, wanted, rtol=1e-12)
    assert results["accuracy"] == np.mean(wanted.argmax(1) == y)
    # Training uses training mode, whatever the modes are: the buffer moves.
    buffer = model[3].mean.numpy().copy()
    fit(trainer, x, y, epochs=1)
    assert (model[3].mean.numpy() != buffer).all()
    assert not any(module.training for module in model.modules())


def test_random_numbers_in_evaluation_are_others_each_time():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + cr.normal(x.shape, x.dtype)

    x, y = classification(30)
    found = []
    for backend in ("native", "reference"):
        model = nn.Sequential(*network(), Noisy())
        trainer = trainer_of(model, seed=4, backend=backend)
        losses = [trainer.evaluate(x, y)["loss"] for _ in range(2)]
        assert losses[0] != losses[1]
        found.append([*losses, trainer.predict(x).sum()])
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_evaluating_between_fits_does_not_change_training():
    x, y = classification(30)
    found = []
    for evaluating in (False, True):
        trainer = trainer_of(noisy_network())
        for _ in range(3):
            fit(trainer, x, y, epochs=1)
            if evaluating:
                trainer.evaluate(x, y)
                trainer.predict(x[:3])
        found.append(weights(trainer.model))
    assert_same_bits(*found)


def test_one_seed_gives_one_sequence_of_bits():
    x, y = classification(30)

    def trained(seed, fits=(4,)):
        cr.manual_seed(np.random.randint(1000))  # the default generator has no part in it
        trainer = trainer_of(noisy_network(), seed=seed)
        for epochs in fits:
            fit(trainer, x, y, epochs=epochs)
        return weights(trainer.model)

    assert_same_bits(trained(0), trained(0))
    assert_same_bits(trained(0), trained(0, fits=(1, 2, 1)))
    assert any((a != trained(1)[name]).any() for name, a in trained(0).items())


def test_every_epoch_visits_each_row_once_in_an_order_of_its_own():
    x = np.arange(20, dtype="float64").reshape(-1, 1)
    seen = []

    class Look(nn.Module):
        """Learns nothing, and keeps the rows of the last batch in a buffer."""

        def __init__(self):
            super().__init__()
            self.weight = cr.Parameter(np.zeros(1))
            self.rows = cr.Buffer(np.zeros((5, 1)))

        def forward(self, x):
            if self.training:
                self.rows.assign(x * 1.0)
            return x * self.weight

    class Watch(cr.Callback):
        def on_step_end(self, trainer, loss):
            seen.extend(trainer.model.rows.numpy().ravel().astype(int).tolist())

    for shuffle in (True, False):
        seen.clear()
        trainer = trainer_of(Look(), nn.MSELoss(), callbacks=[Watch()])
        fit(trainer, x, x, batch_size=5, shuffle=shuffle)
        first, second = seen[:20], seen[20:]
        assert sorted(first) == sorted(second) == list(range(20))
        assert (first == list(range(20))) == (not shuffle)
        assert (first == second) == (not shuffle)


def test_the_data_are_left_alone():
    x, y = classification(30)
    copies = x.copy(), y.copy()
    x.setflags(write=False)
    y.setflags(write=False)
    trainer = trainer_of(noisy_network())
    fit(trainer, x, y, validation_fraction=0.2)
    trainer.predict(x)
    np.testing.assert_array_equal(x, copies[0])
    np.testing.assert_array_equal(y, copies[1])


def test_gradient_descent_finds_the_least_squares_solution():
    """The whole machine against the normal equations."""
    x, y = regression(40, targets=2)
    y += np.random.default_rng(9).standard_normal(y.shape)
    model = nn.Linear(4, 2, dtype="float64")
    trainer = trainer_of(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.3, momentum=0.5))
    fit(trainer, x, y, epochs=400, batch_size=40)
    wanted = np.linalg.lstsq(np.hstack([x, np.ones((40, 1))]), y, rcond=None)[0]
    assert_close(
        {"weight": model.weight.numpy(), "bias": model.bias.numpy()},
        {"weight": wanted[:-1].T, "bias": wanted[-1]},
        1e-9,
    )


def test_layers_with_state_need_nothing_special():
    """The helpers of these tests do what they say."""
    layer = Counter(2)
    layer(cr.tensor([[1.0, 3.0]], dtype="float64"))
    np.testing.assert_allclose(layer.mean.numpy(), [0.1, 0.3])
    ones = Noise(0.5)(cr.tensor(np.ones(1000)))
    assert set(ones.numpy()) == {0.0, 2.0}


def test_a_model_that_differentiates_itself_predicts_what_it_has_learned():
    """As a network for an equation of physics, whose loss has derivatives by the inputs."""

    class Slope(nn.Module):
        def __init__(self):
            super().__init__()
            self.height = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

        def forward(self, x):
            return cr.grad(self.height(x).sum(), x) + x

    model, x = Slope(), np.random.default_rng(0).standard_normal((20, 2)).astype("f4")
    trainer = trainer_of(model, nn.MSELoss())
    fit(trainer, x, 2.0 * x)
    wanted = model(cr.tensor(x, requires_grad=True)).numpy()
    assert abs(wanted - x).max() > 0.01
    np.testing.assert_allclose(trainer.predict(x), wanted, rtol=1e-5, atol=1e-6)
    loss = np.square(wanted - 2.0 * x).mean()
    assert trainer.evaluate(x, 2.0 * x)["loss"] == pytest.approx(loss, rel=1e-5)
