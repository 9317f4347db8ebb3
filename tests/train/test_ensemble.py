"""Ensemble: members trained at once are those trained alone, and predict together."""

import signal

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5)).astype("float32")
LABELS = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
Y = X[:, :1] * X[:, 1:2]
LOSSES = {
    "classes": (nn.CrossEntropyLoss, 3, LABELS, nn.AverageClasses),
    "labels": (nn.BCEWithLogitsLoss, 2, (X[:, :2] > 0).astype("float32"), nn.AverageLabels),
    "numbers": (nn.MSELoss, 1, Y, nn.Average),
}


def maker(loss=nn.MSELoss, outputs=1, **options):
    def make_trainer(seed):
        # Members may differ in shape.
        width = 8 + 4 * (seed % 2)
        model = nn.Sequential(
            nn.Linear(5, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, outputs)
        )
        given = dict(options)
        if given.pop("averaged", False):
            given["ema"] = optim.EMA(model.parameters(), decay=0.9)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        return cr.Trainer(model, loss(), optimizer, seed=seed, **given)

    return make_trainer


def softmax(z):
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def entropy(p):
    return -(p * np.log(p)).sum(axis=-1)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_each_member_has_the_bits_that_it_has_alone(threads, capsys):
    make = maker(*LOSSES["classes"][:2])
    cr.set_num_threads(threads)
    try:
        ensemble = cr.Ensemble(make, 4, seed=3)
        histories = ensemble.fit(X, LABELS, epochs=3, batch_size=16, progress=False)
        assert cr.get_num_threads() == threads
    finally:
        cr.set_num_threads(None)
    assert not capsys.readouterr().out
    for number, trainer in enumerate(ensemble.trainers):
        with cr.use_generator(cr.Generator(3 + number)):
            alone = make(3 + number)
        alone.fit(X, LABELS, epochs=3, batch_size=16, progress=False)
        assert alone.history["loss"] == histories[number]["loss"]
        for mine, theirs in zip(trainer.model.parameters(), alone.model.parameters(), strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("kind", LOSSES)
def test_predictions_are_means_and_a_file_holds_them(kind, averaged, tmp_path, capsys):
    loss, outputs, y, module = LOSSES[kind]
    make = maker(loss, outputs, averaged=averaged, metrics=["accuracy"] * (kind == "classes"))
    ensemble = cr.Ensemble(make, 3)
    ensemble.fit(X, y, epochs=2, validation_fraction=0.2)
    assert [line[:9] for line in sorted(capsys.readouterr().out.splitlines())] == [
        "member 0:", "member 1:", "member 2:"
    ]  # fmt: skip
    raw = np.stack([trainer.predict(X) for trainer in ensemble.trainers]).astype(np.float64)
    if kind == "classes":
        p = softmax(raw)
        spread = entropy(p.mean(axis=0)) - entropy(p).mean(axis=0)
    elif kind == "labels":
        p = 1 / (1 + np.exp(-raw))
        both = np.stack([p, 1 - p], axis=-1)
        spread = entropy(both.mean(axis=0)) - entropy(both).mean(axis=0)
    else:
        p, spread = raw, raw.std(axis=0)
    np.testing.assert_allclose(ensemble.predict_members(X), p, rtol=1e-5)
    np.testing.assert_allclose(ensemble.predict(X), p.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(ensemble.disagreement(X), spread, rtol=1e-2, atol=1e-6)
    measured = ensemble.evaluate(X, y)
    if kind == "classes":
        assert measured["accuracy"] == np.mean(p.mean(axis=0).argmax(axis=1) == y)
        chosen = p.mean(axis=0)[np.arange(len(y)), y]
        assert measured["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    path = tmp_path / "ensemble.safetensors"
    ensemble.save(path, {"unit": "m"})
    model = cr.load(path)
    assert type(model) is module and cr.read_metadata(path) == {"unit": "m"}
    np.testing.assert_allclose(
        cr.Predictor(path).predict(X), ensemble.model(X).numpy(), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(cr.Predictor(ensemble).predict(X), cr.Predictor(path).predict(X))
    again = cr.Ensemble(make, 4)
    again.load(path)
    np.testing.assert_allclose(again.predict(X), ensemble.predict(X), rtol=1e-6)
    with pytest.raises(RuntimeError, match="trained"):
        ensemble.load(path)
    with pytest.raises(cr.FileError, match="has 3 members"):
        cr.Ensemble(make, 2).load(path)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_classes_are_on_axis_1_as_the_losses_have_them(loss):
    x = RNG.normal(size=(12, 2, 4)).astype("float32")
    y = RNG.integers(0, 3, (12, 4))

    def make_trainer(seed):
        layers = [nn.Conv1d(2, 3, 1)] + [nn.LogSoftmax(1)] * (loss is nn.NLLLoss)
        model = nn.Sequential(*layers)
        return cr.Trainer(model, loss(), optim.SGD(model.parameters(), lr=0.1))

    ensemble = cr.Ensemble(make_trainer, 3)
    raw = np.stack([trainer.predict(x) for trainer in ensemble.trainers]).astype(np.float64)
    p = np.moveaxis(softmax(np.moveaxis(raw, 2, -1)), -1, 2)
    np.testing.assert_allclose(ensemble.predict_members(x), p, rtol=1e-5)
    spread = -(p.mean(0) * np.log(p.mean(0))).sum(1) + (p * np.log(p)).sum(2).mean(0)
    np.testing.assert_allclose(ensemble.disagreement(x), spread, rtol=1e-2, atol=1e-6)
    chosen = np.take_along_axis(p.mean(axis=0), y[:, None], axis=1)
    assert ensemble.evaluate(x, y)["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    row = nn.AverageClasses(nn.Identity())(cr.tensor([1.0, 2.0]))
    np.testing.assert_allclose(row.numpy(), np.log(softmax(np.array([1.0, 2.0]))), rtol=1e-5)


@pytest.mark.parametrize("kind", [nn.Average, nn.AverageClasses, nn.AverageLabels])
def test_averages_are_lists(kind):
    members = [nn.Linear(5, 2) for _ in range(3)]
    average = kind(*members)
    first, longer = average[:2], average.__add__([nn.ReLU()])
    assert type(first) is type(longer) is kind
    assert list(first) == members[:2] and list(longer)[:3] == members and len(longer) == 4
    assert len(average) == 3


class _At(cr.Callback):
    def __init__(self, action):
        self.action = action

    def on_epoch_end(self, trainer, record):
        if trainer.epoch == 2:
            self.action()


def test_ctrl_c_leaves_a_usable_ensemble_and_an_error_names_the_member():
    def make_trainer(seed):
        trainer = maker()(seed)
        if seed == 0:  # where one thread runs, the others wait for its end
            trainer.callbacks.append(_At(lambda: signal.raise_signal(signal.SIGINT)))
        return trainer

    ensemble = cr.Ensemble(make_trainer, 40)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        histories = ensemble.fit(X, Y, epochs=10**6, progress=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(histories) == len(ensemble) < 40
    assert {history.stop_reason for history in histories} == {"interrupted"}
    assert np.isfinite(ensemble.predict(X)).all()

    def fails(seed):
        trainer = maker()(seed)
        if seed == 1:
            trainer.optimizer.param_groups[0]["lr"] = 1e30
        return trainer

    with pytest.raises(cr.NonFiniteError, match=r"member 1: training became non-finite"):
        cr.Ensemble(fails, 3).fit(X, Y, epochs=10**6, progress=False)


def test_what_does_not_fit_is_refused():
    model = nn.Linear(5, 1)
    with pytest.raises(ValueError, match="same model twice"):
        cr.Ensemble(
            lambda seed: cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1)), 2
        )
    early, shared = cr.EarlyStopping("loss"), nn.Linear(5, 1)
    for given, said in (
        ((nn.Linear, [early]), r"same callback \(EarlyStopping\) twice"),
        ((lambda *_: nn.Sequential(shared), []), r"same parameter \(0.weight\) twice"),
    ):

        def make_trainer(seed, kind=given[0], callbacks=given[1]):
            model = kind(5, 1)
            optimizer = optim.SGD(model.parameters(), lr=0.1)
            return cr.Trainer(model, nn.MSELoss(), optimizer, callbacks=callbacks)

        with pytest.raises(ValueError, match=said):
            cr.Ensemble(make_trainer, 2)
    with pytest.raises(TypeError, match="make_trainer is a function seed -> a new Trainer, got"):
        cr.Ensemble([maker()(0), maker()(1)])
    with pytest.raises(TypeError, match="make_trainer returns a Trainer, got"):
        cr.Ensemble(lambda seed: nn.Linear(5, 1))
    with pytest.raises(TypeError, match="iterable of batches"):
        cr.Ensemble(maker()).fit(cr.data.batches(X, Y, 8), None)
    with pytest.raises(ValueError, match="no modules yet"):
        nn.Average()(X)
