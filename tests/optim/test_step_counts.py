"""Each parameter counts its own steps, as in PyTorch: those that are left out stay behind."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

CASES = [
    ("Adam", {}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"weight_decay": 0.1}),
    ("NAdam", {}),
    ("SGD", {"momentum": 0.9, "dampening": 0.5}),
    ("Adagrad", {"lr_decay": 0.1}),
]
IDS = [f"{name}-{'-'.join(options)}" for name, options in CASES]

# Which of three parameters have a gradient in each step.
PATTERN = [(1, 0, 0)] * 4 + [(1, 1, 0)] * 3 + [(0, 1, 1)] * 2 + [(1, 1, 1)] * 3


def starts():
    return [np.array(v) for v in ([1.0, -2.0], [[3.0]], [0.5, 0.5, 0.5])]


def steps():
    """For each step the gradients, None where a parameter is left out."""
    rng = np.random.default_rng(0)
    for present in PATTERN:
        grads = [rng.standard_normal(start.shape) for start in starts()]
        yield [grad if has else None for grad, has in zip(grads, present, strict=True)]


def torch_values(name, options):
    torch = pytest.importorskip("torch")
    params = [torch.nn.Parameter(torch.tensor(start)) for start in starts()]
    optimizer = getattr(torch.optim, name)(params, lr=0.1, **options)
    for grads in steps():
        for parameter, grad in zip(params, grads, strict=True):
            parameter.grad = None if grad is None else torch.tensor(grad)
        optimizer.step()
    return [parameter.detach().numpy() for parameter in params]


def make(name, options):
    return getattr(optim, name)([cr.Parameter(start) for start in starts()], lr=0.1, **options)


def step(optimizer, grads):
    for parameter, grad in zip(optimizer.params, grads, strict=True):
        parameter.grad = None if grad is None else cr.tensor(grad)
    optimizer.step()


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_parameters_that_join_later_step_as_in_pytorch(name, options):
    optimizer = make(name, options)
    for grads in steps():
        step(optimizer, grads)
    for ours, theirs in zip(optimizer.params, torch_values(name, options), strict=True):
        # PyTorch keeps NAdam's product in float32.
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6 if name == "NAdam" else 1e-12)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_counts_that_differ_are_saved_and_loaded(name, options):
    straight, first, second = (make(name, options) for _ in range(3))
    every = list(steps())
    for grads in every:
        step(straight, grads)
    for grads in every[:6]:
        step(first, grads)
    second.load_state_dict(first.state_dict())
    for ours, theirs in zip(second.params, first.params, strict=True):
        ours.assign(theirs.numpy())
    for grads in every[6:]:
        step(second, grads)
    for a, b in zip(second.params, straight.params, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())
    # And back to where all counts are equal.
    second.load_state_dict(make(name, options).state_dict())
    assert all(value == 0 for key, value in second.state_dict().items() if key.endswith("step"))


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_layers_unfrozen_within_a_training_begin_with_their_first_step(backend):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((32, 4)), rng.standard_normal((32, 2))
    model = nn.Sequential(
        nn.Linear(4, 5, dtype="float64"), nn.Tanh(), nn.Linear(5, 2, dtype="float64")
    )
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    theirs.double().load_state_dict({k: torch.tensor(v) for k, v in model.state_dict().items()})
    trainer = cr.Trainer(
        model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.1), backend=backend
    )
    reference = torch.optim.Adam(theirs.parameters(), lr=0.1)
    for frozen in (True, False, True, False):
        for ours in model[0].parameters():
            ours.requires_grad = not frozen
        trainer.fit(x, y, epochs=3, batch_size=32, shuffle=False, progress=False)
        for parameter in theirs[0].parameters():
            parameter.requires_grad_(not frozen)
        for _ in range(3):
            reference.zero_grad()
            loss = torch.nn.functional.mse_loss(theirs(torch.tensor(x)), torch.tensor(y))
            loss.backward()
            reference.step()
    for ours, expected in zip(model.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(ours.numpy(), expected.detach().numpy(), rtol=1e-9)


def test_steps_of_different_parameters_in_one_captured_function():
    """The second update parts what the first has counted together: the capture begins again."""

    def two_steps(optimizer):
        def function(g, h):
            optimizer.update([g, h])
            optimizer.update([None, h])

        return function

    eager, captured = (optim.Adam([cr.Parameter([1.0]), cr.Parameter([2.0])]) for _ in range(2))
    g, h = cr.tensor([0.3]), cr.tensor([-0.2])
    graph = cr.capture(two_steps(captured), g, h)
    for _ in range(3):
        two_steps(eager)(g, h)
        graph(g, h)
    assert [p.tolist() for p in captured.params] == [p.tolist() for p in eager.params]
    assert [eager.state[p]["step"].item() for p in eager.params] == [3.0, 6.0]
    assert [captured.state[p]["step"].item() for p in captured.params] == [3.0, 6.0]
