"""fit: a table becomes a model, by the recipe of RealMLP."""

import copy
import math
import signal
import time
from typing import get_args

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, tabular
from chainrule.errors import FileError
from chainrule.tabular.calibration import softmax, temperature
from chainrule.tabular.criteria import Gaussian, Quantiles
from chainrule.tabular.recipe import RecipeSchedule, TaskName, optimizer_of, realmlp
from chainrule.tabular.training import hold_out, train
from chainrule.train import model_file, plain_values

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
LABELS = np.where(X[:, 0] + 0.5 * X[:, 1] > 0, "up", "down")
Y = 100 + 10 * X[:, 0] - 5 * X[:, 1] ** 2
SMALL = {"hidden": [24]}


@pytest.mark.parametrize("preset", tabular.PRESETS)
def test_every_preset_learns_classes_and_numbers(preset):
    several = {"members": 2} if preset in ("ensemble", "best") else {}
    model = tabular.fit(X, LABELS, "classification", preset=preset, epochs=40, **SMALL, **several)
    assert (model.predict(X) == LABELS).mean() > 0.9
    assert model.predict_proba(X).shape == (300, 2)
    model = tabular.fit(X, Y, "regression", preset=preset, epochs=100, **SMALL, **several)
    assert np.corrcoef(model.predict(X), Y)[0, 1] > 0.95
    count = len(tabular.fit(X, Y, "regression", preset=preset, epochs=1, **SMALL).members)
    assert count == {"ensemble": 5, "best": 10}.get(preset, 1)
    assert Y.min() <= model.predict(100 * X).min() <= model.predict(100 * X).max() <= Y.max()


def test_the_last_best_epoch_is_kept_and_the_report_says_which():
    model = tabular.fit(X, LABELS, "classification", epochs=12, validation=(X[:60], LABELS[:60]))
    (member,) = model.report["members"]
    errors = member["epochs"]["validation_error"]
    assert member["best_epoch"] == 12 - int(np.argmin(errors[::-1]))
    wrong = (model.predict(X[:60]) != LABELS[:60]).mean()
    assert member["validation_error"] == min(errors) == pytest.approx(wrong)
    assert model.members[0].layers[2].p == 0.15  # the schedule of the dropout is over


def test_the_best_epoch_is_chosen_by_predictions_within_the_range_of_the_targets():
    rows = X[:60], Y[:60]
    wild = {"epochs": 1, "lr": 10.0, "batch_size": 32}
    model = tabular.fit(X, Y, "regression", **wild, validation=rows, **SMALL)
    predicted = model.predict(X[:60])
    assert {Y.min(), Y.max()} & set(predicted)
    error = np.sqrt(np.mean((predicted - Y[:60]) ** 2)) / Y.std()
    assert model.report["members"][0]["validation_error"] == pytest.approx(error)


def test_a_file_holds_all_of_it(tmp_path):
    table = np.concatenate([X.astype(object), RNG.choice(list("abcdefghijk"), (300, 1))], axis=1)
    model = tabular.fit(table, Y, "regression", epochs=3, preset="ensemble", members=2, **SMALL)
    path = tmp_path / "model.safetensors"
    model.save(path)
    for again in (tabular.TabularModel.load(path), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.predict(table), model.predict(table))
        assert again.columns == model.columns
        assert again.report["preset"] == "ensemble"
    cr.save({"tabular": 1, "columns": {}}, path)
    with pytest.raises(FileError, match="damaged"):
        tabular.TabularModel.load(path)
    cr.save(nn.Linear(1, 1), path)
    with pytest.raises(FileError, match="no TabularModel"):
        tabular.TabularModel.load(path)


def test_several_targets_weights_and_labels_of_any_type():
    both = np.stack([Y, -Y], axis=1)
    model = tabular.fit(X, both, "regression", epochs=3, **SMALL)
    assert model.predict(X).shape == both.shape
    for labels in ([True, False], [3, 7], ["no", "yes"]):
        y = np.array(labels)[(X[:, 0] > 0).astype(int)]
        model = tabular.fit(X, y, "classification", epochs=3, **SMALL)
        assert set(model.predict(X).tolist()) <= set(labels)
        assert model.target.labels == tuple(sorted(labels))
    # A weight of 0 leaves a row out.
    weights = (np.arange(300) < 200).astype(float)
    wrong = np.where(np.arange(300) < 200, Y, 1e6)
    model = tabular.fit(X, wrong, "regression", epochs=3, sample_weight=weights, **SMALL)
    assert model.predict(X).max() < 1000
    given = {"epochs": 3, **SMALL}  # only their ratios count
    plain = tabular.fit(X, Y, "regression", sample_weight=np.ones(300), **given)
    for size in (1e308, 1e-320):
        model = tabular.fit(X, Y, "regression", sample_weight=np.full(300, size), **given)
        np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=1e-5)


def test_a_category_without_rows_is_validated_as_0_and_predicted_as_the_mean():
    """Its vector has no gradient, and where it began by chance does not count."""
    names = np.array([f"n{i % 15}" for i in range(300)], object)
    table = {"x": X[:, 0], "name": names}
    vectors = []

    class Looks(cr.Callback):
        def on_epoch_end(self, trainer, record):
            vectors.append(trainer.model.embedding.weight.numpy())

    held = ({"x": X[:20, 0], "name": np.array(["new"] * 20, object)}, Y[:20])
    given = {"validation": held, "categorical": ["name"], "callbacks": [Looks()], **SMALL}
    model = tabular.fit(table, Y, "regression", epochs=4, **given)
    for vector in vectors:
        assert np.flatnonzero(~vector.any(axis=1)).tolist() == [0, 1]  # missing, and never seen
    known = model.members[0].embedding.weight.numpy()
    mean = np.tile(known[2:].mean(axis=0), (2, 1))
    np.testing.assert_allclose(known[:2], mean, rtol=1e-4, atol=1e-6)


def test_a_budget_of_time_shortens_the_schedule():
    begin = time.monotonic()
    model = tabular.fit(X, Y, "regression", epochs=100_000, time_budget=0.7, **SMALL)
    assert time.monotonic() - begin < 5
    assert 3 < model.report["members"][0]["epochs"]["epoch"][-1] < 100_000


def test_a_budget_of_time_takes_the_epochs_that_fit(monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])

    class Clock(cr.Callback):
        def on_epoch_begin(self, trainer):
            seconds[0] += 5.0 if trainer.epoch == 0 else 0.5  # the first one compiles

    given = {"epochs": 1000, "batch_size": 60, "time_budget": 30, "callbacks": [Clock()], **SMALL}
    model = tabular.fit(X, Y, "regression", **given)
    assert 48 <= model.report["members"][0]["epochs"]["epoch"][-1] <= 52


@pytest.fixture
def one_at_a_time():
    """Members of ensembles are trained one after another."""
    cr.set_num_threads(1)
    yield
    cr.set_num_threads(None)


@pytest.mark.usefixtures("one_at_a_time")
def test_members_of_an_ensemble_share_the_budget(monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])

    class Clock(cr.Callback):  # of the first member alone
        def on_epoch_begin(self, trainer):
            seconds[0] += 0.5

    few = {"preset": "ensemble", "members": 3, "epochs": 100, "hidden": [8], "time_budget": 30}
    model = tabular.fit(X, Y, "regression", callbacks=[Clock()], **few)
    epochs = [member["epochs"]["epoch"][-1] for member in model.report["members"]]
    assert 19 <= epochs[0] <= 21 and epochs[1:] == [100, 100]


@pytest.mark.usefixtures("one_at_a_time")
def test_an_ensemble_has_the_members_that_begin_within_the_budget(monkeypatch):
    def slow(*given, **named):
        time.sleep(0.2)
        return train(*given, **named)

    monkeypatch.setattr("chainrule.tabular.fitting.train", slow)
    few = {"preset": "best", "members": 40, "epochs": 2, "hidden": [8], "time_budget": 0.5}
    assert 1 <= len(tabular.fit(X, Y, "regression", **few).members) < 20


def test_an_ensemble_is_the_same_each_time_and_ends_when_it_must():
    few = {"preset": "ensemble", "members": 3, "hidden": [8]}
    first, second = (tabular.fit(X, Y, "regression", epochs=4, **few) for _ in range(2))
    np.testing.assert_array_equal(first.predict(X), second.predict(X))
    begin = time.monotonic()
    tabular.fit(X, Y, "regression", epochs=10**6, time_budget=0.6, **few)

    class Fails(cr.Callback):
        def on_epoch_end(self, trainer, record):
            raise RuntimeError("enough")

    class Interrupts(cr.Callback):
        def on_epoch_end(self, trainer, record):
            if trainer.epoch == 3:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(RuntimeError, match="enough"):
        tabular.fit(X, Y, "regression", epochs=10**6, callbacks=[Fails()], **few)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        model = tabular.fit(X, Y, "regression", epochs=10**6, callbacks=[Interrupts()], **few)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(model.members) in (1, 2, 3)  # those that had begun
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize("loss", ["squared_error", "quantile", "gaussian"])
def test_numbers_are_averaged_by_the_errors_of_the_members(loss, tmp_path):
    y = np.where(np.arange(300) % 3 == 0, Y + 5000 * (X[:, 2] > 1.5), Y)  # one fold is harder
    given = {"preset": "ensemble", "members": 3, "epochs": 30, "loss": loss, **SMALL}
    model = tabular.fit(X, y, "regression", **given)
    errors = np.array([m["validation_error"] for m in model.report["members"]])
    expected = np.array(model.weights)
    if loss == "squared_error":
        np.testing.assert_allclose(expected, errors**-2 / (errors**-2).sum())
    assert (
        max(expected) == min(expected)
        if loss == "quantile"
        else max(expected) > 1.2 * min(expected)
    )
    alone = [
        tabular.TabularModel(
            model.columns, model.target, [m], [t], [1.0], model.report, model.scores
        )
        for m, t in zip(model.members, model.temperatures, strict=True)
    ]
    means = np.stack([one.predict(X) for one in alone])
    np.testing.assert_allclose(model.predict(X), expected @ means)
    width = np.stack([np.subtract(*one.predict_interval(X)[::-1]) for one in alone])
    found = np.subtract(*model.predict_interval(X)[::-1])
    assert loss == "quantile" or np.allclose(found, expected @ width)
    if loss == "gaussian":
        inner = expected @ np.square([one.predict_std(X) for one in alone])
        apart = expected @ np.square(means - expected @ means)
        np.testing.assert_allclose(model.predict_std(X) ** 2, inner + apart)
    path = tmp_path / "model.safetensors"
    model.save(path)
    assert tabular.TabularModel.load(path).weights == model.weights
    for weights, text in (
        ([1.0, 1.0, 1.0], "do not sum to 1"),
        ([1.5, -0.5, 0.0], "do not sum to 1"),
        ([0.5, 0.5], "3 networks, 3 temperatures, 2 weights"),
    ):
        cr.save(model.to_dict() | {"weights": weights}, path)
        with pytest.raises(FileError, match=text):
            tabular.TabularModel.load(path)


def test_a_class_of_one_row_is_learnt_by_every_member():
    x, labels = X[:60, :2].copy(), LABELS[:60].astype(object)
    x[7], labels[7] = 8.0, "once"
    given = {"preset": "ensemble", "members": 3, "epochs": 60, "validation_fraction": 0.34}
    model = tabular.fit(x, labels, "classification", **given, **SMALL)
    for m, t in zip(model.members, model.temperatures, strict=True):
        one = tabular.TabularModel(model.columns, model.target, [m], [t], [1.0], {})
        assert one.predict_proba(x[7:8])[0, model.classes.index("once")] > 0.5


def test_classes_are_averaged_with_equal_weights():
    given = {"preset": "ensemble", "members": 3, "epochs": 5, **SMALL}
    model = tabular.fit(X, LABELS, "classification", **given)
    assert model.weights == pytest.approx([1 / 3] * 3)


def test_schedules_and_groups_are_those_of_the_recipe():
    recipe = realmlp("regression")
    assert [realmlp(task, simple=True).lr for task in get_args(TaskName)] == [0.04, 0.07]
    model = nn.RealMLP(2, 1, 1, 12, 1, (8, 4), dropout=recipe.dropout)
    optimizer = optimizer_of(model, recipe)
    rates = {p: g["lr"] for g in optimizer.param_groups for p in g["params"]}
    decays = {p: g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert rates.keys() == set(model.parameters())
    last = model.layers[-1]
    assert rates[last.weight] == pytest.approx(0.2 / 2)
    assert rates[last.weight] * decays[last.weight] == pytest.approx(0.2 * 0.02)
    assert (rates[last.bias], decays[last.bias]) == (pytest.approx(0.02), 0)
    assert rates[model.front.weight] == pytest.approx(1.2)
    assert rates[model.periodic.frequency] == pytest.approx(0.02)
    assert rates[model.layers[1].weight] == pytest.approx(0.02)  # a learnt activation
    assert rates[model.embedding.weight] == pytest.approx(0.2)
    schedule = RecipeSchedule(optimizer, model, steps=100)
    for t in (0, 1, 30, 60, 99):
        p = t / 100
        wave = (1 - math.cos(2 * math.pi * math.log2(1 + 15 * p))) / 2
        fall = 1 if p < 0.5 else (1 + math.cos(math.pi * (2 * p - 1))) / 2
        assert schedule.lrs(t)[0] == pytest.approx(rates[model.layers[0].weight] * wave)
        schedule.advance(t - schedule.t, schedule.scalars(t))
        assert model.layers[2].p == pytest.approx(0.15 * fall)
        assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(
            decays[model.layers[0].weight] * fall
        )


def test_scaled_steps_of_adam_are_the_neural_tangent_parametrisation():
    """z = W x / sqrt(d) trained with lr is z = W' x with lr / sqrt(d)."""
    d, x, y = 5, RNG.normal(size=(20, 5)), RNG.normal(size=(20, 1))
    W, m, v, bias = RNG.normal(size=(1, d)), 0, 0, 0.0
    model = nn.RealMLP(0, d, 0, 0, 1, (), dtype="float64")
    layer = model.layers[0]
    layer.weight.assign(W / math.sqrt(d))
    model.front.requires_grad_(False)
    optimizer = optimizer_of(model, realmlp("regression"))
    for t in range(1, 6):
        optimizer.zero_grad()
        (layer(x) - y).square().mean().backward()
        optimizer.step()
        z = x @ W.T / math.sqrt(d) + bias
        g = 2 * ((z - y) * x / math.sqrt(d)).mean(axis=0, keepdims=True)
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g
        W = W * (1 - 0.2 * 0.02)
        W = W - 0.2 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)
        bias = layer.bias.numpy()
        np.testing.assert_allclose(layer.weight.numpy(), W / math.sqrt(d), rtol=1e-9)


def test_the_network_is_its_formula():
    model = nn.RealMLP(2, 1, 1, 12, 3, (4,), "mish", simple=False, dtype="float64").eval()
    numbers, codes = RNG.normal(size=(6, 3)), RNG.integers(0, 12, (6, 1))
    model.fit(numbers)
    nn.data_driven_(model, {"numbers": numbers, "codes": codes})
    q25, median, q75 = np.quantile(numbers, [0.25, 0.5, 0.75], axis=0)
    z = (numbers - median) / (q75 - q25)
    z = z / np.sqrt(1 + (z / 3) ** 2)
    w, c, V, d = (
        p.numpy()
        for p in (
            model.periodic.frequency, model.periodic.phase, model.periodic.weight,
            model.periodic.bias,
        )
    )  # fmt: skip
    waves = np.cos(2 * np.pi * z[:, :2, None] * w + c)
    embedded = np.einsum("nfk,fko->nfo", waves, V) + d
    h = [z[:, :2], embedded.reshape(6, -1), z[:, 2:], model.embedding.weight.numpy()[codes[:, 0]]]
    h = np.concatenate(h, axis=1) * model.front.weight.numpy()
    first, active, _, last = model.layers
    h = h @ first.weight.numpy().T + first.bias.numpy()
    np.testing.assert_allclose(h.std(axis=0), 1)  # on the data that it starts from
    mish = h * np.tanh(np.log1p(np.exp(h)))
    h = h + active.weight.numpy() * (mish - h)
    wanted = h @ last.weight.numpy().T + last.bias.numpy()
    found = model(numbers=cr.tensor(numbers), codes=cr.tensor(codes)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_temperature_has_the_least_cross_entropy():
    z = 4 * RNG.normal(size=(2000, 3))
    true = softmax(z / 2.5)
    y = (true.cumsum(axis=1) > RNG.random((2000, 1))).argmax(axis=1)
    found = temperature(z, y, None)

    def loss(t):
        return -np.log(softmax(z / t)[np.arange(2000), y]).mean()

    assert found == pytest.approx(2.5, rel=0.1)
    assert loss(found) < min(loss(0.9 * found), loss(1.1 * found))
    assert (
        1 < 1 / temperature(z, z.argmax(axis=1), None) < 50
    )  # all are right, and yet it is finite
    weights = RNG.uniform(size=2000)
    expected = temperature(z, y, weights)
    shifted = z + RNG.normal(size=(2000, 1))  # which is the same softmax
    assert temperature(shifted, y, weights) == pytest.approx(expected)
    assert temperature(z, y, 1e-200 * weights) == pytest.approx(expected)
    more = np.concatenate([z, 20 * z[:1900]]), np.concatenate([y, y[:1900]])
    for least in (0.0, 1e-300):
        found = temperature(*more, np.append(weights, np.full(1900, least)))
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"target": LABELS[:-1]}, ValueError, "different numbers of rows"),
        ({"target": ["up"] * 300}, ValueError, "two classes"),
        ({"target": np.where(X[:, 0] > 0, None, "up")}, ValueError, "missing at row"),
        ({"task": "ranking"}, ValueError, "task is"),
        ({"preset": "slow"}, ValueError, "preset is 'fast', 'default'"),
        ({"sample_weight": np.zeros(300)}, ValueError, "is 0 in all 300 rows"),
        ({"sample_weight": [1.0]}, ValueError, "one number a row"),
        ({"validation": X}, ValueError, "validation is"),
        ({"validation": (X,)}, ValueError, "validation is"),
        ({"loss": "gaussian"}, ValueError, "loss='gaussian' is for a regression"),
        ({"validation_fraction": 1.0}, ValueError, r"in \[0, 1\)"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"task": "regression"}, TypeError, "regression predicts numbers"),
    ],
)
def test_bad_arguments(change, error, said):
    with pytest.raises(error, match=said):
        tabular.fit(**{"table": X, "target": LABELS, "task": "classification", **change})


def test_criteria_are_their_formulas():
    outputs, y, w = RNG.normal(size=(9, 2)), RNG.normal(size=(9, 1)), RNG.uniform(size=9)
    sigma2 = np.log1p(np.exp(outputs[:, 1])) + 1e-6
    density = np.exp(-((y[:, 0] - outputs[:, 0]) ** 2) / (2 * sigma2)) / np.sqrt(sigma2)
    pinball = np.where(y > outputs, [0.1, 0.7], [0.9, 0.3]) * np.abs(y - outputs)
    for criterion, rows in (
        (Gaussian(), -np.log(density)),
        (Quantiles([0.1, 0.7]), pinball.mean(axis=1)),
    ):
        given = [cr.tensor(outputs), cr.tensor(y)]
        assert criterion.loss(*given).item() == pytest.approx(rows.mean())
        weighted = criterion.loss(*given, sample_weight=cr.tensor(w)).item()
        assert weighted == pytest.approx((w * rows).mean())
        assert criterion.error(outputs, y, w) == pytest.approx((w @ rows) / w.sum())


def test_importances_name_the_columns_that_matter():
    letters = RNG.choice(list("abcdefghijkl"), 300)
    table = np.concatenate([X[:, :2].astype(object), letters[:, None]], axis=1)
    y = 3 * X[:, 0] + 2.0 * (letters < "d")
    model = tabular.fit(table, y, "regression", epochs=120, **SMALL)
    found = model.importances(table)
    assert sum(found.values()) == pytest.approx(1)
    assert found["x0"] > found["x2"] > found["x1"]
    with pytest.raises(ValueError, match="x has 0 sample"):
        model.importances(table[:0])


def test_rows_held_out_are_a_share_of_all_and_leave_one_of_each_class():
    for classes, each in ((60, 2), (50, 7), (2, 100), (5, 1)):
        targets = np.repeat(np.arange(classes), each)
        train, held = hold_out(len(targets), 0.2, 0, targets)
        assert set(train) | set(held) == set(range(len(targets)))
        assert len(set(targets[train])) == classes
        if each > 1:
            assert len(held) == pytest.approx(0.2 * len(targets), abs=1)
    targets = np.repeat([0, 1], [90, 10])
    _, held = hold_out(100, 0.2, 3, targets)
    assert np.bincount(targets[held]).tolist() == [18, 2]


def test_a_file_whose_networks_share_tensors(tmp_path):
    state = tabular.fit(X, Y, "regression", epochs=1, **SMALL).to_dict()
    described, arrays = plain_values.split(state)
    items = dict(described["dict"])
    items["members"]["list"] *= 50  # which name the same tensors
    items["temperatures"]["list"] *= 50
    path = tmp_path / "many.safetensors"
    tensors = {f"values.{name}": array for name, array in arrays.items()}
    model_file.write(path, tensors, {"values": {"dict": list(items.items())}, "metadata": {}})
    with pytest.raises(FileError, match="share a tensor"):
        tabular.TabularModel.load(path)


@pytest.mark.parametrize("loss", ["squared_error", "gaussian", "quantile"])
def test_a_column_of_targets_gives_a_column_of_predictions(loss):
    x = np.linspace(-1, 1, 60).reshape(-1, 1)
    model = tabular.fit(x, x, "regression", loss=loss, epochs=1, hidden=[4])
    low, high = model.predict_interval(x)
    assert model.predict(x).shape == low.shape == high.shape == (60, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": (0.0, 1.0)},
        {"mean": ()},
        {"scale": (0.0,)},
        {"scale": (float("nan"),)},
        {"mean": ("a",)},
        {"low": (2.0,), "high": (1.0,)},
        {"loss": "cubic"},
        {"loss": "quantile", "quantiles": (0.9, 0.1)},
        {"loss": "quantile", "quantiles": ()},
        {"is_vector": "no"},
        {"labels": ("a", 1)},
        {"labels": ("a",)},
        {"labels": ("b", "a")},
        {"labels": ("a", "a")},
        {"labels": (None, None)},
        {"labels": 3},
    ],
)
def test_targets_of_a_file_are_checked_one_by_one(change, tmp_path):
    x = np.linspace(-1, 1, 40).reshape(-1, 1)
    task = "classification" if "labels" in change else "regression"
    y = x[:, 0] if task == "regression" else np.where(x[:, 0] > 0, "a", "b")
    model = tabular.fit(x, y, task, epochs=1, hidden=[4])
    found = model.to_dict()
    found["target"] = {**found["target"], **change}
    cr.save(found, tmp_path / "model.safetensors")
    with pytest.raises(cr.FileError, match="describes no target"):
        tabular.TabularModel.load(tmp_path / "model.safetensors")


def test_categories_without_rows_have_the_mean_vector_of_the_others():
    towns = RNG.choice([f"town {number}" for number in range(11)], 300)
    table = np.stack([towns.astype(object), X[:, 0]], axis=1)
    model = tabular.fit(table, Y, "regression", epochs=3, validation_fraction=0, **SMALL)
    vectors = model.members[0].embedding.weight.numpy()
    values, counts = np.unique(towns, return_counts=True)
    assert model.columns.sizes == (len(values) + 2,)
    mean = (vectors[2:] * counts[:, None]).sum(axis=0) / 300
    for code in (0, 1):  # unknown ones, and missing ones
        np.testing.assert_allclose(vectors[code], mean, rtol=1e-5, atol=1e-6)
    fast = tabular.fit(table, Y, "regression", preset="fast", epochs=1, **SMALL)
    assert fast.columns.sizes == () and fast.columns.plain == len(values)


def test_rows_held_out_have_no_part_in_the_columns():
    order = np.random.default_rng(3).permutation(300)
    table = np.array([[f"v{number}" if row < 3 else "v0"] for row, number in enumerate(order)])
    frame = {"kind": [row[0] for row in table], "x": X[:, 0]}
    model = tabular.fit(frame, Y, "regression", epochs=1, **SMALL)
    train, held = hold_out(len(Y), 0.2, 0, None)
    assert model.target.mean == pytest.approx((Y[train].mean(),), rel=1e-12)
    assert model.target.scale == pytest.approx((Y[train].std(),), rel=1e-12)
    expected = tabular.Columns.fit(frame, rows=train)
    assert model.columns == expected and len(held) == 60


def test_rows_without_weight_have_no_part_in_the_columns_of_an_ensemble():
    used = np.arange(300) < 200
    frame = {"x": X[:, 0], "kind": np.where(used, np.where(X[:, 1] > 0, "a", "b"), "rare")}
    given = {"preset": "ensemble", "members": 2, "epochs": 1, **SMALL}
    model = tabular.fit(frame, Y, "regression", sample_weight=used.astype(float), **given)
    assert model.columns == tabular.Columns.fit(frame, rows=np.flatnonzero(used))


@pytest.mark.parametrize("given", [{}, {"preset": "ensemble", "members": 2}])
def test_predictions_have_the_range_of_all_rows_that_count(given):
    weights = (np.arange(300) < 290).astype(float)
    for seed in range(3):  # by any order of the rows
        model = tabular.fit(
            X, Y, "regression", sample_weight=weights, epochs=1, seed=seed, **given, **SMALL
        )
        target, used = model.target, Y[:290]
        assert target.low + target.high == (used.min(), used.max())


def test_decisions_on_columns_are_given_once():
    frame = {"x": X[:, 0], "z": X[:, 1]}
    columns = tabular.Columns.fit(frame, drop=["z"])
    given = {"preset": "fast", "epochs": 1, **SMALL}
    assert tabular.fit(frame, Y, "regression", columns=columns, **given).columns == columns
    for asked in ({"drop": ["x"]}, {"categorical": ["x"]}, {"numeric": ["x"]}, {"dates": ["x"]}):
        with pytest.raises(ValueError, match=r"give .*drop to tabular.Columns.fit"):
            tabular.fit(frame, Y, "regression", columns=columns, **asked, **given)
    with pytest.raises(TypeError, match=r"columns is what tabular.Columns.fit gives, got \['x'\]"):
        tabular.fit(frame, Y, "regression", columns=["x"], **given)


def test_encoded_rows_go_by_their_names_and_are_checked():
    frame = {"x": X[:, 0], "town": RNG.choice([f"town {n}" for n in range(11)], 300)}
    model = tabular.fit(frame, Y, "regression", epochs=1, **SMALL)
    arrays = model.columns.transform(frame)
    turned = dict(reversed(arrays.items()))
    assert list(turned) == ["codes", "numbers"]
    np.testing.assert_array_equal(model.predict_encoded(turned), model.predict(frame))
    wrong = {
        "NaN or infinite": {**arrays, "numbers": np.full_like(arrays["numbers"], np.nan)},
        "codes are in": {**arrays, "codes": arrays["codes"] + 1000},
        "the widths": {"numbers": arrays["numbers"]},
        "numbers of rows": {**arrays, "codes": arrays["codes"][:2]},
    }
    for said, given in wrong.items():
        with pytest.raises(ValueError, match=said):
            model.predict_encoded(given)


@pytest.mark.parametrize(
    "bad", ["median", "start", "scores", "nan scores", "weights", "hot", "cold"]
)
def test_numbers_of_a_file_are_checked(bad, tmp_path):
    days = np.datetime64("2020-01-01") + np.arange(300)
    model = tabular.fit({"x": X[:, 0], "d": days}, Y, "regression", epochs=1, **SMALL)
    found = model.to_dict()
    number, date = found["columns"]["columns"]
    if bad == "median":
        number["median"] = float("nan")
    elif bad == "start":
        date["start"] = float("inf")
    elif bad == "weights":
        found["score_weights"] = np.zeros(len(found["scores"]))
    elif bad in ("hot", "cold"):
        found["temperatures"] = [float("nan") if bad == "hot" else 0.0]
    else:
        found["scores"] = np.ones((5, 2)) if bad == "scores" else np.full((5, 1), np.nan)
    cr.save(found, tmp_path / "model.safetensors")
    with pytest.raises(FileError, match="damaged"):
        tabular.TabularModel.load(tmp_path / "model.safetensors")


def test_targets_far_from_those_of_the_training_are_refused():
    held = np.arange(4.0).reshape(-1, 1), np.array([0.0, 1.0, 1e30, 2.0])
    rows = X[:, :1], Y
    with pytest.raises(ValueError, match=r"y: row 2 \(counted from 0\) holds 1e\+30, too far from"):
        tabular.fit(*rows, "regression", validation=held, epochs=1, **SMALL)
    target = np.where(np.arange(300) == 7, -2e300, Y)
    with pytest.raises(ValueError, match=r"y: row 7 .* of size 2e\+300, .* takes 1e\+300 at most"):
        tabular.fit(X, target, "regression", epochs=1, **SMALL)
    weight = (np.arange(300) != 7).astype(float)
    target[7] = 1e100  # which counts for nothing
    tabular.fit(X, target, "regression", sample_weight=weight, epochs=1, **SMALL)
    held = X, target, weight
    tabular.fit(X, Y, "regression", validation=held, epochs=1, **SMALL)


@pytest.mark.parametrize("text", [False, True])
def test_numbers_beyond_float32_in_rows_that_are_not_trained_on(text):
    """They count as large ones that float32 holds."""

    def table(size):
        found = {f"x{number}": column for number, column in enumerate(size * X.T[:, :4])}
        return found | {"town": ["here", "there"] * 2} if text else found

    held = {"x0": [1e300, 1.0], "x1": [0.0, 1.0], "x2": [0.0, 1.0], "town": ["here"] * 2}
    train = {f"x{number}": column for number, column in enumerate(X.T)}
    train |= {"town": np.where(X[:, 2] > 0, "here", "there")} if text else {}
    model = tabular.fit(train, Y, "regression", epochs=2, validation=(held, [0.0, 1.0]), **SMALL)
    found = model.predict(table(1e300))
    np.testing.assert_array_equal(found, model.predict(table(1e30)))
    again = copy.deepcopy(model)  # which has seen no rows
    np.testing.assert_array_equal(again.predict(table(-1e300)), again.predict(table(-1e30)))


@pytest.mark.parametrize(
    ("offset", "unit"), [(1e12, 0.02), (1.7e18, 1e6), (-3e100, 3e87), (1e299, 1e286)]
)
def test_targets_with_an_offset_are_learnt_as_those_without(offset, unit):
    given = {"preset": "fast", "epochs": 60, "hidden": [16]}
    steps = np.round(Y / Y.std() * 100)
    model = tabular.fit(X, offset + unit * steps / 100, "regression", **given)
    alone = tabular.fit(X, steps / 100, "regression", **given)
    found = (model.predict(X) - offset) / unit
    assert np.corrcoef(found, steps)[0, 1] > 0.9
    np.testing.assert_allclose(found, alone.predict(X), atol=0.3)


@pytest.mark.parametrize("loss", tabular.LOSSES)
@pytest.mark.parametrize("value", [1e20, -1.1e36, 3.3e100, 9e299])
def test_constant_targets_of_any_size(value, loss):
    y = value * (1 + np.finfo(float).eps * (np.arange(300) % 3))
    for target in (np.full(300, value), y):  # of the second the last digits differ
        model = tabular.fit(X, target, "regression", loss=loss, epochs=1, **SMALL)
        np.testing.assert_allclose(model.predict(X), value, rtol=1e-15)
        low, high = model.predict_interval(X)
        np.testing.assert_allclose([low, high], value, rtol=1e-12)
