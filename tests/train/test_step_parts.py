"""Penalties, constraints and averages: parts of the captured step, with every kind of update."""

import numpy as np
import pytest
from training_cases import (
    Average,
    ShortRows,
    assert_close,
    assert_same_bits,
    classification,
    compiled_step,
    epoch_batches,
    network,
    torch_network,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")

ROWS, BATCH, EPOCHS = 37, 8, 3


def fit(trainer, **options):
    x, y = classification(ROWS)
    return trainer.fit(
        x, y, **{"epochs": EPOCHS, "batch_size": BATCH, "progress": False, **options}
    )


def penalties_of(model):
    """An L2 and an L1 penalty, as a user writes them."""
    first, last = model[0].weight, model[2].weight
    return [lambda: 0.02 * (first * first).sum(), lambda: 0.01 * cr.abs(last).sum()]


# Penalties


@pytest.mark.parametrize("clips", [{}, {"clip_norm": 0.2}], ids=["unclipped", "clipped"])
@pytest.mark.parametrize(("accumulate", "reduction"), [(1, "mean"), (2, "mean"), ("epoch", "sum")])
def test_the_objective_is_the_loss_and_the_penalties_as_in_pytorch(accumulate, reduction, clips):
    """Also where several batches make one update, they count once in it."""
    torch = pytest.importorskip("torch")
    x, y = classification(ROWS)
    model = network()
    theirs = torch_network(model)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9)
    losses, columns = [], []
    for epoch in range(EPOCHS):
        batches = epoch_batches(ROWS, BATCH, 0, epoch)
        size = len(batches) if accumulate == "epoch" else accumulate
        loss_sum = penalty_sum = 0.0
        for i in range(0, len(batches), size):
            group = batches[i : i + size]
            count = 1 if reduction == "sum" else sum(map(len, group))
            optimizer.zero_grad()
            penalty = 0.02 * (theirs[0].weight ** 2).sum() + 0.01 * theirs[2].weight.abs().sum()
            penalty.backward()
            for rows in group:
                loss = torch.nn.functional.cross_entropy(
                    theirs(torch.tensor(x[rows])), torch.tensor(y[rows]), reduction="sum"
                )
                (loss / count).backward()
                loss_sum += loss.item()
                penalty_sum += penalty.item() * len(rows)
            if clips:
                torch.nn.utils.clip_grad_norm_(theirs.parameters(), clips["clip_norm"])
            optimizer.step()
        losses.append(loss_sum if reduction == "sum" else loss_sum / ROWS)
        columns.append(penalty_sum / ROWS)
    trainer = trainer_of(
        model,
        nn.CrossEntropyLoss(reduction=reduction),
        optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        penalties=penalties_of(model),
        accumulate=accumulate,
        metrics=["accuracy"],
        **clips,
    )
    history = fit(trainer)
    assert_close(model.state_dict(), {k: v.numpy() for k, v in theirs.state_dict().items()})
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-10)
    np.testing.assert_allclose(history["penalty"], columns, rtol=1e-10)


def test_a_penalty_is_no_part_of_what_is_evaluated():
    model = network()
    trainer = trainer_of(model, penalties=penalties_of(model), metrics=["accuracy"])
    data = classification(ROWS)
    history = fit(trainer, validation_data=data)
    assert history.names == [
        "epoch", "loss", "penalty", "accuracy", "validation_loss", "validation_accuracy", "lr",
        "seconds",
    ]  # fmt: skip
    alone = trainer_of(model, metrics=["accuracy"])
    assert trainer.evaluate(*data) == alone.evaluate(*data)
    assert "penalty" not in fit(alone).names


def test_a_penalty_alone_trains_what_the_loss_does_not_need():
    model = nn.Linear(4, 3, dtype="float64")
    extra = cr.Parameter(np.full(3, 2.0))
    optimizer = optim.SGD([*model.parameters(), extra], lr=0.1)
    trainer = trainer_of(model, optimizer=optimizer, penalties=[lambda: (extra * extra).sum()])
    fit(trainer, epochs=1)
    np.testing.assert_allclose(extra.numpy(), 2.0 * 0.8**5)


def test_a_compiled_step_adds_penalties():
    x, y = classification(ROWS)
    trained, stepped = network(), network()
    trainer = trainer_of(trained, penalties=penalties_of(trained))
    fit(trainer, epochs=1, shuffle=False)
    step = compiled_step(
        stepped,
        nn.CrossEntropyLoss(),
        optim.SGD(stepped.parameters(), lr=0.1, momentum=0.9),
        penalties=penalties_of(stepped),
    )
    for start in range(0, ROWS, BATCH):
        wanted = nn.CrossEntropyLoss()(stepped(cr.tensor(x[start:][:BATCH])), y[start:][:BATCH])
        loss = step(x[start:][:BATCH], y[start:][:BATCH])
        np.testing.assert_allclose(loss.item(), wanted.item(), rtol=1e-12)
    assert_close(weights(stepped), weights(trained), 1e-12)


# Constraints


def test_constraints_are_applied_after_every_update():
    x, y = classification(ROWS)
    model, eager = network(), network()
    trainer = trainer_of(model, constraints=[ShortRows(model[0].weight, 0.4)])
    fit(trainer, epochs=1)
    optimizer = optim.SGD(eager.parameters(), lr=0.1, momentum=0.9)
    for rows in epoch_batches(ROWS, BATCH, 0, 0):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(eager(cr.tensor(x[rows])), y[rows]).backward()
        optimizer.step()
        w = eager[0].weight.numpy()
        short = np.minimum(0.4 / np.linalg.norm(w, axis=1, keepdims=True), 1.0)
        eager[0].weight.assign(w * short)
    assert_close(weights(model), weights(eager), 1e-12)
    norms = np.linalg.norm(model[0].weight.numpy(), axis=1)
    assert norms.max() <= 0.4 + 1e-12 and (norms > 0.39).any()


@pytest.mark.parametrize(("accumulate", "updates"), [(1, 5), (2, 3), ("epoch", 1)])
def test_constraints_and_averages_follow_updates_not_batches(accumulate, updates):
    model = network()
    average = Average(model.parameters())
    trainer = trainer_of(
        model, accumulate=accumulate, ema=average, constraints=[ShortRows(model[0].weight, 0.3)]
    )
    fit(trainer, epochs=1)
    assert trainer.step == average.count.item() == updates
    assert np.linalg.norm(model[0].weight.numpy(), axis=1).max() <= 0.3 + 1e-12


def test_a_compiled_step_constrains_and_averages():
    x, y = classification(ROWS)
    found = []
    for compiled in (False, True):
        model = network()
        options = {
            "constraints": [ShortRows(model[0].weight, 0.4)],
            "ema": Average(model.parameters()),
        }
        if compiled:
            optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            step = compiled_step(model, nn.CrossEntropyLoss(), optimizer, **options)
            for start in range(0, ROWS, BATCH):
                step(x[start:][:BATCH], y[start:][:BATCH])
        else:
            fit(trainer_of(model, **options), epochs=1, shuffle=False)
        with options["ema"].applied():
            averaged = weights(model)
        found.append({**weights(model), **{f"average {k}": v for k, v in averaged.items()}})
    assert_close(*found, 1e-12)


# Averages


def test_the_average_is_of_the_parameters_after_each_update():
    class Keep(cr.Callback):
        def on_step_end(self, trainer, loss):
            kept.append(weights(trainer.model))

    kept = [weights(network())]
    found = []
    for callbacks in ([Keep()], []):
        model = network()
        average = Average(model.parameters(), 0.8)
        trainer = trainer_of(model, ema=average, callbacks=callbacks)
        fit(trainer)
        with average.applied():
            found.append(weights(model))
    wanted = kept[0]
    for now in kept[1:]:
        wanted = {name: 0.8 * wanted[name] + 0.2 * now[name] for name in wanted}
    assert_close(found[0], wanted, 1e-12)
    assert_same_bits(*found)  # whether steps run one by one or all at once


def test_evaluating_and_predicting_use_the_average():
    x, y = classification(ROWS)
    model = network()
    average = Average(model.parameters(), 0.95)
    trainer = trainer_of(model, ema=average, metrics=["accuracy"])
    history = fit(trainer, validation_data=(x, y))
    before = weights(model)
    alone = trainer_of(model, metrics=["accuracy"])
    raw = alone.evaluate(x, y)
    with average.applied():
        wanted, outputs = alone.evaluate(x, y), alone.predict(x)
    assert trainer.evaluate(x, y) == wanted != raw
    np.testing.assert_array_equal(trainer.predict(x), outputs)
    assert history["validation_loss"][-1] == wanted["loss"]
    assert history["validation_accuracy"][-1] == wanted["accuracy"]
    assert_same_bits(weights(model), before)


def test_evaluating_with_an_average_does_not_change_training():
    x, y = classification(ROWS)
    found = []
    for evaluating in (False, True):
        model = network()
        trainer = trainer_of(model, ema=Average(model.parameters()))
        for _ in range(3):
            fit(trainer, epochs=1, validation_data=(x, y) if evaluating else None)
            if evaluating:
                trainer.predict(x)
        found.append({**weights(model), **trainer.ema.state_dict()})
    assert_same_bits(*found)


def test_early_stopping_gives_the_best_average_back():
    model = network()
    average = Average(model.parameters())
    stopping = cr.EarlyStopping(patience=0, min_delta=1e3)  # nothing is better than the first
    trainer = trainer_of(model, ema=average, callbacks=[stopping])
    held_out = classification(20, seed=1)
    history = fit(trainer, epochs=9, validation_data=held_out)
    assert len(history) == 2
    whole = trainer_of(other := network(), ema=Average(other.parameters()))
    fit(whole, epochs=1)
    assert_same_bits(weights(model), weights(other))
    assert_same_bits(average.state_dict(), whole.ema.state_dict())
    assert trainer.evaluate(*held_out)["loss"] == history["validation_loss"][0]


def test_a_file_holds_the_average_as_the_model(tmp_path):
    x, _ = classification(ROWS)
    path = tmp_path / "model.safetensors"
    model = network()
    trainer = trainer_of(model, ema=Average(model.parameters()))
    fit(trainer)
    trainer.save(path)
    built = cr.load(path)
    with trainer.ema.applied():
        assert_same_bits(weights(built), weights(model))
    other = trainer_of(loaded := network(seed=9), ema=Average(loaded.parameters()))
    other.load(path)
    assert_same_bits(weights(loaded), weights(model))
    assert_same_bits(other.ema.state_dict(), trainer.ema.state_dict())
    np.testing.assert_array_equal(other.predict(x), trainer.predict(x))
    for mine, theirs in ((trainer_of(network()), path), (other, tmp_path / "plain.safetensors")):
        if theirs != path:
            trainer_of(network()).save(theirs)
        before = weights(mine.model)
        with pytest.raises(ValueError, match=r"with ema (Average|None).*has (None|Average)"):
            mine.load(theirs)
        assert_same_bits(weights(mine.model), before)


def test_a_bad_step_leaves_the_average_as_it_was():
    x, y = classification(ROWS)
    bad = x.copy()
    bad[20] = 1e200
    model = nn.Sequential(nn.Linear(4, 3, dtype="float64"))
    trainer = trainer_of(
        model,
        lambda o, t: (o * o).mean(),
        optim.SGD(model.parameters(), lr=0.01),
        ema=Average(model.parameters()),
    )
    with pytest.raises(cr.NonFiniteError, match="step 3"):
        trainer.fit(bad, y, batch_size=BATCH, shuffle=False, progress=False)
    assert trainer.ema.count.item() == trainer.step == 2
    assert all(np.isfinite(a).all() for a in trainer.ema.state_dict().values())


# What is refused


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"penalties": lambda: 3}, TypeError, r"penalties are a list.*penalties=\[\.\.\.\]"),
        ({"penalties": [0.1]}, TypeError, "a penalty is a function"),
        ({"constraints": [lambda: 3]}, TypeError, "a constraint has the methods apply"),
        ({"constraints": [ShortRows]}, TypeError, "not its class"),
        ({"constraints": ShortRows(None, 1.0)}, TypeError, "constraints are a list"),
        ({"ema": 0.99}, TypeError, r"ema has the methods update.*0\.99"),
        ({"metrics": [type("penalty", (cr.Metric,), {"name": "penalty"})()]}, ValueError, "named"),
        ({"accumulate": "batch"}, ValueError, "number of batches or 'epoch', got 'batch'"),
    ],
)
def test_bad_parts(options, error, text):
    with pytest.raises(error, match=text):
        trainer_of(network(), **options)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_penalty_that_is_no_scalar_is_refused_before_training(accumulate):
    model = network()
    for penalty in (lambda: model[0].weight * 2.0, lambda: 1.0):
        trainer = trainer_of(model, penalties=[penalty], accumulate=accumulate)
        before = weights(model)
        with pytest.raises(cr.ShapeError, match=r"penalty .*scalar Tensor, got (\(5, 4\)|float)"):
            fit(trainer)
        assert_same_bits(weights(model), before)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_constraint_that_does_not_fit_is_refused_before_training(accumulate):
    """Also where batches come before the first update."""
    model = network()
    trainer = trainer_of(model, constraints=[ShortRows(model[0].bias, 1.0)], accumulate=accumulate)
    before = weights(model)
    with pytest.raises(ValueError, match="axis"):
        fit(trainer)
    assert_same_bits(weights(model), before)
    assert (trainer.step, trainer.state.position) == (0, 0)


def test_a_penalty_that_becomes_infinite_is_named():
    model = network()
    weight = model[0].weight
    trainer = trainer_of(model, penalties=[lambda: cr.log(weight.sum() * 0.0)])
    with pytest.raises(cr.NonFiniteError, match=r"step 1: .*first in log"):
        fit(trainer)


# Speed


def test_batches_between_two_updates_run_natively_at_once(monkeypatch):
    x, y = classification(400)
    trainer = trainer_of(network(), accumulate="epoch", backend="native")
    train, calls = trainer.backend.train, []

    def counting(*arguments, **options):
        done, loss = train(*arguments, **options)
        calls.append(done)
        return done, loss

    monkeypatch.setattr(trainer.backend, "train", counting)
    trainer.fit(x, y, epochs=1, batch_size=4, progress=False)
    assert sum(calls) == 100 and calls[-1] == 1
    assert len(calls) < 20  # two, unless the machine is so busy that a call takes 50 ms
