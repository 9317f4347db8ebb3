"""Outputs drawn at random: which layers take part, from which seed, and what stays as it was."""

import numpy as np
import pytest
from training_cases import (
    Average,
    Counter,
    Noise,
    assert_same_bits,
    classification,
    network,
    noisy_network,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn

pytestmark = pytest.mark.usefixtures("backend")


def made(model=None, **options):
    trainer = trainer_of(model or noisy_network(), **options)
    trainer.fit(*classification(30), epochs=2, batch_size=8, progress=False)
    return trainer


def test_samples_are_drawn_and_their_mean_is_that_of_dropout():
    """Without a non-linearity after it the mean over masks is the prediction."""
    x, _ = classification(30)
    trainer = made(nn.Sequential(network(), Noise(0.4)))
    samples = trainer.predict_samples(x, samples=3000, batch_size=30)
    outputs = trainer.predict(x)
    assert samples.shape == (3000, 30, 3) and samples.dtype == outputs.dtype
    zeros = samples == 0
    assert abs(zeros.mean() - 0.4) < 0.005
    np.testing.assert_allclose(samples[~zeros], (samples * 0 + outputs / 0.6)[~zeros], rtol=1e-12)
    assert len(np.unique(zeros.reshape(3000, -1), axis=0)) == 3000
    error = np.abs(samples.mean(axis=0) - outputs) / np.abs(outputs)
    assert error.max() < 5 * np.sqrt(0.4 / 0.6 / 3000)


def test_the_same_seed_gives_the_same_samples_and_training_is_left_alone():
    x, _ = classification(30)
    trainer, other = made(seed=4), made(seed=4)
    before = weights(trainer.model)
    first = trainer.predict_samples(x, samples=5, batch_size=7)
    np.testing.assert_array_equal(trainer.predict_samples(x, samples=5, batch_size=7), first)
    np.testing.assert_array_equal(
        trainer.predict_samples(x, samples=5, batch_size=7, seed=4), first
    )
    np.testing.assert_array_equal(other.predict_samples(x, samples=2, batch_size=7), first[:2])
    assert (trainer.predict_samples(x, samples=5, batch_size=7, seed=5) != first).any()
    assert_same_bits(weights(trainer.model), before)
    for one in (trainer, other):
        one.predict(x)
    other = made(seed=4)  # that never sampled
    for one in (trainer, other):
        one.fit(*classification(30), epochs=1, batch_size=8, progress=False)
    assert_same_bits(weights(trainer.model), weights(other.model))


def test_all_other_layers_are_in_evaluation_mode():
    """The counter's buffer stays, and modes are put back."""
    x, _ = classification(30)
    model = noisy_network()
    trainer = made(model)
    model.train()
    modes = [module.training for module in model.modules()]
    mean = model[3].mean.numpy().copy()
    trainer.predict_samples(x, samples=3)
    np.testing.assert_array_equal(model[3].mean.numpy(), mean)
    assert [module.training for module in model.modules()] == modes

    class Shift(Counter):
        """Differs between the modes in what it gives, too."""

        def forward(self, x):
            return x + 100.0 if self.training else x

    samples = made(nn.Sequential(network(), Noise(), Shift(3))).predict_samples(x, samples=3)
    assert np.abs(samples).max() < 50


def test_several_inputs_and_outputs():
    x, y = classification(30)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.noise = network(), Noise()

        def forward(self, a, b):
            return {"sum": self.noise(self.net(a + b)), "plain": self.net(a)}

    trainer = trainer_of(Both(), lambda o, t: nn.CrossEntropyLoss()(o["sum"], t))
    trainer.fit((x, x), y, epochs=1, batch_size=8, progress=False)
    found = trainer.predict_samples((x, x), samples=4, batch_size=11)
    assert found["sum"].shape == found["plain"].shape == (4, 30, 3)
    assert (found["sum"][0] != found["sum"][1]).any()
    np.testing.assert_array_equal(found["plain"][0], found["plain"][3])


def test_samples_are_of_the_averaged_weights():
    x, _ = classification(30)
    model = noisy_network()
    trainer = made(model, ema=Average(model.parameters(), 0.99))
    averaged = trainer.predict_samples(x, samples=2)
    with trainer.ema.applied():
        alone = trainer_of(model)
        np.testing.assert_array_equal(alone.predict_samples(x, samples=2), averaged)
    assert (trainer_of(model).predict_samples(x, samples=2) != averaged).any()


def test_the_backends_draw_the_same():
    x, _ = classification(30)
    model = noisy_network()
    native, reference = (
        trainer_of(model, backend=name).predict_samples(x, samples=3, batch_size=7)
        for name in ("native", "reference")
    )
    np.testing.assert_allclose(native, reference, rtol=1e-12)


def test_bad_arguments():
    x, _ = classification(30)
    with pytest.raises(ValueError, match=r"no stochastic layer.*is_stochastic = True"):
        trainer_of(network()).predict_samples(x)
    trainer = trainer_of(noisy_network())
    for options, error in (
        ({"samples": 0}, ValueError),
        ({"samples": 2.5}, TypeError),
        ({"batch_size": 0}, ValueError),
        ({"seed": -1}, ValueError),
    ):
        with pytest.raises(error, match=next(iter(options))):
            trainer.predict_samples(x, **options)
    with pytest.raises(cr.ShapeError):
        trainer.predict_samples(x[:, :2])
