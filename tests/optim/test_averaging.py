"""The average of weights against PyTorch's, eagerly, captured, and in a training."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute.reference import Interpreter

SHAPES = [(3, 2), (2,), ()]


def arrays(seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def parameters(seed=0, dtype="float64"):
    return [cr.Parameter(value) for value in arrays(seed, dtype)]


def assign(params, values):
    for parameter, value in zip(params, values, strict=True):
        parameter.assign(value)


def run_eagerly(params, ema, steps):
    for values in steps:
        assign(params, values)
        ema.update()


def run_captured(params, ema, steps):
    """Assigned and averaged in one graph, as in a training step."""

    def step(values):
        assign(params, values)
        ema.update()

    interpreter = Interpreter(cr.capture(step, steps[0]))
    for values in steps:
        interpreter(values)


STEPS = [arrays(seed) for seed in range(1, 16)]
every_way = pytest.mark.parametrize("run", [run_eagerly, run_captured])


@every_way
@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_equals_pytorch(run, decay):
    torch = pytest.importorskip("torch")
    swa_utils = pytest.importorskip("torch.optim.swa_utils")
    model = torch.nn.ParameterList([torch.tensor(value) for value in arrays(0)])
    peer = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay))
    for values in STEPS:
        with torch.no_grad():
            for param, value in zip(model, values, strict=True):
                param.copy_(torch.tensor(value))
        peer.update_parameters(model)
    params = parameters()
    ema = optim.EMA(params, decay)
    run(params, ema, STEPS)
    for average, theirs in zip(ema.averages, peer.module, strict=True):
        np.testing.assert_allclose(average.numpy(), theirs.detach().numpy(), rtol=1e-12)
    assert ema.n_averaged.item() == peer.n_averaged.item() == 15


@every_way
def test_decay_can_change_between_updates(run):
    params = parameters()
    ema = optim.EMA(params, 0.9)
    run(params, ema, STEPS[:2])
    ema.decay = 0.25
    before = [average.numpy() for average in ema.averages]
    assign(params, STEPS[5])
    ema.update()
    for average, old, value in zip(ema.averages, before, STEPS[5], strict=True):
        np.testing.assert_allclose(average.numpy(), 0.25 * old + 0.75 * value, rtol=1e-14)


def test_a_change_of_decay_needs_no_new_graph():
    params = [cr.Parameter([0.0], "float64")]
    ema = optim.EMA(params, 0.5)

    def step(value):
        params[0].assign(value)
        ema.update()

    interpreter = Interpreter(cr.capture(step, np.zeros(1)))
    interpreter([np.array([4.0])])
    ema.decay = 0.75
    interpreter([np.array([8.0])])
    assert ema.averages[0].item() == 0.75 * 4 + 0.25 * 8


def test_before_the_first_update_it_holds_the_first_weights():
    params = parameters()
    ema = optim.EMA(params)
    assign(params, STEPS[0])
    for average, value in zip(ema.averages, arrays(0), strict=True):
        assert np.array_equal(average.numpy(), value)


def test_before_the_first_update_the_weights_of_now_are_applied():
    """Those that were loaded since construction, say."""
    params = parameters()
    ema = optim.EMA(params)
    assign(params, STEPS[0])
    with ema.applied():
        for parameter, value in zip(params, STEPS[0], strict=True):
            assert np.array_equal(parameter.numpy(), value)
    ema.copy_to()
    for parameter, value in zip(params, STEPS[0], strict=True):
        assert np.array_equal(parameter.numpy(), value)


def test_dtypes_are_the_parameters():
    params = [cr.Parameter([1.0], "float32"), cr.Parameter([1.0], "float64")]
    ema = optim.EMA(params, 0.5)
    ema.update()
    ema.update()
    assert [average.dtype for average in ema.averages] == ["float32", "float64"]


def test_applied_gives_back_what_was_there():
    params = parameters()
    ema = optim.EMA(params, 0.5)
    run_eagerly(params, ema, STEPS)
    averages = [average.numpy() for average in ema.averages]
    with ema.applied():
        for parameter, average in zip(params, averages, strict=True):
            assert np.array_equal(parameter.numpy(), average)
    for parameter, value in zip(params, STEPS[-1], strict=True):
        assert np.array_equal(parameter.numpy(), value)


def test_applied_gives_back_after_an_error():
    params = parameters()
    ema = optim.EMA(params, 0.5)
    run_eagerly(params, ema, STEPS)
    with pytest.raises(KeyError), ema.applied():
        raise KeyError
    for parameter, value in zip(params, STEPS[-1], strict=True):
        assert np.array_equal(parameter.numpy(), value)


def test_applied_gives_back_where_it_is_interrupted_on_the_way():
    class Interrupted(cr.Parameter):
        __slots__ = ()

        def assign(self, tensor):
            if not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            super().assign(tensor)

    interrupted = [True]
    params = [cr.Parameter(2.0), Interrupted(3.0)]
    ema = optim.EMA(params, 0.5)
    run_eagerly(params, ema, [[2.0, 3.0], [4.0, 5.0]])
    interrupted.clear()
    with pytest.raises(KeyboardInterrupt), ema.applied():
        pass
    assert [parameter.item() for parameter in params] == [4.0, 5.0]


def test_copy_to_is_for_good():
    params = parameters()
    ema = optim.EMA(params, 0.5)
    run_eagerly(params, ema, STEPS)
    ema.copy_to()
    assign_again = [parameter.numpy() for parameter in params]
    for got, average in zip(assign_again, ema.averages, strict=True):
        assert np.array_equal(got, average.numpy())
        assert not np.shares_memory(got, average.numpy())


def test_the_average_is_not_differentiated():
    params = parameters()
    ema = optim.EMA(params)
    graph = cr.capture(ema.update)
    assert not any(node.requires_grad for node in graph.nodes if node.operation is not None)


# In a training


class Averaged(optim.SGD):
    """Averages after every update, inside the captured step."""

    ema = None

    def update(self, grads, loss=None):
        super().update(grads, loss)
        self.ema.update()


def training(backend):
    with cr.use_generator(cr.Generator(3)):
        layers = [nn.Linear(4, 5, dtype="float64"), nn.Tanh(), nn.Linear(5, 1, dtype="float64")]
    model = nn.Sequential(*layers)
    optimizer = Averaged(model.parameters(), lr=0.3)
    optimizer.ema = optim.EMA(model.parameters(), 0.8)
    return cr.Trainer(model, nn.MSELoss(), optimizer, backend=backend), optimizer.ema


def test_in_a_training():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4))
    y = np.sin(x.sum(axis=1, keepdims=True))
    found = {}
    for backend in ("native", "reference"):
        trainer, ema = training(backend)
        trainer.fit(x, y, epochs=3, batch_size=10, progress=False)
        plain = trainer.evaluate(x, y)["loss"]
        with ema.applied():
            averaged = trainer.evaluate(x, y)["loss"]
        assert trainer.evaluate(x, y)["loss"] == plain != averaged
        trainer.fit(x, y, epochs=2, batch_size=10, progress=False)
        found[backend] = [plain, averaged, trainer.evaluate(x, y)["loss"], ema.averages[0].numpy()]
        assert ema.n_averaged.item() == 20
    for native, reference in zip(*found.values(), strict=True):
        np.testing.assert_allclose(native, reference, rtol=1e-10)


# State


def test_state_dict_goes_on_with_equal_bits():
    straight = parameters()
    expected = optim.EMA(straight, 0.9)
    run_eagerly(straight, expected, STEPS)
    first = parameters()
    ema = optim.EMA(first, 0.9)
    run_eagerly(first, ema, STEPS[:7])
    saved = ema.state_dict()
    run_eagerly(first, ema, STEPS[7:9])  # the saved arrays are copies
    second = parameters()
    resumed = optim.EMA(second)
    resumed.load_state_dict(saved)
    run_eagerly(second, resumed, STEPS[7:])
    assert resumed.decay == 0.9
    assert list(resumed.states()) == ["0.average", "1.average", "2.average", "n_averaged"]
    for name, buffer in expected.states().items():
        assert isinstance(buffer, cr.Buffer)
        assert np.array_equal(resumed.states()[name].numpy(), buffer.numpy())


GOOD = optim.EMA(parameters(), 0.9).state_dict()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "state_dict is a dict, as state_dict.. returns it; got None"),
        ({}, "the state holds nothing; this average has decay, 0.average"),
        ({**GOOD, "3.average": np.ones(1)}, "the state holds decay, 0.average"),
        ({**GOOD, "1.average": np.ones(3)}, "1.average has shape"),
        ({**GOOD, "1.average": np.ones(2, "f")}, "1.average has dtype"),
        ({**GOOD, "decay": 1.0}, r"decay must be in \[0, 1\), got 1.0"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state, message):
    params = parameters()
    ema = optim.EMA(params, 0.5)
    run_eagerly(params, ema, STEPS[:3])
    before = ema.state_dict()
    with pytest.raises((TypeError, ValueError), match=message):
        ema.load_state_dict(state)
    after = ema.state_dict()
    assert all(np.array_equal(after[name], value) for name, value in before.items())


# Errors

W = cr.Parameter([1.0], name="w")


@pytest.mark.parametrize(
    ("params", "decay", "message"),
    [
        ([], 0.9, "an average is of Parameters; there are none"),
        (W, 0.9, "such as model.parameters"),
        (None, 0.9, "such as model.parameters"),
        ([W, W], 0.9, "parameter w of shape .* was given twice, and would count twice"),
        ([cr.tensor([1.0])], 0.9, "number 0 is tensor.* make it a chainrule.Parameter"),
        ([W], 1.0, r"decay must be in \[0, 1\), got 1.0"),
        ([W], -0.1, r"decay must be in \[0, 1\), got -0.1"),
        ([W], float("nan"), "decay is finite, got nan"),
        ([W], "0.9", "decay is a number, got '0.9'"),
        ([W], None, "decay is a number, got None"),
    ],
)
def test_arguments_are_checked(params, decay, message):
    with pytest.raises((TypeError, ValueError), match=message):
        optim.EMA(params, decay)


def test_a_decay_set_later_is_checked_too():
    ema = optim.EMA([W], 0.5)
    with pytest.raises(ValueError, match="decay must be"):
        ema.decay = 2
    assert ema.decay == 0.5
    assert repr(ema) == "EMA(1 parameters, decay=0.5)"


def test_applied_inside_a_capture_is_refused():
    ema = optim.EMA([W])

    def step():
        with ema.applied():
            pass

    with pytest.raises(cr.SymbolicError, match="no value while a graph is captured"):
        cr.capture(step)
