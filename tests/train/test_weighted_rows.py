"""Weights of rows: in the loss of training, validation and evaluation, whatever moves the rows."""

import numpy as np
import pytest
from training_cases import (
    assert_close,
    assert_same_bits,
    classification,
    compiled_step,
    epoch_batches,
    network,
    regression,
    torch_network,
    trainer_of,
    weighted_cross_entropy,
    weights,
)

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import split

pytestmark = pytest.mark.usefixtures("backend")

ROWS, BATCH, EPOCHS = 37, 8, 3


def row_weights(rows=ROWS, seed=4):
    """Some of them 0."""
    rng = np.random.default_rng(seed)
    return rng.exponential(size=rows) * (rng.random(rows) < 0.8)


def fit(trainer, x, y, **options):
    return trainer.fit(
        x, y, **{"epochs": EPOCHS, "batch_size": BATCH, "progress": False, **options}
    )


@pytest.mark.parametrize("accumulate", [1, 2, "epoch"])
def test_the_loss_is_the_weighted_sum_over_the_number_of_rows_as_in_pytorch(accumulate):
    torch = pytest.importorskip("torch")
    x, y = classification(ROWS)
    w = row_weights()
    model = network()
    theirs = torch_network(model)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)

    def losses(rows):
        return torch.tensor(w[rows]) * torch.nn.functional.cross_entropy(
            theirs(torch.tensor(x[rows])), torch.tensor(y[rows]), reduction="none"
        )

    wanted = []
    for epoch in range(EPOCHS):
        batches, total = epoch_batches(ROWS, BATCH, 0, epoch), 0.0
        size = len(batches) if accumulate == "epoch" else accumulate
        for i in range(0, len(batches), size):
            group = batches[i : i + size]
            optimizer.zero_grad()
            for rows in group:
                loss = losses(rows).sum()
                total += loss.item()
                (loss / sum(map(len, group))).backward()
            optimizer.step()
        wanted.append(total / ROWS)
    trainer = trainer_of(model, weighted_cross_entropy, accumulate=accumulate)
    history = fit(trainer, x, y, sample_weight=w, validation_data=(x, y, w))
    assert_close(model.state_dict(), {k: v.numpy() for k, v in theirs.state_dict().items()})
    np.testing.assert_allclose(history["loss"], wanted, rtol=1e-10)
    after = losses(np.arange(ROWS)).sum().item() / ROWS
    np.testing.assert_allclose(history["validation_loss"][-1], after, rtol=1e-10)
    found = trainer.evaluate(x, y, sample_weight=w, batch_size=5)["loss"]
    np.testing.assert_allclose(found, after, rtol=1e-10)


def test_rows_of_weight_0_have_no_influence():
    x, y = classification(ROWS)
    w = row_weights()
    other = np.where(w[:, None] == 0, 9.0, x)
    found = []
    for data in (x, other):
        trainer = trainer_of(network(), weighted_cross_entropy)
        fit(trainer, data, y, sample_weight=w)
        found.append(weights(trainer.model))
    assert (w == 0).any()
    assert_same_bits(*found)


@pytest.mark.parametrize("form", ["float32", "int64", "uint8", "list", "tensor"])
def test_weights_of_any_form(form):
    x, y = classification(ROWS)
    w = np.arange(ROWS) % 3
    forms = {"list": w.tolist, "tensor": lambda: cr.tensor(w)}
    given = forms.get(form, lambda: w.astype(form))()
    found = []
    for sample_weight in (w.astype(float), given):
        trainer = trainer_of(network(), weighted_cross_entropy)
        fit(trainer, x, y, sample_weight=sample_weight)
        found.append(weights(trainer.model))
    assert_same_bits(*found)


@pytest.mark.parametrize("loss", [nn.MSELoss(reduction="none"), nn.L1Loss(reduction="none")])
def test_weights_of_1_are_no_weights(loss):
    x, y = regression(ROWS)

    def weighted(output, target, sample_weight=None):
        losses = loss(output, target).mean(axis=1)
        return (losses if sample_weight is None else losses * sample_weight).mean()

    found = []
    for w in (None, np.ones(ROWS)):
        trainer = trainer_of(network(outputs=1), weighted)
        history = fit(trainer, x, y, sample_weight=w)
        found.append({**weights(trainer.model), "loss": history["loss"]})
    assert_close(*found)


def test_held_out_rows_keep_their_weights():
    x, y = classification(ROWS)
    w = row_weights()
    trainer, other = (trainer_of(network(), weighted_cross_entropy, seed=3) for _ in range(2))
    first = fit(trainer, x, y, sample_weight=w, validation_fraction=0.3)
    train, held_out = split(x, y, 0.3, seed=3, sample_weight=w)
    second = fit(other, *train[:2], sample_weight=train[2], validation_data=held_out)
    assert_same_bits(weights(trainer.model), weights(other.model))
    assert first["validation_loss"] == second["validation_loss"]


def test_metrics_count_all_rows_the_same():
    x, y = classification(ROWS)
    trainer = trainer_of(network(), weighted_cross_entropy, metrics=["accuracy"])
    fit(trainer, x, y)
    plain, weighted = trainer.evaluate(x, y), trainer.evaluate(x, y, sample_weight=row_weights())
    assert plain["accuracy"] == weighted["accuracy"]
    assert plain["loss"] != weighted["loss"]


def test_a_compiled_step_takes_weights():
    x, y = classification(ROWS)
    w = row_weights()
    trainer = trainer_of(network(), weighted_cross_entropy)
    fit(trainer, x, y, sample_weight=w, epochs=1, shuffle=False)
    model = network()
    step = compiled_step(
        model, weighted_cross_entropy, optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    )
    for start in range(0, ROWS, BATCH):
        rows = slice(start, start + BATCH)
        loss = step(x[rows], y[rows], sample_weight=w[rows])
    assert_close(weights(model), weights(trainer.model), 1e-12)
    assert loss.item() > 0


def test_a_pair_of_targets_is_not_a_target_with_weights():
    """Both have the same shapes, but they need graphs of their own."""
    x, y = classification(ROWS)
    w = row_weights()

    def loss(output, target, sample_weight=None):
        if isinstance(target, tuple):
            return nn.CrossEntropyLoss()(output, target[0]) + target[1].mean()
        return weighted_cross_entropy(output, target, sample_weight=sample_weight)

    trainer = trainer_of(network(), loss)
    paired = trainer.evaluate(x, (y, w))["loss"]
    weighted = trainer.evaluate(x, y, sample_weight=w)["loss"]
    plain = trainer.evaluate(x, y)["loss"]
    np.testing.assert_allclose(paired, plain + w.mean(), rtol=1e-12)
    alone = trainer_of(network(), weighted_cross_entropy)
    assert weighted == alone.evaluate(x, y, sample_weight=w)["loss"]


W = np.ones(ROWS)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (W[:-1], ValueError, r"shape \(37,\) for 37 rows; got \(36,\)"),
        (W[:, None], ValueError, r"shape \(37,\) for 37 rows; got \(37, 1\)"),
        ((W, W), ValueError, "one number a row.*got tuple"),
        (1.0, ValueError, "single value"),
        (np.where(np.arange(ROWS) == 5, np.nan, 1.0), ValueError, "holds nan at row 5"),
        (np.where(np.arange(ROWS) == 5, np.inf, 1.0), ValueError, "holds inf at row 5"),
        (np.where(np.arange(ROWS) == 5, -2.0, 1.0), ValueError, r"is -2\.0 at row 5.*Give 0"),
        (W * 0, ValueError, "0 in all 37 rows"),
        (["a"] * ROWS, TypeError, "text"),
    ],
)
def test_weights_that_are_none_are_refused_before_anything_changes(given, error, text):
    x, y = classification(ROWS)
    trainer = trainer_of(network(), weighted_cross_entropy)
    before = weights(trainer.model)
    with pytest.raises(error, match="^sample_weight.*" + text):
        fit(trainer, x, y, sample_weight=given)
    with pytest.raises(error, match="^sample_weight.*" + text):
        trainer.evaluate(x, y, sample_weight=given)
    with pytest.raises(error, match="^validation sample_weight.*" + text):
        fit(trainer, x, y, validation_data=(x, y, given))
    assert_same_bits(weights(trainer.model), before)
    assert trainer.step == 0


def test_a_part_of_the_rows_without_any_weight_is_refused():
    x, y = classification(ROWS)
    train, _ = split(np.arange(ROWS), y, 0.3, seed=0)
    w = np.zeros(ROWS)
    w[train[0]] = 1.0
    trainer = trainer_of(network(), weighted_cross_entropy)
    for given, text in ((w, "^validation sample_weight is 0"), (1 - w, "^sample_weight is 0")):
        with pytest.raises(ValueError, match=text):
            fit(trainer, x, y, sample_weight=given, validation_fraction=0.3)


class Unweighted(nn.Module):
    def forward(self, output, target):
        return nn.CrossEntropyLoss()(output, target)


def unweighted(output, target):
    return nn.CrossEntropyLoss()(output, target)


@pytest.mark.parametrize("loss", [Unweighted(), unweighted], ids=["module", "function"])
def test_a_loss_that_takes_no_weights_says_so_before_training(loss):
    x, y = classification(ROWS)
    trainer = trainer_of(network(), loss)
    before = weights(trainer.model)
    text = r"the loss (Unw|unw)eighted can't weight rows.*sample_weight=None"
    for call in (
        lambda: fit(trainer, x, y, sample_weight=W),
        lambda: fit(trainer, x, y, validation_data=(x, y, W)),
        lambda: trainer.evaluate(x, y, sample_weight=W),
    ):
        with pytest.raises(TypeError, match=text):
            call()
    assert_same_bits(weights(trainer.model), before)
    fit(trainer, x, y)


def test_a_loss_that_passes_keywords_on_takes_weights():
    x, y = classification(ROWS)
    trained = []
    for loss in (weighted_cross_entropy, lambda o, t, **k: weighted_cross_entropy(o, t, **k)):
        trainer = trainer_of(network(), loss)
        fit(trainer, x, y, sample_weight=W)
        trained.append(weights(trainer.model))
    assert_same_bits(*trained)
