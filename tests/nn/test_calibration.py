"""Calibration: unit variance layer by layer, biases between data, and how a model is called."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn.interception import intercepted

ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.SELU, nn.GELU, nn.Sigmoid, nn.Mish]
BOTH = pytest.mark.parametrize("function", [nn.lsuv_, nn.data_driven_])


def rows(count=200, columns=5, dtype="float64"):
    rng = np.random.default_rng(3)
    return rng.normal([0, 5, -100, 0.01, 3], [1, 20, 0.1, 4, 1], (count, columns)).astype(dtype)


def network(activation, dtype="float64", bias=True):
    cr.manual_seed(1)
    return nn.Sequential(
        nn.Linear(5, 16, bias, dtype=dtype),
        activation(),
        nn.Sequential(nn.Linear(16, 16, bias, dtype=dtype), activation()),
        nn.Linear(16, 3, bias, dtype=dtype),
    )


def preactivations(model, x):
    found = []

    def noted(module, forward, *inputs):
        output = forward(*inputs)
        if isinstance(module, nn.Linear):
            found.append(output.numpy())
        return output

    with intercepted(model, noted):
        model(x)
    return found


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_every_preactivation_has_variance_1(activation, bias):
    x, model = rows(), network(activation, bias=bias)
    assert nn.data_driven_(model, x) is model
    found = preactivations(model, x)
    assert len(found) == 3
    for z in found:
        np.testing.assert_allclose(z.var(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_lsuv_gives_each_layer_variance_1_by_scaled_orthogonal_weights(activation, bias):
    x, model = rows(), network(activation, bias=bias)
    assert nn.lsuv_(model, x) is model
    for z in preactivations(model, x):
        assert z.var() == pytest.approx(1, rel=1e-6)
    for layer in (model[0], model[2][0], model[3]):
        w = layer.weight.numpy()
        gram = w @ w.T if len(w) < w.shape[1] else w.T @ w
        np.testing.assert_allclose(gram, gram[0, 0] * np.eye(len(gram)), atol=1e-12)
        assert layer.bias is None or not layer.bias.numpy().any()


def test_rows_are_normal_numbers_scaled():
    cr.manual_seed(0)
    layer = nn.data_driven_(nn.Linear(300, 40, dtype="float64"), table := wide_rows())
    w = layer.weight.numpy()
    unit = w / np.sqrt(np.square(w).mean(axis=1, keepdims=True))
    assert np.square(unit).var() == pytest.approx(2, rel=0.1)  # fourth moment 3
    np.testing.assert_allclose(layer(table).numpy().var(axis=0), 1, rtol=1e-9)


def wide_rows():
    return np.random.default_rng(0).standard_normal((64, 300))


def test_biases_lie_between_the_data():
    x = rows(50)
    cr.manual_seed(5)
    layer = nn.data_driven_(nn.Linear(5, 400, dtype="float64"), x)
    z = x @ layer.weight.numpy().T
    position = -layer.bias.numpy()
    assert (z.min(axis=0) < position).all() and (position < z.max(axis=0)).all()
    # Weights e_i / sum(e) of five are uniform on the simplex, so the sum of their squares is
    # 2 / 6 in the mean, and the variance of the weighted mean a third of the data's.
    centred = position - z.mean(axis=0)
    assert np.square(centred).mean() == pytest.approx(1 / 3, rel=0.2)
    assert abs(centred.mean()) < 0.1


def test_the_order_is_that_of_the_calls_and_a_shared_layer_is_set_once():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(5, 2, dtype="float64")
            self.shared = nn.Linear(5, 5, dtype="float64")
            self.unused = nn.Linear(5, 5, dtype="float64")

        def forward(self, x):
            return self.last(self.shared(self.shared(x).tanh()).tanh())

    model, x = Backwards(), rows()
    unused = model.unused.state_dict()
    nn.data_driven_(model, x)
    first, _, last = preactivations(model, x)
    np.testing.assert_allclose(first.var(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(last.var(axis=0), 1, rtol=1e-6)
    assert all(np.array_equal(unused[k], v) for k, v in model.unused.state_dict().items())


@BOTH
def test_it_is_called_as_for_prediction_and_left_as_it_was(function):
    modes = []

    class Watching(nn.Module):
        def forward(self, x):
            modes.append(self.training)
            return x

    model = nn.Sequential(Watching(), nn.Linear(5, 3, dtype="float64"))
    model[1].eval()
    function(model, rows())
    assert modes == [False]
    assert model.training and model[0].training and not model[1].training
    assert all("forward" not in vars(module) for module in model.modules())
    assert model[1].weight.requires_grad and model[1].weight.is_leaf


@BOTH
def test_sequences_count_as_rows_and_float32_is_kept(function):
    x = rows(240, dtype="float32").reshape(8, 30, 5)
    model = function(network(nn.ReLU, "float32"), x)
    for z in preactivations(model, x):
        assert z.dtype == np.float32
    if function is nn.lsuv_:
        assert z.var(dtype="d") == pytest.approx(1, rel=1e-5)
    else:
        np.testing.assert_allclose(z.var(axis=(0, 1), dtype="d"), 1, rtol=1e-5)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(5, 4), nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, a, b):
        return self.norm(self.first(a) + self.second(b))


@BOTH
@pytest.mark.parametrize("of", [tuple, lambda inputs: dict(zip("ab", inputs, strict=True))])
def test_a_model_of_several_inputs_is_called_as_a_trainer_calls_it(function, of):
    """With float64 and uint8, which become the float32 of its parameters."""
    a, b = rows(), np.arange(600, dtype=np.uint8).reshape(200, 3)
    model = function(Two(), of((a, b)))
    for layer, x in ((model.first, a), (model.second, b)):
        z = layer(x.astype("float32")).numpy()
        variance = z.var() if function is nn.lsuv_ else z.var(axis=0)
        np.testing.assert_allclose(variance, 1, rtol=1e-4)
    nn.recompute_batch_statistics(model, of((a, b)))
    y = model.eval()(a.astype("float32"), b.astype("float32")).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-4)


class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x, hidden):
        return self.norm(cr.where(~hidden, x, 0.0))


def test_booleans_beside_another_input_are_a_mask():
    x, hidden = rows(dtype="float32"), rows() > 0.5
    model = nn.recompute_batch_statistics(Hidden(), (x, hidden))
    seen = np.where(hidden, 0.0, x)
    np.testing.assert_allclose(model.norm.running_mean, seen.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(model.norm.running_var, seen.var(axis=0), rtol=1e-4)


@BOTH
def test_rows_may_be_lists(function):
    x = rows(dtype="float32")
    from_list = function(network(nn.ReLU, "float32"), x.tolist())
    from_array = function(network(nn.ReLU, "float32"), x)
    assert np.array_equal(from_list[0].weight.numpy(), from_array[0].weight.numpy())


@BOTH
def test_a_seed_decides(function):
    first = function(network(nn.ReLU), rows()).state_dict()
    again = function(network(nn.ReLU), rows()).state_dict()
    assert all(np.array_equal(first[key], again[key]) for key in first)


@BOTH
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones((9, 5)), "0: a pre-activation is the same for all rows"),
        (np.ones((1, 5)), "0: a pre-activation is the same for all rows"),
        (np.full((9, 5), np.nan), "0: the pre-activations are NaN"),
        (np.ones((0, 5)), r"^0 \(Linear\): x has no rows"),
        (np.ma.masked_less(rows(), 0.1), "x has masked values"),
        ([np.ma.masked_less(row, 0.1) for row in rows()], "x has masked values"),
    ],
)
def test_data_without_variance_are_refused_and_the_model_kept(function, x, words):
    model = network(nn.ReLU)
    before = model.state_dict()
    with pytest.raises(ValueError, match=words):
        function(model, x)
    assert all(np.array_equal(before[key], value) for key, value in model.state_dict().items())


@BOTH
def test_a_late_fault_names_its_layer_and_changes_nothing(function):
    class Nothing(nn.Module):
        def forward(self, x):
            return x * 0.0

    model = network(Nothing)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"2\.0: a pre-activation is the same"):
        function(model, rows())
    assert all(np.array_equal(before[key], value) for key, value in model.state_dict().items())
    assert all("forward" not in vars(module) for module in model.modules())


def test_one_dead_neuron_stops_only_what_scales_each():
    class Half(nn.Linear):
        def forward(self, x):
            return super().forward(x) * np.array([1.0, 0.0])

    x = rows()
    layer = nn.lsuv_(Half(5, 2, dtype="float64"), x)
    assert layer(x).numpy().var() == pytest.approx(1, rel=1e-6)
    with pytest.raises(ValueError, match="the model: a pre-activation is the same"):
        nn.data_driven_(layer, x)


@BOTH
def test_a_model_without_linear_is_refused(function):
    with pytest.raises(ValueError, match="calls no Linear"):
        function(nn.ReLU(), rows())


def test_interception_gives_back_a_forward_of_ones_own():
    layer = nn.ReLU()
    layer.forward = own = lambda x: x
    calls = []
    with intercepted(layer, lambda module, forward, x: calls.append(module) or forward(x)):
        assert layer(3) == 3
    assert calls == [layer] and vars(layer)["forward"] is own


def test_another_thread_calls_the_modules_themselves():
    layer = nn.Linear(2, 1, dtype="float64")
    x, calls = np.ones((3, 2)), []

    def noted(module, forward, x):
        calls.append(module)
        return forward(x)

    with ThreadPoolExecutor() as pool:
        with intercepted(layer, noted):
            pool.submit(layer, x).result()
            assert not calls and "forward" not in vars(layer)
            layer(x)
            with intercepted(layer, noted):
                layer(x)
        layer(x)
    assert calls == 3 * [layer]
