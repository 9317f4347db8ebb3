"""Parts that a model holds without registering them are noticed, not trained in part."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

X, Y = np.ones((4, 4), "f"), np.ones((4, 1), "f")


class Net(nn.Module):
    """A head that is registered, and parts in the attribute `parts`, which `call` gives."""

    def __init__(self, parts, call=None):
        super().__init__()
        self.head = nn.Linear(4, 1)
        self.parts = parts
        self.call = call or (lambda parts, x: parts[0](x))

    def forward(self, x):
        return self.head(self.call(self.parts, x))


HIDDEN = [
    ("a list", lambda: Net([nn.Linear(4, 4)]), r"parts\[0\].*ModuleList"),
    ("a tuple", lambda: Net((nn.Linear(4, 4),)), r"parts\[0\]"),
    ("a dict", lambda: Net({0: nn.Linear(4, 4)}), r"parts\[0\].*ModuleDict"),
    (
        "a list of lists",
        lambda: Net([[nn.Linear(4, 4)]], lambda parts, x: parts[0][0](x)),
        r"parts\[0\]\[0\]",
    ),
    (
        "a list of parameters",
        lambda: Net([nn.Parameter([1.0])], lambda parts, x: parts[0] * x),
        r"parts\[0\].*ParameterList",
    ),
    ("a list in a child", lambda: nn.Sequential(Net([nn.Linear(4, 4)])), r"0\.parts\[0\]"),
    ("dropout in a list", lambda: Net([nn.Dropout(0.5)]), r"parts\[0\]"),
    ("statistics in a list", lambda: Net([nn.BatchNorm1d(4, affine=False)]), r"parts\[0\]"),
]


@pytest.mark.parametrize(("name", "make", "match"), HIDDEN, ids=[h[0] for h in HIDDEN])
def test_plain_lists_are_refused_by_captured_steps(name, make, match):
    model = make()
    before = model.head.weight.tolist() if isinstance(model, Net) else None
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1))
    for use in (
        lambda: trainer.fit(X, Y, epochs=1, batch_size=4),
        lambda: trainer.predict(X),
        lambda: trainer.evaluate(X, Y),
        lambda: cr.Evaluator(model, nn.MSELoss()).predict(X),
    ):
        with pytest.raises(ValueError, match=match):
            use()
    assert before is None or model.head.weight.tolist() == before
    with pytest.warns(UserWarning, match=match):
        model.state_dict()


def test_a_list_whose_name_begins_with_an_underscore():
    model = nn.Linear(4, 1)
    model._layers = [nn.Linear(4, 4)]
    with pytest.warns(UserWarning, match=r"_layers\[0\]"):
        model.state_dict()


def registered(model):
    model.again = model.parts[0]
    return model


FINE = [
    ("registered, too", lambda: registered(Net([nn.Linear(4, 4)]))),
    ("nothing in it matters", lambda: Net([nn.Tanh()])),
    ("a frozen teacher", lambda: Net([nn.Linear(4, 4).requires_grad_(False)])),
    (
        "frozen, with statistics",
        lambda: Net([nn.BatchNorm1d(4).requires_grad_(False).eval()]),
    ),
    ("numbers", lambda: Net([1.0, 2.0], lambda parts, x: parts[0] * x)),
    (
        "a frozen parameter",
        lambda: Net([nn.Parameter([1.0], requires_grad=False)], lambda parts, x: parts[0] * x),
    ),
]


@pytest.mark.parametrize(("name", "make"), FINE, ids=[f[0] for f in FINE])
def test_what_was_set_apart_with_care_is_left_alone(name, make):
    model = make()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1))
    trainer.fit(X, Y, epochs=1, batch_size=4)
    model.state_dict()


def test_parameters_in_a_list_that_the_optimizer_was_given_are_trained():
    model = Net([nn.Linear(4, 4)])
    parameters = [*model.parameters(), *model.parts[0].parameters()]
    before = model.parts[0].weight.tolist()
    cr.Trainer(model, nn.MSELoss(), optim.SGD(parameters, 0.1)).fit(X, Y, epochs=1, batch_size=4)
    assert model.parts[0].weight.tolist() != before


def test_a_parameter_from_elsewhere_in_the_graph_is_refused():
    outside = nn.Linear(4, 4)
    net = nn.Linear(4, 1)

    class Uses(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(outside(x))

    model = Uses()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1))
    with pytest.raises(ValueError, match=r"weight, of shape \(4, 4\).*neither the model's"):
        trainer.fit(X, Y, epochs=1, batch_size=4)
    outside.requires_grad_(False)
    trainer.fit(X, Y, epochs=1, batch_size=4)


def test_a_parameter_of_a_loss():
    temperature = nn.Parameter([2.0])

    def scaled(output, target):
        return nn.MSELoss()(output * temperature, target)

    model = nn.Linear(4, 1)
    with pytest.raises(ValueError, match="neither the model's"):
        cr.Trainer(model, scaled, optim.SGD(model.parameters(), 0.1)).fit(
            X, Y, epochs=1, batch_size=4
        )
    assert temperature.tolist() == [2.0]
    both = optim.SGD([*model.parameters(), temperature], 0.1)
    cr.Trainer(model, scaled, both).fit(X, Y, epochs=1, batch_size=4)
    assert temperature.tolist() != [2.0]


def test_a_teacher_under_no_grad_is_no_fault():
    teacher, model = nn.Linear(4, 1), nn.Linear(4, 1)

    class Distillation(nn.Module):
        def forward(self, output, target):
            with cr.no_grad():
                wanted = teacher(X)
            return ((output - wanted) ** 2).mean()

    cr.Trainer(model, Distillation(), optim.SGD(model.parameters(), 0.1)).fit(
        X, Y, epochs=1, batch_size=4
    )
