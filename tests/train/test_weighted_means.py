"""Losses whose mean has a denominator of its own: no result depends on the size of the batches."""

import numpy as np
import pytest
from training_cases import (
    assert_close,
    assert_same_bits,
    classification,
    compiled_step,
    epoch_batches,
    fit,
    network,
    torch_network,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")

ROWS = 37
CLASS_WEIGHTS = [1.0, 5.0, 0.1]
BATCHES = (1, 4, 7, 37)


class LogSoftmax(nn.Sequential):
    """A model of log-probabilities, for NLLLoss."""

    def __init__(self, net):
        super().__init__(net, nn.LogSoftmax(1))


def masked(output, target):
    counts = (target != 1).astype("float64")
    losses = nn.CrossEntropyLoss(reduction="none")(output, target)
    return nn.weighted_mean((losses * counts).sum(), counts.sum())


LOSSES = {
    "weight": lambda: nn.CrossEntropyLoss(CLASS_WEIGHTS),
    "ignore_index": lambda: nn.CrossEntropyLoss(ignore_index=1),
    "all of it": lambda: nn.CrossEntropyLoss(CLASS_WEIGHTS, ignore_index=0, label_smoothing=0.2),
    "a class of no weight": lambda: nn.CrossEntropyLoss([1.0, 0.0, 0.1], label_smoothing=0.2),
    "a function": lambda: lambda o, t: nn.CrossEntropyLoss(CLASS_WEIGHTS)(o, t),
    "a multiple": lambda: lambda o, t: 3.0 * -nn.CrossEntropyLoss(CLASS_WEIGHTS)(o, t) / -2.0,
    "one's own": lambda: masked,
}
MIXED = {
    "a sum": lambda o, t: 0.5 * nn.CrossEntropyLoss(CLASS_WEIGHTS)(o, t) + 0.1 * (o * o).mean(),
    "two": lambda o, t: (
        nn.CrossEntropyLoss(CLASS_WEIGHTS)(o, t) - 0.3 * nn.CrossEntropyLoss(ignore_index=1)(o, t)
    ),
}


def data():
    """A run of label 1 makes batches that differ much."""
    x, y = classification(ROWS)
    y[8:20] = 1
    return x, y


def whole(loss, model, x, y):
    return loss(model(cr.tensor(x)), cr.tensor(y)).item()


@pytest.mark.parametrize("name", [*LOSSES, *MIXED])
@pytest.mark.parametrize("batch_size", BATCHES)
def test_evaluation_is_the_loss_over_all_rows(name, batch_size):
    x, y = data()
    loss, model = MIXED.get(name) or LOSSES[name](), network()
    found = cr.Evaluator(model, loss).evaluate(x, y, batch_size=batch_size)["loss"]
    np.testing.assert_allclose(found, whole(loss, model, x, y), rtol=1e-12)


@pytest.mark.parametrize("batch_size", BATCHES)
def test_nll_loss(batch_size):
    x, y = data()
    loss, model = nn.NLLLoss(CLASS_WEIGHTS, ignore_index=2), LogSoftmax(network())
    found = cr.Evaluator(model, loss).evaluate(x, y, batch_size=batch_size)["loss"]
    np.testing.assert_allclose(found, whole(loss, model, x, y), rtol=1e-12)


@pytest.mark.parametrize("batch_size", BATCHES)
def test_pixels_with_labels_to_ignore(batch_size):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((ROWS, 3, 2, 2)), rng.integers(0, 3, (ROWS, 2, 2))
    y[5:12] = 1

    class Passing(nn.Module):
        def forward(self, x):
            return x

    loss = nn.CrossEntropyLoss(CLASS_WEIGHTS, ignore_index=1)
    model = Passing()
    evaluator = cr.Evaluator(model, loss)
    x = x.astype("float32")
    np.testing.assert_allclose(
        evaluator.evaluate(x, y, batch_size=batch_size)["loss"], whole(loss, model, x, y), rtol=1e-6
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_an_update_an_epoch_is_the_gradient_over_all_the_data(name, batch_size):
    x, y = data()
    found = []
    for size in (batch_size, ROWS):
        trainer = trainer_of(network(), LOSSES[name](), accumulate="epoch")
        history = fit(trainer, x, y, batch_size=size, validation_data=(x, y), shuffle=False)
        found.append(
            {
                **weights(trainer.model),
                "loss": history["loss"],
                "validation_loss": history["validation_loss"],
            }
        )
    assert_close(*found)


@pytest.mark.parametrize("accumulate", [1, 2, "epoch"])
@pytest.mark.parametrize("sampled", [False, True])
def test_training_as_in_pytorch(accumulate, sampled):
    torch = pytest.importorskip("torch")
    x, y = data()
    sample_weight = np.random.default_rng(2).exponential(size=ROWS) if sampled else np.ones(ROWS)
    model, class_weights = network(), torch.tensor(CLASS_WEIGHTS, dtype=torch.float64)
    theirs = torch_network(model)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)

    def summed(rows):
        losses = torch.nn.functional.cross_entropy(
            theirs(torch.tensor(x[rows])), torch.tensor(y[rows]), class_weights,
            ignore_index=2, reduction="none",
        )  # fmt: skip
        counted = torch.tensor(y[rows] != 2)
        weight = (class_weights[torch.tensor(y[rows])] * counted).sum()
        return (torch.tensor(sample_weight[rows]) * losses).sum(), weight

    wanted = []
    for epoch in range(3):
        batches, total, weight = epoch_batches(ROWS, 8, 0, epoch), 0.0, 0.0
        size = len(batches) if accumulate == "epoch" else accumulate
        for i in range(0, len(batches), size):
            optimizer.zero_grad()
            sums = [summed(rows) for rows in batches[i : i + size]]
            (sum(s for s, _ in sums) / sum(w for _, w in sums)).backward()
            optimizer.step()
            total += sum(s.item() for s, _ in sums)
            weight += sum(w.item() for _, w in sums)
        wanted.append(total / weight)
    loss = nn.CrossEntropyLoss(CLASS_WEIGHTS, ignore_index=2)
    trainer = trainer_of(model, loss, accumulate=accumulate)
    given = {"sample_weight": sample_weight} if sampled else {}
    history = fit(trainer, x, y, epochs=3, **given)
    assert_close(model.state_dict(), {k: v.numpy() for k, v in theirs.state_dict().items()})
    np.testing.assert_allclose(history["loss"], wanted, rtol=1e-10)
    after, weight = summed(np.arange(ROWS))
    np.testing.assert_allclose(
        trainer.evaluate(x, y, batch_size=5, **given)["loss"], after.item() / weight.item()
    )


def test_a_compiled_step_is_the_loop():
    x, y = data()
    found = []
    for compiled in (True, False):
        model, loss = network(), nn.CrossEntropyLoss(CLASS_WEIGHTS, ignore_index=2)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        step, losses = compiled_step(model, loss, optimizer), []
        for rows in (slice(0, 9), slice(9, 30), slice(30, 37)):
            if compiled:
                losses.append(step(x[rows], y[rows]).item())
            else:
                optimizer.zero_grad()
                value = loss(model(cr.tensor(x[rows])), y[rows])
                value.backward()
                optimizer.step()
                losses.append(value.item())
        found.append({**weights(model), "losses": losses})
    assert_close(*found)


def test_a_loss_of_no_row_is_nan_and_its_gradient_0_as_in_pytorch():
    torch = pytest.importorskip("torch")
    scores = np.random.default_rng(0).standard_normal((2, 3))
    ours, theirs = cr.tensor(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
    loss = nn.CrossEntropyLoss(CLASS_WEIGHTS, ignore_index=1)(ours, [1, 1])
    loss.backward()
    wanted = torch.nn.functional.cross_entropy(
        theirs, torch.tensor([1, 1]), torch.tensor(CLASS_WEIGHTS, dtype=torch.float64),
        ignore_index=1,
    )  # fmt: skip
    wanted.backward()
    assert np.isnan(loss.item()) and np.isnan(wanted.item())
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())
    assert not ours.grad.numpy().any()


@pytest.mark.parametrize("accumulate", [1, 2, "epoch"])
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(ignore_index=1), masked])
def test_batches_of_which_no_row_counts(accumulate, loss):
    """They end nothing, poison nothing, and count for nothing in the loss of the epoch."""
    x, y = data()  # rows 8 to 19: with batches of 4, three are of label 1 alone
    trainer = trainer_of(network(), loss, accumulate=accumulate, clip_norm=1.0)
    start = weights(trainer.model)
    history = fit(trainer, x, y, batch_size=4, validation_data=(x, y), shuffle=False)
    assert all(np.isfinite(history["loss"] + history["validation_loss"]))
    assert all(np.isfinite(value).all() for value in weights(trainer.model).values())
    if accumulate == "epoch":
        model = network()
        model.load_state_dict(start)
        np.testing.assert_allclose(history["loss"][0], whole(loss, model, x, y), rtol=1e-12)
    wanted = whole(loss, trainer.model, x, y)
    np.testing.assert_allclose(history["validation_loss"][-1], wanted, rtol=1e-12)


def test_a_first_batch_of_which_no_row_counts_shows_no_warning(capsys):
    x, y = data()
    y[:4] = 1
    trainer = trainer_of(network(), nn.CrossEntropyLoss(ignore_index=1))
    seen = []

    class Watch(cr.Callback):
        def on_step_end(self, trainer, loss):
            seen.append(loss)

    trainer.callbacks.append(Watch())
    fit(trainer, x, y, batch_size=4, shuffle=False, epochs=1)
    assert seen[0] == 0 and all(np.isfinite(seen))


def test_data_of_which_no_row_counts_are_refused():
    x, y = data()
    trainer = trainer_of(network(), nn.CrossEntropyLoss(ignore_index=1))
    before = weights(trainer.model)
    for call in (lambda: fit(trainer, x, y * 0 + 1), lambda: trainer.evaluate(x, y * 0 + 1)):
        with pytest.raises(ValueError, match=r"all labels are 1, the ignore_index: no row counts"):
            call()
    with pytest.raises(ValueError, match="validation all labels are 1"):
        fit(trainer, x, y, validation_data=(x, y * 0 + 1))
    assert_same_bits(weights(trainer.model), before)


@pytest.mark.parametrize("loss", MIXED.values(), ids=MIXED)
def test_accumulated_gradients_of_several_denominators_are_refused(loss):
    x, y = data()
    trainer = trainer_of(network(), loss, accumulate="epoch")
    before = weights(trainer.model)
    with pytest.raises(ValueError, match=r"accumulate.*different denominators"):
        fit(trainer, x, y)
    assert_same_bits(weights(trainer.model), before)


def test_a_mean_times_a_parameter_counts_by_rows():
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.s = cr.Parameter(np.zeros(()))

        def forward(self, output, target):
            return cr.exp(-self.s) * nn.CrossEntropyLoss(CLASS_WEIGHTS)(output, target) + self.s

    x, y = data()
    loss, model = Learned(), network()
    found = cr.Evaluator(model, loss).evaluate(x, y, batch_size=8)["loss"]
    parts = [slice(i, i + 8) for i in range(0, ROWS, 8)]
    each = [whole(loss, model, x[p], y[p]) * len(x[p]) for p in parts]
    np.testing.assert_allclose(found, sum(each) / ROWS, rtol=1e-12)


def test_penalties_and_metrics_stand_beside_it():
    x, y = data()
    model = network()
    trainer = trainer_of(
        model, LOSSES["weight"](), optim.SGD(model.parameters(), lr=0.0),
        metrics=["accuracy"], penalties=[lambda: 0.5 * (model[0].weight ** 2).sum()],
    )  # fmt: skip
    history = fit(trainer, x, y, validation_data=(x, y))
    wanted = whole(LOSSES["weight"](), model, x, y)
    accuracy = np.mean(model(cr.tensor(x)).numpy().argmax(1) == y)
    penalty = 0.5 * (model[0].weight.numpy() ** 2).sum()
    for name in ("loss", "validation_loss"):
        np.testing.assert_allclose(history[name], wanted, rtol=1e-12)
    for name in ("accuracy", "validation_accuracy"):
        np.testing.assert_allclose(history[name], accuracy)
    np.testing.assert_allclose(history["penalty"], penalty, rtol=1e-12)


@pytest.mark.parametrize("accumulate", [1, 2, "epoch"])
def test_a_training_resumes_in_the_middle_of_an_epoch(path, accumulate):
    x, y = data()

    class StopAt(cr.Callback):
        def on_step_end(self, trainer, loss):
            if trainer.state.position == 3:
                trainer.stop("enough")

    def made():
        loss = nn.CrossEntropyLoss(CLASS_WEIGHTS, ignore_index=2)
        return trainer_of(network(), loss, accumulate=accumulate, metrics=["accuracy"])

    straight = made()
    wanted = fit(straight, x, y)
    stopped = made()
    stopped.callbacks.append(StopAt())
    fit(stopped, x, y, checkpoint=path)
    stopped.callbacks.clear()
    stopped.save(path)
    resumed = made()
    history = fit(resumed, x, y, checkpoint=path, resume=True)
    assert_same_bits(weights(resumed.model), weights(straight.model))
    assert history["loss"] == wanted["loss"] and history["accuracy"] == wanted["accuracy"]


def test_the_range_test_leaves_out_batches_of_which_no_row_counts():
    x, y = data()
    y[2:] = 1
    trainer = trainer_of(network(), nn.CrossEntropyLoss(ignore_index=1))
    test = trainer.find_lr(x, y, steps=20, batch_size=4, high=0.1)
    assert 0 < len(test.lrs) < 10
    assert all(loss > 0 for loss in test.losses)


def test_both_parts_of_a_mean_are_scalars():
    with pytest.raises(cr.ShapeError, match=r"the weight of a weighted mean is a scalar, got \(2,"):
        nn.weighted_mean(cr.tensor(1.0), cr.tensor([1.0, 2.0]))
