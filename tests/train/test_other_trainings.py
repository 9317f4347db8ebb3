"""A checkpoint of another model, loss, optimiser or of other data is refused, with what differs."""

import functools

import numpy as np
import pytest
from training_cases import (
    ShortRows,
    assert_same_bits,
    classification,
    everything,
    regression,
    trainer_of,
    weighted_cross_entropy,
)

import chainrule as cr
from chainrule import nn, optim


class Own(nn.Module):
    """A layer of one's own, with a setting in an attribute."""

    def __init__(self, power=2.0):
        super().__init__()
        self.power = power

    def forward(self, x):
        return cr.tanh(x) * self.power


class OwnLoss:
    """A loss that is no module."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, output, target):
        return ((output - target) ** 2).mean() * self.scale


def scaled(scale):
    return lambda output, target: ((output - target) ** 2).mean() * scale


def scaled_by(output, target, scale=1.0):
    return scaled(scale)(output, target)


def made(*middle, loss=None, optimizer=None, schedule=None, targets=3, **options):
    with cr.use_generator(cr.Generator(3)):
        model = nn.Sequential(
            nn.Linear(4, 4, dtype="float64"), *middle, nn.Linear(4, targets, dtype="float64")
        )
    optimizer = (optimizer or functools.partial(optim.Adam, lr=0.01))(model.parameters())
    options = {name: make(model) for name, make in options.items()}
    return trainer_of(model, loss, optimizer, schedule=schedule and schedule(optimizer), **options)


def powers(power):
    class Power(nn.Module):
        forward = power

    return Power


Squared, Cubed = powers(lambda self, x: x * x), powers(lambda self, x: x * x * x)


def linear(is_trained=True):
    layer = nn.Linear(4, 4, dtype="float64")
    layer.weight.requires_grad = is_trained
    return layer


def net(*middle, **options):
    return lambda: made(*[layer() for layer in middle], **options)


mse = functools.partial(net, nn.Tanh, targets=1)
penalty = lambda strength: lambda m: [nn.L2Penalty([m[0].weight], strength)]  # noqa: E731
rows = lambda largest: lambda m: [ShortRows(m[0].weight, largest)]  # noqa: E731

DIFFERENT = {
    "activation": (net(nn.Tanh), net(nn.ReLU), "model.1 Tanh; this Trainer has ReLU"),
    "rate of dropout": (
        net(lambda: nn.Dropout(0.5)),
        net(lambda: nn.Dropout(0.2)),
        "model.1.p 0.5; this Trainer has 0.2",
    ),
    "eps": (
        net(lambda: nn.LayerNorm(4, eps=1e-5, dtype="float64")),
        net(lambda: nn.LayerNorm(4, eps=1e-3, dtype="float64")),
        "model.1.eps 1e-05; this Trainer has 0.001",
    ),
    "momentum": (
        net(lambda: nn.BatchNorm1d(4, momentum=0.1, dtype="float64")),
        net(lambda: nn.BatchNorm1d(4, momentum=0.2, dtype="float64")),
        "model.1.momentum 0.1; this Trainer has 0.2",
    ),
    "order of layers": (net(nn.Tanh, nn.ReLU), net(nn.ReLU, nn.Tanh), "model.1 Tanh"),
    "layers of equal shapes": (
        net(lambda: nn.PReLU(4, dtype="float64")),
        net(lambda: nn.Scale(4, dtype="float64")),
        "model.1 PReLU; this Trainer has Scale",
    ),
    "one layer more": (net(nn.Tanh), net(nn.Tanh, nn.Flatten), "."),
    "own layer": (net(lambda: Own(2.0)), net(lambda: Own(3.0)), "model.1.power 2.0"),
    "loss": (
        net(nn.Tanh, loss=nn.CrossEntropyLoss()),
        net(nn.Tanh, loss=nn.MultiMarginLoss()),
        "loss CrossEntropyLoss; this Trainer has MultiMarginLoss",
    ),
    "setting of a loss": (
        mse(loss=nn.HuberLoss(delta=1.0)),
        mse(loss=nn.HuberLoss(delta=2.0)),
        "loss.delta 1.0; this Trainer has 2.0",
    ),
    "weights of a loss": (
        net(nn.Tanh, loss=nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 3.0]))),
        net(nn.Tanh, loss=nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 4.0]))),
        "constants of the loss.weight",
    ),
    "smoothing": (
        net(nn.Tanh, loss=nn.CrossEntropyLoss(label_smoothing=0.1)),
        net(nn.Tanh),
        "loss.label_smoothing 0.1; this Trainer has 0",
    ),
    "function for a loss": (net(nn.Tanh, loss=weighted_cross_entropy), net(nn.Tanh), "loss"),
    "own loss": (mse(loss=OwnLoss(1.0)), mse(loss=OwnLoss(2.0)), "loss.scale 1.0"),
    "closure": (mse(loss=scaled(1.0)), mse(loss=scaled(2.0)), "loss.scale 1.0"),
    "partial": (
        mse(loss=functools.partial(scaled_by, scale=1.0)),
        mse(loss=functools.partial(scaled_by, scale=3.0)),
        "loss.partial.2.scale 1.0; this Trainer has 3.0",
    ),
    "setting of an optimiser": (
        net(nn.Tanh, optimizer=functools.partial(optim.Adam, betas=(0.9, 0.999))),
        net(nn.Tanh, optimizer=functools.partial(optim.Adam, betas=(0.8, 0.999))),
        "optimizer.groups.0.betas.0 0.9; this Trainer has 0.8",
    ),
    "weight decay": (
        net(nn.Tanh, optimizer=functools.partial(optim.AdamW, weight_decay=0.1)),
        net(nn.Tanh, optimizer=functools.partial(optim.AdamW, weight_decay=0.2)),
        "optimizer.groups.0.weight_decay 0.1",
    ),
    "schedule": (
        net(nn.Tanh, schedule=lambda o: optim.StepLR(o, 5, gamma=0.5)),
        net(nn.Tanh, schedule=lambda o: optim.StepLR(o, 6, gamma=0.5)),
        "schedule.step_size 5; this Trainer has 6",
    ),
    "limit of gradients": (
        net(nn.Tanh, clip_norm=lambda m: 1.0),
        net(nn.Tanh, clip_norm=lambda m: None),
        "clip_norm 1.0; this Trainer has None",
    ),
    "penalty": (
        net(nn.Tanh, penalties=penalty(0.1)),
        net(nn.Tanh, penalties=penalty(0.2)),
        "penalties.0.strength 0.1",
    ),
    "constraint": (
        net(nn.Tanh, constraints=rows(1.0)),
        net(nn.Tanh, constraints=rows(2.0)),
        "constraints.0.largest 1.0",
    ),
    "code of a loss": (
        net(loss=lambda output, target: ((output - target) ** 2).mean(), targets=1),
        net(loss=lambda output, target: abs(output - target).mean(), targets=1),
        r"loss code \w{8}; this Trainer has code \w{8}",
    ),
    "constant of a loss": (
        net(loss=lambda output, target: 0.5 * abs(output - target).mean(), targets=1),
        net(loss=lambda output, target: 0.6 * abs(output - target).mean(), targets=1),
        r"loss code \w{8}; this Trainer has code",
    ),
    "code of a layer": (net(Squared), net(Cubed), r"model.1 code \w{8}; this Trainer has code"),
    "frozen parameters": (
        net(lambda: linear(is_trained=False)),
        net(linear),
        r"frozen parameters \['1.weight'\]; this Trainer has none",
    ),
    "decay of an average": (
        net(nn.Tanh, ema=lambda m: optim.EMA(m.parameters(), 0.9)),
        net(nn.Tanh, ema=lambda m: optim.EMA(m.parameters(), 0.8)),
        "ema.decay 0.9; this Trainer has 0.8",
    ),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_another_training_is_refused_with_what_differs(path, kind):
    one, other, words = DIFFERENT[kind]
    saved, trainer, same = one(), other(), one()
    x, y = classification(20) if saved.model[-1].out_features > 1 else regression(20)
    for each in (saved, trainer):
        each.fit(x, y, epochs=1, batch_size=8, progress=False)
    saved.save(path)
    before = everything(trainer)
    for load in (
        lambda: trainer.load(path),
        lambda: trainer.fit(x, y, batch_size=8, checkpoint=path, resume=True, progress=False),
    ):
        with pytest.raises(ValueError, match=f"does not fit this Trainer: .*{words}"):
            load()
        assert_same_bits(everything(trainer), before)
    same.load(path)  # made as it was, also after a training
    saved.load(path)
    assert_same_bits(everything(same), everything(saved))


def test_what_changes_while_training_is_no_difference(path):
    class Anneal(cr.Callback):
        def on_epoch_end(self, trainer, record):
            trainer.model[1].p *= 0.5
            trainer.optimizer.param_groups[0]["lr"] *= 0.5

    def annealed():
        return made(nn.Dropout(0.5), callbacks=lambda m: [Anneal()])

    x, y = classification(20)
    annealed().fit(x, y, epochs=2, batch_size=8, checkpoint=path, progress=False)
    assert annealed().fit(
        x, y, epochs=3, batch_size=8, checkpoint=path, resume=True, progress=False
    )["epoch"] == [1, 2, 3]


OTHER_DATA = {
    "x": lambda x, y: (x + 1e-3, y),
    "one value": lambda x, y: (np.where(np.arange(80).reshape(20, 4) == 78, 9.0, x), y),
    "order": lambda x, y: (x[::-1].copy(), y),
    "y": lambda x, y: (x, (y + 1) % 3),
    "rows": lambda x, y: (x[:-1], y[:-1]),
}


@pytest.mark.parametrize("kind", OTHER_DATA)
@pytest.mark.parametrize("epochs", [1, 2])
def test_resuming_on_other_data_is_refused(path, kind, epochs):
    x, y = classification(20)
    made().fit(x, y, epochs=1, batch_size=8, checkpoint=path, progress=False)
    trainer = made()
    before = everything(trainer)
    options = {"batch_size": 8, "checkpoint": path, "resume": True, "progress": False}
    words = "training on 20 rows, these are 19" if kind == "rows" else "other data of as many rows"
    with pytest.raises(ValueError, match=f"{words}.*without `resume`"):
        trainer.fit(*OTHER_DATA[kind](x, y), epochs=epochs, **options)
    assert_same_bits(everything(trainer), before)
    trainer.load(path)
    trainer.fit(*OTHER_DATA[kind](x, y), epochs=1, batch_size=8, progress=False)
    assert trainer.epoch == 2


def test_the_same_data_in_another_form_are_the_same(path, tmp_path):
    x, y = classification(3000)
    np.save(tmp_path / "x.npy", x)
    made().fit(x, y, epochs=1, batch_size=500, checkpoint=path, progress=False)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for epochs, given in ((2, x.tolist()), (3, mapped), (4, np.asfortranarray(x))):
        trainer = made()
        trainer.fit(
            given, y.tolist(), epochs=epochs, batch_size=500, checkpoint=path, resume=True,
            progress=False,
        )  # fmt: skip
        assert trainer.epoch == epochs
