"""The keywords that every optimiser takes, and SparseAdam."""

import inspect

import numpy as np
import pytest
from optimizer_cases import (
    CASES,
    DEFAULTS,
    Case,
    assert_close,
    gradients,
    make,
    run_captured,
    run_step,
    run_torch,
    values,
)

import chainrule as cr
from chainrule import nn, optim

IN_PYTORCH = [case for case in CASES if case.name != "Lion"]


@pytest.mark.parametrize("run", [run_step, run_captured])
@pytest.mark.parametrize("case", IN_PYTORCH, ids=str)
def test_maximize_goes_up_the_gradient(case, run):
    case = Case(case.name, {**case.options, "maximize": True})
    optimizer = make(case)
    run(optimizer, gradients(steps=6))
    assert_close(values(optimizer), run_torch(case, gradients(steps=6)), rtol=1e-12)


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
def test_hints_of_speed_change_nothing(case):
    plain, hinted = make(case), make(case, foreach=True, fused=False, capturable=True)
    for optimizer in (plain, hinted):
        run_step(optimizer, gradients(steps=3))
    for a, b in zip(values(plain), values(hinted), strict=True):
        assert np.array_equal(a, b)


def test_adam_with_decoupled_decay_is_adamw():
    parameters = [cr.Parameter([1.0])]
    assert not optim.Adam(parameters, decoupled_weight_decay=False).defaults["weight_decay"]
    with pytest.raises(ValueError, match=r"is optim\.AdamW"):
        optim.Adam(parameters, weight_decay=0.1, decoupled_weight_decay=True)
    for flag in (False, True):
        with pytest.raises(TypeError, match="AdamW has no argument decoupled_weight_decay"):
            optim.AdamW(parameters, decoupled_weight_decay=flag)


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
def test_options_that_can_not_be_are_refused(case):
    with pytest.raises(ValueError, match="an update is not differentiated"):
        make(case, differentiable=True)
    with pytest.raises(TypeError, match=f"{case.name} has no argument speed"):
        make(case, speed=3)
    with pytest.raises(TypeError, match="maximize is True or False"):
        make(case, maximize=1.0)


@pytest.mark.parametrize("case", [c for c in DEFAULTS if c.name != "Lion"], ids=str)
def test_every_argument_of_pytorch_is_taken(case):
    torch = pytest.importorskip("torch")
    theirs = inspect.signature(getattr(torch.optim, case.name)).parameters
    given = {
        name: parameter.default
        for name, parameter in theirs.items()
        if name not in ("params", "decoupled_weight_decay") or case.name in ("NAdam", "RAdam")
    }
    given.pop("params", None)
    make(case, **given)


def looked_up(steps, rows=6, seed=0):
    """For each step the rows looked up, and their gradients."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        chosen = np.sort(rng.choice(rows, 2, replace=False))
        yield chosen, rng.standard_normal((2, 3))


@pytest.mark.parametrize("maximize", [False, True])
def test_sparse_adam_is_pytorchs(maximize):
    torch = pytest.importorskip("torch")
    start = np.random.default_rng(1).standard_normal((6, 3))
    ours, theirs = cr.Parameter(start), torch.nn.Parameter(torch.tensor(start))
    options = {"lr": 0.1, "betas": (0.8, 0.95), "maximize": maximize}
    optimizer = optim.SparseAdam([ours], **options)
    reference = torch.optim.SparseAdam([theirs], **options)
    for rows, grad in looked_up(12):
        dense = np.zeros((6, 3))
        dense[rows] = grad
        ours.grad = cr.tensor(dense)
        index = torch.tensor(rows[None])
        theirs.grad = torch.sparse_coo_tensor(
            index, torch.tensor(grad), (6, 3), check_invariants=True, is_coalesced=True
        )
        optimizer.step()
        reference.step()
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-12)


def test_sparse_adam_trains_natively_as_by_the_reference():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = cr.Parameter(np.random.default_rng(2).standard_normal((9, 4)))

        def forward(self, index):
            return self.rows[index]

    index = np.random.default_rng(3).integers(0, 8, 40)  # the last row is never looked up
    y = np.random.default_rng(4).standard_normal((40, 4))
    found = {}
    for backend in ("native", "reference"):
        model = Table()
        trainer = cr.Trainer(
            model, nn.MSELoss(), optim.SparseAdam(model.parameters(), lr=0.1), backend=backend
        )
        last = model.rows.numpy()[8]
        trainer.fit(index, y, epochs=4, batch_size=3, progress=False)
        found[backend] = model.rows.numpy()
        assert np.array_equal(found[backend][8], last)
    np.testing.assert_allclose(found["native"], found["reference"], rtol=1e-12)
