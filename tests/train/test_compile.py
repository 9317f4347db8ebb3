"""cr.compile against the eager loop: one function, called as it is and compiled."""

import copy
import pickle
import threading

import numpy as np
import pytest
from training_cases import classification, weights

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")

X, Y = classification(24)
cross_entropy = nn.CrossEntropyLoss()


def network(seed=0, *extra):
    with cr.use_generator(cr.Generator(seed)):
        return nn.Sequential(
            nn.Linear(4, 5, dtype="float64"), nn.Tanh(), *extra, nn.Linear(5, 3, dtype="float64")
        )


def numbers(found):
    """Tensors as arrays, for comparing."""
    if isinstance(found, cr.Tensor):
        return found.numpy().copy()
    if isinstance(found, dict):
        return {key: numbers(value) for key, value in found.items()}
    if isinstance(found, (tuple, list)):
        return [numbers(value) for value in found]
    return found


def gradients(model):
    return [None if p.grad is None else p.grad.numpy().copy() for p in model.parameters()]


def assert_equal(found, wanted, backend):
    """The same bits by the reference, else to 1e-12."""
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        found, wanted = list(found.values()), list(wanted.values())
    if isinstance(wanted, list):
        assert len(found) == len(wanted)
        for f, w in zip(found, wanted, strict=True):
            assert_equal(f, w, backend)
    elif isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        if backend == "reference":
            np.testing.assert_array_equal(found, wanted)
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)
    else:
        assert found == wanted


LOOPS = {}


def loop(make):
    LOOPS[make.__name__] = make
    return make


# Each gives a function to compile and one that does a number of calls, and gives what it saw.


def of_batches(call, *models, calls=5):
    found = []
    for i in range(calls):
        rows = slice(4 * i % 16, 4 * i % 16 + 8)
        found.append(numbers(call(cr.tensor(X[rows]), Y[rows])))
    return found, *map(weights, models)


@loop
def plain():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=0.05)

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda call: of_batches(call, model)


@loop
def zero_grad_last():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def step(x, y):
        loss_fn(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, lambda call: (of_batches(call, model), gradients(model))


@loop
def gradients_add_up_over_calls():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05)

    def step(x, y):
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def run(call):
        seen = [of_batches(call, model, calls=2), gradients(model)]
        model[0].zero_grad()
        return [*seen, of_batches(call, model, calls=3), gradients(model)]

    return step, run


@loop
def accumulation():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=0.05)

    def step(x, y, update):
        loss = loss_fn(model(x), y) / 2.0
        loss.backward()
        if update:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    def run(call):
        found = []
        for i in range(6):
            found += [numbers(call(cr.tensor(X[i:][:6]), Y[i:][:6], i % 2 == 1)), gradients(model)]
        return found, weights(model)

    return step, run


@loop
def gradients_alone():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def differentiate(x, y):
        model.zero_grad()
        loss_fn(model(x), y).backward()

    def run(call):
        found = []
        for i in range(3):
            call(cr.tensor(X[i:][:5]), Y[i:][:5])
            found.append(gradients(model))
            optimizer.step()
        return found, weights(model)

    return differentiate, run


@loop
def clipping_and_averages():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.RMSprop(model.parameters(), lr=0.05)
    ema = optim.EMA(model.parameters(), decay=0.8)

    def clip(limit):
        norm = cr.sqrt(sum((p.grad * p.grad).sum() for p in model.parameters()))
        for p in model.parameters():
            p.grad = p.grad * cr.minimum(limit / (norm + 1e-6), 1.0)
        return norm

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        norm = clip(0.3)
        optimizer.step()
        ema.update()
        return {"loss": loss, "norm": norm}

    return step, lambda call: (of_batches(call, model), numbers(ema.averages))


@loop
def statistics_and_noise():
    model, loss_fn = (
        network(0, nn.BatchNorm1d(5, dtype="float64"), nn.Dropout(0.4)),
        nn.CrossEntropyLoss(),
    )
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def run(call):
        cr.manual_seed(3)
        first = of_batches(call, model)
        model[3].p = 0.1
        with cr.use_generator(cr.Generator(8)):
            second = of_batches(call, model)
        return first, second, of_batches(call, model), cr.uniform((2,)).numpy()

    return step, run


@loop
def two_optimizers():
    """A generator and a discriminator in one function, which freezes one meanwhile."""
    made, judge = network(), network(4)
    of_made, of_judge = (
        optim.Adam(made.parameters(), lr=0.02),
        optim.SGD(judge.parameters(), lr=0.1),
    )
    with cr.use_generator(cr.Generator(1)):
        head = nn.Linear(3, 4, dtype="float64")

    def step(z, x):
        of_judge.zero_grad()
        fake = head(made(z))
        loss = cr.mean(judge(fake.detach()) ** 2) + cr.mean((judge(x) - 1.0) ** 2)
        loss.backward()
        of_judge.step()
        of_made.zero_grad()
        judge.requires_grad_(False)
        other = cr.mean((judge(head(made(z))) - 1.0) ** 2)
        other.backward()
        of_made.step()
        judge.requires_grad_(True)
        return loss, other

    def run(call):
        found = [numbers(call(cr.tensor(X[i:][:4]), cr.tensor(X[i + 4 :][:6]))) for i in range(4)]
        return found, weights(made), weights(judge), [p.requires_grad for p in judge.parameters()]

    return step, run


@loop
def modes():
    model = network(0, nn.BatchNorm1d(5, dtype="float64"))
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def call_in_mode(x, y, train):
        model.train(train)
        if not train:
            with cr.no_grad():
                return cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def run(call):
        found = []
        for train in (True, False, True, True, False, False):
            found.append(numbers(call(cr.tensor(X[:6]), Y[:6], train)))
            found.append(model[1].training)
        return found, weights(model)

    return call_in_mode, run


@loop
def what_changes_between_calls():
    model, loss_fn = network(0, nn.BatchNorm1d(5, dtype="float64")), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model[0].parameters(), lr=0.1, momentum=0.5)
    schedule = optim.StepLR(optimizer, 1, 0.5)

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def run(call):
        found = [of_batches(call, model)]
        schedule.step()
        found.append(of_batches(call, model))
        optimizer.param_groups[0]["lr"] = 0.3
        model.eval()
        found.append(of_batches(call, model))
        model.train()
        model[0].weight.requires_grad = False
        found.append(of_batches(call, model))
        optimizer.add_param_group({"params": list(model[3].parameters()), "lr": 0.2})
        found.append(of_batches(call, model))
        loss_fn.label_smoothing = 0.3
        found.append(of_batches(call, model))
        model[0].bias.assign(np.zeros(5))
        found.append(of_batches(call, model))
        return found, numbers(optimizer.states())

    return step, run


@loop
def rates_that_the_function_sets():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x, y, lr):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()

    def run(call):
        for lr in (0.1, 0.2, 0.1):
            call(cr.tensor(X[:6]), Y[:6], lr)
        return weights(model), optimizer.param_groups[0]["lr"]

    return step, run


@loop
def structures():
    scale = cr.Parameter([1.0, 2.0], dtype="float64")

    def arrange(pair, options, *, power=1):
        a, b = pair
        result = (a * scale).sum() ** power + b.mean()
        return [
            result,
            {"b": b * options["factor"], "text": "same", "none": None},
            (power, a),
            scale,
        ]

    def run(call):
        found = []
        for power in (1, 2, 1):
            given = cr.tensor([1.0, 3.0], "float64"), cr.tensor(X[: 2 + power])
            found.append(numbers(call(given, {"factor": 3.0}, power=power)))
        return found

    return arrange, run


@loop
def gradients_of_arguments():
    model = network()

    def attack(x, y):
        loss = cross_entropy(model(x), y)
        loss.backward()
        return x + 0.1 * cr.sign(x.grad)

    def run(call):
        x, found = cr.tensor(X[:5], requires_grad=True), []
        for _ in range(3):
            found += [numbers(call(x, Y[:5])), x.grad.numpy().copy()]
        x.grad = None
        return [*found, numbers(call(x, Y[:5])), x.grad.numpy().copy(), gradients(model)]

    return attack, run


@loop
def second_order():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        slope = cr.grad(loss, model[0].weight)
        (loss + 0.1 * (slope * slope).sum()).backward()
        optimizer.step()
        return slope

    return step, lambda call: of_batches(call, model)


@loop
def forward_alone():
    model = network(0, nn.Dropout(0.5)).eval()
    return model, lambda call: [numbers(call(cr.tensor(X[:n]))) for n in (3, 1, 3)]


@loop
def constants_and_kinds_of_numbers():
    table = np.arange(12.0).reshape(4, 3)

    def mix(rows, mask, small, number):
        return (
            cr.tensor(table)[rows] * number,
            cr.where(mask, 1.0, 0.0),
            small.astype("float64") * 2,
        )

    def run(call):
        rows = np.array([3, 0, 1])
        mask, small = np.array([True, False]), np.array([1, 2], "int32")
        return [numbers(call(rows, mask, cr.tensor(small), np.float64(n))) for n in (2, 3)]

    return mix, run


@pytest.mark.parametrize("name", LOOPS)
def test_a_compiled_function_is_the_function(name, backend):
    function, run = LOOPS[name]()
    wanted = run(function)
    function, run = LOOPS[name]()
    compiled = cr.compile(function)
    assert_equal(numbers(run(compiled)), numbers(wanted), backend)


# Between calls


def test_second_calls_capture_nothing(backend, monkeypatch):
    captured = []
    record = cr.train.compile.__globals__["record"]
    monkeypatch.setitem(
        cr.train.compile.__globals__, "record", lambda *a: captured.append(1) or record(*a)
    )
    function, run = LOOPS["modes"]()
    compiled = cr.compile(function)
    run(compiled)
    first = len(captured)
    assert first == 4  # in both modes, each entered from both
    run(compiled)
    assert len(captured) == first


def test_many_captures_are_reported():
    double = cr.compile(lambda x, n: x * n)
    with pytest.warns(RuntimeWarning, match=r"captured 64 times.*np\.float32\(number\)"):
        for n in range(70):
            assert double(np.ones(2), n).tolist() == [n, n]


def test_one_function_compiles_as_decorator_method_and_part_of_another(backend):
    class Model:
        def __init__(self, scale):
            self.scale = scale

        @cr.compile(backend=backend)
        def run(self, x):
            """Doc."""
            return x * self.scale

    two, three = Model(2.0), Model(3.0)
    assert two.run(np.ones(1)).item() == 2 and three.run(np.ones(1)).item() == 3
    two.scale = 5.0
    assert two.run(np.ones(1)).item() == 5 and three.run(np.ones(1)).item() == 3
    assert Model.run.__name__ == "run" and Model.run.__doc__ == "Doc."
    outer = cr.compile(lambda x: two.run(x) + 1.0)
    assert outer(np.ones(1)).item() == 6
    assert cr.compile(network())(X).shape == (24, 3)


def test_several_threads_share_a_compiled_function():
    model = network()
    predict = cr.compile(model)
    inputs = [X[: 1 + i % 3] * (i + 1.0) for i in range(32)]
    wanted = [model(cr.tensor(x)).numpy() for x in inputs]
    found = [None] * 32

    def work(first):
        for _ in range(20):
            for i in range(first, 32, 4):
                found[i] = predict(inputs[i]).numpy()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for f, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-12)


def test_a_loss_that_is_not_finite_is_returned_as_in_the_loop():
    model = nn.Linear(2, 1, dtype="float64")
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    @cr.compile
    def step(x):
        optimizer.zero_grad()
        loss = cr.log(model(x).sum() * 0.0)
        loss.backward()
        optimizer.step()
        return loss

    assert step(np.ones((3, 2))).item() == -np.inf
    assert np.isnan(model.weight.numpy()).all()


def test_arrays_of_foreign_byte_order_and_layout():
    double = cr.compile(lambda x: x * 2.0)
    wanted = X * 2
    for given in (X.astype(">f8"), np.asfortranarray(X), X[::-1][::-1], X.view(np.memmap)):
        np.testing.assert_array_equal(double(given).numpy(), wanted)
    x = X.copy()
    result = double(x)
    x[:] = 0
    np.testing.assert_array_equal(result.numpy(), wanted)


@cr.compile
def doubled(x):
    return x * 2.0


def test_copies_and_pickles():
    model = network()
    for function in (doubled, cr.compile(model)):
        wanted = function(X).numpy()
        for made in (copy.deepcopy(function), pickle.loads(pickle.dumps(function))):
            np.testing.assert_array_equal(made(X).numpy(), wanted)


def test_what_has_no_native_kernel_is_refused_with_the_remedy():
    x = np.arange(3, dtype="int32")
    with pytest.raises(NotImplementedError, match="backend='reference'"):
        cr.compile(lambda x: x * x, backend="native")(x)
    assert cr.compile(lambda x: x * x, backend="reference")(x).tolist() == [0, 1, 4]
