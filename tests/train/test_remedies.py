"""What a newcomer who comes from PyTorch or Keras types wrongly is answered with what to type."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import data, nn, optim
from chainrule.nn import functional

X, Y = np.ones((8, 2), np.float32), np.zeros((8, 1), np.float32)
LABELS = np.array([0, -100, 1])


def trainer():
    model = nn.Linear(2, 1)
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))


WRONG = {
    "optim.SGD(model)": (lambda: optim.SGD(nn.Linear(2, 1)), r"pass model\.parameters\(\)"),
    "a list": (lambda: nn.Sequential([nn.ReLU(), nn.ReLU()]), r"unpack.*nn\.Sequential\(\*layers"),
    "a generator": (lambda: nn.Sequential(nn.ReLU() for _ in range(2)), r"unpack a list"),
    "a class": (lambda: nn.Sequential(nn.ReLU(), nn.ReLU), r"give an object of it, ReLU\(\.\.\.\)"),
    "a function": (lambda: nn.Sequential(nn.ReLU(), functional.relu), r"such as nn\.ReLU\(\)"),
    "fit(None)": (lambda: trainer().fit(None, Y), r"x is None: give an array"),
    "predict(None)": (lambda: trainer().predict(None), r"x is None: give an array"),
    "save(None)": (lambda: trainer().save(None), r"path is the name of a file.*got None"),
    "load(None)": (lambda: trainer().load(None), r"path is the name of a file.*got None"),
    "cr.save": (lambda: cr.save(nn.Linear(2, 1), None), r"path is the name of a file"),
    "cr.load": (lambda: cr.load(3), r"path is the name of a file.*got 3"),
    "swapped": (
        lambda: cr.save("a.safetensors", nn.Linear(2, 1)),
        r"chainrule\.save\(model, path\)",
    ),
    "checkpoint": (lambda: trainer().fit(X, Y, checkpoint=3), r"checkpoint is the name of a file"),
    "shuffle": (lambda: trainer().fit(X, Y, shuffle="batch"), r"shuffle is True or False"),
    "class_weight": (
        lambda: trainer().fit(X, Y, class_weight={0: 1.0}),
        r"Trainer\.fit has no argument 'class_weight'.*sample_weight=weights\[y\]",
    ),
    "validation_split": (lambda: trainer().fit(X, Y, validation_split=0.1), "validation_fraction"),
    "verbose": (lambda: trainer().fit(X, Y, verbose=0), "progress=False"),
    "callbacks": (lambda: trainer().fit(X, Y, callbacks=[]), r"Trainer\(\.\.\., callbacks="),
    "an ensemble": (
        lambda: cr.Ensemble(lambda seed: trainer(), 1).fit(X, Y, validation_split=0.1),
        r"Ensemble\.fit has no argument.*validation_fraction",
    ),
    "restore_best_weights": (
        lambda: cr.EarlyStopping("validation_loss", restore_best_weights=True),
        "EarlyStopping has no argument.*restore_best",
    ),
    "min_delta": (lambda: cr.ReduceLROnPlateau(min_delta=0.1), "threshold_mode='abs'"),
    "learning_rate": (
        lambda: optim.Adam(nn.Linear(2, 1).parameters(), learning_rate=0.1, beta_1=0.5),
        r"here beta_1 is betas\[0\], learning_rate is lr",
    ),
    "beta_1": (
        lambda: optim.SGD(nn.Linear(2, 1).parameters(), 0.1, beta_1=0.5, clipvalue=1, epsilon=1),
        "no argument beta_1, clipvalue, epsilon; here clipvalue is",
    ),
    "rho": (lambda: optim.Adam(nn.Linear(2, 1).parameters(), rho=0.5), "no argument rho$"),
    "clipnorm": (lambda: optim.SGD(nn.Linear(2, 1).parameters(), 0.1, clipnorm=1), "clip_norm"),
    "cuda": (lambda: nn.Linear(2, 1).cuda(), r"computes on the CPU"),
    "to": (lambda: nn.Linear(2, 1).to("cuda"), r"computes on the CPU"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_error_says_what_to_write(wrong):
    call, remedy = WRONG[wrong]
    with pytest.raises(TypeError, match=remedy):
        call()


def a_step():
    return cr.explain(nn.Linear(2, 1), [1.0, 2.0], [1.0], nn.MSELoss())


@pytest.mark.parametrize(
    ("read", "remedy"),
    [
        (lambda: nn.Linear(2, 1).summary, r"cr\.summary\(model, \(784,\)\)"),
        (lambda: nn.Sequential(nn.ReLU()).layers, r"model\.children\(\)"),
        (lambda: nn.Sequential().add, r"append\(module\)"),
        (lambda: nn.Linear(2, 1).load_weights, r"cr\.load\(path, model\)"),
        (lambda: nn.Linear(2, 1).fit, r"cr\.Trainer\(model, loss, optimizer\)\.fit"),
        (lambda: trainer().fit(X, Y, progress=False).history, r"history\.to_dict\(\)"),
        (lambda: trainer().fit(X, Y, progress=False).plot, r"plt\.plot"),
        (lambda: cr.draw(nn.Linear(2, 1), (2,)).show, r"drawing\.save"),
        (lambda: a_step().show, r"to_html"),
        (lambda: cr.prune, r"cr\.graph\.prune"),
    ],
)
def test_a_name_of_other_libraries_says_what_it_is_here(read, remedy):
    with pytest.raises(AttributeError, match=remedy):
        read()


def test_a_model_may_have_attributes_of_these_names():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 1)])

        def fit(self):
            return len(self.layers)

    assert Net().fit() == 1


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_the_label_that_pytorch_ignores_names_its_argument(loss):
    outputs = cr.tensor(np.full((3, 2), -0.7, np.float32))
    with pytest.raises(IndexError, match="pass ignore_index=-100"):
        loss(outputs, LABELS)
    ignoring = type(loss)(ignore_index=-100)(outputs, LABELS)
    np.testing.assert_allclose(ignoring.numpy(), loss(outputs[[0, 2]], LABELS[[0, 2]]).numpy())


MODULES = {
    "nn": nn, "nn.functional": functional, "optim": optim, "data": data, "metrics": cr.metrics,
}  # fmt: skip


@pytest.mark.parametrize("called", MODULES)
def test_a_typo_is_answered_with_the_name(called):
    module = MODULES[called]
    for name in module.__all__:
        if len(name) < 5:
            continue
        for typo in (name.swapcase(), name[:-2] + name[-1], name + "s"):
            if typo in vars(module):
                continue
            with pytest.raises(AttributeError, match=r"did you mean|it is nn\.functional") as error:
                getattr(module, typo)
            assert f"has no attribute {typo!r}" in str(error.value)


@pytest.mark.parametrize(
    ("module", "name", "answer"),
    [
        (nn, "Liner", "did you mean nn.Linear"),
        (nn, "Relu", "did you mean nn.ReLU"),
        (nn, "relu", "it is nn.functional.relu"),
        (nn, "Conv3d", "nn.Conv2d"),
        (nn, "Lstm", "did you mean nn.LSTM"),
        (nn, "MultiHeadAttention", "here it is nn.MultiheadAttention"),
        (nn, "AdaptiveAvgPool3d", "in 1-d and 2-d"),
        (nn, "DataParallel", "one process trains"),
        (nn, "parallel", "one process trains"),
        (functional, "conv3d", "nn.Conv2d"),
        (functional, "rellu", "did you mean nn.functional.relu"),
        (optim, "StepLr", "did you mean optim.StepLR"),
        (data, "Dataloader", "did you mean data.DataLoader"),
    ],
)
def test_a_name_that_is_not_there(module, name, answer):
    with pytest.raises(AttributeError, match=answer):
        getattr(module, name)
    assert not hasattr(module, name) and not hasattr(module, "_" + name)


class Sorting(nn.Module):
    def forward(self, x):
        return cr.sort(x, axis=1)


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda: cr.compile(cr.sort, backend="native")(X), "backend='reference'"),
        (
            lambda: cr.Evaluator(Sorting(), nn.MSELoss(), backend="native").predict(X),
            "backend='reference'",
        ),
        (lambda: cr.Predictor(Sorting()).predict(X), "call the model itself"),
    ],
)
def test_an_operation_without_a_native_kernel_has_one_remedy_that_works_there(call, remedy):
    with pytest.raises(NotImplementedError, match="argsort has no native kernel") as caught:
        call()
    said = str(caught.value)
    assert said.count(remedy) == 1
    assert said.count("backend=") == ("backend=" in remedy)
    evaluator = cr.Evaluator(Sorting(), nn.MSELoss(), backend="reference")
    expected = np.sort(X, axis=1)
    np.testing.assert_array_equal(evaluator.predict(X), expected)
    np.testing.assert_array_equal(Sorting()(X).numpy(), expected)
