"""What is given in place of something else is named, with the remedy, before anything changes."""

import numpy as np
import pytest
from training_cases import (
    classification,
    compiled_step,
    fit,
    network,
    regression,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import data, nn, optim

pytestmark = pytest.mark.usefixtures("backend")


def parts(**changes):
    """Of a Trainer: model, loss, optimizer and options, some of them changed."""
    model = network(outputs=1)
    made = {
        "model": model, "loss": nn.MSELoss(), "optimizer": optim.SGD(model.parameters(), lr=0.1)
    }  # fmt: skip
    return {**made, **changes}


class Own(nn.Module):
    pass


CLASSES = {
    "model": Own,
    "loss": nn.MSELoss,
    "optimizer": optim.SGD,
    "callbacks": [cr.EarlyStopping],
    "metrics": [cr.metrics.Accuracy],
    "schedule": optim.CosineAnnealingLR,
    "ema": optim.EMA,
    "penalties": [nn.L2Penalty],
    "constraints": [optim.MaxNorm],
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_in_place_of_an_object(name):
    with pytest.raises(TypeError, match=r"give an object"):
        cr.Trainer(**parts(**{name: CLASSES[name]}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: cr.Evaluator(nn.Linear, nn.MSELoss()),
        lambda: cr.Evaluator(nn.Flatten(), nn.MSELoss),
        lambda: optim.SGD(nn.Linear),
        lambda: nn.Sequential(nn.ReLU),
        lambda: cr.summary(nn.Linear, (4,)),
        lambda: nn.lsuv_(nn.Linear, np.zeros((3, 4))),
        lambda: nn.data_driven_(nn.Linear, np.zeros((3, 4))),
        lambda: nn.recompute_batch_statistics(nn.Linear, np.zeros((3, 4))),
    ],
)
def test_a_class_elsewhere(make):
    with pytest.raises(TypeError, match=r"<class '[\w.]+'>: give an object of it, \w+\(\.\.\.\)"):
        make()


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (("loss", "model", "optimizer"), "the model is a MSELoss, .* they are swapped. The order"),
        (("model", "optimizer", "loss"), r"the loss is an object.* type SGD.*The order is"),
        (("optimizer", "model", "loss"), r"the optimizer is an object.*MSELoss.*The order is"),
        (("optimizer", "loss", "model"), r"the optimizer is an object.*The order is"),
        (("loss", "optimizer", "model"), r"The order is \(model, loss, optimizer\)"),
    ],
)
def test_swapped_parts(order, text):
    given = parts()
    with pytest.raises(TypeError, match=text):
        cr.Trainer(*[given[name] for name in order])


def test_an_evaluator_takes_no_optimizer():
    given = parts()
    with pytest.raises(TypeError, match="An Evaluator takes no optimizer"):
        cr.Evaluator(*given.values())
    with pytest.raises(TypeError, match="they are swapped"):
        cr.Evaluator(given["loss"], given["model"])


def test_a_step_of_ones_own_is_not_passed_over():
    class Loud(optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    class Zero(optim.StepLR):
        def step(self, epoch=None):
            super().step()

    given = parts()
    own = Loud(given["model"].parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"step, which Loud has of its own. .* write rule"):
        cr.Trainer(**given | {"optimizer": own})
    schedule = Zero(given["optimizer"], 1)
    with pytest.raises(TypeError, match=r"Zero has of its own. .* write lr\(base_lr, t\)"):
        cr.Trainer(**given, schedule=schedule)
    given["optimizer"].step = own.step
    with pytest.raises(TypeError, match=r"step, which SGD has of its own"):
        cr.Trainer(**given)


@pytest.mark.parametrize("metrics", [3, None, {"accuracy"}])
def test_what_is_no_list_of_metrics(metrics):
    with pytest.raises(TypeError, match="metrics are a list of names"):
        cr.Trainer(**parts(), metrics=metrics)


def test_swapped_arguments_of_losses():
    scores = cr.tensor(np.ones((3, 2), "f"), requires_grad=True)
    for loss in (nn.CrossEntropyLoss(), nn.NLLLoss(), nn.MultiMarginLoss()):
        with pytest.raises(cr.DTypeError, match=r"swap them. It is loss\(input, target\)"):
            loss([0, 1, 0], scores)
    p = cr.sigmoid(scores)
    zeros = np.zeros((3, 2), "f")
    for loss in (nn.BCELoss(), nn.BCEWithLogitsLoss(), nn.HingeLoss(), nn.PoissonNLLLoss()):
        with pytest.raises(TypeError, match=rf"{type(loss).__name__} is called as loss\(input, ta"):
            loss(zeros, p)
    assert nn.MSELoss()(zeros, scores).item() == 1.0  # symmetric


@pytest.mark.parametrize("loss", [nn.MSELoss, nn.CrossEntropyLoss, nn.BCELoss, nn.KLDivLoss])
def test_a_loss_made_of_outputs(loss):
    x = cr.tensor(np.ones((3, 2), "f"))
    with pytest.raises(TypeError, match=rf"{loss.__name__} is made first and called then"):
        loss(x, x)
    assert loss(reduction="sum").reduction == "sum"


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("call", ["fit", "evaluate", "find_lr"])
def test_swapped_data(call, labels):
    x, y = classification(30) if labels else regression(30)
    trainer = trainer_of(
        network(outputs=3 if labels else 1), nn.CrossEntropyLoss() if labels else nn.MSELoss()
    )
    before = weights(trainer.model)
    with pytest.raises(cr.ShapeError, match=r"With x and y swapped the data fit"):
        getattr(trainer, call)(y, x)
    assert all((weights(trainer.model)[k] == v).all() for k, v in before.items())
    with pytest.raises(cr.ShapeError) as caught:
        getattr(trainer, call)(x[:, :2], y)
    assert "swapped" not in str(caught.value)


class Returning(nn.Module):
    def __init__(self, returned):
        super().__init__()
        self.layer = network(outputs=1)
        self.returned = returned

    def forward(self, x):
        return self.returned(self.layer(x))


RETURNED = {
    "None": (lambda h: None, "forward returned None: end Returning.forward with a return"),
    "a number": (lambda h: 1.0, "forward returned an object of type float, no Tensor"),
    "an array": (lambda h: np.zeros(h.shape), "type ndarray, no Tensor"),
    "a shape": (lambda h: h.shape, "type int, no Tensor"),
    "a class": (lambda h: nn.ReLU, "type type, no Tensor"),
    "nothing": (lambda h: (), "an empty tuple"),
}
SEVERAL = {
    "tuple": lambda h: (h, h),
    "list": lambda h: [h, h],
    "dict": lambda h: {"a": h, "b": h},
}


def own_loss(output, target):
    return ((output - target) ** 2).mean()


@pytest.mark.parametrize("kind", RETURNED)
def test_what_a_model_returns_in_place_of_a_tensor(kind):
    returned, text = RETURNED[kind]
    x, y = regression(20)
    model = Returning(returned)
    for loss in (nn.MSELoss(), own_loss):
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        trainer = cr.Trainer(model, loss, optimizer, metrics=["mse"])
        for call in (
            lambda t=trainer: fit(t, x, y),
            lambda t=trainer: t.evaluate(x, y),
            lambda t=trainer: t.predict(x),
        ):
            with pytest.raises(TypeError, match=text):
                call()


@pytest.mark.parametrize("kind", SEVERAL)
def test_a_model_with_several_outputs_and_a_loss_of_one(kind):
    x, y = regression(20)
    model = Returning(SEVERAL[kind])
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(
        (TypeError, cr.ShapeError), match=rf"the model returns a {kind} of 2 Tensors, of which"
    ):
        fit(trainer, x, y)
    assert type(trainer.predict(x)).__name__ == kind


@pytest.mark.parametrize(
    "name",
    ["state", "history", "epoch", "step", "model", "loss", "optimizer", "metrics", "schedule",
     "ema", "graphs", "backend"],
)  # fmt: skip
def test_parts_of_a_trainer_can_not_be_replaced(name):
    trainer = cr.Trainer(**parts())
    with pytest.raises(AttributeError, match=rf"a Trainer's {name} can't be set: "):
        setattr(trainer, name, getattr(trainer, name, None))
    trainer.note = "an attribute of one's own"
    assert trainer.note


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"clip_norm": "1"}, TypeError, "clip_norm is a number, got '1'"),
        ({"clip_norm": True}, TypeError, "clip_norm is a number, got True"),
        ({"clip_norm": [1]}, TypeError, r"clip_norm is a number, got \[1\]"),
        ({"clip_norm": float("nan")}, ValueError, "clip_norm is positive, got nan"),
        ({"clip_value": "1"}, TypeError, "clip_value is a number, got '1'"),
        ({"clip_value": 0}, ValueError, "clip_value is positive, got 0"),
        ({"schedule": 3}, TypeError, "schedule is an object of optim"),
    ],
)
def test_options_that_do_not_fit(options, error, text):
    with pytest.raises(error, match=text):
        cr.Trainer(**parts(), **options)


def test_no_limit_is_a_limit():
    cr.Trainer(**parts(), clip_norm=float("inf"))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"low": "1"}, TypeError, "low is a number, got '1'"),
        ({"low": None}, TypeError, "low is a number, got None"),
        ({"high": "1"}, TypeError, "high is a number, got '1'"),
        ({"high": float("inf")}, ValueError, "low < high"),
        ({"low": 0}, ValueError, "low < high"),
        ({"low": 2, "high": 1}, ValueError, "0 < low < high; got 2, 1"),
    ],
)
def test_ranges_that_do_not_fit(options, error, text):
    x, y = regression(20)
    with pytest.raises(error, match=text):
        cr.Trainer(**parts()).find_lr(x, y, **options)


def test_a_share_that_is_no_number():
    x, y = regression(20)
    with pytest.raises(TypeError, match=r"fraction is a number, got '0\.1'"):
        cr.Trainer(**parts()).fit(x, y, validation_fraction="0.1")
    with pytest.raises(TypeError, match=r"fraction is a number, got '0\.1'"):
        data.split(x, y, fraction="0.1")


@pytest.mark.parametrize("groups", [[None], [3], None, {}, [{}], "lr"])
def test_states_of_optimizers_that_do_not_fit(groups):
    optimizer = parts()["optimizer"]
    with pytest.raises(ValueError, match="the state's param_groups are"):
        optimizer.load_state_dict({**optimizer.state_dict(), "param_groups": groups})


@pytest.mark.parametrize("state", [None, "model.pt", [1], nn.Flatten()])
def test_what_is_no_state_dict(state):
    for owner in (parts()["optimizer"], parts()["model"]):
        with pytest.raises(TypeError, match="state_dict is a dict"):
            owner.load_state_dict(state)


@pytest.mark.parametrize("function", [nn.lsuv_, nn.data_driven_, nn.recompute_batch_statistics])
@pytest.mark.parametrize("model", [3, None, np.zeros((3, 4)), "model"])
def test_what_is_no_module(function, model):
    with pytest.raises(TypeError, match="model is a Module, got"):
        function(model, np.zeros((3, 4)))


class Lookup(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = cr.Parameter(np.zeros((5, 1)))

    def forward(self, index):
        return self.table[index]


def test_an_index_out_of_range_is_named_with_the_size():
    model = Lookup()
    x = np.arange(20) % 5
    x[13] = 9
    y = np.zeros((20, 1))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    step = compiled_step(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    for call in (
        lambda: fit(trainer, x, y, shuffle=False),
        lambda: trainer.evaluate(x, y, batch_size=8),
        lambda: trainer.predict(x, batch_size=8),
        lambda: step(x, y),
        lambda: model(x),
    ):
        with pytest.raises(IndexError, match=r"\b9\b"):
            call()


class Record(cr.Callback):
    def __init__(self, **columns):
        self.columns = columns
        self.seen = []

    def on_epoch_end(self, trainer, record):
        self.seen.append(dict(record))
        record.update(self.columns)


def test_what_a_callback_puts_into_the_record_reaches_the_history(path):
    x, y = regression(20)
    first = Record(mine=np.float32(0.5), count=3, good=np.bool_(True), tensor=cr.tensor(2.0))
    last = Record()
    trainer = cr.Trainer(**parts(), callbacks=[first, last])
    history = fit(trainer, x, y, checkpoint=path)
    assert history["mine"] == [0.5, 0.5] and history["count"] == [3, 3]
    assert history["good"] == [True, True] and history["tensor"] == [2.0, 2.0]
    assert "mine" not in first.seen[0] and last.seen[0]["mine"] == 0.5
    assert "mine" in str(history) and "mine" in history.to_csv()
    resumed = cr.Trainer(**parts(), callbacks=[Record(), Record()])
    resumed.load(path)
    assert resumed.history["mine"] == [0.5, 0.5]


def test_early_stopping_on_what_a_callback_measures():
    x, y = regression(20)
    stopping = cr.EarlyStopping("mine", mode="max")
    trainer = cr.Trainer(**parts(), callbacks=[Record(mine=1.0), stopping])
    assert len(fit(trainer, x, y, epochs=9)) == 2


@pytest.mark.parametrize("columns", [{"mine": "text"}, {"mine": [1, 2]}, {"mine": None}])
def test_a_record_holds_numbers(columns):
    x, y = regression(20)
    trainer = cr.Trainer(**parts(), callbacks=[Record(**columns)])
    with pytest.raises(TypeError, match=r"Record put 'mine': .* a record holds numbers by name"):
        fit(trainer, x, y)
