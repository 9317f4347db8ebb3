"""Training step for step as PyTorch's: the Trainer, cr.compile and the eager loop."""

import copy
import gc

import numpy as np
import pytest
from training_cases import (
    Noise,
    assert_close,
    assert_same_bits,
    classification,
    compiled_step,
    epoch_batches,
    network,
    regression,
    torch_network,
    weights,
)

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler.capture import CapturedGraph
from chainrule.inspect.step import run_step

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # steps this small only wait for one another

pytestmark = pytest.mark.usefixtures("backend")

ROWS, BATCH, EPOCHS = 37, 8, 4  # five batches an epoch, the last of 5 rows: 20 steps

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "weight_decay": 0.01, "momentum": 0.9}),
]
CLIPS = [{}, {"clip_norm": 0.2}, {"clip_value": 0.01}, {"clip_norm": 0.05, "clip_value": 0.02}]

SCHEDULES = {
    "step": (
        lambda o: optim.StepLR(o, 2, 0.5),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.5),
    ),
    "exponential": (
        lambda o: optim.ExponentialLR(o, 0.8, unit="step"),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.8),
    ),
    "cosine": (
        lambda o: optim.CosineAnnealingLR(o, 20, unit="step"),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20),
    ),
}


def torch_training(
    ours, loss_fn, name, options, x, y, *, clips, seed=0, accumulate=1, schedule=None,
    per_step=True, batch=BATCH,
):  # fmt: skip
    """Train PyTorch's copy of `ours` as the Trainer does; its weights and the epochs' losses."""
    model = torch_network(ours)
    optimizer = getattr(torch.optim, name)(model.parameters(), **options)
    scheduler = schedule(optimizer) if schedule else None
    losses = []
    for epoch in range(EPOCHS):
        batches = epoch_batches(len(x), batch, seed, epoch)
        total = 0.0
        for i in range(0, len(batches), accumulate):
            group = batches[i : i + accumulate]
            rows = sum(map(len, group))
            optimizer.zero_grad()
            for chosen in group:
                loss = loss_fn(model(torch.tensor(x[chosen])), torch.tensor(y[chosen]))
                (loss * len(chosen) / rows).backward()
                total += loss.item() * len(chosen)
            if "clip_value" in clips:
                torch.nn.utils.clip_grad_value_(model.parameters(), clips["clip_value"])
            if "clip_norm" in clips:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clips["clip_norm"])
            optimizer.step()
            if scheduler and per_step:
                scheduler.step()
        if scheduler and not per_step:
            scheduler.step()
        losses.append(total / len(x))
    return {k: v.numpy() for k, v in model.state_dict().items()}, losses


@pytest.mark.parametrize("clips", CLIPS, ids=lambda c: "-".join(c) or "unclipped")
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_twenty_steps_are_those_of_pytorch(name, options, clips):
    x, y = classification(ROWS)
    model = network()
    wanted, losses = torch_training(
        model, torch.nn.CrossEntropyLoss(), name, options, x, y, clips=clips, seed=5
    )
    optimizer = getattr(optim, name)(model.parameters(), **options)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, seed=5, **clips)
    history = trainer.fit(x, y, epochs=EPOCHS, batch_size=BATCH, progress=False)
    assert trainer.step == 20
    assert_close(model.state_dict(), wanted)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-10)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules_advance_as_in_pytorch(kind):
    ours, theirs = SCHEDULES[kind]
    x, y = regression(ROWS)
    model = network(outputs=1)
    options = {"lr": 0.1, "momentum": 0.9}
    schedule = ours(optimizer := optim.SGD(model.parameters(), **options))
    wanted, losses = torch_training(
        model, torch.nn.MSELoss(), "SGD", options, x, y, clips={}, schedule=theirs,
        per_step=schedule.unit == "step",
    )  # fmt: skip
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, schedule=schedule)
    history = trainer.fit(x, y, epochs=EPOCHS, batch_size=BATCH, progress=False)
    assert_close(model.state_dict(), wanted)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-10)


@pytest.mark.parametrize("clips", CLIPS[:2], ids=["unclipped", "clip_norm"])
@pytest.mark.parametrize("accumulate", [2, 3, 5, 7])
def test_accumulation_is_that_of_pytorch(accumulate, clips):
    """Five batches an epoch: its last update has fewer batches, and the last batch fewer rows."""
    x, y = classification(ROWS)
    model = network()
    options = {"lr": 0.1, "momentum": 0.9}
    wanted, losses = torch_training(
        model, torch.nn.CrossEntropyLoss(), "SGD", options, x, y, clips=clips,
        accumulate=accumulate,
    )  # fmt: skip
    trainer = cr.Trainer(
        model,
        nn.CrossEntropyLoss(),
        optim.SGD(model.parameters(), **options),
        accumulate=accumulate,
        **clips,
    )
    history = trainer.fit(x, y, epochs=EPOCHS, batch_size=BATCH, progress=False)
    assert trainer.step == EPOCHS * -(-5 // accumulate)
    assert_close(model.state_dict(), wanted)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-10)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_accumulated_batches_are_one_large_batch(reduction):
    x, y = regression(ROWS)
    found = []
    for batch_size, accumulate in ((12, 1), (4, 3), (6, 2)):
        model = network(outputs=1)
        trainer = cr.Trainer(
            model,
            nn.MSELoss(reduction=reduction),
            optim.Adam(model.parameters(), lr=0.05),
            accumulate=accumulate,
            clip_norm=0.5,
            metrics=["mae"],
        )
        history = trainer.fit(x, y, epochs=3, batch_size=batch_size, progress=False)
        found.append((weights(model), history["loss"], trainer.step))
    for other in found[1:]:
        assert other[2] == found[0][2] == 12
        assert_close(other[0], found[0][0])
        np.testing.assert_allclose(other[1][0], found[0][1][0], rtol=0.5)  # before and after steps


@pytest.mark.parametrize("clips", CLIPS[:3], ids=["unclipped", "clip_norm", "clip_value"])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS[::2])
def test_compiled_step_is_the_eager_loop_is_pytorch(name, options, clips):
    x, y = classification(ROWS)
    compiled, theirs = network(), torch_network(network())
    step = compiled_step(
        compiled,
        nn.CrossEntropyLoss(),
        getattr(optim, name)(compiled.parameters(), **options),
        **clips,
    )
    eager = network()
    eager_optimizer = getattr(optim, name)(eager.parameters(), **options)
    optimizer = getattr(torch.optim, name)(theirs.parameters(), **options)
    for epoch in range(EPOCHS):
        for chosen in epoch_batches(ROWS, BATCH, 0, epoch):
            optimizer.zero_grad()
            wanted = torch.nn.functional.cross_entropy(
                theirs(torch.tensor(x[chosen])), torch.tensor(y[chosen])
            )
            wanted.backward()
            if "clip_value" in clips:
                torch.nn.utils.clip_grad_value_(theirs.parameters(), clips["clip_value"])
            if "clip_norm" in clips:
                torch.nn.utils.clip_grad_norm_(theirs.parameters(), clips["clip_norm"])
            optimizer.step()
            loss = step(x[chosen], y[chosen])
            assert loss.shape == () and loss.dtype == np.float64
            np.testing.assert_allclose(loss.item(), wanted.item(), rtol=1e-10)
            if not clips:
                eager_optimizer.zero_grad()
                eager_loss = nn.CrossEntropyLoss()(eager(cr.tensor(x[chosen])), y[chosen])
                eager_loss.backward()
                eager_optimizer.step()
                np.testing.assert_allclose(eager_loss.item(), wanted.item(), rtol=1e-10)
    wanted = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert_close(compiled.state_dict(), wanted)
    if not clips:
        assert_close(eager.state_dict(), wanted)


def test_compiled_step_draws_as_the_eager_loop_does():
    """One seed for the default generator gives one sequence of masks, whichever loop is written."""
    x, y = classification(16)

    def made():
        model = nn.Sequential(network(), Noise())
        return model, optim.SGD(model.parameters(), lr=0.1)

    cr.manual_seed(11)
    eager, optimizer = made()
    for _ in range(3):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(eager(cr.tensor(x)), y).backward()
        optimizer.step()
    cr.manual_seed(11)
    compiled, optimizer = made()
    step = compiled_step(compiled, nn.CrossEntropyLoss(), optimizer)
    for _ in range(3):
        step(x, y)
    assert_close(compiled.state_dict(), weights(eager), 1e-12)


def captured_graphs():
    gc.collect()
    return sum(type(thing) is CapturedGraph for thing in gc.get_objects())


def test_training_goes_on_through_more_sizes_of_batches_than_graphs_are_kept(backend):
    x, y = classification(40)
    sizes = [*range(1, 41), 1, 2, 3, 40, 9]
    loss_fn = nn.CrossEntropyLoss()

    def made():
        model = nn.Sequential(network(), Noise())
        return model, optim.Adam(model.parameters(), lr=0.01)

    before = captured_graphs()
    eager, optimizer = made()
    with cr.use_generator(cr.Generator(5)):
        for size in sizes:
            optimizer.zero_grad()
            loss_fn(eager(cr.tensor(x[:size])), y[:size]).backward()
            optimizer.step()
    compiled, optimizer = made()
    with cr.use_generator(cr.Generator(5)):
        step = compiled_step(compiled, loss_fn, optimizer)
        for size in sizes:
            step(x[:size], y[:size])
    assert_close(compiled.state_dict(), weights(eager), 1e-12)
    assert captured_graphs() - before <= 32
    del step
    fitted, optimizer = made()
    trainer = cr.Trainer(fitted, loss_fn, optimizer, seed=5)
    for size in sizes:
        trainer.fit(x[:size], y[:size], epochs=1, batch_size=size, shuffle=False, progress=False)
        predicted = trainer.predict(x[:size])
        np.testing.assert_allclose(predicted[:1], trainer.predict(x[:1]), rtol=1e-12)
    assert_close(fitted.state_dict(), weights(eager), 1e-12)
    assert captured_graphs() - before <= 32


def test_compiled_step_sees_a_new_learning_rate():
    model, (x, y) = nn.Linear(4, 1, dtype="float64"), regression(16)
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    step = compiled_step(model, nn.MSELoss(), optimizer)
    before = weights(model)
    step(x, y)
    assert_same_bits(weights(model), before)
    optimizer.param_groups[0]["lr"] = 0.1
    step(x, y)
    assert (model.weight.numpy() != before["weight"]).all()


def test_a_layer_that_is_unfrozen_between_steps_is_trained_from_then_on():
    x, y = classification(16)
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    step = compiled_step(model, nn.CrossEntropyLoss(), optimizer)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer)

    def train():
        step(x, y)
        trainer.fit(x, y, epochs=1, batch_size=8, progress=False)

    model[0].requires_grad_(False)
    before = weights(model)
    train()
    np.testing.assert_array_equal(model[0].weight.numpy(), before["0.weight"])
    assert (model[2].weight.numpy() != before["2.weight"]).any()
    model[0].requires_grad_(True)
    train()
    assert (model[0].weight.numpy() != before["0.weight"]).any()
    model.requires_grad_(False)
    model[2].requires_grad_(True)
    before = weights(model)
    train()
    np.testing.assert_array_equal(model[0].weight.numpy(), before["0.weight"])


class Clamped(nn.Module):
    """Changes its weight after its use."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4, dtype="float64")
        self.last = nn.Linear(4, 3, dtype="float64")

    def forward(self, x):
        y = self.last(cr.tanh(self.first(x)))
        with cr.no_grad():
            self.first.weight.assign(cr.clip(self.first.weight, -0.2, 0.2))
        return y


class Shrinking(Clamped):
    """Changes its weight between two uses."""

    def forward(self, x):
        y = cr.tanh(self.first(x))
        with cr.no_grad():
            self.first.weight.assign(self.first.weight * 0.9)
        return self.last(y + self.first(x))


class Looking(Clamped):
    """Looks twice into a table, which shortens its rows."""

    def __init__(self):
        super().__init__()
        self.first = nn.Embedding(9, 4, max_norm=0.5, dtype="float64")

    def forward(self, x):
        words = cr.clip(cr.floor(cr.abs(x) * 4), 0, 8).astype("int64")
        return self.last(self.first(words).sum(1) * self.first(words[:, ::-1]).mean(1))


class HalfFrozen(Clamped):
    """Uses a layer twice, of which one use counts as constant."""

    def forward(self, x):
        y = cr.tanh(self.first(x))
        self.first.requires_grad_(False)
        z = self.first(y)
        self.first.requires_grad_(True)
        return self.last(z)


class HalvedAndHalfFrozen(HalfFrozen):
    """Changes its weight, then uses the layer twice, first as a constant."""

    def forward(self, x):
        with cr.no_grad():
            self.first.weight.assign(self.first.weight * 0.5)
        self.first.requires_grad_(False)
        y = cr.tanh(self.first(x))
        self.first.requires_grad_(True)
        return self.last(self.first(y))


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("kind", [Clamped, Shrinking, Looking, HalfFrozen, HalvedAndHalfFrozen])
def test_a_parameter_that_forward_changes_has_the_gradient_of_all_its_uses(kind, accumulate):
    """As in the eager loop, and as `explain` says of the step."""
    is_explained = accumulate == 1
    x, y = classification(16)
    loss = nn.CrossEntropyLoss()
    with cr.use_generator(cr.Generator(0)):
        model = kind()
    eager = copy.deepcopy(model)
    optimizers = [optim.SGD(m.parameters(), lr=0.5) for m in (model, eager)]
    if is_explained:
        new = run_step(model, x, y, loss, optimizers[0], 0).new
        explained = {name: new[p] for name, p in model.named_parameters()}
    cr.Trainer(model, loss, optimizers[0], accumulate=accumulate).fit(
        x, y, epochs=1, batch_size=16 // accumulate, shuffle=False, progress=False
    )
    for part in np.split(np.arange(16), accumulate):
        (loss(eager(x[part]), y[part]) / accumulate).backward()
    optimizers[1].step()
    assert_close(weights(model), weights(eager))
    if is_explained:
        assert_close(explained, weights(eager))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_parameters_that_are_added_to_the_optimizer_are_trained_from_then_on(accumulate):
    x, y = classification(16)
    model = network()
    optimizer = optim.SGD(model[2].parameters(), lr=0.1, momentum=0.5)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, accumulate=accumulate)
    before = weights(model)
    trainer.fit(x, y, epochs=1, batch_size=4, progress=False)
    np.testing.assert_array_equal(model[0].weight.numpy(), before["0.weight"])
    optimizer.add_param_group({"params": list(model[0].parameters()), "lr": 0.2})
    trainer.fit(x, y, epochs=1, batch_size=4, progress=False)
    assert (model[0].weight.numpy() != before["0.weight"]).any()


def test_parameter_groups_with_rates_of_their_own():
    x, y = classification(ROWS)
    model = network()
    theirs = torch_network(model)
    options = {"lr": 0.1, "momentum": 0.9}
    optimizer = optim.SGD(
        [{"params": list(model[0].parameters()), "lr": 0.01}, {"params": model[2].parameters()}],
        **options,
    )
    wanted = torch.optim.SGD(
        [{"params": theirs[0].parameters(), "lr": 0.01}, {"params": theirs[2].parameters()}],
        **options,
    )
    cr.Trainer(model, nn.CrossEntropyLoss(), optimizer).fit(
        x, y, epochs=1, batch_size=BATCH, progress=False
    )
    for chosen in epoch_batches(ROWS, BATCH, 0, 0):
        wanted.zero_grad()
        torch.nn.functional.cross_entropy(
            theirs(torch.tensor(x[chosen])), torch.tensor(y[chosen])
        ).backward()
        wanted.step()
    assert_close(model.state_dict(), {k: v.numpy() for k, v in theirs.state_dict().items()})
