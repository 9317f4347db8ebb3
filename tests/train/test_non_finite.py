"""Numbers that are not finite: training stops, and keeps the last good weights."""

import re

import numpy as np
import pytest
from training_cases import (
    Noise,
    assert_same_bits,
    classification,
    everything,
    fit,
    network,
    regression,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim
from chainrule.train.backends import last_good

pytestmark = pytest.mark.usefixtures("backend")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_becomes_infinite_stops_with_the_weights_of_before(accumulate):
    x, y = regression(32)
    with cr.use_generator(cr.Generator(3)):
        model = nn.Sequential(nn.Linear(4, 8, dtype="float64"), nn.Linear(8, 1, dtype="float64"))
    seen, start = [], weights(model)

    class Keep(cr.Callback):
        def on_step_end(self, trainer, loss):
            seen.append(everything(trainer))

    trainer = trainer_of(
        model,
        nn.MSELoss(),
        optim.SGD(model.parameters(), lr=20.0, momentum=0.9),
        callbacks=[Keep()],
        accumulate=accumulate,
    )
    with pytest.raises(cr.NonFiniteError) as caught:
        fit(trainer, x, y, epochs=100)
    text = str(caught.value)
    found = re.search(r"epoch (\d+), step (\d+): loss (\S+), first in (\w+)", text)
    assert found, text
    assert int(found[1]) == trainer.epoch + 1 and int(found[2]) == trainer.step + 1
    assert "learning rate" in text and "clip_norm" in text
    assert all(np.isfinite(array).all() for array in weights(model).values())
    assert_same_bits(everything(trainer), seen[-1])
    # The model is usable, and from sound weights training goes on.
    trainer.predict(x)
    model.load_state_dict(start)
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    trainer.optimizer.param_groups[0]["momentum"] = 1e-9
    trainer.callbacks.clear()
    fit(trainer, x, y, epochs=1)
    assert_same_bits(weights(model), start)


def test_weights_that_were_loaded_before_the_first_bad_step_are_kept():
    """They are what the model had before this step, not what an earlier run left."""
    x = np.ones((16, 1))
    x[11] = -1.0

    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = cr.Parameter([[1.0]], dtype="float64")

        def forward(self, x):
            return cr.sqrt(cr.matmul(x, self.weight))

    model = Root()
    trainer = trainer_of(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e-3))
    for value in (1.0, 4.0, 9.0):
        model.weight.assign([[value]])
        with pytest.raises(cr.NonFiniteError):
            fit(trainer, x[8:], np.zeros((8, 1)), shuffle=False)
        assert model.weight.item() == value
    fit(trainer, x[:8], np.zeros((8, 1)))
    assert 8.9 < model.weight.item() < 9.0


def test_the_operation_that_went_wrong_is_named():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1, dtype="float64")
            self.layer.weight.assign([[1.0]])
            self.layer.bias.assign([0.0])

        def forward(self, x):
            return cr.log(self.layer(x))

    x = np.linspace(1, 2, 16).reshape(-1, 1)
    x[11] = -1.0  # of the second batch
    model = nn.Sequential(Root())
    trainer = trainer_of(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e-3))
    with pytest.raises(
        cr.NonFiniteError, match=r"epoch 1, step 2: loss nan, first in log in layer 0"
    ):
        fit(trainer, x, x, shuffle=False)
    assert trainer.step == 1


def test_the_good_steps_before_a_bad_one_count():
    """Also of steps that run at once: state, position and sums are those of the last good one."""
    x, y = regression(40)
    bad = x.copy()
    bad[33] = 1e200  # the square of the fifth batch's error overflows

    def made():
        with cr.use_generator(cr.Generator(3)):
            model = nn.Sequential(nn.Linear(4, 1, dtype="float64"), Noise())
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        schedule = optim.ExponentialLR(optimizer, 0.5, unit="step")
        return trainer_of(model, nn.MSELoss(), optimizer, schedule=schedule, metrics=["mae"])

    trainer, whole = made(), made()
    with pytest.raises(cr.NonFiniteError, match="epoch 1, step 5: "):
        fit(trainer, bad, y, shuffle=False)
    assert (trainer.state.position, trainer.step, trainer.schedule.t) == (4, 4, 4)
    fit(trainer, x, y, shuffle=False, epochs=1)  # the same epoch, with data that are in order
    fit(whole, x, y, shuffle=False, epochs=1)
    assert_same_bits(everything(trainer), everything(whole))
    for name in ("loss", "mae"):
        np.testing.assert_allclose(trainer.history[name], whole.history[name], rtol=1e-12)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
@pytest.mark.parametrize("between", ["nothing", "a learning rate", "weights", "an evaluation"])
@pytest.mark.parametrize("scheduled", [False, True])
def test_batches_that_come_one_by_one_lead_to_the_last_good_weights(
    monkeypatch, seconds, between, scheduled
):
    """Whether the states were copied before each step, or long ago."""
    monkeypatch.setattr(last_good, "_MOST_SECONDS", seconds)
    x, y = regression(60)
    batches = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 56, 8)]

    class Between(cr.Callback):
        def on_step_end(self, trainer, loss):
            if between == "a learning rate":
                trainer.optimizer.param_groups[0]["lr"] = 0.01 / trainer.step
            elif between == "weights" and trainer.step == 3:
                trainer.model[0].bias.assign(trainer.model[0].bias * 0.5)
            elif between == "an evaluation":
                trainer.evaluate(x, y)

    def made():
        with cr.use_generator(cr.Generator(3)):
            model = nn.Sequential(nn.Linear(4, 6, dtype="float64"), nn.Dropout(), Noise())
            model.append(nn.Linear(6, 1, dtype="float64"))
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        schedule = optim.ExponentialLR(optimizer, 0.5, unit="step") if scheduled else None
        options = {
            "schedule": schedule,
            "callbacks": [Between()],
            "ema": optim.EMA(model.parameters(), 0.9),
        }
        return trainer_of(model, nn.MSELoss(), optimizer, **options)

    good, bad = made(), made()
    good.fit(batches[:5], epochs=1, progress=False)
    with pytest.raises(cr.NonFiniteError, match="epoch 1, step 6: "):
        bad.fit([*batches[:5], (x[:8] * 1e300, y[:8])], epochs=1, progress=False)
    assert (bad.step, bad.state.position) == (5, 5)
    found, wanted = everything(bad), everything(good)
    del found["counts"], wanted["counts"]  # of an epoch that has not ended
    assert_same_bits(found, wanted)
    assert_same_bits(bad.ema.state_dict(), good.ema.state_dict())


class Words(nn.Module):
    """Looks rows up in a table."""

    def __init__(self, rows, max_norm):
        super().__init__()
        self.table = nn.Embedding(rows, 8, max_norm=max_norm, dtype="float64")
        self.last = nn.Linear(8, 1, dtype="float64")

    def forward(self, x):
        return self.last(self.table(x).mean(1))


@pytest.mark.parametrize(("rows", "max_norm"), [(20_000, None), (12, 0.5)])
def test_tables_are_the_last_good_ones(monkeypatch, rows, max_norm):
    """Of a long one a step changes single rows; with max_norm a prediction changes it, too."""
    monkeypatch.setattr(last_good, "_MOST_SECONDS", 60.0)
    rng = np.random.default_rng(0)
    batches = [(rng.integers(0, rows, (8, 3)), rng.standard_normal((8, 1))) for _ in range(6)]

    class Predict(cr.Callback):
        def on_step_end(self, trainer, loss):
            trainer.predict(np.arange(12).reshape(4, 3))

    def made():
        with cr.use_generator(cr.Generator(0)):
            model = Words(rows, max_norm)
        sgd = optim.SGD(model.parameters(), lr=0.5)
        return trainer_of(model, nn.MSELoss(), sgd, callbacks=[Predict()])

    good, bad = made(), made()
    good.fit(batches[:5], epochs=1, progress=False)
    with pytest.raises(cr.NonFiniteError, match="epoch 1, step 6: "):
        bad.fit([*batches[:5], (batches[5][0], batches[5][1] * 1e300)], epochs=1, progress=False)
    assert_same_bits(weights(bad.model), weights(good.model))


def test_a_callback_writes_into_the_arrays_of_steps_that_are_done():
    x, y = regression(48)

    class Noisy(cr.Callback):
        def on_step_end(self, trainer, loss):
            x[: 8 * trainer.step] = np.nan
            x[8 * trainer.step :] *= 1e300 if trainer.step == 3 else 0.5

    def made():
        with cr.use_generator(cr.Generator(3)):
            model = nn.Linear(4, 1, dtype="float64")
        return trainer_of(model, nn.MSELoss(), callbacks=[Noisy()])

    good, bad, before = made(), made(), x.copy()
    fit(good, x[:24], y[:24], shuffle=False, epochs=1, batch_size=8)
    x[...] = before
    with pytest.raises(cr.NonFiniteError, match="epoch 1, step 4: "):
        fit(bad, x, y, shuffle=False, epochs=1, batch_size=8)
    assert_same_bits(weights(bad.model), weights(good.model))


def test_a_gradient_that_is_not_finite_where_the_loss_is():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = cr.Parameter([[0.0]], dtype="float64")

        def forward(self, x):
            return cr.sqrt(cr.matmul(x, self.weight))

    x = np.ones((8, 1))
    trainer = trainer_of(Root(), nn.MSELoss())
    with pytest.raises(cr.NonFiniteError, match=r"loss 1\.0, first in \w+.*backward"):
        fit(trainer, x, x)
    assert trainer.model.weight.item() == 0.0


def test_large_finite_numbers_are_no_reason_to_stop():
    """Their sum overflows, they do not."""
    model = nn.Linear(4, 4, bias=False)
    model.weight.assign(np.full((4, 4), 3e38, "float32"))
    trainer = trainer_of(
        model, lambda o, t: (o * 0.0).mean(), optim.SGD(model.parameters(), lr=0.1)
    )
    x = np.full((8, 4), 1e-3)
    fit(trainer, x, x)
    assert trainer.epoch == 2


def test_data_that_overflow_the_model_s_dtype_are_named():
    x, y = classification(30)
    x[3] = 1e300
    trainer = trainer_of(network(dtype="float32"))
    before = everything(trainer)
    for call in (lambda: fit(trainer, x, y), lambda: trainer.predict(x)):
        with pytest.raises(ValueError, match=r"x holds numbers beyond 3\.4e\+38.*float32"):
            call()
    assert_same_bits(everything(trainer), before)
